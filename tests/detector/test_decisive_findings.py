"""Findings that need no second look, by hand: an uplink that is away, an onset, an outage's end."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, ROUTER, VICTIM, syns

from monitorpi_common.messages import Peer
from monitorpi_detector.rule import Finding, Limits, LimitsOf
from monitorpi_detector.rules.onset import _reported
from monitorpi_detector.rules.outage import judge_window
from monitorpi_detector.targets.outage import Outage, Outages
from monitorpi_detector.targets.presence import Stay

OTHER = "04:00:00:00:00:02"


def lost(*routers: str | None, rate: float) -> list[Finding]:
    """Return what is found where one sender each asks a router in vain."""
    rows = [syns(round(10 * rate), f"04:00:00:00:01:{n:02x}") for n in range(len(routers))]
    of = {row.mac: router for row, router in zip(rows, routers, strict=True)}
    view: Any = Namespace(
        vain_senders=rows, lost_uplink=lambda row: of[row.mac], rate=lambda count: count / 10,
        inventory=Namespace(ip={ROUTER: "192.0.2.1", OTHER: "192.0.2.2"}.get),
    )  # fmt: skip
    return list(judge_window(view, LimitsOf(lambda _: Limits(floor=0.75), 0.0)))


def test_an_uplink_that_passes_no_answer_is_away() -> None:
    """Whole: which router, how much is asked of it in vain, and that it is one story."""
    assert lost(ROUTER, ROUTER, None, rate=2.5) == [
        Finding(
            subject="internet", value=1.0, threshold=0.75, unit="uplinks", severity="critical",
            text=f"the uplink is away: the router {ROUTER} passes no answer any more, "
            "5 connections/s are asked for in vain",
            victims=(Peer(mac=ROUTER, ip="192.0.2.1"),), story="uplink-down", a_night=4,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("routers", "rate", "found"),
    [
        ((ROUTER, ROUTER), 2.4, []), ((ROUTER, OTHER), 4.9, []), ((ROUTER, None), 4.9, []),
        ((ROUTER, OTHER), 5.0, [ROUTER, OTHER]), ((), 9.0, []),
    ],
)  # fmt: skip
def test_some_connections_may_stop_by_themselves(
    routers: tuple[str | None, ...], rate: float, found: list[str]
) -> None:
    """Fewer than five a second through one router."""
    assert [one.victims[0].mac for one in lost(*routers, rate=rate)] == found


ALONE = Finding("x", 300.0, 100.0, "a flood", sources=(Peer(mac=ATTACKER),), late=9.0)
TOGETHER = replace(
    ALONE, sources=(Peer(mac=ATTACKER), Peer(mac=OTHER)), victims=(Peer(mac=VICTIM),)
)


@pytest.mark.parametrize(
    ("finding", "sure", "rate", "value"),
    [
        (ALONE, 200.0, 150.0, 200.0), (ALONE, 200.0, 900.0, 900.0), (ALONE, 199.0, 900.0, None),
        (TOGETHER, 300.0, 0.0, 300.0), (TOGETHER, 299.0, 900.0, None),
        (replace(ALONE, sources=()), 900.0, 900.0, None),
        (replace(ALONE, must_last=True), 900.0, 900.0, None),
    ],
)  # fmt: skip
def test_an_onset_that_is_sure_raises_at_once(
    finding: Finding, sure: float, rate: float, value: float | None
) -> None:
    """By the limits of the sender, or of the victim of several; with the rate of the rise."""
    at_once = {ATTACKER: 2.0, VICTIM: 3.0}
    limits = LimitsOf(lambda mac: Limits(floor=1.0, raise_at_once=at_once[mac or ""]), 0.0)

    told = [] if value is None else [replace(finding, value=value, late=0.0, decisive=True)]

    assert list(_reported(finding, sure, rate, limits)) == told


def members(silent: int, there: int, beyond: int = 0) -> dict[str, Stay]:
    """Return targets: so many are silent, so many answer, and so many of these are beyond."""
    stays = [
        Stay(str(n), str(n), None if n >= silent + there - beyond else f"04:00:00:00:02:{n:02x}",
             silent_rounds=int(n < silent))
        for n in range(silent + there)
    ]  # fmt: skip
    return {stay.address: stay for stay in stays}


@pytest.mark.parametrize(
    ("cause", "stays", "ends"),
    [
        ("group-down", members(4, 0), False), ("group-down", members(2, 2), False),
        ("group-down", members(1, 3), True), ("group-down", members(1, 0), False),
        ("group-down", members(3, 1, beyond=1), False),
        ("uplink-down", members(3, 1), False), ("uplink-down", members(3, 1, beyond=1), True),
        ("cut-off", members(3, 1, beyond=1), False),
    ],
)  # fmt: skip
def test_an_outage_ends_with_most_of_its_members(
    cause: Any, stays: dict[str, Stay], ends: bool
) -> None:
    """That of an uplink with the first from beyond it; it is dropped ten minutes later."""
    one = Outage(cause, "x", 0.0, stays)

    assert not Outages._is_over(one, 100.0)
    assert one.ended == (100.0 if ends else None)
    assert not Outages._is_over(one, 700.0)
    assert Outages._is_over(one, 700.1) is ends
    assert one.ended == (100.0 if ends else None)


def test_an_outage_of_which_nobody_is_away_is_dropped_at_once() -> None:
    """There is nothing left to follow."""
    assert Outages._is_over(Outage("group-down", "x", 0.0, members(0, 3)), 100.0)
