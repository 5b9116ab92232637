"""When a flood within a window is published at once: event time, sums in and rings out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.count.onset import RisingPort
from monitorpi_capture.items import FloodSums

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 1 / 64


def rung(port: RisingPort, *looks: tuple[float, FloodSums]) -> list[float]:
    """Return at which of the looks the rows are to be published."""
    return [at_s for at_s, sums in looks if port.look(at_s, sums)]


def syns(*counted: tuple[float, int]) -> list[tuple[float, FloodSums]]:
    """Return looks at SYNs that nobody answers."""
    return [(at_s, FloodSums(syn=count)) for at_s, count in counted]


def echoes(*counted: tuple[float, int]) -> list[tuple[float, FloodSums]]:
    """Return looks at echo requests."""
    return [(at_s, FloodSums(icmp_echo=count)) for at_s, count in counted]


def played(
    port: RisingPort, rate: Callable[[float], float], seconds: float, *, begin_s: float = 0.0
) -> list[float]:
    """Look often while echo requests come at a rate per second; return when it rang."""
    found, sent = [], 0.0
    for number in range(int(seconds / LOOK_S)):
        at_s = begin_s + number * LOOK_S
        if port.look(at_s, FloodSums(icmp_echo=int(sent))):
            found.append(at_s)
        sent += rate(at_s) * LOOK_S
    return found


# --- what rings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "rings"), [(87, []), (88, [0.06])])
def test_echo_requests_ring_at_once(count: int, rings: list[float]) -> None:
    """As many as one window would raise an alert for: 1.75 times the floor of 50."""
    assert rung(RisingPort(), *echoes((0, 0), (0.02, 30), (0.04, 60), (0.06, count))) == rings


@pytest.mark.parametrize(("count", "rings"), [(174, []), (175, [0.2])])
def test_syns_ring_when_they_had_time_to_be_answered(count: int, rings: list[float]) -> None:
    """A tenth of a second later, where nobody answered."""
    looks = syns((0, 0), (0.02, 60), (0.04, 120), (0.06, count), (0.2, count))

    assert rung(RisingPort(), *looks) == rings


@pytest.mark.parametrize(("answered", "rings"), [(0, [0.2]), (25, [0.2]), (26, []), (200, [])])
def test_answered_syns_do_not_ring(answered: int, rings: list[float]) -> None:
    """Connections are no flood, however many begin."""
    looks = [*syns((0, 0), (0.02, 80), (0.06, 200)), (0.2, FloodSums(200, answered))]

    assert rung(RisingPort(), *looks) == rings


@pytest.mark.parametrize(("count", "rings"), [(5599, []), (5600, [0.008])])
def test_more_syns_than_any_burst_of_connections_ring_before_answers_are_due(
    count: int, rings: list[float]
) -> None:
    """No browser and no benchmark opens so many connections within milliseconds."""
    assert rung(RisingPort(), *syns((0, 0), (0.004, 2800), (0.008, count))) == rings


def test_what_was_there_before_the_first_look_is_no_rise() -> None:
    """Answers and SYNs are held against the first look, not against nothing."""
    looks = [
        (0, FloodSums(900, 700, 900)), (0.02, FloodSums(910, 710, 920)),
        (0.04, FloodSums(920, 720, 940)), (0.3, FloodSums(920, 720, 950)),
    ]  # fmt: skip

    assert rung(RisingPort(), *looks) == []


def test_answers_of_before_the_first_look_are_none_of_the_later_ones() -> None:
    """Nobody answers any more, however many were answered until then."""
    looks = [(at_s, FloodSums(900 + sent, 700)) for at_s, sent in
             ((0, 0), (0.02, 60), (0.04, 120), (0.06, 175), (0.2, 175))]  # fmt: skip

    assert rung(RisingPort(), *looks) == [0.2]


def test_a_rise_rings_once_a_look_within_it_tells_its_rate() -> None:
    """One jump between two looks says nothing of how fast it came."""
    quiet = syns((0, 0), (0.05, 0), (0.1, 0))

    assert rung(RisingPort(), *quiet, *syns((0.104, 6000), (0.108, 12_000))) == [0.108]


def test_only_the_last_second_counts() -> None:
    """87 echo requests a second never ring, however long they come; 89 a second do."""
    assert played(RisingPort(), lambda _: 86.4, 5.0) == []
    assert played(RisingPort(), lambda _: 90.0, 5.0) != []


def test_two_looks_far_from_each_other_may_have_all_their_frames_at_the_end() -> None:
    """What came between them may have had no time to be answered."""
    assert rung(RisingPort(), *syns((0, 0), (0.02, 0), (0.04, 0), (0.5, 300))) == []


# --- how often ------------------------------------------------------------------------------------


def test_what_rang_rings_three_times_more_ever_later() -> None:
    """After 20 ms, and twice as long each time: a flood may stand half in the window before."""
    rings = played(RisingPort(), lambda _: 1000.0, 5.0)

    assert len(rings) == 4
    later_s = [after - before for before, after in pairwise(rings)]
    assert later_s == pytest.approx([0.02, 0.04, 0.08], abs=LOOK_S)


def flood(*rates: float) -> Callable[[float], float]:
    """Return one rate after the other, four seconds each."""
    return lambda at_s: rates[min(int(at_s // 4), len(rates) - 1)]


@pytest.mark.parametrize(
    ("rates", "rings"),
    [
        ((100, 0, 100), 8),
        ((100, 40, 100), 8),
        ((100, 44, 100), 4),
        ((100, 390, 390), 4),
        ((100, 400, 400), 8),
    ],
)
def test_it_rings_anew_after_a_calm_or_for_four_times_as_much(
    rates: tuple[float, ...], rings: int
) -> None:
    """Calm is less than half of what rings; more of the same is none of a new onset."""
    assert len(played(RisingPort(), flood(*rates), 12.0)) == rings


def test_what_falls_behind_the_first_ring_rings_no_more() -> None:
    """A second later less than a window's worth is left, though its times are not over."""
    looks = echoes((0, 0), (0.02, 30), (0.04, 60), (0.06, 90), (1.1, 150), (1.12, 150))

    assert rung(RisingPort(), *looks) == [0.06]


def test_rings_are_bounded_however_they_are_provoked() -> None:
    """Ten at once, and one each two seconds after that."""
    bursts = played(RisingPort(), lambda at_s: 2000.0 * (at_s % 1.5 < 0.3), 60.0)

    assert len([at_s for at_s in bursts if at_s < 4.0]) == 11
    assert len([at_s for at_s in bursts if 30.0 <= at_s < 60.0]) == 15


def test_a_quiet_time_gives_back_no_more_than_ten() -> None:
    """However long nothing rang."""
    port = RisingPort()
    played(port, lambda _: 0.0, 100.0)

    bursts = played(port, lambda at_s: 2000.0 * (at_s % 1.5 < 0.3), 6.0, begin_s=100.0)

    assert 10 <= len(bursts) <= 12


# --- how often to look ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sums", "pause_s"),
    [
        (FloodSums(syn=39), 0.05),
        (FloodSums(syn=40), 0.015),
        (FloodSums(syn=400, syn_ack=361), 0.05),
        (FloodSums(icmp_echo=40), 0.015),
        (FloodSums(icmp_echo=999), 0.015),
        (FloodSums(icmp_echo=1000), 0.004),
    ],
)
def test_it_is_looked_more_often_while_something_rises(sums: FloodSums, pause_s: float) -> None:
    """A look costs little, and nothing rises most of the time."""
    port = RisingPort()
    port.look(0.0, FloodSums())
    port.look(0.125, FloodSums(*(count // 2 for count in sums)))
    port.look(0.25, sums)

    assert port.pause_s == pause_s


def test_what_rose_before_is_looked_at_as_seldom_as_ever() -> None:
    """Three tenths of a second later nothing rises; nor before the first look."""
    port = RisingPort()
    assert port.pause_s == 0.05
    rung(port, *echoes((0, 0), (0.05, 60), (0.1, 60), (0.4, 60), (0.45, 60)))

    assert port.pause_s == 0.05


@pytest.mark.parametrize(("more", "pause_s"), [(39, 0.05), (40, 0.015)])
def test_only_what_came_lately_rises(more: int, pause_s: float) -> None:
    """Held against three tenths of a second ago, not against the beginning."""
    port = RisingPort()
    rung(port, *((at_s, FloodSums(count, 0, 0)) for at_s, count in ((0, 0), (0.1, 100))))
    port.look(0.5, FloodSums(100 + more))

    assert port.pause_s == pause_s


# --- windows --------------------------------------------------------------------------------------


def test_a_window_that_ends_changes_nothing() -> None:
    """Sums begin anew with each window: what was found of the last second goes on."""
    port = RisingPort()
    looks = rung(port, *echoes((0.9, 0), (0.92, 30), (0.96, 60)))
    port.close(1.0, FloodSums(icmp_echo=70))

    assert looks == []
    assert rung(port, *echoes((1.02, 10), (1.04, 17), (1.06, 18))) == [1.06]


def test_the_last_syns_of_a_window_may_yet_be_answered() -> None:
    """Those of its last tenth of a second, and never more than it has."""
    port = RisingPort()
    rung(port, *syns((0.5, 10), (0.85, 100), (0.95, 150)))

    assert port.close(1.0, FloodSums(syn=160)) == 60
    assert port.close(1.03, FloodSums(syn=7)) == 7
    assert port.close(2.0, FloodSums(syn=20)) == 20
    assert port.close(3.0, FloodSums()) == 0


def test_frames_between_looks_near_each_other_came_evenly() -> None:
    """So the share of them that is late is told between two looks."""
    port = RisingPort()
    rung(port, *((n * 0.015, FloodSums(syn=150 * n)) for n in range(11)))

    assert port.close(0.15, FloodSums(syn=1500)) == pytest.approx(1000, abs=2)


def test_where_a_flood_began_within_the_window() -> None:
    """Between two looks, by the rate behind them; what was there before is no part of it."""
    port = RisingPort()
    port.close(10.0, FloodSums(500, 500, 500))
    quiet = [(10.0 + n * LOOK_S, FloodSums(n, n, n // 2)) for n in range(1, 20)]
    looks = [
        (10.3 + n * LOOK_S, FloodSums(19, 19, 9 + int(max(n - 0.5, 0) * LOOK_S * 2000)))
        for n in range(6)
    ]

    assert rung(port, *quiet, *looks) != []

    rise = port.rise(looks[-1][1])
    assert rise.since_s == pytest.approx(10.3 + LOOK_S / 2, abs=0.002)
    assert rise.before == FloodSums(19, 19, 9)
    assert not rise.has_last


@pytest.mark.parametrize("before_s", [0.25, 0.05, 0.004])
def test_a_flood_begins_with_the_frames_that_a_look_finds(before_s: float) -> None:
    """A bell, or a chance, has it looked at behind its first fifty, and again before the next."""
    port = RisingPort()
    rung(port, (5.0 - before_s, FloodSums(3)), (5.0, FloodSums(53)), (5.004, FloodSums(53)))
    sums = [(5.0 + n / 200, FloodSums(53 + 50 * n)) for n in range(1, 30)]

    (first, *_) = rung(port, *sums)

    rise = port.rise(dict(sums)[first])
    assert rise.before == FloodSums(3)
    assert max(5.0 - before_s, 4.995) <= rise.since_s <= 5.0


def test_a_burst_that_is_over_began_at_the_look_before_it() -> None:
    """Nothing came behind it, to tell its rate by: it may have been there for all that time."""
    port = RisingPort()
    rung(port, *echoes((5, 0), (5.25, 0), (5.5, 200), (5.625, 200), (5.75, 200)))

    assert port.rise(FloodSums(icmp_echo=200)).since_s == 5.25


@pytest.mark.parametrize("rate", [129, 190, 200, 1000])
def test_a_steady_stream_began_a_second_ago(rate: int) -> None:
    """No look lies below the line through the others: the whole second is the rise."""
    port = RisingPort()
    assert played(port, lambda _: rate, 3.0, begin_s=20.0) != []

    rise = port.rise(FloodSums(icmp_echo=3 * rate))

    assert rise.since_s == pytest.approx(23.0 - LOOK_S - 1.0, abs=LOOK_S / 2)


@pytest.mark.parametrize(
    ("syn", "icmp_echo", "since_s"), [(4000, 300, 0.5), (400, 3000, 0.25), (0, 300, 0.25)]
)
def test_the_rise_is_of_what_rings_most(syn: int, icmp_echo: int, since_s: float) -> None:
    """Each against its own limit: 175 SYNs ring as 88 echo requests do."""
    port = RisingPort()
    for number in range(50):
        at_s = number * LOOK_S
        sent = int(syn * max(at_s - 0.5, 0)), int(icmp_echo * max(at_s - 0.25, 0))
        port.look(at_s, FloodSums(sent[0], 0, sent[1]))

    assert port.rise(FloodSums()).since_s == pytest.approx(since_s, abs=LOOK_S)


def test_where_a_flood_began_in_the_window_before() -> None:
    """What was there before it is of that window, which is published with the running one."""
    port = RisingPort()
    port.close(9.0, FloodSums(500, 500, 500))
    rung(port, *((9.0 + n * LOOK_S, FloodSums(30, 30, 5)) for n in range(1, 62)))
    at_s, sent = 9.0 + 61 * LOOK_S, 0
    for n in range(1, 3):
        sent = 30 * n
        port.look(at_s + n * LOOK_S, FloodSums(30, 30, 5 + sent))
    port.close(10.0, FloodSums(30, 30, 95))

    assert rung(port, *echoes((10.01, 10), (10.02, 20), (10.03, 30))) != []

    rise = port.rise(FloodSums(icmp_echo=30))
    assert rise.has_last
    assert rise.before == FloodSums(30, 30, 5)
    assert rise.since_s == pytest.approx(at_s, abs=0.004)


def test_syns_that_came_too_late_are_those_of_the_rows_that_were_read() -> None:
    """They are read a moment behind the look: what came meanwhile is late as well."""
    port = RisingPort()
    rung(port, *syns((0, 0), (0.05, 100), (0.1, 200), (0.2, 300), (0.25, 350)))

    assert port.rise(FloodSums(syn=360)).late_syn == 160
