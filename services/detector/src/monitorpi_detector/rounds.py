"""What was known before each round of probes: who answered, who is missed, and what fell together.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.targets.outage import Outages
from monitorpi_detector.targets.presence import Stays
from monitorpi_detector.views.rounds import RoundView

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Alert, Probe, Target
    from monitorpi_detector.hosts.inventory import HostInventory
    from monitorpi_detector.items import Kept
    from monitorpi_detector.targets.presence import Stay

MAX_PROBERS: Final = 64
WITNESS_AFTER_S: Final = 10.0
"""Frames sent so long after a silent round began show that a target lives: it may have gone at any
time of that round."""
WITNESS_S: Final = 120.0
"""They show it for so long: capture announces an idle device once a minute."""


class Rounds:
    """All probers, their targets and outages."""

    def __init__(self, inventory: HostInventory, kept: Kept, learning_s: float) -> None:
        self._inventory = inventory
        self._learning_s = learning_s
        self._ends: dict[str, float] = {}
        """When the last round of each prober ended."""
        self.stays = Stays()
        self.stays.restore(kept.stays, kept.was_up, kept.watched_s)
        self.stays.began_s = kept.rounds_since_s
        self._outages = Outages(
            self.stays, lambda stay: self._witness(stay) is not None, inventory.forwards
        )

    def view(
        self,
        prober: str,
        probe: Probe,
        usual: Callable[[str, str], float | None],
        watched_s: float,
    ) -> tuple[RoundView, float]:
        """Prepare a round for the rules.

        Args:
            prober: the instance that probed.
            probe: its round.
            usual: what is usual, by address and measure.
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
        view = RoundView(
            probe, end_s, usual, self.stays, watched_s,
            outages=self._outages.follow(prober, end_s, length_s, own, watched_s),
            witness=self._witness, learned=watched_s >= self._learning_s,
        )  # fmt: skip
        return view, end_s - before_s

    def see_target(self, target: Target, watched_s: float) -> None:
        """Take the retained state of a target."""
        self.stays.see_target(target, watched_s)

    def resume(self, alert: Alert) -> None:
        """Take up an outage that the process before us told of."""
        if alert.rule == "group-down" and alert.state == "open":
            addresses = frozenset(peer.ip for peer in alert.evidence.victims if peer.ip)
            self._outages.resume(alert.subject, addresses)

    def lose(self, prober: str) -> bool:
        """Forget a prober that went offline; True: none is left."""
        self._ends.pop(prober, None)
        self._outages.forget(prober)
        return not self._ends

    def _witness(self, stay: Stay) -> str | None:
        """Return what shows that a silent target lives: its frames, or another address of it."""
        if stay.silent_from is None or stay.mac is None:
            return None
        for one in self.stays.device(stay):
            if one.answered_at > stay.silent_from + WITNESS_AFTER_S and not one.silent_rounds:
                return f"its address {one.address} does"
        known = self._inventory.get(stay.mac)
        since_s = stay.silent_from + WITNESS_AFTER_S
        if known is None or known.sent_at_s <= max(since_s, stay.reported_at - WITNESS_S):
            return None
        ago_s = max(0.0, stay.reported_at - known.sent_at_s)
        return f"it sends frames ({stay.mac}, {ago_s:.0f} s ago)"
