"""What the prober itself puts on the wire, per own MAC address, so that nobody alarms on it. Pure.

Echo requests are planned. ARP requests are those of a sweep, and those of the kernel: it asks for
each quiet neighbour, no faster than the plan's limit, and now and then for one it knows. What
another program of this machine is about to send is published with ours while it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import ProbeSource
from monitorpi_prober.items import Exit
from monitorpi_prober.quiet import SOLICITATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitorpi_common.messages import Announce
    from monitorpi_prober.schedule import ProbePlan

ANNOUNCE_FROM: Final = 1.1
"""A rate is announced anew when it grew by more than a tenth; readers allow for a fifth."""
ANNOUNCE_AGAIN: Final = timedelta(seconds=5)
"""While a sweep is under way: announcements are not retained, and a detector may start at any
time."""
CONFIRMED_S: Final = 20.0
"""The kernel asks for a neighbour in use by an ARP request of its own this often at most, where no
reply has shown it to be there: half of base_reachable_time and delay_first_probe_time (15 and 5 s,
arp(7))."""
_MAX_SOURCES: Final = 16  # of the message
_MAX_LENT: Final = 8


@dataclass(slots=True)
class _Rates:
    ip: str
    mac: str | None
    echo_per_s: float = 0.0
    arp_per_s: float = 0.0


@dataclass(slots=True)
class _RateSum:
    """Adds up by MAC: one interface may have several addresses, and the detector sees MACs."""

    rates: dict[str, _Rates] = field(default_factory=dict)

    def at(self, leaving: Exit) -> _Rates:
        key = leaving.mac or leaving.ip
        return self.rates.setdefault(key, _Rates(leaving.ip, leaving.mac))


@dataclass(slots=True)
class Sending:
    """What is sent from now on, and what was published of it."""

    exits: Mapping[str, Exit] = field(default_factory=dict)
    """Where the requests to each target leave, by the target's key."""
    sweeps: dict[Exit, float] = field(default_factory=dict)
    """ARP requests per second of each sweep under way."""
    published: tuple[ProbeSource, ...] = ()
    _lent: list[tuple[float, Announce]] = field(default_factory=list)
    """What other programs send, each with the boot-time clock's second of its end."""

    def lend(self, announce: Announce, now_s: float) -> bool:
        """Take what another program is about to send; False: there are too many."""
        self.expire(now_s)
        if len(self._lent) >= _MAX_LENT:
            return False
        self._lent.append((now_s + announce.seconds, announce))
        return True

    def expire(self, now_s: float) -> None:
        """Forget programs that have ended."""
        self._lent = [one for one in self._lent if one[0] > now_s]

    def sources(self, plan: ProbePlan) -> tuple[ProbeSource, ...]:
        """Tell per own MAC what is sent by a plan; the busiest first."""
        total = _RateSum()
        for group in plan.groups:
            for target in group.targets:
                leaving = self.exits.get(target.key)
                if leaving is not None:
                    rates = total.at(leaving)
                    rates.echo_per_s += group.probes / group.interval_s
                    rates.arp_per_s += 1 / CONFIRMED_S
        self._add_quiet(plan, total)
        for leaving, arp_per_s in self.sweeps.items():
            total.at(leaving).arp_per_s += arp_per_s
        for _, one in self._lent:
            rates = total.at(Exit(one.ip, one.mac))
            rates.echo_per_s += one.echo_per_s
            rates.arp_per_s += one.arp_per_s
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

    def _add_quiet(self, plan: ProbePlan, total: _RateSum) -> None:
        """Any of the quiet targets may be asked in any second, up to the limits of all."""
        counts: dict[Exit, int] = {}
        for target in plan.quiet:
            leaving = self.exits.get(target.key)
            if leaving is not None:
                counts[leaving] = counts.get(leaving, 0) + 1
        for leaving, count in counts.items():
            rates = total.at(leaving)
            rates.echo_per_s += min(plan.quiet_per_s, count)
            rates.arp_per_s += min(plan.arp_per_s, count * SOLICITATIONS)


def covers(published: Iterable[ProbeSource], now: Iterable[ProbeSource]) -> bool:
    """Return whether readers of an announcement already allow for what is sent now."""
    known = {(one.mac, one.ip): one for one in published}
    return all(_covers(known.get((one.mac, one.ip)), one) for one in now)


def _covers(published: ProbeSource | None, now: ProbeSource) -> bool:
    return (
        published is not None
        and now.echo_per_s <= published.echo_per_s * ANNOUNCE_FROM
        and now.arp_per_s <= published.arp_per_s * ANNOUNCE_FROM
    )
