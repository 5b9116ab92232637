"""What an alert says: who is involved, how severe it is, its numbers and its one sentence."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import SEVERITIES, Alert, Evidence, Severity, timestamp
from monitorpi_common.topics import TopicError, mac_from_id, slug
from monitorpi_detector.rule import CRITICAL_AT, Finding
from monitorpi_detector.views.window import LEAST_SPAN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from monitorpi_common.messages import Peer, Traffic
    from monitorpi_detector.hosts.inventory import HostInventory

COPIES_REPORTED: Final = 0.1
"""Share of copies from which an alert mentions them."""
_MAX_SUMMARY: Final = 400
_MAX_PEERS: Final = 32
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:monitorpi:alert")


@dataclass(frozen=True, slots=True)
class Observed:
    """Where and when a finding was made."""

    rule: str
    kind: str
    """``flood``, ``outage``, ``effect`` or ``notice``."""
    at: datetime
    span_s: float
    interface: str | None = None
    ports: tuple[str, ...] = ()
    """The interfaces it was seen on, where it was windows that showed it."""
    is_part: bool = False
    """Other ports of the site show their part of this moment, and the sum is judged too."""
    kernel_drops: int = 0
    sees_replies: bool | None = None
    copies_ratio: float | None = None
    length_s: float = 1.0
    """What the alert says it measured over."""
    lives_by_windows: bool = True
    """It is lost with its interface's windows; False: it ends by being quiet only."""
    watched_s: float = 0.0
    """Seconds watched so far."""


def observed_in(
    traffic: Traffic, ports: Sequence[str], *, is_part: bool = False
) -> Callable[..., Observed]:
    """Return what makes the circumstances of a window's findings, rule by rule."""
    return partial(
        Observed, at=traffic.end, span_s=max(traffic.window_s, LEAST_SPAN_S),
        interface=traffic.interface, ports=tuple(ports), is_part=is_part,
        kernel_drops=traffic.kernel_drops, sees_replies=traffic.sees_replies,
        copies_ratio=traffic.copies_ratio, length_s=traffic.window_s,
    )  # fmt: skip


def evidence_of(
    finding: Finding, seen: Observed, inventory: HostInventory, opened_at: datetime,
    before: Evidence | None = None,
) -> Evidence:  # fmt: skip
    """Write down what a finding rests on; ``before`` is the same alert's evidence so far."""
    peak = before.peak if before is not None else 0.0
    drops = before.kernel_drops if before is not None else 0
    return Evidence(
        value=round(finding.value, 3),
        unit=finding.unit,
        threshold=round(finding.threshold, 3),
        baseline=None if finding.baseline is None else round(finding.baseline, 3),
        window_s=round(seen.length_s, 6),
        peak=round(max(peak, finding.value), 3),
        sources=list(finding.sources[:_MAX_PEERS]),
        victims=list(finding.victims[:_MAX_PEERS]),
        spread=finding.spread,
        answered_ratio=finding.answered_ratio,
        spoofed=finding.spoofed,
        beyond_router=finding.beyond_router,
        sees_replies=seen.sees_replies,
        kernel_drops=drops + seen.kernel_drops,
        copies_ratio=seen.copies_ratio,
        **probed(finding.victims, inventory, opened_at.timestamp() - seen.length_s),
    )


def opened_alert(
    finding: Finding, seen: Observed, inventory: HostInventory, *, site: str, key: str,
    cause: str | None, before: Alert | None,
) -> Alert:  # fmt: skip
    """Return the alert that a finding opens, or opens again.

    Args:
        finding: what raised it.
        seen: its circumstances.
        inventory: the devices.
        site: the site, part of every alert's identity.
        key: the alert's key.
        cause: the key of the alert that causes it.
        before: the same alert, closed a moment ago.

    """
    opened_at = seen.at if before is None else before.opened_at
    so_far = None if before is None else before.evidence.model_copy(update={"kernel_drops": 0})
    name = f"{site}/{key}/{timestamp(opened_at)}"
    return Alert(
        id=str(uuid.uuid5(_NAMESPACE, name)) if before is None else before.id,
        key=key,
        rule=seen.rule,
        severity=severity_of(finding, cause),
        state="open",
        subject=slug(finding.subject),
        interface=seen.interface,
        opened_at=opened_at,
        at=seen.at,
        acknowledged=before is not None and before.acknowledged,
        caused_by=cause,
        summary=sentence(finding, finding.value, seen),
        evidence=evidence_of(finding, seen, inventory, opened_at, so_far),
    )


def probed(
    victims: Sequence[Peer], inventory: HostInventory, since_s: float
) -> dict[str, float | None]:
    """Return how the first probed victim answered in a round that ended after a moment."""
    for peer in victims:
        known = inventory.get(peer.mac) if peer.mac else None
        if known is not None and known.probe and known.probed_until_s > since_s:
            return {
                "victim_rtt_ms": known.probe.rtt_avg_ms,
                "victim_jitter_ms": known.probe.jitter_ms,
                "victim_loss_ratio": known.probe.loss_ratio,
            }
    return {}


def whose_limits(one: Finding | Evidence) -> str | None:
    """Return the MAC whose limits hold: that of the only source, else the victim's, else None.

    Several victims of no source are an outage: that is about no one in particular.
    """
    if len(one.sources) != 1 and len(one.victims) > 1 and not one.sources:
        return None
    peers = one.sources if len(one.sources) == 1 else one.victims or one.sources
    return peers[0].mac if peers else None


def macs_of(finding: Finding) -> tuple[frozenset[str], frozenset[str]]:
    """Return the MACs of the sources, and the names of everybody involved."""
    sources = frozenset(peer.mac for peer in finding.sources if peer.mac is not None)
    return sources, sources | names_of(finding.victims) | finding.about


def names_of(peers: Sequence[Peer]) -> frozenset[str]:
    """Return MACs and addresses: what is beyond a router is probed by its address alone."""
    return frozenset(name for peer in peers for name in (peer.mac, peer.ip) if name is not None)


def involved_in(alert: Alert) -> tuple[frozenset[str], frozenset[str]]:
    """Return the same two of an alert, as far as it tells."""
    sources = frozenset(peer.mac for peer in alert.evidence.sources if peer.mac is not None)
    return sources, sources | names_of(alert.evidence.victims) | set(_mac_of(alert.subject))


def _mac_of(subject: str) -> Iterator[str]:
    try:
        yield mac_from_id(subject.rsplit("-", 1)[-1])
    except TopicError:
        return


def severity_of(finding: Finding, cause: str | None) -> Severity:
    """Return how severe a finding is: what another alert causes is only mentioned."""
    if cause is not None:
        return "info"
    if finding.severity is not None:
        return finding.severity
    return "critical" if finding.value >= CRITICAL_AT * finding.threshold else "warning"


def is_worse(one: Severity, other: Severity) -> bool:
    """Return whether a severity is above another."""
    return SEVERITIES.index(one) > SEVERITIES.index(other)


def _times(copies_ratio: float) -> str:
    """Write how often each frame is shown; nearly nothing but copies: a hundred times."""
    return _number(round(1 / max(1 - copies_ratio, 0.01), 1))


def sentence(finding: Finding, peak: float, seen: Observed) -> str:
    """Write the alert's one sentence: who, how much over which time, and what limits it."""
    unit, of = (finding.unit, 1.0) if finding.scale == 1 else ("%", finding.scale)
    words = [f"{finding.text}: {_number(of * finding.value)} {unit}"]
    if finding.unit.endswith("/s"):
        words.append(f" over {seen.length_s:.3g} s")
    words.append(f" (threshold {_number(of * finding.threshold)}")
    if peak > finding.value:
        words.append(f", peak {_number(of * peak)}")
    words.append(")")
    if finding.answered_ratio is not None:
        words.append(f", {finding.answered_ratio:.0%} answered")
    if finding.spoofed:
        words.append(", source addresses forged")
    if seen.sees_replies is False:
        words.append("; the mirror port shows one direction only, replies could not be judged")
    if seen.copies_ratio is not None and seen.copies_ratio >= COPIES_REPORTED:
        words.append(
            f"; the mirror port shows frames {_times(seen.copies_ratio)} times on average, "
            "each counted once here"
        )
    if seen.kernel_drops:
        words.append(f"; {seen.kernel_drops} frames lost in the sensor")
    return "".join(words)[:_MAX_SUMMARY]


def usual_sentence(finding: Finding, level: float, from_: float) -> str:
    """Write the last sentence of an alert whose cause is usual for its subject by now."""
    unit, of = (finding.unit, 1.0) if finding.scale == 1 else ("%", finding.scale)
    return (
        f"{finding.text}: up to {_number(of * level)} {unit} is usual for it now, "
        f"reported again from {_number(of * from_)}"
    )[:_MAX_SUMMARY]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits suffice
