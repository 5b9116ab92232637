"""Windows of a capture file: the file's own time, gaps, steps, other link layers."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from tests.system.crowd import dhcp_answer

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import (
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
    emitted: list[object] = []
    file = stream(*frames, link=link)
    FileSource(file, "x", "file", Log("capture"), max_rows=4096, **options).run(emitted.append)
    return emitted


def stream(*frames: tuple[float, bytes], link: int = 1) -> io.BytesIO:
    """Return such a file."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    return io.BytesIO(
        head
        + b"".join(
            struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(data), len(data)) + data
            for at, data in frames
        )
    )


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
    """Another thread's frame, or a damaged time: it counts where it stands, and is reported."""
    line = [100_000_000 + number / 50 for number in range(150)]
    stamped = [at + off_s if number % 20 == 7 else at for number, at in enumerate(line)]

    found = windows(*[(at, PING) for at in stamped])

    assert shape(found) == [
        (100_000_000.0, 1.0, 50), (100_000_001.0, 1.0, 50), (100_000_002.0, 0.98, 50),
    ]  # fmt: skip
    assert "8 frames dated far off those around them" in caplog.text


@pytest.mark.parametrize("off_s", [-90_000_000.0, 10.0, 31_536_000.0])
@pytest.mark.parametrize("strays", [1, 2])
def test_a_first_frame_far_off_is_no_window_of_its_own(
    off_s: float, strays: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What an interrupted writer left in front: it counts as the frames behind, and is reported."""
    line = [100_000_000 + number / 50 for number in range(100)]

    found = windows(*[(at, PING) for at in [line[0] + off_s] * strays + line])

    assert shape(found) == [(100_000_000.0, 1.0, 50 + strays), (100_000_001.0, 0.98, 50)]
    assert f"{strays} frames dated far off those around them" in caplog.text


def test_time_that_goes_on_elsewhere_is_a_step() -> None:
    """A year on and back again, for longer than a few frames: three lines of time."""
    times = [start + number / 50 for start in (1e8, 1.3e8, 1e8 + 4) for number in range(40)]

    found = windows(*[(at, PING) for at in times])

    assert [one.start.wall_s for one in found] == [1e8, 1.3e8, 1e8 + 4]
    assert [one.wire[0] for one in found] == [40, 40, 40]


def test_a_file_of_the_sixteen_bit_age_works() -> None:
    """Times from 1970 on and at the end of the format are dates."""
    assert shape(windows((0.0, PING), (4_294_967_295.5, PING)))[-1][0] == 4_294_967_295.0


def test_a_file_may_begin_at_the_first_second_of_all() -> None:
    """A clock that was never set begins there: that second has a window like any other."""
    found = windows((0.0, PING), (0.5, PING), (1.25, PING), (2.5, PING))

    assert shape(found) == [(0.0, 1.0, 2), (1.0, 1.0, 1), (2.0, 0.5, 1)]


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


def test_a_source_that_is_stopped_reads_no_further() -> None:
    """What was counted so far is still emitted; its gate is open, and its stream is ended."""
    emitted: list[object] = []
    told: list[str] = []
    gate = Gate(waiting=1)

    def take(item: object) -> None:
        emitted.append(item)
        source.stop()

    frames = [(float(second), PING) for second in range(1, 100)]
    source = FileSource(stream(*frames), "x", "file", Log("capture"), max_rows=10, gate=gate,
                        on_stop=lambda: told.append("ended"))  # fmt: skip
    source.run(take)

    assert shape([item for item in emitted if isinstance(item, WindowCounts)]) == [(1.0, 1.0, 1)]
    assert "ended" in told
    gate.enter()  # waits for nobody any more


def test_what_is_no_capture_is_a_missing_resource() -> None:
    """The service ends with exit code 3 and one line."""
    with pytest.raises(ResourceError, match="is no capture file"):
        FileSource(io.BytesIO(b"garbage"), "x", "file", Log("capture"), max_rows=10)
