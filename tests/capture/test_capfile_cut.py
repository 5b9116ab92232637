"""A pcapng stream that ends anywhere: what was whole is read, and where it ends is told."""

from __future__ import annotations

import pytest
from tests.capture.capstreams import DATA, block, enhanced, interface, opened, section

SIMPLE = block(3, len(DATA).to_bytes(4, "little") + DATA)
START = section() + interface()
BLOCKS = (enhanced(1), SIMPLE, enhanced(2), SIMPLE, block(0xBAD, b"x" * 64), enhanced(3))
WHOLE = START + b"".join(BLOCKS)
FRAMES = 5
LARGE = 600 * 1024
"""Bytes of a block that is not kept as a whole."""


@pytest.mark.parametrize("cut", range(1, len(BLOCKS[-1]) + 1))
def test_a_stream_that_ends_within_its_last_block(cut: int) -> None:
    """The frames before it stand, and are counted in what is said of the end."""
    whole = cut == len(BLOCKS[-1])
    frames, file = opened(WHOLE[:-cut])

    assert len(frames) == FRAMES - 1
    at = len(WHOLE) - len(BLOCKS[-1])
    assert (file.failure is None) is whole
    assert whole or f"at byte {at:,}, behind frame {FRAMES - 1:,}" in str(file.failure)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_that_does_not_end_as_it_began_is_the_last(number: int) -> None:
    """Nothing behind it can be found."""
    at = len(START) + sum(map(len, BLOCKS[:number]))
    end = at + len(BLOCKS[number])
    frames, file = opened(WHOLE[: end - 4] + (4444).to_bytes(4, "little") + WHOLE[end:])

    assert f"has a block of {len(BLOCKS[number])} bytes or 4,444" in str(file.failure)
    assert len(frames) == number - (number > 4)


def test_behind_a_broken_block_nothing_is_read_though_it_looks_like_one() -> None:
    """Where it ends is not known, so neither is where another one begins."""
    behind = block(0xBAD, b"x" * 8) + enhanced(9)
    frames, file = opened(START + BLOCKS[0] + BLOCKS[2][:-4] + behind)

    assert len(frames) == 1
    assert "has a block of" in str(file.failure)


def test_a_frame_of_a_large_block_that_is_cut_is_none() -> None:
    """What was whole of it is not the frame as it was written."""
    options = block(6, enhanced(1)[8:-4] + bytes(LARGE))
    whole, _ = opened(START + options + enhanced(2))
    cut, file = opened(START + options[:-8])

    assert (len(whole), len(cut)) == (2, 0)
    assert "ends within a block" in str(file.failure)


def test_frames_of_all_kinds_are_counted() -> None:
    """Whatever block they come in."""
    frames, file = opened(WHOLE)

    assert (len(frames), file.failure) == (FRAMES, None)
    assert file._findings.frames == FRAMES


@pytest.mark.parametrize("missing", [1, 4, 5, 16, 60 * 1024, LARGE // 8])
def test_a_stream_that_ends_within_a_block_larger_than_is_kept(missing: int) -> None:
    """It is told where that block began, and nothing is read behind it."""
    start = START + BLOCKS[0]
    large = block(0xBAD, bytes(LARGE))

    frames, file = opened((start + large)[:-missing])
    whole, fine = opened(start + large + BLOCKS[2])

    at = len(start)
    assert len(frames) == 1
    assert f"ends within a block at byte {at:,}, behind frame 1" in str(file.failure)
    assert (len(whole), fine.failure) == (2, None)
