"""Finds addresses of host names, and names of addresses, without anybody waiting for them.

Theory of operation. Looking up blocks for seconds when a name server is away, so it has threads of
its own: one for the host names of the configuration (without an address they are not probed), one
for the names of devices (nice to have, slowly). The core says what it wants; results are items.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from icmplib import NameLookupError, resolve

from monitorpi_prober import mdns
from monitorpi_prober.rounds import Named, Wanted
from monitorpi_prober.targets import Resolution

if TYPE_CHECKING:
    from collections.abc import Callable

REFRESH_S: Final = 300.0
"""A host name's address is looked up again this often: home routers hand out leases of hours."""
RETRY_S: Final = 30.0
GIVE_UP_S: Final = 3600.0
"""An address without a name is asked for again after this time."""
_PAUSE_S: Final = 0.2  # at most five questions a second to anybody's name server
_MDNS_S: Final = 0.5
_MAX_ASKED: Final = 8192


@dataclass(slots=True)
class HostNames:
    """A source of addresses for the host names of the configuration."""

    _wanted: tuple[str, ...] = ()
    _due: dict[str, float] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False

    def want(self, wanted: Wanted) -> None:
        """Take what shall be looked up; called from another thread."""
        if wanted.hostnames != self._wanted:
            self._wanted = wanted.hostnames
            self._wake.set()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped = True
        self._wake.set()

    def run(self, emit: Callable[[object], None]) -> None:
        """Look up what is due, for ever."""
        while not self._stopped:
            for name in self._wanted:
                if self._due.get(name, 0.0) <= time.monotonic() and not self._stopped:
                    found = look_up(name)
                    emit(found)
                    again = REFRESH_S if found.ip else RETRY_S
                    self._due[name] = time.monotonic() + again
            self._wake.wait(1.0 if self._wanted else RETRY_S)
            self._wake.clear()


def look_up(hostname: str) -> Resolution:
    """Return the address of a host name, IPv4 where it has one."""
    for family in (4, 6):
        try:
            return Resolution(hostname, resolve(hostname, family)[0])
        except NameLookupError:
            continue
        except (OSError, UnicodeError, IndexError):
            break
    return Resolution(hostname, None, f"the host name {hostname} does not resolve")


@dataclass(slots=True)
class DeviceNames:
    """A source of names for addresses, from reverse DNS, then from the device itself by mDNS."""

    source: str | None = None
    _wanted: tuple[str, ...] = ()
    _asked: OrderedDict[str, float] = field(default_factory=OrderedDict)
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
                name = reverse_dns(address) or ask_device(address, self.source)
                if name is not None:
                    emit(Named(address, name))
                self._wake.wait(_PAUSE_S)
            self._wake.clear()

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
    """Return the name the resolver has for an address, without the local domain."""
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
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if source is not None and source.count(".") == 3:  # noqa: PLR2004 - dots of an IPv4 address
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
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
