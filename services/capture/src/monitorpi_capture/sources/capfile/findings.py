"""What is wrong with a capture stream, in words, each thing once, with its place."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from monitorpi_capture.frame.linktypes import described, understood

if TYPE_CHECKING:
    from monitorpi_capture.sources.capfile.instream import InStream

LAST_TIME_S: Final = float(1 << 32)
"""February 2106, where the 32 bits of pcap end. A later frame, or one before 1970, has no time that
can be believed."""
_MAX_LINKS: Final = 8
"""Link types named in one line."""
_MAX_NOTES: Final = 16


class Findings:
    """Collects what a reader meets beside frames. Bounded, whatever the stream holds."""

    def __init__(self, name: str) -> None:
        self.frames = 0
        """Read so far; up to date when something is reported, and at the end."""
        self.stream: InStream | None = None
        self._name = name
        self._notes: dict[str, str] = {}
        self._unkept = 0
        self._stopped: str | None = None
        self.beyond = 0
        """Frames of interfaces beyond those that are kept."""
        self._unsupported: dict[int, None] = {}
        self._skipped: Counter[int] = Counter()
        self._lost: dict[str, tuple[str, int]] = {}

    # --- what readers report ------------------------------------------------------------------

    def note(self, kind: str, text: str, *, placed: bool = True) -> None:
        """Note something that ends nothing; the first of its kind is kept."""
        if kind in self._notes:
            return
        if len(self._notes) < _MAX_NOTES:
            self._notes[kind] = f"{text}{self._place()}" if placed else text
        else:
            self._unkept += 1

    def stop(self, why: str, offset: int | None = None) -> None:
        """Report that the reading ended before the stream did; the first reason is kept."""
        if self.stream is not None and self.stream.failure is not None:
            why = f"cannot be read on ({self.stream.failure})"
        self._stopped = self._stopped or f"{why}{self._place(offset)}"

    def lose(self, what: str) -> None:
        """Report a frame that is there and cannot be read, or not be believed."""
        first, count = self._lost.get(what, ("", 0))
        self._lost[what] = (first or self._place(), count + 1)

    def unsupported(self, link: int) -> None:
        """Report a link type whose frames will be skipped."""
        self._unsupported[link] = None

    def skip(self, link: int) -> None:
        """Count a frame of a link type that is not understood."""
        self._skipped[link] += 1

    def skip_any(self) -> None:
        """Count a frame of an interface beyond those that are kept."""
        self.beyond += 1

    def placed(self, text: str) -> str:
        """Return a text with the current place behind it."""
        return f"{text}{self._place()}"

    def _place(self, offset: int | None = None) -> str:
        if self.stream is None:
            return ""
        at = self.stream.offset if offset is None else offset
        return f" at byte {at:,}, behind frame {self.frames:,}"

    # --- what people read -----------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """The reading ended before the stream did."""
        return self._stopped is not None

    @property
    def skipped(self) -> int:
        """Frames of link types that are not understood."""
        return self._skipped.total()

    @property
    def notes(self) -> list[str]:
        """What was met and read over, one line each."""
        lines = [f"{self._name} {text}" for text in self._notes.values()]
        if self._unkept:
            lines.append(
                f"{self._name} gives reason for {self._unkept:,} more notes of these kinds"
            )
        if self._unsupported and not self.is_nothing_readable:
            lines.append(f"{self._name} has {self._of_links()}, which are skipped")
        if self.beyond:
            lines.append(f"{self._name}: {self.beyond:,} frames of too many interfaces are skipped")
        return lines

    @property
    def failure(self) -> str | None:
        """Why not everything was read, one line; None: everything was."""
        if self._stopped is not None:
            rest = "; read up to there" if self.frames else ": nothing was read"
            return f"{self._name} {self._stopped}{rest}"
        if self.is_nothing_readable:
            return f"{self._name} holds only {self._of_links()}; {_can_read()}"
        if self._lost:
            skipped = ", ".join(
                f"{count:,} {what}, the first{place}" for what, (place, count) in self._lost.items()
            )
            return f"{self._name} has frames that do not count: {skipped}; all others are read"
        return None

    @property
    def is_nothing_readable(self) -> bool:
        """Nothing but link types that are not understood was there."""
        return bool(self._unsupported) and not self.frames and not self._lost

    def _of_links(self) -> str:
        links = list(self._unsupported)
        named = [
            f"link type {described(link)}"
            + (f", {self._skipped[link]:,} of them" if self._skipped[link] else "")
            for link in links[:_MAX_LINKS]
        ]
        if len(links) > _MAX_LINKS:
            named.append(f"{len(links) - _MAX_LINKS} more link types")
        return "frames of " + "; of ".join(named)


def _can_read() -> str:
    return f"understood are {understood()}"
