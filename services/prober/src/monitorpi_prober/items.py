"""What the pinger, the sweeps and the name service hand the core, and what it asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitorpi_prober.schedule import ProbeGroup, ProbePlan

NO_NETWORK: Final = "no-network"
NO_NEIGHBOUR: Final = "no-neighbour"
UNREACHABLE: Final = "unreachable"
NO_REPLY: Final = "no-reply"
UNSENT: Final = "unsent"
LATE: Final = "late"
ALTERED: Final = "altered"
OTHER_ADDRESS: Final = "other-address"
NO_ADDRESS: Final = "no-address"
DUPLICATE: Final = "duplicate"
"""What ``cause`` may say; see the contract."""

_AWAY: Final = frozenset({NO_NETWORK, NO_NEIGHBOUR, UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Echoes:
    """What became of the requests to one target."""

    key: str
    times_ms: tuple[float | None, ...]
    """Of those that were sent, in order of sending; None: no sound reply in time."""
    error: str | None = None
    cause: str | None = None
    unsent: int = 0
    """Requests that never left this machine."""
    late: int = 0
    altered: int = 0
    """Of those with None: answered late, or with something else than a sound reply."""

    @property
    def answers(self) -> bool:
        """Somebody is there, whatever is wrong with what it says."""
        return self.late + self.altered > 0 or any(time is not None for time in self.times_ms)

    @property
    def is_evidence(self) -> bool:
        """It says something of the target: a request this machine could not send does not."""
        return bool(self.times_ms) or self.cause in _AWAY


@dataclass(frozen=True, slots=True)
class ProbeAttempt:
    """One request outside of a round, and what became of it."""

    at: datetime
    echoes: Echoes
    has_neighbour: bool
    """The address, or the router to it, answers ARP or neighbour discovery."""


@dataclass(frozen=True, slots=True)
class Exit:
    """An own address that packets leave from, and the MAC address of its interface."""

    ip: str
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class PlanTaken:
    """The pinger goes by this plan from now on."""

    at: datetime
    plan: ProbePlan
    exits: Mapping[str, Exit]
    """Where the requests to each target leave this machine, by the target's key."""


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A round of one group, measured."""

    start: datetime
    end: datetime
    plan: ProbePlan
    group: ProbeGroup
    echoes: tuple[Echoes, ...]
    noise_ms: tuple[float, ...] = ()
    """Round trips over loopback in the same round."""


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """An address with what is known of who has it."""

    address: str
    mac: str | None = None
    hostname: str | None = None
    vendor: str | None = None
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a host name of the configuration resolves to; no address: ``error`` tells why."""

    hostname: str
    ip: str | None
    error: str | None = None
    others: tuple[str, ...] = ()
    """Its further addresses, in order."""


@dataclass(frozen=True, slots=True)
class Found:
    """All devices that a sweep of one interface has found."""

    interface: str
    sightings: tuple[KnownAddress, ...]


@dataclass(frozen=True, slots=True)
class Sweeping:
    """A sweep sends this many ARP requests per second from now on; 0: it has ended."""

    at: datetime
    leaving: Exit
    arp_per_s: float


@dataclass(frozen=True, slots=True)
class NameFound:
    """DNS or mDNS has a name for an address."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the name service shall look up, in order of urgency."""

    hostnames: tuple[str, ...]
    addresses: tuple[str, ...]
    stale: tuple[str, ...] = ()
    """Host names whose address does not answer: asked anew before their time."""
