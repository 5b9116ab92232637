"""What the kernel's tables say, as they were recorded on other machines."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from monitorpi_host import interfaces, losses, routes

ROUTES = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0
eth0 000200C0 00000000 0001 0 0 100 00FFFFFF 0 0 0
tun0 00000000 00000000 0001 0 0 0 00000080 0 0 0
tun0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0
* 006433C6 00000000 0201 0 0 0 00FFFFFF 0 0 0
"""
ZERO = "0" * 32
ROUTES_V6 = "\n".join(
    f"{to} {prefix} {ZERO} 00 {gateway} 00000100 00000001 00000000 {flags} eth0"
    for to, prefix, gateway, flags in (
        ("fd000000000000010000000000000000", "40", ZERO, "00000001"),
        ("fd000000000000020000000000000000", "3f", ZERO, "00000001"),
        ("fd000000000000030000000000000000", "40", "f" * 32, "00000003"),
        ("fd000000000000040000000000000000", "40", ZERO, "00200200"),
        ("fe800000000000000000000000000000", "40", ZERO, "00000001"),
    )
)


def test_attached_are_subnets_without_a_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is rejected, nor half of the Internet that a VPN takes."""
    tables = {"/proc/net/route": ROUTES, "/proc/net/ipv6_route": ROUTES_V6}
    monkeypatch.setattr(
        routes, "_table", lambda file: [line.split() for line in tables[file].splitlines()]
    )
    monkeypatch.setattr(routes.sys, "byteorder", "little")

    assert [str(one) for one in routes.attached_networks()] == [
        "192.0.2.0/24", "10.0.0.0/8", "fd00:0:0:1::/64", "fe80::/64"]  # fmt: skip


def test_ipv6_addresses_have_an_interface_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As proc(5) tells them; a line that is cut short tells of none."""
    table = [
        "00000000000000000000000000000001 01 80 10 80 lo",
        "fe800000000000000000000000000001 02 40 20 80 wlan0",
        "fe800000000000000000000000000002 02 40 20 80",
    ]
    monkeypatch.setattr(routes, "_table", lambda _: [line.split() for line in table])

    assert routes.v6_interfaces() == {"::1": "lo", "fe80::1": "wlan0"}


def test_losses_are_differences_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that went back belongs to an interface that was made anew."""
    answers = iter([{"a": 5, "b": 7}, {"a": 8, "b": 7}, {"a": 1, "b": 9, "c": 4}, {"c": 0}])
    monkeypatch.setattr(losses, "_interface_losses", lambda _: next(answers))
    one = losses.Losses()

    assert [one.of("eth0") for _ in range(4)] == [
        {}, {"a": 3, "b": 0}, {"a": 1, "b": 2, "c": 4}, {"c": 0}]  # fmt: skip


def test_drops_of_the_whole_machine_never_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that was switched off takes its count along."""
    answers = iter([10, 14, 3, 4])
    monkeypatch.setattr(losses, "_softnet_dropped", lambda: next(answers))
    one = losses.Losses()

    assert [one.softnet() for _ in range(3)] == [4, 0, 1]


def test_what_sysfs_counts_is_told_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that a driver does not have is none."""
    (tmp_path / "statistics").mkdir()
    monkeypatch.setattr(losses, "sysfs_folder", lambda _: tmp_path)
    assert losses._interface_losses("eth0") == {"rx_missed": 0, "rx_dropped": 0}

    (tmp_path / "statistics" / "rx_dropped").write_text("12\n")
    (tmp_path / "statistics" / "rx_missed_errors").write_text("7\n")
    assert losses._interface_losses("eth0") == {"rx_missed": 7, "rx_dropped": 12}


DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
  eth1: 91 92 93 94 95 96 97 98 99 100 101 102
  eth0: 11 12 13 14 15 16 17 18 19 20 21 22
"""
SOFTNET = "0000000a 0000001f 00000003 00000000\n0000000b 00000010 00000004 00000000\n"


def test_tables_of_the_namespace_have_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a card dropped, and what all processors did together; what cannot be read is none."""
    monkeypatch.setattr(losses, "sysfs_folder", lambda _: None)
    monkeypatch.setattr(losses, "Path", lambda path: tmp_path / Path(path).name)
    assert (losses._interface_losses("eth0"), losses._softnet_dropped()) == ({}, 0)

    (tmp_path / "dev").write_text(DEV)
    (tmp_path / "softnet_stat").write_text(SOFTNET)
    assert losses._interface_losses("eth0") == {"rx_dropped": 14}
    assert losses._softnet_dropped() == 0x1F + 0x10

    for odd in ("0000000a\n", "0000000a x\n"):
        (tmp_path / "softnet_stat").write_text(odd)
        assert losses._softnet_dropped() == 0


def test_without_sysfs_the_table_of_the_namespace_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a namespace that has no sysfs of its own; another name is not there."""
    monkeypatch.setattr(losses, "sysfs_folder", lambda _: None)

    def dropped() -> int:
        lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[4]) for line in lines if line.split()[0] == "lo:")

    before = dropped()
    found = losses._interface_losses("lo")

    assert found.keys() == {"rx_dropped"}
    assert before <= found["rx_dropped"] <= dropped()
    assert losses._interface_losses("l") == {}


def test_hardware_is_what_has_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge has none; of another namespace's sysfs nothing is believed."""
    monkeypatch.setattr(interfaces, "sysfs_folder", lambda _: tmp_path)
    assert interfaces.is_real("br0") is False
    (tmp_path / "device").mkdir()
    assert interfaces.is_real("eth0") is True
    monkeypatch.setattr(interfaces, "sysfs_folder", lambda _: None)
    assert interfaces.is_real("eth0") is False


def test_interfaces_are_in_natural_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As people count."""
    there = [(1, "eth10"), (2, "eth2"), (3, "br0"), (4, "eth2.100"), (5, "eth2.20")]
    monkeypatch.setattr(socket, "if_nameindex", lambda: there)

    assert interfaces.names() == ["br0", "eth2", "eth2.20", "eth2.100", "eth10"]


@pytest.mark.parametrize(
    ("speed", "bps"),
    [("1000", 10**9), ("1", 10**6), ("0", None), ("-1", None), ("", None), (None, None)],
)
def test_a_speed_that_is_not_known_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: str | None, bps: int | None
) -> None:
    """Drivers write -1 where there is no link; some write nothing."""
    if speed is not None:
        (tmp_path / "speed").write_text(speed)
    monkeypatch.setattr(interfaces, "sysfs_folder", lambda _: tmp_path)

    assert interfaces.link_bps("eth0") == bps


@pytest.mark.parametrize(
    ("kind", "is_ethernet", "has_header", "mac"),
    [(1, True, True, "b827eb000001"), (772, False, True, None), (65534, False, False, None),
     (None, False, False, None)],
)  # fmt: skip
def test_what_kind_of_card_it_is(
    monkeypatch: pytest.MonkeyPatch, kind: int | None, is_ethernet: bool, has_header: bool,
    mac: str | None,
) -> None:  # fmt: skip
    """Ethernet, loopback, a tunnel, one that is gone."""
    answer = None if kind is None else struct.pack("H", kind) + bytes.fromhex("b827eb000001") * 2
    monkeypatch.setattr(interfaces, "_ask", lambda *_: answer)

    assert interfaces.is_ethernet("x") is is_ethernet
    assert interfaces.has_ethernet_header("x") is has_header
    assert interfaces.mac_of("x") == mac
    assert interfaces.is_wired("x") is is_ethernet
    assert not interfaces.is_wired("wlan0")


@pytest.mark.parametrize(
    ("flags", "up", "link", "no_arp"),
    [(0x1043, True, True, False), (0x1003, True, False, False), (0x1002, False, False, False),
     (0xC1, True, True, True), (0x49, True, True, True), (None, False, None, False)],
)  # fmt: skip
def test_flags_of_an_interface(
    monkeypatch: pytest.MonkeyPatch, flags: int | None, up: bool, link: bool | None, no_arp: bool
) -> None:
    """Switched on, with a carrier, asked for addresses; one that is gone is none of these."""
    monkeypatch.setattr(interfaces, "_flags", lambda _: flags)
    monkeypatch.setattr(socket, "if_indextoname", lambda _: "x")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "x")])
    monkeypatch.setattr(interfaces, "_ask", lambda *_: None)

    assert (interfaces.is_up("x"), interfaces.has_link("x")) == (up, link)
    assert interfaces.has_no_arp(1) is no_arp
    found = list(interfaces.attached())
    assert len(found) == (0 if flags is None else 1)
    for one in found:
        assert (one.up, one.mac, one.ip, one.network) == (up and bool(link), None, None, None)
        assert one.has_arp is not bool((flags or 0) & 0x80)
        assert one.loopback is bool((flags or 0) & 0x8)


def test_a_network_is_that_of_the_first_address() -> None:
    """Whatever host it is."""
    one = interfaces.Interface("x", None, "192.0.2.7", 24, True, False, True)

    assert one.network == ipaddress.IPv4Network("192.0.2.0/24")
    assert replace(one, prefix=None).network is None
    assert replace(one, ip=None).network is None


def test_an_interface_with_its_first_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As three questions to the kernel give it; one that has just gone is left out alone."""
    answers = {
        0x8927: struct.pack("H", 1) + bytes.fromhex("b827eb0000012a2a") + bytes(6),
        0x8915: struct.pack("HH", 2, 0) + bytes([192, 0, 2, 7]) + b"\xff" * 8,
        0x891B: struct.pack("HH", 2, 0) + bytes([255, 255, 255, 0]) + b"\xff" * 8,
    }
    monkeypatch.setattr(interfaces, "_flags", lambda name: 0x1043 if name == "x" else None)
    monkeypatch.setattr(interfaces, "_ask", lambda _, request: answers[request])
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(2, "gone"), (1, "x")])

    one = interfaces.Interface("x", "b8:27:eb:00:00:01", "192.0.2.7", 24, True, False, True)
    assert list(interfaces.attached()) == [one]


def test_loopback_has_an_index_and_no_speed_where_there_is_no_sysfs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of another namespace's sysfs nothing is believed."""
    assert interfaces.index_of("lo") == socket.if_nametoindex("lo")
    monkeypatch.setattr(interfaces, "sysfs_folder", lambda _: None)
    assert interfaces.link_bps("lo") is None
