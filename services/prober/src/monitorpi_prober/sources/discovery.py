"""Looks for devices on the attached subnets at start and every so often."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_host import interfaces
from monitorpi_host.children import tied
from monitorpi_prober.announcement import ANNOUNCE_AGAIN
from monitorpi_prober.items import Exit, Found, KnownAddress, Sweeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monitorpi_common.log import Log
    from monitorpi_host.interfaces import Interface
    from monitorpi_prober.settings import ProberSettings

_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PATIENCE_S: Final = 30.0  # beyond the time the rate needs
HEAD_START_S: Final = 2 * ANNOUNCE_AGAIN.total_seconds()
"""Between a sweep's announcement and its first request: a detector that connects later than we do,
as when the whole stack starts, hears the next announcement."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An interface that is not swept, and why."""

    interface: str
    reason: str


def sweepable(near: Iterable[Interface], settings: ProberSettings) -> Iterator[Interface | Refusal]:
    """Choose the interfaces to sweep; an administrator wants to know why one is not.

    An interface without an address only listens, and so does one in ``listen_only``, or one that
    found no DHCP server and gave itself an address (RFC 3927).
    """
    for one in near:
        if one.loopback or not one.up or not one.has_arp or one.network is None or one.mac is None:
            continue
        if one.name in settings.listen_only or one.network.is_link_local:
            continue
        if settings.source is not None and settings.source not in (one.name, one.ip):
            continue
        addresses = max(one.network.num_addresses - 2, 1)
        if addresses > settings.discover_max_addresses:
            yield Refusal(
                one.name,
                f"{one.network} has {addresses} addresses: raise prober.discover_max_addresses "
                f"({settings.discover_max_addresses}) to sweep it",
            )
            continue
        yield one


@dataclass(slots=True)
class Discovery:
    """A source of devices that answer ARP."""

    settings: ProberSettings
    log: Log
    head_start_s: float = HEAD_START_S
    _stopped: threading.Event = field(default_factory=threading.Event)
    _logged: set[Refusal] = field(default_factory=set)

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Sweep, wait, sweep again."""
        while not self._stopped.is_set():
            for one in sweepable(interfaces.attached(), self.settings):
                if isinstance(one, Refusal):
                    self._log_refusal(one)
                elif not self._stopped.is_set():
                    self._announced_sweep(one, emit)
            self._stopped.wait(self.settings.discover_every_min * 60)

    def _log_refusal(self, refusal: Refusal) -> None:
        """Say once why an interface is not swept."""
        if refusal not in self._logged:
            self._logged.add(refusal)
            self.log.warning("not swept", interface=refusal.interface, reason=refusal.reason)

    def _announced_sweep(self, one: Interface, emit: Callable[[object], None]) -> None:
        """Sweep one subnet, and say so before."""
        leaving = Exit(str(one.ip), one.mac)
        emit(Sweeping(datetime.now(UTC), leaving, self.settings.sweep_rate))
        self._stopped.wait(self.head_start_s)
        found = None if self._stopped.is_set() else self._sweep(one)
        if found is not None:
            emit(Found(one.name, tuple(found)))
        emit(Sweeping(datetime.now(UTC), leaving, 0.0))

    def _sweep(self, one: Interface) -> list[KnownAddress] | None:
        """Run the sweep as a process of its own and read what it found; None: it was not done."""
        assert one.network is not None  # noqa: S101 - chosen by sweepable
        command = sweep_command(one, self.settings.sweep_rate)
        limit_s = one.network.num_addresses / self.settings.sweep_rate + _PATIENCE_S
        with subprocess.Popen(  # noqa: S603 - our own module, arguments of our own
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as program:
            waited = 0.0
            while waited < limit_s and not self._stopped.is_set():
                try:
                    out, problem = program.communicate(timeout=0.25)
                    break
                except subprocess.TimeoutExpired:
                    waited += 0.25
            else:
                program.kill()
                return None
        if program.returncode != 0:
            reason = problem.strip().rsplit("\n", maxsplit=1)[-1]
            self.log.warning("no sweep", interface=one.name, reason=reason)
            return None
        return list(read_answers(out, one))


def sweep_command(one: Interface, rate: float) -> list[str]:
    """Return how to sweep a subnet at so many requests per second, by a process tied to ours."""
    where = (one.name, str(one.network), str(one.mac), str(one.ip))
    return tied([sys.executable, "-P", "-m", "monitorpi_prober.sources.sweep", *where, str(rate)])


def read_answers(text: str, one: Interface) -> Iterator[KnownAddress]:
    """Read the lines of a sweep."""
    for line in text.splitlines():
        address, _, mac = line.partition(" ")
        try:
            ipaddress.IPv4Address(address)
        except ValueError:
            continue
        if _MAC.fullmatch(mac):
            yield KnownAddress(address, mac, interface=one.name)
