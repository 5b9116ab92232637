"""The digest of a day, and spans of time at their edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.notifier.made import AT, BERLIN, MACS, alert, device, directory, target

from monitorpi_common.examples import example
from monitorpi_common.messages import Device, Target
from monitorpi_notifier.advice import advice
from monitorpi_notifier.digest import Digest, size
from monitorpi_notifier.spans import parse


@pytest.mark.parametrize(
    ("text", "moment", "is_covered"),
    [
        ("07:00-07:00", "2026-11-30T06:59", True), ("00:59-01:00", "2026-11-30T00:59", True),
        ("00:00-24:00", "2026-11-30T23:59", True), ("23:59-00:00", "2026-11-30T23:59", True),
        ("07:00-18:00", "2026-11-30T18:00", False), ("07:00-18:00", "2026-11-30T06:59", False),
    ],
)  # fmt: skip
def test_spans_at_their_edges(text: str, moment: str, is_covered: bool) -> None:
    """A span of no length lasts a day; its first minute counts and its last does not."""
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert (parse(text).until(at) is not None) is is_covered


@pytest.mark.parametrize(
    "text", ["2026-12-01 22:00 - 2026-12-01 22:00", "00:60-01:00", "24:00-24:01"]
)
def test_no_span_is_of_no_time(text: str) -> None:
    """Nor has an hour sixty-one minutes."""
    with pytest.raises(ValueError, match=r"write|before"):
        parse(text)


def digest(*messages: Any, at: str | None = "07:30") -> Digest:
    """Return a digest that began at AT, 03:12:05 in Berlin."""
    one = Digest(directory(*messages), BERLIN, at, "http://pi/")
    assert list(one.due(AT)) == []
    return one


def test_a_digest_comes_at_its_minute_each_day() -> None:
    """In local time; nothing was, where nothing was."""
    one = digest()
    due = datetime(2026, 11, 30, 6, 30, tzinfo=UTC)

    assert list(one.due(due - timedelta(microseconds=1))) == []
    ((title, text),) = one.due(due)
    assert title == "MonitorPi, Mon 30 Nov: 0 alerts"
    assert text.splitlines() == [
        "Since Mon 30 Nov 03:12:", "", "- no alert", "", "Worst delays:", "- nothing is pinged",
        "", "Busiest:", "- nothing was counted", "", "Page: http://pi/",
    ]  # fmt: skip
    assert list(one.due(due + timedelta(seconds=86_399))) == []
    ((title, text),) = one.due(due + timedelta(seconds=86_400))
    assert text.startswith("Since Mon 30 Nov 07:30:")
    assert title.startswith("MonitorPi, Tue 01 Dec")


def test_a_digest_tells_of_the_day_and_then_forgets_it() -> None:
    """Alerts by rule, the worst losses and delays, the busiest; five of each."""
    one = digest(*(device(mac, hostname=f"host-{mac[-1]}") for mac in MACS), target())
    early = alert(opened_at=AT - timedelta(seconds=1), id="8f3e0b8e-3c0b-5d0a-9a55-000000000000")
    for number, rule in enumerate(("loop", "syn-flood", "syn-flood")):
        one.receive(alert(rule=rule, summary=f"s{number}",
                          id=f"8f3e0b8e-3c0b-5d0a-9a55-00000000000{number}"))  # fmt: skip
    one.receive(early.model_copy(update={"id": "8f3e0b8e-3c0b-5d0a-9a55-00000000000f"}))
    sample = example(Target).last
    for number in range(6):
        for delay, loss in ((10.0 + number, 0.0), (1.0, 0.1 * number)):
            last = sample.model_copy(update={"rtt_p95_ms": delay, "loss_ratio": loss})
            one.receive(target(address=f"192.0.2.{number}", last=last))
    one.receive(target(address="192.0.2.0", last=sample.model_copy(
        update={"rtt_p95_ms": None, "loss_ratio": None})))  # fmt: skip
    totals = example(Device).totals
    for number, mac in enumerate(MACS):
        for count in (500, 500 + 1000 * number, 100):
            tx = totals.model_copy(update={"tx": {"bytes": count}})
            one.receive(device(mac, totals=tx))

    ((title, text),) = one.due(datetime(2026, 11, 30, 6, 30, tzinfo=UTC))

    assert title.endswith(": 3 alerts")
    lines = text.splitlines()
    assert lines[2:4] == [f"- 2 {advice('syn-flood').title}: s2", f"- 1 {advice('loop').title}: s0"]
    assert lines[6:11] == [
        "- 192.0.2.5: up to 15.0 ms, 50 % lost at worst",
        "- 192.0.2.4: up to 14.0 ms, 40 % lost at worst",
        "- 192.0.2.3: up to 13.0 ms, 30 % lost at worst",
        "- 192.0.2.2: up to 12.0 ms, 20 % lost at worst",
        "- printer: up to 11.0 ms, 10 % lost at worst",
    ]
    assert lines[13:18] == [f"- host-{n + 1}: {size(1000 * n + 100)} sent" for n in (5, 4, 3, 2, 1)]
    ((title, text),) = one.due(datetime(2026, 12, 1, 6, 30, tzinfo=UTC))
    assert title.endswith(": 0 alerts")
    assert "- nothing was counted" in text
    assert "- nothing is pinged" in text


def test_the_worst_delay_may_be_a_short_one() -> None:
    """And nothing lost is nothing lost."""
    one = digest(target())
    last = example(Target).last.model_copy(update={"rtt_p95_ms": 0.3, "loss_ratio": 0.004})
    one.receive(target(last=last))

    ((_, text),) = one.due(datetime(2026, 11, 30, 6, 30, tzinfo=UTC))

    assert "- printer: up to 0.3 ms, 0 % lost at worst" in text


def test_without_a_time_there_is_no_digest() -> None:
    """And nothing is gathered for it."""
    one = digest(at=None)
    one.receive(device())

    assert list(one.due(AT + timedelta(days=3))) == []
    assert one._bytes == {}


def test_a_digest_is_bounded() -> None:
    """4,096 alerts, devices and targets."""
    one = digest()
    for number in range(4100):
        one.receive(alert(id=f"8f3e0b8e-3c0b-5d0a-9a55-{number:012d}"))
        one.receive(device(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"))
        one.receive(target(address=str(number)))

    assert (len(one._alerts), len(one._bytes), len(one._delays)) == (4096, 4096, 4096)


def test_a_digest_counts_from_what_it_saw_first() -> None:
    """And comes at its minute though it began between two seconds."""
    one = Digest(directory(device(hostname="nas")), BERLIN, "07:30", None)
    assert list(one.due(AT + timedelta(microseconds=5))) == []
    totals = example(Device).totals
    for count in (1000, 1005):
        tx = totals.model_copy(update={"tx": {"bytes": count}})
        one.receive(device(totals=tx))

    ((_, text),) = one.due(datetime(2026, 11, 30, 6, 30, tzinfo=UTC))

    assert "- nas: 5 B sent" in text
    assert "Page" not in text


NEXT = datetime(2026, 11, 30, 6, 30, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (NEXT - TICK, NEXT), (NEXT, NEXT), (NEXT + timedelta(hours=1), NEXT + timedelta(hours=1)),
        (NEXT + timedelta(hours=1) + TICK, NEXT + timedelta(days=1)),
        (AT - timedelta(days=3), NEXT - timedelta(days=3)),
    ],
)  # fmt: skip
def test_a_digest_keeps_its_hour_by_the_clock_as_it_is_set(at: datetime, due: datetime) -> None:
    """What is jumped over by an hour at most comes now; the day's length is that of both clocks."""
    one = digest()
    one.clock_set(at, (at - AT).total_seconds())

    assert due == at or list(one.due(due - TICK)) == []
    ((_, text),) = one.due(due)

    assert text.startswith(f"Since {at.astimezone(BERLIN):%a %d %b %H:%M}:")


def test_a_clock_that_is_set_before_a_digest_began_is_none_of_its() -> None:
    """It begins by the clock as it is then."""
    one = Digest(directory(), BERLIN, "07:30", None)
    one.clock_set(AT, 5.0)
    assert list(one.due(AT)) == []

    ((_, text),) = one.due(NEXT)

    assert text.startswith("Since Mon 30 Nov 03:12:")
