"""Seconds of a capture file that hold nothing new share a window, and lose nothing by it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capture.test_filesource import ARP, PING, SENDER, TARGET, items, shape, windows

from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.items import (
    FrameSample,
    ListenerReport,
    Sighting,
    WindowCounts,
)


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
    """Two who claim one address in turns are reported of in turns."""
    other = ARP[:6] + TARGET + ARP[12:22] + TARGET + ARP[28:]
    frames = [(50.0 + 10 * at, (ARP, other)[at % 2]) for at in range(10)]

    found = routine(*frames, dissector=Dissector())

    assert [window.wire[0] for window in found] == [1] * 11


def test_sightings_come_before_their_window() -> None:
    """Whoever sent a frame is known when its window is reported, and not when the one before is."""
    emitted = items(*KNOWN, (40.0, udp()), (50.0, ARP), routine_below=10.0, dissector=Dissector())
    report = [one for one in emitted if not isinstance(one, FrameSample)]

    kinds = [type(one).__name__ for one in report[2:]]
    assert kinds == ["WindowCounts", "Sighting", "WindowCounts", "ListenerReport"]


@settings(max_examples=200)
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
