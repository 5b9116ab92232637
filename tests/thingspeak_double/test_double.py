"""The double answers as the service is documented to, and hides keys."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import httpx
import pytest
from tests.thingspeak_double.calls import Clock, ask, bulk

from monitorpi_thingspeak_double import Double, Switches


def test_bulk_update_and_feeds(double: Double) -> None:
    """Rows written in one call come back in order, labelled fields only, values as strings."""
    channel = double.cloud.add_channel("x", ["one"])

    status, said = ask(
        double, f"/channels/{channel.id}/bulk_update.json", bulk(channel.write_key, 2, 1)
    )
    _, feeds = ask(double, f"/channels/{channel.id}/feeds.json", THINGSPEAKAPIKEY=channel.read_key)

    assert (status, said) == (202, {"success": True})
    assert [row["field1"] for row in feeds["feeds"]] == ["1", "2"]
    assert feeds["channel"]["last_entry_id"] == 2


@pytest.mark.parametrize(
    ("how", "status", "rows"),
    [("drop_row", 202, 3), ("reject_409", 409, 2), ("lost_after_202", 202, 2), ("insert", 202, 4)],
)
def test_duplicates(clock: Clock, how: Any, status: int, rows: int) -> None:
    """What becomes of a batch with a row that exists is a switch: the service does not say."""
    with Double(Switches(dup_bulk=how, bulk_interval_s=0), clock=clock) as double:
        channel = double.cloud.add_channel("x", ["one"])
        path = f"/channels/{channel.id}/bulk_update.json"
        ask(double, path, bulk(channel.write_key, 1, 2))

        assert ask(double, path, bulk(channel.write_key, 2, 3))[0] == status
        assert len(channel.rows) == rows


def test_the_log_and_the_page_hold_no_key(double: Double) -> None:
    """What the double remembers of requests is method, path and status; the page escapes text."""
    channel = double.cloud.add_channel("<b>x", ["<i>one"])
    ask(double, f"/channels/{channel.id}/bulk_update.json", bulk(channel.write_key, 1))
    ask(double, f"/channels/{channel.id}/feeds.json?api_key={channel.read_key}")
    with urllib.request.urlopen(double.url + "/", timeout=5) as answer:  # noqa: S310 - ours
        page = answer.read().decode()

    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    for text in (page, *(entry.path for entry in double.log)):
        assert channel.write_key not in text
        assert channel.read_key not in text


def test_the_page_plots_every_field_over_time(double: Double) -> None:
    """Values over the time they stand at, texts as marks and newest first; nothing breaks it."""
    channel = double.cloud.add_channel("x", ["one", "two", "three"])
    rows = [
        {"created_at": "2027-01-15T08:00:00Z", "field1": "0", "field2": "-1", "field3": "?"},
        {"created_at": "2027-01-15T08:00:10Z", "status": "OPEN <flood>"},
        {"created_at": "2027-01-15T08:00:30Z", "field1": "0", "field2": "1"},
        {"created_at": "2027-01-15T08:00:40Z", "field1": "1234567", "field2": "3", "field3": "nan"},
        {"created_at": "2027-01-15T08:00:40Z", "status": "CLOSED"},
    ]
    body = {"write_api_key": channel.write_key, "updates": rows}
    double.switches.dup_bulk = "insert"
    ask(double, f"/channels/{channel.id}/bulk_update.json", body)

    with urllib.request.urlopen(double.url + "/", timeout=5) as answer:  # noqa: S310 - ours
        page = answer.read().decode()

    assert page.count("<figure>") == 3
    assert "<b>1,234,567</b>" in page
    assert '<polyline class="line" points="0.0,80.0 225.0,80.0 300.0,0.0"/>' in page
    assert '<polyline class="line" points="0.0,80.0 225.0,40.0 300.0,0.0"/>' in page
    assert '<path class="mark" d="M75.0 0V80"/>' in page
    assert page.index("CLOSED") < page.index("OPEN &lt;flood&gt;")
    assert "highest 0<" in page


def test_the_double_runs_alone_with_every_switch() -> None:
    """As a process it prints where it is and its keys, behaves as chosen, and ends when told."""
    words = ["--bulk-interval", "0", "--dup-bulk", "reject_409", "--too-many", "400"]
    words += ["--update-429", "--commit-delay", "0", "--cache", "300"]
    with subprocess.Popen(
        [sys.executable, "-m", "monitorpi_thingspeak_double", *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        path = f"{told['url']}/channels/{told['channel']}/bulk_update.json"
        row = {"created_at": "2027-01-15T08:00:00Z", "field1": "1"}
        body = {"write_api_key": told["write_key"], "updates": [row]}
        with httpx.Client() as web:
            answers = [web.post(path, json=body).status_code for _ in range(2)]
            many = web.post(path, json=body | {"updates": [row] * 961}).status_code
            update = {"api_key": told["write_key"], "field1": "1"}
            early = [web.post(f"{told['url']}/update", data=update).status_code for _ in range(2)]
        process.terminate()

    assert (answers, many, early, process.returncode) == ([202, 409], 400, [200, 429], 0)


def test_feeds_show_labelled_fields_with_null_for_what_is_missing(double: Double) -> None:
    """A field without a label never comes back; texts come on request."""
    channel = double.cloud.add_channel("x", ["one", "two"])
    row = {"created_at": "2027-01-15T08:00:01Z", "field1": 1, "field3": 3, "status": "s"}
    path = f"/channels/{channel.id}"
    ask(double, f"{path}/bulk_update.json", {"write_api_key": channel.write_key, "updates": [row]})
    plain = {
        "created_at": "2027-01-15T08:00:01Z", "entry_id": 1, "field1": "1", "field2": None,
    }  # fmt: skip

    feeds = f"{path}/feeds.json?api_key={channel.read_key}"
    assert ask(double, feeds)[1]["feeds"] == [plain]
    assert ask(double, f"{feeds}&status=true")[1]["feeds"] == [plain | {"status": "s"}]
    assert ask(double, f"{feeds}&results=0")[1]["feeds"] == []
    double.switches.read_key_only = True
    assert ask(double, f"{path}/feeds.json", THINGSPEAKAPIKEY=channel.write_key)[0] == 400
    assert ask(double, feeds)[0] == 200


def test_long_answers_are_cached_per_query(double: Double, clock: Clock) -> None:
    """More than 100 rows are repeated for minutes to the same query, whatever was stored since."""
    double.switches.cache_s = 300
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}"
    rows = [{"delta_t": 20, "field1": str(n)} for n in range(120)]
    ask(double, f"{path}/bulk_update.json", {"write_api_key": channel.write_key, "updates": rows})
    feeds = f"{path}/feeds.json?api_key={channel.read_key}&results="
    assert len(ask(double, feeds + "8000")[1]["feeds"]) == 120
    clock.now += 60
    ask(double, f"{path}/bulk_update.json", bulk(channel.write_key, 1))

    assert len(ask(double, feeds + "8000")[1]["feeds"]) == 120
    assert len(ask(double, feeds + "7999")[1]["feeds"]) == 121
    clock.now += 300
    assert len(ask(double, feeds + "8000")[1]["feeds"]) == 121


def test_rows_may_be_dated_by_their_distance(double: Double, clock: Clock) -> None:
    """With delta_t the last row is now and each other so many seconds before the next."""
    channel = double.cloud.add_channel("x", ["one"])
    rows = [{"delta_t": 0, "field1": "a"}, {"delta_t": 5, "field1": "b"}]

    body = {"write_api_key": channel.write_key, "updates": rows}
    ask(double, f"/channels/{channel.id}/bulk_update.json", body)

    times = [row["created_at"] for row in channel.rows]
    assert times == ["2027-01-15T07:59:55Z", "2027-01-15T08:00:00Z"]
    assert clock.now == 1_800_000_000


def test_at_most_eight_thousand_rows_come_back_the_newest_of_them(
    double: Double, clock: Clock
) -> None:
    """More must be asked for in stretches of time."""
    double.switches.bulk_interval_s = 0
    channel = double.cloud.add_channel("x", ["one"])
    for _ in range(9):
        clock.now += 1000
        double.cloud.bulk_update(channel.id, channel.write_key, [{"delta_t": 1}] * 960)

    feeds = f"/channels/{channel.id}/feeds.json?api_key={channel.read_key}"
    found = ask(double, f"{feeds}&results=9000")[1]["feeds"]

    assert len(found) == 8000
    assert found[-1]["created_at"] == "2027-01-15T10:30:00Z"
    assert len(ask(double, feeds)[1]["feeds"]) == 100
    assert len(ask(double, f"{feeds}&minutes=10&results=8000")[1]["feeds"]) == 601
    assert len(ask(double, f"{feeds}&days=1&results=10")[1]["feeds"]) == 10


def test_the_last_row_is_the_one_stored_last_not_the_newest(double: Double, clock: Clock) -> None:
    """A backlog sent after a live row makes old values look current."""
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}"
    last = f"{path}/feeds/last.json?api_key={channel.read_key}"
    assert ask(double, last) == (200, -1)
    ask(double, f"{path}/bulk_update.json", bulk(channel.write_key, 9))
    clock.now += 15
    ask(double, f"{path}/bulk_update.json", bulk(channel.write_key, 1))

    assert ask(double, last)[1]["field1"] == "1"
    assert ask(double, f"{path}/feeds/last.json")[0] == 400


def test_a_single_row_has_the_time_it_names(double: Double, clock: Clock) -> None:
    """In its own zone, once per second; a time that is none is now; a spent quota is reported."""
    channel = double.cloud.add_channel("x", ["one"])

    def send(**values: str) -> tuple[int, Any]:
        clock.now += 15
        return ask(double, "/update.json", {"api_key": channel.write_key, **values})

    dated = {"created_at": "2027-01-15 09:00:00", "timezone": "Europe/Berlin"}
    assert send(field1="1", **dated)[1]["created_at"] == "2027-01-15T08:00:00Z"
    assert send(field1="2", **dated) == (200, 0)
    assert send(field1="3", created_at="yesterday")[1]["created_at"] == "2027-01-15T08:00:45Z"
    assert send(nonsense="4")[1]["field1"] is None
    double.switches.quota_spent = True
    assert send(field1="5")[0] == 402
