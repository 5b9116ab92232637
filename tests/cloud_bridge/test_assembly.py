"""The bridge as it is put together: which rows go where, with which keys, and what it reads."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_cloud_bridge.__main__ import assemble
from monitorpi_cloud_bridge.core import BridgeCore
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.jetstream import JetStream
from monitorpi_cloud_bridge.sinks.mqtt import Mqtt
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_common.log import Log
from monitorpi_common.service import Assembly, Context, ResourceError
from monitorpi_common.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHANNELS = {
    "interval_s": 24,
    "channels": {"traffic": 7, "health": 8},
    "write_keys": {"traffic": "W7\n", "health": "W8"},
    "read_keys": {"health": " R8 "},
}
INFLUX = {"influx": {"url": "http://127.0.0.1:8086", "token": "T\n"}}
MQTT = {"mqtt": {"host": "centre.example", "tls": False}}
NATS = {"nats": {"servers": ["one.example", "two.example:4333"], "tls": False}}


class Assembled:
    """What was put together."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.log: list[dict[str, Any]] = []
        log = Log("cloud-bridge")
        log.warning = lambda _, **fields: self.log.append(fields)  # type: ignore[method-assign]
        self.assembly: Assembly = assemble(Context(
            "lab", "main", "e", CloudBridgeSettings.model_validate(settings), Namespace(), folder,
            True, True, log,
        ))  # fmt: skip
        assert isinstance(self.assembly.core, BridgeCore)
        self.core = self.assembly.core
        self.uploaders = [one for one in self.assembly.sources if isinstance(one, Uploader)]
        self.talkbacks = [one for one in self.assembly.sources if isinstance(one, TalkBack)]

    @property
    def sinks(self) -> dict[str, Any]:
        """Return the writer of each destination."""
        return {one.destination.name: one.destination.sink for one in self.uploaders}

    def close(self) -> None:
        """Let the outbox and all connections go."""
        for one in self.assembly.on_close:
            one()


@pytest.fixture
def assembled(tmp_path: Path) -> Iterator[Callable[..., Assembled]]:
    """Put bridges together on one folder, one after the other."""
    made: list[Assembled] = []

    def make(*parts: dict[str, Any], **more: Any) -> Assembled:
        if made:
            made.pop().close()
        whole: dict[str, Any] = {}
        for part in (*parts, more):
            whole |= part
        made.append(Assembled(tmp_path / "state", whole))
        return made[0]

    yield make
    for one in made:
        one.close()


def test_each_channel_of_each_cloud_is_a_destination(
    assembled: Callable[..., Assembled],
) -> None:
    """Only ThingSpeak's rows count for its quota; texts go to the first channel that has people."""
    one = assembled(CHANNELS, INFLUX, MQTT, NATS)

    assert {name: type(sink) for name, sink in one.sinks.items()} == {
        "thingspeak/traffic": ThingSpeak, "thingspeak/health": ThingSpeak,
        "influx/traffic": Influx, "influx/health": Influx,
        "mqtt/traffic": Mqtt, "mqtt/health": Mqtt,
        "nats/traffic": JetStream, "nats/health": JetStream,
    }  # fmt: skip
    assert [one.destination.counts_for_quota for one in one.uploaders] == [True] * 2 + [False] * 6
    assert one.core.destinations == {
        name: tuple(f"{cloud}/{name}" for cloud in ("thingspeak", "influx", "mqtt", "nats"))
        for name in ("traffic", "health")
    }
    assert one.core.alert_destinations == one.core.destinations["health"]
    assert {one.quota.most for one in one.uploaders} == {3_000_000}
    assert len(one.assembly.on_close) == 9


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        ((CHANNELS,), ("thingspeak/health",)),
        ((CHANNELS, {"alerts": False}), ()),
        ((CHANNELS, {"channels": {"traffic": 7}}), ("thingspeak/traffic",)),
        ((INFLUX, {"interval_s": 1}), ()),
        ((INFLUX,), ("influx/health",)),
        (({"influx": {**INFLUX["influx"], "version": "victoriametrics"}},), ()),
    ],
)
def test_where_texts_of_alerts_go(
    assembled: Callable[..., Assembled], parts: tuple[dict[str, Any], ...], texts: tuple[str, ...]
) -> None:
    """Where people want them, the cloud takes them and there is a second for them."""
    one = assembled(*parts)

    assert one.core.alert_destinations == texts
    reads_alerts = "monitorpi/v1/lab/detector/alert/+" in one.assembly.subscriptions
    assert reads_alerts is (parts[-1] not in ({"alerts": False}, {"interval_s": 1}))


def test_what_the_bridge_reads_is_what_its_rows_are_made_of(
    assembled: Callable[..., Assembled],
) -> None:
    """Each once."""
    base = "monitorpi/v1/lab"

    assert assembled(CHANNELS, channels={"traffic": 7}, alerts=False).assembly.subscriptions == [
        f"{base}/capture/wire/+"
    ]
    assert assembled(CHANNELS).assembly.subscriptions == [
        f"{base}/capture/wire/+", f"{base}/detector/alert/+", f"{base}/detector/health/+",
        f"{base}/prober/probe/+",
    ]  # fmt: skip


def test_keys_go_to_their_own_channel_without_the_line_break_of_a_file(
    assembled: Callable[..., Assembled],
) -> None:
    """It is read with the write key unless it has a read key."""
    sinks = assembled(CHANNELS, url="http://127.0.0.1:9/", pacing_s=0.5).sinks

    traffic, health = sinks["thingspeak/traffic"], sinks["thingspeak/health"]
    assert (traffic._url, health._url) == (
        "http://127.0.0.1:9/channels/7", "http://127.0.0.1:9/channels/8")  # fmt: skip
    assert (traffic._write_key, traffic._read_key) == ("W7", "W7")
    assert (health._write_key, health._read_key) == ("W8", "R8")
    assert (traffic.limits.rows, traffic.limits.pacing_s) == (960, 0.5)


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        ({}, {"bucket": "monitorpi", "precision": "s"}),
        ({"org": "home", "bucket": "b"}, {"org": "home", "bucket": "b", "precision": "s"}),
        ({"version": "v1", "org": "home", "bucket": "b"}, {"db": "b", "precision": "s"}),
        ({"version": "v3", "bucket": "b"}, {"db": "b", "precision": "second"}),
    ],
)
def test_how_a_database_is_named_is_its_version_s_matter(
    assembled: Callable[..., Assembled], settings: dict[str, Any], query: dict[str, str]
) -> None:
    """Rows carry site and channel, and the fields' own names."""
    influx = {**INFLUX["influx"], "pacing_s": 3.0, "retention_days": 5.0, **settings}
    sink = assembled(influx=influx).sinks["influx/traffic"]

    assert sink._query == query
    assert (sink.limits.rows, sink.limits.pacing_s) == (5000, 3.0)
    assert sink._retention_days == 5.0
    assert sink.prepare([OutboxRow("x", 20, {"field7": "3"})]) == (
        b"monitorpi,channel=traffic,site=lab SYN=3.0 20"
    )
    assert sink._headers["Authorization"].endswith(
        "VA==" if settings.get("version") == "v1" else "T"
    )


def test_rows_for_a_broker_and_a_stream_are_named_by_site_and_channel(
    assembled: Callable[..., Assembled],
) -> None:
    """The site is the user there unless another one is given."""
    mqtt = {**MQTT["mqtt"], "prefix": "rows/of", "pacing_s": 4.0, "password": "P"}
    nats = {**NATS["nats"], "prefix": "rows.of", "stream": "S", "replicas": 3, "keep_days": 2.0,
            "pacing_s": 5.0, "password": "P"}  # fmt: skip
    sinks = assembled(mqtt=mqtt, nats=nats).sinks

    row = OutboxRow("x", 20, {"field7": "3"})
    line = {"id": "lab/traffic/20", "second": 20, "values": {"SYN": 3.0}}
    for name in ("mqtt/traffic", "nats/traffic"):
        assert json.loads(sinks[name].prepare([row])) == line
    broker, stream = sinks["mqtt/traffic"], sinks["nats/traffic"]
    assert (broker._topic, broker.limits.pacing_s) == ("rows/of/lab/traffic", 4.0)
    assert stream.limits.rows == 500
    assert (broker._broker._name, broker._broker._settings.username) == (
        "monitorpi-lab-traffic", "lab")  # fmt: skip
    assert (stream._subject, stream.limits.pacing_s) == ("rows.of.lab.traffic", 5.0)
    plan = stream._plan
    assert (plan.name, plan.subjects, plan.replicas, plan.keep_days) == ("S", "rows.of.>", 3, 2.0)
    account = stream._dialler._account
    assert list(map(str, account.servers)) == ["one.example:4222", "two.example:4333"]
    assert (account.name, account.username, account.password) == ("monitorpi-lab", "lab", "P")
    assert account.authorities is None
    other = assembled(nats={**NATS["nats"], "username": "me"}).sinks["nats/health"]
    account = other._dialler._account
    assert (account.username, account.password, other._subject) == (
        "me", None, "monitorpi-rows.lab.health")  # fmt: skip


def test_commands_of_talkback_go_on_where_the_process_before_us_stood(
    assembled: Callable[..., Assembled],
) -> None:
    """Only those that are listed do anything."""
    listed = {"GO": {"service": "prober", "name": "probe_now"}}
    talkback = {"id": 3, "key": "K\n", "poll_s": 30.0, "commands": listed}
    assert assembled(CHANNELS).talkbacks == []

    (one,) = assembled(CHANNELS, talkback=talkback).talkbacks
    assert (one.url, one.number, one.key, one.poll_s, one.last) == (
        "https://api.thingspeak.com", 3, "K", 30.0, None)  # fmt: skip
    one.remember(17)

    again = assembled(CHANNELS, talkback=talkback)
    assert again.talkbacks[0].last == 17
    assert again.core.permitted["GO"].name == "probe_now"


def test_what_was_remembered_goes_on(assembled: Callable[..., Assembled], tmp_path: Path) -> None:
    """Rows of the year, what was counted, and which alerts were told."""
    assembled(CHANNELS).close()
    with_memory = RowOutbox(tmp_path / "state" / "outbox.sqlite")
    with_memory.remember({
        "quota": {"year": 2027, "used": 5}, "told": {"k": "id open"}, "talkback": "17",
        "rows": {"closed": 40, "marks": {}, "samples": []},
    })  # fmt: skip
    with_memory.close()

    one = assembled(CHANNELS, talkback={"id": 3, "key": "K"}, licence="paid")

    assert (one.uploaders[0].quota.used, one.uploaders[0].quota.most) == (5, 33_000_000)
    assert one.core.builder.closed == 40
    assert one.core._reported == {"k": "id open"}
    assert one.talkbacks[0].last is None


def test_the_core_wakes_the_uploaders_and_is_told_of_them(
    assembled: Callable[..., Assembled],
) -> None:
    """A clock that was set back is told of."""
    one = assembled(CHANNELS, write_s=40)

    one.core.hurry()
    one.core.set_back(77)

    assert all(uploader._wake.is_set() for uploader in one.uploaders)
    assert one.log == [{"ahead_s": 77}]
    assert one.core.write_s == 40
    detail = one.core.detail()
    assert set(detail["lanes"]) == {"thingspeak/traffic", "thingspeak/health"}  # type: ignore[arg-type]
    assert (detail["quota_used"], detail["quota_left"]) == (0, 3_000_000)


def test_rollups_are_made_where_somebody_wants_them(assembled: Callable[..., Assembled]) -> None:
    """Of the same mapping, in intervals of their own."""
    assert assembled(CHANNELS).core.rollups is None

    rollups = assembled(CHANNELS, rollup_s=60).core.rollups
    assert rollups is not None
    assert rollups.builder.interval_s == 60
    assert rollups.labels["traffic", 7] == "SYN"


def test_what_is_in_the_way_is_said_in_one_sentence(tmp_path: Path) -> None:
    """No cloud, or no place for the outbox."""
    with pytest.raises(ConfigurationError, match="channels: missing"):
        Assembled(tmp_path, {})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError, match="the outbox"):
        Assembled(tmp_path / "file", CHANNELS)
