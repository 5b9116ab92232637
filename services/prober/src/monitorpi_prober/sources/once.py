"""One round outside of the service, for the command line and for measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_prober.items import NO_NETWORK, UNSENT, ProbeAttempt, RoundDone
from monitorpi_prober.schedule import ProbeGroup, ProbePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitorpi_prober.schedule import ProbeTarget
    from monitorpi_prober.sources.pinger import Pinger


def one_round(
    pinger: Pinger,
    group: ProbeGroup,
    timeout_s: float,
    emit: Callable[[object], None] = lambda _: None,
) -> RoundDone:
    """Measure one round and return it.

    Raises:
        ResourceError: no ICMP socket may be opened.

    """
    done: list[RoundDone] = []

    def take(item: object) -> None:
        emit(item)
        if isinstance(item, RoundDone):
            done.append(item)
            pinger.stop()

    pinger.follow(ProbePlan((), timeout_s))
    pinger.hurry(group)
    pinger.run(take)
    return done[0]


def contact_then_round(
    pinger: Pinger,
    targets: Iterable[ProbeTarget],
    grouped: Callable[[tuple[ProbeTarget, ...]], ProbeGroup],
    limits: ProbePlan,
) -> tuple[list[ProbeAttempt], RoundDone | None]:
    """Find out who has a neighbour, then measure one round of those.

    Args:
        pinger: measures; it is at its end afterwards.
        targets: those to measure.
        grouped: makes the round of the targets that can be asked.
        limits: a plan without targets.

    Returns:
        what became of those that have no neighbour, and the round; None: nobody has one.

    Raises:
        ResourceError: no ICMP socket may be opened.

    """
    asked = {one.key: one for one in targets if one.ip is not None}
    silent: list[ProbeAttempt] = []
    near: list[ProbeTarget] = []
    done: list[RoundDone] = []

    def take(item: object) -> None:
        if isinstance(item, RoundDone):
            done.append(item)
            pinger.stop()
        if (
            not isinstance(item, ProbeAttempt)
            or (target := asked.pop(item.echoes.key, None)) is None
        ):
            return
        if item.has_neighbour and item.echoes.cause not in (NO_NETWORK, UNSENT):
            near.append(target)
        else:
            silent.append(item)
        if not asked:
            pinger.hurry(grouped(tuple(near))) if near else pinger.stop()

    if not asked:
        return [], None
    pinger.follow(limits)
    pinger.contact(asked.values())
    pinger.run(take)
    return silent, done[0] if done else None
