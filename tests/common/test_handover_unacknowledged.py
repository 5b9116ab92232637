"""Messages that no broker answers for: known by what it must answer behind them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.common.scriptedbroker import KEYS, ROWS, Word, ours
from tests.conftest import wait_for

from monitorpi_common.handover import Handover
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.common.scriptedbroker import ScriptedBroker
    from tests.conftest import Broker, Subscriber


def test_what_is_not_acknowledged_was_read_by_who_answers_behind_it(
    scripted: ScriptedBroker,
) -> None:
    """By the answer to what was asked behind it; paho's own word for such a message is none."""
    one = ours()
    scripted.answers(0)
    scripted.acknowledges(1)
    scripted.has_read(9)

    assert one.publish_unacknowledged("rows", b"1", "never") is None
    assert scripted.calls[-2:] == [("rows", b"1", 0), ("not", "never")]
    assert scripted.waited == [8.0, 10.0, 9.0]
    assert one._connection is not None
    assert one._connection.reasons == {}


@pytest.mark.parametrize(
    ("asked", "script", "doubt"),
    [
        (9, ["ends"], "it hung up (word 8b)"),
        (9, [], "no answer"),
        (9, ["other"], "no answer"),
        (None, ["ends"], "it hung up (word 8b)"),
    ],
)
def test_what_nobody_is_known_to_have_read_is_in_doubt(
    scripted: ScriptedBroker, asked: int | None, script: list[str], doubt: str
) -> None:
    """It may have been read for all that; nothing more comes of the connection."""
    one = ours()
    scripted.asked = asked
    scripted.answers(0)
    for step in script:
        if step == "ends":
            scripted.hangs_up()
        else:
            scripted.has_read(8)

    assert one.publish_unacknowledged("rows", b"1", "never") == doubt
    assert scripted.calls[-2:] == ["goodbye", "ends"]
    assert one._connection is None


def test_a_name_that_was_issued_is_the_client_id(
    broker: Broker, subscribe: Callable[..., Subscriber]
) -> None:
    """As it stands, and MQTT 3.1.1: nothing is kept of the session."""
    seen = subscribe(broker.port, "rows/#")
    settings = BrokerSettings(port=broker.port, username="device", password=SecretStr("x"))
    one = Handover(settings, "device", KEYS, is_issued=True)

    assert [one.publish_unacknowledged("rows/a", b"%d" % n, "rows/never") for n in (1, 2)] == [
        None, None
    ]  # fmt: skip
    wait_for(lambda: len(seen.of("rows/a")) == 2)
    one.close()

    assert seen.seen == [("rows/a", "1", False), ("rows/a", "2", False)]
    log = (broker.folder / "mosquitto.log").read_text()
    (entry,) = [line for line in log.splitlines() if "as device (" in line]
    assert "(p2, c1, " in entry


def test_threads_wait_for_each_other(scripted: ScriptedBroker) -> None:
    """One connection serves all: nobody takes what another one waits for."""
    one = ours()
    entered, leave = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        leave.wait(10)
        scripted.on_connect(None, None, None, Word(0), None)

    scripted.script.append(slow)
    scripted.acknowledges(1)
    first = threading.Thread(target=one.publish, args=(ROWS[:1],))
    first.start()
    assert entered.wait(10)
    others = [
        threading.Thread(target=one.close),
        threading.Thread(target=one.publish, args=([],)),
        threading.Thread(target=one.publish_unacknowledged, args=("rows", b"", "never")),
    ]
    for other in others:
        other.start()
    before = list(scripted.calls)
    for other in others:
        other.join(0.05)
        assert other.is_alive()
    assert scripted.calls == before
    for _ in range(8):
        scripted.answers(0)
    leave.set()
    for thread in (first, *others):
        thread.join(10)
        assert not thread.is_alive()
