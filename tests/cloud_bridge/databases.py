"""Servers that take line protocol: doubles of four kinds, and the real ones where Debian has them.

A double answers as its kind does, in status, words and in what it keeps; the same table of writes
is given to the double and to the real server (test_databases.py), so that neither drifts.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.web import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitorpi_cloud_bridge.sinks.dialects import Version

DAY_S = 86_400
DATABASE = "monitorpi"
_LINE = re.compile(r"(?P<series>[^ ]+) (?P<fields>.+) (?P<second>\d+)")
_FIELD = re.compile(r'(?P<name>[^=,]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^,"]*)')
Rows = dict[tuple[int, str], "float | str"]
"""What a server keeps, by second and name of the field."""


class LineServer(Protocol):
    """A server, double or real."""

    version: Version
    url: str

    def rows(self) -> Rows:
        """Return what it keeps."""
        ...


def sink(server: LineServer, **more: Any) -> Influx:
    """Return the bridge's writer to a server."""
    target = {"db": DATABASE}
    if server.version == "v2":
        target = {"org": "home", "bucket": DATABASE}
    return Influx(
        server.url, server.version, target, more.pop("token", None), {"site": "lab"}, {}, 10.0,
        client(timeout_s=5.0), **more,
    )  # fmt: skip


def words(version: Version, text: str, code: str = "invalid") -> dict[str, Any]:
    """Return the body of an error as a version words it."""
    return {"code": code, "message": text} if version == "v2" else {"error": text}


@dataclass
class LineDouble:
    """A double of one kind. Use as a context manager."""

    version: Version
    retention_s: float = float("inf")
    token: str = ""
    most_bytes: int = 25_000_000
    now: float | None = None
    failing: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    """Answers to come that are not the server's: a portal, a gateway."""
    poison: str = "\0"
    """A line that contains this is refused as of a wrong type."""
    kept: Rows = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer(*owner.look(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                allowed = self.headers.get("Authorization", "")
                self._answer(*owner.write(self.path, allowed, body))

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                owner.calls.append((self.path, status))
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep no log."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients are killed: part of the game."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rows(self) -> Rows:
        """Return what it keeps."""
        return dict(self.kept)

    def look(self, target: str) -> tuple[int, bytes, dict[str, str]]:
        """Answer a GET."""
        path = urlsplit(target).path
        if self.version == "victoriametrics" and path == "/flags":
            days = self.retention_s / DAY_S
            flag = f'-retentionPeriod="{days:g}d"\n' if days < 1e6 else ""
            return 200, f'-httpListenAddr=":8428"\n{flag}'.encode(), {}
        return 404, b"404 page not found\n", {}

    def write(self, target: str, allowed: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Answer a write."""
        if self.failing:
            return self.failing.pop(0)
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        paths = {"v1": "/write", "v2": "/api/v2/write", "v3": "/api/v3/write_lp"}
        if path not in {paths.get(self.version), *self._more_paths()}:
            missing = 400 if self.version == "victoriametrics" else 404
            return missing, b"404 page not found\n", {}
        refusal = self._refusal(query, allowed, body)
        if refusal is not None:
            status, record = refusal
            return status, json.dumps(record).encode(), {}
        return self._take(body.decode().split("\n"))

    def _more_paths(self) -> set[str]:
        return {"/write", "/api/v2/write"} if self.version == "victoriametrics" else set()

    def _refusal(
        self, query: dict[str, str], allowed: str, body: bytes
    ) -> tuple[int, dict[str, Any]] | None:
        """Refuse a call as such."""
        schemes = {"v1": "Basic", "v2": "Token"}
        secret = self.token
        if self.version == "v1":
            secret = base64.b64encode(self.token.encode()).decode()
        if self.token and allowed != f"{schemes.get(self.version, 'Bearer')} {secret}":
            return 401, words(self.version, "unauthorized access", "unauthorized")
        if self.version == "v2" and "org" not in query and "orgID" not in query:
            return 400, words(self.version, "Please provide either orgID or org")
        database = query.get("bucket" if self.version == "v2" else "db")
        if self.version in ("v1", "v2") and database != DATABASE:
            what = "database" if self.version == "v1" else "bucket"
            return 404, words(self.version, f'{what} not found: "{database}"', "not found")
        if len(body) > self.most_bytes:
            return 413, words(self.version, "Request Entity Too Large", "request too large")
        return None

    def _take(self, lines: list[str]) -> tuple[int, bytes, dict[str, str]]:
        """Keep what is good, and say what is not, as this version says it."""
        now = time.time() if self.now is None else self.now
        parsed = {n: self._parse(line) for n, line in enumerate(lines, 1)}
        broken = {n: lines[n - 1] for n, one in parsed.items() if not one}
        if self.version == "v2" and broken:
            text = f"unable to parse '{next(iter(broken.values()))}': missing field value"
            return 400, json.dumps(words("v2", text)).encode(), {}
        old = [n for n, one in parsed.items() if one and one[0] < now - self.retention_s]
        ahead = [n for n, one in parsed.items() if one and one[0] > now + 2 * DAY_S]
        dropped = [*old, *(ahead if self.version == "victoriametrics" else [])]
        conflicts: dict[int, str] = {}
        for n, one in parsed.items():
            if not one or n in dropped:
                continue
            conflict = self._conflict(one[1]) if self.poison not in lines[n - 1] else "SYN"
            if conflict and self.version != "victoriametrics":
                conflicts[n] = conflict
            else:
                self.kept |= {(one[0], name): value for name, value in one[1].items()}
        if self.version == "victoriametrics":
            return 204, b"", {}
        return self._say(lines, broken, old, conflicts)

    def _parse(self, line: str) -> tuple[int, dict[str, float | str]] | None:
        """Take a line apart; None: it is none."""
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        fields: dict[str, float | str] = {}
        for one in _FIELD.finditer(found["fields"]):
            text = one["value"]
            if text.startswith('"'):
                is_metrics = self.version == "victoriametrics"
                fields[one["name"]] = 0.0 if is_metrics else text[1:-1].replace('\\"', '"')
                continue
            try:
                fields[one["name"]] = float(text)
            except ValueError:
                return None
        return int(found["second"]), fields

    def _conflict(self, fields: dict[str, float | str]) -> str | None:
        for name, value in fields.items():
            known = next((kept for (_, key), kept in self.kept.items() if key == name), value)
            if type(known) is not type(value):
                return name
        return None

    def _say(
        self, lines: list[str], broken: dict[int, str], old: list[int], conflicts: dict[int, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        if self.version == "v3":
            data = [
                {
                    "original_line": lines[n - 1], "line_number": n,
                    "error_message": "No fields were provided" if n in broken else "invalid column "
                    f"type for column '{conflicts.get(n)}'",
                }
                for n in sorted({*broken, *conflicts})
            ]  # fmt: skip
            text = "partial write of line protocol occurred"
            record: dict[str, Any] = {"error": text, "data": data}
            return (400, json.dumps(record).encode(), {}) if data else (204, b"", {})
        if broken:
            named = "\n".join(
                f"unable to parse '{s}': missing field value" for s in broken.values()
            )
            return 400, json.dumps({"error": f"partial write: {named} dropped=0"}).encode(), {}
        text = ""
        if conflicts:
            name = next(iter(conflicts.values()))
            text = (
                f'partial write: field type conflict: input field "{name}" on measurement '
                f'"monitorpi" is type string, already exists as type float dropped={len(conflicts)}'
            )
        elif old and self.version == "v1":
            text = f"partial write: points beyond retention policy dropped={len(old)}"
        elif old:
            text = (
                f"partial write: dropped {len(old)} points outside retention policy of duration "
                "168h0m0s - oldest point monitorpi,site=lab at 2026-01-01T00:00:00Z dropped "
                "because it violates a Retention Policy Lower Bound at 2026-01-01T00:00:00Z, "
                "newest point monitorpi,site=lab at 2026-01-01T00:00:00Z dropped because it "
                f"violates a Retention Policy Lower Bound at 2026-01-01T00:00:00Z "
                f"dropped={len(old)} for database: 9f282d63c7d3a5c0 for retention policy: autogen"
            )
        if not text:
            return 204, b"", {}
        if self.version == "v1":
            return 400, json.dumps(words("v1", text)).encode(), {}
        whole = words("v2", f"failure writing points to database: {text}", "unprocessable entity")
        return 422, json.dumps(whole).encode(), {}


# --- the real ones --------------------------------------------------------------------------------


@dataclass
class RealInflux1:
    """Debian's InfluxDB 1.6.7, one database that keeps seven days."""

    url: str
    version: Version = "v1"

    def ask(self, query: str) -> Any:
        """Ask in its own language."""
        asked = {"db": DATABASE, "epoch": "s", "q": query}
        return httpx.post(f"{self.url}/query", params=asked, trust_env=False).json()["results"][0]

    def rows(self) -> Rows:
        """Return what it keeps."""
        kept: Rows = {}
        for series in self.ask("SELECT * FROM monitorpi").get("series", []):
            for values in series["values"]:
                named = dict(zip(series["columns"], values, strict=True))
                for name, value in named.items():
                    if name not in ("time", "site") and value is not None:
                        kept[named["time"], name] = value
        return kept


@dataclass
class RealVictoriaMetrics:
    """Debian's VictoriaMetrics, as it comes: it keeps a month."""

    url: str
    version: Version = "victoriametrics"

    def rows(self) -> Rows:
        """Return what it keeps."""
        httpx.get(f"{self.url}/internal/force_flush", trust_env=False)
        asked = {"match[]": '{__name__=~"monitorpi_.*"}'}
        kept: Rows = {}
        answer = httpx.get(f"{self.url}/api/v1/export", params=asked, trust_env=False)
        for line in answer.text.splitlines():
            series = json.loads(line)
            name = series["metric"]["__name__"].removeprefix("monitorpi_")
            for moment, value in zip(series["timestamps"], series["values"], strict=True):
                kept[moment // 1000, name] = value
        return kept


@contextmanager
def running(command: list[str], port: int) -> Iterator[str]:
    """Run a server until the test ends; wait until it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def listens() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/metrics", trust_env=False).status_code > 0
        return False

    try:
        wait_for(listens, 60, f"{command[0]} to listen")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def real_influx1(folder: Path) -> Iterator[RealInflux1]:
    """Run InfluxDB 1 with a database that keeps seven days."""
    program = shutil.which("influxd")
    if program is None:
        pytest.skip("InfluxDB is not installed: ./monitorpi test installs it")
    port, other = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{other}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\n'
    )
    with running([program, "run", "-config", str(config)], port) as url:
        server = RealInflux1(url)
        server.ask(f"CREATE DATABASE {DATABASE} WITH DURATION 7d")
        yield server


@contextmanager
def real_victoriametrics(folder: Path) -> Iterator[RealVictoriaMetrics]:
    """Run VictoriaMetrics as it comes."""
    program = shutil.which("victoria-metrics")
    if program is None:
        pytest.skip("VictoriaMetrics is not installed: ./monitorpi test installs it")
    port = free_port()
    command = [program, f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}"]
    with running(command, port) as url:
        yield RealVictoriaMetrics(url)
