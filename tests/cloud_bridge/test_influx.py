"""The second cloud: lines for InfluxDB."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import START

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from pathlib import Path


def test_influx_gets_lines_and_needs_no_second_look() -> None:
    """The second cloud behind the same outbox: labels, tags, escapes, seconds."""
    sink = Influx(
        "http://127.0.0.1:9", "v2", {"org": "o", "bucket": "b"}, "t",
        {"site": "my home", "channel": "traffic"}, {"field7": "SYN"}, 10.0, client(),
    )  # fmt: skip
    rows = [
        OutboxRow("influx/traffic", START, {"field7": "12", "field1": "0.5"}),
        OutboxRow("influx/traffic", START + 1, {"status": 'OPEN "x"'}),
    ]

    lines = sink.prepare(rows).decode().splitlines()

    assert lines == [
        f"monitorpi,channel=traffic,site=my\\ home SYN=12.0,field1=0.5 {START}",
        f'monitorpi,channel=traffic,site=my\\ home status="OPEN \\"x\\"" {START + 1}',
    ]
    assert sink.verify([0, 1]) == set()
    sink.close()


@pytest.mark.parametrize(
    ("version", "target", "path", "scheme"),
    [
        ("v2", {"org": "o", "bucket": "b"}, "/api/v2/write?org=o&bucket=b&precision=s", "Token"),
        ("v3", {"db": "b"}, "/api/v3/write_lp?db=b&precision=second", "Bearer"),
    ],
)
def test_influx_over_http(
    tmp_path: Path, version: Any, target: dict[str, str], path: str, scheme: str
) -> None:
    """Rows reach both write endpoints; a refusal waits, an answer of success settles them."""
    seen: list[tuple[str, str, bytes]] = []
    answers = [503, 204, 204]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(answers[len(seen) - 1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    now = float(START)
    sink = Influx(
        f"http://127.0.0.1:{server.server_address[1]}", version, target, "t", {}, {}, 10.0, client()
    )
    box = RowOutbox(tmp_path / "outbox.sqlite")
    destination = UploadDestination("influx/traffic", sink, counts_for_quota=False)
    uploader = Uploader(
        box, destination, YearlyQuota(0), Log("test-cloud", "error"), lambda: now, lambda: now
    )
    box.add([OutboxRow("influx/traffic", START, {"field1": "5"})], {})

    uploader.step()
    assert box.counts("influx/traffic")["waiting"] == 1
    now += 20
    uploader.step()

    assert seen[1] == (path, f"{scheme} t", f"monitorpi field1=5.0 {START}".encode())
    assert box.counts("influx/traffic")["stored"] == 1
    server.shutdown()
    server.server_close()
    sink.close()
    box.close()
