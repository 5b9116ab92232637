"""``./monitorpi thingspeak`` against the double: it makes channels, tells the status."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_thingspeak_double import Double


def test_setup_makes_channels_once_and_keeps_their_keys(double: Double, tmp_path: Path) -> None:
    """The first call makes and labels the channel, the second finds it; keys are private files."""
    command = [sys.executable, "-m", "monitorpi_cli", "thingspeak", "setup"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "MONITORPI_CLOUD_BRIDGE__URL": double.url,
        "MONITORPI_STATE_DIR": str(tmp_path),
    }
    said = [
        subprocess.run(
            command, input=double.cloud.user_key + "\n", env=environment, text=True,
            capture_output=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip

    (channel,) = double.cloud.channels.values()
    file = tmp_path / "secrets" / "cloud-bridge" / "cloud_bridge__write_keys__traffic"
    assert file.read_text().strip() == channel.write_key
    assert file.stat().st_mode & 0o077 == 0
    reading = tmp_path / "secrets" / "cloud-bridge" / "cloud_bridge__read_keys__traffic"
    assert reading.read_text().strip() == channel.read_key
    assert reading.stat().st_mode & 0o077 == 0
    assert channel.labels["field8"] == "HTTP and HTTPS"
    assert f"channels = {{ traffic = {channel.id} }}" in said[0]
    for text in said:
        assert channel.write_key not in text
        assert channel.read_key not in text
        assert double.cloud.user_key not in text
    refused = subprocess.run(
        command, input="WRONG\n", env=environment, text=True, capture_output=True, check=False
    )
    assert (refused.returncode, refused.stderr) == (
        3,
        "monitorpi thingspeak: refused (401): is it the User API Key of Account > My Profile?\n",
    )


def thingspeak(double: Double, folder: Path, *words: str, key: str = "") -> tuple[int, str, str]:
    """Run ``./monitorpi thingspeak`` and return exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", "thingspeak", *words],
        input=(key or double.cloud.user_key) + "\n",
        env={
            "PATH": "/usr/bin:/bin",
            "MONITORPI_CLOUD_BRIDGE__URL": double.url,
            "MONITORPI_STATE_DIR": str(folder),
        },
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_setup_prints_is_a_configuration_that_works(double: Double, tmp_path: Path) -> None:
    """Its lines in a file, the keys where it put them: set-up and status go on working."""
    _, said, _ = thingspeak(double, tmp_path, "setup")
    config = tmp_path / "monitorpi.toml"
    config.write_text(said[said.index("[cloud-bridge]") :].partition("\n\n")[0])

    code, again, complaint = thingspeak(double, tmp_path, "setup", "--config", str(config))
    assert (code, complaint) == (0, "")
    assert "found channel 1001 for 'traffic'" in again
    code, status, complaint = thingspeak(double, tmp_path, "--config", str(config), "status")
    assert (code, complaint) == (0, "")
    assert "nothing was relayed yet" in status


def test_setup_names_the_interval_that_fits_the_quota(double: Double, tmp_path: Path) -> None:
    """Two channels at 20 s would break the quota of a free year: what to write is printed."""
    words = ("setup", "--channel", "traffic", "--channel", "health")

    code, dry, _ = thingspeak(double, tmp_path, *words, "--dry-run")
    assert (code, double.cloud.channels) == (0, {})
    assert not (tmp_path / "secrets").exists()
    code, said, _ = thingspeak(double, tmp_path, *words)

    assert "would make a private channel for 'traffic', with the fields broadcast, DHCP," in dry
    assert code == 0
    assert "channels = { traffic = 1001, health = 1002 }\ninterval_s = 22" in said
    assert double.cloud.channels[1002].labels["field8"] == "open alerts"


def test_setup_refuses_in_sentences(double: Double, tmp_path: Path) -> None:
    """A channel without a mapping and a server that is no ThingSpeak get a sentence each."""
    code, _, told = thingspeak(double, tmp_path, "setup", "--channel", "nonsense")
    assert (code, told) == (
        2,
        "monitorpi thingspeak: no mapping has a channel 'nonsense'; there are: health, traffic\n",
    )

    config = tmp_path / "monitorpi.toml"
    config.write_text('[cloud-bridge]\nca_file = "/nowhere.pem"\n')
    code, _, told = thingspeak(double, tmp_path, "setup", "--config", str(config))
    line = f"monitorpi thingspeak: configuration: {config}: cloud_bridge.ca_file: cannot be read"
    assert (code, told.partition(" (")[0]) == (2, line)

    double.fail_next("channels.json", "truncate", "503")
    for _ in range(2):
        code, _, told = thingspeak(double, tmp_path, "setup")
        assert (code, len(told.splitlines())) == (3, 1)


def test_a_key_that_cannot_be_written_is_said_and_the_old_one_stays(
    double: Double, tmp_path: Path
) -> None:
    """On a full disk the bridge keeps the key it has; the remedy is one line."""
    folder = tmp_path / "secrets" / "cloud-bridge"
    folder.mkdir(parents=True)
    old = folder / "cloud_bridge__write_keys__traffic"
    old.write_text("OLD")
    command = ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", folder]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root: a small file system is mounted")
    try:
        old.write_text("OLD")  # the last place there is
        code, _, told = thingspeak(double, tmp_path, "setup")

        assert old.read_text() == "OLD"
        said = f"monitorpi thingspeak: {folder} cannot be written (No space left on device): "
        assert (code, told) == (3, f"{said}run it with sudo, or make room on its disk\n")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_status_tells_outbox_quota_and_last_answers(double: Double, tmp_path: Path) -> None:
    """What waits and since when, what is stored, the last answer, what is left of the year."""
    assert "nothing was relayed yet" in thingspeak(double, tmp_path, "status")[1]
    (tmp_path / "cloud-bridge").mkdir()
    outbox = RowOutbox(tmp_path / "cloud-bridge" / "outbox.sqlite")
    destination = "thingspeak/traffic"
    outbox.add([OutboxRow(destination, second, {"field1": "1"}) for second in range(100, 110)], {})
    outbox.take(destination, 4)
    outbox.acknowledge(destination, [100, 101, 102], [])
    outbox.remember({"quota": {"year": 2027, "used": 3}, f"answer {destination}": "HTTP 202"})

    code, said, _ = thingspeak(double, tmp_path, "status")
    outbox.close()

    told = [one for one in said.splitlines() if "clock" not in one]  # of this machine
    head, line, quota = told
    assert code == 0
    assert head.split()[-2:] == ["last", "answer"]
    assert line.split()[:5] == [destination, "6", "1", "3", "0"]
    assert line.endswith(" s ago  HTTP 202")
    assert quota == "rows sent in 2027: 3 of 3,000,000; 2,999,997 left"
