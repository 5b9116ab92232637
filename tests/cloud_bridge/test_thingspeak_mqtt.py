"""Rows to ThingSpeak by MQTT: a real Mosquitto as its broker, the double behind it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from tests.cloud_bridge.bridgeprocess import Wire, kept_back, total
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.devicebroker import DEVICE, PASSWORD, DeviceBroker
from tests.conftest import Broker, wait_for

from monitorpi_cli.doctor.broker import try_elsewhere
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings, MqttSettings
from monitorpi_cloud_bridge.sinks.clouds import destinations_of, trial_of
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_common.log import Log
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitorpi_cloud_bridge.sinks.destination import UploadDestination

HERE = "http://127.0.0.1:1"
PRESET = {"preset": "thingspeak", "username": DEVICE, "password": PASSWORD}


class Clock:
    """What it is, for the uploader and the service."""

    now_s = float(START)

    def __call__(self) -> float:
        """Tell it."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Begin at the start."""
    return Clock()


@pytest.fixture
def service(
    tmp_path: Path, certificate: tuple[str, str], subscribe: Callable[..., Any], clock: Clock
) -> Iterator[DeviceBroker]:
    """Run the service with two channels, which take a row each 15 s."""
    with Double(Switches(update_interval_s=15), clock=clock) as double:
        one = DeviceBroker(
            tmp_path / "service", certificate, subscribe, double, ("traffic", "health")
        )
        yield one
        one.broker.kill()


def destinations(service: DeviceBroker, **more: object) -> list[UploadDestination]:
    """Return the destinations of a bridge that is configured for the service."""
    settings = CloudBridgeSettings.model_validate({
        "interval_s": 22,
        "mqtt": {
            "host": "127.0.0.1", "port": service.broker.port, "tls_ca": service.certificate[0],
            "channels": {name: one.id for name, one in service.numbers.items()}, **PRESET, **more,
        }
    })  # fmt: skip
    return destinations_of(settings, "lab")


def rows(destination: str, number: int) -> list[OutboxRow]:
    """Return rows of every twenty seconds."""
    return [
        OutboxRow(destination, START + 20 * n, {"field1": str(n), "field8": "0.5"})
        for n in range(number)
    ]


def waiting(folder: Path, destination: UploadDestination, clock: Clock, number: int) -> Uploader:
    """Return an uploader for which so many rows wait."""
    outbox = RowOutbox(folder / "outbox.sqlite")
    outbox.add(rows(destination.name, number), {})
    return Uploader(outbox, destination, YearlyQuota(100), Log("test"), clock=clock, wall=clock)


def test_a_row_is_an_update_of_its_time(service: DeviceBroker) -> None:
    """With all its fields and texts as they are; the connection is the device's, for all."""
    traffic, health = (one.sink for one in destinations(service))
    text = OutboxRow("mqtt/health", START + 1, {"status": "OPEN a&b=c+ü 50 %", "field2": "1e-06"})

    sent = [
        one.send(one.prepare([row])) for one, row in ((traffic, rows("", 1)[0]), (health, text))
    ]
    traffic.close()
    health.close()

    assert [(one.verdict, one.text) for one in sent] == [
        (UploadVerdict.STORED, "read by the broker")
    ] * 2
    service.wait_for_messages(2)
    service.update()
    (first,), (second,) = (service.numbers[name].rows for name in ("traffic", "health"))
    assert (first["created_at"], first["field1"], first["field8"]) == (
        "2027-01-15T08:00:00Z", "0", "0.5"
    )  # fmt: skip
    assert second["created_at"] == "2027-01-15T08:00:01Z"
    assert (second["status"], second["field2"]) == ("OPEN a&b=c+ü 50 %", "1e-06")
    assert not any(retained for *_, retained in service.seen.poll())
    (connection,) = service.connections()
    assert "(p2, c1, " in connection, "MQTT 3.1.1, and no session is kept"


def test_all_rows_of_an_outage_arrive_at_the_services_pace(
    service: DeviceBroker, clock: Clock, tmp_path: Path
) -> None:
    """What comes sooner than each 15 s vanishes there: nothing does."""
    destination, _ = destinations(service)
    uploader = waiting(tmp_path, destination, clock, 12)
    outbox = uploader.outbox

    while outbox.counts("mqtt/traffic")["waiting"]:
        came = destination.stored_total
        wait_s = uploader.step()
        service.wait_for_messages(came + 1)
        service.update()
        clock.now_s += wait_s
    destination.sink.close()
    outbox.close()

    stored = service.numbers["traffic"].rows
    assert sorted(int(row["field1"]) for row in stored) == list(range(12))
    assert stored[0]["field1"] == "11", "the newest first"
    assert clock.now_s - START == 12 * 16
    assert uploader.quota.used == 12


def test_a_row_in_doubt_is_sent_again_and_stored_once(
    service: DeviceBroker, clock: Clock, tmp_path: Path
) -> None:
    """The broker reads it and dies before it says so; the service knows its time."""
    destination, _ = destinations(service)
    uploader = waiting(tmp_path, destination, clock, 1)
    outbox = uploader.outbox
    (row,) = rows("mqtt/traffic", 1)
    destination.sink.send(destination.sink.prepare([row]))  # as by a bridge that was killed
    service.wait_for_messages(1)
    service.update()
    service.broker.kill()

    uploader.step()
    assert outbox.counts("mqtt/traffic")["stored"] == 0
    service.begin()
    clock.now_s += 60
    wait_for(lambda: uploader.step() and outbox.counts("mqtt/traffic")["stored"])
    service.wait_for_messages(1)
    service.update()
    destination.sink.close()
    outbox.close()

    assert len(service.numbers["traffic"].rows) == 1
    assert destination.dead_lettered_total == 0


def test_a_broker_that_reads_nothing_has_nothing(service: DeviceBroker) -> None:
    """A connection that stands is no answer: the row is in doubt, and so is where it went."""
    sink = destinations(service)[0].sink
    assert sink.send(sink.prepare(rows("", 1))).verdict is UploadVerdict.STORED
    service.broker.freeze()
    timer = pytest.MonkeyPatch()
    timer.setattr("monitorpi_common.handover.ANSWER_S", 0.5)

    sent = sink.send(sink.prepare(rows("", 1)))
    timer.undo()
    service.broker.thaw()

    assert (sent.verdict, sent.text) == (UploadVerdict.UNKNOWN, "no answer")
    assert sink.verify([START]) == set()
    assert sink.send(sink.prepare(rows("", 1))).verdict is UploadVerdict.STORED
    sink.close()


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        ({"password": "other"}, UploadVerdict.FORBIDDEN, "Not authorized"),
        ({"port": 1}, UploadVerdict.UNREACHED, "check cloud-bridge.mqtt.host"),
        ({"tls_ca": None}, UploadVerdict.UNREACHED, "cloud-bridge.mqtt.tls_ca"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_is_not_let_in_is_told(
    service: DeviceBroker, change: dict[str, object], verdict: UploadVerdict, said: str
) -> None:
    """Nothing was sent, and what to look at is said."""
    sink = destinations(service, **change)[0].sink

    sent = sink.send(sink.prepare(rows("", 1)))
    sink.close()

    assert (sent.verdict, said in sent.text) == (verdict, True), sent.text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"field1": "0"}, None),
        ({}, "it has no values"),
        ({"status": "x" * (3000 - 43)}, None),
        ({"status": "x" * (3001 - 43)}, "3001 bytes: a message has 3000 at most"),
        ({"status": "ü" * 500}, "3043 bytes: a message has 3000 at most"),
    ],
)
def test_what_the_service_would_drop_is_not_sent(fields: dict[str, str], why: str | None) -> None:
    """It says nothing of it; the reason is kept here."""
    mqtt = {**PRESET, "channels": {"traffic": 1}}
    (one,) = destinations_of(CloudBridgeSettings.model_validate({"mqtt": mqtt}), "lab")

    assert one.sink.unfit(OutboxRow("mqtt/traffic", START, fields), START) == why


# --- settings -----------------------------------------------------------------------------------


def settings(**more: Any) -> CloudBridgeSettings:
    """Return the settings of a device with one channel."""
    mqtt = {**PRESET, "channels": {"traffic": 7}, **more.pop("mqtt", {})}
    return CloudBridgeSettings.model_validate({"mqtt": mqtt, **more})


def test_the_preset_is_all_that_is_known_of_the_service() -> None:
    """Its broker by TLS, its pace, only the channels that are given; they cost of its year."""
    found = settings()

    assert found.mqtt is not None
    assert (found.mqtt.host, found.mqtt.port, found.mqtt.pacing_s) == (
        "mqtt3.thingspeak.com", 8883, 16
    )  # fmt: skip
    assert found.mqtt.authorities is not None
    (one,) = destinations_of(found, "lab")
    assert (one.name, one.counts_for_quota, one.takes_text) == ("mqtt/traffic", True, True)
    assert (one.sink.limits.rows, one.sink.limits.pacing_s) == (1, 16)
    assert found.destinations() == ["traffic"]
    assert settings(influx={"url": "http://127.0.0.1:1"}).destinations() == ["traffic", "health"]
    other = settings(mqtt={"host": "10.0.0.1", "pacing_s": 20.0})
    assert other.mqtt is not None
    assert (other.mqtt.host, other.mqtt.pacing_s) == ("10.0.0.1", 20)


def test_both_ways_to_the_service_can_be_used() -> None:
    """For different channels of it; each costs of the year."""
    by_http = {"channels": {"health": 8}, "write_keys": {"health": "K" * 16}}
    both = settings(**by_http, interval_s=22)

    assert [one.name for one in destinations_of(both, "lab")] == [
        "thingspeak/health", "mqtt/traffic"
    ]  # fmt: skip
    with pytest.raises(ValidationError, match=r"set interval_s to 22 or more"):
        settings(**by_http, interval_s=21)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mqtt": {"channels": {}}}, "preset: give channels, and the username and password"),
        ({"mqtt": {"username": None}}, "preset: give channels, and the username and password"),
        ({"mqtt": {"password": None}}, "preset: give channels, and the username and password"),
        ({"mqtt": {"preset": None, "host": "a"}}, "channels: only with preset = 'thingspeak'"),
        ({"mqtt": {"preset": None, "channels": {}}}, "mqtt.host"),
        ({"mqtt": {"channels": {"odd": 7}}, "mapping": []}, None),
        ({"mqtt": {"channels": {"traffic": 7, "health": 7}}}, "two names have one number"),
        (
            {"channels": {"health": 7}, "write_keys": {"health": "K" * 16}},
            "two names have one number",
        ),
        ({"mqtt": {"pacing_s": 15}}, "mqtt.pacing_s: the service takes a row each 15 s; use more"),
        ({"mqtt": {"pacing_s": 15.5}}, None),
        ({"mqtt": {"pacing_s": 21}}, "interval_s: by MQTT rows go one by one"),
        ({"mqtt": {"pacing_s": 20}}, None),
        ({"interval_s": 15}, "interval_s: by MQTT rows go one by one"),
        ({"licence": "paid", "mqtt": {"pacing_s": 1}}, "takes a row each 1 s; use more"),
        ({"licence": "paid", "mqtt": {"pacing_s": 2}, "interval_s": 2}, None),
        ({"url": HERE, "mqtt": {"pacing_s": 0.1}, "interval_s": 1}, None),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], said: str | None) -> None:
    """At the start, and with what would."""
    if said is None:
        settings(**given)
        return
    with pytest.raises(ValidationError) as raised:
        settings(**given)
    places = [".".join(map(str, one["loc"])) for one in raised.value.errors()]
    assert said in f"{places} {raised.value}"


def test_the_doctor_is_the_device_for_a_moment(service: DeviceBroker) -> None:
    """The bridge, thrown off by it, connects again for its next row."""
    sink = destinations(service)[0].sink
    assert sink.send(sink.prepare(rows("", 1))).verdict is UploadVerdict.STORED
    mqtt = {
        "host": "127.0.0.1", "port": service.broker.port, "tls_ca": service.certificate[0],
        "channels": {"traffic": 1}, **PRESET,
    }  # fmt: skip
    found = MqttSettings.model_validate(mqtt)
    wrong = MqttSettings.model_validate({**mqtt, "password": "other"})

    [good, bad] = [try_elsewhere("cloud", *trial_of(one, "lab")) for one in (found, wrong)]

    assert f"{good.mark} {good}" == (
        f"ok cloud: 127.0.0.1:{service.broker.port}: connected as {DEVICE}"
    )
    assert f"check the account '{DEVICE}' and its password" in str(bad)
    wait_for(lambda: sink.send(sink.prepare(rows("", 1))).verdict is UploadVerdict.STORED)
    sink.close()


# --- the bridge ---------------------------------------------------------------------------------


def test_a_bridge_that_is_killed_loses_and_doubles_nothing(
    wire: Wire,
    broker: Broker,
    certificate: tuple[str, str],
    subscribe: Callable[..., Any],
    processes: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Twice, while rows go."""
    with Double(Switches(update_interval_s=0)) as double:
        service = DeviceBroker(tmp_path / "service", certificate, subscribe, double)
        channel = service.numbers["traffic"]
        assert service.broker.process is not None
        processes.append(service.broker.process)
        environment = broker.environment(
            MONITORPI_TRUST_CLOCK="true",
            MONITORPI_CLOUD_BRIDGE__URL=HERE,
            MONITORPI_CLOUD_BRIDGE__INTERVAL_S="1",
            MONITORPI_CLOUD_BRIDGE__WRITE_S="1",
            MONITORPI_CLOUD_BRIDGE__MQTT__PRESET="thingspeak",
            MONITORPI_CLOUD_BRIDGE__MQTT__HOST="127.0.0.1",
            MONITORPI_CLOUD_BRIDGE__MQTT__PORT=str(service.broker.port),
            MONITORPI_CLOUD_BRIDGE__MQTT__TLS_CA=certificate[0],
            MONITORPI_CLOUD_BRIDGE__MQTT__USERNAME=DEVICE,
            MONITORPI_CLOUD_BRIDGE__MQTT__PASSWORD=PASSWORD,
            MONITORPI_CLOUD_BRIDGE__MQTT__CHANNELS__TRAFFIC=str(channel.id),
            MONITORPI_CLOUD_BRIDGE__MQTT__PACING_S="0.1",
        )

        def start() -> subprocess.Popen[bytes]:
            with (tmp_path / "log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "monitorpi_cloud_bridge"], env=environment, stderr=log
                )
            processes.append(process)
            return process

        def stored(rows_: int) -> bool:
            service.update()
            return len(channel.rows) >= rows_

        seen = subscribe(broker.port, "monitorpi/v1/lab/cloud-bridge/status/+")
        bridge = start()
        wait_for(lambda: seen.of("status"), what="the bridge to listen")
        wire.start()
        for number in range(1, 3):
            wait_for(lambda number=number: stored(3 * number), 30)
            bridge.kill()
            bridge.wait()
            bridge = start()
        # what nobody hears after the last restart no later window can make good
        wait_for(lambda: seen.of("status").count("online") == 3, 30)
        time.sleep(2)
        wire.stop()
        time.sleep(1)
        bridge.terminate()
        assert bridge.wait(15) == 0
        left = kept_back(broker.folder / "state")
        wait_for(lambda: stored(6) and total(channel) + left == wire.total, 10)

    seconds = [row["created_at"] for row in channel.rows]
    assert len(set(seconds)) == len(seconds)
    log = (tmp_path / "log").read_text()
    assert PASSWORD not in log
    assert "set aside" not in log
