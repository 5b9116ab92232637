"""Services chained by pipes, and what they log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.log import MOST_PER_EVENT, Log, _value
from monitorpi_common.stdio import Line, StdioBus

if TYPE_CHECKING:
    import pytest

ECHO = Path(__file__).with_name("echo_service.py")
DEVICE_TOPIC = "monitorpi/v1/lab/capture/device/b827eb123456"
DEVICE = {
    "mac": "b8:27:eb:12:34:56",
    "first_seen": "2026-01-01T00:00:00Z",
    "last_seen": "2026-01-01T00:00:00Z",
    "present": True,
    "hostname": "printer",
}


def through(lines: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Send lines through the smallest service."""
    return subprocess.run(
        [sys.executable, ECHO, "--bus", "-", *arguments],
        input="".join(line + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"MONITORPI_SITE": "lab"},
    )


def test_a_pipe_passes_on_what_it_reads_and_adds_its_own() -> None:
    """Order is kept, unknown topics pass, garbage does not, and the last words come at the end."""
    device = json.dumps({"topic": DEVICE_TOPIC, "payload": DEVICE})
    other = json.dumps({"topic": "somebody/else", "payload": 1})

    half = json.dumps({"topic": DEVICE_TOPIC, "payload": "\ud800"})

    done = through([device, other, "garbage", '{"topic": 5, "payload": 1}', "[]", half])

    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["topic"] for record in said] == [
        "monitorpi/v1/lab/capture/device/b827eb123456",
        "monitorpi/v1/lab/detector/alert/b827eb123456",
        "somebody/else",
        "monitorpi/v1/lab/detector/alert/last",
    ]
    assert said[1]["payload"]["summary"] == "printer"


def test_a_reader_that_leaves_is_no_error() -> None:
    """``service | head -1`` ends without a traceback."""
    line = json.dumps({"topic": DEVICE_TOPIC, "payload": DEVICE})
    process = subprocess.Popen(
        [sys.executable, ECHO, "--bus", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"MONITORPI_SITE": "lab"},
    )
    assert process.stdout is not None
    process.stdout.close()

    _, error = process.communicate((line + "\n").encode() * 5000, timeout=30)

    assert process.returncode == 0
    assert b"Traceback" not in error


def test_a_wrong_configuration_is_exit_code_two() -> None:
    """One line per field and no traceback."""
    done = through([], "--config", "/nonexistent.toml")

    assert done.returncode == 2
    expected = "/nonexistent.toml: there is no such file; give an existing one"
    assert done.stderr == f"monitorpi-detector: configuration: {expected}\n"


@given(st.binary(max_size=200))
def test_no_line_breaks_a_pipe(text: bytes) -> None:
    """Whatever stands on a line, it is passed on, accepted or counted."""
    bus = StdioBus(None, BytesIO())

    bus.accept(Line(text))


@given(st.text())
def test_no_value_forges_a_log_line(text: str) -> None:
    """A host name full of line breaks and quotes stays one bounded value."""
    value = _value(text)

    assert value.isprintable()
    assert len(value.splitlines()) <= 1
    assert len(value) < 4000


def test_a_cause_is_logged_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand identical warnings are one line, and the next one tells how many there were."""
    now = 0.0
    log = Log("test-limits")
    log._logger.handlers[0].setStream(sys.stderr)  # type: ignore[attr-defined] # pytest's stderr
    log._clock = lambda: now
    for _ in range(1000):
        log.warning("garbage", topic="x")
    now = 61.0
    log.warning("garbage", topic="x")

    lines = capsys.readouterr().err.splitlines()

    assert len(lines) == 2
    assert lines[1].endswith("event=garbage topic=x repeated=999")


def test_each_message_of_an_event_has_a_minute_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A second interface that is away is reported though the first was, a moment before."""
    log = Log("test-messages")
    for name in ("eth0", "eth1", "eth0"):
        log.warning("away", interface=name)

    lines = capsys.readouterr().err.splitlines()

    assert [line.rsplit(" ", 1)[1] for line in lines] == ["interface=eth0", "interface=eth1"]


def test_messages_without_end_do_not_fill_the_disk(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an event whose messages differ each time some are written, and the rest is counted."""
    now = 0.0
    log = Log("test-without-end")
    log._clock = lambda: now
    for number in range(1000):
        log.warning("rejected", topic=number)
    now = 61.0
    log.warning("rejected", topic="last")

    lines = capsys.readouterr().err.splitlines()

    assert len(lines) == MOST_PER_EVENT + 1
    assert lines[-1].endswith("event=rejected topic=last others=980")
    assert len(log._events["rejected"]._since) <= MOST_PER_EVENT
    assert MOST_PER_EVENT == 20
