"""A pcapng stream that ends anywhere: what was whole is read, and where it ends is told."""

from __future__ import annotations

import pytest
from tests.capture.capstreams import DATA, block, enhanced, interface, opened, section

SIMPLE = block(3, len(DATA).to_bytes(4, "little") + DATA)
START = section() + interface()
BLOCKS = (enhanced(1), SIMPLE, enhanced(2), SIMPLE, block(0xBAD, b"x" * 64), enhanced(3))
WHOLE = START + b"".join(BLOCKS)
FRAMES = 5


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
    assert len(frames) in (number - (number > 4), number - (number > 4) + 1)


def test_frames_of_all_kinds_are_counted() -> None:
    """Whatever block they come in."""
    frames, file = opened(WHOLE)

    assert (len(frames), file.failure) == (FRAMES, None)
    assert file._findings.frames == FRAMES
