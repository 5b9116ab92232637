"""What the double does when it is told to fail, and where it refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.thingspeak_double.calls import Clock, ask, bulk

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.web import client
from monitorpi_thingspeak_double import Double


def test_limits_and_keys(double: Double, clock: Clock) -> None:
    """Too early is 429 and does not move the limiter; wrong keys and channels are refused."""
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}/bulk_update.json"
    assert ask(double, path, bulk(channel.write_key, 1))[0] == 202
    clock.now += 10
    assert ask(double, path, bulk(channel.write_key, 2))[0] == 429
    clock.now += 5
    assert ask(double, path, bulk(channel.write_key, 2))[0] == 202
    clock.now += 20

    assert ask(double, path, bulk("WRONG", 3))[0] == 401
    assert ask(double, "/channels/7/bulk_update.json", bulk(channel.write_key, 3))[0] == 404
    assert (
        ask(double, path, bulk(channel.write_key, *range(60)) | {"updates": [{}] * 961})[0] == 413
    )
    double.switches.quota_spent = True
    assert ask(double, path, bulk(channel.write_key, 4))[0] == 402


def test_update_answers_zero_when_it_is_too_early(double: Double, clock: Clock) -> None:
    """The single call: entry id, then 0 with status 200, 400 for a wrong key."""
    channel = double.cloud.add_channel("x", ["one"])

    five = {"api_key": channel.write_key, "field1": 5, "lat": 1.5}
    status, stored = ask(double, "/update.json", five)
    assert (status, stored["entry_id"], stored["field1"]) == (200, 1, "5")
    assert (stored["latitude"], stored["field2"]) == ("1.5", None)
    assert ask(double, "/update.json", {"api_key": channel.write_key, "field1": "6"}) == (200, 0)
    clock.now += 15
    assert ask(double, f"/update?api_key={channel.write_key}&field1=7") == (200, 2)
    clock.now += 1
    double.switches.update_429 = True
    assert ask(double, "/update.json", five)[0] == 429
    assert ask(double, "/update.json", {"api_key": "WRONG", "field1": "7"}) == (400, 0)


def test_a_202_is_a_promise(double: Double, clock: Clock) -> None:
    """Accepted rows are visible only after the commit delay."""
    double.switches.commit_delay_s = 3
    channel = double.cloud.add_channel("x", ["one"])
    ask(double, f"/channels/{channel.id}/bulk_update.json", bulk(channel.write_key, 1))
    feeds = f"/channels/{channel.id}/feeds.json?api_key={channel.read_key}"

    assert ask(double, feeds)[1]["feeds"] == []
    clock.now += 3
    assert len(ask(double, feeds)[1]["feeds"]) == 1


@pytest.mark.parametrize("status", [413, 400, 429])
def test_too_many_rows_are_refused_in_one_of_three_ways(double: Double, status: Any) -> None:
    """How the service words it is a switch; nothing is stored and the limiter does not move."""
    double.switches.too_many = status
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}/bulk_update.json"
    body = {"write_api_key": channel.write_key, "updates": [{"delta_t": 1}] * 961}

    assert ask(double, path, body)[0] == status
    assert ask(double, path, bulk(channel.write_key, 1))[0] == 202
    assert len(channel.rows) == 1


@pytest.mark.parametrize("how", ["wrong key", "too many", "no row", "no time", "conflict"])
def test_a_refused_call_does_not_move_the_limiter(double: Double, clock: Clock, how: str) -> None:
    """Only what is accepted counts for the 15 s, per channel."""
    double.switches.dup_bulk = "reject_409"
    channel = double.cloud.add_channel("x", ["one"])
    other = double.cloud.add_channel("y", ["one"])
    path = f"/channels/{channel.id}/bulk_update.json"
    ask(double, path, bulk(channel.write_key, 1))
    clock.now += 15
    refused = {
        "wrong key": bulk("WRONG", 2),
        "too many": bulk(channel.write_key) | {"updates": [{}] * 961},
        "no row": bulk(channel.write_key),
        "no time": bulk(channel.write_key) | {"updates": [{"field1": 1}]},
        "conflict": bulk(channel.write_key, 1),
    }[how]

    assert ask(double, path, refused)[0] >= 400
    assert ask(double, path, bulk(channel.write_key, 2))[0] == 202
    assert ask(double, f"/channels/{other.id}/bulk_update.json", bulk(other.write_key, 2))[0] == 202


def test_long_values_are_cut_and_long_messages_refused(double: Double, clock: Clock) -> None:
    """255 bytes of UTF-8 a field or status, 3,000 bytes a message."""
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}/bulk_update.json"
    row = {"created_at": "2027-01-15T08:00:01Z", "field1": "\u00e4" * 200, "status": "s" * 300}

    def send(**more: Any) -> int:
        clock.now += 15
        return ask(double, path, {"write_api_key": channel.write_key, "updates": [row | more]})[0]

    assert send() == 202
    assert channel.rows[0]["field1"] == "\u00e4" * 127
    assert channel.rows[0]["status"] == "s" * 255
    assert send(nonsense="x" * 3000) == 413
    long = {"api_key": channel.write_key, "field1": "x" * 3000}
    assert ask(double, "/update.json", long)[0] == 413


@pytest.mark.parametrize(
    ("fault", "said", "rows"),
    [
        ("reset", "", 0), ("reset_after_commit", "", 1), ("stall", "", 0), ("truncate", "", 1),
        ("429", "429 application/json; charset=utf-8", 0), ("500", "500 text/html", 0),
        ("502", "502 text/html", 0), ("503", "503 text/html", 0),
    ],
)  # fmt: skip
def test_faults_on_demand(double: Double, fault: Any, said: str, rows: int) -> None:
    """Each fault meets one call: the next one whose path matches."""
    channel = double.cloud.add_channel("x", ["one"])
    double.fail_next("bulk", fault)

    with httpx.Client(timeout=0.3) as web:
        web.get(double.url).raise_for_status()
        try:
            answer = web.post(
                f"{double.url}/channels/{channel.id}/bulk_update.json",
                json=bulk(channel.write_key, 1),
            )
            told = f"{answer.status_code} {answer.headers['Content-Type']}"
        except httpx.TransportError:
            told = ""
        web.get(double.url).raise_for_status()

    assert (told, len(channel.rows)) == (said, rows)


def test_a_double_that_is_away_refuses_connections_and_forgets_nothing(double: Double) -> None:
    """Nothing listens meanwhile; open connections break; its rows and its port stay."""
    channel = double.cloud.add_channel("x", ["one"])
    feeds = f"{double.url}/channels/{channel.id}/feeds.json?api_key={channel.read_key}"
    ask(double, f"/channels/{channel.id}/bulk_update.json", bulk(channel.write_key, 1))

    with httpx.Client() as web:
        assert web.get(feeds).status_code == 200
        with double.away():
            for _ in range(2):
                with pytest.raises(httpx.TransportError):
                    web.get(feeds)
            with pytest.raises(httpx.ConnectError):
                httpx.get(feeds)
        assert len(web.get(feeds).json()["feeds"]) == 1


def test_the_log_knows_times_and_no_key_even_in_a_path(double: Double, clock: Clock) -> None:
    """Whatever a client puts where, what is remembered of it holds no key."""
    channel = double.cloud.add_channel("x")
    queue = double.cloud.add_talkback()
    keys = [channel.write_key, channel.read_key, queue.key, double.cloud.user_key]

    for key in keys:
        assert ask(double, f"/channels/{key}/feeds.json?api_key={key}")[0] == 404

    assert {entry.path for entry in double.log} == {"/channels/KEY/feeds.json?api_key=KEY"}
    assert {entry.at_s for entry in double.log} == {clock.now}


def test_a_certificate_nobody_vouches_for_is_refused(
    clock: Clock, certificate: tuple[str, str]
) -> None:
    """The bridge sends nothing, not even a key, to a server it cannot trust."""
    with Double(clock=clock, certificate=certificate) as double:
        channel = double.cloud.add_channel("x", ["one"])
        sink = ThingSpeak(double.url, channel.id, channel.write_key, None, 16.0, client())

        sent = sink.send(sink.prepare([OutboxRow("x", int(clock.now), {"field1": "1"})]))

        assert sent.verdict is UploadVerdict.UNREACHED
        assert "certificate verify failed" in sent.text
        assert sink.verify([0, 1]) is None
        assert list(double.log) == []
        assert channel.rows == []
        sink.close()
