"""The bus and the shell against a real Mosquitto: kill, freeze, restart, refuse, flood."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Broker, wait_for

from monitorpi_common import mqtt as mqtt_module
from monitorpi_common.bus import Connected, Disconnected, NetworkDied, Raw
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Traffic
from monitorpi_common.mqtt import MqttBus, client_id
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Subscriber

ECHO = Path(__file__).with_name("echo_service.py")
STATUS = "detector/status/main"
DEVICE = (
    '{"mac":"b8:27:eb:12:34:56","first_seen":"2026-01-01T00:00:00Z",'
    '"last_seen":"2026-01-01T00:00:00Z","present":true,"hostname":"%s"}'
)
DEVICE_TOPIC = "monitorpi/v1/lab/capture/device/b827eb123456"
COMMAND_TOPIC = "monitorpi/v1/lab/detector/command/c1"

Start = "Callable[..., subprocess.Popen[str]]"


@pytest.fixture
def echo(
    broker: Broker, processes: list[subprocess.Popen[str]]
) -> Callable[..., subprocess.Popen[str]]:
    """Start the smallest service as a process."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, ECHO, *arguments],
            env=broker.environment(MONITORPI_BROKER__KEEPALIVE_S="5", **environment),
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    return start


def publish(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish with the broker's own client."""
    command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-t", topic]
    subprocess.run([*command, "-s", *options], input=payload, text=True, check=True)


def online(subscriber: Subscriber, times: int = 1) -> None:
    """Wait until the service has said ``online`` that many times."""
    wait_for(lambda: subscriber.of(STATUS).count("online") >= times, 20, f"online x{times}")


def test_a_service_is_online_answers_and_says_goodbye(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Start, a message in, an answer out, SIGTERM: last words, ``offline``, exit code 0."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)
    publish(broker, DEVICE_TOPIC, DEVICE % "printer")
    wait_for(lambda: any('"printer"' in text for text in seen.of("alert/b827eb123456")))

    service.send_signal(signal.SIGTERM)

    assert service.wait(10) == 0
    wait_for(lambda: seen.of(STATUS)[-1] == "offline")
    assert seen.of("alert/last")


def test_health_comes_again_soon_after_the_start(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Who restarts a service need not wait a minute for counters that say something."""
    subscriber = subscribe(broker.port)

    echo()

    second = wait_for(lambda: subscriber.of("/health/")[1:2], 15, "a second health message")
    assert json.loads(second[0])["published_total"] > 0


def test_the_will_speaks_at_once_after_a_kill(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A service killed with -9 is ``offline`` within a second, retained for late comers."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    service.kill()

    wait_for(lambda: seen.of(STATUS)[-1] == "offline", 1.0)
    later = subscribe(broker.port)
    wait_for(lambda: later.of(STATUS) == ["offline"])


def test_garbage_is_counted_and_nobody_dies(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Bytes that are no message, wrong types, deep nesting and binary leave the service alive."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    for garbage in (
        "{",
        "[]",
        "null",
        '{"mac": 1}',
        "[" * 100_000,
        "\x00\x01",
        DEVICE % ("x" * 999),
    ):
        publish(broker, DEVICE_TOPIC, garbage)
    publish(broker, "monitorpi/v1/lab/capture/status/main", "neither")
    publish(broker, DEVICE_TOPIC, DEVICE % "still-here")

    wait_for(lambda: any("still-here" in text for text in seen.of("alert/b827eb123456")))
    assert service.poll() is None


def test_commands_get_a_result(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A good command is obeyed; unknown, wrong, impossible and retained ones say why not."""
    seen = subscribe(broker.port)
    echo()
    online(seen)
    good = '{"name":"silence","args":{"key":"%s","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    cases = [
        (good % "some-key", True, None),
        (good % "unknown", False, "no such alert"),
        (good.replace("minutes", "minuets") % "some-key", False, "minutes: Field required"),
        (good.replace("silence", "explode") % "k", False, "unknown command; known: silence"),
        ("garbage", False, "Invalid JSON"),
    ]

    for number, (payload, ok, error) in enumerate(cases, start=1):
        publish(broker, COMMAND_TOPIC, payload)
        results = wait_for(lambda n=number: (r := seen.of("result/c1")) and len(r) >= n and r)
        result = json.loads(results[number - 1])

        assert result["ok"] is ok
        assert error is None or error in result["error"]


def test_a_retained_command_is_refused(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """What would be obeyed at every restart is not obeyed at all."""
    seen = subscribe(broker.port)
    order = '{"name":"silence","args":{"key":"k","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    publish(broker, COMMAND_TOPIC, order, "-r")

    echo()

    results = wait_for(lambda: seen.of("result/c1"))
    assert "retained" in json.loads(results[0])["error"]
    assert seen.of("alert/k") == []


def test_a_bug_ends_the_process_and_the_will_speaks(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """An exception of the core: exit code 1, ``offline`` by the will, a traceback for us."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    publish(broker, DEVICE_TOPIC, DEVICE % "bug")

    assert service.wait(10) == 1
    assert service.stderr is not None
    assert "RuntimeError: as asked" in service.stderr.read()
    wait_for(lambda: seen.of(STATUS)[-1] == "offline")


@pytest.mark.parametrize("key", ["bug", "invalid"])
def test_a_bug_in_a_command_ends_the_process(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber], key: str
) -> None:
    """What the core raises of a valid command is no bad input, even where it looks like one."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)

    order = '{"name":"silence","args":{"key":"%s","minutes":5},"at":"2026-01-01T00:00:00Z"}'
    publish(broker, COMMAND_TOPIC, order % key)

    assert service.wait(10) == 1
    assert service.stderr is not None
    assert "Traceback" in service.stderr.read()
    assert seen.of("result/c1") == []


@pytest.mark.parametrize(("fail", "code"), [("resource", 3), ("bug", 1)])
def test_a_source_that_fails_ends_the_service(echo: Start, fail: str, code: int) -> None:
    """A missing resource is exit code 3 and one line; a bug in a source is exit code 1."""
    service = echo("--fail", fail)

    assert service.wait(10) == code
    assert service.stderr is not None
    error = service.stderr.read()
    assert ("Traceback" in error) == (fail == "bug")
    if fail == "resource":
        assert error.strip().splitlines()[-1].endswith("there is no such thing: plug it in")


def test_the_broker_may_come_later(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A service started before its broker waits for it and loses no state of its own."""
    broker.kill()
    service = echo(MONITORPI_DETECTOR__STATES="5")
    with pytest.raises(subprocess.TimeoutExpired):
        service.wait(2.5)

    broker.start()
    seen = subscribe(broker.port)

    online(seen)
    wait_for(lambda: len({t for t, _, _ in seen.poll() if "alert/state" in t}) == 5)


def test_a_killed_broker_learns_all_state_anew(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """After kill -9 of a broker without memory every retained topic and ``online`` come back."""
    before = subscribe(broker.port)
    service = echo(MONITORPI_DETECTOR__STATES="1500")
    topics = {f"monitorpi/v1/lab/detector/alert/state-{n}" for n in range(1500)}
    wait_for(lambda: topics <= {topic for topic, _, _ in before.poll()}, 30, "the first states")

    broker.kill()
    broker.start()
    after = subscribe(broker.port)

    wait_for(lambda: topics <= {topic for topic, _, _ in after.poll()}, 30, "the states again")
    online(after)
    assert service.poll() is None


def test_state_of_an_earlier_process_outlives_the_broker(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A restarted service publishes again what its predecessor left, when the broker forgets it."""
    seen = subscribe(broker.port)
    first = echo(MONITORPI_DETECTOR__STATES="5")
    topics = {f"monitorpi/v1/lab/detector/alert/state-{n}" for n in range(5)}
    wait_for(lambda: topics <= {topic for topic, _, _ in seen.poll()})
    first.kill()
    first.wait()
    echo()
    online(seen, 2)
    publish(broker, DEVICE_TOPIC, DEVICE % "after")  # comes behind what was retained
    wait_for(lambda: any('"after"' in text for text in seen.of("alert/b827eb123456")))

    broker.kill()
    broker.start()
    after = subscribe(broker.port)

    wait_for(lambda: topics <= {topic for topic, _, _ in after.poll()}, 30, "the states again")


def test_a_frozen_broker_is_noticed_and_left(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A broker that stops answering costs the connection, not the service: it is back after."""
    seen = subscribe(broker.port)
    service = echo(MONITORPI_LOG_LEVEL="info")
    online(seen)

    broker.freeze()
    assert service.stderr is not None
    assert any("connection lost" in line for line in service.stderr)  # after two keepalives
    broker.thaw()

    wait_for(lambda: seen.of(STATUS).count("online") >= 2, 40, "a second online")
    publish(broker, DEVICE_TOPIC, DEVICE % "after-ice")
    wait_for(lambda: any("after-ice" in text for text in seen.of("alert/b827eb123456")))
    assert service.poll() is None


def test_a_second_process_of_the_same_name_waits_for_it(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """Two clients of one id would throw each other out for ever: the later one waits, and says so.

    It takes over when the first one is killed.
    """
    seen = subscribe(broker.port)
    first = echo()
    online(seen)
    second = echo()

    assert second.stderr is not None
    assert "another process runs as detector instance 'main'" in second.stderr.readline()
    assert seen.of(STATUS) == ["online"]

    first.kill()
    first.wait()

    online(seen, 2)
    assert seen.of(STATUS) == ["online", "offline", "online"]
    assert second.poll() is None


def test_a_process_that_waits_for_its_name_can_be_stopped(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """SIGTERM ends it with 0; the one that runs is not disturbed."""
    seen = subscribe(broker.port)
    first = echo()
    online(seen)
    second = echo()
    assert second.stderr is not None
    second.stderr.readline()

    second.terminate()

    assert second.wait(10) == 0
    assert first.poll() is None
    assert seen.of(STATUS) == ["online"]


def test_a_broker_that_remembers_an_older_start_ends_nobody(
    broker: Broker, echo: Start, subscribe: Callable[..., Subscriber]
) -> None:
    """A broker may come back with an old memory: what stands still on a topic is nobody's rival."""
    seen = subscribe(broker.port)
    service = echo()
    online(seen)
    (health,) = wait_for(lambda: seen.of("health/main"))[:1]
    older = json.loads(health) | {"started_at": "2020-01-01T00:00:00.000Z"}

    broker.kill()
    broker.start()
    topic = "monitorpi/v1/lab/detector/health/main"
    publish(broker, topic, json.dumps(older), "-r")
    after = subscribe(broker.port)

    online(after)
    publish(broker, DEVICE_TOPIC, DEVICE % "still-here")
    wait_for(lambda: any("still-here" in text for text in after.of("alert/b827eb123456")))
    assert service.poll() is None


# --- the bus alone --------------------------------------------------------------------------------


class Client:
    """A bus and its inbox, pumped by hand."""

    def __init__(self, broker: Broker, **settings: object) -> None:
        self.inbox = Inbox()
        values = {"port": broker.port, "keepalive_s": 5} | settings
        self.bus = MqttBus(
            BrokerSettings.model_validate(values),
            "monitorpi-lab-detector-main",
            Topic("lab", "detector", "status", "main"),
            Log("test"),
        )
        self.events: list[object] = []

    def pump(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Handle what arrives, for a time or until something is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            item = self.inbox.take(0.05)
            if item is not None:
                self.events.append(item)
                self.bus.event(item)

    def connect(self) -> None:
        """Open and wait for the broker."""
        self.bus.open(self.inbox, [])
        self.pump(10, lambda: self.bus.connected)

        assert self.bus.connected


@pytest.fixture
def client(broker: Broker) -> Iterator[Callable[..., Client]]:
    """Make buses that are closed after the test."""
    made: list[Client] = []

    def make(**settings: object) -> Client:
        one = Client(broker, **settings)
        made.append(one)
        return one

    yield make
    for one in made:
        one.bus.close()


def test_a_client_id_is_the_names_and_the_passwords() -> None:
    """The same over restarts; another for another name or password; the name alone without one."""
    ids = [
        client_id(name, password)
        for name in ("monitorpi-lab-detector-main", "monitorpi-lab-detector-spare")
        for password in ("one password", "another password")
    ]

    assert client_id("monitorpi-lab-detector-main", "one password") == ids[0]
    assert len(set(ids)) == len(ids)
    assert re.fullmatch(r"monitorpi-lab-detector-main-[0-9a-f]{16}", ids[0])
    assert client_id("monitorpi-lab-detector-main", None) == "monitorpi-lab-detector-main"


def test_two_that_only_listen_are_two_clients(broker: Broker) -> None:
    """Viewers of one name and account, several at a time, do not throw each other off."""
    settings = BrokerSettings(port=broker.port)
    buses = [MqttBus(settings, "viewer", None, Log("test")) for _ in range(2)]
    inboxes = [Inbox(), Inbox()]
    for bus, inbox in zip(buses, inboxes, strict=True):
        bus.open(inbox, [DEVICE_TOPIC])
        bus.event(wait_for(lambda inbox=inbox: inbox.take(0.1), what="the connection"))

    publish(broker, DEVICE_TOPIC, "x", "-r")

    for inbox in inboxes:
        wait_for(lambda inbox=inbox: isinstance(inbox.take(0.1), Raw), what="the message")
    for bus in buses:
        bus.close()


ALERT = Topic("lab", "detector", "alert", "x")
TRAFFIC = Topic("lab", "detector", "traffic", "eth0")


def test_a_message_above_the_brokers_limit_is_refused_here(tmp_path: Path) -> None:
    """An oversize QoS 1 message would be re-sent at each reconnect for ever: it is never sent."""
    small = Broker(tmp_path, settings="allow_anonymous true\nmax_packet_size 20000")
    small.start()
    try:
        one = Client(small)
        one.connect()

        one.bus.publish(ALERT, b"x" * 30_000, Alert.DELIVERY, 60)
        one.bus.publish(ALERT, b"fits", Alert.DELIVERY, 60)
        one.pump(5, lambda: one.bus.depth == 0)
        one.pump(1)

        assert one.bus.counters.refused == 1
        assert one.bus.counters.published >= 1
        assert not [event for event in one.events if isinstance(event, Disconnected)]
        one.bus.close()
    finally:
        small.kill()


def test_a_refusal_by_the_access_rules_is_counted(tmp_path: Path) -> None:
    """An ACL refusal looks like success but for the reason code: it counts as refused."""
    acl = tmp_path / "acl"
    acl.write_text("topic write monitorpi/v1/lab/detector/status/#\n")
    strict = Broker(tmp_path, settings=f"allow_anonymous true\nacl_file {acl}")
    strict.start()
    try:
        one = Client(strict)
        one.connect()

        one.bus.publish(ALERT, b"no", Alert.DELIVERY, 60)
        one.pump(5, lambda: one.bus.counters.refused > 0)

        assert one.bus.counters.refused == 1
        one.bus.close()
    finally:
        strict.kill()


def test_streams_wait_bounded_and_the_oldest_go(client: Callable[..., Client]) -> None:
    """With the broker away a stream keeps the newest messages and counts what it dropped."""
    one = client()

    for number in range(mqtt_module.MAX_STREAM + 50):
        one.bus.publish(TRAFFIC, b"%d" % number, Traffic.DELIVERY, 60)

    assert one.bus.counters.dropped == 50
    assert one.bus.depth == mqtt_module.MAX_STREAM
    one.connect()
    one.pump(10, lambda: one.bus.depth == 0)
    assert one.bus.counters.published == mqtt_module.MAX_STREAM + 1


def test_what_has_expired_while_waiting_is_not_sent(
    broker: Broker, client: Callable[..., Client], subscribe: Callable[..., Subscriber]
) -> None:
    """A window older than its expiry is dropped and counted; an expired state is forgotten."""
    now = 0.0
    one = client()
    one.bus._clock = lambda: now
    seen = subscribe(broker.port)
    one.bus.publish(TRAFFIC, b'"old"', Traffic.DELIVERY, 60)
    one.bus.publish(ALERT, b'"old"', Alert.DELIVERY, 60)
    now = 61.0
    one.bus.publish(TRAFFIC, b'"new"', Traffic.DELIVERY, 60)

    one.connect()
    one.pump(5, lambda: one.bus.depth == 0)

    wait_for(lambda: seen.of("traffic"))
    assert seen.of("traffic") == ['"new"']
    assert seen.of("alert") == []
    assert one.bus.counters.dropped == 1


def test_the_newest_state_of_a_topic_replaces_the_older(
    broker: Broker, client: Callable[..., Client], subscribe: Callable[..., Subscriber]
) -> None:
    """A thousand changes of one state while the broker is away are one message when it is back."""
    one = client()
    for number in range(1000):
        one.bus.publish(ALERT, b"%d" % number, Alert.DELIVERY, 60)
    seen = subscribe(broker.port)

    one.connect()
    one.pump(5, lambda: one.bus.depth == 0)

    wait_for(lambda: seen.of("alert"))
    assert seen.of("alert") == ["999"]


def test_a_state_taken_back_stays_away(
    broker: Broker, client: Callable[..., Client], subscribe: Callable[..., Subscriber]
) -> None:
    """A tombstone removes the retained message and the state is not published again."""
    one = client()
    one.connect()
    one.bus.publish(ALERT, b"1", Alert.DELIVERY, 60)
    one.bus.publish(ALERT, b"", Alert.DELIVERY, None)
    one.pump(5, lambda: one.bus.depth == 0)

    one.bus.event(Connected())
    one.pump(2, lambda: one.bus.depth == 0)

    seen = subscribe(broker.port)
    wait_for(lambda: seen.of(STATUS))
    assert seen.of("alert") == []


def test_an_exception_in_the_network_thread_is_not_silent(
    client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the network thread reaches the main thread and is raised there."""
    one = client()
    monkeypatch.setattr(one.bus._client, "on_connect", lambda *_: 1 / 0)
    one.bus.open(one.inbox, [])

    died = wait_for(lambda: one.inbox.take(0.1))

    assert isinstance(died, NetworkDied)
    with pytest.raises(ZeroDivisionError):
        one.bus.event(died)
    wait_for(lambda: not one.bus.alive)


def test_wrong_credentials_are_said(tmp_path: Path) -> None:
    """A broker that refuses the user is a clear line, and we try again."""
    (tmp_path / "passwd").write_text("")
    (tmp_path / "passwd").chmod(0o600)
    closed = Broker(
        tmp_path, settings=f"allow_anonymous false\npassword_file {tmp_path / 'passwd'}"
    )
    closed.start()
    try:
        one = Client(closed, username="detector", password="wrong")
        one.bus.open(one.inbox, [])

        refused = wait_for(lambda: one.inbox.take(0.1))

        report = one.bus.event(refused)
        assert report is not None
        assert report.failed
        assert "check broker.username" in report.text
        assert one.bus.alive
        one.bus.close()
    finally:
        closed.kill()


def test_foreign_floods_are_bounded(broker: Broker, client: Callable[..., Client]) -> None:
    """The inbox takes a limited number of foreign messages; the rest is dropped and counted."""
    one = client()
    one.inbox = Inbox(limit=10)
    one.bus.open(one.inbox, ["monitorpi/v1/lab/+/+/+"])
    one.pump(10, lambda: one.bus.connected)

    publish(broker, DEVICE_TOPIC, "x", "--repeat", "100", "--repeat-delay", "0")

    wait_for(lambda: one.bus.counters.dropped >= 80)
    assert len(one.inbox) <= 10 + mqtt_module.MAX_INFLIGHT
