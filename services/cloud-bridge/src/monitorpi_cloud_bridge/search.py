"""Which of some rows does a cloud refuse? Found by comparing them with rows it takes.

Theory of operation. A refusal can be about a row, about the call (a wrong organisation, a gateway,
a portal) or about the moment. Only a comparison tells: a row is to blame when the cloud takes
another row before and after it refuses this one alone, several times over. So the first call of a
search, and every call after two that failed, is a *control*: the newest other row, alone. While
controls fail, no row is to blame and nothing is divided. A control is also the live row of a
dashboard, so a search holds nobody up. What is refused is divided in halves until rows stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PROOF: Final = 3.0
"""Lone refusals that blame a row. Two in a row come between controls: a gateway with one broken
server of two, which refuses every other call, blames nobody."""
FAILURE: Final = 0.25
"""What a call without an answer counts of a refusal: servers also break by themselves."""
_UNCHECKED: Final = 2
"""Calls that were not taken in a row, after which the next is a control."""
_MOST_PASSED_OVER: Final = 8
"""Rows that failed as controls and are passed over; after so many the newest has another turn."""


class CallResult(Enum):
    """What became of the rows of a call."""

    TAKEN = "taken"
    REFUSED = "refused"
    """By an answer that is about what was sent."""
    NAMED = "named"
    """Refused, and the answer names every one of these rows."""
    FAILED = "failed"
    """Nobody answered, or with an error of the cloud's own; the rows are not there."""


@dataclass(slots=True)
class RowSearch:
    """A search among rows, each by its second. Whoever makes the calls asks what comes next."""

    segments: list[list[int]]
    """What is under suspicion, the next one last; each in order of time."""
    _pending: dict[int, float] = field(default_factory=dict)
    """Lone refusals since a call was taken."""
    _proven: dict[int, float] = field(default_factory=dict)
    """Lone refusals with a call that was taken before and after."""
    _failures: int = _UNCHECKED
    """Calls that were not taken, in a row."""
    _controls: list[int] = field(default_factory=list)
    """Rows that failed as controls since a call was taken."""
    _again: int | None = None
    """The row that was refused alone by the call before."""
    _is_control: bool = True
    _divided: bool = False
    _blamed: bool = False
    largest_taken: int = 0
    """The most rows of a call that was taken."""

    @property
    def passed_over(self) -> list[int]:
        """Rows that are of no use as the next control: they have failed as one."""
        return self._controls

    @property
    def is_control(self) -> bool:
        """What was sent last is a control."""
        return self._is_control

    @property
    def found_size(self) -> bool:
        """No row is to blame, but smaller calls were taken: the first was too large."""
        return self._divided and not self._blamed

    @property
    def suspected(self) -> list[int]:
        """Return all rows under suspicion, in order."""
        return sorted(second for segment in self.segments for second in segment)

    @property
    def trusts(self) -> bool:
        """The call before was taken: what else is urgent may go now."""
        return self._failures == 0

    def suspect(self, seconds: Sequence[int]) -> None:
        """Take more rows under suspicion; they are next."""
        self.segments.append(list(seconds))

    def next(self, newest: int | None, most: int) -> list[int]:
        """Return what to send next: a row that nothing can be compared with is tried again.

        Args:
            newest: the newest row that waits and is not under suspicion; None: there is none.
            most: so many rows go into one call.

        """
        self._is_control = False
        if not self.segments:
            return []
        if self._wants_control():
            if newest is not None:
                self._is_control = True
                return [newest]
            self._is_control = not self._stand_in()
        if len(self.segments[-1]) > most:
            segment = self.segments.pop()
            self.segments += [segment[most:], segment[:most]]
        return self.segments[-1]

    def _wants_control(self) -> bool:
        ready = any(
            pending + self._proven.get(row, 0.0) >= PROOF for row, pending in self._pending.items()
        )
        return ready or self._failures >= _UNCHECKED

    def _stand_in(self) -> bool:
        """Let suspects be compared with each other; False: there is but one row."""
        if len(self.segments) > 1:
            self.segments.insert(0, self.segments.pop())
        elif len(self.segments[0]) > 1:
            self.segments = [self.segments[0][:-1], self.segments[0][-1:]]
        else:
            return False
        return True

    def learn(self, sent: Sequence[int], result: CallResult) -> list[int]:
        """Take what became of a call; returns the rows that are proven to be to blame."""
        if result is CallResult.TAKEN:
            return self._taken(sent)
        self._failures += 1
        if self._is_control:
            self._pending.clear()  # what was refused before it may have been the call's fault, too
            self._controls = [*self._controls[1 - _MOST_PASSED_OVER :], *sent]
            return []
        weight = FAILURE if result is CallResult.FAILED else 1.0
        if result is CallResult.NAMED or len(sent) == 1:
            for second in sent:
                added = PROOF if result is CallResult.NAMED else weight
                self._pending[second] = self._pending.get(second, 0.0) + added
            if self._again == sent[0]:  # twice in a row: now the others
                self.segments = [list(sent), *self._without(sent)]
            self._again = sent[0]
            return []
        self._divided = True
        rest = self._without(sent)
        middle = len(sent) // 2
        self.segments = [*rest, list(sent[middle:]), list(sent[:middle])]
        return []

    def forget(self, seconds: Sequence[int]) -> None:
        """Leave rows alone: they are gone."""
        self.segments = self._without(seconds)
        for second in seconds:
            self._proven.pop(second, None)
            self._pending.pop(second, None)

    def _taken(self, sent: Sequence[int]) -> list[int]:
        self._failures = 0
        self._again = None
        self._controls = []
        self.largest_taken = max(self.largest_taken, len(sent))
        self.forget(sent)
        for second, proof in self._pending.items():
            self._proven[second] = self._proven.get(second, 0.0) + proof
        self._pending.clear()
        blamed = [second for second, proof in self._proven.items() if proof >= PROOF]
        self._blamed = self._blamed or bool(blamed)
        self.forget(blamed)
        return blamed

    def _without(self, seconds: Sequence[int]) -> list[list[int]]:
        """Return the segments less some rows."""
        gone = set(seconds)
        rest = [[second for second in segment if second not in gone] for segment in self.segments]
        return [segment for segment in rest if segment]
