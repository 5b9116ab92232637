"""Who may see the page: by which host names it answers, and who knows the password.

A request for a host name that is not ours is refused, so that a web page on the Internet cannot
read a LAN through the visitor's browser (DNS rebinding). Whoever guesses passwords is slowed down
and, after some tries, not listened to for a while: by address, so that nobody keeps others out.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from typing import Final

from monitorpi_common.allowance import Allowance
from monitorpi_common.endpoint import names_this_machine

USER: Final = "monitorpi"
GUESS_S: Final = 0.5
"""Before a wrong password is answered."""
GUESSES: Final = 10
"""Wrong passwords at once from one address, and one more each :data:`AGAIN_S`."""
AGAIN_S: Final = 6.0
MAX_GUESSERS: Final = 1024
_V6_SITE: Final = 64
"""Bits of an IPv6 address that one subscriber has for himself."""


class Door:
    """Judges requests by their head."""

    def __init__(self, password: str | None, hosts: tuple[str, ...] = ()) -> None:
        self._hosts = hosts
        wanted = None if password is None else f"{USER}:{password}"
        self._wanted = wanted and b"Basic " + base64.b64encode(wanted.encode())
        self._guessers: OrderedDict[str, Allowance] = OrderedDict()
        self._guard = threading.Lock()

    def knows(self, host: str | None) -> bool:
        """Return whether a Host header names this machine by an address or a name we know."""
        return names_this_machine(host, self._hosts)

    def opens(self, authorization: str | None, address: str) -> bool | None:
        """Return whether the right password was given, or none is needed; None: not listened to."""
        if not self._wanted:
            return True
        if authorization is None:
            return False
        if not self._listens(address, spend=False):
            return None
        if hmac.compare_digest(authorization.encode(), self._wanted):
            return True
        listened = self._listens(address, spend=True)
        time.sleep(GUESS_S)
        return False if listened else None

    def _listens(self, address: str, *, spend: bool) -> bool:
        """Return whether an address has guesses left; take one, if it was one."""
        name, now_s = _subscriber(address), time.monotonic()
        with self._guard:
            if name not in self._guessers and not spend:
                return True
            one = self._guessers.setdefault(name, Allowance(1 / AGAIN_S, GUESSES))
            self._guessers.move_to_end(name)
            if len(self._guessers) > MAX_GUESSERS:
                self._guessers.popitem(last=False)
            return one.take(now_s) if spend else one.has(now_s)


def _subscriber(address: str) -> str:
    """Return whom an address belongs to: of IPv6 a whole network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, _V6_SITE), strict=False))
    return str(ip)
