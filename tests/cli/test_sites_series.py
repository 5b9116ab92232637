"""What ``sites`` makes of the series of several sites: of answers, and at real servers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for
from tests.promservers import SERVERS, scraping
from tests.serving import serving

from monitorpi_cli.sites.overview import MAX_SITES
from monitorpi_cli.sites.series import QUERIES, site_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
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
        worst=[
            ({"site": "a", "rule": "syn-flood", "severity": "critical", "subject": "02:00"}, 2.0),
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


@pytest.mark.parametrize(("written", "shown"), [(7.9, 7), (-3.0, 0), (1e300, 1_000_000_000)])
def test_no_site_makes_the_table_wider_than_a_count(written: float, shown: int) -> None:
    """Whatever number it writes."""
    (row,) = rows({"a": 1}, open=[({"site": "a"}, written)], critical=[({"site": "a"}, written)])

    assert (row.open_alerts, row.critical) == (shown, shown)


def metrics(gone_s: float) -> bytes:
    """Return what agents at three sites have read; oslo said its last word some time ago."""
    now_ms, lines = int(time.time() * 1000), []
    for site, state in (("berlin", "watching"), ("paris", "blind"), ("oslo", "watching")):
        at = int(gone_s * 1000) if site == "oslo" else now_ms
        for level in ("watching", "partly", "blind"):
            value = int(level == state)
            lines.append(f'monitorpi_watch_state{{site="{site}",state="{level}"}} {value} {at}')
        for service in ("capture", "prober"):
            up = int(site != "paris" or service == "prober")
            lines.append(f'monitorpi_service_up{{site="{site}",service="{service}"}} {up} {at}')
        number = 2 * int(site == "paris")
        lines.append(f'monitorpi_alerts_open{{site="{site}"}} {number} {at}')
    for rule, severity in (("arp-storm", "warning"), ("syn-flood", "critical")):
        lines.append(
            f'monitorpi_alert_open{{site="paris",rule="{rule}",severity="{severity}",'
            f'subject="02:00:00:00:00:01"}} 1 {now_ms}'
        )
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def pages() -> Iterator[int]:
    """Serve them; oslo said its last word twenty minutes ago."""
    gone_s = time.time() - 1200
    with serving(lambda *_: (200, metrics(gone_s))) as port:
        yield port


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
        "level": "blind", "online": 1, "instances": 2, "open_alerts": 2, "critical": 1,
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
def test_who_is_no_store_is_told(status: int, body: bytes, said: str) -> None:
    """In one line, with exit code 3."""
    with serving(lambda *_: (status, body)) as port:
        done = command("--series", f"http://127.0.0.1:{port}")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"monitorpi sites: http://127.0.0.1:{port} ")
    assert said in done.stderr


def test_what_a_site_writes_steers_neither_terminal_nor_table() -> None:
    """Its name and its labels are anybody's words, and so are its numbers."""
    name, evil = "\x1b[2Jparis", json.dumps("\x1b]0;x\x07")
    sample = {"site": name, "state": "blind", "rule": json.loads(evil), "subject": "\n"}
    found = [
        {"metric": sample, "value": [1, "1"]},
        *({"metric": {"site": "nan"}, "value": [1, one]} for one in ("NaN", "+Inf", "-Inf")),
    ]
    body = json.dumps({"data": {"result": found}}).encode()

    with serving(lambda *_: (200, body)) as port:
        done = command("--series", f"http://127.0.0.1:{port}")

    assert (done.returncode, done.stderr) == (1, "")
    assert "?[2Jparis" in done.stdout
    assert all(character.isprintable() for line in done.stdout.split("\n") for character in line)
    assert "nan" not in done.stdout


def test_an_account_is_shown_to_the_proxy_before_it(tmp_path: Path) -> None:
    """A store without sites is no error, but not all is well."""
    password = tmp_path / "password"
    password.write_text("secret:1\n")

    def proxy(_: str, headers: Message) -> tuple[int, bytes]:
        is_known = headers["Authorization"] == "Basic d2F0Y2hlcjpzZWNyZXQ6MQ=="
        return 200 if is_known else 401, b'{"data": {"result": []}}'

    with serving(proxy) as port:
        there = ["--series", f"http://127.0.0.1:{port}"]
        done = command(*there, "--username", "watcher", "--password-file", str(password))
        without = command(*there)

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
