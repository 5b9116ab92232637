"""Alerts, devices and targets as the notifier is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.notifier.rig import SAMPLE

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Device, Target
from monitorpi_notifier.directory import Directory

BERLIN = timezone(timedelta(hours=1))
AT = datetime(2026, 11, 30, 2, 12, 5, tzinfo=UTC)
MACS = [f"b8:27:eb:00:00:0{number}" for number in range(1, 7)]


def device(mac: str = MACS[0], **more: Any) -> Device:
    """Return a device as capture says it is."""
    plain = {"mac": mac, "hostname": None, "vendor": None, "ips": []}
    return example(Device).model_copy(update=plain | more)


def target(**more: Any) -> Target:
    """Return a target as the prober says it is."""
    plain = {"mac": MACS[0], "name": "printer", "address": "192.0.2.1", "vendor": None}
    return example(Target).model_copy(update=plain | more)


def directory(*messages: Any) -> Directory:
    """Return what is known after some messages."""
    found = Directory()
    for message in messages:
        is_target = isinstance(message, Target)
        found.receive(message.address.replace(".", "-") if is_target else "x", message)
    return found


def alert(**more: Any) -> Alert:
    """Return an alert of a minute that began at AT."""
    evidence = SAMPLE.evidence.model_copy(update={
        "sources": [], "victims": [], "value": 1012.0, "threshold": 100.0, "baseline": None,
        "peak": 2000.0, "unit": "frames/s",
    } | more.pop("evidence", {}))  # fmt: skip
    plain = {
        "subject": "b827eb000001",
        "opened_at": AT,
        "at": AT + timedelta(seconds=60),
        "closed_at": None,
        "evidence": evidence,
        "summary": "many SYNs",
        "rule": "syn-flood",
    }
    return SAMPLE.model_copy(update=plain | more)
