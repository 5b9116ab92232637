"""A LAN whose hosts claim addresses."""

from __future__ import annotations

from tests.detector.wire import Wire

ROUTER, PC, PHONE, EVIL = (f"04:00:00:00:00:{n}" for n in ("01", "10", "20", "66"))
EVIL_ID = EVIL.replace(":", "")
GATEWAY = "198.18.0.1"
VRRP = "00:00:5e:00:01:0a"


def lan(until: int, *, gateway: str = ROUTER, served: bool = True) -> Wire:
    """Return a wire with a router that DHCP names, a PC and a stranger that is a plain host."""
    wire = Wire()
    if served:
        wire.dhcp(2, "04:00:00:00:00:05", "04:00:00:00:00:77", "198.18.0.77")
    wire.lives(gateway, GATEWAY, until, each=10)
    wire.lives(PC, "198.18.0.10", until)
    wire.lives(EVIL, "198.18.0.66", until)
    return wire
