"""When a flood begins within a window: what to look at before the window ends. Pure.

Theory of operation. An engine's sums of SYNs, SYN-ACKs and echo requests are looked at whenever it
rings a bell, as these have grown, or some twenty times a second where it has none; and more often
while they rise. An interface *rings* when, within the last second,
so many SYNs stayed without an answer that had :data:`ANSWER_S` to come, or so many echo requests
came, that one window of them would raise an alert. Then the rows of the running window are read and
published beside the windows (``capture/onset``): no window is ever closed early, so nothing that
adds up, learns from or counts windows knows of this.

A flood faster than any burst of connections rings before that time is over. What rang rings a few
times more, for a flood may stand half in the window before; then not until it was calm, or became
four times as much. However somebody provokes it, there are no more than :data:`RINGS` at once and
one each :data:`REFILL_S` after that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.count.joining import joined
from monitorpi_capture.items import FloodSums, OnsetCounts, flood_sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitorpi_capture.items import WindowCounts

ANSWER_S: Final = 0.1
"""A host on this LAN that accepts a connection has answered by then (a busy one in 10 ms)."""
HORIZON_S: Final = 1.0
"""Looks are held against one so long ago: a second is what floors are given for."""
SYNS: Final = 175
"""Unanswered SYNs that ring: 1.75 times the detector's floor of 100, its ``raise_at_once``."""
ECHOES: Final = 88
"""Echo requests that ring: 1.75 times the floor of 50."""
BURST: Final = 5600
"""Unanswered SYNs that ring at once: a browser opens six connections at a time, a benchmark of a
web server up to five thousand."""
TRIES: Final = 4
TRY_AGAIN_S: Final = 0.02
"""After what rang; then twice as long each time."""
MORE: Final = 4
"""Times what rang before that ring as a new onset."""
CALM: Final = 0.5
"""Share of what rings below which it is calm again."""
RINGS: Final = 10
REFILL_S: Final = 2.0
CALM_S: Final = 0.05
"""Between two looks while nothing rises: to wake costs 0.1 to 0.2 ms of CPU."""
LULL_S: Final = 0.25
"""... where a bell ends the pause, and there is less than half of what rings."""
RISING_S: Final = 0.015
STEEP_S: Final = 0.004
_RISING: Final = 40
"""SYNs without an answer, or echo requests, of the last :data:`_LATELY_S`: something may rise."""
_STEEP: Final = 1000
_LATELY_S: Final = 0.3
_MEASURES: Final = 3
"""Looks of a rise, the one before it included, that tell its rate."""
_NEAR_S: Final = 0.02
_TWICE: Final = 2
_FEW: Final = 5
_BENT: Final = 0.1
"""Share of a horizon's frames below a straight line that shows a rise."""


class Rise(NamedTuple):
    """How a flood began."""

    since_s: float
    """When, by the clock of the looks."""
    before: FloodSums
    """What was there before the rise: frames of the window it began in."""
    late_syn: int
    """SYNs that have had no time to be answered."""
    has_last: bool
    """It began in the window before the running one."""


class _Look(NamedTuple):
    at_s: float
    sums: FloodSums
    """Since the first window."""


def _sum(one: FloodSums, other: FloodSums, times: int = 1) -> FloodSums:
    return FloodSums(*(a + times * b for a, b in zip(one, other, strict=True)))


_NOTHING: Final = FloodSums()


@dataclass(slots=True)
class RisingPort:
    """One interface: its last looks, and whether it may ring."""

    looks: deque[_Look] = field(default_factory=deque)
    begun: list[_Look] = field(default_factory=lambda: [_Look(0.0, _NOTHING)] * 2)
    """When the last window and the running one began, and what was counted before each."""
    armed: bool = True
    rang_at: float = 0.0
    """The most that was found since the last onset."""
    tries: int = 0
    next_s: float = 0.0
    tokens: float = RINGS
    filled_s: float = 0.0
    calm_s: float = CALM_S

    def look(self, at_s: float, sums: FloodSums) -> bool:
        """Take the sums of the running window; return whether its rows are to be published."""
        self._add(at_s, _sum(self.begun[1].sums, sums))
        excess = self._excess()
        if excess < CALM:
            self.armed = True
        elif excess >= 1 and (self.armed or excess >= MORE * self.rang_at):
            self.armed, self.tries, self.next_s = False, TRIES, at_s
            self.rang_at = excess
        self.tokens = min(RINGS, self.tokens + (at_s - self.filled_s) / REFILL_S)
        self.filled_s = at_s
        due = self.tries and at_s >= self.next_s and self.tokens >= 1
        if self.armed or excess < 1 or not due or not self._is_measured():
            return False
        self.next_s = at_s + TRY_AGAIN_S * 2 ** (TRIES - self.tries)
        self.tries, self.tokens = self.tries - 1, self.tokens - 1
        self.rang_at = max(self.rang_at, excess)
        return True

    def close(self, at_s: float, sums: FloodSums) -> int:
        """Take the sums of a window that is over; return its SYNs that may yet be answered."""
        total = _sum(self.begun[1].sums, sums)
        self._add(at_s, total)
        self.begun = [self.begun[1], _Look(at_s, total)]
        return min(sums.syn, self._late())

    def _add(self, at_s: float, total: FloodSums) -> None:
        self.looks.append(_Look(at_s, total))
        while len(self.looks) > 1 and self.looks[1].at_s <= at_s - HORIZON_S:
            self.looks.popleft()

    @property
    def pause_s(self) -> float:
        """Seconds until the next look; soon behind the first one of a rise, to tell its rate."""
        if not self.looks or not (self.armed or self.tries):
            return self.calm_s
        lately = self._lately()
        rising = max(lately.syn - lately.syn_ack, lately.icmp_echo)
        if rising < _RISING:
            return self.calm_s if self._excess() < CALM else CALM_S
        return STEEP_S if rising >= _STEEP or not self._is_measured() else RISING_S

    @property
    def rings_after(self) -> int:
        """SYNs and echo requests until the bell: of a steady stream those of :data:`CALM_S`."""
        lately = self._lately() if self.looks else _NOTHING
        return max(_RISING, int((lately.syn + lately.icmp_echo) * CALM_S / _LATELY_S))

    def _lately(self) -> FloodSums:
        return _sum(self.looks[-1].sums, self._ago(_LATELY_S), -1)

    def rise(self, sums: FloodSums) -> Rise:
        """Return how what rang began; ``sums`` are those of the rows that were read."""
        which, later = self._rise()
        start = later[0]
        has_last = start.at_s < self.begun[1].at_s
        begun = self.begun[0 if has_last else 1].sums
        before = FloodSums(*(max(0, count) for count in _sum(start.sums, begun, -1)))
        late = self.begun[1].sums.syn + sums.syn - self._ago(ANSWER_S).syn
        since_s = min(self._begins_s(later, which), self.looks[-1].at_s)
        return Rise(since_s, before, late, has_last)

    def _rise(self) -> tuple[int, list[_Look]]:
        """Return of which sum the rise is, the last look before it and those since then.

        It began where the sum lies farthest below a straight line through the horizon (the
        change point of a cumulative sum).
        """
        first, last = self.looks[0], self.looks[-1]
        is_syn = self._unanswered() / SYNS >= self._echoes() / ECHOES
        which = FloodSums._fields.index("syn" if is_syn else "icmp_echo")
        frames = last.sums[which] - first.sums[which]
        rate = frames / max(last.at_s - first.at_s, STEEP_S)
        below = [
            look.sums[which] - first.sums[which] - rate * (look.at_s - first.at_s)
            for look in self.looks
        ]
        begins = below.index(min(below)) if min(below) < -_BENT * frames else 0
        looks = list(self.looks)
        # of looks behind which nothing came the one that saw it: frames may come by fifties
        came = next(
            n for n, look in enumerate(looks) if look.sums[which] == looks[begins].sums[which]
        )
        return which, looks[came - 1 if self._began_before(looks[: came + 1], which) else begins :]

    @staticmethod
    def _began_before(looks: list[_Look], which: int) -> bool:
        """Return whether a rise began between the last two looks.

        What came between them is more than the rate before explains: a bell, or a look by chance,
        comes behind its first frames.
        """
        first, before, last = looks[0], looks[-2:][0], looks[-1]
        frames = last.sums[which] - before.sums[which]
        usual = before.sums[which] - first.sums[which]
        rate = usual / (before.at_s - first.at_s) if usual else 0.0
        return frames >= max(_FEW, _TWICE * rate * (last.at_s - before.at_s))

    def _is_measured(self) -> bool:
        """Return whether there was a look within the rise, to tell its rate by."""
        _, later = self._rise()
        return len(later) >= _MEASURES and later[-1].at_s - later[1].at_s >= STEEP_S / 2

    @staticmethod
    def _begins_s(later: list[_Look], which: int) -> float:
        """Return when the rise began between two looks, by the rate behind the second."""
        start, second, last = later[0], later[min(1, len(later) - 1)], later[-1]
        frames = last.sums[which] - second.sums[which]
        if frames <= 0 or last.at_s <= second.at_s:
            return start.at_s
        rate = frames / (last.at_s - second.at_s)
        return max(start.at_s, second.at_s - (second.sums[which] - start.sums[which]) / rate)

    def _ago(self, seconds: float) -> FloodSums:
        """Return the sums of so long ago.

        Between two looks that are near each other frames came evenly; between others they may all
        have come just before the second.
        """
        at_s, after = self.looks[-1].at_s - seconds, self.looks[-1]
        for look in reversed(self.looks):
            if look.at_s <= at_s:
                apart_s = after.at_s - look.at_s
                share = (at_s - look.at_s) / apart_s if 0 < apart_s <= _NEAR_S else 0.0
                return FloodSums(
                    *(a + int((b - a) * share) for a, b in zip(look.sums, after.sums, strict=True))
                )
            after = look
        return self.looks[0].sums

    def _excess(self) -> float:
        """Return how many times as much as rings there is."""
        return max(self._unanswered() / SYNS, self._echoes() / ECHOES)

    def _late(self) -> int:
        return self.looks[-1].sums.syn - self._ago(ANSWER_S).syn

    def _unanswered(self) -> int:
        """Return the SYNs of the horizon that had time to be answered, less the answers."""
        last, first = self.looks[-1].sums, self.looks[0].sums
        waiting = last.syn - first.syn - (last.syn_ack - first.syn_ack)
        return waiting if waiting >= BURST else waiting - self._late()

    def _echoes(self) -> int:
        return self.looks[-1].sums.icmp_echo - self.looks[0].sums.icmp_echo


class Onsets:
    """All interfaces of an engine."""

    def __init__(self, *, has_bell: bool = False) -> None:
        self._calm_s = LULL_S if has_bell else CALM_S
        self._by_name: dict[str, RisingPort] = {}
        self._last: dict[str, WindowCounts] = {}

    def look(self, at_s: float, sums: Mapping[str, FloodSums]) -> list[str]:
        """Take the sums of all interfaces; return those whose rows are to be published."""
        return [name for name, one in sums.items() if self._of(name).look(at_s, one)]

    def close(self, at_s: float, window: WindowCounts) -> int:
        """Take a window that is over; return its SYNs that may yet be answered."""
        self._last[window.interface] = window
        return self._of(window.interface).close(at_s, flood_sums(window.wire))

    def counts(self, at_s: float, window: WindowCounts) -> OnsetCounts:
        """Return what is to be published of a running window, as it was read at a moment."""
        rise = self._of(window.interface).rise(flood_sums(window.wire))
        last = self._last.get(window.interface)
        if rise.has_last and last is not None:
            window = joined(last, window)
        rise_s = max(at_s - rise.since_s, STEEP_S)
        return OnsetCounts(replace(window, late_syn=rise.late_syn), rise_s, rise.before)

    def _of(self, name: str) -> RisingPort:
        port = self._by_name.get(name)
        if port is None:
            port = self._by_name[name] = RisingPort(calm_s=self._calm_s)
        return port

    @property
    def pause_s(self) -> float:
        """Seconds until the next look at any of them."""
        return min((one.pause_s for one in self._by_name.values()), default=self._calm_s)

    @property
    def rings_after(self) -> dict[str, int] | None:
        """SYNs and echo requests of each after which to look sooner; None: something rises."""
        if self.pause_s < self._calm_s:
            return None
        return {name: one.rings_after for name, one in self._by_name.items()}
