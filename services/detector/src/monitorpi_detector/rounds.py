"""What was known before each round of probes: who answered, who is missed, and what fell together.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.alerts.evidence import names_of
from monitorpi_detector.targets.outage import Outages
from monitorpi_detector.targets.presence import Stays
from monitorpi_detector.targets.quality import Degradations
from monitorpi_detector.views.rounds import RoundView

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Alert, Probe, ProbeResult, Target
    from monitorpi_detector.hosts.inventory import HostInventory
    from monitorpi_detector.items import Kept
    from monitorpi_detector.targets.presence import Stay

MAX_PROBERS: Final = 64
WITNESS_AFTER_S: Final = 10.0
"""Frames sent so long after a silent round began show that a target lives: it may have gone at any
time of that round."""
LEAVES_S: Final = 40.0
"""A device that falls asleep sends its last frames a while after its last answer: what came by then
shows for :data:`UNSURE_S` that it may live, and then nothing."""
UNSURE_S: Final = 60.0
WITNESS_S: Final = 120.0
"""They show it for so long: capture announces an idle device once a minute."""


class Rounds:
    """All probers, their targets and outages."""

    def __init__(
        self,
        inventory: HostInventory,
        kept: Kept,
        learning_s: float,
        usual: Callable[[str, str], float | None],
        counts_as: Callable[[ProbeResult], int],
        is_reported: Callable[[str, int], bool],
    ) -> None:
        """Start with what is known.

        Args:
            inventory: the devices.
            kept: what the process before us kept.
            learning_s: the time in which the LAN's ways are learned.
            usual: what is usual, by address and measure.
            counts_as: as how many bad rounds a target's result counts.
            is_reported: whether a rule speaks of so many targets; else each is reported.

        """
        self._usual, self._counts_as, self._is_reported = usual, counts_as, is_reported
        self._inventory = inventory
        self._learning_s = learning_s
        self._ends: dict[str, float] = {}
        """When the last round of each prober ended."""
        self.stays = Stays()
        self.stays.restore(kept.stays, kept.was_up, kept.watched_s)
        self.stays.began_s = kept.rounds_since_s
        self._outages = Outages(self.stays, self._is_alive, inventory.forwards)

        self._degradations = Degradations()

    def view(
        self,
        prober: str,
        probe: Probe,
        watched_s: float,
    ) -> tuple[RoundView, float]:
        """Prepare a round for the rules.

        Args:
            prober: the instance that probed.
            probe: its round.
            watched_s: seconds watched so far.

        Returns:
            the view, and the seconds since the round before ended.

        """
        end_s = probe.round_end.timestamp()
        before_s = self._ends.get(prober, probe.round_start.timestamp())
        if prober in self._ends or len(self._ends) < MAX_PROBERS:
            self._ends[prober] = end_s
        self.stays.see_round(prober, probe, watched_s)
        self.stays.gather(self._inventory.forwards)
        length_s = max(0.0, (probe.round_end - probe.round_start).total_seconds())
        own = frozenset(one.ip for one in (probe.source, *probe.sources) if one.ip)
        stays = self.stays.stays(prober)
        outages = self._outages.follow(prober, stays, end_s, length_s, own, watched_s)
        self._follow_lines(probe, end_s, watched_s)
        degradations = self._degradations.follow(prober, stays, end_s, length_s)
        view = RoundView(
            probe, end_s, self._usual, self.stays, watched_s,
            outages=tuple(one for one in outages if self._is_reported(one.cause, len(one.members))),
            degradations=tuple(
                one for one in degradations if self._is_reported(one.cause, len(one.bad))
            ),
            witness=self._witness, may_leave=self._may_leave, learned=watched_s >= self._learning_s,
        )  # fmt: skip
        return view, end_s - before_s

    def _follow_lines(self, probe: Probe, end_s: float, watched_s: float) -> None:
        """Note how well each target of a round answers, where that speaks of its line."""
        for target in probe.targets:
            stay = self.stays.get(target.address) if target.sent > 0 else None
            if stay is not None:
                is_steady = stay.is_steady(watched_s)
                stay.line.take(self._counts_as(target) if is_steady else None, end_s)

    def see_target(self, target: Target, watched_s: float) -> None:
        """Take the retained state of a target."""
        self.stays.see_target(target, watched_s)

    def resume(self, alert: Alert) -> None:
        """Take up what the process before us told several targets to have in common."""
        names = names_of(alert.evidence.victims)
        match alert.rule:
            case "group-down" if alert.state == "open":
                self._outages.resume(alert.subject, names)
            case "uplink-degraded" | "group-degraded" as cause if alert.state == "open":
                self._degradations.resume(cause, alert.subject, names)

    def lose(self, prober: str) -> bool:
        """Forget a prober that went offline; True: none is left."""
        self._ends.pop(prober, None)
        self._outages.forget(prober)
        self._degradations.forget(prober)
        return not self._ends

    def _may_leave(self, stay: Stay) -> bool:
        """Return whether a target fell silent a moment ago and sent what may be its last frames."""
        known = self._inventory.get(stay.mac) if stay.mac is not None else None
        if known is None or stay.silent_from is None:
            return False
        after_s = known.sent_at_s - stay.silent_from
        return WITNESS_AFTER_S < after_s <= LEAVES_S and (
            stay.reported_at - stay.silent_from <= UNSURE_S
        )

    def _is_alive(self, stay: Stay) -> bool:
        """Return whether anything shows that a silent target was there a moment ago."""
        return self._may_leave(stay) or self._witness(stay) is not None

    def _witness(self, stay: Stay) -> str | None:
        """Return what shows that a silent target lives: its frames, or another address of it."""
        if stay.silent_from is None or stay.mac is None:
            return None
        for one in self.stays.device(stay):
            if one.answered_at > stay.silent_from + WITNESS_AFTER_S and not one.silent_rounds:
                return f"its address {one.address} does"
        known = self._inventory.get(stay.mac)
        since_s = stay.silent_from + LEAVES_S
        if known is None or known.sent_at_s <= max(since_s, stay.reported_at - WITNESS_S):
            return None
        ago_s = max(0.0, stay.reported_at - known.sent_at_s)
        return f"it sends frames ({stay.mac}, {ago_s:.0f} s ago)"
