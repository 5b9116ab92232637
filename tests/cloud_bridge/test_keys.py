"""No key is shown: by a crash, to other processes, on the disk, by set-up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker, Subscriber

    from monitorpi_thingspeak_double import Channel

DESTINATION = "thingspeak/traffic"
BUG = """
import httpx

def send(self, request, **call):
    raise RuntimeError("a bug where the key is at hand")

httpx.Client.send = send
"""


@pytest.fixture
def double() -> Iterator[Double]:
    """Run a cloud with one channel."""
    with Double(Switches(bulk_interval_s=0.2)) as one:
        one.cloud.add_channel("traffic", ["one"])
        yield one


@pytest.fixture
def channel(double: Double) -> Channel:
    """Return the channel."""
    return next(iter(double.cloud.channels.values()))


def environment(double: Double, channel: Channel, folder: Path) -> dict[str, str]:
    """Keep the keys in the secrets directory, write one row, and return the settings."""
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "cloud_bridge__write_keys__traffic").write_text(channel.write_key)
    (secrets / "cloud_bridge__read_keys__traffic").write_text(channel.read_key)
    (secrets / "cloud_bridge__influx__token").write_text("INFLUX-TOKEN-OF-A-TEST")
    (folder / "state").mkdir()
    outbox = RowOutbox(folder / "state" / "outbox.sqlite")
    outbox.add([OutboxRow(DESTINATION, 1_800_000_000, {"field1": "1"})], {})
    outbox.close()
    return {
        "MONITORPI_STATE_DIR": str(folder / "state"),
        "MONITORPI_SECRETS_DIR": str(secrets),
        "MONITORPI_TRUST_CLOCK": "true",
        "MONITORPI_LOG_LEVEL": "debug",
        "MONITORPI_CLOUD_BRIDGE__URL": double.url,
        "MONITORPI_CLOUD_BRIDGE__INFLUX__URL": double.url,
        "MONITORPI_CLOUD_BRIDGE__CHANNELS__TRAFFIC": str(channel.id),
        "MONITORPI_CLOUD_BRIDGE__PACING_S": "0.3",
    }


def keys_of(double: Double) -> list[str]:
    """Return every key of the test."""
    return [*double.cloud.all_keys(), "INFLUX-TOKEN-OF-A-TEST"]


def shown_by_processes(keys: list[str]) -> list[str]:
    """Look into the command line of every process there is, as anybody may."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_text(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    assert any("monitorpi" in line for line in lines)
    return [line for line in lines for key in keys if key in line]


def test_a_crash_tells_where_and_no_key(
    broker: Broker,
    double: Double,
    channel: Channel,
    subscribe: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    """A bug in the middle of a call ends the process with a traceback that holds none."""
    seen = subscribe(broker.port)
    settled = environment(double, channel, tmp_path)
    (tmp_path / "bug").mkdir()
    (tmp_path / "bug" / "sitecustomize.py").write_text(BUG)

    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-X", "dev", "-m", "monitorpi_cloud_bridge"],
        env=broker.environment(PYTHONPATH=str(tmp_path / "bug"), **settled),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "a bug where the key is at hand" in done.stderr
    wait_for(lambda: seen.of("/cloud-bridge/status/")[-1:] == ["offline"], what="the last word")
    told = "\n".join([done.stderr, done.stdout, *(text for _, text, _ in seen.poll())])
    assert [key for key in keys_of(double) if key in told] == []


def test_other_processes_and_the_disk_see_none(
    broker: Broker,
    double: Double,
    channel: Channel,
    tmp_path: Path,
) -> None:
    """With keys in the secrets directory neither a command line nor an environment holds one."""
    settled = environment(double, channel, tmp_path)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitorpi_cloud_bridge"],
            env=broker.environment(**settled), stdout=log, stderr=log,
        )  # fmt: skip
    wait_for(lambda: channel.rows, 20, "a row")

    assert shown_by_processes(keys_of(double)) == []
    assert [entry.path for entry in double.log if "KEY" in entry.path] == []
    own = Path(f"/proc/{process.pid}/environ").read_text()
    process.terminate()
    assert process.wait(15) == 0
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*"))
    told = "\n".join([own, kept.decode(errors="replace"), (tmp_path / "log").read_text()])
    assert [key for key in keys_of(double) if key in told] == []


def test_set_up_keeps_no_user_key(double: Double, tmp_path: Path) -> None:
    """It is asked for, used, and nowhere afterwards: not on the disk, not said, in no process."""
    asked = subprocess.Popen(
        [sys.executable, "-m", "monitorpi_cli", "thingspeak", "setup"],
        env={
            "PATH": "/usr/bin:/bin",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_STATE_DIR": str(tmp_path),
        },
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    during: list[str] = []
    double.on_request = lambda *_: during.extend(shown_by_processes(double.cloud.all_keys()))

    said, _ = asked.communicate(double.cloud.user_key + "\n", timeout=60)

    assert asked.returncode == 0
    assert len(double.log) >= 2
    assert [entry.path for entry in double.log if "KEY" in entry.path] == []
    assert during == []
    files = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert [text for text in [said, *files] if double.cloud.user_key in text] == []
    assert {file.stat().st_mode & 0o777 for file in tmp_path.rglob("*") if file.is_file()} == {
        0o600
    }
