"""A target's round as figures, and as the messages that carry them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import ProbeResult, Target
from monitorpi_prober import statistics
from monitorpi_prober.items import UNSENT, Echoes
from monitorpi_prober.targets import is_randomised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from monitorpi_common.messages import TargetState
    from monitorpi_prober.reachability import Reachability
    from monitorpi_prober.schedule import ProbeTarget


_ROW_BYTES: Final = 480
"""A line of a message with all figures, without its name and error; 446 are the most."""
_CHARACTER_BYTES: Final = 4  # of UTF-8, at most
_PART_BYTES: Final = 500_000
"""The bus takes 512 KiB."""


def target_message(
    target: ProbeTarget, state: Reachability, result: ProbeResult, at: datetime
) -> Target:
    """Write the retained state of a target."""
    return Target(
        name=target.name,
        address=target.address,
        mac=target.mac,
        vendor=target.vendor,
        randomised=target.mac is not None and is_randomised(target.mac),
        state=state.state,
        since=state.since or at,
        at=at,
        last=result,
    )


def joined(first: Echoes | None, then: Echoes) -> Echoes:
    """Put together what became of earlier and of later requests to a target."""
    if first is None:
        return then
    # that requests were held back says less than why; that it answers now refutes what was
    is_reported_before = then.cause in (None, UNSENT) and not (then.cause is None and then.answers)
    reason = first if is_reported_before and first.cause is not None else then
    return Echoes(
        then.key,
        first.times_ms + then.times_ms,
        reason.error,
        reason.cause,
        first.unsent + then.unsent,
        first.late + then.late,
        first.altered + then.altered,
    )


def summarise(
    target: ProbeTarget, echoes: Echoes, state: TargetState, planned: int | None = None
) -> ProbeResult:
    """Turn what became of a target's requests into its figures.

    Args:
        target: the target.
        echoes: its requests, in order of sending.
        state: the state it is in.
        planned: requests that the round had for it; those that were not sent are unsent. None: as
            ``echoes`` tell.

    """
    times = echoes.times_ms
    answered = sorted(time for time in times if time is not None)
    sent, received = len(times), len(answered)
    counted = max(0, sent - received - echoes.late - echoes.altered)
    answers = received > 0 or state in ("up", "flapping")
    return ProbeResult(
        name=target.name,
        address=target.address,
        mac=target.mac,
        origin=target.origin,
        state=state,
        sent=sent,
        received=received,
        unsent=echoes.unsent if planned is None else max(0, planned - sent),
        late=echoes.late,
        altered=echoes.altered,
        loss_ratio=rounded(counted / sent) if sent and answers else None,
        error=echoes.error and echoes.error[:255],
        cause=echoes.cause,
        **(_figures(times, answered) if answered else {}),
    )


def _figures(times: Sequence[float | None], answered: Sequence[float]) -> dict[str, float | None]:
    """Return what the replies of a round say; ``answered`` are those there were, sorted."""
    average = sum(answered) / len(answered)
    jitter = statistics.jitter(times)
    score = None
    if jitter is not None:
        # who speaks or plays misses what comes too late as well
        lost = statistics.loss_ratio(len(times), len(answered)) or 0.0
        score = statistics.mos(average, jitter, lost)
    return {
        "rtt_min_ms": rounded(answered[0]),
        "rtt_avg_ms": rounded(average),
        "rtt_p50_ms": rounded(statistics.percentile_of(answered, 0.5)),
        "rtt_p95_ms": rounded(statistics.percentile_of(answered, 0.95)),
        "rtt_max_ms": rounded(answered[-1]),
        "mdev_ms": rounded(statistics.mdev(answered)),
        "jitter_ms": rounded(jitter),
        "jitter_rfc3550_ms": rounded(statistics.jitter_rfc3550(times)),
        "pdv_p95_ms": rounded(statistics.pdv_p95(answered)),
        "mos": rounded(score, 2),
    }


def in_parts(results: list[ProbeResult]) -> Iterator[list[ProbeResult]]:
    """Divide a round that would not fit into one message; an ordinary one is one part."""
    part: list[ProbeResult] = []
    size = 0
    for row in results:
        own = _ROW_BYTES + len(row.name) * _CHARACTER_BYTES + len(row.error or "")
        if size + own > _PART_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += own
    yield part


def percentile(times: Sequence[float], q: float) -> float | None:
    """Return a quantile; None of nothing."""
    return statistics.percentile(times, q) if times else None


def rounded(value: float | None, digits: int = 3) -> float | None:
    """Round a figure for a message."""
    return None if value is None else round(value, digits)
