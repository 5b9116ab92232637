"""What the tests of the cloud bridge share."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.bridgeprocess import Wire
from tests.cloud_bridge.cloudworld import World
from tests.cloud_bridge.corebridge import Bridge
from tests.cloud_bridge.foreigncloud import Foreign, foreign
from tests.cloud_bridge.handupload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Broker

    from monitorpi_thingspeak_double import Channel, Double


@pytest.fixture(scope="module")
def cloud() -> Iterator[Foreign]:
    """Run one server for all examples of a file."""
    with foreign() as one:
        yield one


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make worlds that end with the test."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[Callable[..., Upload]]:
    """Make uploaders that end with the test."""
    made: list[Upload] = []

    def make(**options: Any) -> Upload:
        made.append(Upload(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.box.close()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    """Make bridges one after the other on one outbox; the one before dies as by kill -9."""
    made: list[Bridge] = []

    def make(**settings: Any) -> Bridge:
        if made:
            made[-1].outbox.close()
        made.append(Bridge(tmp_path / "outbox.sqlite", **settings))
        return made[-1]

    yield make
    made[-1].outbox.close()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    """Run a wire for one test."""
    one = Wire(broker)
    yield one
    if one.running.is_set() and one._thread.is_alive():
        one.stop()


@pytest.fixture
def bridge_process(
    broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start bridges with one state directory; only the last one lives on."""

    def start(
        double: Double, channel: Channel, code: str | None = None, **more: str
    ) -> subprocess.Popen[bytes]:
        environment = {
            "MONITORPI_STATE_DIR": str(tmp_path / "state"),
            "MONITORPI_TRUST_CLOCK": "true",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": str(channel.id),
            "MONITORPI_CLOUD_BRIDGE__WRITE_KEYS__TRAFFIC": channel.write_key,
            "MONITORPI_CLOUD_BRIDGE__INTERVAL_S": "1",
            "MONITORPI_CLOUD_BRIDGE__WRITE_S": "1",
            "MONITORPI_CLOUD_BRIDGE__PACING_S": "0.3",
            **more,
        }
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *(["-c", code] if code else ["-m", "monitorpi_cloud_bridge"])],
                env=broker.environment(**environment),
                stderr=log,
            )
        processes.append(process)
        return process

    return start
