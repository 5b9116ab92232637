"""Alerts, devices and targets as Home Assistant is shown them."""

from __future__ import annotations

from typing import Any

from monitorpi_common.examples import example
from monitorpi_common.messages import (
    Alert,
    Device,
    Wire,
)

MAC = "b8:27:eb:00:00:01"


# --- alerts by rule -------------------------------------------------------------------------------


def alert(key: str, state: str = "open", **more: Any) -> Alert:
    """Return an alert."""
    return example(Alert).model_copy(update={"key": key, "state": state} | more)


# --- rates ----------------------------------------------------------------------------------------


def wire(**more: Any) -> Wire:
    """Return a window of two seconds."""
    plain: dict[str, Any] = {"window_s": 2.0, "packets": 90, "bytes": 1000, "kernel_drops": 10,
                             "counts": {"syn": 5}, "link_bps": 8000}  # fmt: skip
    return example(Wire).model_copy(update=plain | more)


# --- hosts ----------------------------------------------------------------------------------------


def device(mac: str = MAC, **more: Any) -> Device:
    """Return a device as capture says it is."""
    return example(Device).model_copy(update={"mac": mac, "hostname": None, "vendor": None} | more)
