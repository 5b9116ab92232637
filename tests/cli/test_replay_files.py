"""Replay with the real services: files in, what people and programs read out."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from monitorpi_lab import frames

if TYPE_CHECKING:
    from pathlib import Path

BAD, GOOD = "00:00:5e:00:53:06", "00:00:5e:00:53:02"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def capture_file(path: Path, sent: list[tuple[float, bytes]]) -> Path:
    """Write frames with their times as a pcap file (microseconds, little endian, Ethernet)."""
    content = io.BytesIO()
    content.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for at, frame in sent:
        seconds, rest = divmod(at, 1)
        content.write(struct.pack("<IIII", int(seconds), int(rest * 1e6), len(frame), len(frame)))
        content.write(frame)
    path.write_bytes(content.getvalue())
    return path


def syn_flood(seconds: int, rate: int) -> list[tuple[float, bytes]]:
    """Build a SYN flood by the bad host against the good one."""
    start = START.timestamp()
    return [
        (
            start + i / rate,
            frames.tcp_syn((BAD, GOOD), (f"203.0.113.{i % 250}", "198.18.0.2"), (1024 + i, 80), i),
        )
        for i in range(seconds * rate)
    ]


def replay(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "monitorpi_cli.replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MONITORPI_SITE": "test", **environment},
    )


def test_a_flood_in_a_file_is_told_readably(tmp_path: Path) -> None:
    """The alert names the attacker, the table counts every frame, and no colour is in a pipe."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(5, 1000))

    ended = replay(file)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ALERT   syn-flood: " in ended.stdout
    assert BAD in ended.stdout
    assert "5,000 frames" in ended.stdout
    assert "\x1b" not in ended.stdout


def ng_block(kind: int, body: bytes) -> bytes:
    """Return a block of a pcapng file."""
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def pcapng(path: Path, sent: list[tuple[float | None, bytes]]) -> Path:
    """Write frames as a pcapng file; those without a time in blocks that have no room for one."""
    content = ng_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    content += ng_block(1, struct.pack("<HHI", 1, 0, 0))
    for at, frame in sent:
        size = len(frame)
        if at is None:
            content += ng_block(3, struct.pack("<I", size) + frame)
        else:
            high, low = divmod(int(at * 1e6), 1 << 32)
            content += ng_block(6, struct.pack("<IIIII", 0, high, low, size, size) + frame)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_no_rate_is_made_of_a_file_without_times(tmp_path: Path, kind: str) -> None:
    """Five thousand SYNs of nobody knows how long are counted, and are no flood."""
    sent = [frame for _, frame in syn_flood(5, 1000)]
    if kind == "pcap":
        file = capture_file(tmp_path / "x.pcap", [(0.0, frame) for frame in sent])
    else:
        file = pcapng(tmp_path / "x.pcapng", [(None, frame) for frame in sent])

    ended = replay(file)

    assert ended.returncode == 0
    assert ended.stdout.splitlines()[0] == "No alert by a rate: the file has no times."
    assert "5,000 frames" in ended.stdout
    assert ended.stderr.count("\n") == 1
    assert "has 5,000 frames without a time: they count, no rate is made of them" in ended.stderr


def test_a_flood_is_found_beside_frames_without_times(tmp_path: Path) -> None:
    """Its rate is that of the frames that have times; all of them count."""
    timed: list[tuple[float | None, bytes]] = list(syn_flood(4, 200))
    other = frames.tcp_syn((GOOD, BAD), ("198.18.0.2", "203.0.113.1"), (1024, 80), 1)
    sent = [one for pair in timed for one in (pair, (None, other), (None, other))]

    ended = replay(pcapng(tmp_path / "x.pcapng", sent), "--json")

    records = [json.loads(line) for line in ended.stdout.splitlines()]
    windows = [one["payload"] for one in records if "/capture/traffic/" in one["topic"]]
    alerts = [one["payload"] for one in records if "/alert/" in one["topic"]]
    assert sum(one["packets"] for one in windows) == 3 * 4 * 200
    assert {(one["rule"], one["subject"]) for one in alerts} == {("syn-flood", "00005e005306")}
    assert max(one["evidence"]["peak"] for one in alerts) <= 200


def test_nothing_of_the_folder_it_is_called_from_is_run(tmp_path: Path) -> None:
    """A folder of downloads with a file named as one of Python's modules is a folder of files."""
    (tmp_path / "secrets.py").write_text("raise SystemExit('a stranger runs as root')")
    capture_file(tmp_path / "flood.pcap", syn_flood(1, 10))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

    ended = subprocess.run(
        [sys.executable, "-P", "-m", "monitorpi_cli.replay", "flood.pcap"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "10 frames" in ended.stdout


def test_json_is_every_message_as_a_line(tmp_path: Path) -> None:
    """Each line is an object of topic and payload, the windows of capture and the alerts."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(5, 1000))

    ended = replay(file, "--json")

    records = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0
    assert all({"topic", "payload"} == record.keys() for record in records)
    assert (
        sum(r["payload"]["packets"] for r in records if "/capture/traffic/" in r["topic"]) == 5000
    )
    assert {"monitorpi/v1/test/detector/alert/syn-flood-00005e005306"} == {
        r["topic"] for r in records if "/alert/" in r["topic"]
    }


def test_the_same_file_gives_the_same_alerts(tmp_path: Path) -> None:
    """Event time and ids that depend on nothing else: two replays agree on every alert."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(3, 500))

    first, second = (
        [line for line in replay(file, "--json").stdout.splitlines() if "/alert/" in line]
        for _ in range(2)
    )

    assert first == second != []


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, (2, 3)), (b"", (2, 3)), (b"This is no capture file.\n" * 10, (2, 3))],
    ids=["missing", "empty", "text"],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: bytes | None, code: tuple[int, ...]
) -> None:
    """Missing, empty or of another kind: one line names the file, no traceback, exit 2 or 3."""
    file = tmp_path / "broken.pcap"
    if content is not None:
        file.write_bytes(content)

    for flags in ([], ["--json"]):
        ended = replay(file, *flags)

        assert ended.returncode in code
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) == 1
        assert "broken.pcap" in ended.stderr


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_file_that_ends_early_is_told_to_there_and_is_no_success(
    tmp_path: Path, flags: list[str]
) -> None:
    """What was read is counted and judged; one line says where it ends and why; exit 3."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(5, 1000))
    file.write_bytes(file.read_bytes()[:-10])

    ended = replay(file, *flags)

    assert ended.returncode == 3
    assert "syn-flood" in ended.stdout
    place = f"at byte {24 + 4999 * 76:,}, behind frame 4,999"
    said = f"monitorpi-capture: {file} ends within a frame {place}; read up to there"
    assert ended.stderr.splitlines() == [said]
    if not flags:
        assert "4,999 frames" in ended.stdout


def test_no_alert_is_not_said_of_what_was_not_read(tmp_path: Path) -> None:
    """A reader of the last lines alone must not take a cut file for a clean one."""
    file = capture_file(tmp_path / "quiet.pcap", syn_flood(1, 10))
    file.write_bytes(file.read_bytes()[:-10])

    ended = replay(file)

    assert "No alert in what could be read." in ended.stdout
    assert "No alert.\n" not in ended.stdout


def test_a_wrong_setting_is_said_once_and_ends_with_2(tmp_path: Path) -> None:
    """A configuration error of a service is the command's own."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(1, 10))

    ended = replay(file, MONITORPI_DETECTOR__NONSENSE="1")

    assert ended.returncode == 2
    assert "nonsense" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    """``replay FILE --json | head -1`` ends quietly."""
    file = capture_file(tmp_path / "flood.pcap", syn_flood(20, 200))
    program = f"{sys.executable} -m monitorpi_cli.replay {file} --json | head -1"

    ended = subprocess.run(
        ["sh", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert (len(ended.stdout.splitlines()), ended.stderr) == (1, "")
