"""One target's coming and going, slow scans and sweeps, by hand and at their limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, ROUTER, answer, at, probe, syns
from tests.detector.windows import device as seen_device

from monitorpi_common.examples import example
from monitorpi_common.messages import DeviceWindow, Peer, Spread, Target
from monitorpi_detector.hosts import slowscans, sweeps
from monitorpi_detector.hosts.slowscans import SlowScans, Tried, is_vain
from monitorpi_detector.hosts.sweeps import Sweeps
from monitorpi_detector.targets import presence
from monitorpi_detector.targets.presence import DAY_S, WEEK_S, Stay, Stays, is_silent, was_probed

NOW = at(0).timestamp()
OWN, MADE_UP = "04:00:00:00:01:01", "02:00:00:00:01:01"

# --- one stay -------------------------------------------------------------------------------------


def absent(*ended: float, length: float = 100.0, **more: Any) -> Stay:
    """Return a target that was away until these seconds watched."""
    one = Stay("192.0.2.1", **more)
    one.absences.extend((second, length) for second in ended)
    return one


@pytest.mark.parametrize(
    ("gap_s", "silent", "excused", "up_s", "absences"),
    [
        (10.0, 0, False, 10.0, []), (300.0, 0, False, 300.0, []), (300.1, 0, False, 0.0, []),
        (30.0, 2, False, 30.0, []), (30.0, 3, False, 0.0, [(1030.0, 30.0)]),
        (30.0, 3, True, 30.0, []), (-5.0, 0, False, 0.0, []),
    ],
)  # fmt: skip
def test_an_answer_ends_an_absence_of_three_rounds(
    gap_s: float, silent: int, excused: bool, up_s: float, absences: list[tuple[float, float]]
) -> None:
    """Else it was there in between, unless nobody looked for long; all is well then."""
    one = Stay("192.0.2.1", left_s=1000.0, silent_rounds=silent, excused=excused)
    one.lacks_network, one.silent_from, one.silent_before_s = True, 5.0, 7.0

    one.answer(1000.0 + gap_s, 77.0)

    assert (one.up_s, list(one.absences)) == (up_s, absences)
    assert one.steady_s == (1000.0 + gap_s if absences else 0.0)
    assert (one.left_s, one.answered_at) == (1000.0 + gap_s, 77.0)
    assert (one.silent_rounds, one.silent_from, one.silent_before_s) == (0, None, 0.0)
    assert (one.excused, one.lacks_network, one.was_silent) == (False, False, silent > 0)


def test_silence_begins_with_the_first_round_without_an_answer() -> None:
    """Or as long before as it lasted when this process started."""
    one = Stay("192.0.2.1", silent_before_s=60.0)
    one.miss(1000.0, lacks_network=True)
    assert (one.silent_from, one.silent_rounds, one.was_silent, one.lacks_network) == (
        940.0, 1, False, True)  # fmt: skip
    one.miss(1010.0, lacks_network=False)
    assert (one.silent_from, one.silent_rounds, one.was_silent, one.lacks_network) == (
        940.0, 2, True, False)  # fmt: skip


@pytest.mark.parametrize(
    ("ended", "now_s", "is_habit"),
    [((1.0, 2.0, 3.0), WEEK_S, True), ((1.0, 2.0), 3.0, False), ((0.0, 2.0, 3.0), WEEK_S, True),
     ((0.0, 2.0, 3.0), WEEK_S + 0.1, False)],
)  # fmt: skip
def test_three_absences_in_a_week_are_a_habit(
    ended: tuple[float, ...], now_s: float, is_habit: bool
) -> None:
    """Twice may be two faults."""
    assert absent(*ended).comes_and_goes(now_s) is is_habit


@pytest.mark.parametrize(
    ("ended", "away_s", "missed", "before"),
    [
        ((), 5.0, True, False), ((10.0,), 200.0, True, True), ((10.0,), 200.1, True, False),
        ((10.0, 20.0, 30.0), 200.0, False, True), ((10.0, 20.0, 30.0), 200.1, True, True),
    ],
)  # fmt: skip
def test_who_comes_and_goes_is_missed_when_it_is_away_for_longer(
    ended: tuple[float, ...], away_s: float, missed: bool, before: bool
) -> None:
    """Than twice its longest absence; who came back by itself before may do so again."""
    one = absent(*ended, left_s=1000.0)

    assert one.is_missed(1000.0 + away_s) is missed
    assert one.was_away_before(1000.0 + away_s) is before


@pytest.mark.parametrize(
    ("ended", "steady_s", "now_s", "more", "steady"),
    [
        ((), 0.0, 5.0, {}, True), ((), 0.0, 5.0, {"silent_rounds": 1}, False),
        ((), 0.0, 5.0, {"was_silent": True}, False),
        ((1000.0,), 1000.0, 1299.0, {}, False), ((1000.0,), 1000.0, 1300.0, {}, True),
        ((900.0, 1000.0), 1000.0, 2799.0, {}, False), ((900.0, 1000.0), 1000.0, 2800.0, {}, True),
        ((1000.0,), 50_000.0, 1000.0 + DAY_S / 2, {}, False),
        ((1000.0,), 50_000.0, 1000.1 + DAY_S / 2, {}, True),
    ],
)  # fmt: skip
def test_answers_speak_of_the_line_a_while_after_an_absence(
    ended: tuple[float, ...], steady_s: float, now_s: float, more: dict[str, Any], steady: bool
) -> None:
    """Five minutes, or half an hour where there were two in a night."""
    assert absent(*ended, steady_s=steady_s, **more).is_steady(now_s) is steady


@pytest.mark.parametrize(("up_s", "named", "known"), [(60.0, False, True), (59.9, False, False),
                                                      (0.0, True, True)])  # fmt: skip
def test_whose_ways_are_known(up_s: float, named: bool, known: bool) -> None:
    """Who was there for so long, or is asked for."""
    assert Stay("192.0.2.1", up_s=up_s, named=named).is_known(60.0) is known


@pytest.mark.parametrize(
    ("mac", "made_up"), [(OWN, False), (MADE_UP, True), (None, False), ("fd:00:00:00:00:00", False)]
)
def test_a_mac_that_was_made_up(mac: str | None, made_up: bool) -> None:
    """By the second lowest bit."""
    assert Stay("192.0.2.1", mac=mac).has_made_up_mac is made_up
    assert Stay("printer.lan").ip is None
    assert Stay("fe80::1%eth0").ip == "fe80::1%eth0"


# --- all stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mac", "up_s", "left_s", "named", "expected"),
    [
        (OWN, 50.0, 100.0, False, True), (OWN, 49.9, 100.0, False, False),
        (MADE_UP, 299.0, 100.0, False, False), (MADE_UP, 300.0, 100.0, False, True),
        (OWN, DAY_S, 9 * DAY_S, False, True), (OWN, DAY_S - 1, 9 * DAY_S, False, False),
        (OWN, 0.0, 100.0, True, True),
    ],
)  # fmt: skip
def test_who_is_missed_when_it_is_gone(
    mac: str, up_s: float, left_s: float, named: bool, expected: bool
) -> None:
    """Who was there for half of the time, or a day."""
    assert (
        Stays().is_expected(Stay("x", mac=mac, up_s=up_s, left_s=left_s, named=named)) is expected
    )


def test_time_is_counted_from_the_first_round() -> None:
    """And a start is a start for three minutes."""
    one = Stays()
    assert one.may_start(NOW, 180.0)
    assert one.has_answered(Stay("x"))

    one.see_round("a", probe(100, answer()), 1000.0)

    assert one.began_s == 1000.0
    assert one.is_expected(Stay("x", up_s=50.0, left_s=1100.0, mac=OWN))
    assert one.may_start(NOW + 92 + 179.9, 180.0)
    assert not one.may_start(NOW + 92 + 180, 180.0)
    assert one.has_answered(Stay("x", answered_at=NOW + 92 - 120))
    assert not one.has_answered(Stay("x", answered_at=NOW + 92 - 120.1))
    one.see_round("a", probe(200, answer()), 1100.0)
    assert one.began_s == 1000.0


def test_what_never_answered_has_no_stay() -> None:
    """Nor what was not probed; a round says what is known of each."""
    one = Stays()
    silent = answer(address="192.0.2.9", received=0, loss_ratio=1.0)
    one.see_round("a", probe(10, silent, answer(address="192.0.2.8", sent=0, received=0)), 5.0)
    assert len(one) == 0

    one.see_round("a", probe(20, answer(origin="pinned", mac=OWN)), 15.0)
    one.see_round("a", probe(30, answer(received=0, mac=None, cause="no-network")), 25.0)
    stay = one.get(answer().address)
    assert stay is not None
    assert (stay.prober, stay.reported_at, stay.named, stay.mac) == ("a", NOW + 30, False, OWN)
    assert (stay.lacks_network, stay.silent_from) == (True, NOW + 22)
    assert (one.stays("a"), one.stays("b")) == ([stay], [])
    one.see_round("a", probe(40, answer(received=0, error="Network is unreachable")), 35.0)
    assert stay.lacks_network
    one.see_round("a", probe(50, answer(received=0, error="no reply")), 45.0)
    assert not stay.lacks_network


@pytest.mark.parametrize(
    ("more", "probed", "silent"),
    [
        ({}, True, False), ({"sent": 0, "received": 0}, False, True),
        ({"sent": 0, "received": 0, "unsent": 1}, True, True),
        ({"sent": 0, "received": 0, "cause": "no-network"}, True, True),
        ({"cause": "unsent"}, False, False), ({"cause": "no-address"}, False, False),
        ({"cause": "duplicate"}, False, False), ({"received": 0, "late": 1}, True, False),
        ({"received": 0, "altered": 1}, True, False), ({"received": 0}, True, True),
    ],
)  # fmt: skip
def test_what_a_round_says_of_a_target(more: dict[str, Any], probed: bool, silent: bool) -> None:
    """What comes late or altered is an answer."""
    one = answer(**more)

    assert (was_probed(one), is_silent(one)) == (probed, silent)


def target(state: str, since_s: float = 0.0, at_s: float = 100.0) -> Target:
    """Return what a prober retained."""
    return example(Target).model_copy(update={
        "address": "192.0.2.1", "state": state, "since": at(since_s), "at": at(at_s)})  # fmt: skip


@pytest.mark.parametrize(
    ("state", "up_s"), [("up", 100.0), ("flapping", 100.0), ("down", None), ("unknown", None)]
)
def test_a_prober_knows_longer_than_we_do(state: str, up_s: float | None) -> None:
    """Of those that are there."""
    one = Stays()

    one.see_target(target(state), 5.0)

    stay = one.get("192.0.2.1")
    assert (None if stay is None else stay.up_s) == up_s
    if stay is not None:
        assert (stay.left_s, stay.answered_at) == (5.0, NOW + 100)
        one.see_round("a", probe(200, answer(address="192.0.2.1")), 50.0)
        one.see_target(target(state, at_s=300.0), 60.0)
        assert stay.answered_at == NOW + 200


def test_stays_are_kept_over_a_restart() -> None:
    """How long, when last, and the absences; time in which nobody looked was silence."""
    one = Stays()
    one.restore({"192.0.2.1": (50.04, 900.06, [(10.04, 5.06)])}, ["192.0.2.2", "192.0.2.1"], 1000.0)

    stay, plain = one.get("192.0.2.1"), one.get("192.0.2.2")
    assert stay is not None
    assert plain is not None
    assert (stay.up_s, stay.silent_before_s, plain.up_s) == (50.04, pytest.approx(99.94), DAY_S)
    assert one.saved()["192.0.2.1"] == (50.0, 900.1, [(10.0, 5.1)])
    assert presence.MAX_TARGETS == 8192


def test_targets_of_one_device_are_gathered() -> None:
    """By its MAC address; that of a router tells none."""
    one = Stays()
    one.see_round("a", probe(
        10, answer(address="a", mac=OWN), answer(address="b", mac=OWN),
        answer(address="c", mac=ROUTER), answer(address="d", mac=None)), 5.0)  # fmt: skip
    one.gather(lambda mac: mac == ROUTER)

    stays = {name: one.get(name) for name in "abcd"}
    assert all(stays.values())
    assert [len(one.device(stay)) for stay in stays.values() if stay] == [2, 2, 1, 1]


# --- slow scans -----------------------------------------------------------------------------------


def tries(count: int = 10, *, port: int | None = 80, host: str | None = "192.0.2.1", ports: int = 1,
          hosts: int = 1, mac: str | None = None, answered: int = 0) -> DeviceWindow:  # fmt: skip
    """Return a sender of SYNs in vain, with a sample of what it tried."""
    return syns(count, rx={"syn_ack": answered}).model_copy(update={
        "spread": Spread(src_ips=1, dst_ips=hosts, dst_ports=ports, a_port=port, a_host=host),
        "top_peer": {} if mac is None else {"syn": Peer(mac=mac, packets=count)},
    })  # fmt: skip


def after(*rows: DeviceWindow, forwards: Any = lambda _: False, now: float | None = None) -> Tried:
    """Return what was tried within the minute after windows of a second."""
    table = SlowScans()
    for second, row in enumerate(rows):
        table.see(row, 1000.0 + second, forwards)
    return table.within_a_minute(ATTACKER, 1000.0 + len(rows) - 1 if now is None else now)


@pytest.mark.parametrize(
    ("rows", "ports", "hosts"),
    [
        ([tries(port=n, ports=10) for n in range(5)], 50.0, 0.0),
        ([tries(port=n, ports=10) for n in range(4)], 0.0, 0.0),
        ([tries(port=n % 2, ports=10) for n in range(5)], 20.0, 0.0),
        ([tries(host=f"192.0.2.{n}", hosts=10) for n in range(5)], 0.0, 50.0),
        ([tries(port=n, host=f"192.0.2.{n}", ports=10, hosts=10) for n in range(5)], 0.0, 0.0),
        ([tries(port=n, host=f"192.0.2.{n % 2}", ports=3, hosts=2) for n in range(6)], 18.0, 0.0),
        ([tries(3, port=n, ports=10) for n in range(5)], 15.0, 0.0),
        ([tries(10, port=n, ports=10, answered=4) for n in range(5)], 30.0, 0.0),
        ([tries(port=None, ports=10) for n in range(5)], 0.0, 0.0),
        ([tries(host=f"192.0.2.{n}", hosts=10, mac=ROUTER) for n in range(5)], 0.0, 0.0),
        ([tries(host=f"192.0.2.{n % 3}", hosts=10, mac=ROUTER) for n in range(6)], 0.0, 30.0),
    ],
)  # fmt: skip
def test_what_is_tried_within_a_minute(
    rows: list[DeviceWindow], ports: float, hosts: float
) -> None:
    """As many as the samples differ; of ports or hosts, three times as many as of the others."""
    found = after(*rows)

    assert (found.ports, found.hosts) == pytest.approx((ports, hosts))


def test_hosts_beyond_a_router_do_not_count() -> None:
    """Ports do."""
    rows = [tries(host=f"192.0.2.{n % 3}", hosts=10, mac=ROUTER) for n in range(6)]
    assert after(*rows, forwards=lambda mac: mac == ROUTER) == Tried()
    ports = [tries(port=n + 1, ports=10, mac=ROUTER) for n in range(6)]
    assert after(*ports, forwards=lambda mac: mac == ROUTER).ports == 60.0


def test_a_minute_is_a_minute() -> None:
    """What is older is forgotten, and nobody else tried it."""
    rows = [tries(port=n, ports=10) for n in range(5)]

    assert after(*rows, now=1059.9).ports == 50.0
    assert after(*rows, now=1060.0) == Tried()
    assert SlowScans().within_a_minute(ATTACKER, 0.0) == Tried()
    assert (slowscans.MAX_SCANNERS, slowscans.MINUTE_S) == (1024, 60.0)


@pytest.mark.parametrize(
    ("syn", "answered", "vain"),
    [(1, 0, True), (0, 0, False), (3, 1, True), (2, 1, False), (10, 4, True), (10, 5, False)],
)
def test_what_was_mostly_in_vain(syn: int, answered: int, vain: bool) -> None:
    """More than half of it."""
    assert is_vain(DeviceWindow(mac=ATTACKER, tx={"syn": syn}, rx={"syn_ack": answered})) is vain


# --- sweeps ---------------------------------------------------------------------------------------


def asks(count: int, second: float | None = 0.0) -> Any:
    """Return a device that asked for addresses which nobody has."""
    asked_at = None if second is None else at(0) + timedelta(seconds=second)
    return seen_device(ATTACKER, second or 0.0, asked_in_vain=count, asked_at=asked_at)


def test_a_sweep_goes_on_for_two_minutes() -> None:
    """What is told as a storm is none; what is asked after it counts anew."""
    one = Sweeps()
    one.see(asks(7))
    assert one.macs == []
    one.see(asks(8))
    assert one.going_on(NOW + 120) == [(ATTACKER, 8)]
    assert one.going_on(NOW + 120.1) == []

    one.reported(ATTACKER, NOW + 10)
    one.reported("nobody", NOW + 10)
    one.see(asks(30, 10))
    assert one.going_on(NOW + 11) == []
    one.see(asks(31, 10.1))
    assert one.going_on(NOW + 11) == [(ATTACKER, 31)]
    one.see(asks(99, None))
    assert one.macs == []
    one.see(asks(1, None))
    assert sweeps.MAX_SWEEPS == 1024
