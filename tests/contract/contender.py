"""The program under test: ours, or the one that ``./monitorpi contract`` was given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.conftest import Subscriber

GIVEN: dict[str, Any] = json.loads(os.environ.get("CONTENDER_FOR_MONITORPI", "{}"))
"""``service``, ``command`` and whether that is the rest of a ``docker run`` (``container``)."""


def command(service: str) -> list[str]:
    """Return the words that start a service: another's, or those of this environment."""
    if GIVEN.get("service") == service:
        return list(GIVEN["command"])
    return [str(Path(sys.executable).with_name(f"monitorpi-{service}"))]


def start(service: str, environment: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a service with an environment; ``options`` are Popen's."""
    if GIVEN.get("service") == service and GIVEN["container"]:
        return Container(environment, **options)
    return subprocess.Popen(command(service), env=environment, **options)


def killed_is_offline(
    service: str, start: Callable[[], subprocess.Popen[bytes]], seen: Subscriber
) -> None:
    """Start a program, end it by kill -9, and wait for its last will."""
    process = start()
    wait_for(lambda: seen.of(f"/{service}/status/main")[-1:] == ["online"], 10, "online")

    process.kill()

    wait_for(lambda: seen.of(f"/{service}/status/main")[-1] == "offline", 20, "the last will")


class Container(subprocess.Popen[bytes]):
    """A ``docker run``; signals reach what runs inside, SIGKILL too."""

    def __init__(self, environment: Mapping[str, str], **options: Any) -> None:
        """Run it on this machine's network, with our settings and the folders they name."""
        self.container = f"monitorpi-contract-{uuid.uuid4().hex[:12]}"
        ours = {name: text for name, text in environment.items() if name.startswith("MONITORPI_")}
        words = ["docker", "run", "--rm", "--name", self.container, "--network", "host"]
        for name, text in ours.items():
            words += ["--env", name]
            if name.endswith("_DIR"):
                Path(text).mkdir(parents=True, exist_ok=True)
                words += ["--volume", f"{text}:{text}"]
        super().__init__([*words, *GIVEN["command"]], env=environment, **options)

    def send_signal(self, sig: int) -> None:
        """Send a signal to the program, not to the client that shows it."""
        if self.poll() is None:
            name = signal.Signals(sig).name
            subprocess.run(
                ["docker", "kill", "--signal", name, self.container],
                check=False, capture_output=True, timeout=30,
            )  # fmt: skip

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)
