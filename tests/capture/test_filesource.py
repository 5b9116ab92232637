"""Windows of a capture file: the file's own time, gaps, steps, other link layers."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.system.crowd import dhcp_answer

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import (
    FrameSample,
    ListenerReport,
    Sighting,
    WindowCounts,
    counts_by_name,
)
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_capture.sources.pacing import Gate
from monitorpi_common.log import Log
from monitorpi_common.service import ResourceError

SENDER = bytes.fromhex("020000000001")
TARGET = bytes.fromhex("020000000002")
IP = bytes.fromhex("4500001c00000000400100000101010102020202") + b"\x08" + bytes(7)
PING = TARGET + SENDER + b"\x08\0" + IP
ARP = (
    b"\xff" * 6
    + SENDER
    + bytes.fromhex("08060001080006040001")
    + SENDER
    + b"\xc0\0\2\1"
    + bytes(10)
)


def windows(*frames: tuple[float, bytes], link: int = 1, **options: Any) -> list[WindowCounts]:
    """Return the windows a file of these frames gives."""
    return [item for item in items(*frames, link=link, **options) if isinstance(item, WindowCounts)]


def items(*frames: tuple[float, bytes], link: int = 1, **options: Any) -> list[object]:
    """Return everything the source of such a file emits."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    body = b"".join(
        struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(data), len(data)) + data
        for at, data in frames
    )
    emitted: list[object] = []
    stream = io.BytesIO(head + body)
    FileSource(stream, "x", "file", Log("capture"), max_rows=4096, **options).run(emitted.append)
    return emitted


def shape(found: list[WindowCounts]) -> list[tuple[float, float, int]]:
    """Return (start, length, frames) of each window."""
    return [(one.start.wall_s, round(one.length_s, 6), one.wire[0]) for one in found]


def test_windows_stand_on_whole_seconds_and_the_last_is_partial() -> None:
    """The last window ends with the last frame and says how long it was."""
    found = windows((10.7, PING), (10.9, PING), (11.0, PING), (12.25, PING))

    assert shape(found) == [(10.0, 1.0, 2), (11.0, 1.0, 1), (12.0, 0.25, 1)]


def test_a_single_frame_is_a_window_of_a_millisecond() -> None:
    """A window is never without length."""
    assert shape(windows((10.0, PING))) == [(10.0, 0.001, 1)]


@pytest.mark.parametrize("gap", [2, 3, 31_536_000])
def test_seconds_without_frames_have_no_windows(gap: int) -> None:
    """Silence costs nothing, however long it is: times tell of it."""
    found = windows((10.5, PING), (10.5 + gap, PING))

    assert shape(found) == [(10.0, 1.0, 1), (10.0 + gap, 0.5, 1)]


def test_slightly_late_frames_count_in_the_current_window() -> None:
    """Capture threads write a little out of order; no frame is lost by it."""
    found = windows((10.9, PING), (11.1, PING), (10.95, PING), (11.2, PING))

    assert shape(found) == [(10.0, 1.0, 1), (11.0, 0.2, 3)]


def test_times_that_go_back_begin_new_windows() -> None:
    """An older capture appended to a file has windows at its own time."""
    found = windows((100.5, PING), (10.5, PING), (11.5, PING))

    assert shape(found) == [(100.0, 1.0, 1), (10.0, 1.0, 1), (11.0, 0.5, 1)]


@pytest.mark.parametrize("off_s", [-10.0, 10.0, 31_536_000.0])
def test_a_frame_far_off_its_neighbours_is_no_step_of_time(
    off_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Another thread's frame, or a damaged time: it counts where it stands, and is told."""
    line = [100_000_000 + number / 50 for number in range(150)]
    stamped = [at + off_s if number % 20 == 7 else at for number, at in enumerate(line)]

    found = windows(*[(at, PING) for at in stamped])

    assert shape(found) == [
        (100_000_000.0, 1.0, 50), (100_000_001.0, 1.0, 50), (100_000_002.0, 0.98, 50),
    ]  # fmt: skip
    assert "8 frames dated far off those around them" in caplog.text


def test_time_that_goes_on_elsewhere_is_a_step() -> None:
    """A year on and back again, for longer than a few frames: three lines of time."""
    times = [start + number / 50 for start in (1e8, 1.3e8, 1e8 + 4) for number in range(40)]

    found = windows(*[(at, PING) for at in times])

    assert [one.start.wall_s for one in found] == [1e8, 1.3e8, 1e8 + 4]
    assert [one.wire[0] for one in found] == [40, 40, 40]


def test_a_file_of_the_sixteen_bit_age_works() -> None:
    """Times from 1970 on and at the end of the format are dates."""
    assert shape(windows((0.0, PING), (4_294_967_295.5, PING)))[-1][0] == 4_294_967_295.0


def cooked(
    how: int,
    *,
    hardware: int = 1,
    mac: bytes = SENDER,
    kind: bytes = b"\x08\0",
    packet: bytes = IP,
) -> bytes:
    """Return a frame as ``tcpdump -i any`` writes it."""
    return struct.pack(">HHH", how, hardware, 6) + mac + bytes(2) + kind + packet


def cooked2(how: int, *, hardware: int = 1, kind: bytes = b"\x08\0", packet: bytes = IP) -> bytes:
    """Return the same in the second version."""
    head = struct.pack(">HBB", hardware, how, 6)
    return kind + bytes(6) + head + SENDER + bytes(2) + packet


@pytest.mark.parametrize(
    ("link", "data"), [(101, IP), (228, IP), (0, b"\2\0\0\0" + IP), (108, b"\0\0\0\2" + IP)]
)
def test_frames_without_a_link_layer_count_for_the_wire_only(link: int, data: bytes) -> None:
    """Raw IP has no MAC addresses, hence no rows, and nothing is omitted for them."""
    (window,) = windows((1.0, data), link=link)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(data), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip
    assert list(window.rows) == []
    assert not any(window.overflow_tx)
    assert window.spread == (1, 1, 0)


def test_ends_of_packets_without_a_link_layer_are_told_apart() -> None:
    """A scan through a tunnel shows by its ports, of the wire, anew in each window."""
    head = bytes.fromhex("4500002800000000400600000101010102020202")
    scan = [head + struct.pack(">HHIIBBHHH", 5, port, 0, 0, 80, 2, 0, 0, 0) for port in (1, 2, 3)]

    first, second = windows(*((1.0, one) for one in scan), (2.0, scan[0]), link=101)

    assert (first.spread, second.spread) == ((1, 1, 3), (1, 1, 1))
    assert windows((1.0, PING))[0].spread is None


@pytest.mark.parametrize(("link", "make"), [(113, cooked), (276, cooked2)])
def test_cooked_frames_count_for_their_sender(link: int, make: Any) -> None:
    """Linux cooked captures name the sender, and how it was addressed."""
    (window,) = windows((1.0, make(0)), (1.1, make(1)), (1.2, make(2)), link=link)

    (row,) = window.rows
    assert row.mac == SENDER
    assert counts_by_name(row.tx) == {
        "packets": 3, "bytes": 3 * (14 + len(IP)), "broadcast": 1, "multicast": 1,
        "icmp": 3, "icmp_echo": 3, "ipv4": 3,
    }  # fmt: skip
    assert not row.rx


def test_cooked_frames_of_other_hardware_count_for_the_wire_only() -> None:
    """Loopback and tunnels in a cooked capture have no MAC address."""
    (window,) = windows((1.0, cooked(0, hardware=772, mac=bytes(6))), link=113)

    assert not window.rows
    assert counts_by_name(window.wire)["icmp"] == 1
    assert counts_by_name(window.wire)["bytes"] == 14 + len(IP)


@pytest.mark.parametrize(("link", "make"), [(113, cooked), (276, cooked2)])
def test_cooked_frames_tell_of_devices(link: int, make: Any) -> None:
    """What ``tcpdump -i any`` wrote feeds the inventory as Ethernet frames do."""
    message = ARP[14:]
    frame = make(1, kind=b"\x08\x06", packet=message)
    tagged = make(1, kind=b"\x81\0", packet=b"\0\x05\x08\x06" + message)
    tunnel = make(1, kind=b"\x08\x06", packet=message, hardware=772)

    emitted = items((1.0, frame), (1.1, tagged), (1.2, tunnel), link=link, dissector=Dissector())

    sightings = [item for item in emitted if isinstance(item, Sighting)]
    assert [(one.mac, one.vlan, one.ips) for one in sightings] == [
        (SENDER, (), ("192.0.2.1",)),
        (SENDER, (5,), ("192.0.2.1",)),
    ]


@pytest.mark.parametrize("link", [1, 0, 101, 108, 113, 228, 229, 276])
def test_short_frames_of_every_link_layer(link: int) -> None:
    """A frame of any length below its headers is counted and no error."""
    found = windows(*((1.0, IP[:size]) for size in range(len(IP))), link=link)

    assert found[0].wire[0] == len(IP)


def test_what_frames_tell_about_devices_is_dissected_up_to_a_share_of_each_second() -> None:
    """A flood of ARP costs a bounded number of dissections a second; the rest is counted."""
    many = [(1.0 + number / 1000, ARP) for number in range(500)]

    emitted = items(*many, (2.0, ARP), dissector=Dissector(), dissected_per_s=200)

    sightings = [item for item in emitted if isinstance(item, Sighting)]
    assert len(sightings) == 201
    assert sightings[0].ips == ("192.0.2.1",)
    assert ListenerReport(300, 0) in emitted


def test_a_flood_of_arp_leaves_room_for_who_hands_out_addresses() -> None:
    """DHCP has a share of its own: an offer behind hundreds of ARP frames is read."""
    server, client = "04:00:00:00:00:09", "04:00:00:00:00:0a"
    offer = dhcp_answer(server, "192.0.2.9", client, "192.0.2.10", 2)
    many = [(1.0 + number / 1000, ARP) for number in range(500)]

    emitted = items(*many, (1.9, offer), dissector=Dissector(), dissected_per_s=200)

    assert any(item.serves_dhcp for item in emitted if isinstance(item, Sighting))
    assert ListenerReport(300, 0) in emitted


def test_a_gate_bounds_the_windows_that_wait() -> None:
    """The reader waits for the core, so that memory stays flat; stopping lets it through."""
    gate = Gate(waiting=2)
    gate.enter()
    gate.enter()
    gate.leave()
    gate.enter()
    gate.open()

    gate.enter()


def test_what_is_no_capture_is_a_missing_resource() -> None:
    """The service ends with exit code 3 and one line."""
    with pytest.raises(ResourceError, match="is no capture file"):
        FileSource(io.BytesIO(b"garbage"), "x", "file", Log("capture"), max_rows=10)


# --- seconds that hold nothing new ----------------------------------------------------------------


def udp(sender: bytes = SENDER) -> bytes:
    """Return a frame that no rule looks at."""
    header = bytes.fromhex("4500001c00000000401100000101010102020202")
    return TARGET + sender + b"\x08\0" + header + bytes.fromhex("3039303900080000")


KNOWN = [(float(at), udp()) for at in (0, 12, 14)]
"""The sender is a device from the second frame on, and no news from the third."""


def routine(*frames: tuple[float, bytes], **options: Any) -> list[WindowCounts]:
    """Return the windows of a file in which routine seconds share windows, behind the first."""
    found = windows(*KNOWN, *frames, routine_below=10.0, **options)
    assert shape(found)[:2] == [(0.0, 1.0, 1), (12.0, 1.0, 1)]
    return found[2:]


def test_routine_seconds_share_a_window() -> None:
    """From the first of them to the end of the last, and nothing is lost from the counts."""
    found = routine(*((20.5 + 10 * at, udp()) for at in range(20)), (500.0, udp(TARGET)))

    assert shape(found) == [(14.0, 197.0, 21), (500.0, 0.001, 1)]
    assert found[0].last_s == {SENDER: 210.5}


def test_a_shared_window_has_an_end() -> None:
    """An hour of routine is a window."""
    found = routine(*((100.0 * at, udp()) for at in range(1, 80)))

    assert len(found) == 3
    assert all(window.length_s <= 3700 for window in found)
    assert sum(window.wire[0] for window in found) == 80


@pytest.mark.parametrize(
    "news",
    [
        [(50.2 + at / 100, udp()) for at in range(10)],
        [(50.2, udp(TARGET))],
        [(50.2, PING)],
        [(50.2, ARP)],
    ],
    ids=["many", "a newcomer", "a first ping", "an address"],
)
def test_news_has_a_window_of_its_own_second(news: list[tuple[float, bytes]]) -> None:
    """What rules raise by and what the inventory learns by keeps its time."""
    plain = [(float(at), udp()) for at in (40, 45)], [(float(at), udp()) for at in (55, 60)]

    found = routine(*plain[0], *news, *plain[1], dissector=Dissector())

    assert shape(found) == [(14.0, 32.0, 3), (50.0, 1.0, len(news)), (55.0, 5.0, 2)]


def test_news_is_news_once() -> None:
    """The same ping and the same claim a minute later are routine."""
    again = [(float(at), one) for at in (50, 110, 170) for one in (PING, ARP)]

    found = routine(*again, dissector=Dissector())

    assert shape(found) == [(14.0, 1.0, 1), (50.0, 1.0, 2), (110.0, 60.0, 4)]


def test_an_address_that_moves_is_news_each_time() -> None:
    """Two who claim one address in turns are told of in turns."""
    other = ARP[:6] + TARGET + ARP[12:22] + TARGET + ARP[28:]
    frames = [(50.0 + 10 * at, (ARP, other)[at % 2]) for at in range(10)]

    found = routine(*frames, dissector=Dissector())

    assert [window.wire[0] for window in found] == [1] * 11


def test_sightings_come_before_their_window() -> None:
    """Whoever sent a frame is known when its window is told, and not when the one before is."""
    emitted = items(*KNOWN, (40.0, udp()), (50.0, ARP), routine_below=10.0, dissector=Dissector())
    told = [one for one in emitted if not isinstance(one, FrameSample)]

    kinds = [type(one).__name__ for one in told[2:]]
    assert kinds == ["WindowCounts", "Sighting", "WindowCounts", "ListenerReport"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 40), st.integers(1, 14), st.sampled_from([udp(), udp(TARGET), PING, ARP])
        ),
        max_size=30,
    )
)
def test_sharing_windows_loses_nothing(bursts: list[tuple[float, int, bytes]]) -> None:
    """Counts, senders and sightings are the same as with a window for each second; none overlap."""
    at_s, frames = 0.0, []
    for pause, count, data in bursts:
        at_s += pause
        frames += [(at_s + number * 1e-3, data) for number in range(count)]
    if not frames:
        return

    shared = items(*frames, routine_below=10.0, dissector=Dissector())
    single = items(*frames, dissector=Dissector())

    for kind in (Sighting, ListenerReport):
        assert [one for one in shared if isinstance(one, kind)] == [
            one for one in single if isinstance(one, kind)
        ]
    few, many = (
        [one for one in all_ if isinstance(one, WindowCounts)] for all_ in (shared, single)
    )
    assert summed(few) == summed(many)
    assert all(a.end.wall_s <= b.start.wall_s for a, b in pairwise(few))
    busy = [one for one in many if one.wire[0] >= 10]
    assert [one.wire[0] for one in few if one.wire[0] >= 10 and one.length_s <= 1] == [
        one.wire[0] for one in busy
    ]


def summed(found: list[WindowCounts]) -> dict[bytes, list[int]]:
    """Return what each MAC sent and was sent in all windows."""
    sums: dict[bytes, list[int]] = {}
    for window in found:
        for row in window.rows:
            for side, counts in ((b"t", row.tx), (b"r", row.rx)):
                if counts:
                    old = sums.get(side + row.mac, [0] * len(counts))
                    sums[side + row.mac] = [a + b for a, b in zip(old, counts, strict=True)]
    return sums


# --- 802.11 and PPP -------------------------------------------------------------------------------

AP = bytes.fromhex("0200000000fe")
LLC = bytes.fromhex("aaaa03000000") + b"\x08\0" + IP


def wireless(
    ds: int, *macs: bytes, first: int = 0x08, flags: int = 0, body: bytes = LLC, extra: bytes = b""
) -> bytes:
    """Return an 802.11 frame."""
    head = bytes([first, flags | ds]) + bytes(2) + b"".join(macs[:3]) + bytes(2)
    return head + b"".join(macs[3:]) + extra + body


@pytest.mark.parametrize(
    "data",
    [
        wireless(0, TARGET, SENDER, AP),
        wireless(1, AP, SENDER, TARGET),
        wireless(2, TARGET, AP, SENDER),
        wireless(3, AP, AP, TARGET, SENDER),
        wireless(1, AP, SENDER, TARGET, first=0x88, extra=bytes(2)),
        wireless(1, AP, SENDER, TARGET, first=0x88, flags=0x80, extra=bytes(6)),
        wireless(3, AP, AP, TARGET, SENDER, first=0x88, extra=bytes(2)),
        wireless(1, AP, SENDER, TARGET, first=0x88, extra=b"\x80\0" + TARGET + SENDER + b"\0\x24"),
    ],
)
def test_data_frames_of_802_11_count_for_both_ends(data: bytes) -> None:
    """Whatever way they go, with QoS, HT control, four addresses, as an aggregate."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(data), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip
    assert {row.mac: (bool(row.tx), bool(row.rx)) for row in window.rows} == {
        SENDER: (True, False), TARGET: (False, True),
    }  # fmt: skip


def radiotap(flags: int | None, *, tsft: bool = False, words: int = 1) -> bytes:
    """Return a radiotap header."""
    present = (2 if flags is not None else 0) | (1 if tsft else 0)
    fields = bytes(4 * (words - 1))
    if tsft:
        fields += bytes(-(8 + len(fields)) % 8 + 8)
    if flags is not None:
        fields += bytes([flags])
    fields += bytes(3)
    masks = struct.pack("<I", present | (1 << 31 if words > 1 else 0))
    masks += b"".join(
        struct.pack("<I", 1 << 31 if word < words - 1 else 0) for word in range(1, words)
    )
    fields = fields[4 * (words - 1) :]
    return struct.pack("<BBH", 0, 0, 4 + len(masks) + len(fields)) + masks + fields


FCS = b"\xde\xad\xbe\xef"
AIR = wireless(1, AP, SENDER, TARGET)


@pytest.mark.parametrize(
    "data",
    [
        radiotap(None) + AIR,
        radiotap(0) + AIR,
        radiotap(0, tsft=True) + AIR,
        radiotap(0, tsft=True, words=2) + AIR,
        radiotap(0, tsft=True, words=3) + AIR,
        radiotap(0x10) + AIR + FCS,
        radiotap(0x10, tsft=True) + AIR + FCS,
    ],
)
def test_radiotap_says_where_the_frame_begins_and_ends(data: bytes) -> None:
    """Its own bytes and the checksum it tells of are no bytes of the frame."""
    (window,) = windows((1.0, data), link=127)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(AIR), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip


def test_padding_between_header_and_payload() -> None:
    """Some cards align what is behind a header of 26 bytes, and say so."""
    head = wireless(1, AP, SENDER, TARGET, first=0x88, extra=bytes(2), body=b"")

    (window,) = windows((1.0, radiotap(0x20) + head + bytes(2) + LLC), link=127)

    assert counts_by_name(window.wire)["icmp_echo"] == 1
    assert counts_by_name(window.wire)["bytes"] == len(head) + len(LLC)


@pytest.mark.parametrize(
    "data",
    [
        wireless(1, AP, SENDER, TARGET, flags=0x40),
        wireless(1, AP, SENDER, TARGET, flags=0x04),
        wireless(1, AP, SENDER, TARGET, first=0x48, body=b""),
        wireless(1, AP, SENDER, TARGET, body=b"\x42\x42\x03" + bytes(40)),
    ],
    ids=["encrypted", "fragment", "null", "spanning tree"],
)
def test_what_cannot_be_looked_into_counts_for_both_ends(data: bytes) -> None:
    """Encrypted frames have their addresses in the clear, and no classes."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": len(data)}
    assert {row.mac for row in window.rows} == {SENDER, TARGET}


@pytest.mark.parametrize(
    "data",
    [
        wireless(0, b"\xff" * 6, AP, AP, first=0x80, body=bytes(60)),
        b"\xd4\0\0\0" + SENDER,
        b"\xb4\0\0\0" + SENDER + AP,
    ],
    ids=["beacon", "ack", "rts"],
)
def test_management_and_control_are_the_airs_own(data: bytes) -> None:
    """They count for the wire only: beacons are no storm of broadcasts."""
    (window,) = windows((1.0, data), link=105)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": len(data)}
    assert list(window.rows) == []


@pytest.mark.parametrize(
    ("link", "data"),
    [(105, b"\x08"), (105, AIR[:20]), (127, b"\0"), (127, b"\x01" + bytes(40)),
     (127, radiotap(0x40) + AIR), (127, b"\0\0\xff\xff" + bytes(20))],
)  # fmt: skip
def test_broken_frames_of_802_11_are_malformed(link: int, data: bytes) -> None:
    """Cut headers, and frames whose checksum the card found wrong."""
    (window,) = windows((1.0, data), link=link)

    assert counts_by_name(window.wire)["malformed"] == 1
    assert list(window.rows) == []


@given(st.sampled_from([105, 127, 9, 50, 113, 276, 0, 101]), st.binary(max_size=120))
def test_no_bytes_break_a_link_layer(link: int, data: bytes) -> None:
    """Every frame counts once, whatever is in it."""
    (window,) = windows((1.0, data), link=link)

    assert window.wire[0] == 1


@pytest.mark.parametrize("link", [9, 50])
@pytest.mark.parametrize("head", [b"\xff\x03\0\x21", b"\0\x21", b"\x21", b"\xff\x03\x21"])
def test_ppp_counts_for_the_wire(link: int, head: bytes) -> None:
    """With and without HDLC address and control, its protocol in one byte or two."""
    (window,) = windows((1.0, head + IP), link=link)

    assert counts_by_name(window.wire) == {
        "packets": 1, "bytes": len(head + IP), "icmp": 1, "icmp_echo": 1, "ipv4": 1,
    }  # fmt: skip


def test_what_ppp_says_to_itself_has_no_classes() -> None:
    """Link control is no packet."""
    (window,) = windows((1.0, b"\xff\x03\xc0\x21\x09\x01\0\x08\0\0\0\0"), link=9)

    assert counts_by_name(window.wire) == {"packets": 1, "bytes": 12}
