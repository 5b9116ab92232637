"""Several files and several clocks in one capture: all frames, on one line of time."""

from __future__ import annotations

import gzip
import struct
from itertools import pairwise

import pytest
from tests.capture.capstreams import (
    DATA,
    GOOD,
    GOODNG,
    enhanced,
    interface,
    opened,
    pcap,
    read,
    section,
)


@pytest.mark.parametrize(
    "second",
    [
        pcap((200, 0, DATA)),
        pcap((200, 0, DATA), order=">"),
        pcap((200, 0, DATA), magic=0xA1B23C4D),
        pcap((200, 0, DATA), magic=0xA1B23C4D, order=">"),
        pcap((200, 0, DATA), link=1 | 1 << 26 | 2 << 28)[:40] + DATA,
        section() + interface() + enhanced(200_000_000),
        section(">") + interface(order=">") + enhanced(200_000_000, order=">"),
    ],
)
@pytest.mark.parametrize("first", [pcap((100, 0, DATA)), pcap((100, 0, DATA), order=">"), GOODNG])
def test_a_file_behind_another_is_read_too(first: bytes, second: bytes) -> None:
    """``cat a b`` of any two formats gives the frames of both, and a note."""
    frames, file = opened(first + second)

    assert [frame.at_s for frame in frames][1:] == [200.0]
    assert file.failure is None
    if first[:4] == second[:4] == section()[:4]:
        assert file.notes == []  # sections follow each other by nature
    else:
        place = f"at byte {len(first)}, behind frame 1"
        assert file.notes == [f"x.pcap goes on with another capture file, read too, {place}"]


def test_a_file_behind_another_may_have_another_link_type() -> None:
    """Read where it is understood; skipped, and reported, where it is not."""
    raw, _ = read(pcap((1, 0, DATA)) + pcap((2, 0, DATA), link=101))
    frames, file = opened(pcap((1, 0, DATA)) + pcap((2, 0, DATA), (3, 0, DATA), link=220) + GOOD)

    assert [frame.link for frame in raw] == [1, 101]
    assert (len(frames), file.skipped, file.failure) == (2, 2, None)
    assert any("link type 220" in note for note in file.notes)


@pytest.mark.parametrize("zone_s", [0, 1, 3600, -3600])
@pytest.mark.parametrize("link", [1, 220])
def test_a_file_behind_another_may_be_of_any_time_zone(link: int, zone_s: int) -> None:
    """Old writers had it in the header, where a record has its length; be it read or skipped."""
    begin = pcap((1, 0, DATA)) + pcap((2, 0, DATA), link=link)
    zoned = GOOD[:8] + struct.pack("<i", zone_s) + GOOD[12:]

    frames, file = opened(begin + zoned)

    assert (len(frames) + file.skipped, file.failure) == (3, None)


@pytest.mark.parametrize("skipped", [b"", pcap((3, 0, DATA), (4, 0, b""), (5, 0, DATA), link=220)])
def test_a_file_behind_a_power_cut_is_read_too(skipped: bytes) -> None:
    """Zeros are no frames; the writer that came back began with a header."""
    frames, file = opened(GOOD + skipped + bytes(5000) + pcap((2, 0, DATA)))

    assert [frame.at_s for frame in frames] == [1.0, 2.0]
    assert "holds 5,000 bytes of zeros" in (file.failure or "")


@pytest.mark.parametrize("data", [GOOD, GOODNG])
def test_gzip_is_unpacked_on_the_way(data: bytes) -> None:
    """Of one member, of several, and of two files packed and put together."""
    assert read(gzip.compress(data)) == read(data)
    assert read(gzip.compress(data[:50]) + gzip.compress(data[50:])) == read(data)
    assert len(read(gzip.compress(data) + gzip.compress(data))[0]) == 2


def interleaved(*clocks: tuple[float, float], seconds: int = 8) -> bytes:
    """Return a capture of interfaces with (frames/s, seconds their clock is off)."""
    events = sorted(
        (at / rate, number, off)
        for number, (rate, off) in enumerate(clocks)
        for at in range(int(rate * seconds))
    )
    return section() + interface() * len(clocks) + b"".join(
        enhanced(round((1.7e9 + at + off) * 1e6), number=number) for at, number, off in events
    )  # fmt: skip


@pytest.mark.parametrize("off", [2.0, -2.0, 1.5, -30.0, 3600.0, -3600.0, 9e6])
def test_clocks_that_differ_are_laid_on_one_line(off: float) -> None:
    """Times of an interface stay as far apart as they were, and never go back on the whole."""
    frames, file = opened(interleaved((100, 0.0), (20, off), (10, 0.0)))
    times = [frame.at_s or 0.0 for frame in frames]

    assert len(frames) == 8 * 130
    assert min(after - before for before, after in pairwise(times)) > -1.01
    assert sum(after - before > 1.01 for before, after in pairwise(times)) <= (off > 0)
    assert max(times) - min(times) == pytest.approx(8 + max(off, 0.0), abs=0.2)
    assert len(file.notes) in (1, 2)
    assert all("has clocks that differ" in note for note in file.notes)
    assert file.failure is None


def test_clocks_that_agree_are_left_alone() -> None:
    """Frames a little out of order keep their own times."""
    frames, notes = read(interleaved((100, 0.0), (20, -0.5), (10, 0.4)))

    assert notes == []
    assert {frame.at_s for frame in frames} >= {1.7e9, 1.7e9 - 0.5, 1.7e9 + 0.4}


def test_a_writer_that_is_late_does_not_push_the_line_ahead() -> None:
    """Each 10 s one interface comes 3 s late: ten minutes stay ten minutes, and a little."""
    late = b"".join(
        b"".join(enhanced((1000 + at) * 1_000_000) for at in range(start, start + 10))
        + b"".join(
            enhanced((1000 + at) * 1_000_000, number=1) for at in range(start + 7, start + 10)
        )
        for start in range(0, 600, 10)
    )

    frames, _ = read(section() + interface() * 2 + late)

    times = [frame.at_s or 0.0 for frame in frames]
    assert 599 <= max(times) - min(times) <= 599 + 30


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """An interface whose own time goes back is no matter of two clocks."""
    back = b"".join(enhanced(at * 1_000_000, number=at % 2) for at in (100, 101, 50, 51, 52))

    frames, notes = read(section() + interface() * 2 + back)

    assert [frame.at_s for frame in frames] == [100, 101, 50, 51, 52]
    assert notes == []


def test_resolutions_and_offsets_are_no_differences() -> None:
    """Three interfaces stamp the same second in three ways."""
    nano = interface(options=struct.pack("<HHB3x", 9, 1, 9))
    binary = interface(options=struct.pack("<HHB3x", 9, 1, 0x80 | 20))
    offset = interface(options=struct.pack("<HHq", 14, 8, 900))
    blocks = enhanced(1000 * 10**9) + enhanced(1000 << 20, number=1)

    frames, notes = read(
        section() + nano + binary + offset + blocks + enhanced(100_000_000, number=2)
    )

    assert [frame.at_s for frame in frames] == [1000.0] * 3
    assert notes == []
