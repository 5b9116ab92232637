"""What several targets have in common: who they are, and who of them belongs together. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_detector.targets.presence import Stay

GROUP: Final = 3
"""Devices that change together are a group from so many on; two may be a coincidence."""
MAX_RESUMED: Final = 32
"""Causes that are taken up from the process before us."""
_NAMES: Final = 5


@dataclass(slots=True)
class CommonCause:
    """One cause of what happened to several targets."""

    cause: str
    """The rule that reports it."""
    subject: str
    began: float
    members: dict[str, Stay]
    """By address."""

    @property
    def devices(self) -> list[Stay]:
        """The members, one target of each device."""
        return list({stay.mac or stay.address: stay for stay in self.members.values()}.values())

    @property
    def names(self) -> str:
        """The first members by name, and how many more."""
        named = [stay.name or stay.address for stay in self.devices]
        more = len(named) - _NAMES
        return ", ".join(named[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def is_beyond(stay: Stay, others: Sequence[Stay]) -> bool:
    """Return whether a target is beyond the router: it has no MAC address on this wire.

    A private address may be a neighbour whose MAC address nobody learned, unless those of
    others are known.
    """
    if stay.mac is not None:
        return False
    if stay.ip is None:
        return True  # a host name of the configuration
    address = ipaddress.ip_address(stay.ip.partition("%")[0])
    return address.is_global or any(other.mac is not None for other in others)


def count_devices(stays: Iterable[Stay]) -> int:
    """Return how many devices these targets are."""
    return len({stay.mac or stay.address for stay in stays})


def clusters(
    changed: Iterable[tuple[float, Stay]], within_s: float
) -> list[list[tuple[float, Stay]]]:
    """Group targets by when they changed: within so many seconds of the first one."""
    found: list[list[tuple[float, Stay]]] = []
    for pair in sorted(changed, key=lambda one: (one[0], one[1].address)):
        if found and pair[0] - found[-1][0][0] <= within_s:
            found[-1].append(pair)
        else:
            found.append([pair])
    return found
