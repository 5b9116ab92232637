"""Words, numbers and days of a message; who is who; what waits in the outbox. All by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from tests.drive import received
from tests.notifier.test_core import SAMPLE, Rig
from tests.notifier.test_folding import T, change

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Device, Peer, Target, WatchReason
from monitorpi_notifier.advice import advice
from monitorpi_notifier.blindness import Blindness
from monitorpi_notifier.digest import Digest, size
from monitorpi_notifier.directory import Card, Directory, macs_of
from monitorpi_notifier.folding import Folding
from monitorpi_notifier.items import Letter, NoticeChange, Told
from monitorpi_notifier.sinks.outbox import MOST_CHANGES, Outbox
from monitorpi_notifier.spans import parse
from monitorpi_notifier.wording import DOUBT, Wording, duration, quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BERLIN = timezone(timedelta(hours=1))
AT = datetime(2026, 11, 30, 2, 12, 5, tzinfo=UTC)
MACS = [f"b8:27:eb:00:00:0{number}" for number in range(1, 7)]


# --- numbers --------------------------------------------------------------------------------------


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


# --- who is who -----------------------------------------------------------------------------------


def device(mac: str = MACS[0], **more: Any) -> Device:
    """Return a device as capture says it is."""
    plain = {"mac": mac, "hostname": None, "vendor": None, "ips": []}
    return example(Device).model_copy(update=plain | more)


def target(**more: Any) -> Target:
    """Return a target as the prober says it is."""
    plain = {"mac": MACS[0], "name": "printer", "address": "192.0.2.1", "vendor": None}
    return example(Target).model_copy(update=plain | more)


def directory(*messages: Any) -> Directory:
    """Return what is known after some messages."""
    found = Directory()
    for message in messages:
        is_target = isinstance(message, Target)
        found.receive(message.address.replace(".", "-") if is_target else "x", message)
    return found


@pytest.mark.parametrize(
    ("card", "short", "long"),
    [
        (Card(MACS[0], "nas", "V", ("192.0.2.1", "fe80::1")), "nas",
         f"nas (V), 192.0.2.1, fe80::1, {MACS[0]}"),
        (Card(MACS[0], None, "V", ("192.0.2.1",)), "192.0.2.1", f"(V), 192.0.2.1, {MACS[0]}"),
        (Card(MACS[0], None, None, ()), MACS[0], MACS[0]),
        (Card(None, None, None, ()), "?", ""),
    ],
)  # fmt: skip
def test_a_device_is_written_as_far_as_it_is_known(card: Card, short: str, long: str) -> None:
    """Name, else address, else MAC."""
    assert (card.short, card.long) == (short, long)


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([device(hostname="by-dhcp"), target()], "by-dhcp"),
        ([device(), target()], "printer"),
        ([target()], "printer"),
        ([target(name="192.0.2.1")], None),
        ([target(mac=None)], None),
        ([target(), device(hostname="by-dhcp")], "by-dhcp"),
    ],
)
def test_a_device_has_the_name_people_gave_its_target(messages: list[Any], name: str) -> None:
    """Where it has none of its own; an address is no name."""
    assert directory(*messages).device(MACS[0]).name == name


def test_two_addresses_are_told_and_devices_are_bounded() -> None:
    """4,096 of them; who came first leaves; who is updated takes no new place."""
    found = directory(device(ips=["192.0.2.1", "192.0.2.2", "192.0.2.3"]))
    assert found.device(MACS[0]).addresses == ("192.0.2.1", "192.0.2.2")
    assert len(found) == 1
    for number in range(4096):
        found.receive("x", device(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"))
    assert len(found) == 4096
    assert found.device(MACS[0]).addresses == ()
    found.receive("x", device("02:00:00:00:00:00", hostname="h"))
    assert found.device("02:00:00:00:00:01") == Card("02:00:00:00:00:01", None, None, ())
    assert found.device("02:00:00:00:00:00").name == "h"
    found.forget("020000000000")
    assert len(found) == 4095


def test_an_address_is_found_and_forgotten() -> None:
    """By its id or as a name."""
    found = directory(target())
    assert found.at("192.0.2.1") == Card(MACS[0], "printer", None, ("192.0.2.1",))
    assert found.at("192.0.2.2") is None
    assert found.at("printer.lan") is None
    found.forget("192-0-2-1")
    assert found.at("192.0.2.1") is None


def alert(**more: Any) -> Alert:
    """Return an alert of a minute that began at AT."""
    evidence = SAMPLE.evidence.model_copy(update={
        "sources": [], "victims": [], "value": 1012.0, "threshold": 100.0, "baseline": None,
        "peak": 2000.0, "unit": "frames/s",
    } | more.pop("evidence", {}))  # fmt: skip
    plain = {
        "subject": "b827eb000001",
        "opened_at": AT,
        "at": AT + timedelta(seconds=60),
        "closed_at": None,
        "evidence": evidence,
        "summary": "many SYNs",
        "rule": "syn-flood",
    }
    return SAMPLE.model_copy(update=plain | more)


@pytest.mark.parametrize(
    ("messages", "changes", "card"),
    [
        ([target(), device(vendor="V")], {"subject": "192-0-2-1"},
         Card(MACS[0], "printer", "V", ("192.0.2.1",))),
        ([target(name="192.0.2.1", vendor="T"), device(hostname="h", vendor="V")],
         {"subject": "192-0-2-1"}, Card(MACS[0], "h", "T", ("192.0.2.1",))),
        ([target(mac=None)], {"subject": "192-0-2-1"},
         Card(None, "printer", None, ("192.0.2.1",))),
        ([device(ips=["192.0.2.7"])],
         {"evidence": {"sources": [Peer(mac=MACS[0], ip="192.0.2.9")]}},
         Card(MACS[0], None, None, ("192.0.2.7",))),
        ([], {"evidence": {"sources": [Peer(mac=MACS[0], ip="192.0.2.9")]}},
         Card(MACS[0], None, None, ("192.0.2.9",))),
        ([], {"evidence": {"sources": [Peer(mac=MACS[0])]}}, Card(MACS[0], None, None, ())),
        ([], {"subject": "victim-b827eb000001",
              "evidence": {"sources": [Peer(mac=MACS[1])], "victims": [Peer(mac=MACS[0])]}},
         Card(MACS[0], None, None, ())),
        ([device()], {}, None),
        ([device()], {"evidence": {"sources": [Peer(ip="192.0.2.1")]}}, None),
    ],
)  # fmt: skip
def test_whom_an_alert_is_about(
    messages: list[Any], changes: dict[str, Any], card: Card | None
) -> None:
    """By its subject: a target's address, or the MAC of somebody in the evidence."""
    one = alert(**changes)

    assert directory(*messages).subject(one) == card
    peers = (*one.evidence.sources, *one.evidence.victims)
    assert macs_of(one) == {peer.mac for peer in peers if peer.mac}


# --- texts ----------------------------------------------------------------------------------------

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
        change(1, what="closed", at_s=T + 90.0), change(4, what="raised", opened_s=T - 60),
    )  # fmt: skip

    assert title == "CRITICAL 4 alerts: 3 open, 1 over"
    assert lines[0] == f"From {WORDS.time(T)} to {WORDS.time(T)}."
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


# --- which go together ----------------------------------------------------------------------------


def letter(waiting: list[NoticeChange], *ago_s: float, most: int = 6) -> Letter | None:
    """Return the next message where some went out so many seconds ago."""
    return Folding(most).next(waiting, [T - one for one in ago_s], T, WORDS)


@pytest.mark.parametrize(
    ("ago_s", "count"),
    [
        ((), 1), ((50, 40), 1),
        ((50, 40, 30), 3), ((50, 40, 20), 3), ((50, 40, 19), None),
        ((60, 50, 40), 1), ((59, 50, 40), 3),
        ((59, 58, 57, 56, 55), 3), ((59, 58, 57, 56, 55, 54), None),
    ],
)  # fmt: skip
def test_messages_of_a_minute(ago_s: tuple[float, ...], count: int | None) -> None:
    """Three by themselves, then a summary each twenty seconds, six in all."""
    found = letter([change(number) for number in range(3)], *ago_s)

    assert (found and len(found.changes)) == count


@pytest.mark.parametrize(("most", "singles", "pause_s"), [(2, 1, 60), (5, 3, 30), (60, 30, 2)])
def test_half_of_a_minute_is_for_summaries(most: int, singles: int, pause_s: float) -> None:
    """The greater half for single ones."""
    assert (Folding(most).singles, Folding(most).pause_s) == (singles, pause_s)


@pytest.mark.parametrize(
    ("waiting", "ago_s", "what"),
    [
        ([change(1, at_s=T - 600), change(2, at_s=T - 600)], (), "opened"),
        ([change(1, at_s=T - 601), change(2)], (), "opened"),
        ([change(1, at_s=T - 601), change(2, at_s=T - 601)], (), "summary"),
        ([change(1, held=True), change(2, held=True)], (), "summary"),
        ([change(n) for n in range(4)], (), "opened"),
        ([change(n) for n in range(3)], (50,), "opened"),
        ([change(n) for n in range(4)], (50,), "summary"),
        ([change(1), change(2, what="test")], (), "test"),
        ([change(1, what="digest"), change(2, what="test")], (50, 40, 30), "digest"),
        ([change(1, due_s=T + 1)], (), None),
        ([change(1, due_s=T)], (), "opened"),
    ],
)  # fmt: skip
def test_what_goes_by_itself(
    waiting: list[NoticeChange], ago_s: tuple[float, ...], what: str | None
) -> None:
    """The first of few; old ones and many go together; a test and a digest never do."""
    found = letter(waiting, *ago_s)

    assert (found and found.what) == what


def test_a_summary_holds_a_thousand() -> None:
    """In the order they happened."""
    found = letter([change(number) for number in range(1200)], 50, 40, 30)

    assert found is not None
    assert [one.id for one in found.changes] == list(range(1000))
    assert found.destination == "phone"


def test_of_those_that_are_as_bad_the_first_goes_first() -> None:
    """What is of no known severity is between the others."""
    waiting = [change(1, severity="info"), change(2, at_s=T), change(3, at_s=T - 5)]

    found = letter(waiting)

    assert found is not None
    assert found.changes[0].id == 3


# --- days and spans -------------------------------------------------------------------------------


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


# --- nobody watches -------------------------------------------------------------------------------


def test_a_blind_watch_is_an_alert_after_twenty_seconds() -> None:
    """Once, with the reasons and what to do; over as soon as somebody watches again."""
    one = Blindness()
    reasons = [WatchReason(what="x", text="No window.", remedy="look at it"),
               WatchReason(what="y", text="z" * 250)]  # fmt: skip

    def judge(level: Any, seconds: float) -> Alert | None:
        return one.judge(level, reasons, AT + timedelta(seconds=seconds), 1000.0 + seconds)

    assert judge("watching", 0) is None
    assert judge("blind", 1) is None
    assert judge("partly", 10) is None
    assert judge("blind", 11) is None
    assert judge("blind", 30.9) is None
    opened = judge("blind", 31)
    assert judge("blind", 99) is None
    closed = judge("watching", 100)
    assert judge("watching", 101) is None

    assert opened is not None
    assert closed is not None
    assert opened.summary.startswith("Nobody watches the network. No window. Look at it. zzz")
    assert len(opened.summary) <= 400
    assert (opened.opened_at, opened.severity, opened.state, opened.evidence.value) == (
        AT + timedelta(seconds=11), "critical", "open", 20.0)  # fmt: skip
    assert (closed.id, closed.state, closed.closed_at, closed.close_reason) == (
        opened.id, "closed", AT + timedelta(seconds=100), "quiet")  # fmt: skip
    assert judge("blind", 200) is None
    again = judge("blind", 220)
    assert again is not None
    assert again.id != opened.id


# --- the outbox -----------------------------------------------------------------------------------


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Open an outbox."""
    one = Outbox(tmp_path / "outbox.db")
    yield one
    one.close()


def waits(outbox: Outbox) -> list[str]:
    """Return which changes wait for the phone."""
    return [one.key.removeprefix("syn-flood-") for one in outbox.waiting("phone")]


def test_a_letter_takes_its_changes_along(outbox: Outbox) -> None:
    """Delivered they are done; else they wait again, and say so where nobody knows."""
    outbox.add([change(1), change(2), change(3, destination="mail")], [])
    first, second = outbox.waiting("phone")
    number = outbox.seal(Letter("phone", "t", "b", (first,)), 2, T)
    assert waits(outbox) == ["2"]
    assert outbox.open_letters("phone") == [number]
    assert outbox.open_letters("mail") == []
    assert outbox.noted(number) == (None, None)
    assert outbox.noted(99) == (None, None)
    assert outbox.counts() == {"phone": 2, "mail": 1}

    outbox.settle(number, is_delivered=False)
    assert waits(outbox) == ["1", "2"]
    assert not outbox.waiting("phone")[0].doubtful
    assert outbox.open_letters("phone") == []
    number = outbox.seal(Letter("phone", "t", "b", (first, second)), 1, T)
    outbox.settle(number, is_delivered=False, is_doubtful=True)
    assert [one.doubtful for one in outbox.waiting("phone")] == [True, True]
    number = outbox.seal(Letter("phone", "t", "b", (first,)), 1, T)
    outbox.settle(number, is_delivered=True)
    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 1, "mail": 1}


def test_what_waits_can_be_withdrawn(outbox: Outbox) -> None:
    """Of one alert, for some; not what is in a letter."""
    outbox.add([change(1), change(2), change(1, destination="mail"), change(1)], [])
    outbox.seal(Letter("phone", "t", "b", (outbox.waiting("phone")[0],)), 1, T)

    outbox.withdraw("syn-flood-1", ["phone"])

    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 2, "mail": 1}


def test_what_is_old_or_for_nobody_expires(outbox: Outbox) -> None:
    """Counted; what is on its way stays, and what is known of open alerts."""
    told = [Told("a", "x", "open", "info", T - 9), Told("b", "x", "closed", "info", T - 9),
            Told("c", "x", "closed", "info", T)]  # fmt: skip
    outbox.add([change(1, due_s=T - 1), change(2, due_s=T), change(3, destination="gone"),
                change(4, due_s=T - 1)], told)  # fmt: skip
    outbox.seal(Letter("phone", "t", "b", (outbox.waiting("phone")[2],)), 1, T)

    outbox.expire(["phone"], T)

    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 2}
    assert outbox.dropped_total == 2
    assert [one.key for one in outbox.told()] == ["a", "c"]


def test_the_newest_of_each_alert_stays(outbox: Outbox) -> None:
    """2,000 wait for one destination; first those go that a newer one of the alert follows."""
    outbox.add([change(number) for number in range(MOST_CHANGES)], [])
    assert (MOST_CHANGES, outbox.dropped_total) == (2000, 0)

    outbox.add([change(5, what="closed"), change(1, destination="mail")], [])
    assert outbox.dropped_total == 1
    assert [one.what for one in outbox.waiting("phone") if one.key == "syn-flood-5"] == ["closed"]
    outbox.add([change(9999)], [])
    assert outbox.dropped_total == 2
    assert waits(outbox)[:2] == ["1", "2"]
    assert len(outbox.waiting("phone")) == 2000


def test_what_was_told_outlives_a_restart(tmp_path: Path) -> None:
    """The oldest first, with whom; 4,096 of them, open ones before others."""
    file = tmp_path / "outbox.db"
    one = Outbox(file)
    told = Told("a", "id", "open", "warning", T, frozenset({"phone", "mail"}))
    one.add([], [Told("b", "id", "closed", "info", T + 1), told])
    one.remember({"alive_at": 7.5})
    one.close()

    again = Outbox(file)
    assert again.told() == [told, Told("b", "id", "closed", "info", T + 1)]
    assert (again.recall("alive_at"), again.recall("x")) == (7.5, None)
    again.add([], [Told(str(n), "id", "closed", "info", T + 2 + n) for n in range(4095)])
    assert len(again.told()) == 4096
    assert {"a", "0"} <= {one.key for one in again.told()}
    assert "b" not in {one.key for one in again.told()}
    again.close()


# --- the core -------------------------------------------------------------------------------------


def test_health_tells_what_is_known() -> None:
    """And when we were there last is remembered once a minute, and at the end."""
    rig = Rig()
    rig.core.handle(None)
    list(rig.core.handle(received(device(), "b827eb000001")))
    rig.box.memory.clear()
    for _ in range(59):
        rig.tick(1)
    assert len(rig.box.memory) <= 1
    rig.tick(2)
    assert "alive_at" in rig.box.memory
    assert rig.core.detail() == {"unwritten_total": 0, "folded_total": 0, "devices_known": 1}
    rig.box.memory.clear()
    list(rig.core.close())
    assert rig.box.memory == {"alive_at": rig.at.timestamp()}
