"""Rows to a broker elsewhere: a real Mosquitto that refuses, dies, and has nobody listening."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from tests.cloud_bridge.cloudworld import START
from tests.conftest import Broker, wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import MQTT_KEYS, destinations_of
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.mqtt import Mqtt, outcome
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.rowjson import RowForm
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_common.handover import Handover
from monitorpi_common.log import Log
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Subscriber

TOPIC = "monitorpi-rows/lab/traffic"


def sink(port: int, **account: Any) -> Mqtt:
    """Return a sink of a broker on loopback."""
    handover = Handover(BrokerSettings(port=port, **account), "monitorpi-lab-traffic", MQTT_KEYS)
    return Mqtt(handover, TOPIC, RowForm("lab/traffic", {"field7": "syn"}), 0.0)


def rows(first: int, number: int) -> list[OutboxRow]:
    """Return rows of some seconds."""
    return [
        OutboxRow("mqtt/traffic", START + n, {"field7": str(n), "field1": "0.5"})
        for n in range(first, first + number)
    ]


def ids(seen: Subscriber) -> list[int]:
    """Return the seconds that a subscriber was sent, from the start."""
    return [json.loads(text)["second"] - START for text in seen.of(TOPIC)]


def test_a_row_is_a_message_with_an_id(
    broker: Broker, subscribe: Callable[..., Subscriber]
) -> None:
    """Numbers by their names, texts as they are; the broker's word for each is what counts."""
    seen = subscribe(broker.port, "monitorpi-rows/#")
    one = sink(broker.port)
    text = OutboxRow("mqtt/traffic", START + 1, {"status": "OPEN \u00fc"})

    sent = one.send(one.prepare([*rows(0, 1), text]))
    one.close()

    assert sent.verdict is UploadVerdict.STORED
    wait_for(lambda: len(seen.of(TOPIC)) == 2)
    assert [json.loads(payload) for payload in seen.of(TOPIC)] == [
        {"id": f"lab/traffic/{START}", "second": START, "values": {"syn": 0.0, "field1": 0.5}},
        {
            "id": f"lab/traffic/{START + 1}",
            "second": START + 1,
            "values": {"status": "OPEN \u00fc"},
        },
    ]


def test_who_closes_is_gone(broker: Broker, subscribe: Callable[..., Subscriber]) -> None:
    """No thread stays behind; a call after that connects anew."""
    subscribe(broker.port, "monitorpi-rows/#")
    before = set(threading.enumerate())
    one = sink(broker.port)
    one.close()  # there is none yet
    assert one.send(one.prepare(rows(0, 1))).verdict is UploadVerdict.STORED
    ours = set(threading.enumerate()) - before
    assert ours

    one.close()

    assert not any(thread.is_alive() for thread in ours)
    assert one.send(one.prepare(rows(0, 1))).verdict is UploadVerdict.STORED
    one.close()


def test_rows_that_nobody_reads_wait(
    broker: Broker, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    """An acknowledgement without a subscriber stores nothing: they go once somebody listens."""
    outbox = RowOutbox(tmp_path / "outbox.sqlite")
    outbox.add(rows(0, 10), {})
    destination = UploadDestination("mqtt/traffic", sink(broker.port), counts_for_quota=False)
    uploader = Uploader(
        outbox, destination, YearlyQuota(10**6), Log("test"), wall=lambda: START + 60.0
    )

    uploader.step()
    assert destination.last_answer == "nobody has subscribed to it"
    seen = subscribe(broker.port, "monitorpi-rows/#")
    destination.next_call_s = 0.0
    uploader.step()

    wait_for(lambda: ids(seen) == list(range(10)))
    assert destination.stored_total == 10
    assert destination.dead_lettered_total == 0
    destination.sink.close()
    outbox.close()


def test_none_is_lost_when_the_broker_dies(
    broker: Broker, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    """It is killed and frozen on the way; what is in doubt comes again under the same id."""
    outbox = RowOutbox(tmp_path / "outbox.sqlite")
    destination = UploadDestination("mqtt/traffic", sink(broker.port), counts_for_quota=False)
    uploader = Uploader(
        outbox, destination, YearlyQuota(10**6), Log("test"), wall=lambda: START + 600.0
    )
    got: set[int] = set()
    for number in range(4):
        outbox.add(rows(50 * number, 50), {})
        seen = subscribe(broker.port, "monitorpi-rows/#")
        destination.next_call_s = 0.0
        if number == 1:
            broker.kill()
            uploader.step()
            said = destination.last_answer  # by whether its end was seen before or after
            assert "it hung up" in said or "nobody listens there" in said
            broker.start()
            seen = subscribe(broker.port, "monitorpi-rows/#")
        if number == 2:
            destination.sink.send(destination.sink.prepare(rows(50 * number, 50)))
            got |= set(wait_for(lambda seen=seen: ids(seen)))
            broker.kill()
            broker.start()
            seen = subscribe(broker.port, "monitorpi-rows/#")

        def done(seen: Subscriber = seen, most: int = 50 * number + 49) -> bool:
            destination.next_call_s = 0.0
            uploader.step()
            return most in ids(seen)

        wait_for(done, 30)
        got |= set(ids(seen))

    assert got == set(range(200))
    assert destination.dead_lettered_total == 0
    destination.sink.close()
    outbox.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """Run a broker on which berlin may write below its own name only."""
    passwords, rules = tmp_path / "passwords", tmp_path / "acl"
    passwords.write_text("berlin:right\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    rules.write_text("user berlin\ntopic write monitorpi-rows/berlin/#\n")
    one = Broker(
        tmp_path,
        settings=f"allow_anonymous false\npassword_file {passwords}\nacl_file {rules}",
    )
    one.start()
    yield one
    one.kill()


@pytest.mark.parametrize(
    ("password", "verdict", "said"),
    [
        ("right", UploadVerdict.FORBIDDEN, "may not write there"),  # lab is not berlin
        ("wrong", UploadVerdict.FORBIDDEN, "Not authorized"),
    ],
)
def test_who_may_not_write_is_told(
    guarded: Broker, password: str, verdict: UploadVerdict, said: str
) -> None:
    """It is looked at again ever more seldom; the rows stay."""
    one = sink(guarded.port, username="berlin", password=SecretStr(password))

    sent = one.send(one.prepare(rows(0, 3)))
    one.close()

    assert (sent.verdict, said in sent.text) == (verdict, True), sent.text


def test_nobody_there_and_nobody_answering(broker: Broker) -> None:
    """Nothing was sent: what is not reached costs no doubt."""
    away = sink(free_port())
    sent = away.send(away.prepare(rows(0, 1)))
    broker.freeze()
    frozen = sink(broker.port)
    silent = frozen.send(frozen.prepare(rows(0, 1)))

    assert sent.verdict is UploadVerdict.UNREACHED
    assert "nobody listens there: start the broker, or check cloud-bridge.mqtt.host" in sent.text
    assert silent.verdict is UploadVerdict.UNREACHED
    broker.thaw()


@pytest.mark.parametrize(
    ("reasons", "verdict", "refused"),
    [
        ([0, 0], UploadVerdict.STORED, {}),
        ([0, None], UploadVerdict.UNKNOWN, {}),
        ([0x10, 0x10], UploadVerdict.LATER, {}),
        ([0, 0x99], UploadVerdict.STORED, {1: "the broker does not take the payload"}),
        ([0, 0xFE], UploadVerdict.STORED, {1: "reason code 254"}),
        ([0x99, 0x80], UploadVerdict.REFUSED, {}),
        ([0x87, 0x87], UploadVerdict.FORBIDDEN, {}),
        ([0x97], UploadVerdict.LATER, {}),
    ],
)
def test_what_a_brokers_word_means(
    reasons: list[int | None], verdict: UploadVerdict, refused: dict[int, str]
) -> None:
    """By its documented meaning: a row, the call, later, never."""
    found = outcome(reasons)

    assert (found.verdict, dict(found.refused)) == (verdict, refused)


def test_it_stands_beside_other_destinations() -> None:
    """Rows of the default mapping, one topic per channel; no quota of anybody's."""
    settings = CloudBridgeSettings.model_validate({"mqtt": {"host": "10.0.0.1", "tls": False}})

    found = destinations_of(settings, "lab")

    assert [one.name for one in found] == ["mqtt/traffic", "mqtt/health"]
    assert not any(one.counts_for_quota for one in found)
