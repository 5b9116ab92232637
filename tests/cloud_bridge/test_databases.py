"""InfluxDB 1, 2, 3 and VictoriaMetrics: what each keeps, refuses and drops without a word."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from tests.cloud_bridge.databases import (
    DATABASE,
    DAY_S,
    LineDouble,
    LineServer,
    real_influx1,
    real_victoriametrics,
    sink,
)
from tests.conftest import wait_for

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LANE = "influx/traffic"
WEEK_S = 7 * DAY_S
KINDS = ["v1", "v2", "v3", "victoriametrics"]
SERVERS = [*KINDS, "real v1", "real victoriametrics"]


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[LineServer]:
    """Run a double that keeps a week (VictoriaMetrics: a month), or a real server."""
    match kind:
        case "real v1":
            with real_influx1(folder) as one:
                yield one
        case "real victoriametrics":
            with real_victoriametrics(folder) as real:
                yield real
        case _:
            retention_s = 31 * DAY_S if kind == "victoriametrics" else WEEK_S
            with LineDouble(cast("Any", kind), retention_s) as double:
                yield double


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineServer]:
    """Run each kind of server."""
    with serving(request.param, tmp_path) as one:
        yield one


class Bridge:
    """An outbox and its uploader in simulated time that begins now: real servers have a clock."""

    def __init__(self, server: LineServer, folder: Path, **more: Any) -> None:
        self.now = float(int(time.time()) // 20 * 20)
        self.box = RowOutbox(folder / "outbox.sqlite")
        self.sink = sink(server, **more)
        self.destination = UploadDestination(LANE, self.sink, counts_for_quota=False)
        self.uploader = Uploader(
            self.box, self.destination, YearlyQuota(0), Log("test-cloud", "error"),
            lambda: self.now, lambda: self.now, thin_above=100_000,
        )  # fmt: skip

    def add(self, second: float, **fields: str) -> None:
        """Write a row."""
        self.box.add([OutboxRow(LANE, int(second), fields or {"field1": "1"})], {})

    def live(self, until: Callable[[], bool], most_s: int = 3600) -> int:
        """Let a row come each 20 s until something is so; returns the seconds it took."""
        begun = self.now
        while not until():
            assert self.now < begun + most_s, (self.box.counts(LANE), self.destination.last_answer)
            self.now += 10
            if self.now % 20 == 0:
                self.add(self.now)
            self.uploader.step()
        return int(self.now - begun)

    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return self.box.counts(LANE)["waiting"] + self.box.counts(LANE)["in_flight"] == 0

    def set_aside(self) -> list[int]:
        """Return the seconds of the rows that were given up."""
        return list(self.box.refusals(LANE))

    def close(self) -> None:
        """End it."""
        self.box.close()
        self.sink.close()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    """Make bridges that end with the test."""
    made: list[Bridge] = []

    def make(server: LineServer, **more: Any) -> Bridge:
        folder = tmp_path / f"bridge{len(made)}"
        folder.mkdir()
        made.append(Bridge(server, folder, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def write(server: LineServer, body: str) -> tuple[int, dict[str, str]]:
    """Write lines by hand, as the bridge would; returns status and what was said."""
    path = {"v1": "/write", "v3": "/api/v3/write_lp"}.get(server.version, "/api/v2/write")
    query = {"db": DATABASE, "precision": "second" if server.version == "v3" else "s"}
    if server.version == "v2":
        query = {"org": "home", "bucket": DATABASE, "precision": "s"}
    answer = httpx.post(f"{server.url}{path}", params=query, content=body, trust_env=False)
    return answer.status_code, answer.json() if server.version == "v1" and answer.text else {}


def table(now: int) -> dict[str, str]:
    """Return writes that differ between the kinds, by what is wrong with them."""
    line = "monitorpi,site=lab field1="
    return {
        "good": f"{line}1 {now}\n{line}2 {now + 1}",
        "again": f"{line}3 {now}",
        "text": f'monitorpi,site=lab status="OPEN \\"x\\"" {now + 2}',
        "conflict": f'{line}4 {now + 3}\n{line}"five" {now + 4}',
        "old": f"{line}5 {now - 40 * DAY_S}\n{line}6 {now - 8 * DAY_S}\n{line}7 {now + 5}",
        "ahead": f"{line}8 {now + 3 * DAY_S}\n{line}9 {now + 6}",
        "broken": f"{line}10 {now + 7}\n{line} {now + 8}\n{line}11 {now + 9}",
    }


@pytest.mark.parametrize("kind", ["v1", "victoriametrics"])
def test_a_double_answers_and_keeps_as_the_real_server_does(tmp_path: Path, kind: str) -> None:
    """Each write of a table, in turn: status, words, and what is kept in the end."""
    now = int(time.time())
    with serving(kind, tmp_path) as double, serving(f"real {kind}", tmp_path) as real:
        for what, body in table(now).items():
            if (kind, what) == ("victoriametrics", "again"):
                continue  # it keeps both values of one moment, and either may come first
            assert write(double, body)[0] == write(real, body)[0], what
            if kind == "v1":
                assert write(double, body)[1] == write(real, body)[1], what

        wait_for(lambda: double.rows() == real.rows(), 20, "the same rows")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("v1", "/api/v2/write?bucket=monitorpi"),
        ("victoriametrics", "/api/v3/write_lp?db=monitorpi"),
    ],
)
def test_a_double_has_no_path_that_the_real_server_lacks(
    tmp_path: Path, kind: str, path: str
) -> None:
    """InfluxDB 1.6 has no version 2 of it, VictoriaMetrics none of version 3."""
    with serving(kind, tmp_path) as double, serving(f"real {kind}", tmp_path) as real:
        codes = [
            httpx.post(f"{one.url}{path}", content=b"m a=1 1", trust_env=False).status_code
            for one in (double, real)
        ]

    assert codes[0] == codes[1] >= 400


def test_each_row_arrives_and_what_cannot_is_set_aside_with_its_reason(
    server: LineServer, bridge: Callable[..., Bridge]
) -> None:
    """Rows older than the retention, one of a wrong type, a text; new rows come meanwhile."""
    one = bridge(server)
    now = one.now
    one.add(now - 40)
    one.live(one.is_empty)  # now the type of the field is settled
    is_metrics = server.version == "victoriametrics"
    too_old = [now - 40 * DAY_S + 20 * n for n in range(30)]
    old = too_old + [now - 9 * DAY_S + 20 * n for n in range(30)]
    for second in [*old, *(now - 3600 + 20 * n for n in range(170))]:
        one.add(second)
    one.add(now - 1801, status="OPEN flood")
    clash = now - 1799
    write(server, f'monitorpi,site=lab clash="text" {int(now) - 50}')
    one.add(clash, clash="1")

    one.live(one.is_empty)

    expected = {
        "v1": {*old, clash}, "v2": {*old, clash}, "v3": {clash},
        "victoriametrics": {*too_old, now - 1801},
    }[server.version]  # fmt: skip
    assert set(one.set_aside()) == expected
    kept = {second for second, _ in server.rows()}
    assert kept >= {int(now - 3600 + 20 * n) for n in range(170)}
    assert not kept & expected
    assert ((int(now - 1801), "status") in server.rows()) is (not is_metrics)
    reasons = one.box.refusals(LANE)
    if server.version != "v3":
        assert {reasons[int(second)] for second in too_old} <= {
            "older than the retention there", "older than the retention there, 31 days"
        }  # fmt: skip


def test_eight_days_offline_against_a_bucket_that_keeps_seven(
    tmp_path: Path, bridge: Callable[..., Bridge]
) -> None:
    """Some 6,000 rows wait, a day of them too old: live with the first call, done in two minutes.

    It drops by shard, not by the second: whole days, of which one is over at any time of the day.
    """
    with serving("real v1", tmp_path) as server:
        one = bridge(server)
        begin = (int(one.now) - 8 * DAY_S) // DAY_S * DAY_S
        seconds = list(range(begin, int(one.now), 120))
        for second in seconds:
            one.add(second)

        took = one.live(one.is_empty)

        kept = {second for second, _ in server.rows()}
        bound = one.now - WEEK_S
        assert set(one.set_aside()) == {s for s in seconds if s not in kept}
        assert kept >= {s for s in seconds if s > bound + 300}
        assert len(one.set_aside()) == DAY_S / 120
        assert took <= 120


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Welcome to our Wi-Fi</html>"),
        (200, b""),
        (302, b""),
        (400, b"<html>Bad Request</html>"),
        (502, b"<html>Bad Gateway</html>"),
        (503, b""),
        (408, b""),
        (429, b""),
        (451, b""),
    ],
)
def test_what_is_not_the_servers_answer_stores_nothing_and_blames_nobody(
    tmp_path: Path, bridge: Callable[..., Bridge], kind: str, status: int, body: bytes
) -> None:
    """A captive portal and a gateway, for half an hour, while rows come: all arrive after it."""
    with serving(kind, tmp_path) as server:
        assert isinstance(server, LineDouble)
        one = bridge(server)
        begun = one.now
        server.failing = [(status, body, {"Location": "http://portal.example/"})] * 1000
        one.live(lambda: one.now > begun + 1800)
        assert one.destination.stored_total == 0
        assert len(server.calls) < 60

        server.failing = []
        one.live(one.is_empty)

        assert one.set_aside() == []
        assert set(range(int(begun) + 20, int(begun) + 1800, 20)) <= {s for s, _ in server.rows()}


@pytest.mark.parametrize("kind", ["v1", "v2", "v3"])
def test_a_wrong_token_is_looked_at_again_and_no_row_is_lost(
    tmp_path: Path, bridge: Callable[..., Bridge], kind: str
) -> None:
    """Somebody makes the token valid: within an hour rows flow, without a restart."""
    with serving(kind, tmp_path) as server:
        assert isinstance(server, LineDouble)
        server.token = "another:token"
        one = bridge(server, token="user:secret")
        begun = one.now
        one.live(lambda: one.now > begun + 4 * 3600, 5 * 3600)
        assert one.destination.stopped
        assert len(server.calls) < 12

        server.token = "user:secret"
        one.live(one.is_empty, 2 * 3600)

        assert one.set_aside() == []
        assert len(server.rows()) >= 4 * 180


def test_a_missing_organisation_throws_no_row_away(
    tmp_path: Path, bridge: Callable[..., Bridge]
) -> None:
    """InfluxDB 2 answers 400 to every call without one: rows are kept, and it is said."""
    with serving("v2", tmp_path) as server:
        assert isinstance(server, LineDouble)
        one = bridge(server)
        one.sink._query.pop("org")
        begun = one.now
        one.live(lambda: one.now > begun + 3600, 7200)

        assert one.set_aside() == []
        assert one.box.counts(LANE)["waiting"] >= 180
        assert "provide either orgID or org" in one.destination.last_answer


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"Retry-After": "120"}, 120),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:30:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            120,
        ),
        ({"Retry-After": "99999999999999999999"}, 3600),
        ({"Retry-After": "soon"}, 10),
        ({"Retry-After": "-5"}, 10),
    ],
)
def test_a_server_says_how_long_to_wait(
    tmp_path: Path, bridge: Callable[..., Bridge], headers: dict[str, str], waits: int
) -> None:
    """In seconds, or as a date by its own clock; a year is an hour, words are nothing."""
    with serving("v2", tmp_path) as server:
        assert isinstance(server, LineDouble)
        one = bridge(server)
        server.failing = [(429, b"", headers)]
        one.add(one.now)
        one.uploader.step()

        assert one.destination.next_call_s - one.now == waits
