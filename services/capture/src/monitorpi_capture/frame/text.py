"""Addresses as people write them. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=8192)
def mac_text(mac: bytes) -> str:
    """Return a MAC address as people write it."""
    return mac.hex(":")


@lru_cache(maxsize=8192)
def ip_text(address: bytes) -> str:
    """Return an IP address as people write it: a flood's victims are few, and slow to write."""
    return str(ipaddress.ip_address(address))
