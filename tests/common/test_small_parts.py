"""What the bus and the loop are made of, part by part: bounds, order, words."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from monitorpi_common.allowance import Allowance
from monitorpi_common.bus import (
    REFUSALS,
    Raw,
    disconnected,
    refused,
    subscription_qos,
)
from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.inbox import LIMIT, Inbox
from monitorpi_common.messages import COMMANDS, Command, Device, Health, Service
from monitorpi_common.reading import arguments_of, command_of, first_line, item_of
from monitorpi_common.sendqueue import MAX_INFLIGHT, MAX_STREAM, Outgoing, SendQueue
from monitorpi_common.service import CommandRefusedError, Presence, Received, TombstoneReceived
from monitorpi_common.topics import Topic
from monitorpi_common.vacancy import Rival, Rivals, Vacancy

DEVICE = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Device))


# --- what waits to be sent ------------------------------------------------------------------------


class Clock:
    """Seconds that stand still."""

    now_s = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


def state(topic: str, payload: bytes = b"1", expires_at: float | None = None) -> Outgoing:
    """Return retained state."""
    return Outgoing(topic, payload, 1, True, expires_at)


def stream(number: int, qos: int = 1) -> Outgoing:
    """Return a message of a stream."""
    return Outgoing("stream", b"%d" % number, qos, False, None)


def sent(queue: SendQueue) -> list[tuple[str, bytes]]:
    """Take all that may be sent now."""
    found = []
    while (one := queue.next()) is not None:
        found.append((one.topic, one.payload))
    return found


def test_state_goes_before_streams_and_only_the_newest_of_a_topic() -> None:
    """Streams keep their order."""
    queue = SendQueue(Clock())
    for one in (stream(1), state("a"), stream(2), state("b"), state("a", b"2")):
        assert queue.put(one)

    assert len(queue) == 4
    assert sent(queue) == [("a", b"2"), ("b", b"1"), ("stream", b"1"), ("stream", b"2")]
    assert len(queue) == 0


def test_a_stream_that_waits_drops_its_oldest() -> None:
    """Three hundred: five minutes of a window a second; state is never dropped."""
    queue = SendQueue(Clock())
    assert all(queue.put(stream(number)) for number in range(300))

    assert queue.put(stream(300)) is False
    assert all(queue.put(state(str(number))) for number in range(1000))

    assert sent(queue)[1000:1002] == [("stream", b"1"), ("stream", b"2")]
    assert MAX_STREAM == 300


def test_twenty_messages_are_under_way_at_once() -> None:
    """The next one waits for an answer to one of them."""
    queue = SendQueue(Clock())
    for number in range(21):
        queue.put(stream(number))
    for mid in range(20):
        one = queue.next()
        assert one is not None
        queue.sent(mid, one)

    assert queue.next() is None
    assert len(queue) == 21
    assert queue.acknowledged(7) == stream(7)
    assert queue.acknowledged(7) is None
    assert queue.next() == stream(20)
    assert MAX_INFLIGHT == 20


def test_all_state_is_sent_again_after_a_connection() -> None:
    """What was taken back is not; what waits is not older than what is there."""
    queue = SendQueue(Clock())
    for one in (state("a"), state("b"), state("c"), state("b", b"")):
        queue.put(one)
    assert sent(queue) == [("a", b"1"), ("b", b""), ("c", b"1")]
    queue.put(state("c", b"2"))
    queue.adopt(state("d"))
    assert ("d" in queue, "b" in queue) == (True, False)
    queue.forget("a")
    queue.forget("nobody")

    queue.connected()

    assert sent(queue) == [("c", b"2"), ("d", b"1")]


def test_what_nobody_acknowledges_is_forgotten_when_the_connection_ends() -> None:
    """Quality of service 0; the rest is still under way."""
    queue = SendQueue(Clock())
    queue.sent(1, stream(1, qos=0))
    queue.sent(2, stream(2, qos=1))

    queue.disconnected()

    assert len(queue) == 1
    assert queue.acknowledged(2) is not None


def test_what_could_not_be_sent_goes_back() -> None:
    """To the front of the stream; newer state stays."""
    queue = SendQueue(Clock())
    queue.put(stream(2))
    queue.put(state("a", b"2"))

    queue.put_back(stream(1))
    queue.put_back(state("a", b"1"))
    queue.put_back(state("b"))

    assert sent(queue) == [("a", b"2"), ("b", b"1"), ("stream", b"1"), ("stream", b"2")]


def test_the_last_word_goes_last_and_only_once() -> None:
    """Behind all state that waits."""
    queue = SendQueue(Clock())
    for topic in ("status", "a"):
        queue.put(state(topic))

    queue.put_last(state("status", b"offline"))
    assert sent(queue) == [("a", b"1"), ("status", b"offline")]
    queue.put_last(state("last"))
    assert sent(queue) == [("last", b"1")]
    queue.connected()
    assert "last" not in dict(sent(queue))


@pytest.mark.parametrize(("now_s", "left"), [(59.9, "abc"), (60.0, "bc"), (60.5, "c"), (99.0, "c")])
def test_state_that_has_expired_is_forgotten_once_a_minute(now_s: float, left: str) -> None:
    """It is not sent again after the next connection; what never expires is."""
    clock = Clock()
    queue = SendQueue(clock)
    for one in (state("a", expires_at=60.0), state("b", expires_at=60.5), state("c")):
        queue.put(one)
    sent(queue)
    clock.now_s = now_s
    queue.next()

    assert "".join(topic for topic in "abc" if topic in queue) == left


def test_state_that_has_expired_is_looked_for_once_a_minute_again() -> None:
    """From the last look on, not from the first."""
    clock = Clock()
    queue = SendQueue(clock)
    for number in range(5):
        queue.put(state(str(number), expires_at=30.0 * number))
    left = []
    for clock.now_s in (60.0, 119.9, 120.0, 150.0):
        queue.next()
        left.append(sum(str(number) in queue for number in range(5)))

    assert left == [2, 2, 0, 0]


# --- the inbox ------------------------------------------------------------------------------------


def test_foreign_items_are_bounded_and_what_steers_is_not() -> None:
    """In the order they came; nothing is there in no time."""
    inbox = Inbox(2)
    assert [inbox.offer(number) for number in range(3)] == [True, True, False]
    inbox.put("stop")

    assert len(inbox) == 3
    assert [inbox.take(0.0) for _ in range(4)] == [0, 1, "stop", None]
    assert inbox.take(0.01) is None
    assert inbox.offer(7)
    assert inbox.take(5.0) == 7
    assert LIMIT == 10_000


def test_whoever_waits_gets_what_comes_meanwhile() -> None:
    """Not when the time is over, but at once."""
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, ["x"]).start()
    begun = time.monotonic()

    assert inbox.take(30.0) == "x"
    assert time.monotonic() - begun < 20


def test_a_source_waits_for_room_until_the_end() -> None:
    """Then it may leave what it has."""
    inbox = Inbox(1)
    inbox.wait_put(1)
    inbox.close()
    begun = time.monotonic()

    inbox.wait_put(2)

    assert time.monotonic() - begun < 5
    assert len(inbox) == 2


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        ([0, 0, 0, 0], [True, True, True, False]),
        ([0, 0, 0, 0.5], [True, True, True, True]),
        ([0, 0, 0, 0.4], [True, True, True, False]),
        ([0, 0, 0, 100, 100, 100, 100], [True] * 6 + [False]),
        ([100, 100, 100, 100], [True, True, True, False]),
    ],
)
def test_so_many_at_once_and_so_many_a_second(times: list[float], taken: list[bool]) -> None:
    """A pause earns no more than what is allowed at once."""
    allowance = Allowance(2.0, 3)

    assert [allowance.take(now_s) for now_s in times] == taken


# --- who has a name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connected", "asked_s", "online", "spoke_s", "now_s", "is_free"),
    [
        (False, None, False, None, 2.0, None), (False, None, False, None, 2.1, True),
        (True, None, False, None, 99.0, None),
        (True, 1.0, False, None, 1.2, None), (True, 1.0, False, None, 1.3, True),
        (True, 1.0, True, None, 151.0, False), (True, 1.0, True, None, 151.1, True),
        (True, 1.0, True, 100.0, 250.0, False), (True, 1.0, True, 100.0, 250.1, True),
    ],
)  # fmt: skip
def test_when_a_name_is_free(
    connected: bool, asked_s: float | None, online: bool, spoke_s: float | None, now_s: float,
    is_free: bool | None,
) -> None:  # fmt: skip
    """Where the broker is away, where nobody is online, and where who is has long been silent."""
    one = Vacancy(0.0, connected)
    if asked_s is not None:
        one.subscribed(asked_s)
        one.status(online=online, now_s=asked_s)
    if spoke_s is not None:
        one.spoke(spoke_s)

    assert one.is_free(now_s) is is_free


def test_a_rival_shows_itself_after_our_first_word() -> None:
    """By what is sent now, or what changes; what stands still was left by somebody."""

    def health(seconds: int, uptime: float = 1.0) -> Health:
        started = AT + timedelta(seconds=seconds)
        return example(Health).model_copy(update={"started_at": started, "uptime_s": uptime})

    rivals = Rivals(AT)
    assert rivals.judge(health(-5), retained=True) is None
    assert rivals.judge(health(-5), retained=False) is None
    assert rivals.judge(health(0), retained=False) is None
    assert rivals.judge(health(-5), retained=True) is None
    assert rivals.judge(health(-5), retained=True) is None
    assert rivals.judge(health(-5, 2.0), retained=True) is Rival.EARLIER
    assert rivals.judge(health(5), retained=False) is Rival.LATER
    assert rivals.judge(health(5), retained=False) is Rival.LATER


# --- foreign bytes --------------------------------------------------------------------------------


def raw(topic: Topic, payload: bytes, *, retained: bool = False) -> Raw:
    """Return a message as it comes in."""
    return Raw(str(topic), payload, retained)


def test_bytes_become_items_of_the_contract() -> None:
    """Or the reason why they are none, in one line."""
    topic, device = DEVICE
    status = Topic("lab", "capture", "status", "main")
    secret = Topic("lab", "capture", "secret", "x")

    assert item_of(topic, raw(topic, device.encode(), retained=True)) == Received(
        topic, device, retained=True
    )
    assert item_of(topic, raw(topic, b"")) == TombstoneReceived(topic)
    assert item_of(status, raw(status, b"online")) == Presence(status, online=True)
    assert item_of(status, raw(status, b"")) == Presence(status, online=False, taken_back=True)
    with pytest.raises(ValueError, match="no message of the contract has the kind 'secret'"):
        item_of(secret, raw(secret, b"{}"))
    with pytest.raises(ValueError, match="not a valid Status"):
        item_of(status, raw(status, b"maybe"))
    assert first_line(ValueError("a\nb\nc")) == "a"


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("acknowledge", {"key": "k"}, None),
        ("dance", {}, "unknown command; known: silence, acknowledge, set_threshold"),
        ("acknowledge", {}, "key: Field required"),
        ("acknowledge", {"key": "k", "more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_arguments_of_a_command(name: str, args: dict[str, Any], error: str | None) -> None:
    """As the service takes them."""
    command = Command(name=name, args=args, at=AT)

    if error is None:
        assert arguments_of(command, Service.DETECTOR) == COMMANDS[Service.DETECTOR][name](**args)
    else:
        with pytest.raises(CommandRefusedError, match=error):
            arguments_of(command, Service.DETECTOR)
    with pytest.raises(CommandRefusedError, match="unknown command; known: none"):
        arguments_of(command, Service.HISTORY)


def test_what_is_wrong_with_arguments_is_one_line() -> None:
    """The field and what it should be; where there is none, the payload."""
    errors = []
    for text in ('{"present": 7, "mac": "x"}', "[]"):
        with pytest.raises(ValidationError) as raised:
            Device.model_validate_json(text)
        errors.append(first_line(raised.value))

    assert errors[0].startswith("mac: String should match pattern")
    assert errors[1] == "payload: Input should be an object"
    assert first_line(ValueError("one\ntwo")) == "one"


def test_a_retained_command_is_refused() -> None:
    """It would be carried out again at each start."""
    topic = Topic("lab", "detector", "command", "x")
    text = Command(name="acknowledge", at=AT).encode()

    assert command_of(raw(topic, text)).name == "acknowledge"
    for one in (raw(topic, text, retained=True), raw(topic, b"[" * 10_000), raw(topic, b"1")):
        with pytest.raises(CommandRefusedError):
            command_of(one)


# --- words of a bus -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter_", "qos"),
    [
        ("monitorpi/v1/+/capture/device/+", 0), ("monitorpi/v1/+/detector/alert/+", 0),
        ("monitorpi/v1/+/capture/traffic/+", 1), ("monitorpi/v1/+/+/command/+", 1),
        ("homeassistant/status", 1), ("a/b/c/d/device/x", 0), ("a/b/c/d/device", 1),
    ],
)  # fmt: skip
def test_what_is_retained_is_subscribed_to_without_acknowledgement(filter_: str, qos: int) -> None:
    """It comes again; a stream and a command do not."""
    assert subscription_qos(filter_) == qos


def test_troubles_of_a_connection_name_a_remedy() -> None:
    """Each refusal its own, as far as it is known; TLS where it may be that."""
    for reason, remedy in REFUSALS.items():
        assert refused("pi:1883", reason).text == (
            f"the broker at pi:1883 refused us ({reason}): {remedy}"
        )
    assert refused("pi:1883", "Odd").text.endswith("its log says why")
    assert refused("pi:1883", "Odd").failed
    lost = disconnected("pi:1883", "x", was_connected=True)
    assert (lost.text, lost.failed) == ("connection lost to the broker at pi:1883 (x)", True)
    never = disconnected("pi:1883", "x", was_connected=False)
    assert "whether it wants TLS" in never.text
    assert never.failed
    assert "wants a certificate" in disconnected("p", "x", was_connected=False, tls=True).text
