"""Metrics: as a real Prometheus reads them, bounded, and only what is there."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import ROOT, wait_for
from tests.promservers import PASSWORD, SERVERS, scraping

from monitorpi_common.examples import AT, ATTACKER, EXAMPLES
from monitorpi_common.messages import CLASSES
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.topics import Topic
from monitorpi_dashboard.core import DashboardCore, Sight
from monitorpi_dashboard.picture import rates_of
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.metrics import Metrics
from monitorpi_dashboard.sinks.web import PageServer
from monitorpi_dev.reference.grafana import SITE, SITES, GrafanaBoard, dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sight() -> Sight:
    """Return what the page shows after one of every message."""
    shown: list[Sight] = []
    core = DashboardCore("home", shown.append)
    core.handle(Tick(AT, 1.0, clock_synced=True))
    core.handle(Presence(Topic("home", "detector", "status", "main"), online=True))
    for topic, message in EXAMPLES:
        core.handle(Received(topic, message))
    core.handle(Tick(AT + timedelta(seconds=1), 2.0, clock_synced=True))
    return shown[-1]


def picture() -> dict[str, Any]:
    """Return the picture of that."""
    found = sight().picture
    assert found is not None
    return found


def rates(mac: str) -> dict[str, Any]:
    """Return what a device does."""
    return rates_of(mac, sight().rows)


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_each_part_of_the_picture_is_told() -> None:
    """Wire, services, alerts, targets and the watch; no `_created`, devices by choice alone."""
    found = samples(Metrics(picture, rates, 0).text())

    names = {name for name, _ in found}
    wire = (("interface", "eth0"),)
    assert found["monitorpi_wire_frames_total", wire] == 90_031
    syn = (("class", "syn"), ("interface", "eth0"))
    assert found["monitorpi_wire_class_frames_total", syn] == 1290
    assert found["monitorpi_service_up", (("instance", "main"), ("service", "detector"))] == 1
    assert found["monitorpi_alerts_open", ()] == 1
    target = (("address", "192.168.1.10"), ("name", "printer"))
    assert found["monitorpi_target_up", target] == 1
    p95 = (*target, ("statistic", "p95"))
    assert found["monitorpi_target_round_trip_seconds", p95] == pytest.approx(0.0007)
    assert not [name for name in names if name.endswith("_created") or "device_" in name]


def test_the_busiest_devices_are_told_where_that_is_wanted() -> None:
    """So many and no more: each MAC address is a handful of series."""
    document = picture()
    one = next(iter(document["devices"].values()))
    document["devices"] = {
        n: {**one, "mac": f"02:00:00:00:00:{n:02x}", "tx": {"bytes": n}, "rx": {}}
        for n in range(50)
    }

    found = samples(
        Metrics(lambda: document, lambda _: {"tx": {"bytes": 1, "syn": 1}, "rx": {}}, 3).text()
    )

    macs = {dict(labels)["mac"] for name, labels in found if "device_" in name}
    assert macs == {f"02:00:00:00:00:{n:02x}" for n in (47, 48, 49)}


def test_before_the_first_picture_nothing_is_told() -> None:
    """A page that has just started has no metrics, and no error."""
    assert Metrics(dict, rates, 5).text() == b""


@pytest.fixture
def server() -> Iterator[PageServer]:
    """Serve a picture behind a password."""
    board = Board()
    one = PageServer(board, "127.0.0.1", 0, PASSWORD, max_devices=10)
    one.open()
    board.put(sight())
    thread = threading.Thread(target=one.run, args=(lambda _: board.put(sight()),))
    thread.start()
    yield one
    one.stop()
    thread.join()


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_reads_them(server: PageServer, tmp_path: Path, name: str) -> None:
    """Debian's scrapes the page with its password and answers queries with what was counted."""
    with scraping(name, server.port, tmp_path) as (_, ask):
        found = wait_for(lambda: ask("monitorpi_wire_frames_total"), 60, "a scrape")
        assert found[0]["value"][1] == "90031"
        assert ask('up{job="monitorpi"}')[0]["value"][1] == "1"
        mac = ask("monitorpi_device_class_frames_per_second")[0]["metric"]["mac"]
        assert mac == ATTACKER
        assert ask("scrape_samples_scraped")[0]["value"][1] != "0"


_QUIET = "> 0"
"""A query of what should not happen is empty, and is run without its condition."""


def committed(board: GrafanaBoard) -> list[str]:
    """Return the queries of a dashboard as it is committed."""
    file = {SITE: "grafana-dashboard.json", SITES: "grafana-sites.json"}[board]
    panels = json.loads((ROOT / "contracts" / file).read_bytes())["panels"]
    return [one["expr"] for panel in panels for one in panel["targets"]]


def plain(query: str, site: str = ".*") -> str:
    """Return a query as Grafana asks it."""
    asked = query.replace("$__rate_interval", "1m").replace("$interface", ".*")
    return asked.replace("$site", site)


@pytest.mark.parametrize("name", SERVERS)
def test_each_query_of_the_dashboard_is_answered(
    server: PageServer, tmp_path: Path, name: str
) -> None:
    """By what was scraped: a metric that is renamed leaves no panel empty unseen."""
    asked = committed(SITE)
    assert tuple(asked) == SITE.queries

    with scraping(name, server.port, tmp_path) as (_, ask):
        for query in map(plain, asked):
            ask(query)  # as it is, it is understood
            wait_for(lambda query=query: ask(query.removesuffix(_QUIET)), 60, query)
        assert ask("monitorpi_no_such_metric") == []


@pytest.mark.parametrize("name", SERVERS)
def test_sites_stand_side_by_side(server: PageServer, tmp_path: Path, name: str) -> None:
    """Each query tells of each site by its name; one that is chosen stands alone, in both."""
    asked = committed(SITES)
    assert tuple(asked) == SITES.queries
    chosen = {name for one in asked for name in re.findall(r'class=~"([^"]+)"', one)}
    assert {name for one in chosen for name in one.split("|")} <= {*CLASSES}

    with scraping(name, server.port, tmp_path, "berlin", "paris") as (_, ask):

        def told(query: str) -> set[str]:
            return {one["metric"]["site"] for one in ask(query)}

        # a page tells of the classes that were seen, and this one saw few
        asked = [re.sub('class=~"[^"]+"', 'class=~"syn"', query) for query in asked]
        for query in map(plain, asked):
            wait_for(lambda query=query: told(query) == {"berlin", "paris"}, 60, query)
        assert {query for query in asked if told(plain(query, "paris")) != {"paris"}} == set()
        for query in SITE.queries:
            both, one = (ask(plain(query, site).removesuffix(_QUIET)) for site in (".*", "paris"))
            assert both
            assert one
            assert len(one) <= len(both)
            assert all(series["metric"].get("site", "paris") == "paris" for series in one)


@pytest.mark.parametrize("board", [SITE, SITES])
def test_a_dashboard_fits_its_grid(board: GrafanaBoard) -> None:
    """No panel covers another or reaches beyond the right edge; each says what it needs."""
    whole = dashboard(board)
    panels = whole["panels"]
    taken: set[tuple[int, int]] = set()
    for one in panels:
        at = one["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({one["id"] for one in panels}) == len(panels)
    named = [one["name"] for one in whole["templating"]["list"]]
    asked = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(whole)))
    assert asked <= {*named}, "what is not chosen anywhere"
