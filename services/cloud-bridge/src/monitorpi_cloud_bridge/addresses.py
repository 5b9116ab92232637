"""The addresses of a server's name, in the order in which they are worth a try. I/O.

One address of a name may swallow what is sent to it: a route that leads nowhere, IPv6 that an
operator broke, a tunnel whose long packets vanish. RFC 8305 lets addresses race; here calls are
seconds apart and one after the other, so each address gets a second or two, and one that failed is
last for a while.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RESOLVE_S: Final = 10.0
"""For the name: resolv.conf(5) asks a silent server twice for 5 s."""
SHORT_TRY_S: Final = 2.0
"""To connect, where another address is left: RFC 8305 waits 2 s at most before the next one."""
LONG_TRY_S: Final = 10.0
"""To connect to the last one: a satellite's round trip, and two SYNs lost on the way."""
MOST_ADDRESSES: Final = 6
FORGOTTEN_S: Final = 600.0
"""After so long an address that failed is worth as much as the others: routes are mended."""


@dataclass(slots=True)
class ServerAddresses:
    """What is known of addresses, for all calls of this process. Safe for several threads."""

    clock: Callable[[], float] = time.monotonic
    _failed_s: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, the most promising first.

        Raises:
            OSError: there is none, or nobody says so in time.

        """
        if _is_address(host):
            return [host]
        found = list(dict.fromkeys(_resolve(host, port)))[:MOST_ADDRESSES]
        with self._lock:
            return sorted(found, key=lambda one: self._failed_s.get(one, 0.0))

    def failed(self, address: str) -> None:
        """Let an address be the last one for a while."""
        with self._lock:
            now = self.clock()
            young = {a: s for a, s in self._failed_s.items() if now - s < FORGOTTEN_S}
            self._failed_s = {**young, address: now}

    def answered(self, address: str) -> None:
        """Let an address be as good as the others again."""
        with self._lock:
            self._failed_s.pop(address, None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _resolve(host: str, port: int) -> list[str]:
    """Ask the resolver, in a thread that may be left behind: nothing ends its wait.

    Raises:
        OSError: there is no address, or nobody says so in time.

    """
    found: list[str] = []
    errors: list[OSError] = []

    def look() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # one with a zone is of this link: it can stand in no address of a call
            found.extend(str(info[4][0]) for info in infos if "%" not in str(info[4][0]))
        except (OSError, UnicodeError) as error:
            errors.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look, name="resolver", daemon=True)
    thread.start()
    thread.join(RESOLVE_S)
    if found:
        return list(found)
    if errors:
        raise errors[0]
    raise OSError(f"no address of {host} in {RESOLVE_S:g} s")
