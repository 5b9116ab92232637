"""What the tests of the common library share."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.common.echoes import ECHO
from tests.common.loopworld import World
from tests.common.pahoworld import Wire
from tests.common.scriptedbroker import ScriptedBroker, Waiting

from monitorpi_common import handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Broker


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a loop that has not run yet."""
    return World(monkeypatch)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return the parts of a bus that nobody else moves."""
    return Wire(monkeypatch)


@pytest.fixture
def echo(
    broker: Broker, processes: list[subprocess.Popen[str]]
) -> Callable[..., subprocess.Popen[str]]:
    """Start the smallest service as a process."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, ECHO, *arguments],
            env=broker.environment(MONITORPI_BROKER__KEEPALIVE_S="5", **environment),
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    return start


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedBroker:
    """Stand in for paho, the broker and the clock."""
    one = ScriptedBroker()
    connection = handover._Connection
    monkeypatch.setattr(handover, "client_of", one)
    monkeypatch.setattr(handover, "_Connection", lambda client: connection(client, Waiting(one)))
    monkeypatch.setattr(handover.time, "monotonic", lambda: one.now_s)
    return one
