"""Frames of single packets."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import (
    IPv6,
)

from monitorpi_capture.frame.classify import class_names, classify

HOST = "02:00:00:00:00:01"
PEER = "02:00:00:00:00:02"


def classes(data: bytes, wire_length: int | None = None, *, stripped: bool = False) -> set[str]:
    """Return what a frame counts for."""
    length = len(data) if wire_length is None else wire_length
    return set(class_names(classify(data, length, stripped)[0]))


def ipv4(payload: Any, **fields: Any) -> Any:
    """Return an IPv4 packet."""
    return IP(src="192.0.2.1", dst="192.0.2.2", **fields) / payload


def ipv6(payload: Any) -> Any:
    """Return an IPv6 packet."""
    return IPv6(src="2001:db8::1", dst="2001:db8::2") / payload
