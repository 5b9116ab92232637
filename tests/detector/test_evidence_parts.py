"""What an alert says of a finding, by hand: numbers, words, how severe, whom it concerns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, ROUTER, VICTIM, answer, at, device, probe, window

from monitorpi_common.messages import Alert, Evidence, Peer, Spread
from monitorpi_detector.alerts import evidence
from monitorpi_detector.alerts.evidence import Observed
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import Finding

SEEN = Observed("syn-flood", "flood", at(10), 2.0, "eth0", length_s=1.23456789, kernel_drops=3,
                sees_replies=True, copies_ratio=0.05)  # fmt: skip
FOUND = Finding(
    "04000000000a", 123.45678, 100.00049, "SYN flood from x", "SYN/s", baseline=7.65432,
    sources=(Peer(mac=ATTACKER),), victims=(Peer(mac=VICTIM, ip="192.0.2.1"),),
    spread=Spread(src_ips=2), answered_ratio=0.5, spoofed=True, beyond_router=False,
)  # fmt: skip


def evidence_of(finding: Finding = FOUND, before: Evidence | None = None) -> Evidence:
    """Return what a finding rests on."""
    return evidence.evidence_of(finding, SEEN, HostInventory(), at(0), before)


def test_numbers_are_written_as_people_need_them() -> None:
    """A thousandth of a rate and a millionth of a second; the rest as it was found."""
    assert evidence_of() == Evidence(
        value=123.457, unit="SYN/s", threshold=100.0, baseline=7.654, window_s=1.234568,
        peak=123.457, sources=list(FOUND.sources), victims=list(FOUND.victims),
        spread=FOUND.spread, answered_ratio=0.5, spoofed=True, beyond_router=False,
        sees_replies=True, kernel_drops=3, copies_ratio=0.05,
    )  # fmt: skip
    assert evidence_of(replace(FOUND, baseline=None)).baseline is None
    assert evidence_of(replace(FOUND, threshold=0.0006)).threshold == 0.001


def test_what_was_before_goes_on() -> None:
    """The highest value, and the sum of what was lost."""
    before = evidence_of().model_copy(update={"peak": 200.0, "kernel_drops": 4})

    after = evidence_of(before=before)

    assert (after.peak, after.kernel_drops, after.value) == (200.0, 7, 123.457)
    higher = evidence_of(replace(FOUND, value=200.1234), before)
    assert (higher.peak, higher.value) == (200.123, 200.123)


def test_thirty_two_of_each_are_named() -> None:
    """The first ones."""
    peers = tuple(Peer(packets=n) for n in range(40))
    many = evidence_of(replace(FOUND, sources=peers, victims=peers))

    assert [one.packets for one in many.sources] == list(range(32))
    assert many.victims == many.sources


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(0.0, 10.0, True), (9.0, 9.0, True), (8.8, 8.8, True), (8.7, 8.7, False)],
)
def test_a_round_that_ended_within_it_tells_how_a_victim_answered(
    first: float, last: float, *, said: bool
) -> None:
    """From the beginning of the alert's first window on; the first probed victim's."""
    known = HostInventory()
    for mac in (ATTACKER, VICTIM):
        known.see_device(device(mac, 0))
    figures = {"rtt_avg_ms": 87.5, "jitter_ms": 3.5, "loss_ratio": 0.25}
    for second in {first, last}:
        known.see_probe("main", probe(second, answer(**figures)), at(second).timestamp())
    opened = at(10)
    finding = replace(FOUND, victims=(Peer(ip="192.0.2.9"), Peer(mac=ROUTER), Peer(mac=ATTACKER),
                                      Peer(mac=VICTIM)))  # fmt: skip

    one = evidence.evidence_of(finding, SEEN, known, opened)

    told = (one.victim_rtt_ms, one.victim_jitter_ms, one.victim_loss_ratio)
    assert told == ((87.5, 3.5, 0.25) if said else (None, None, None))


def opened(before: Alert | None = None, cause: str | None = None, **more: Any) -> Alert:
    """Return the alert that a finding opens."""
    return evidence.opened_alert(
        replace(FOUND, **more), SEEN, HostInventory(), site="lab", key="k", cause=cause,
        before=before,
    )  # fmt: skip


def test_an_alert_opens_with_what_is_known() -> None:
    """Its id is that of site, key and moment; one that opens again keeps it."""
    first = opened()

    assert (first.key, first.rule, first.state, first.subject) == (
        "k", "syn-flood", "open", "04000000000a")  # fmt: skip
    assert (first.interface, first.opened_at, first.at) == ("eth0", at(10), at(10))
    assert (first.acknowledged, first.caused_by, first.severity) == (False, None, "warning")
    assert len(first.id) == 36
    assert first.id == opened().id
    others = (
        evidence.opened_alert(FOUND, seen, HostInventory(), site=site, key=key, cause=None,
                              before=None)
        for seen, site, key in ((SEEN, "x", "k"), (SEEN, "lab", "x"),
                                (replace(SEEN, at=at(11)), "lab", "k"))
    )  # fmt: skip
    assert len({first.id, *(one.id for one in others)}) == 4

    closed = first.model_copy(update={
        "opened_at": at(0), "acknowledged": True,
        "evidence": first.evidence.model_copy(update={"peak": 999.0, "kernel_drops": 50}),
    })  # fmt: skip
    again = opened(closed, "loop-wire-eth0")
    assert (again.id, again.opened_at, again.at) == (first.id, at(0), at(10))
    assert (again.acknowledged, again.caused_by, again.severity) == (True, "loop-wire-eth0", "info")
    assert (again.evidence.peak, again.evidence.kernel_drops) == (999.0, 3)


@pytest.mark.parametrize(
    ("value", "fixed", "cause", "severity"),
    [
        (300.0, None, None, "warning"), (999.9, None, None, "warning"),
        (1000.0, None, None, "critical"), (1e9, "info", None, "info"),
        (1.0, "critical", None, "critical"), (1e9, "critical", "k", "info"),
    ],
)  # fmt: skip
def test_how_severe_a_finding_is(
    value: float, fixed: Any, cause: str | None, severity: str
) -> None:
    """By its excess, unless the rule says; what another alert causes is a note."""
    one = replace(FOUND, value=value, threshold=1000.0 / evidence.CRITICAL_AT, severity=fixed)

    assert evidence.severity_of(one, cause) == severity


def test_what_is_worse() -> None:
    """Critical, then warning, then info."""
    order: Any = ("info", "warning", "critical")

    assert [[evidence.is_worse(one, other) for other in order] for one in order] == [
        [False, False, False], [True, False, False], [True, True, False]]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "seen", "peak", "words"),
    [
        ({}, {}, 0.0, "x: 123 SYN/s over 1.23 s (threshold 100)"),
        ({"value": 9.876}, {}, 9.876, "x: 9.9 SYN/s over 1.23 s (threshold 100)"),
        ({"value": 9.876}, {}, 9.877, "x: 9.9 SYN/s over 1.23 s (threshold 100, peak 9.9)"),
        ({"value": 10.0, "threshold": 0.5}, {}, 40.0,
         "x: 10 SYN/s over 1.23 s (threshold 0.5, peak 40)"),
        ({"unit": "targets"}, {}, 0.0, "x: 123 targets (threshold 100)"),
        ({"unit": "loss ratio", "value": 0.5, "threshold": 0.25, "scale": 100.0}, {}, 0.75,
         "x: 50 % (threshold 25, peak 75)"),
        ({"answered_ratio": 0.126}, {}, 0.0,
         "x: 123 SYN/s over 1.23 s (threshold 100), 13% answered"),
        ({"spoofed": True}, {}, 0.0,
         "x: 123 SYN/s over 1.23 s (threshold 100), source addresses forged"),
        ({}, {"sees_replies": False}, 0.0,
         ("x: 123 SYN/s over 1.23 s (threshold 100); the mirror port shows one direction only, "
         "replies could not be judged")),
        ({}, {"sees_replies": None}, 0.0, "x: 123 SYN/s over 1.23 s (threshold 100)"),
        ({}, {"copies_ratio": 0.099}, 0.0, "x: 123 SYN/s over 1.23 s (threshold 100)"),
        ({}, {"copies_ratio": 0.1}, 0.0,
         ("x: 123 SYN/s over 1.23 s (threshold 100); the mirror port shows frames 1.1 times on "
         "average, each counted once here")),
        ({}, {"copies_ratio": 0.5}, 0.0,
         ("x: 123 SYN/s over 1.23 s (threshold 100); the mirror port shows frames 2 times on "
         "average, each counted once here")),
        ({}, {"copies_ratio": 1.0}, 0.0,
         ("x: 123 SYN/s over 1.23 s (threshold 100); the mirror port shows frames 100 times on "
         "average, each counted once here")),
        ({}, {"kernel_drops": 1}, 0.0,
         "x: 123 SYN/s over 1.23 s (threshold 100); 1 frames lost in the sensor"),
        ({"text": "y" * 500}, {}, 0.0, "y" * 400),
    ],
)  # fmt: skip
def test_the_sentence_of_an_alert(
    more: dict[str, Any], seen: dict[str, Any], peak: float, words: str
) -> None:
    """Who, how much over which time, what limits it, and what kept us from knowing better."""
    plain = replace(FOUND, text="x", answered_ratio=None, spoofed=False)
    values = {"kernel_drops": 0} | seen

    assert evidence.sentence(replace(plain, **more), peak, replace(SEEN, **values)) == words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "x: up to 40 SYN/s is usual for it now, reported again from 60"),
        ({"unit": "loss ratio", "scale": 100.0},
         "x: up to 4000 % is usual for it now, reported again from 6000"),
        ({"text": "y" * 500}, "y" * 400),
    ],
)  # fmt: skip
def test_the_last_sentence_of_what_became_usual(more: dict[str, Any], words: str) -> None:
    """What is, and what is news again."""
    assert evidence.usual_sentence(replace(FOUND, **{"text": "x"} | more), 40.0, 60.0) == words


A, V, W = Peer(mac=ATTACKER), Peer(mac=VICTIM), Peer(mac=ROUTER)


@pytest.mark.parametrize(
    ("sources", "victims", "whose"),
    [
        ((A,), (V,), ATTACKER), ((A,), (), ATTACKER), ((A,), (V, W), ATTACKER),
        ((A, W), (V,), VICTIM), ((A, W), (V, A), VICTIM), ((A, W), (), ATTACKER),
        ((), (V,), VICTIM), ((), (V, W), None), ((), (), None),
    ],
)  # fmt: skip
def test_whose_limits_hold(
    sources: tuple[Peer, ...], victims: tuple[Peer, ...], whose: str | None
) -> None:
    """The only source's, else the victim's; an outage is about no one in particular."""
    one = replace(FOUND, sources=sources, victims=victims)

    assert evidence.whose_limits(one) == whose
    assert evidence.whose_limits(evidence_of(one)) == whose


def test_who_is_involved() -> None:
    """Sources by MAC address, victims by address too, and whoever it is about."""
    one = replace(FOUND, sources=(A, Peer(ip="198.18.0.1")), victims=(V, Peer(ip="192.0.2.1")),
                  about=frozenset({"z"}))  # fmt: skip

    assert evidence.macs_of(one) == (
        frozenset({ATTACKER}), frozenset({ATTACKER, VICTIM, "192.0.2.1", "z"}))  # fmt: skip
    alert = opened(sources=one.sources, victims=one.victims, subject="victim-040000000001")
    assert evidence.involved_in(alert) == (
        frozenset({ATTACKER}), frozenset({ATTACKER, VICTIM, "192.0.2.1", ROUTER}))  # fmt: skip
    named = alert.model_copy(update={"subject": "wire-eth0"})
    assert evidence.involved_in(named)[1] == frozenset({ATTACKER, VICTIM, "192.0.2.1"})


def test_circumstances_of_a_window() -> None:
    """A partial one counts as a whole second, and is told as long as it was."""
    traffic = window(4, length_s=0.25, kernel_drops=2, copies_ratio=0.5, sees_replies=None)

    seen = evidence.observed_in(traffic, ["eth0", "eth1"], is_part=True)("r", "flood")

    assert seen == Observed(
        "r", "flood", traffic.end, 1.0, "eth0", ("eth0", "eth1"), is_part=True, kernel_drops=2,
        sees_replies=None, copies_ratio=0.5, length_s=0.25,
    )  # fmt: skip
    assert evidence.observed_in(window(4, length_s=2.0), [])("r", "flood").span_s == 2.0
    assert seen.watched_s == 0.0
