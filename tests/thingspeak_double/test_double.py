"""The double answers as the service is documented to, and hides keys."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from monitorpi_cloud_bridge.items import Called, OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.sink import UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """A clock that stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def double(clock: Clock) -> Iterator[Double]:
    """Run a double on that clock."""
    with Double(clock=clock) as one:
        yield one


def ask(
    double: Double, path: str, body: Any = None, method: str = "", **headers: str
) -> tuple[int, Any]:
    """Make one call and return status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(  # noqa: S310 - an address of ours
        double.url + path,
        data=data,
        headers={"Content-Type": "application/json", **named},
        method=method or ("GET" if body is None else "POST"),
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - an address of ours
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def bulk(key: str, *seconds: int) -> dict[str, Any]:
    """Build a bulk update."""
    rows = [{"created_at": f"2027-01-15T08:00:{s:02d}Z", "field1": str(s)} for s in seconds]
    return {"write_api_key": key, "updates": rows}


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


def test_a_202_is_a_promise(double: Double, clock: Clock) -> None:
    """Accepted rows are visible only after the commit delay."""
    double.switches.commit_delay_s = 3
    channel = double.cloud.add_channel("x", ["one"])
    ask(double, f"/channels/{channel.id}/bulk_update.json", bulk(channel.write_key, 1))
    feeds = f"/channels/{channel.id}/feeds.json?api_key={channel.read_key}"

    assert ask(double, feeds)[1]["feeds"] == []
    clock.now += 3
    assert len(ask(double, feeds)[1]["feeds"]) == 1


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
    """In its own zone, once per second; a time that is none is now; a spent quota is told."""
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


def test_a_talkback_key_beside_a_row_takes_a_command_even_where_the_row_is_refused(
    double: Double,
) -> None:
    """Why the bridge never uses it: the command is gone, and nobody got it."""
    channel = double.cloud.add_channel("x", ["one"])
    queue = double.cloud.add_talkback()
    path = f"/talkbacks/{queue.id}/commands/execute"
    for text in ("LOST", "GIVEN", "PLAIN"):
        double.cloud.add_command(queue.id, text)
    row = {"talkback_key": queue.key, "field1": "1"}

    assert ask(double, "/update.json", {**row, "api_key": "WRONG"}) == (400, 0)
    double.cloud.update(channel.write_key, row)
    assert [one["command_string"] for one in queue.queue] == ["PLAIN"]
    for said in (b"PLAIN", b""):
        with urllib.request.urlopen(f"{double.url}{path}?api_key={queue.key}", timeout=5) as answer:  # noqa: S310 - ours
            assert answer.read() == said


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


def test_commands_are_listed_added_changed_and_taken_back(double: Double) -> None:
    """The queue can be edited, positions are numbered anew."""
    queue = double.cloud.add_talkback()
    path = f"/talkbacks/{queue.id}/commands"
    key = {"api_key": queue.key}
    first = ask(double, f"{path}.json", key | {"command_string": "A"})[1]["id"]
    ask(double, f"{path}.json", key | {"command_string": "B"})
    ask(double, f"{path}.json", key | {"command_string": "C", "position": 1})

    listed = ask(double, f"{path}.json?api_key={queue.key}")[1]
    assert [(one["command_string"], one["position"]) for one in listed] == [
        ("C", 1),
        ("A", 2),
        ("B", 3),
    ]
    ask(double, f"{path}/{first}.json", key | {"command_string": "A2", "position": 1}, "PUT")
    assert ask(double, f"{path}/{first}.json?api_key={queue.key}")[1]["command_string"] == "A2"
    ask(double, f"{path}/{first}.json?api_key={queue.key}", method="DELETE")
    assert ask(double, f"{path}/{first}.json?api_key={queue.key}")[0] == 404
    assert ask(double, f"{path}.json?api_key=WRONG")[0] == 401
    assert [one["command_string"] for one in queue.queue] == ["C", "B"]


def test_talkback_obeys_whatever_order_people_made(double: Double, clock: Clock) -> None:
    """A newer command put before older ones does not make the older ones look executed."""
    queue = double.cloud.add_talkback()
    taken: list[object] = []
    asking = TalkBack(double.url, queue.id, queue.key, 20, Log("test-talkback"), client(), clock)
    double.cloud.add_command(queue.id, "SECOND")
    double.cloud.add_command(queue.id, "THIRD")
    double.cloud.add_command(queue.id, "FIRST", position=1)

    for _ in range(4):
        asking.poll(taken.append)

    assert taken == [Called("FIRST"), Called("SECOND"), Called("THIRD")]
    asking.client.close()


@pytest.mark.parametrize("fault", ["reset_after_commit", "truncate"])
@pytest.mark.parametrize("looking", [(), ("502",), ("reset", "503")])
def test_talkback_takes_nothing_new_while_an_answer_is_in_doubt(
    double: Double, clock: Clock, fault: Any, looking: Any
) -> None:
    """However often looking it up fails, the command whose answer was lost is obeyed, once."""
    queue = double.cloud.add_talkback()
    taken: list[object] = []
    asking = TalkBack(double.url, queue.id, queue.key, 20, Log("test-talkback"), client(), clock)
    double.cloud.add_command(queue.id, "LOST")
    double.cloud.add_command(queue.id, "NEXT")
    double.fail_next("execute", fault)
    double.fail_next("last", *looking)

    for _ in range(5):
        asking.poll(taken.append)

    assert taken == [Called("LOST"), Called("NEXT")]
    asking.client.close()


def test_a_command_that_was_on_its_way_to_a_killed_bridge_is_obeyed_by_the_next(
    double: Double, clock: Clock
) -> None:
    """The number of the last one survives: what is newer is obeyed, once; what is known is not."""
    queue = double.cloud.add_talkback()
    taken: list[object] = []
    kept: list[int] = []

    def bridge() -> TalkBack:
        return TalkBack(
            double.url, queue.id, queue.key, 20, Log("test-talkback"), client(), clock,
            last=kept[-1] if kept else None, remember=kept.append,
        )  # fmt: skip

    for text in ("FIRST", "LOST", "NEXT"):
        double.cloud.add_command(queue.id, text)
    one = bridge()
    one.poll(taken.append)
    double.fail_next("execute", "reset_after_commit")
    one.poll(taken.append)
    two = bridge()
    two.poll(taken.append)
    two.poll(taken.append)
    three = bridge()
    three.poll(taken.append)

    assert taken == [Called("FIRST"), Called("LOST"), Called("NEXT")]
    for each in (one, two, three):
        each.client.close()


def test_talkback_hands_out_each_command_once(double: Double, clock: Clock) -> None:
    """New commands are taken in order, old ones dropped, a lost answer is looked up."""
    queue = double.cloud.add_talkback()
    taken: list[object] = []
    asking = TalkBack(double.url, queue.id, queue.key, 20, Log("test-talkback"), client(), clock)
    double.cloud.add_command(queue.id, "FIRST")
    double.cloud.add_command(queue.id, "SECOND")
    double.cloud.add_command(queue.id, "LOST")

    asking.poll(taken.append)
    asking.poll(taken.append)
    double.fail_next("execute", "reset_after_commit")
    asking.poll(taken.append)
    asking.poll(taken.append)
    double.cloud.add_command(queue.id, "OLD")
    clock.now += 121
    asking.poll(taken.append)

    assert taken == [Called("FIRST"), Called("SECOND"), Called("LOST")]
    assert asking.old_total == 1
    asking.client.close()


def test_talkback_commands_can_be_listed_changed_and_deleted(double: Double) -> None:
    """The owner's calls on a queue, for its key only."""
    queue = double.cloud.add_talkback()
    path = f"/talkbacks/{queue.id}/commands"
    key = {"THINGSPEAKAPIKEY": queue.key}

    _, made = ask(double, f"{path}.json", {"command_string": "GO"}, **key)
    one = f"{path}/{made['id']}.json"
    _, changed = ask(double, one, {"command_string": "STOP"}, "PUT", **key)

    assert changed["command_string"] == "STOP"
    assert ask(double, f"{path}.json", **key)[1] == [changed]
    assert ask(double, f"{path}.json", THINGSPEAKAPIKEY="WRONG")[0] == 401
    assert ask(double, one, None, "DELETE", **key)[0] == 200
    assert ask(double, one, **key)[0] == 404
    assert ask(double, f"{path}/execute.json", {}, **key) == (200, {})


def test_a_certificate_nobody_vouches_for_is_refused(
    clock: Clock, certificate: tuple[str, str]
) -> None:
    """The bridge sends nothing, not even a key, to a server it cannot trust."""
    with Double(clock=clock, certificate=certificate) as double:
        channel = double.cloud.add_channel("x", ["one"])
        sink = ThingSpeak(double.url, channel.id, channel.write_key, None, 16.0, client())

        sent = sink.send(sink.prepare([OutboxRow("x", int(clock.now), {"field1": "1"})]))

        assert sent == UploadOutcome(UploadVerdict.UNKNOWN, "ConnectError")
        assert sink.verify([0, 1]) is None
        assert list(double.log) == []
        assert channel.rows == []
        sink.close()


def test_setup_makes_channels_once_and_keeps_their_keys(double: Double, tmp_path: Path) -> None:
    """The first call makes and labels the channel, the second finds it; keys are private files."""
    command = [sys.executable, "-m", "monitorpi_cli", "thingspeak", "setup"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "MONITORPI_CLOUD_BRIDGE__URL": double.url,
        "MONITORPI_STATE_DIR": str(tmp_path),
    }
    said = [
        subprocess.run(
            command, input=double.cloud.user_key + "\n", env=environment, text=True,
            capture_output=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip

    (channel,) = double.cloud.channels.values()
    file = tmp_path / "secrets" / "cloud-bridge" / "cloud_bridge__write_keys__traffic"
    assert file.read_text().strip() == channel.write_key
    assert file.stat().st_mode & 0o077 == 0
    reading = tmp_path / "secrets" / "cloud-bridge" / "cloud_bridge__read_keys__traffic"
    assert reading.read_text().strip() == channel.read_key
    assert reading.stat().st_mode & 0o077 == 0
    assert channel.labels["field8"] == "HTTP and HTTPS"
    assert f"channels = {{ traffic = {channel.id} }}" in said[0]
    for text in said:
        assert channel.write_key not in text
        assert channel.read_key not in text
        assert double.cloud.user_key not in text
    refused = subprocess.run(
        command, input="WRONG\n", env=environment, text=True, capture_output=True, check=False
    )
    assert (refused.returncode, refused.stderr) == (
        3,
        "monitorpi thingspeak: refused (401): is it the User API Key of Account > My Profile?\n",
    )


def thingspeak(double: Double, folder: Path, *words: str, key: str = "") -> tuple[int, str, str]:
    """Run ``./monitorpi thingspeak`` and return exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", "thingspeak", *words],
        input=(key or double.cloud.user_key) + "\n",
        env={
            "PATH": "/usr/bin:/bin",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_STATE_DIR": str(folder),
        },
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_setup_prints_is_a_configuration_that_works(double: Double, tmp_path: Path) -> None:
    """Its lines in a file, the keys where it put them: set-up and status go on working."""
    _, said, _ = thingspeak(double, tmp_path, "setup")
    config = tmp_path / "monitorpi.toml"
    config.write_text(said[said.index("[cloud-bridge]") :].partition("\n\n")[0])

    code, again, complaint = thingspeak(double, tmp_path, "setup", "--config", str(config))
    assert (code, complaint) == (0, "")
    assert "found channel 1001 for 'traffic'" in again
    code, status, complaint = thingspeak(double, tmp_path, "--config", str(config), "status")
    assert (code, complaint) == (0, "")
    assert "nothing was relayed yet" in status


def test_setup_names_the_interval_that_fits_the_quota(double: Double, tmp_path: Path) -> None:
    """Two channels at 20 s would break the quota of a free year: what to write is told whole."""
    words = ("setup", "--channel", "traffic", "--channel", "health")

    code, dry, _ = thingspeak(double, tmp_path, *words, "--dry-run")
    assert (code, double.cloud.channels) == (0, {})
    assert not (tmp_path / "secrets").exists()
    code, said, _ = thingspeak(double, tmp_path, *words)

    assert "would make a private channel for 'traffic', with the fields broadcast, DHCP," in dry
    assert code == 0
    assert "channels = { traffic = 1001, health = 1002 }\ninterval_s = 22" in said
    assert double.cloud.channels[1002].labels["field8"] == "open alerts"


def test_setup_refuses_in_sentences(double: Double, tmp_path: Path) -> None:
    """A channel without a mapping and a server that is no ThingSpeak get a sentence each."""
    code, _, told = thingspeak(double, tmp_path, "setup", "--channel", "nonsense")
    assert (code, told) == (
        2,
        "monitorpi thingspeak: no mapping has a channel 'nonsense'; there are: health, traffic\n",
    )

    config = tmp_path / "monitorpi.toml"
    config.write_text('[cloud-bridge]\nca_file = "/nowhere.pem"\n')
    code, _, told = thingspeak(double, tmp_path, "setup", "--config", str(config))
    line = f"monitorpi thingspeak: configuration: {config}: cloud_bridge.ca_file: cannot be read"
    assert (code, told.partition(" (")[0]) == (2, line)

    double.fail_next("channels.json", "truncate", "503")
    for _ in range(2):
        code, _, told = thingspeak(double, tmp_path, "setup")
        assert (code, len(told.splitlines())) == (3, 1)


def test_a_key_that_cannot_be_written_is_said_and_the_old_one_stays(
    double: Double, tmp_path: Path
) -> None:
    """On a full disk the bridge keeps the key it has; the remedy is one line."""
    folder = tmp_path / "secrets" / "cloud-bridge"
    folder.mkdir(parents=True)
    old = folder / "cloud_bridge__write_keys__traffic"
    old.write_text("OLD")
    command = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", folder]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root: a small file system is mounted")
    try:
        old.write_text("OLD")  # the last place there is
        code, _, told = thingspeak(double, tmp_path, "setup")

        assert old.read_text() == "OLD"
        said = f"monitorpi thingspeak: {folder} cannot be written (No space left on device): "
        assert (code, told) == (3, f"{said}run it with sudo, or make room on its disk\n")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_status_tells_outbox_quota_and_last_answers(double: Double, tmp_path: Path) -> None:
    """What waits and since when, what is stored, the last answer, what is left of the year."""
    assert "nothing was relayed yet" in thingspeak(double, tmp_path, "status")[1]
    (tmp_path / "cloud-bridge").mkdir()
    outbox = RowOutbox(tmp_path / "cloud-bridge" / "outbox.sqlite")
    lane = "thingspeak/traffic"
    outbox.add([OutboxRow(lane, second, {"field1": "1"}) for second in range(100, 110)], {})
    outbox.take(lane, 4)
    outbox.acknowledge(lane, [100, 101, 102], [])
    outbox.remember({"quota": {"year": 2027, "used": 3}, f"answer {lane}": "HTTP 202"})

    code, said, _ = thingspeak(double, tmp_path, "status")
    outbox.close()

    told = [one for one in said.splitlines() if "clock" not in one]  # of this machine
    head, line, quota = told
    assert code == 0
    assert head.split()[-2:] == ["last", "answer"]
    assert line.split()[:5] == [lane, "6", "1", "3", "0"]
    assert line.endswith(" s ago  HTTP 202")
    assert quota == "rows sent in 2027: 3 of 3,000,000; 2,999,997 left"
