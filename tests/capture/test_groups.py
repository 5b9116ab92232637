"""Which MACs belong together: groups of virtual routers, and ports of one machine."""

from __future__ import annotations

import pytest

from monitorpi_capture.inventory.groups import Relation, group_of, related


def mac(text: str) -> bytes:
    """Return a MAC address of twelve digits."""
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("00005e000107", "00005e000107"), ("00005e000207", "00005e000207"), ("00005e000307", None),
        ("00000c07ac01", "00000c07ac01"), ("00000c07ad01", None),
        ("00000c9ff001", "00000c9ff001"), ("00000c9fffff", "00000c9fffff"),
        ("00000c9fef01", None), ("00000c9e0f01", None), ("00000c9ff0ff", "00000c9ff0ff"),
        ("000573a00001", "000573a00001"), ("000573a00fff", "000573a00fff"),
        ("000573a01001", None), ("000573a1f001", None), ("000573a0f001", None),
        ("0007b4000102", "0007b40001"), ("0007b5000102", None), ("020000000001", None),
    ],
)  # fmt: skip
def test_virtual_routers_have_macs_of_their_protocols(text: str, group: str | None) -> None:
    """VRRP, HSRP of both versions and for IPv6, GLBP, of which several MACs are one group."""
    assert group_of(mac(text)) == (None if group is None else mac(group))


@pytest.mark.parametrize(
    ("holder", "claimant", "relation"),
    [
        ("00005e000107", "00005e000107", Relation.GROUP),
        ("00005e000107", "00005e000108", Relation.INTRUDER),
        ("00005e000107", "b827eb000001", Relation.INTRUDER),
        ("b827eb000001", "00005e000107", Relation.UNRELATED),
        ("0007b4000101", "0007b4000102", Relation.GROUP),
        ("b827eb000001", "b827eb000009", Relation.SIBLINGS),
        ("b827eb000009", "b827eb000001", Relation.SIBLINGS),
        ("b827eb000001", "b827eb00000a", Relation.UNRELATED),
        ("b827ebffffff", "b827ec000000", Relation.UNRELATED),
        ("ba27eb000001", "ba27eb000002", Relation.UNRELATED),
        ("b827eb000001", "ba27eb000002", Relation.UNRELATED),
    ],
)  # fmt: skip
def test_what_a_claimant_is_to_a_holder(holder: str, claimant: str, relation: Relation) -> None:
    """Of one group, or within eight numbers of one maker; what is made up has no maker."""
    assert related(mac(holder), mac(claimant)) is relation
