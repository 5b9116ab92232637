"""What a site sends to a centre: the table of bytes a day against what is really sent."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.corebridge import START, Bridge

from monitorpi_cli.sites.travels import DAY_S, Amounts, TravelRow, covers, message_bytes, travels
from monitorpi_cli.stack.centre import Centre, passed_on
from monitorpi_cli.stack.plan import make_plan
from monitorpi_cloud_bridge.mapping import DEFAULTS
from monitorpi_cloud_bridge.rollups import RollupPublisher
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.examples import example
from monitorpi_common.messages import Health, Probe, Publication, Service, Traffic
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.settings import CentreSettings
from monitorpi_common.topics import Topic
from monitorpi_detector.watching import Watching
from monitorpi_dev.week.run import MONDAY, Week
from monitorpi_dev.week.stack import SITE, SimulatedStack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from monitorpi_common.messages import Message, Tombstone

CENTRE = CentreSettings(host="centre.example")
FOUND_S = 1800.0
"""After so long a home's devices are known; as long is counted."""


def table(
    of: Amounts, centre: CentreSettings | None = CENTRE, **bridge: Any
) -> dict[str, TravelRow]:
    """Return the rows of the table by what they are of."""
    settings = CloudBridgeSettings.model_validate(bridge)
    return {row.what: row for row in travels(SITE, centre, settings, of)}


class Sent:
    """Counts what is published."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.ids: dict[str, set[str]] = {}

    def take(self, service: str, id_: str, message: Message) -> None:
        """Count a message as it goes through the socket."""
        place = f"{service}/{message.KIND}/+"
        topic = str(Topic(SITE, service, message.KIND, id_))
        self.messages[place] += 1
        self.bytes[place] += int(
            message_bytes(topic, len(message.encode()), expires=message.expiry_s is not None)
        )
        self.ids.setdefault(place, set()).add(id_)


# --- over a simulated time ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home() -> Sent:
    """Return what capture, prober and detector of a home publish in half an hour."""
    sent = Sent()

    class Counted(SimulatedStack):
        def _spread(self, published: Iterable[Publication | Tombstone], service: str) -> None:
            published = list(published)
            for one in published:
                if isinstance(one, Publication) and self._now > MONDAY + FOUND_S:
                    sent.take(service, one.id, one.message)
            super()._spread(published, service)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitorpi_dev.week.run.SimulatedStack", Counted)
        patch.setattr(Week, "_plan", lambda _: None)  # nothing happens
        Week(seed=3, days=2 * FOUND_S / DAY_S, learning_s=600).run()
    return sent


@pytest.mark.parametrize(("place", "least"), [("capture/device/+", 0.6), ("prober/target/+", 0.85)])
def test_a_home_sends_what_the_table_says(home: Sent, place: str, least: float) -> None:
    """At most, and not much less: not all are there all day."""
    number = len(home.ids[place])
    row = table(Amounts(devices=number, targets=number))[place]

    share = home.bytes[place] * (DAY_S / FOUND_S) / row.bytes_per_day

    assert row.is_sent
    assert least < share <= 1.05
    assert home.bytes[place] / home.messages[place] == pytest.approx(row.bytes_each, rel=0.1)


def test_the_watch_is_said_as_often_and_as_long_as_the_table_says() -> None:
    """An hour in which everything is well."""
    sent, watching = Sent(), Watching()
    for number in range(3600):
        at = datetime.fromtimestamp(START + number, UTC)
        for service in ("capture", "prober", "detector"):
            watching.observe(Presence(Topic(SITE, service, "status", "main"), online=True))
            pulse = example(Health).model_copy(update={"at": at})
            watching.observe(Received(Topic(SITE, service, "health", "main"), pulse))
        ends = {"start": at, "end": at, "seq": number}
        window = example(Traffic).model_copy(update=ends)
        watching.observe(Received(Topic(SITE, "capture", "traffic", "eth0"), window))
        probe = example(Probe).model_copy(update={"round_start": at, "round_end": at})
        watching.observe(Received(Topic(SITE, "prober", "probe", "main"), probe))
        for one in watching.tick(Tick(at, float(number), clock_synced=True), at):
            sent.take("detector", one.id, one.message)
    row = table(Amounts())["detector/watch/+"]

    assert sent.messages["detector/watch/+"] * 24 == pytest.approx(row.per_day, rel=0.01)
    assert sent.bytes["detector/watch/+"] * 24 == pytest.approx(row.bytes_per_day, rel=0.1)


def test_rollups_are_said_as_often_and_as_long_as_the_table_says(tmp_path: Path) -> None:
    """An hour of windows, each second: sixty rollups of what is counted, each count once."""
    sent, total = Sent(), 0
    entries = [entry for entry in DEFAULTS if entry.channel == "traffic"]
    labels = {(entry.channel, entry.field): entry.label for entry in entries}
    rollups = RollupPublisher(RowBuilder(entries, 60), labels)
    bridge = Bridge(tmp_path / "outbox.sqlite", rollups=rollups)
    counted = 0.0
    for number in range(1, 3603):
        total += number % 7 * (number <= 3600)
        bridge.window(START + min(number, 3600), number % 7 * (number <= 3600), total)
        at = datetime.fromtimestamp(START + number, UTC)
        for one in bridge.core.handle(Tick(at, float(number), clock_synced=True)):
            assert isinstance(one, Publication)
            sent.take("cloud-bridge", one.id, one.message)
            counted += one.message.values["SYN"]  # type: ignore[attr-defined] # it is a rollup
            assert one.message.at.timestamp() % 60 == 0  # type: ignore[attr-defined] # as above
    bridge.outbox.close()
    row = table(Amounts())["cloud-bridge/rollup/traffic"]

    assert counted == sum(number % 7 for number in range(1, 3601))
    assert sent.messages["cloud-bridge/rollup/+"] * 24 == row.per_day
    assert sent.bytes["cloud-bridge/rollup/+"] * 24 == pytest.approx(row.bytes_per_day, rel=0.2)


# --- what settings make of it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter_", "place", "is_covered"),
    [
        ("+/status/+", "+/status/main", True), ("capture/#", "capture/wire/eth0", True),
        ("#", "detector/watch/main", True), ("detector/alert/+", "detector/watch/main", False),
        ("prober/status/+", "+/status/main", True), ("capture/+", "capture/wire/eth0", False),
    ],
)  # fmt: skip
def test_filters(filter_: str, place: str, *, is_covered: bool) -> None:
    """As MQTT has them; where the table holds several services, one is enough."""
    assert covers(filter_, place) == is_covered


def test_one_table_says_what_travels() -> None:
    """Topics and rollups; without a centre none, and rows for a stream beside it."""
    sent = {name for name, row in table(Amounts()).items() if row.is_sent}
    assert sent == {
        "+/status/+", "detector/watch/+", "detector/alert/+", "capture/device/+",
        "prober/target/+", "cloud-bridge/rollup/traffic", "cloud-bridge/rollup/health",
    }  # fmt: skip
    quiet = CentreSettings(host="centre.example", topics=["capture/wire/+"], rollup_s=0)
    assert {name for name, row in table(Amounts(), quiet).items() if row.is_sent} == {
        "capture/wire/+"
    }
    assert not any(row.is_sent for row in table(Amounts(), None).values())
    nats = table(Amounts(), None, nats={"servers": ["a"]}, interval_s=60)
    assert nats["rows traffic by nats"].per_day == DAY_S / 60
    device = {"preset": "thingspeak", "username": "d", "password": "p", "channels": {"health": 77}}
    updates = table(Amounts(), None, nats={"servers": ["a"]}, mqtt=device, interval_s=60)
    assert {name for name in updates if name.startswith("rows")} == {
        "rows health by mqtt", "rows health by nats", "rows traffic by nats",
    }  # fmt: skip
    values = "".join(f"&field{n}=123456" for n in range(1, 9))
    payload = f"created_at=2026-01-02T03%3A04%3A00Z{values}"
    assert updates["rows health by mqtt"].bytes_each == message_bytes(
        "channels/77/publish", len(payload), expires=False
    )
    other = table(Amounts(), None, mqtt={"host": "b", "prefix": "rows"})
    line = nats["rows health by nats"].bytes_each - len("monitorpi-rows.home.health")
    assert other["rows health by mqtt"].bytes_each == line + len("rows/home/health")
    assert passed_on(CENTRE)[-1] == "cloud-bridge/rollup/+"
    assert "topic monitorpi/v1/home/cloud-bridge/rollup/+ out 1" in Centre("home", CENTRE).lines(
        "/f", "bridge"
    )


def plan_of(config: Path, folder: Path, text: str) -> Any:
    """Return what `up` would run."""
    config.write_text(f'state_dir = "{folder}"\n{text}')
    return make_plan(Namespace(config=config, site=None, interface=None, scale=None))


def test_rollups_are_made_where_a_centre_wants_them(tmp_path: Path) -> None:
    """The cloud bridge runs for them alone, also with a mapping of one's own; else not."""
    config, centre = tmp_path / "monitorpi.toml", '[broker.centre]\nhost = "centre.example"\n'
    mapping = (
        '[[cloud-bridge.mapping]]\ntopic = "capture/wire/+"\npath = "totals.syn"\n'
        'channel = "floods"\nfield = 1\n'
    )

    plan = plan_of(config, tmp_path, f"{centre}rollup_s = 30\n{mapping}")
    assert Service.CLOUD_BRIDGE in plan.services
    assert plan.environment[Service.CLOUD_BRIDGE] == {"MONITORPI_CLOUD_BRIDGE__ROLLUP_S": "30"}

    plan = plan_of(config, tmp_path, f"{centre}rollup_s = 0\n")
    assert Service.CLOUD_BRIDGE not in plan.services


def test_the_command_prints_the_table(tmp_path: Path) -> None:
    """For people and for programs; what is not sent stands there too, and counts nothing."""
    config = tmp_path / "monitorpi.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\nsite = "home"\n[broker.centre]\nhost = "centre.example"\n'
    )
    words = ["sites", "--sends", "--config", str(config), "--devices", "256"]

    def run(*more: str) -> str:
        command = [sys.executable, "-P", "-m", "monitorpi_cli", *words, *more]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    plain, found = run(), json.loads(run("--json"))

    assert "capture/device/+" in plain
    assert "256 devices and 256 targets" in plain
    assert found["bytes_per_day"] == sum(
        row["bytes_per_day"] for row in found["sends"] if row["is_sent"]
    )
    wire = next(row for row in found["sends"] if row["what"] == "capture/wire/+")
    assert not wire["is_sent"]
