"""What the prober itself puts on the wire, per own MAC address, so that nobody alarms on it. Pure.

Echo requests are planned. ARP requests are those of a sweep, and those of the kernel: it asks once
a second for each neighbour that does not answer (mcast_solicit in arp(7)), and any target that is
not up may be one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import ProbeSource

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from monitorpi_prober.schedule import Plan

ANNOUNCE_FROM: Final = 1.1
"""A rate is announced anew when it grew by more than a tenth; readers allow for a fifth."""
_MAX_SOURCES: Final = 16  # of the message


@dataclass(frozen=True, slots=True)
class Exit:
    """An own address that packets leave from, and the MAC address of its interface."""

    ip: str
    mac: str | None = None


@dataclass(slots=True)
class _Rates:
    ip: str
    mac: str | None
    echo_per_s: float = 0.0
    arp_per_s: float = 0.0


@dataclass(slots=True)
class _Sum:
    """Adds up by MAC: one interface may have several addresses, and the detector sees MACs."""

    rates: dict[str, _Rates] = field(default_factory=dict)

    def at(self, leaving: Exit) -> _Rates:
        key = leaving.mac or leaving.ip
        return self.rates.setdefault(key, _Rates(leaving.ip, leaving.mac))


def sources(
    plan: Plan, exits: Mapping[str, Exit], up: Container[str], sweeps: Mapping[Exit, float]
) -> tuple[ProbeSource, ...]:
    """Tell per own MAC what is sent; the busiest first.

    Args:
        plan: what is probed.
        exits: where the requests to each target leave, by the target's key.
        up: the keys of targets that answer.
        sweeps: ARP requests per second of each sweep under way.

    """
    total = _Sum()
    for lane in plan.lanes:
        for aim in lane.aims:
            leaving = exits.get(aim.key)
            if leaving is not None:
                rates = total.at(leaving)
                rates.echo_per_s += lane.probes / lane.interval_s
                rates.arp_per_s += aim.key not in up
    for leaving, arp_per_s in sweeps.items():
        total.at(leaving).arp_per_s += arp_per_s
    ordered = sorted(total.rates.values(), key=lambda one: -one.echo_per_s)
    on_wires = [one for one in ordered if one.mac is not None]
    return tuple(
        ProbeSource(
            mac=one.mac,
            ip=one.ip,
            echo_per_s=round(one.echo_per_s, 3),
            arp_per_s=round(one.arp_per_s, 3),
        )
        for one in (on_wires or ordered)[:_MAX_SOURCES]
    )


def covers(told: Iterable[ProbeSource], now: Iterable[ProbeSource]) -> bool:
    """Tell whether readers of an announcement already allow for what is sent now."""
    known = {(one.mac, one.ip): one for one in told}
    return all(_covers(known.get((one.mac, one.ip)), one) for one in now)


def _covers(told: ProbeSource | None, now: ProbeSource) -> bool:
    return (
        told is not None
        and now.echo_per_s <= told.echo_per_s * ANNOUNCE_FROM
        and now.arp_per_s <= told.arp_per_s * ANNOUNCE_FROM
    )
