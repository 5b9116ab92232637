"""Who may share an address: a virtual router's MAC, and one that others show as a router."""

from __future__ import annotations

import pytest

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
