"""Which of the waiting changes go into the next message to one destination. Pure.

Theory of operation. The first changes go out one by one and at once, the worst first, as many as
half of what a destination takes in a minute. What comes beyond that is one summary of everything
that waits, as often as the other half allows. So 1,000 alerts in a minute are a handful of
messages, none of them later than the pause between two summaries, and no change is in none. What
has waited long, because nothing could be delivered or because of quiet hours, is one summary too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import SEVERITIES
from monitorpi_notifier.items import Letter
from monitorpi_notifier.wording import DOUBT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_notifier.items import NoticeChange
    from monitorpi_notifier.wording import Wording

MINUTE_S: Final = 60.0
LATE_S: Final = 600.0
"""From this age a change is reported with the others that are as old: it is history, not news."""
LONGEST_S: Final = 600.0
"""No change waits longer for its cause."""
MOST_AT_ONCE: Final = 1_000
"""Changes in one summary; it lists a dozen and counts the rest."""
_ALONE: Final = ("digest", "test")


@dataclass(frozen=True, slots=True)
class Folding:
    """The rules for one destination."""

    most_per_minute: int

    @property
    def singles(self) -> int:
        """Messages of one change that may go out in a minute."""
        return self.most_per_minute - self.most_per_minute // 2

    @property
    def pause_s(self) -> float:
        """Seconds between two summaries."""
        return MINUTE_S / (self.most_per_minute // 2)

    def next(
        self,
        waiting: Sequence[NoticeChange],
        ago_s: Iterable[float],
        now_s: float,
        wording: Wording,
    ) -> Letter | None:
        """Return the next message; None: nothing is due, or it has to wait.

        Args:
            waiting: what is in no message yet, in the order it happened.
            ago_s: before how many seconds messages were sent, whatever the clock says.
            now_s: the wall clock, seconds since 1970.
            wording: puts it into words.

        """
        due = [change for change in waiting if _is_due(change, now_s)]
        if not due:
            return None
        lately = [one for one in ago_s if one < MINUTE_S]
        if len(lately) < self.singles:
            alone = self._alone(due, now_s, is_first=not lately)
            if alone is not None:
                return _single(alone)
        elif min(lately) < self.pause_s or len(lately) >= self.most_per_minute:
            return None
        folded = [change for change in due if change.what not in _ALONE][:MOST_AT_ONCE] or due[:1]
        if len(folded) == 1:
            return _single(folded[0])
        title, body = wording.summary(folded, now_s, LATE_S)
        return Letter(folded[0].destination, title, body, tuple(folded))

    def _alone(
        self, due: Sequence[NoticeChange], now_s: float, *, is_first: bool
    ) -> NoticeChange | None:
        """Return the change that is to go out by itself; None: they go together."""
        for change in due:
            if change.what in _ALONE:
                return change
        old = [change for change in due if change.held or now_s - change.at_s > LATE_S]
        if len(old) > 1 or (len(due) > self.singles and not is_first):
            return None
        return min(due, key=lambda change: (-SEVERITIES.index(change.severity), change.at_s))


def _is_due(change: NoticeChange, now_s: float) -> bool:
    """Return whether a change may go out; one due in hours, though not held, outlived a clock."""
    left_s = change.due_s - now_s
    return left_s <= 0 or (left_s > LONGEST_S and not change.held)


def _single(change: NoticeChange) -> Letter:
    body = f"{change.body}\n{DOUBT}" if change.doubtful else change.body
    return Letter(change.destination, change.title, body, (change,))
