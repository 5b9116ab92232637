"""Who may share an address: a virtual router's MAC, and one that others show as a router."""

from __future__ import annotations

import pytest

from monitorpi_capture.inventory.admission import Entry
from monitorpi_capture.inventory.topology import Topology, _alike

VIRTUAL, OTHER_VIRTUAL = bytes.fromhex("00005e000107"), bytes.fromhex("00005e000108")
SHOWN, HOST = b"\x04shown", b"\x04hosts"


@pytest.mark.parametrize(
    ("one", "other", "are_members"),
    [
        (VIRTUAL, SHOWN, True), (VIRTUAL, HOST, False), (SHOWN, HOST, False),
        (HOST, b"\x04other", False), (VIRTUAL, OTHER_VIRTUAL, False), (SHOWN, SHOWN, False),
    ],
)  # fmt: skip
def test_members_of_a_virtual_router(
    monkeypatch: pytest.MonkeyPatch, one: bytes, other: bytes, are_members: bool
) -> None:
    """What they send each other proves nothing: of two, one is virtual and the other shown."""
    topology = Topology({}, {})
    monkeypatch.setattr(topology, "_is_shown", lambda mac: mac in (SHOWN, OTHER_VIRTUAL))

    assert topology._is_member(one, other) is are_members
    assert topology._is_member(other, one) is are_members


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("192.0.2.1", "198.18.0.1", True), ("192.0.2.1", "2001:db8::1", False),
        ("2001:db8::1", "2001:db8::2", True), ("fe80::1", "2001:db8::1", False),
        ("fe80::1", "fe80::2", True), ("fe80::1", "192.0.2.1", False),
    ],
)  # fmt: skip
def test_addresses_of_one_family_and_scope_are_alike(one: str, other: str, are_alike: bool) -> None:
    """A router has one of each."""
    assert _alike(one, other) is are_alike
    assert _alike(other, one) is are_alike


def test_whom_others_show_as_a_router() -> None:
    """A device that has the role; not one that may become a device."""
    router, host = Entry(SHOWN, "eth0", 0.0, 0.0, role="router"), Entry(HOST, "eth0", 0.0, 0.0)
    topology = Topology({SHOWN: router, HOST: host}, {b"\x04other": router})

    assert [topology._is_shown(mac) for mac in (SHOWN, HOST, b"\x04other", VIRTUAL)] == [
        True, False, False, False]  # fmt: skip


def test_who_is_established_as_a_router() -> None:
    """Others show it, or it is handed out as one, in a VLAN where it holds that undisputed."""
    topology = Topology({SHOWN: Entry(SHOWN, "eth0", 0.0, 0.0, role="router")}, {})
    for number in (1, 2):
        topology.addresses.claim(HOST, (), f"192.0.2.{number}", 1.0)
    topology.addresses.claim(HOST, (7,), "192.0.2.3", 1.0)
    assert topology._is_established(SHOWN, ())
    assert not topology._is_established(HOST, ())

    topology.routers.name((7,), ["192.0.2.2", "192.0.2.3"], 1.0)
    assert [topology._is_established(HOST, space) for space in ((), (7,))] == [False, True]
    topology.routers.name((), ["192.0.2.2", "192.0.2.9"], 1.0)
    assert topology._is_established(HOST, ())
