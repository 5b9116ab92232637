"""What the rules look at in a round of probes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitorpi_detector.targets.presence import NAMED, STARTS_S, STARTS_SLOWLY_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Probe, ProbeResult
    from monitorpi_detector.targets.outage import Outage
    from monitorpi_detector.targets.presence import Stay, Stays
    from monitorpi_detector.targets.quality import Degradation


@dataclass(frozen=True, slots=True)
class RoundView:
    """One round of one prober, beside what is known of each target."""

    probe: Probe
    now_s: float
    usual: Callable[[str, str], float | None]
    """By target address and measure (``loss_ratio``, ``rtt_ms``, ``jitter_ms``)."""
    presence: Stays
    watched_s: float
    outages: tuple[Outage, ...]
    degradations: tuple[Degradation, ...]
    witness: Callable[[Stay], str | None]
    """What shows that a silent target lives, in words."""
    may_leave: Callable[[Stay], bool]
    """A silent target sent frames after its last answer that may be its last."""
    learned: bool
    """The time in which the LAN's ways are learned is over."""

    def results(self) -> list[ProbeResult]:
        """Return the targets that were probed in this round."""
        return [target for target in self.probe.targets if target.sent > 0]

    def is_carried(self, target: ProbeResult) -> bool:
        """Return whether a common cause speaks for how a target answers."""
        return any(target.address in one.members for one in self.degradations)

    def is_named(self, target: ProbeResult) -> bool:
        """Return whether the operator asked for a target."""
        return target.origin in NAMED

    def is_steady(self, target: ProbeResult) -> bool:
        """Return whether a target's answers speak of its line, not of its coming or going."""
        stay = self.presence.get(target.address)
        return stay is not None and stay.is_steady(self.watched_s)

    def story(self, target: ProbeResult) -> str:
        """Return what alerts on a target are counted for: its device."""
        stay = self.presence.get(target.address)
        alone = stay is None or len(self.presence.device(stay)) <= 1
        return target.address if alone else target.mac or target.address

    def is_known(self, target: ProbeResult, seconds: float) -> bool:
        """Return whether a target was there for so long, or is asked for by the operator."""
        stay = self.presence.get(target.address)
        return stay is not None and stay.is_known(seconds)

    def calls(self, target: ProbeResult, seconds: float) -> bool:
        """Return whether somebody must look at once when a target is gone.

        The operator asked for it, or it was there for so long, the ways of the LAN are learned,
        and it never came back by itself from such an absence.
        """
        stay = self.presence.get(target.address)
        if stay is None or stay.named:
            return stay is not None
        return self.learned and stay.is_known(seconds) and not stay.was_away_before(self.watched_s)

    def may_start(self, target: ProbeResult) -> bool:
        """Return whether a silent target may be starting, as this machine did a moment ago."""
        stay = self.presence.get(target.address)
        if stay is None or self.presence.has_answered(stay):
            return False
        return self.presence.may_start(self.now_s, STARTS_S if stay.named else STARTS_SLOWLY_S)

    def gone(self) -> list[ProbeResult]:
        """Return the targets that are down, that are missed and that no outage speaks for.

        Of each device only one, and none while another address of it answers, but for those
        that the operator named.
        """
        carried = {
            address for one in self.outages if not one.reports_each for address in one.members
        }
        return [
            target
            for target in self.probe.targets
            if target.state == "down"
            and target.address not in carried
            and (stay := self.presence.get(target.address)) is not None
            and self.presence.is_expected(stay)
            and stay.is_missed(self.watched_s)
            and not self.may_leave(stay)
            and (stay.named or self._stands_for_its_device(stay))
        ]

    def _stands_for_its_device(self, stay: Stay) -> bool:
        others = [
            one
            for one in self.presence.device(stay)
            if one is not stay and one.prober == stay.prober
        ]
        if any(not one.silent_rounds and one.reported_at >= stay.reported_at for one in others):
            return False
        silent = [stay, *(one for one in others if one.silent_rounds)]
        return stay is min(silent, key=lambda one: (":" in one.address, one.address))

    def frames_since(self, target: ProbeResult) -> str | None:
        """Return what shows that a target lives though it answers no pings; None: nothing does."""
        stay = self.presence.get(target.address)
        return None if stay is None else self.witness(stay)
