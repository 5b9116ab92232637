"""One cause: what makes many targets answer badly at once is one alert."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.test_outages import AWAY, GONE, beyond, lan, near, rounds, summaries
from tests.detector.test_restarts import ids, restarted
from tests.detector.windows import Detector, echoes, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitorpi_common.messages import ProbeResult

GROUP = "group-degraded-198-18-0-10"
LOSSY: dict[str, Any] = {"received": 5, "loss_ratio": 0.5}
SLOW: dict[str, Any] = {"rtt_p50_ms": 400.0, "jitter_ms": 5.0}
HOURS = 800
"""Rounds after which a target is known: two hours."""


def house(
    bad: Iterable[int], bad_away: Iterable[str] = (), *, since: int = HOURS, until: int = 9999,
    how: Callable[[int, int], dict[str, Any]] = lambda _n, _k: LOSSY,
) -> Callable[[int], list[ProbeResult]]:  # fmt: skip
    """Build thirty devices and two targets beyond the router, some of which answer badly."""
    bad, bad_away = set(bad), set(bad_away)

    def round_(n: int) -> list[ProbeResult]:
        lasts = since <= n < until
        return [
            *[near(k, **(how(n, k) if lasts and k in bad else {})) for k in range(1, 31)],
            *[beyond(one, **(how(n, 99) if lasts and one in bad_away else {})) for one in AWAY],
        ]

    return round_


def reported(round_: Callable[[int], list[ProbeResult]], *, count: int = HOURS + 60) -> Detector:
    """Show so many rounds."""
    detector = Detector()
    detector.take(*rounds(round_, count=count))
    return detector


@pytest.mark.parametrize("how", [LOSSY, SLOW, {"jitter_ms": 90.0}, LOSSY | SLOW])
def test_what_many_have_in_common_is_one_alert(how: dict[str, Any]) -> None:
    """An access point whose twelve devices lose packets, are slow or both: one alert, no others."""
    detector = reported(house(range(2, 14), until=HOURS + 40, how=lambda _n, _k: how))

    assert list(summaries(detector)) == [GROUP]
    alert = summaries(detector)[GROUP]
    assert alert.severity == "warning"
    assert alert.summary.startswith("12 devices answer badly (")
    assert "20 others are well" in alert.summary
    assert len(alert.evidence.victims) == 12
    assert detector.open() == {}


def test_chance_makes_no_two_alerts_of_one_cause() -> None:
    """A third of the packets is lost: targets turn in different rounds, and are one alert."""
    dice = random.Random(5)  # noqa: S311 - a simulation

    def some(_n: int, _k: int) -> dict[str, Any]:
        got = sum(dice.random() > 0.4 for _ in range(10))
        return {"received": got, "loss_ratio": (10 - got) / 10}

    detector = reported(house(range(2, 14), how=some), count=HOURS + 100)

    assert set(ids(detector)) == {GROUP}


def test_a_bad_uplink_is_one_alert() -> None:
    """Everything beyond the router is slow, the LAN is not."""
    detector = reported(house((), AWAY, how=lambda _n, _k: SLOW))

    assert list(summaries(detector)) == ["uplink-degraded-internet"]
    text = summaries(detector)["uplink-degraded-internet"].summary
    assert text.startswith("the uplink is bad (0% lost, 400 ms): 203.0.113.1, 203.0.113.2 answer")
    assert "30 targets on the LAN are well" in text


def test_nearly_all_targets_are_the_own_link() -> None:
    """The Pi's own cable is bad: that is what all have in common."""
    detector = reported(house(range(1, 31), AWAY))

    assert list(summaries(detector)) == ["group-degraded-main"]
    assert "this Pi's own link" in summaries(detector)["group-degraded-main"].summary


def test_one_or_two_are_their_own_matter() -> None:
    """Two that turn bad at once may be a coincidence, and one target beyond is that target."""
    assert sorted(reported(house((3, 4))).open()) == [
        "high-loss-198-18-0-3",
        "high-loss-198-18-0-4",
    ]
    assert list(reported(house((), AWAY[:1])).open()) == ["high-loss-203-0-113-1"]


def test_what_turned_bad_at_other_times_is_no_group() -> None:
    """Three, five minutes apart, are three stories."""
    apart = [house((k,), since=HOURS + 30 * k) for k in (1, 2, 3)]

    detector = reported(
        lambda n: [*[apart[k](n)[k] for k in range(3)], *apart[0](n)[3:]], count=HOURS + 120
    )

    assert sorted(detector.open()) == [f"high-loss-198-18-0-{k}" for k in (1, 2, 3)]


def test_what_always_is_bad_is_no_group_after_a_restart() -> None:
    """Three sensors that save power are usual: that they are bad at the start tells nothing."""
    each = [house((k,), since=20 + 40 * k) for k in (1, 2, 3)]
    before = reported(lambda n: [*[each[k](n)[k] for k in range(3)], *each[0](n)[3:]], count=HOURS)
    after = restarted(before)
    after.take(*rounds(house((1, 2, 3)), first=HOURS, count=60))

    assert [key for key in ids(before, after) if key.startswith("group")] == []
    assert after.open() == {}


def test_short_spells_are_quiet() -> None:
    """Three bad rounds of a whole access point are no alert."""
    assert reported(house(range(2, 14), until=HOURS + 4)).alerts == []


def test_who_stays_bad_alone_has_an_alert_of_its_own_then() -> None:
    """The access point is well again, one device is not."""
    common, own = house(range(2, 14), until=HOURS + 30), house((7,))

    detector = reported(lambda n: [*common(n)[:6], own(n)[6], *common(n)[7:]], count=HOURS + 80)

    assert list(detector.open()) == ["high-loss-198-18-0-7"]
    assert detector.open()["high-loss-198-18-0-7"].severity == "warning"


def test_what_went_after_it_was_bad_is_one_story() -> None:
    """A link that loses packets and then fails: the outage carries what was reported before."""
    bad, gone = house(range(2, 14)), lan(range(2, 14), since=HOURS + 10, until=9999)

    detector = reported(lambda n: bad(n) if n < HOURS + 10 else gone(n), count=HOURS + 30)

    causes = {one.key: one.caused_by for one in detector.alerts if one.state == "open"}
    assert causes == {GROUP: "group-down-198-18-0-10", "group-down-198-18-0-10": None}


def test_a_flood_is_the_cause_of_what_it_makes_bad() -> None:
    """A ping flood on one of them: the group is its effect."""
    detector = Detector()
    detector.take(*rounds(house((2, 3, 4)), count=HOURS))
    flood = echoes(2000, peer="04:00:00:00:01:02", ip="198.18.0.2")
    for n, one in enumerate(rounds(house((2, 3, 4)), first=HOURS, count=20), HOURS):
        detector.take(*[window(10 * n + s, flood) for s in range(10)], one)

    group = detector.open()["group-degraded-198-18-0-2"]
    assert (group.caused_by, group.severity) == ("icmp-flood-04000000000a", "info")


def test_a_group_is_told_once_over_a_restart() -> None:
    """The next process takes it up: neither it nor its members are reported anew."""
    before = reported(house(range(2, 14)), count=HOURS + 30)
    after = restarted(before)
    after.take(*rounds(house(range(2, 14), until=HOURS + 60), first=HOURS + 30, count=60))

    assert set(ids(before, after)) == {GROUP}
    assert len({one.id for one in (*before.alerts, *after.alerts)}) == 1
    assert after.open() == {}


def test_a_member_that_goes_is_told_as_down() -> None:
    """One of twelve that answer badly is named and goes for good."""
    bad = house(range(2, 14))

    def round_(n: int) -> list[ProbeResult]:
        gone = GONE | {"state": "down" if n >= HOURS + 22 else "up"} if n >= HOURS + 20 else LOSSY
        own = near(5, origin="configured", **(gone if n >= HOURS else {}))
        return [*bad(n)[:4], own, *bad(n)[5:]]

    detector = reported(round_)

    assert sorted(detector.open()) == ["device-down-198-18-0-5", GROUP]
