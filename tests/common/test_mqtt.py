"""The bus against a real Mosquitto: refuse, expire, replace, flood."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from tests.conftest import Broker, wait_for

from monitorpi_common.bus import Connected, Disconnected, NetworkDied, Raw, Subscribed
from monitorpi_common.clientid import client_id
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Traffic
from monitorpi_common.mqtt import MAX_PACKET_BYTES, SESSION_EXPIRY_S, MqttBus
from monitorpi_common.sendqueue import MAX_INFLIGHT, MAX_STREAM
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Subscriber

DEVICE_TOPIC = "monitorpi/v1/lab/capture/device/b827eb123456"


def publish(broker: Broker, topic: str, payload: str, *options: str) -> None:
    """Publish with the broker's own client."""
    command = ["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-t", topic]
    subprocess.run([*command, "-s", *options], input=payload, text=True, check=True)


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


def test_a_connection_is_asked_for_as_the_contract_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session outlives a short cut, large messages are refused by the broker, not by us."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(mqtt.Client, "connect_async", lambda *_, **how: asked.update(how))
    bus = MqttBus(BrokerSettings(keepalive_s=7), "viewer", None, Log("test"))

    bus.open(Inbox(), [])

    assert asked["keepalive"] == 7
    assert asked["properties"].SessionExpiryInterval == SESSION_EXPIRY_S
    assert asked["properties"].MaximumPacketSize == MAX_PACKET_BYTES


def test_a_closed_bus_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has ended, and not only been asked to: whoever opens another is not in its way."""
    MqttBus(BrokerSettings(), "viewer", None, Log("test")).close()  # never opened: none to wait for
    ended = threading.Event()
    monkeypatch.setattr(mqtt.Client, "loop_forever", lambda *_, **__: ended.wait(10))
    monkeypatch.setattr(mqtt.Client, "connect_async", lambda *_, **__: None)
    monkeypatch.setattr(
        mqtt.Client, "disconnect", lambda _: threading.Timer(0.05, ended.set).start()
    )
    bus = MqttBus(BrokerSettings(), "viewer", None, Log("test"))
    bus.open(Inbox(), [])
    assert bus.alive

    bus.close()

    assert not bus.alive


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
        one.bus.publish(TRAFFIC, b"x" * (20_000 - len(str(TRAFFIC))), Alert.DELIVERY, 60)
        one.bus.publish(ALERT, b"fits", Alert.DELIVERY, 60)
        one.pump(5, lambda: one.bus.depth == 0)
        one.pump(1)

        assert one.bus.counters.refused == 2
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

    for number in range(MAX_STREAM + 50):
        one.bus.publish(TRAFFIC, b"%d" % number, Traffic.DELIVERY, 60)

    assert one.bus.counters.dropped == 50
    assert one.bus.depth == MAX_STREAM
    one.connect()
    one.pump(10, lambda: one.bus.depth == 0)
    assert one.bus.counters.published == MAX_STREAM + 1


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
    wait_for(lambda: seen.of("detector/status/main"))
    assert seen.of("alert") == []


def test_what_the_broker_retains_is_ours_at_the_first_connection_alone(
    broker: Broker, client: Callable[..., Client]
) -> None:
    """Later it could be what we have just taken back; and ours is never replaced by it."""
    one = client()
    one.connect()
    found, other = (
        Raw(f"monitorpi/v1/lab/detector/alert/{name}", b"{}", retained=True) for name in "ab"
    )

    assert one.bus.adopt(found, Alert.DELIVERY) is True
    assert one.bus.adopt(found, Alert.DELIVERY) is False
    broker.kill()
    one.pump(10, lambda: not one.bus.connected)
    broker.start()
    one.pump(40, lambda: one.bus.connected)

    assert one.bus.connected
    assert one.bus.adopt(other, Alert.DELIVERY) is False


@pytest.mark.parametrize(("later_s", "sent"), [(10.0, ['"ours"']), (61.0, [])])
def test_what_is_taken_as_ours_keeps_the_rest_of_its_life(
    broker: Broker, client: Callable[..., Client], subscribe: Callable[..., Subscriber],
    later_s: float, sent: list[str],
) -> None:  # fmt: skip
    """A broker that lost its memory has it anew, unless its time is over."""
    now = 0.0
    one = client()
    one.connect()
    one.bus._clock = lambda: now
    assert one.bus.adopt(Raw(str(ALERT), b'"ours"', retained=True, expiry_s=60), Alert.DELIVERY)

    now = later_s
    broker.kill()
    one.pump(10, lambda: not one.bus.connected)
    broker.start()
    one.pump(40, lambda: one.bus.connected)
    seen = subscribe(broker.port)
    one.bus.publish(TRAFFIC, b'"end"', Traffic.DELIVERY, 60)
    one.pump(5, lambda: one.bus.depth == 0)

    wait_for(lambda: seen.of("traffic"))
    assert seen.of("alert") == sent


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
    assert len(one.inbox) <= 10 + MAX_INFLIGHT


def test_topics_are_followed_for_a_while(broker: Broker) -> None:
    """From one moment to another, and through a lost connection as it was said last."""
    site = "monitorpi/v1/lab/capture"
    client = Client(broker)
    client.bus.open(client.inbox, [f"{site}/device/+"])
    client.pump(10, lambda: any(isinstance(one, Subscribed) for one in client.events))

    def arrives(topic: str) -> bool:
        client.events.clear()
        publish(broker, topic, "{}")
        publish(broker, DEVICE_TOPIC, "{}")
        client.pump(10, lambda: any(_topic_of(one) == DEVICE_TOPIC for one in client.events))
        return any(_topic_of(one) == topic for one in client.events)

    def follow(*kinds: str) -> None:
        client.events.clear()
        client.bus.follow([f"{site}/{kind}/+" for kind in kinds])
        client.pump(1, lambda: any(isinstance(one, Subscribed) for one in client.events))

    assert not arrives(f"{site}/traffic/eth0")
    follow("traffic", "device")
    assert arrives(f"{site}/traffic/eth0")
    follow("packet")
    assert not arrives(f"{site}/traffic/eth0")
    assert arrives(f"{site}/packet/eth0")
    broker.kill()
    client.pump(10, lambda: any(isinstance(one, Disconnected) for one in client.events))
    follow("traffic")
    broker.start()
    client.pump(20, lambda: any(isinstance(one, Subscribed) for one in client.events))
    assert arrives(f"{site}/traffic/eth0")
    assert not arrives(f"{site}/packet/eth0")
    client.bus.close()


def _topic_of(item: object) -> str:
    return item.topic if isinstance(item, Raw) else ""
