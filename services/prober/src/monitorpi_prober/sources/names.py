"""Finds addresses of host names, and names of addresses, without anybody waiting for them.

Theory of operation. Looking up blocks for seconds when a name server is away, so it has threads of
its own: some for the host names of the configuration (without an address they are not probed, and
none waits for another), one for the names of devices (nice to have, slowly; while the name server
is away it asks the devices only). The core says what it wants; results are items.
"""

from __future__ import annotations

import math
import secrets
import socket
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from icmplib import NameLookupError, resolve

from monitorpi_prober.items import NameFound, Resolution, Wanted
from monitorpi_prober.sources import mdns
from monitorpi_prober.sources.exits import leaves_from, place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REFRESH_S: Final = 300.0
"""A host name's address is looked up again this often: home routers hand out leases of hours."""
RETRY_S: Final = 30.0
GIVE_UP_S: Final = 3600.0
"""An address without a name is asked for again after this time."""
_AT_ONCE: Final = 8  # host names under way: a few dead name servers hold up nobody
_AWAY_S: Final = 2.0
"""A refusal comes at once; who takes this long does not answer (resolv.conf(5): 5 s a try)."""
LEAVE_ALONE_S: Final = 60.0
"""A name server that did not answer is not asked for this time."""
_PAUSE_S: Final = 0.2  # at most five questions a second to anybody's name server
_MDNS_S: Final = 0.5
_MAX_ASKED: Final = 8192
_MAX_OTHERS: Final = 7  # addresses of one name that are tried


@dataclass(slots=True)
class HostNames:
    """A source of addresses for the host names of the configuration."""

    _wanted: tuple[str, ...] = ()
    _stale: tuple[str, ...] = ()
    """Those whose address does not answer: looked up more often."""
    _due: dict[str, float] = field(default_factory=dict)
    """When each name is looked up next; infinite while it is being looked up."""
    _asked: dict[str, float] = field(default_factory=dict)
    """When each name was looked up last."""
    _lines: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE)
    )
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False

    def want(self, wanted: Wanted) -> None:
        """Take what shall be looked up; called from another thread."""
        if (wanted.hostnames, wanted.stale) != (self._wanted, self._stale):
            self._wanted, self._stale = wanted.hostnames, wanted.stale
            self._wake.set()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped = True
        self._wake.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Look up what is due, for ever."""
        while not self._stopped:
            for name in self._wanted:
                if self._is_due(name, time.monotonic()) and self._lines.acquire(blocking=False):
                    self._due[name] = math.inf
                    threading.Thread(target=self._look_up, args=(name, emit), daemon=True).start()
            self._wake.wait(1.0 if self._wanted else RETRY_S)
            self._wake.clear()

    def _is_due(self, name: str, now: float) -> bool:
        due = self._due.get(name, 0.0)
        if name in self._stale and due < math.inf:
            due = min(due, self._asked.get(name, 0.0) + RETRY_S)
        return due <= now

    def _look_up(self, name: str, emit: Callable[[object], None]) -> None:
        self._asked[name] = time.monotonic()
        found = look_up(name)
        self._due[name] = time.monotonic() + (REFRESH_S if found.ip else RETRY_S)
        self._lines.release()
        if not self._stopped:
            emit(found)
            self._wake.set()


def look_up(hostname: str) -> Resolution:
    """Return the addresses of a host name, those of IPv4 first."""
    found: list[str] = []
    for family in (4, 6):
        try:
            found += resolve(hostname, family)
        except NameLookupError:
            continue
        except (OSError, UnicodeError):
            break
    if not found:
        return Resolution(hostname, None, f"the host name {hostname} does not resolve")
    first, *others = dict.fromkeys(found)
    return Resolution(hostname, first, others=tuple(others[:_MAX_OTHERS]))


def look_up_all(hostnames: Sequence[str]) -> list[Resolution]:
    """Return the addresses of some host names; none waits for another."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(look_up, hostnames))


@dataclass(slots=True)
class DeviceNames:
    """A source of names for addresses, from reverse DNS, then from the device itself by mDNS."""

    source: str | None = None
    _wanted: tuple[str, ...] = ()
    _asked: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _dns_from: float = 0.0
    """When the name server is asked again."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False

    def want(self, wanted: Wanted) -> None:
        """Take what shall be looked up; called from another thread."""
        self._wanted = wanted.addresses
        self._wake.set()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped = True
        self._wake.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Ask for one name after the other."""
        while not self._stopped:
            address = self._next()
            if address is None:
                self._wake.wait(RETRY_S)
            else:
                name = self._name_of(address)
                if name is not None:
                    emit(NameFound(address, name))
                self._wake.wait(_PAUSE_S)
            self._wake.clear()

    def _name_of(self, address: str) -> str | None:
        """Ask the name server, then the device."""
        asked_at = time.monotonic()
        name = reverse_dns(address) if asked_at >= self._dns_from else None
        if name is None and time.monotonic() - asked_at > _AWAY_S:
            self._dns_from = time.monotonic() + LEAVE_ALONE_S
        if time.monotonic() < self._dns_from:
            self._asked[address] = time.monotonic() + REFRESH_S
        return name or ask_device(address, self.source)

    def _next(self) -> str | None:
        now = time.monotonic()
        for address in self._wanted:
            if self._asked.get(address, 0.0) <= now:
                self._asked[address] = now + GIVE_UP_S
                if len(self._asked) > _MAX_ASKED:
                    self._asked.popitem(last=False)
                return address
        return None


def reverse_dns(address: str) -> str | None:
    """Return the name the resolver has for an address."""
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        return None
    shown = "".join(character for character in name if character.isprintable())
    return shown[:255] or None


def ask_device(address: str, source: str | None) -> str | None:
    """Ask on the LAN who has an IPv4 address; only its own answer is taken."""
    if ":" in address:
        return None
    own = leaves_from(address, place(source))
    if own is None:
        return None
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
            sock.sendto(mdns.question(address, secrets.randbelow(1 << 16)), mdns.GROUP)
            until = time.monotonic() + _MDNS_S
            while (left := until - time.monotonic()) > 0:
                sock.settimeout(left)
                data, sender = sock.recvfrom(9000)
                if sender[0] == address and (name := mdns.answer(data, address)) is not None:
                    return name
    except OSError:
        return None
    return None
