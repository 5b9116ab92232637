"""What the doctor says of a port: mirror or not, directions, copies, what hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_capture.count.copyevidence import CopyReport, RepeatedFrames
from monitorpi_capture.items import COLUMN, WIDTH, Instant, MacCounts, WindowCounts
from monitorpi_capture.settings import CaptureSettings
from monitorpi_cli.doctor.encapsulation import hidden_in
from monitorpi_cli.doctor.mirror import check_ports, judge_copies, judge_hidden, judge_port

OWN, LAPTOP, NAS = (bytes.fromhex(f"0400000000{number}") for number in ("01", "0a", "0b"))
ALL = bytes.fromhex("ffffffffffff")


def tally(packets: int, tcp: int = 0) -> tuple[int, ...]:
    """Return the numbers of a row."""
    numbers = [0] * WIDTH
    numbers[COLUMN["packets"]], numbers[COLUMN["tcp"]] = packets, tcp
    return tuple(numbers)


def window(packets: int, *rows: MacCounts) -> WindowCounts:
    """Return two seconds of counts."""
    start, end = Instant(100.0, 0.0), Instant(102.0, 2.0)
    return WindowCounts("eth0", "socket", start, end, 2.0, wire=tally(packets), rows=rows)


def said(*windows: WindowCounts) -> list[tuple[str, str]]:
    """Return marks and texts."""
    return [(one.mark, str(one)) for one in judge_port(windows, OWN.hex())]


def test_a_dead_port_is_wrong() -> None:
    """No frame at all: a cable, or a port that sends nothing."""
    [(mark, text)] = said(window(0))

    assert mark == "wrong"
    assert text.startswith("eth0: no frame in 2 s: is the cable in")


def test_an_ordinary_port_is_wrong() -> None:
    """Broadcasts, and traffic of this machine itself, are what any port of a switch shows."""
    broadcasts = MacCounts(LAPTOP, tally(30), ())
    own = MacCounts(OWN, (), tally(50, 40))
    [(mark, text)] = said(window(80, broadcasts, own))

    assert mark == "wrong"
    assert "80 frames in 2 s, none from one device to another" in text


def test_a_port_with_nothing_but_ones_own_traffic_is_wrong() -> None:
    """A cable into a port without neighbours: what this machine sends is all there is."""
    [(mark, text)] = said(window(50, MacCounts(OWN, tally(30), tally(20))))

    assert mark == "wrong"
    assert "all of them this machine's own" in text


def test_a_mirror_port_with_both_directions_is_well() -> None:
    """TCP from a device and to it: nothing is missing."""
    laptop = MacCounts(LAPTOP, tally(100, 90), tally(60, 60))
    nas = MacCounts(NAS, tally(60, 60), tally(100, 90))

    assert said(window(160, laptop, nas)) == [
        ("ok", "eth0: a mirror port: 80 frames/s from 2 devices"),
        ("ok", "eth0: both directions of conversations are mirrored"),
    ]


def test_a_mirror_port_with_one_direction_is_noted() -> None:
    """TCP from some and to others only: the switch mirrors one direction."""
    laptop = MacCounts(LAPTOP, tally(100, 90), ())
    nas = MacCounts(NAS, (), tally(100, 90))

    [_, (mark, text)] = said(window(100, laptop, nas))

    assert mark == "note"
    assert "only one direction" in text


def test_a_port_without_tcp_leaves_the_directions_open() -> None:
    """Pings between devices prove the mirror, and nothing about directions."""
    [_, (mark, text)] = said(window(4, MacCounts(NAS, (), tally(4))))

    assert mark == "note"
    assert "not known" in text


# --- copies and loops -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "mark", "words"),
    [
        (CopyReport(0.0), "ok", "each frame is shown once"),
        (CopyReport(0.5), "note", "mirror only what comes in (ingress, rx) at each port"),
        (CopyReport(None), "note", "too few frames"),
        (CopyReport(0.0, repeats=RepeatedFrames(0.98, 12)), "note", "a cable leads back"),
    ],
)
def test_copies_and_loops_are_told_with_their_remedy(
    report: CopyReport, mark: str, words: str
) -> None:
    """A port that shows frames twice, or a loop, is worth a line each."""
    found = next(judge_copies("eth0", report))

    assert found.mark == mark
    assert words in str(found)


# --- what cannot be looked into -------------------------------------------------------------------

ADDRESSES = bytes(12)
IPV4 = "0800 45000054 00000000 40{protocol:02x}0000 0a000001 0a000002"


def ipv4(protocol: int, payload: str) -> bytes:
    """Return a frame with a packet of a protocol."""
    return ADDRESSES + bytes.fromhex(IPV4.format(protocol=protocol)) + bytes.fromhex(payload)


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (ADDRESSES + bytes.fromhex("8847 00064140 4500"), "MPLS"),
        (ADDRESSES + bytes.fromhex("8100 0005 88a8 0007 8848 0006"), "MPLS"),
        (ADDRESSES + bytes.fromhex("88e7 00000005"), "a provider's backbone (802.1ah)"),
        (ADDRESSES + bytes.fromhex("88e5 2c00"), "MACsec (802.1AE)"),
        (ipv4(4, "4500"), "IP in IP"),
        (ipv4(41, "6000"), "IPv6 in IPv4 or IP in IPv6"),
        (ipv4(47, "0000 0800"), "GRE"),
        (ipv4(47, "1000 88be 0000"), "ERSPAN (a mirror sent through GRE)"),
        (ipv4(17, "c001 12b5 0020 0000"), "VXLAN"),
        (ADDRESSES + bytes.fromhex("86dd 60000000 0010 29 40" + "00" * 32), "IPv6 in IPv4"),
        (ipv4(17, "c001 0035 0020 0000"), None),
        (ipv4(6, "c001 12b5 00000000"), None),
        (ADDRESSES + bytes.fromhex("8864 11000001 0016 0021 4500"), None),
        (ADDRESSES + bytes.fromhex("0806 0001"), None),
        (ADDRESSES + bytes.fromhex("0800 4500"), None),
        (b"", None),
    ],
)
def test_what_a_frame_stands_inside_is_known_by_name(frame: bytes, what: str | None) -> None:
    """Behind tags, by type, by protocol and by port; PPPoE is looked through, a short frame too."""
    found = hidden_in(frame)

    assert (found is None) == (what is None)
    assert found is None or what is None or found.startswith(what)


@given(st.binary(max_size=128))
def test_no_frame_ends_the_doctor(frame: bytes) -> None:
    """Whatever the first bytes are."""
    assert hidden_in(frame) is None or hidden_in(frame)


@pytest.mark.parametrize(
    ("sampled", "mpls", "marks"),
    [(100, 2, []), (100, 10, ["note"]), (100, 90, ["wrong"]), (10, 10, []), (0, 0, [])],
)
def test_a_mirror_that_shows_what_it_cannot_look_into_is_told(
    sampled: int, mpls: int, marks: list[str]
) -> None:
    """A tunnel of one device is no news, a tenth is, and half of all blinds the rules."""
    found = list(judge_hidden("eth0", sampled, {"MPLS": mpls} if mpls else {}))

    assert [one.mark for one in found] == marks
    assert all("stand inside MPLS" in one.text and one.remedy for one in found)


def test_loopback_is_no_mirror_port() -> None:
    """It has frames with Ethernet headers, between two devices by its addresses, and no LAN."""
    [found] = check_ports(CaptureSettings(), ["lo"], 0.1)

    assert (found.mark, found.topic) == ("wrong", "lo")
    assert "capture.interfaces" in (found.remedy or "")
