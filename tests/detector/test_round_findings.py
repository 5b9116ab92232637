"""What rules about rounds of probes find, by hand and whole: outages, bad lines, who is gone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.finders import NOW, found
from tests.detector.test_outage_parts import NEAR, gone, there
from tests.detector.test_whole_findings import shown
from tests.detector.windows import VICTIM, answer, probe

from monitorpi_common.messages import Peer
from monitorpi_detector.rule import Limits, LimitsOf
from monitorpi_detector.rules import slow_target
from monitorpi_detector.targets.outage import Outage
from monitorpi_detector.targets.presence import Stay, Stays
from monitorpi_detector.targets.quality import Degradation
from monitorpi_detector.views.rounds import RoundView


def seen(*targets: Any, stays: tuple[Stay, ...] = (), **more: Any) -> RoundView:
    """Return the view of a round."""
    presence = Stays()
    for stay in stays:
        presence._stays.put(stay.address, stay, NOW)
    values = {
        "usual": lambda _, __: None, "watched_s": 1e6, "outages": (), "degradations": (),
        "witness": lambda _: None, "may_leave": lambda _: False, "learned": True, **more,
    }  # fmt: skip
    return RoundView(probe(0, *targets), NOW, presence=presence, **values)


def members(count: int, first: int = 0, **more: Any) -> dict[str, Stay]:
    """Return targets that are away, by address."""
    return {one.address: one for one in (gone(n, **more) for n in range(first, first + count))}


NAMES = frozenset(NEAR[:3]) | {"192.168.1.0", "192.168.1.1", "192.168.1.2"}
PEERS = tuple(Peer(mac=NEAR[n], ip=f"192.168.1.{n}") for n in range(3))
SAID = {"victims": PEERS, "about": NAMES, "unit": "targets", "threshold": 1.0, "decisive": True}


def outage(cause: Any, subject: str = "x", **more: Any) -> Outage:
    """Return an outage of three targets, of which one is back."""
    values = {"members": members(2) | {"192.168.1.2": there(2)}, "others": 7} | more
    return Outage(cause, subject, 900.0, **values)


@pytest.mark.parametrize(
    ("one", "text", "severity", "more"),
    [
        (outage("cut-off"), ("this Pi is cut off: none of 3 targets answers since the same moment: "
         "its own link, or the switch it is on (t0, t1, t2)"), "critical", {"a_night": None}),
        (outage("cut-off", lacks_network=True), ("this Pi is cut off, its network is unreachable: "
         "none of 3 targets answers (t0, t1, t2)"), "critical", {"a_night": None}),
        (outage("cut-off", witnessed=1),
         ("this Pi is cut off: none of 3 targets answers, though the"
         " mirror port shows frames of 1 of them: its own link is away (t0, t1, t2)"), "critical",
         {"a_night": None}),
        (outage("uplink-down"), ("the uplink is away: nothing beyond the router answers "
         "(t0, t1, t2), 7 targets on the LAN do"), "critical", {"story": "uplink-down"}),
        (outage("group-down"), ("3 devices went at the same moment (t0, t1, t2), 7 others answer: "
         "a switch, an access point or a fuse"), "warning", {}),
        (outage("group-down", lacks_network=True), ("this Pi has no network to 3 targets any more "
         "(t0, t1, t2)"), "warning", {}),
        (outage("group-down", is_sure=False), ("3 devices went at the same moment (t0, t1, t2), "
         "7 others answer: a switch, an access point or a fuse"), "warning", {"opens": False}),
    ],
)  # fmt: skip
def test_an_outage_is_told_with_all_it_carries(
    one: Outage, text: str, severity: str, more: dict[str, Any]
) -> None:
    """As many as do not answer now; four of a place and a night, a cut each time."""
    whole = SAID | {"subject": "x", "value": 2.0, "text": text, "severity": severity, "a_night": 4,
                    "story": f"{one.cause}-x"} | more  # fmt: skip

    (finding,) = found(one.cause, seen(outages=(one,)))

    assert shown(finding) == {name: value for name, value in whole.items() if value is not None}
    others = {"cut-off", "uplink-down", "group-down"} - {one.cause}
    assert [found(name, seen(outages=(one,))) for name in others] == [[], []]
    one.ended = NOW
    assert found(one.cause, seen(outages=(one,))) == []
    one.ended = None


def test_an_outage_of_one_or_of_none_that_is_silent() -> None:
    """In other words; what lasts counts as one at least."""
    alone = outage("cut-off", members=members(1))
    back = outage("group-down", members={"192.168.1.9": there(9)})
    beyond = outage("group-down", members=members(2) | members(1, 5, near=False))

    assert found("cut-off", seen(outages=(alone,)))[0].text == (
        "this Pi is cut off: t0 does not answer since the same moment: its own link, or the switch "
        "it is on (t0)"
    )
    assert found("group-down", seen(outages=(back,)))[0].value == 1.0
    (finding,) = found("group-down", seen(outages=(beyond,)))
    assert finding.text.endswith("a switch, an access point or a fuse, or the router")
    assert "203.0.113.5" in finding.about
    assert finding.victims[2] == Peer(ip="203.0.113.5")


@pytest.mark.parametrize(("count", "witnessed", "own"), [(10, 1, False), (10, 2, True),
                                                         (1, 1, True), (5, 1, True)])  # fmt: skip
def test_frames_of_a_fifth_blame_this_machines_own_link(
    count: int, witnessed: int, *, own: bool
) -> None:
    """Of one at least."""
    one = outage("cut-off", members=members(count), witnessed=witnessed)

    assert ("its own link is away" in found("cut-off", seen(outages=(one,)))[0].text) is own


def test_thirty_two_members_are_named() -> None:
    """And all of them are what it is about."""
    many = {stay.address: stay for stay in (
        Stay(f"10.0.0.{n}", f"t{n}", f"04:00:00:00:02:{n:02x}", silent_rounds=2)
        for n in range(40))}  # fmt: skip

    for rule, view in (
        ("group-down", seen(outages=(outage("group-down", members=many),))),
        ("group-degraded", seen(degradations=(degraded("group-degraded", members=many),))),
    ):
        (finding,) = found(rule, view)
        assert (len(finding.victims), len(finding.about)) == (32, 80)


# --- bad lines ------------------------------------------------------------------------------------


def degraded(cause: Any, *, nearly: bool = False, **more: Any) -> Degradation:
    """Return what three targets have in common, of which two are bad now."""
    values = {"members": members(3), "bad": list(members(2).values()), "well": 7} | more
    return Degradation(cause, "x", 900.0, is_nearly_all=nearly, **values)


FIGURES = (
    answer(address="192.168.1.0", loss_ratio=0.5, rtt_p50_ms=30.0),
    answer(address="192.168.1.1", loss_ratio=0.2, rtt_p50_ms=90.4),
    answer(address="192.168.1.2", loss_ratio=0.1, rtt_p50_ms=50.0),
    answer(address="192.168.1.9", loss_ratio=1.0, rtt_p50_ms=999.0),
)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (degraded("uplink-degraded"),
         ("the uplink is bad (20% lost, 50 ms): t0, t1, t2 answer badly"
         " since the same time, 7 targets on the LAN are well")),
        (degraded("group-degraded"),
         ("3 devices answer badly (20% lost, 50 ms) since the same time "
         "(t0, t1, t2), 7 others are well: an access point, a switch or a full link")),
        (degraded("group-degraded", nearly=True), ("nearly all 3 targets answer badly (20% lost, "
         "50 ms) since the same time: this Pi's own link, or the switch it is on (t0, t1, t2)")),
    ],
)  # fmt: skip
def test_a_common_cause_is_told_with_the_figures_in_the_middle(one: Degradation, text: str) -> None:
    """Of its members in this round; as many as are bad now, two of a place and a night."""
    (finding,) = found(one.cause, seen(*FIGURES, degradations=(one,)))

    assert shown(finding) == SAID | {
        "subject": "x", "value": 2.0, "text": text, "severity": "warning", "a_night": 2,
        "story": f"{one.cause}-x",
    }  # fmt: skip
    other = {"uplink-degraded", "group-degraded"} - {one.cause}
    assert found(other.pop(), seen(*FIGURES, degradations=(one,))) == []


@pytest.mark.parametrize(
    ("result", "figures"),
    [
        ({"loss_ratio": None, "rtt_p50_ms": 7.0}, " (7 ms)"),
        ({"loss_ratio": 0.5, "rtt_p50_ms": None}, " (50% lost)"),
        ({"loss_ratio": None, "rtt_p50_ms": None}, ""),
        ({"sent": 0, "received": 0}, ""),
    ],
)
def test_figures_that_nobody_has_are_left_out(result: dict[str, Any], figures: str) -> None:
    """Of whoever was not probed, too."""
    target = answer(address="192.168.1.0", **result)

    (finding,) = found("uplink-degraded", seen(target, degradations=(degraded("uplink-degraded"),)))

    assert finding.text.startswith(f"the uplink is bad{figures}: ")


@pytest.mark.parametrize(("up_s", "severity"), [(7199.0, "info"), (7200.0, "warning")])
def test_among_newcomers_it_is_a_note(up_s: float, severity: str) -> None:
    """Two hours of one of them are enough."""
    ones = members(1, named=False, up_s=up_s) | members(1, 1, named=False)

    view = seen(degradations=(degraded("group-degraded", members=ones),))

    assert found("group-degraded", view)[0].severity == severity


SLOW = {"high-loss": ("loss_ratio", 0.25, 0.2), "high-delay": ("rtt_p50_ms", 100.0, 40.0),
        "high-jitter": ("jitter_ms", 30.0, 20.0)}  # fmt: skip
STEADY = {"silent_from": None, "silent_rounds": 0}


@pytest.mark.parametrize(
    ("rule", "unit", "scale", "text"),
    [
        ("high-loss", "loss ratio", 100.0, "loses packets"),
        ("high-delay", "ms", 1.0, "has high round-trip delay"),
        ("high-jitter", "ms", 1.0, "has high jitter"),
    ],
)
def test_a_slow_target_is_told_with_its_limit(
    rule: str, unit: str, scale: float, text: str
) -> None:
    """And with what is usual for it, where that is known."""
    measure, floor, usual = SLOW[rule]
    target = answer(address="192.168.1.1", mac=NEAR[1], **{measure: 4 * floor})
    named = answer(address="192.168.1.2", mac=NEAR[2], origin="configured", **{measure: floor / 2})
    stays = (gone(1, named=False, up_s=7199.0, **STEADY), gone(2, **STEADY))
    read: list[tuple[str, str]] = []

    def knows(address: str, name: str) -> float | None:
        read.append((address, name))
        return usual if address == "192.168.1.1" else None

    one, other = found(rule, seen(target, named, stays=stays, usual=knows))

    whole = {"subject": "192-168-1-1", "value": 4 * floor, "threshold": 3 * usual, "unit": unit,
             "text": f"printer (192.168.1.1) {text}", "scale": scale, "baseline": usual,
             "victims": (Peer(mac=NEAR[1]),), "about": frozenset({"192.168.1.1"}),
             "severity": "info", "story": "192.168.1.1", "a_night": 1}  # fmt: skip
    assert shown(one) == {n: v for n, v in whole.items() if n != "scale" or v != 1.0}
    assert (other.threshold, other.severity, other.a_night) == (floor, "warning", 2)
    assert {name for _, name in read} == {slow_target.MEASURES[measure]}


@pytest.mark.parametrize("rule", SLOW)
@pytest.mark.parametrize(
    ("share", "more", "view", "told"),
    [
        (0.5, {}, {}, True), (0.499, {}, {}, False), (4.0, {"state": "down"}, {}, False),
        (4.0, {"sent": 0}, {}, False), (4.0, {}, {"stays": ()}, False),
        (4.0, {}, {"stays": (gone(1, rounds=1),)}, False),
        (4.0, {}, {"degradations": (degraded("group-degraded"),)}, False),
        (None, {}, {}, False),
    ],
)  # fmt: skip
def test_who_is_judged_by_how_it_answers(
    rule: str, share: float | None, more: dict[str, Any], view: dict[str, Any], told: bool
) -> None:
    """From half of its limit on; neither who is gone nor what a common cause speaks for."""
    measure, floor, _ = SLOW[rule]
    value = None if share is None else share * floor
    target = answer(address="192.168.1.1", mac=NEAR[1], **{measure: value}, **more)

    known = {"stays": (gone(1, **STEADY),)} | view

    assert bool(found(rule, seen(target, **known))) is told


@pytest.mark.parametrize(
    ("result", "usual", "habit", "counts"),
    [
        ({"rtt_p50_ms": 99.9}, None, None, 0), ({"rtt_p50_ms": 100.0}, None, None, 1),
        ({"rtt_p50_ms": 299.9}, None, None, 1), ({"rtt_p50_ms": 300.0}, None, None, 6),
        ({"rtt_p50_ms": 149.9}, 50.0, None, 0), ({"rtt_p50_ms": 150.0}, 50.0, None, 1),
        ({"rtt_p50_ms": 199.9}, None, 200.0, 0), ({"rtt_p50_ms": 200.0}, None, 200.0, 1),
        ({"loss_ratio": 0.25}, None, None, 1), ({"loss_ratio": 0.24}, None, None, 0),
        ({"loss_ratio": 1.0, "jitter_ms": 999.0}, None, None, 1),
        ({"jitter_ms": 30.0}, None, None, 1),
        ({"loss_ratio": 1.0, "rtt_p50_ms": 300.0}, None, None, 6),
        ({"loss_ratio": None, "rtt_p50_ms": None, "jitter_ms": None}, None, None, 0),
    ],
)  # fmt: skip
def test_as_how_many_bad_rounds_one_counts(
    result: dict[str, Any], usual: float | None, habit: float | None, counts: int
) -> None:
    """Only a delay of three times its limit counts as all of them; each measure by its own rule."""
    values = {"loss_ratio": 0.0, "rtt_p50_ms": 1.0, "jitter_ms": 1.0} | result
    rules = {one.name: one.defaults for one in slow_target.RULES}
    asked: set[str] = set()

    def limits(name: str) -> LimitsOf:
        one: Limits = rules[name]
        return LimitsOf(lambda _: one, one.floor * one.close_ratio)

    def habit_of(key: str) -> float | None:
        asked.add(key)
        return habit if "delay" in key else None

    found_ = slow_target.counts_as(
        answer(mac=VICTIM, **values), lambda _, name: usual if name == "rtt_ms" else None, limits,
        habit_of,
    )  # fmt: skip

    assert found_ == counts
    assert asked <= {f"{name}-198-18-0-11" for name in rules}


def test_a_rule_that_is_off_counts_nothing() -> None:
    """Of its own measure."""
    off = Limits(floor=100.0, enabled=False)
    found_ = slow_target.counts_as(
        answer(rtt_p50_ms=1e6), lambda _, __: None, lambda _: LimitsOf(lambda _: off, 50.0),
        lambda _: None,
    )  # fmt: skip

    assert found_ == 0
