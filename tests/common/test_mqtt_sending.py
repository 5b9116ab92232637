"""The bus message by message: what is sent again, counted, put back; the last word."""

from __future__ import annotations

from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from tests.common.pahoworld import STATE, STATUS, STREAM, Wire

from monitorpi_common.bus import (
    Acknowledged,
    Connected,
    Disconnected,
    Raw,
)
from monitorpi_common.messages import Alert, Traffic

# --- what is sent ---------------------------------------------------------------------------------


def test_a_connection_begins_with_what_is_read_and_ends_in_our_status(wire: Wire) -> None:
    """State with what is left of its life, each time; then streams; what is followed comes too."""
    bus = wire.bus()
    bus.open(wire.inbox, ["a"])
    bus.follow(["b"])
    bus.publish(STATE, b"1", Alert.DELIVERY, 60)
    bus.publish(STREAM, b"2", Traffic.DELIVERY, 9)
    assert (wire.client.calls, wire.client.sent, bus.depth) == ([], [], 2)
    wire.now_s = 8.0
    bus.event(Connected(10_000))

    status = (str(STATUS), b"online", 1, True, None)
    assert wire.client.calls == [[("a", 1), ("b", 1)]]
    assert wire.client.sent == [(STATE, b"1", 1, True, 52), status, (STREAM, b"2", 1, False, 1)]
    bus.follow(["c"])
    assert wire.client.calls[1:] == [["b"], [("c", 1)]]
    bus.follow([])
    assert wire.client.calls[3:] == [["c"]]
    bus.event(Disconnected("x"))
    bus.follow(["d"])
    assert len(wire.client.calls) == 4
    del wire.client.sent[:]
    wire.now_s = 10.0
    bus.event(Connected())
    assert wire.client.calls[4:] == [["b", "c"], [("a", 1), ("d", 1)]]
    assert wire.client.sent == [(STATE, b"1", 1, True, 50), status]


def test_messages_are_counted_by_what_becomes_of_them(wire: Wire) -> None:
    """Sent, refused by rules, larger than the broker takes, or too old."""
    bus = wire.bus()
    bus.event(Connected(len(STREAM) + 64 + 10))
    counters = bus.counters
    for payload in (b"x" * 10, b"x" * 11):
        bus.publish(STREAM, payload, Traffic.DELIVERY, None)
    assert len(wire.client.sent) == 2
    assert counters.refused == 1
    assert wire.lines == [
        ("larger than the broker accepts",
         {"topic": STREAM, "bytes": len(STREAM) + 75, "limit": len(STREAM) + 74}),
    ]  # fmt: skip
    bus.event(Acknowledged(2, "", failed=False))
    bus.event(Acknowledged(2, "", failed=True))
    assert (counters.published, counters.refused) == (1, 1)
    bus.event(Acknowledged(1, "no", failed=True))
    assert (counters.published, counters.refused, bus.depth) == (1, 2, 0)
    assert wire.lines[1] == ("refused by the broker", {"topic": str(STATUS), "reason": "no"})
    bus.event(Disconnected("x"))
    bus.publish(STREAM, b"1", Traffic.DELIVERY, 9)
    bus.publish(STATE, b"1", Alert.DELIVERY, 9)
    wire.now_s = 8.1
    del wire.client.sent[:]
    bus.event(Connected())
    assert [one[0] for one in wire.client.sent] == [str(STATUS)]
    assert counters.dropped == 1
    assert STATE not in bus._queue
    for number in range(301 + 19):
        bus.publish(STREAM, b"%d" % number, Traffic.DELIVERY, None)
    assert counters.dropped == 2
    assert len(wire.client.sent) == 20


@pytest.mark.parametrize(
    ("code", "qos", "waits"),
    [
        (paho.MQTT_ERR_SUCCESS, 1, False), (paho.MQTT_ERR_NO_CONN, 1, False),
        (paho.MQTT_ERR_NO_CONN, 0, True), (paho.MQTT_ERR_QUEUE_SIZE, 1, True),
    ],
)  # fmt: skip
def test_what_paho_does_not_take_waits_here(wire: Wire, code: int, qos: int, waits: bool) -> None:
    """What it takes is under way, also where the connection went a moment ago."""
    bus = wire.bus(None)
    bus.event(Connected())
    wire.client.code = code
    delivery = SimpleNamespace(qos=qos, retain=False)

    for payload in (b"1", b"2"):
        bus.publish(STREAM, payload, delivery, None)  # type: ignore[arg-type] # all that is asked

    assert [one[1] for one in wire.client.sent] == [b"1", b"1" if waits else b"2"]
    assert bus.depth == 2
    wire.client.code = paho.MQTT_ERR_SUCCESS
    bus.event(Acknowledged(99, "", failed=False))
    assert [one[1] for one in wire.client.sent][2:] == ([b"1", b"2"] if waits else [])


def test_state_of_before_is_ours_at_the_first_connection(wire: Wire) -> None:
    """With the rest of its life; what never ends has none."""
    bus = wire.bus()
    found = Raw(STATE, b"1", retained=True, expiry_s=60)
    assert bus.adopt(found, Alert.DELIVERY) is False
    bus.event(Connected())
    wire.now_s = 10.0
    assert bus.adopt(found, Alert.DELIVERY) is True
    assert bus.adopt(found, Alert.DELIVERY) is False
    assert bus.adopt(Raw(STATE + "y", b"2"), Alert.DELIVERY) is True
    bus.event(Disconnected("x"))
    del wire.client.sent[:]
    wire.now_s = 30.0
    bus.event(Connected())

    assert bus.adopt(Raw(STATE + "z", b"2"), Alert.DELIVERY) is False
    assert wire.client.sent[:2] == [(STATE, b"1", 1, True, 40), (STATE + "y", b"2", 1, True, None)]


# --- the end --------------------------------------------------------------------------------------


def test_the_last_word_is_waited_for(wire: Wire) -> None:
    """Until all is answered for, but no longer than three seconds; it keeps for a week."""
    bus = wire.bus()
    bus.open(wire.inbox, [])
    bus.event(Connected())
    bus.event(Acknowledged(1, "", failed=False))
    for mid in (2, 3):
        wire.inbox.put(Acknowledged(mid, "", failed=False))
        wire.inbox.put("else")
    bus.publish(STREAM, b"1", Traffic.DELIVERY, None)

    bus.close()

    assert wire.client.sent[-1] == (str(STATUS), b"offline", 1, True, 7 * 86400)
    assert (bus.depth, bus.counters.published) == (0, 3)
    assert wire.client.calls[-1] == "disconnect"
    assert bus.alive is False


@pytest.mark.parametrize(("item", "waited"), [(None, [0.1] * 30), (Disconnected("x"), [0.1])])
def test_a_broker_that_does_not_answer_is_not_waited_for(
    wire: Wire, item: object, waited: list[float]
) -> None:
    """Nor one that has gone."""
    bus = wire.bus()
    bus.open(wire.inbox, [])
    bus.event(Connected())
    asked: list[float] = []

    def take(seconds: float) -> object:
        asked.append(round(seconds, 6))
        wire.now_s += seconds
        return item

    wire.monkeypatch.setattr(wire.inbox, "take", take)
    bus.close()

    assert asked[:30] == waited
    assert len(asked) <= 31
    assert wire.client.calls[-1] == "disconnect"


def test_who_never_was_there_says_no_goodbye(wire: Wire) -> None:
    """It has nobody to say it to."""
    bus = wire.bus()
    bus.open(wire.inbox, [])
    bus.flush()
    bus.close()

    assert (wire.client.sent, wire.client.calls) == ([], ["disconnect"])
