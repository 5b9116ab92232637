"""Which frames are looked at for copies and loops: the first of each slot of time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import SNAPPED, FrameSample, SampledFrame

if TYPE_CHECKING:
    from collections.abc import Iterable


class SlotSampler:
    """Takes the first frames of each slot of time: what a file's reader hands on. Pure."""

    SLOT_S: Final = 0.25
    FRAMES: Final = 64

    def __init__(self, interface: str) -> None:
        self._interfaces = (interface,)
        self._frames: list[SampledFrame] = []
        self._left = 0
        self._slot_ends_s = float("-inf")
        self.until_s = float("-inf")
        """Frames before this time find no room."""

    def begin(self) -> None:
        """Forget the slot: time may have gone back."""
        self._slot_ends_s = self.until_s = float("-inf")

    def look(self, at_s: float, length: int, data: bytes) -> None:
        """Take a frame, if there is room in its slot."""
        if at_s >= self._slot_ends_s:
            self._left, self._slot_ends_s = self.FRAMES, at_s + self.SLOT_S
        if self._left:
            self._left -= 1
            self._frames.append(SampledFrame(at_s, 0, length, data[:SNAPPED]))
            self.until_s = float("-inf") if self._left else self._slot_ends_s

    def sample(self) -> FrameSample | None:
        """Return what was taken since the last call, None without any."""
        if not self._frames:
            return None
        frames, self._frames = self._frames, []
        return FrameSample(self._interfaces, frames)


def merged_in_time(frames: Iterable[SampledFrame]) -> list[SampledFrame]:
    """Return frames of several interfaces in the order of time."""
    return sorted(frames, key=lambda one: one.at_s)
