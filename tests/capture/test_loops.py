"""Repeats of a loop, copies on several interfaces and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.capture.shown_frames import EVERYBODY, Timed, datagram, shown, spaced, talk

from monitorpi_capture.count.copies import CopyMeter
from monitorpi_capture.items import FrameSample, SampledFrame
from monitorpi_capture.sources.slots import SlotSampler

if TYPE_CHECKING:
    from monitorpi_capture.count.copyevidence import CopyReport

# --- loops ----------------------------------------------------------------------------------------


def circulating(senders: int, rate: int, seconds: float = 1.0) -> list[Timed]:
    """Return what a loop shows: one broadcast of each sender, for ever."""
    frames = [datagram(one + 1, EVERYBODY, 5) for one in range(senders)]
    return spaced((frames[n % senders] for n in range(int(rate * seconds))), each_s=1 / rate)


@pytest.mark.parametrize("rate", [1000, 20000])
def test_a_loop_repeats_the_broadcasts_of_many(rate: int) -> None:
    """The same frames again and again, from everybody in equal shares."""
    output = shown(circulating(20, rate))

    assert output.repeats is not None
    assert output.repeats.ratio > 0.9
    assert 18 <= output.repeats.senders <= 20


def test_one_broken_device_is_one_sender() -> None:
    """A host that repeats its frame beside others' hellos is no loop: it is named."""
    hellos = [spaced([datagram(one, EVERYBODY, 1)] * 5, each_s=0.2) for one in range(20, 30)]

    output = shown(spaced([datagram(1, EVERYBODY, 7)] * 2000, each_s=0.0005), *hellos)

    assert output.repeats is not None
    assert (output.repeats.ratio > 0.9, output.repeats.senders) == (True, 1)


def test_a_mirror_of_many_ports_is_no_loop() -> None:
    """A broadcast that 23 ports show within microseconds comes never again."""
    output = shown(
        *(
            spaced((datagram(one, EVERYBODY, n) for n in range(9)), each_s=0.1, times=23)
            for one in range(1, 6)
        )
    )

    assert output.repeats is not None
    assert output.repeats.ratio == 0.0


# --- several interfaces ---------------------------------------------------------------------------


def on_ports(*streams: list[Timed]) -> tuple[CopyReport, ...]:
    """Return what is reported of as many ports as there are streams."""
    meter = CopyMeter()
    names = tuple(f"eth{port}" for port in range(len(streams)))
    frames = sorted(
        SampledFrame(at_s, port, len(data), data)
        for port, stream in enumerate(streams)
        for at_s, data in stream
    )
    meter.take(FrameSample(names, frames))
    return tuple(meter.report(name) for name in names)


def test_two_taps_may_show_the_same_frames() -> None:
    """Each counts half of what both show; within one tap nothing is a copy."""
    stream = talk(1, 2)

    first, second = on_ports(stream, [(at_s + 2e-4, data) for at_s, data in stream])

    assert (first.wire.elsewhere, second.wire.elsewhere) == (0.5, 0.5)
    assert (first.ratio, second.ratio) == (0.0, 0.0)


def test_halves_of_a_bundle_are_different_frames() -> None:
    """Near equal counts on two links say nothing: the frames do."""
    stream = talk(1, 2)

    first, second = on_ports(stream[::2], stream[1::2])

    assert (first.wire.elsewhere, second.wire.elsewhere) == (0.0, 0.0)


def test_three_taps_count_a_third_each() -> None:
    """A frame that k interfaces show counts 1/k."""
    stream = talk(1, 2)

    output = on_ports(stream, stream, stream)

    assert [one.wire.elsewhere for one in output] == [0.667] * 3


# --- files ----------------------------------------------------------------------------------------


def test_the_first_frames_of_each_slot_are_looked_at() -> None:
    """A busy file costs a fixed number of comparisons a second; a quiet one is read whole."""
    busy, quiet = SlotSampler("file"), SlotSampler("file")
    for n in range(100_000):
        if n / 100_000 >= busy.until_s:
            busy.look(n / 100_000, 60, datagram(1, 2, n))
    for n in range(200):
        quiet.look(n / 200, 60, datagram(1, 2, n))

    sampled, whole = busy.sample(), quiet.sample()

    assert sampled is not None
    assert len(sampled.frames) == 4 * SlotSampler.FRAMES
    assert whole is not None
    assert len(whole.frames) == 200
    assert busy.sample() is None
