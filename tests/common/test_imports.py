"""A service imports what it needs: each megabyte and each tenth of a second is taken from a Pi."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

HEAVY: Final[dict[str, frozenset[str]]] = {
    "httpx": frozenset({"cloud_bridge"}),
    "uvicorn": frozenset({"history"}),
    "starlette": frozenset({"history"}),
    "anyio": frozenset({"history"}),
    "prometheus_client": frozenset({"dashboard"}),
    "icmplib": frozenset({"prober"}),
    "sqlite3": frozenset({"cloud_bridge", "history", "notifier"}),
    "http.server": frozenset({"dashboard"}),
    "asyncio": frozenset({"prober", "history"}),  # for icmplib, uvicorn
    # what is loaded when it is needed, in a process of its own or not at all
    "apprise": frozenset(),
    "requests": frozenset(),
    "scapy": frozenset(),
    "pytest": frozenset(),
    "unittest": frozenset(),
    "xml.etree": frozenset(),
    "boto3": frozenset(),
    "google": frozenset(),
    "azure": frozenset(),
    "yaml": frozenset(),
}
"""Packages that cost memory or time, and the services that need them from the start on."""
SERVICES: Final = (
    "capture", "prober", "detector", "cloud_bridge", "history", "dashboard", "notifier",
    "home_assistant",
)  # fmt: skip
COMMON: Final = ("monitorpi_common", "monitorpi_host")


def imported(service: str) -> set[str]:
    """Return what a service has imported once it is connected."""
    code = f"import sys, monitorpi_{service}.__main__, monitorpi_common.mqtt; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_what_it_needs(service: str) -> None:
    """Of what is heavy neither more nor less; of ours nothing of another service or of tools."""
    modules = imported(service)

    assert HEAVY.keys() & modules == {name for name, whose in HEAVY.items() if service in whose}
    ours = {name.split(".")[0] for name in modules if name.startswith("monitorpi_")}
    assert ours - {*COMMON} == {f"monitorpi_{service}"}
