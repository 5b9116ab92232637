"""The words and numbers of a message, by hand."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.notifier.made import AT, BERLIN, MACS, alert
from tests.notifier.test_folding import T, change

from monitorpi_common.messages import Peer
from monitorpi_notifier.advice import advice
from monitorpi_notifier.digest import size
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.wording import DOUBT, Wording, duration, quantity

if TYPE_CHECKING:
    from monitorpi_notifier.items import NoticeChange


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (252, "4 min 12 s"),
        (3599, "59 min 59 s"), (3600, "1 h 0 min"), (172_799, "47 h 59 min"),
        (172_800, "2 d 0 h"), (100 * 3600 + 59, "4 d 4 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_has_its_two_largest_units(seconds: float, text: str) -> None:
    """As people say it."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1012.4, "frames/s", "1,012 frames/s"), (10, "ms", "10 ms"), (9.96, "ms", "10 ms"),
        (3.0, "ms", "3 ms"), (3.14159, "ms", "3.1 ms"), (0.05, "ms", "0.05 ms"),
        (0.2, "loss ratio", "20 % loss"), (1, "loss ratio", "100 % loss"),
    ],
)  # fmt: skip
def test_a_measured_value_is_as_long_as_it_means_something(
    value: float, unit: str, text: str
) -> None:
    """Shares are per cent."""
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_550_000, "1.6 MB"), (999_949, "999.9 kB"),
     (2e9, "2.0 GB"), (3e12, "3.0 TB"), (4e15, "4000.0 TB")],
)  # fmt: skip
def test_bytes_are_written_in_decimal_steps(count: float, text: str) -> None:
    """The largest step goes on."""
    assert size(count) == text


WORDS = Wording(Directory(), BERLIN, "http://pi/")


def test_an_open_alert_in_words() -> None:
    """Who, since when in local time, how bad, what to do, where to look."""
    peers = [Peer(mac=mac) for mac in MACS[:5]]
    one = alert(evidence={"sources": peers[:1], "victims": peers, "baseline": 40.0})

    lines = WORDS.opened(one, ("nas", "printer")).splitlines()

    assert lines == [
        "Many SYNs.", "", f"Device: {MACS[0]}",
        f"Victim: {MACS[1]}; {MACS[2]}; {MACS[3]} and 1 more", "Since: Mon 30 Nov 03:12:05",
        "How bad: 1,012 frames/s; it is an alert from 100 frames/s, usual here is 40 frames/s",
        "With it: nas, printer", f"What to do: {advice('syn-flood').todo}", "Page: http://pi/",
    ]  # fmt: skip
    assert WORDS.title(one, "WARNING") == f"WARNING {advice('syn-flood').title}: {MACS[0]}"
    assert WORDS.line(one) == "Many SYNs."


def test_what_is_not_known_is_not_written() -> None:
    """Counts of devices say nothing of how bad it is; three victims are no "more"."""
    words = Wording(Directory(), UTC, None)
    one = alert(evidence={"unit": "devices", "victims": [Peer(mac=mac) for mac in MACS[1:4]]})

    assert words.opened(one).splitlines() == [
        "Many SYNs.", "", f"Victim: {MACS[1]}; {MACS[2]}; {MACS[3]}",
        "Since: Mon 30 Nov 02:12:05", f"What to do: {advice('syn-flood').todo}",
    ]  # fmt: skip
    assert words.title(one, "OVER") == f"OVER {advice('syn-flood').title}"
    grouped = alert(rule="group-down", evidence={"victims": [Peer(mac=MACS[1])]})
    assert "Victim" not in words.opened(grouped)
    many = WORDS.opened(one, tuple("abcdefghij"))
    assert "With it: a, b, c, d, e, f, g, h and 2 more" in many
    assert "With it: a, b, c, d, e, f, g, h and 1 more" in WORDS.opened(one, tuple("abcdefghi"))
    assert "more" not in WORDS.opened(one, tuple("abcdefgh"))
    assert "usual here" not in WORDS.opened(alert(evidence={"baseline": 0.0}))


@pytest.mark.parametrize(
    ("reason", "why"),
    [("quiet", "; its cause is over."), ("silenced", "; silenced by a person."), (None, ".")],
)
def test_a_closed_alert_in_words(reason: str | None, why: str) -> None:
    """How long it lasted, from when to when, why it ended, its peak and its sources."""
    one = alert(closed_at=AT + timedelta(seconds=75), close_reason=reason,
                evidence={"sources": [Peer(mac=MACS[0]), Peer(mac=MACS[1])]})  # fmt: skip

    lines = WORDS.closed(one, ("nas",)).splitlines()

    assert lines == [
        f"It lasted 1 min 15 s: Mon 30 Nov 03:12:05 to Mon 30 Nov 03:13:20{why}", "Many SYNs.", "",
        f"Device: {MACS[0]}", f"From: {MACS[1]}", "Peak: 2,000 frames/s", "With it: nas",
        "Page: http://pi/",
    ]  # fmt: skip
    assert "It lasted 1 min 0 s" in WORDS.closed(alert())
    assert "Peak" not in WORDS.closed(alert(evidence={"unit": "targets"}))


def summary(*changes: NoticeChange, now_s: float = T) -> tuple[str, list[str]]:
    """Return subject line and lines of a summary."""
    title, body = WORDS.summary(changes, now_s, 600.0)
    return title, body.splitlines()


def test_a_summary_lists_what_is_open_first_and_the_worst_of_it() -> None:
    """Each alert once, with how long it lasted or since when it is open."""
    title, lines = summary(
        change(1), change(2, severity="info"), change(3, severity="critical"),
        change(1, what="closed", at_s=T + 90.0),
        change(4, what="raised", at_s=T + 30, opened_s=T - 60),
    )  # fmt: skip

    assert title == "CRITICAL 4 alerts: 3 open, 1 over"
    assert lines[0] == f"From {WORDS.time(T)} to {WORDS.time(T + 30)}."
    assert lines[1:] == [
        "", f"- CRITICAL line 3. (open since {WORDS.time(T)})",
        f"- WARNING line 4. (open since {WORDS.time(T - 60.0)})",
        f"- INFO line 2. (open since {WORDS.time(T)})",
        "- WARNING line 1. (over after 1 min 30 s)", "", "Page: http://pi/",
    ]  # fmt: skip
    assert summary(change(1), change(1, what="raised"))[0] == "WARNING title 1: 1 open, 0 over"


def test_a_summary_of_very_many_counts_the_rest() -> None:
    """A dozen lines; the commonest rules first, eight of them."""
    changes = [change(number, at_s=T + number) for number in range(12)]
    assert not any(line.startswith("and ") for line in summary(*changes)[1])
    more = [change(100 + number, rule=f"rule-{min(number, 9)}", at_s=T + 100 + number)
            for number in range(12)]  # fmt: skip

    (line,) = [one for one in summary(*changes, *more)[1] if one.startswith("and ")]

    assert line.startswith(f"and 12 more: 3 {advice('rule-9').title}, 1 {advice('rule-0').title}")
    assert line.endswith(f"1 {advice('rule-6').title}, others")
    (line,) = [one for one in summary(*changes, *more[:8])[1] if one.startswith("and ")]
    assert not line.endswith("others")


@pytest.mark.parametrize(
    ("age_s", "held", "late"), [(600, False, False), (601, False, True), (601, True, False)]
)
def test_a_summary_that_is_late_says_so(age_s: float, held: bool, late: bool) -> None:
    """Not what waited for the end of quiet hours; what may have come before says that."""
    both = [change(number, held=held) for number in (1, 2)]

    lines = summary(*both, now_s=T + age_s)[1]

    assert (lines[0] == "This comes late: until now it could not be sent.") is late
    assert DOUBT not in lines
    assert DOUBT in summary(both[0], change(3, doubtful=True))[1]
