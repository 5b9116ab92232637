"""Where the parts of a frame begin and end, before anybody reads what it says."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import ARP, Ether

from monitorpi_capture.frame.classify import classify
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.frame.dissect.discovery import DiscoveryFrame, MalformedFrameError
from monitorpi_capture.inventory.devicemessage import is_temporary


@pytest.mark.parametrize(
    ("length", "captured", "fragment", "found"),
    [
        (8, 8, False, (18, 18, False)), (12, 12, False, (18, 22, False)),
        (12, 20, False, (18, 22, False)), (12, 11, False, (18, 21, True)),
        (12, 8, False, (18, 18, True)), (12, 12, True, (18, 22, True)),
        (7, 12, False, None), (0, 12, False, None), (12, 7, False, None), (12, 5, False, None),
    ],
)  # fmt: skip
def test_where_a_payload_of_udp_is(
    length: int, captured: int, fragment: bool, found: tuple[int, int, bool] | None
) -> None:
    """Behind its header, as long as that says, as far as it was captured."""
    header = bytes([0, 67, 0, 68]) + length.to_bytes(2, "big") + bytes(200)
    frame = DiscoveryFrame(bytes(10) + header[:captured], 1.0, "eth0", (), 10, 10, fragment)

    if found is None:
        with pytest.raises(MalformedFrameError):
            frame.udp_payload()
    else:
        assert frame.udp_payload() == found
        assert frame.port == 68


@pytest.mark.parametrize(("at", "number"), [(0, 0x0102), (1, 0x0203), (2, None), (9, None)])
def test_a_number_is_whole_or_none(at: int, number: int | None) -> None:
    """A frame may end within it."""
    frame = DiscoveryFrame(b"\1\2\3", 1.0, "eth0", (), 0, 0)

    if number is None:
        with pytest.raises(MalformedFrameError):
            frame.u16(at)
    else:
        assert frame.u16(at) == number


def test_classes_that_are_known_are_not_found_out_again() -> None:
    """Who counts a frame has looked at it already; those of another one would say another thing."""
    data = bytes(Ether(src="04:00:00:00:00:0a") / ARP(op=2, psrc="192.0.2.7"))
    other = classify(data[:12] + b"\x08\x00" + data[14:], len(data))

    def ips(**more: object) -> list[tuple[str, ...]]:
        found = Dissector().dissect(data, 1.0, "eth0", **more)  # type: ignore[arg-type]
        return [one.ips for one in found]

    assert ips() == [("192.0.2.7",)]
    assert ips(classified=classify(data, len(data))) == [("192.0.2.7",)]
    assert ips(classified=other) == []


@pytest.mark.parametrize(
    ("address", "is_made_up"),
    [
        ("192.0.2.7", False), ("fe80::a1b2:c3d4:e5f6:a7b8", False),
        ("2001:db8::a1b2:c3d4:e5f6:a7b8", True), ("2001:db8::1", False),
        ("2001:db8::ffff:ffff", False), ("2001:db8::1:0:0", True),
        ("2001:db8::b827:ebff:fe12:3456", False), ("2001:db8::b827:ebff:ff12:3456", True),
        ("2001:db8::b827:ebfe:fe12:3456", True),
    ],
)  # fmt: skip
def test_which_addresses_may_be_given_up_any_day(address: str, is_made_up: bool) -> None:
    """Those that end at random: not made by hand, nor of the card's own address."""
    assert is_temporary(address) is is_made_up
