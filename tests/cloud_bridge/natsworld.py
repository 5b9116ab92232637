"""Real servers of NATS with JetStream, and what their streams hold."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import NotFoundError, ServiceUnavailableError
from tests.cloud_bridge.cloudworld import START
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import destinations_of
from monitorpi_cloud_bridge.sinks.jetstream import JetStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class NatsServer:
    """One nats-server on loopback that can be killed and started again on its port and store."""

    folder: Path
    settings: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        program = shutil.which("nats-server") or shutil.which("/usr/sbin/nats-server")
        if program is None:
            pytest.skip("nats-server is not installed: ./monitorpi test installs it")
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "nats.conf"
        store = f'jetstream {{ store_dir: "{self.folder}/store" }}'
        config.write_text(f"listen: 127.0.0.1:{self.port}\n{store}\n{self.settings}\n")
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", config], stdout=log, stderr=log)
        wait_for(self._accepts, what="nats-server to listen")

    def _accepts(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def cluster(folder: Path) -> list[NatsServer]:
    """Prepare three servers that know each other."""
    routes = [free_port() for _ in range(3)]
    known = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    return [
        NatsServer(
            folder / f"n{number}",
            f"server_name: n{number}\n"
            f"cluster {{ name: c, listen: 127.0.0.1:{route}, routes: [{known}] }}",
        )
        for number, route in enumerate(routes)
    ]


async def _with_stream(ports: Sequence[int], what: Any, **options: Any) -> Any:
    client = Client()
    await client.connect([f"nats://127.0.0.1:{port}" for port in ports], **options)
    try:
        return await what(client.jetstream(timeout=3))
    finally:
        await client.close()


def asked(ports: Sequence[int], what: Any, **options: Any) -> Any:
    """Ask JetStream something; ``what`` takes its context.

    What is asked while servers choose who leads them is not answered: it is asked again.
    """
    for _ in range(12):
        with suppress(NoAnswer, ServiceUnavailableError):
            return asyncio.run(_with_stream(ports, what, **options))
    pytest.fail("JetStream does not answer")


def seconds_in(ports: Sequence[int], subject: str = ">", **options: Any) -> list[int]:
    """Return the seconds of the rows that a stream holds, in their order there."""

    async def read(stream: Any) -> list[int]:
        try:
            name = await stream.find_stream_name_by_subject("monitorpi-rows.lab.traffic")
        except NotFoundError:
            return []
        left = (await stream.stream_info(name)).state.messages
        reader = await stream.subscribe(subject, stream=name, ordered_consumer=True)
        return [json.loads((await reader.next_msg()).data)["second"] for _ in range(left)]

    found: list[int] = asked(ports, read, **options)
    return found


def sink(*ports: int, **settings: Any) -> JetStream:
    """Return the sink of the channel `traffic`, as it is made from settings."""
    nats = {"servers": [f"127.0.0.1:{port}" for port in ports], "tls": False, **settings}
    found = destinations_of(CloudBridgeSettings.model_validate({"nats": nats}), "lab")
    assert isinstance(found[0].sink, JetStream)
    return found[0].sink


def rows(first: int, number: int, start: int = START) -> list[OutboxRow]:
    """Return rows of some seconds."""
    return [
        OutboxRow("nats/traffic", start + n, {"field7": str(n), "field1": "0.5"})
        for n in range(first, first + number)
    ]
