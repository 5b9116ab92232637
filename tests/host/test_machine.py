"""What a machine knows of itself, on this one: its loopback, its routes, its listeners."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from monitorpi_host import interfaces, listeners
from monitorpi_host.listeners import holder_of
from monitorpi_host.losses import Losses
from monitorpi_host.routes import attached_networks

if TYPE_CHECKING:
    import pytest

GONE = "no-such-if0"


def test_loopback_is_up_and_has_no_address_of_its_own() -> None:
    """It has Ethernet's header, which is why it can be counted on, and is no Ethernet."""
    assert "lo" in interfaces.names()
    assert interfaces.is_up("lo")
    assert interfaces.has_link("lo") is True
    assert interfaces.has_ethernet_header("lo")
    assert not interfaces.is_ethernet("lo")
    assert not interfaces.is_wired("lo")
    assert interfaces.mac_of("lo") is None
    assert interfaces.link_bps("lo") is None


def test_loopback_is_attached_with_its_net() -> None:
    """Nobody is asked for an address on it."""
    [own] = [one for one in interfaces.attached() if one.name == "lo"]

    assert (own.ip, own.network, own.loopback) == ("127.0.0.1", IPv4Network("127.0.0.0/8"), True)
    assert interfaces.has_no_arp(socket.if_nametoindex("lo"))


def test_an_interface_that_is_gone_is_nothing() -> None:
    """It may be unplugged between two questions."""
    assert interfaces.index_of(GONE) is None
    assert interfaces.has_link(GONE) is None
    assert interfaces.mac_of(GONE) is None
    assert interfaces.sysfs_folder(GONE) is None
    assert not interfaces.is_up(GONE)
    assert not interfaces.has_ethernet_header(GONE)
    assert not interfaces.has_no_arp(2**31 - 1)


def test_losses_are_what_came_since_they_were_asked() -> None:
    """The first question has nothing before it."""
    losses = Losses()

    assert losses.of("lo") == {}
    assert set(losses.of("lo").values()) <= {0}
    assert losses.softnet() >= 0


def test_nets_are_those_reached_without_a_router() -> None:
    """A default route leads to none."""
    assert all(net.prefixlen > 0 for net in attached_networks())


def test_a_listener_is_named_with_its_process() -> None:
    """And one that nobody may know of is somebody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert f"(process {os.getpid()})" in holder_of(port)

    assert holder_of(port) == "another process"


def test_a_listener_may_have_any_name() -> None:
    """A process names itself as it likes, in whatever encoding."""
    name = Path("/proc/self/comm")
    before = name.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        name.write_bytes(b"caf\xe9 ")
        try:
            found = holder_of(listener.getsockname()[1])
        finally:
            name.write_bytes(before.strip())

    assert found == f"caf\N{REPLACEMENT CHARACTER} (process {os.getpid()})"


def test_the_first_listener_of_the_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one line of heads, in IPv6's table too; who is connected does not listen.

    One of the tables may be missing.
    """
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid inode"
    line = "   {}: {}:{:04X} {}:0000 {} 00000000:00000000 00:00000000 00000000 0 0 {} 1"
    rows = {
        "tcp": [line.format(0, "0100007F", 81, "00000000", "0A", 11),
                line.format(1, "0100007F", 82, "0200007F", "01", 12)],
        "tcp6": [line.format(0, "0" * 32, 81, "0" * 32, "0A", 13)],
    }  # fmt: skip
    for name, found in rows.items():
        (tmp_path / name).write_text("\n".join([head, *found]))
    monkeypatch.setattr(listeners, "Path", lambda path: tmp_path / Path(path).name)

    assert [list(listeners._listeners(port)) for port in (81, 82)] == [["11", "13"], []]
    (tmp_path / "tcp").unlink()
    assert list(listeners._listeners(81)) == ["13"]
