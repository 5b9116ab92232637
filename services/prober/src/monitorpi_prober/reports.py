"""The messages of rounds and announcements, numbered. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitorpi_common.messages import Probe, ProbeSource, Publication
from monitorpi_prober.announcement import ANNOUNCE_AGAIN, Sending, covers
from monitorpi_prober.results import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from monitorpi_common.messages import ProbeResult
    from monitorpi_prober.schedule import ProbePlan


@dataclass(slots=True)
class Reports:
    """What this replica publishes of its rounds; each message announces what is sent from now."""

    instance: str
    epoch: str
    sending: Sending = field(default_factory=Sending)
    is_synced: bool = False
    """The clock is set."""
    _announced_at: datetime | None = None
    _seq: int = 0

    def probe(
        self,
        start: datetime,
        end: datetime,
        results: Sequence[ProbeResult],
        noise_ms: float | None,
        plan: ProbePlan,
    ) -> Publication:
        """Return the message of a round; without results it is an announcement alone."""
        sources = self.sending.published = self.sending.sources(plan)
        self._announced_at = end
        self._seq += 1
        message = Probe(
            epoch=self.epoch,
            seq=self._seq,
            round_start=start,
            round_end=end,
            clock_synced=self.is_synced,
            noise_floor_ms=rounded(noise_ms),
            rate_limited=plan.limited,
            source=sources[0] if sources else ProbeSource(),
            sources=list(sources) if len(sources) > 1 else [],
            targets=list(results),
        )
        return Publication(self.instance, message)

    def announce(self, at: datetime, plan: ProbePlan) -> Iterator[Publication]:
        """Announce what is sent from now on, where that is more than readers allow for."""
        if not covers(self.sending.published, self.sending.sources(plan)):
            yield self.probe(at, at, [], None, plan)

    def repeat(self, at: datetime, plan: ProbePlan) -> Iterator[Publication]:
        """Announce again while a sweep is under way."""
        before = self._announced_at
        if self.sending.sweeps and before and abs(at - before) >= ANNOUNCE_AGAIN:
            yield self.probe(at, at, [], None, plan)
