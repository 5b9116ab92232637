"""Who stores the rows of all sites: a VictoriaMetrics that is killed lacks none of them."""

from __future__ import annotations

import asyncio
import json
import runpy
import shutil
import ssl
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.cloud_bridge.natsworld import NatsServer, asked
from tests.conftest import ROOT, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = ROOT / "examples" / "sites" / "centre" / "store.py"
START = 1_767_323_040
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # the client leaves sockets to the collector of garbage


class SeriesServer:
    """A VictoriaMetrics that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("victoria-metrics")
        if program is None:
            pytest.skip("victoria-metrics is not installed: ./monitorpi test installs it")
        words = [
            program, f"-httpListenAddr=127.0.0.1:{self._port}", "-dedup.minScrapeInterval=1ms",
            f"-storageDataPath={self._folder}", "-retentionPeriod=100y", "-loggerLevel=ERROR",
        ]  # fmt: skip
        self.process = subprocess.Popen(tied(words), stderr=subprocess.DEVNULL)
        wait_for(self._answers, 30, "the store")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def values(self) -> list[float]:
        """Return all values of the site, in order of time."""
        query = {"match[]": 'monitorpi_SYN{site="berlin",channel="traffic"}'}
        found = httpx.get(f"{self.url}/api/v1/export", params=query, timeout=5, trust_env=False)
        return [value for line in found.text.splitlines() for value in json.loads(line)["values"]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SeriesServer]:
    """Run a store."""
    one = SeriesServer(tmp_path / "series")
    one.start()
    yield one
    one.kill()


@pytest.fixture
def server(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[NatsServer]:
    """Run a server that knows who stores, and lets nobody in without TLS."""
    cert, key = certificate
    tls = f'tls {{ cert_file: "{cert}", key_file: "{key}" }}'
    users = 'authorization { users: [{user: store, password: "right"}] }'
    one = NatsServer(tmp_path / "nats", f"{tls}\n{users}")
    one.start()
    yield one
    one.kill()


def publish(server: NatsServer, authority: str, first: int, number: int) -> None:
    """Put rows into the stream."""

    async def rows(stream: Any) -> None:
        while not await stream.streams_info():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.1)
        for n in range(first, first + number):
            row = {"id": f"berlin/traffic/{n}", "second": START + n, "values": {"SYN": float(n)}}
            await stream.publish("monitorpi-rows.berlin.traffic", json.dumps(row).encode())
        await stream.publish("monitorpi-rows.berlin.traffic", b"no row")

    there = {"tls": context(authority), "user": "store", "password": "right"}
    asked([server.port], rows, **there)


def context(authority: str) -> Any:
    """Return what a client trusts."""
    return ssl.create_default_context(cafile=authority)


def test_a_store_that_is_killed_is_given_again_what_it_forgot(
    server: NatsServer, store: SeriesServer, certificate: tuple[str, str], tmp_path: Path
) -> None:
    """What it has in memory only is lost; rows come, and come again, and each is there once."""
    (tmp_path / "password").write_text("right\n")
    with (tmp_path / "log").open("wb") as log:
        storing = subprocess.Popen(
            tied([
                sys.executable, str(PROGRAM), "--server", f"127.0.0.1:{server.port}", "--tls-ca",
                certificate[0], "--password-file", str(tmp_path / "password"), "--store", store.url,
                "--replicas", "1",
            ]),
            stderr=log,
        )  # fmt: skip
    try:
        publish(server, certificate[0], 0, 100)
        wait_for(lambda: len(store.values()) == 100, 30, "the first rows")
        store.kill()
        publish(server, certificate[0], 100, 100)
        store.start()
        wait_for(lambda: len(store.values()) >= 200, 60, "all rows")
        assert store.values() == list(range(200))
        assert storing.poll() is None
    finally:
        storing.kill()
        storing.wait()
    said = "the store was started anew: 101 messages are stored again"
    assert said in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("subject", "data", "line"),
    [
        (
            "monitorpi-rows.berlin.traffic",
            b'{"second": 7, "values": {"HTTP and HTTPS": 1.5, "SYN": 2}}',
            "monitorpi,channel=traffic,site=berlin HTTP_and_HTTPS=1.5,SYN=2.0 7",
        ),
        ("monitorpi-rows.berlin.health", b'{"second": 7, "values": {"status": "OPEN"}}', None),
        ("monitorpi-rows.berlin.health", b'{"second": 7, "values": {"a": NaN}}', None),
        ("monitorpi-rows.berlin.health", b'{"second": 7, "values": {"a": "x"}}', None),
        ("monitorpi-rows.berlin.health", b'{"second": 7, "values": [1]}', None),
        ("monitorpi-rows.berlin.health", b'{"second": 7}', None),
        ("monitorpi-rows.berlin.health", b"[]", None),
        ("monitorpi-rows.berlin.health", b"\xff", None),
        ("monitorpi-rows.berlin", b'{"second": 7, "values": {"a": 1}}', None),
        ("monitorpi-rows.berlin.x,site=oslo", b'{"second": 7, "values": {"a": 1}}', None),
        ("monitorpi-rows.a=b.traffic", b'{"second": 7, "values": {"a": 1}}', None),
        ("monitorpi-rows.berlin.traffic", b'{"second": Infinity, "values": {"a": 1}}', None),
        ("monitorpi-rows.berlin.traffic", b'{"second": -1, "values": {"a": 1}}', None),
        ("monitorpi-rows.berlin.traffic", b'{"second": 4294967296, "values": {"a": 1}}', None),
        pytest.param(
            "monitorpi-rows.berlin.traffic",
            b'{"second": 7, "values": {"a": 1' + b"0" * 400 + b"}}",
            None,
            id="too large a number",
        ),
        pytest.param("monitorpi-rows.berlin.traffic", b"[" * 10_000, None, id="too deep"),
        pytest.param(
            "monitorpi-rows.berlin.traffic",
            json.dumps({"second": 7, "values": dict.fromkeys(map(str, range(5_000)), 1)}).encode(),
            None,
            id="too long: VictoriaMetrics would refuse all that come with it",
        ),
        (
            "monitorpi-rows.berlin.traffic",
            b'{"second": 7, "values": {"": 1}}',
            "monitorpi,channel=traffic,site=berlin _=1.0 7",
        ),
    ],
)
def test_a_row_becomes_a_line(subject: str, data: bytes, line: str | None) -> None:
    """Numbers only; what is no row stays in the stream, and holds nothing up."""
    assert runpy.run_path(str(PROGRAM))["line"](subject, data) == line


def test_what_is_held_until_it_is_on_disk_takes_no_room() -> None:
    """A site may send long messages, and many: of each its answer to the stream is kept."""
    program = runpy.run_path(str(PROGRAM))
    message = SimpleNamespace(subject="monitorpi-rows.berlin.traffic", data=bytes(1_000_000))

    async def fetch(*_: object, **__: object) -> list[SimpleNamespace]:
        return [message]

    storer = program["Storer"](SimpleNamespace(fetch=fetch), None)
    asyncio.run(storer._move(b"1"))

    (held,) = storer._held
    assert (held.messages, message.data) == ([message], b"")
