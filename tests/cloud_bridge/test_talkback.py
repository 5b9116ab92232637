"""Commands from a queue at the cloud: which are obeyed, which are old, and how often one asks."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.items import Called
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cloud_bridge.foreigncloud import Foreign

MADE = 1_800_000_000.0


def command(number: object, text: object = "WATCH", **more: object) -> bytes:
    """Return a command as the service writes it."""
    record = {"id": number, "command_string": text, "created_at": "2027-01-15T08:00:00Z"} | more
    return json.dumps(record).encode()


class Asked:
    """A TalkBack at a cloud that says what it is told, and what became of the calls."""

    def __init__(self, cloud: Foreign, **more: Any) -> None:
        self.cloud = cloud
        self.taken: list[object] = []
        self.kept: list[int] = []
        cloud.headers, cloud.asked, cloud.calls = {}, [], []
        self.source = TalkBack(
            f"{cloud.url}/", 7, "K", 20.0, Log("test-web", "error"), client(),
            **{"wall": lambda: MADE, "remember": self.kept.append} | more,
        )  # fmt: skip

    def poll(self, status: int, body: bytes) -> list[str]:
        """Ask once; returns the calls it took."""
        self.cloud.status, self.cloud.pieces, self.cloud.asked = status, [body], []
        self.source.poll(self.taken.append)
        return [path.removeprefix("/talkbacks/7/commands/") for path in self.cloud.asked]

    @property
    def texts(self) -> list[str]:
        """What was handed on."""
        return [one.text for one in self.taken if isinstance(one, Called)]


def test_a_talkback_that_refuses_is_asked_ever_more_seldom(cloud: Foreign) -> None:
    """Up to once an hour, as long as the service asks for, and as ever once it answers."""
    cloud.status, cloud.pieces = 404, [b""]
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())
    pauses = []
    for _ in range(10):
        asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
        pauses.append(asking.pause_s)
    cloud.status, cloud.headers = 429, {"Retry-After": "900"}
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
    patient = asking.pause_s
    cloud.status, cloud.headers = 200, {}
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert pauses == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert (patient, asking.pause_s) == (900, 20)
    asking.client.close()


@pytest.mark.parametrize(("age_s", "obeyed"), [(100, 1), (200, 0), (-100, 1), (-86_400, 0)])
def test_a_command_is_obeyed_only_while_it_is_of_now(
    cloud: Foreign, age_s: int, obeyed: int
) -> None:
    """What seems to come from tomorrow was made at any time: our own clock is not set yet."""
    made = 1_800_000_000.0
    record = {"id": 1, "command_string": "WATCH", "created_at": "2027-01-15T08:00:00Z"}
    cloud.status, cloud.pieces = 200, [json.dumps(record).encode()]
    taken: list[object] = []
    asking = TalkBack(
        cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), wall=lambda: made + age_s
    )

    asking.poll(taken.append)

    assert len(taken) == obeyed
    asking.client.close()


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a local time that is not UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("created", "obeyed"),
    [
        ("2027-01-15T08:00:00", 1), ("2027-01-15T10:00:00+02:00", 1),
        ("2027-01-15T08:00:00+02:00", 0), ("2027-01-15T08:01:59Z", 1), ("2027-01-15T08:02:01Z", 0),
        ("2027-01-15T07:58:01Z", 1), ("2027-01-15T07:57:59Z", 0), ("soon", 0), (None, 0), (7, 0),
    ],
)  # fmt: skip
def test_when_a_command_was_made_is_read_in_any_zone(
    cloud: Foreign, in_new_york: None, created: object, obeyed: int
) -> None:
    """Without one it is UTC, wherever we are; two minutes old at most."""
    del in_new_york
    record = {"id": 1, "command_string": "WATCH", "created_at": created}
    cloud.status, cloud.pieces = 200, [json.dumps(record).encode()]
    taken: list[object] = []
    asking = TalkBack(
        cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), wall=lambda: 1_800_000_000.0
    )

    asking.poll(taken.append)

    assert len(taken) == obeyed
    assert asking.last == (None if created in ("soon", None, 7) else 1)
    asking.client.close()


def test_a_talkback_without_any_last_command_is_in_no_doubt(cloud: Foreign) -> None:
    """It was emptied by people: what is new in it is taken."""
    cloud.status, cloud.pieces, cloud.asked = 404, [b"{}"], []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), last=5)

    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert [path.rsplit("/", 1)[1] for path in cloud.asked] == ["last.json", "execute.json"]
    asking.client.close()


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500])
def test_a_refused_look_up_of_talkback_settles_nothing(cloud: Foreign, status: int) -> None:
    """A portal or a proxy says nothing about the last command: nothing new is taken meanwhile."""
    cloud.status, cloud.pieces, cloud.asked = status, [b"{}"], []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), last=5)

    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert [path.rsplit("/", 1)[1] for path in cloud.asked] == ["last.json"] * 2
    asking.client.close()


def test_the_first_command_is_taken_off_the_queue_with_the_key(cloud: Foreign) -> None:
    """It is handed on, and its number kept after that: a kill between the two asks once more."""
    one = Asked(cloud)
    one.source.remember = one.taken.append

    assert one.poll(200, command(3, "x" * 300)) == ["execute.json"]

    assert one.taken == [Called("x" * 255), 3]
    assert cloud.calls == [("POST", "K")]
    assert (one.source.last, one.source.answers_total, one.source.old_total) == (3, 1, 0)
    one.source.client.close()


@pytest.mark.parametrize(
    ("body", "answers"),
    [(b"", 1), (b"  \n", 1), (b"[1]", 1), (b"{}", 1), (command("3"), 1), (command(None), 1),
     (command(3.5), 1)],
)  # fmt: skip
def test_an_answer_without_a_command_is_an_answer(
    cloud: Foreign, body: bytes, answers: int
) -> None:
    """The queue is empty, or what is in it is none of the service's: nothing is kept of it."""
    one = Asked(cloud)

    assert one.poll(200, body) == ["execute.json"]
    assert one.poll(200, body) == ["execute.json"]

    assert (one.taken, one.kept, one.source.last) == ([], [], None)
    assert one.source.answers_total == 2 * answers
    one.source.client.close()


@pytest.mark.parametrize(("status", "body"), [(500, b""), (503, b"{}"), (200, b"<html>")])
def test_a_lost_answer_is_looked_up_before_anything_else_is_taken(
    cloud: Foreign, status: int, body: bytes
) -> None:
    """The command may have been taken off the queue; one that is known is not obeyed again."""
    one = Asked(cloud)
    one.poll(200, command(1, "first"))

    assert one.poll(status, body) == ["execute.json"]
    assert one.poll(status, body) == ["last.json"]
    assert one.cloud.calls[-1] == ("GET", "K")
    assert one.poll(200, command(2, "second")) == ["last.json", "execute.json"]
    assert one.texts == ["first", "second", "second"]  # looked up, and from this queue once more
    assert one.poll(200, b"") == ["execute.json"]

    assert one.poll(status, body) == ["execute.json"]
    assert one.poll(200, command(2, "second"))[0] == "last.json"
    assert one.kept == [1, 2, 2, 2]
    one.source.client.close()


def test_the_last_command_of_the_process_before_us_is_not_obeyed_again(cloud: Foreign) -> None:
    """It is looked up first; another one than that was on its way when we were killed."""
    same, other = Asked(cloud, last=5), Asked(cloud, last=4)
    for one in (same, other):
        one.cloud.status, one.cloud.pieces = 200, [command(5, "on its way")]
        one.source._look_up(one.taken.append)

    assert (same.texts, same.kept) == ([], [])
    assert (other.texts, other.kept, other.source.last) == (["on its way"], [5], 5)
    for one in (same, other):
        one.source.client.close()


def test_a_call_that_was_not_made_leaves_no_doubt(cloud: Foreign) -> None:
    """Nothing was taken off the queue."""
    one = Asked(cloud)
    one.source.url = f"http://127.0.0.1:{free_port()}"
    assert one.poll(200, command(1)) == []

    one.source.url = cloud.url
    assert one.poll(200, command(1)) == ["execute.json"]
    one.source.client.close()


@pytest.mark.parametrize(("off_s", "old"), [(120.0, 0), (-120.0, 0), (120.5, 1), (-120.5, 1)])
def test_a_command_that_is_not_of_now_is_counted_and_kept(
    cloud: Foreign, off_s: float, old: int
) -> None:
    """It is not looked at again."""
    one = Asked(cloud, wall=lambda: MADE + off_s)

    one.poll(200, command(9))

    assert (len(one.taken), one.source.old_total, one.kept) == (1 - old, old, [9])
    one.source.client.close()


@pytest.mark.parametrize(
    ("statuses", "pauses"),
    [
        ((401,) * 3, [20, 40, 80]), ((403,) * 9, [20, 40, 80, 160, 320, 640, 1280, 2560, 3600]),
        ((402,) * 6, [20, 40, 80, 160, 300, 300]),
        ((429, 200, 429), [20, 20, 20]),
    ],
)  # fmt: skip
def test_who_is_refused_asks_more_seldom_until_it_is_answered(
    cloud: Foreign, statuses: tuple[int, ...], pauses: list[float]
) -> None:
    """Up to an hour where the key is refused, up to five minutes else."""
    one = Asked(cloud)
    found = []
    for status in statuses:
        assert one.poll(status, b"") == ["execute.json"]
        found.append(one.source.pause_s)

    assert found == pauses
    one.source.client.close()


def test_it_asks_until_it_is_stopped(cloud: Foreign) -> None:
    """And then lets the connections go."""
    one = Asked(cloud)
    cloud.status, cloud.pieces, one.source.poll_s = 200, [command(1)], 0.01
    thread = threading.Thread(target=one.source.run, args=(one.taken.append,))
    thread.start()
    wait_for(lambda: len(one.taken) > 1, 10)

    one.source.stop()
    thread.join(10)

    assert not thread.is_alive()
    assert one.source.client.is_closed
