"""doctor at the servers of NATS that rows go to: each way that fails has its words."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.natsworld import NatsServer

from monitorpi_cli.doctor.nats import try_nats
from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.settings import NatsSettings
from monitorpi_cloud_bridge.sinks.clouds import nats_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # the client leaves the socket of a connection that failed to the collector of garbage


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Let it be collected here, and not at somebody else's."""
    yield
    gc.collect()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run one that has an account."""
    users = "authorization { users: [{ user: home, password: right }] }"
    one = NatsServer(tmp_path / "nats", users)
    one.start()
    yield one
    one.kill()


def said(*ports: int, **settings: object) -> str:
    """Return the line of doctor for some servers."""
    servers = [f"127.0.0.1:{port}" for port in ports]
    nats = NatsSettings.model_validate({"servers": servers, "password": "right", **settings})
    found = try_nats(nats_account(nats, "home"))
    return f"{found.mark} {found}"


def test_doctor_tries_the_servers(server: NatsServer) -> None:
    """As the bridge would connect."""
    gone = free_port()

    good = f"ok cloud: 127.0.0.1:{server.port}: connected as home"
    assert said(server.port, tls=False) == good
    assert said(gone, server.port, tls=False) == good
    wrong = said(server.port, tls=False, password="wrong")
    assert wrong.startswith(f"wrong cloud: refused by 127.0.0.1:{server.port}: ")
    assert "check the account 'home' and its password" in wrong
    nobody = said(gone, tls=False)
    assert "nobody listens there" in nobody
    assert "start the server, or check cloud-bridge.nats.servers" in nobody
    assert "it wants no TLS" in said(server.port)
