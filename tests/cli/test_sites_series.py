"""What ``sites`` makes of the series of several sites: of answers, and at real servers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tests.conftest import wait_for
from tests.promservers import SERVERS, scraping

from monitorpi_cli.sites.overview import MAX_SITES
from monitorpi_cli.sites.series import QUERIES, site_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitorpi_cli.sites.overview import SiteRow

NOW_S = 1_800_000_000.0


def rows(said_s: dict[str, float], **found: Any) -> list[SiteRow]:
    """Return the rows of sites that said something so long ago, and of what else was found."""
    answers: dict[str, Any] = {name: [] for name in QUERIES}
    answers["said"] = [({"site": site}, NOW_S - age_s) for site, age_s in said_s.items()]
    answers["state"] = [({"site": site, "state": "watching"}, 1.0) for site in said_s]
    return site_rows(answers | found, NOW_S)


@pytest.mark.parametrize(
    ("age_s", "state", "level", "reason"),
    [
        (3, "watching", "watching", None),
        (120, "watching", "watching", None),
        (121, "watching", "silent", "nothing comes from it"),
        (3, "partly", "partly", "its page says why"),
        (3, "blind", "blind", "its page says why"),
        (121, "blind", "silent", "nothing comes from it"),
        (-30, "blind", "blind", "its page says why"),
        (-31, "watching", "watching", "its clock is 31 s ahead of this one"),
        (3, "unheard-of", "silent", "it has not said whether it watches"),
        (3, None, "silent", "it has not said whether it watches"),
    ],
)
def test_a_sites_state_by_its_series(
    age_s: float, state: str | None, level: str, reason: str | None
) -> None:
    """What its page said last, unless that is old."""
    said = [({"site": "a", "state": state}, 1.0)] if state else []

    (row,) = rows({"a": age_s}, state=said)

    assert (row.level, row.age_s) == (level, age_s)
    assert row.reason is None if reason is None else reason in str(row.reason)


def test_each_site_has_its_own_numbers() -> None:
    """By the label; what has none is no site's. The worst state stands first, then the names."""
    found = rows(
        {"b": 1, "a": 2, "c": 500, "": 1},
        online=[({"site": "a"}, 7.0), ({"site": "b"}, 8.0), ({}, 1.0)],
        instances=[({"site": "a"}, 8.0), ({"site": "b"}, 8.0), ({}, 1.0)],
        open=[({"site": "a"}, 3.0)],
        critical=[({"site": "a"}, 1.0)],
        alerts=[
            ({"site": "a", "rule": "rogue-dhcp", "severity": "warning", "subject": "x"}, 1.0),
            ({"site": "a", "rule": "syn-flood", "severity": "critical", "subject": "02:00"}, 1.0),
            ({"site": "b", "rule": "port-scan", "severity": "warning", "subject": ""}, 1.0),
            ({"site": "d"}, 1.0),
        ],
    )

    assert [(row.site, row.online, row.instances, row.open_alerts, row.critical, row.worst)
            for row in found] == [
        ("c", 0, 0, 0, 0, None),
        ("a", 7, 8, 3, 1, "syn-flood: 02:00"),
        ("b", 8, 8, 0, 0, "port-scan"),
    ]  # fmt: skip
    assert len(rows({f"site{n}": 1 for n in range(MAX_SITES + 5)})) == MAX_SITES


class Pages(BaseHTTPRequestHandler):
    """The metrics of three sites, as agents there have read them; one has gone silent."""

    gone_s: ClassVar[float]

    def do_GET(self) -> None:
        """Tell them."""
        now_ms, lines = int(time.time() * 1000), []
        for site, state in (("berlin", "watching"), ("paris", "blind"), ("oslo", "watching")):
            at = int(self.gone_s * 1000) if site == "oslo" else now_ms
            for level in ("watching", "partly", "blind"):
                value = int(level == state)
                lines.append(f'monitorpi_watch_state{{site="{site}",state="{level}"}} {value} {at}')
            for service in ("capture", "prober"):
                up = int(site != "paris" or service == "prober")
                lines.append(f'monitorpi_service_up{{site="{site}",service="{service}"}} {up} {at}')
            number = int(site == "paris")
            lines.append(f'monitorpi_alerts_open{{site="{site}"}} {number} {at}')
        lines.append(
            'monitorpi_alert_open{site="paris",rule="syn-flood",severity="critical",'
            f'subject="02:00:00:00:00:01"}} 1 {now_ms}'
        )
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[int]:
    """Serve them; oslo said its last word twenty minutes ago."""
    Pages.gone_s = time.time() - 1200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``sites``."""
    run = [sys.executable, "-P", "-m", "monitorpi_cli", "sites", *words]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", SERVERS)
def test_sites_are_seen_by_their_series(pages: int, tmp_path: Path, name: str) -> None:
    """At a real store: up, watch, open alerts and age of each, also of one that is gone."""
    with scraping(name, pages, tmp_path) as (url, ask):
        wait_for(lambda: ask('monitorpi_alert_open{site="paris"}'), 60, "a scrape")
        wait_for(lambda: ask('monitorpi_service_up{site="berlin"}'), 60, "a scrape")
        done = command("--series", url, "--json")
        shown = command("--series", f"{url}/")

    assert done.stderr == ""
    found = {row.pop("site"): row for row in json.loads(done.stdout)["sites"]}
    age_s = {site: row.pop("age_s") for site, row in found.items()}
    assert list(found) == ["oslo", "paris", "berlin"]
    assert 1200 <= age_s["oslo"] < 1200 + 360
    assert max(age_s["paris"], age_s["berlin"]) < 60
    assert found["paris"] == {
        "level": "blind", "online": 1, "instances": 2, "open_alerts": 1, "critical": 1,
        "worst": "syn-flood: 02:00:00:00:00:01",
        "reason": "its page says why, and ./monitorpi status there",
    }  # fmt: skip
    assert found["berlin"] == {
        "level": "watching", "online": 2, "instances": 2, "open_alerts": 0, "critical": 0,
        "worst": None, "reason": None,
    }  # fmt: skip
    assert found["oslo"]["level"] == "silent"
    assert (done.returncode, shown.returncode) == (1, 1)
    assert "paris: syn-flood: 02:00:00:00:00:01" in shown.stdout


class Odd(BaseHTTPRequestHandler):
    """Answers with what it is told to, where the account is right."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""
    wanted: ClassVar[str | None] = None

    def do_GET(self) -> None:
        """Answer."""
        given = self.headers["Authorization"]
        self.send_response(self.status if given == self.wanted else 401)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def odd() -> Iterator[str]:
    """Serve that; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"{}", "answers HTTP 404: is it a Prometheus, and may we ask?"),
        (200, b"<html>", "answers as no Prometheus does"),
        (200, b"[]", "answers as no Prometheus does"),
        (
            200,
            b'{"data": {"result": [{"metric": [], "value": [1, "1"]}]}}',
            "as no Prometheus does",
        ),
        (
            200,
            b'{"data": {"result": [{"metric": {}, "value": [1, "x"]}]}}',
            "as no Prometheus does",
        ),
        (200, b'{"data": {"result": [{"metric": {}}]}}', "as no Prometheus does"),
    ],
)
def test_who_is_no_store_is_told(
    odd: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, said: str
) -> None:
    """In one line, with exit code 3."""
    monkeypatch.setattr(Odd, "status", status)
    monkeypatch.setattr(Odd, "body", body)

    done = command("--series", odd)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"monitorpi sites: {odd} ")
    assert said in done.stderr


def test_an_account_is_shown_to_the_proxy_before_it(
    odd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A store without sites is no error, but not all is well."""
    monkeypatch.setattr(Odd, "body", b'{"data": {"result": []}}')
    monkeypatch.setattr(Odd, "wanted", "Basic d2F0Y2hlcjpzZWNyZXQ6MQ==")
    password = tmp_path / "password"
    password.write_text("secret:1\n")

    done = command("--series", odd, "--username", "watcher", "--password-file", str(password))
    without = command("--series", odd)

    assert (done.returncode, done.stderr) == (1, "")
    assert "nothing is told of any site" in done.stdout
    assert (without.returncode, "HTTP 401" in without.stderr) == (3, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--series", "centre:8428"], 2, "--series: 'centre:8428' is not an http"),
        (["--series", "http://centre.example", "--username", "a"], 2, "would show the password"),
        (["--series", "http://127.0.0.1:1"], 3, "http://127.0.0.1:1 does not answer"),
        (["--series", "http://127.0.0.1:1", "--broker", "b:1"], 2, "not allowed with argument"),
        (["--series", "https://127.0.0.1:1", "--tls-ca", "/nowhere"], 2, "No such file"),
        (["--series", "http://127.0.0.1:1", "--password-file", "/nowhere"], 2, "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_told(words: list[str], code: int, said: str) -> None:
    """With what to change."""
    done = command(*words)

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
