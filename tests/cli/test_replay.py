from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_cli import replay as replay_module
from monitorpi_cli.replay import Progress, Summary
from monitorpi_cli.table import Terminal
from monitorpi_common.messages import Alert, DeviceWindow, Evidence, Omitted, Peer, Traffic

if TYPE_CHECKING:
    from monitorpi_common.messages import Message

BAD, GOOD = "00:00:5e:00:53:06", "00:00:5e:00:53:02"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def window(number: int, **changes: Any) -> Traffic:
    """Build the window that ends ``number`` seconds after the start, with one sender."""
    sender = DeviceWindow(mac=BAD, role="host", tx={"packets": 300, "bytes": 18_000, "syn": 300})
    return Traffic.model_validate(
        {
            "epoch": "e1",
            "seq": number,
            "start": START + timedelta(seconds=number - 1),
            "end": START + timedelta(seconds=number),
            "window_s": 1.0,
            "clock_synced": True,
            "interface": "eth0",
            "engine": "file",
            "packets": 300,
            "bytes": 18_000,
            "counts": {"syn": 300},
            "totals": {},
            "devices": [sender],
            **changes,
        }
    )


def alert(state: str, seconds: float) -> Alert:
    """Build a SYN flood alert of the bad host as it is told so many seconds after the start."""
    return Alert.model_validate(
        {
            "id": "0" * 36,
            "key": "syn-flood-00005e005306",
            "rule": "syn-flood",
            "severity": "critical",
            "state": state,
            "subject": "00005e005306",
            "opened_at": START + timedelta(seconds=1),
            "at": START + timedelta(seconds=seconds),
            "close_reason": "quiet" if state == "closed" else None,
            "summary": "00:00:5e:00:53:06 sends 300 SYN/s.",
            "evidence": Evidence(
                value=300, threshold=100, window_s=1, peak=300, sources=[Peer(mac=BAD)]
            ),
        }
    )


def told(*messages: Message, width: int = 100) -> list[str]:
    """Return the lines a person reads of these messages."""
    return list(Summary(Terminal(width, colour=False)).lines(iter(messages)))


def test_a_file_without_frames_is_said_to_hold_none() -> None:
    """Silence would leave open whether anything was read."""
    assert told() == ["The file holds no frames: there is nothing to count."]


def test_time_that_steps_back_gives_no_negative_span() -> None:
    """A file of two captures, the older one behind: from the earliest to the latest."""
    found = told(window(100), window(101), window(1))

    assert any("900 frames" in line and " 101.0 s in 3 windows" in line for line in found)


def test_an_alert_is_told_once_when_it_opens_and_once_when_it_closes() -> None:
    """Refreshes in between are not news; the time is the event's, and since the file's start."""
    lines = told(
        window(1), alert("open", 1), alert("open", 11), alert("closed", 20), alert("closed", 20)
    )

    assert lines[0] == (
        "2026-01-02T03:04:06.000Z      +1.0 s  ALERT   syn-flood: "
        "00:00:5e:00:53:06 sends 300 SYN/s."
    )
    assert lines[1] == (
        "2026-01-02T03:04:25.000Z     +20.0 s  CLOSED  syn-flood of 00:00:5e:00:53:06 (quiet)"
    )
    assert "closed" not in "".join(lines[2:]).lower()


def test_no_alert_is_said_too() -> None:
    """A file without an alert says so before its counts."""
    assert told(window(1))[0] == "No alert."


def test_an_alert_that_outlasts_the_file_is_said_to_be_open() -> None:
    """The end of a file closes no alert."""
    assert "1 alert still open when the file ends." in told(window(1), alert("open", 1))


def test_counts_are_summed_over_the_windows() -> None:
    """The table has a line per MAC address, one for what was not listed, and one for the wire."""
    omitted = Omitted(devices=3, packets=30, bytes=1800, classes={"arp": 30})
    lines = told(window(1), window(2, omitted=omitted, counts={"syn": 300, "arp": 30}))

    table = [line.split() for line in lines[2:]]
    assert table[1] == ["MAC", "address", "role", "received", "sent", "bytes", "syn", "arp"]
    assert table[2] == [BAD, "host", "0", "600", "36.0", "kB", "600", "-"]
    assert table[3] == ["not", "listed", "30", "1.8", "kB", "-", "30"]
    assert table[4] == ["the", "wire", "600", "36.0", "kB", "600", "30"]


def test_a_file_of_many_devices_is_shown_by_its_busiest() -> None:
    """Beyond 25 MAC addresses the rest is one line, and nothing is lost from the sums."""
    devices = [
        DeviceWindow(mac=f"02:00:00:00:00:{i:02x}", tx={"packets": i, "bytes": 60 * i})
        for i in range(1, 31)
    ]

    lines = told(window(1, devices=devices))

    assert sum(line.startswith("02:") for line in lines) == 25
    assert any(line.split()[:3] == ["5", "more", "15"] for line in lines)


def test_a_mac_flood_of_hours_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million addresses with a frame each are a sum; the busy ones among them keep their rows."""
    monkeypatch.setattr(replay_module, "_MAX_APART", 64)
    strangers = [
        [DeviceWindow(mac=f"02:00:00:00:{n:02x}:{i:02x}", tx={"packets": 1}) for i in range(40)]
        for n in range(10)
    ]
    busy = DeviceWindow(mac=BAD, tx={"packets": 300})
    summary = Summary(Terminal(100, colour=False))
    windows = (window(n, devices=[busy, *some]) for n, some in enumerate(strangers))

    lines = list(summary.lines(windows))

    assert len(summary._devices) <= 64
    assert any(line.split()[:1] == [BAD] and "3,000" in line for line in lines)
    assert any(line.split()[:3] == ["376", "more", "376"] for line in lines)
    assert any("up to 401 MAC addresses" in line for line in lines)  # some may have come again


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_the_counts_fit_the_terminal(width: int) -> None:
    """No line of the table is wider than the terminal, however many classes there are."""
    counts = dict.fromkeys(("syn", "arp", "dns", "http", "https", "igmp", "tcp", "udp"), 10**9)

    lines = told(window(1, counts=counts), width=width)

    assert all(len(line) <= max(width, 40) for line in lines[3:])


class Screen(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return what it is."""
        return self._is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_on_a_terminal_alone(is_terminal: bool) -> None:
    """How much was read and how many frames that were, now and then, and cleared behind."""
    screen = Screen(is_terminal=is_terminal)
    times = iter(range(100))
    progress = Progress(screen, lambda: 0.25, lambda: float(next(times)))

    passed = list(progress.beside(iter([window(1), window(2)])))

    assert len(passed) == 2
    assert ("25% read, 600 frames ..." in screen.getvalue()) == is_terminal
    assert screen.getvalue().endswith("\r\x1b[K") == is_terminal


def test_frames_without_times_are_counted_and_said_to_be_unjudged() -> None:
    """Nobody is told that all is well where nothing could be judged."""
    untimed = window(1, window_s=0.001, has_times=False)

    alone, beside = told(untimed), told(untimed, window(2))

    assert alone[0] == "No alert by a rate: the file has no times."
    assert "300 frames, 18.0 kB, 1 MAC addresses, no times." in alone[2]
    assert beside[:2] == ["No alert.", "300 frames have no time: no rule by rate judged them."]
    assert "600 frames, 36.0 kB, 1 MAC addresses, 1.0 s in 1 windows." in beside[3]
