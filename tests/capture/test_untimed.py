"""Frames that have no time: they count, and no rate can be made of them."""

from __future__ import annotations

import io
import struct

import pytest
from tests.capture.capstreams import block, enhanced, interface, pcap, section
from tests.capture.test_filesource import ARP, PING

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import Sighting, WindowCounts
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_common.log import Log
from monitorpi_common.messages import Device, Traffic

AT = 1_700_000_000
"""A second of a real date."""


def simple(data: bytes = PING) -> bytes:
    """Return a frame in a block that has no room for a time."""
    return block(3, struct.pack("<I", len(data)) + data)


def items(data: bytes, **options: float) -> list[object]:
    """Return everything the source of such a file emits."""
    emitted: list[object] = []
    source = FileSource(
        io.BytesIO(data), "x.pcap", "file", Log("capture"), max_rows=4096, dissector=Dissector(),
        **options,  # type: ignore[arg-type] # the level of routine alone
    )  # fmt: skip
    source.run(emitted.append)
    return emitted


def windows(data: bytes, **options: float) -> list[tuple[float, float, int, bool]]:
    """Return start, end, frames and whether there are times, of each window."""
    found = [item for item in items(data, **options) if isinstance(item, WindowCounts)]
    return [
        (one.start.wall_s, round(one.end.wall_s, 3), one.wire[0], one.has_times) for one in found
    ]


@pytest.mark.parametrize(
    "data",
    [
        pcap(*[(0, 0, PING)] * 40),
        section() + interface() + simple() * 40,
        section() + interface() + enhanced(0, PING) * 40,
    ],
    ids=["pcap of zeros", "simple blocks", "pcapng of zeros"],
)
@pytest.mark.parametrize("routine_below", [0.0, 10.0])
def test_a_file_without_times_is_one_window_that_says_so(data: bytes, routine_below: float) -> None:
    """Where every time is missing, or zero, nobody knows how long it took."""
    assert windows(data, routine_below=routine_below) == [(0.0, 0.001, 40, False)]


@pytest.mark.parametrize("routine_below", [0.0, 10.0])
def test_frames_without_a_time_stand_in_windows_of_their_own(routine_below: float) -> None:
    """What has a time keeps its rate; what has none is counted in front of it."""
    timed = [enhanced(AT * 1_000_000 + at, PING) for at in (0, 250_000, 1_000_000, 1_500_000)]
    data = section() + interface() + simple() * 3 + timed[0] + simple() * 2 + b"".join(timed[1:])

    assert windows(data, routine_below=routine_below) == [
        (AT, AT + 0.001, 5, False),
        (AT, AT + 1, 2, True),
        (AT + 1, AT + 1.5, 2, True),
    ]


def test_zeros_between_dates_are_no_times() -> None:
    """A frame stamped 1970 among those of today was stamped by nobody."""
    data = pcap((AT, 0, PING), *[(0, 0, PING)] * 30, (AT, 900_000, PING), (AT + 1, 0, PING))

    assert windows(data) == [
        (AT, AT + 0.001, 30, False),
        (AT, AT + 1, 2, True),
        (AT + 1, AT + 1.001, 1, True),
    ]


def test_a_clock_that_begins_at_zero_has_times() -> None:
    """A simulator's file: its first frame came at 0 s, and the others behind it."""
    data = pcap((0, 0, PING), (0, 500_000, PING), (1, 0, PING), (1, 250_000, PING))

    assert windows(data) == [(0.0, 1.0, 2, True), (1.0, 1.25, 2, True)]


def test_how_many_frames_have_no_time_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line: how many, and what that means."""
    items(section() + interface() + simple() * 40)

    (line,) = caplog.messages
    assert "x.pcap has 40 frames without a time: they count, no rate is made of them" in line


def test_what_they_say_of_devices_is_read() -> None:
    """Who holds which address does not depend on when it was said."""
    found = items(section() + interface() + simple(ARP) * 2)

    assert [item for item in found if isinstance(item, Sighting)]


def test_the_messages_count_them_and_say_that_no_time_is_known() -> None:
    """Totals go on over both kinds of windows, and no device's load is made of them."""
    core = CaptureCore("e", CaptureSettings())
    data = section() + interface() + simple() * 30
    data += b"".join(enhanced((AT + at) * 1_000_000, PING) for at in range(12))

    messages = [one.message for item in items(data) for one in core.handle(item)]

    read = [
        Traffic.model_validate_json(one.encode()) for one in messages if isinstance(one, Traffic)
    ]
    assert [one.has_times for one in read] == [False, *[True] * 12]
    assert [one.totals["packets"] for one in read] == [30, *range(31, 43)]
    assert {one.epoch for one in read} == {"e"}
    loads = [one.load.tx_bps for one in messages if isinstance(one, Device) and one.load]
    assert max(loads) < 12 * 8 * len(PING)
