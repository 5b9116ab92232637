"""A target's coming and going by hand, and what is learned of a host, window by window."""

from __future__ import annotations

from typing import Any

import pytest

from monitorpi_common.examples import example
from monitorpi_common.messages import DeviceWindow, Traffic
from monitorpi_detector.hosts.inventory import (
    HostInventory,
    Known,
    other_icmp,
    other_tcp,
    passes_connections,
)
from monitorpi_detector.targets.presence import Stay, Stays

NIGHT_S, WEEK_S = 43_200.0, 604_800.0


def answers(stay: Stay, *times_s: float) -> Stay:
    """Let a target answer at some seconds watched."""
    for now_s in times_s:
        stay.answer(now_s, now_s)
    return stay


def away(stay: Stay, rounds: int, until_s: float) -> Stay:
    """Let a target miss some rounds, and answer."""
    for _ in range(rounds):
        stay.miss(until_s - 1, lacks_network=False)
    return answers(stay, until_s)


def test_time_between_answers_is_time_it_was_there() -> None:
    """Up to five minutes; what is longer says nothing; time never runs backwards."""
    stay = answers(Stay("192.0.2.1"), 0.0, 60.0, 360.0)
    assert stay.up_s == 360.0
    assert answers(stay, 660.1).up_s == 360.0
    assert answers(stay, 600.0, 660.0).up_s == 420.0
    assert (stay.left_s, stay.answered_at) == (660.0, 660.0)


@pytest.mark.parametrize(
    ("rounds", "excused", "absences"),
    [(2, False, []), (3, False, [(100.0, 100.0)]), (3, True, [])],
)
def test_three_rounds_without_an_answer_are_an_absence(
    rounds: int, excused: bool, absences: list[tuple[float, float]]
) -> None:
    """Unless it was another's fault; the answer ends all of it."""
    stay = answers(Stay("192.0.2.1"), 0.0)
    for number in range(rounds):
        stay.miss(10.0 + number, lacks_network=True)
    assert (stay.silent_from, stay.silent_rounds, stay.lacks_network) == (10.0, rounds, True)
    assert stay.was_silent is (rounds > 1)
    stay.excused = excused

    answers(stay, 100.0)

    assert list(stay.absences) == absences
    assert stay.steady_s == (100.0 if absences else 0.0)
    assert (stay.silent_from, stay.silent_rounds, stay.lacks_network) == (None, 0, False)
    assert (stay.was_silent, stay.excused) == (True, False)
    assert not answers(stay, 110.0).was_silent


def test_a_silence_goes_on_over_a_restart() -> None:
    """It began as long before as it had lasted."""
    stay = Stay("192.0.2.1", silent_before_s=40.0)
    stay.miss(100.0, lacks_network=False)
    stay.miss(110.0, lacks_network=False)

    assert stay.silent_from == 60.0


def test_absences_count_for_a_week() -> None:
    """Three of them are a habit; then only what is twice as long as the longest is missed."""
    stay = answers(Stay("192.0.2.1"), 0.0)
    assert stay.is_missed(10.0)
    assert not stay.was_away_before(10.0)
    for end_s in (100.0, 500.0):
        away(answers(stay, end_s - 100.0), 3, end_s)
    assert stay.absent(NIGHT_S, 500.0) == [100.0, 100.0]
    assert not stay.comes_and_goes(500.0)
    assert stay.was_away_before(700.0)
    assert not stay.was_away_before(700.1)
    assert stay.is_missed(501.0)
    away(answers(stay, 900.0), 3, 1100.0)

    assert stay.comes_and_goes(1100.0)
    assert not stay.is_missed(1500.0)
    assert stay.is_missed(1500.1)
    assert stay.was_away_before(9000.0)
    assert stay.absent(400.0, 500.0 + 400.0) == [100.0, 200.0]
    assert stay.absent(399.9, 500.0 + 400.0) == [200.0]
    assert stay.comes_and_goes(100.0 + WEEK_S)
    assert not stay.comes_and_goes(100.1 + WEEK_S)


@pytest.mark.parametrize(
    ("ends_s", "now_s", "settled"),
    [((), 0.0, True), ((1000.0,), 1299.9, False), ((1000.0,), 1300.0, True),
     ((1000.0, 2000.0), 3799.9, False), ((1000.0, 2000.0), 3800.0, True),
     ((1000.0, 2000.0), 1000.0 + NIGHT_S + 1, True)],
)  # fmt: skip
def test_after_an_absence_answers_are_its_own_again_in_a_while(
    ends_s: tuple[float, ...], now_s: float, settled: bool
) -> None:
    """Five minutes, half an hour for one that dozes; not in the round of a silence or behind it."""
    stay = answers(Stay("192.0.2.1"), 0.0)
    for end_s in ends_s:
        away(stay, 3, end_s)
    if ends_s:
        assert not stay.is_steady(now_s)  # the round before had no answer
        stay.was_silent = False

    assert stay.is_steady(now_s) is settled
    stay.miss(now_s, lacks_network=False)
    assert not stay.is_steady(now_s)


@pytest.mark.parametrize(
    ("mac", "named", "up_s", "left_s", "expected"),
    [
        (None, False, 50.0, 200.0, False), (None, False, 50.0, 150.0, True),
        (None, True, 0.0, 9999.0, True), (None, False, 86_400.0, 9e9, True),
        (None, False, 86_399.0, 9e9, False),
        ("02:00:00:00:00:01", False, 299.0, 100.0, False),
        ("02:00:00:00:00:01", False, 300.0, 100.0, True),
        ("b8:27:eb:00:00:01", False, 100.0, 100.0, True),
    ],
)  # fmt: skip
def test_who_is_expected_to_be_there(
    mac: str | None, named: bool, up_s: float, left_s: float, expected: bool
) -> None:
    """Named, or there for half of the time watched, a day at most; made-up ones five minutes."""
    stays = Stays()
    stays.began_s = 50.0
    stay = Stay("192.0.2.1", mac=mac, named=named, up_s=up_s, left_s=left_s)

    assert stays.is_expected(stay) is expected
    assert stay.is_known(up_s)
    assert stay.is_known(up_s + 1) is named


@pytest.mark.parametrize(
    ("address", "ip"),
    [("192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1%eth0"), ("printer.lan", None)],
)
def test_a_target_may_have_no_address_yet(address: str, ip: str | None) -> None:
    """A host name that does not resolve."""
    assert Stay(address).ip == ip


# --- what is learned of a host --------------------------------------------------------------------


def row(**more: Any) -> DeviceWindow:
    """Return what a window says of a MAC."""
    return example(Traffic).devices[0].model_copy(update={"tx": {}, "rx": {}, **more})


def test_other_tcp_is_a_slow_average() -> None:
    """A tenth of the way each window, per second, and none of a window that is busy with SYNs."""
    known = Known(0.0)
    tcp = {"tcp": 130, "syn": 10, "syn_ack": 10, "rst": 10}

    HostInventory._learn_other(known, row(tx=tcp, rx={"tcp": 20}), 2.0, 100.0)
    assert (known.other_tx, known.other_rx) == (5.0, 1.0)
    HostInventory._learn_other(known, row(), 2.0, 100.0)
    assert (known.other_tx, known.other_rx) == (4.5, 0.9)
    HostInventory._learn_other(known, row(tx={"syn": 200}, rx={"syn": 199}), 2.0, 100.0)
    assert (known.other_tx, known.other_rx) == (4.5, pytest.approx(0.81))
    HostInventory._learn_other(known, row(tx={"syn": 199}, rx={"syn": 200}), 2.0, 100.0)
    assert (known.other_tx, known.other_rx) == (4.05, pytest.approx(0.81))
    silent = Known(0.0)
    HostInventory._learn_other(silent, row(tx={"udp": 9}), 2.0, 100.0)
    assert (silent.other_tx, silent.other_rx) == (0.0, 0.0)


def test_answers_are_averaged_while_there_are_any() -> None:
    """Silence leaves the average as it was."""
    known = Known(0.0)

    HostInventory._learn_answers(known, row(rx={"syn_ack": 40}), 2.0, 7.0)
    HostInventory._learn_answers(known, row(tx={"syn_ack": 1}), 2.0, 9.0)

    assert (known.answered, known.answered_at_s, known.syn_acked_s) == (2.0, 7.0, 9.0)
    HostInventory._learn_answers(known, row(rx={"syn_ack": 20}), 2.0, 11.0)
    assert known.answered == pytest.approx(2.8)


@pytest.mark.parametrize(
    ("tally", "tcp", "icmp"),
    [
        ({}, 0, 0), ({"tcp": 10, "syn": 1, "syn_ack": 2, "rst": 3}, 4, 0), ({"syn": 5}, 0, 0),
        ({"icmp": 10, "icmp_echo": 3, "igmp": 2}, 0, 5), ({"icmp": 1, "icmp_echo": 3}, 0, 0),
    ],
)  # fmt: skip
def test_what_carries_on(tally: dict[str, int], tcp: int, icmp: int) -> None:
    """Frames that neither open nor ask; never fewer than none."""
    assert (other_tcp(tally), other_icmp(tally)) == (tcp, icmp)


@pytest.mark.parametrize(
    ("src_ips", "own", "syn", "fin", "syn_ack", "passes"),
    [
        (100, 1, 10, 5, 5, True), (100, 1, 10, 4, 5, False), (100, 1, 10, 5, 4, False),
        (100, 1, 0, 5, 5, False), (1, 1, 10, 10, 10, False), (100, 100, 10, 5, 5, False),
    ],
)  # fmt: skip
def test_connections_of_many_addresses_that_end_well(
    src_ips: int, own: int, syn: int, fin: int, syn_ack: int, passes: bool
) -> None:
    """Nobody can end a connection for a forged address; own addresses do not count."""
    spread = example(Traffic).devices[0].spread.model_copy(update={"src_ips": src_ips})
    one = row(tx={"syn": syn, "fin": fin}, rx={"syn_ack": syn_ack}, spread=spread)

    assert passes_connections(one, own) is passes
