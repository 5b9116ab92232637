"""TalkBack of the double: a queue of commands, each handed out once."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.thingspeak_double.calls import Clock, ask

from monitorpi_cloud_bridge.items import Called
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from monitorpi_thingspeak_double import Double


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
