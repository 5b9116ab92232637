"""Processes of services at one broker, with a folder for each service: for tests of several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.contract import contender

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.conftest import Broker


@dataclass
class Replicas:
    """Starts them; what they print is in a file for each service."""

    broker: Broker
    folder: Path
    processes: list[subprocess.Popen[Any]]
    """Whatever is in it is ended with the test."""
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, service: str, **more: str) -> subprocess.Popen[Any]:
        """Start one more process of a service."""
        state = self.folder / service
        state.mkdir(exist_ok=True)
        environment = self.broker.environment(
            MONITORPI_STATE_DIR=str(state), MONITORPI_PROBER__DISCOVER="false",
            MONITORPI_TRUST_CLOCK="true", **self.variables, **more,
        )  # fmt: skip
        with (self.folder / f"{service}.log").open("ab") as log:
            process = contender.start(service, environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def log(self, service: str) -> str:
        """Return what the processes of a service have printed."""
        return (self.folder / f"{service}.log").read_text(errors="replace")
