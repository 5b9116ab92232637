"""How often to look where a bell tells that something may rise, and when it began."""

from __future__ import annotations

import pytest
from tests.capture.test_rising import echoes, played, rung

from monitorpi_capture.count.onset import LULL_S, RisingPort
from monitorpi_capture.items import FloodSums


def test_behind_the_first_look_of_a_rise_comes_another_at_once() -> None:
    """It has a rate from then on, and rings if it is one."""
    port = RisingPort()
    port.look(0.0, FloodSums())
    port.look(0.25, FloodSums(icmp_echo=60))
    first_s = port.pause_s
    port.look(0.254, FloodSums(icmp_echo=64))

    assert (first_s, port.pause_s) == (0.004, 0.015)


@pytest.mark.parametrize(("sent", "pause_s"), [(43, 0.25), (44, 0.05)])
def test_with_a_bell_it_is_looked_seldom_while_there_is_less_than_half_of_what_rings(
    sent: int, pause_s: float
) -> None:
    """What comes slowly rings no bell, and is not to wait for a window's end."""
    port = RisingPort(calm_s=LULL_S)
    rung(port, *echoes((0, 0), (0.25, sent), (0.6, sent)))

    assert port.pause_s == pause_s


@pytest.mark.parametrize(("asked", "after"), [(0, 40), (200, 40), (300, 50), (3000, 500)])
def test_the_bell_is_rung_as_seldom_as_is_looked_without_one(asked: int, after: int) -> None:
    """Of a steady stream: 40 SYNs and echo requests at least, else those of 50 ms."""
    port = RisingPort(calm_s=LULL_S)
    looks = [(n * 0.1, FloodSums(asked * n // 6, asked * n // 6, asked * n // 6)) for n in range(4)]
    rung(port, *looks)

    assert port.rings_after == after


def test_before_the_first_look_the_bell_is_rung_soon() -> None:
    """Nothing is known of what is usual."""
    assert RisingPort().rings_after == 40


def test_a_rise_that_rang_the_bell_began_just_before() -> None:
    """The look before it is long past: what came since is the rise's, as it tells the rate."""
    port = RisingPort(calm_s=LULL_S)
    quiet = echoes((5, 0), (5.25, 1), (5.5, 2), (5.75, 3))

    assert rung(port, *quiet, *echoes((5.9, 43), (5.904, 83), (5.908, 123))) == [5.908]

    rise = port.rise(FloodSums(icmp_echo=123))
    assert rise.since_s == pytest.approx(5.896, abs=0.001)
    assert rise.before == FloodSums(icmp_echo=3)


def test_what_came_as_ever_before_a_rise_is_no_part_of_it() -> None:
    """A steady stream goes on until a look, however long before that the last one was."""
    port = RisingPort(calm_s=LULL_S)
    steady = echoes((5, 0), (5.25, 20), (5.5, 40))

    assert rung(port, *steady, *echoes((5.75, 60), (5.754, 100), (5.758, 140), (5.762, 180))) != []

    assert port.rise(FloodSums(icmp_echo=180)).before == FloodSums(icmp_echo=60)


@pytest.mark.parametrize(("early", "before"), [(4, 7), (5, 3), (6, 3)])
def test_the_first_few_frames_of_a_rise_are_part_of_it(early: int, before: int) -> None:
    """A look that happened to come soon behind its beginning is no beginning."""
    port = RisingPort(calm_s=LULL_S)
    looks = echoes((5, 0), (5.25, 1), (5.5, 2), (5.75, 3), (6, 3 + early))

    rung(port, *looks, *echoes((6.1, 3 + early + 43), (6.115, 60), (6.13, 70), (6.2, 100)))

    assert port.rise(FloodSums(icmp_echo=100)).before == FloodSums(icmp_echo=before)


def test_a_flood_that_has_rung_its_times_is_looked_at_as_seldom_as_ever() -> None:
    """Nothing more is to be published of it."""
    rising, done = RisingPort(), RisingPort()
    played(rising, lambda _: 20_000.0, 0.1)
    played(done, lambda _: 20_000.0, 0.3)

    assert (rising.pause_s, done.pause_s) == (0.004, 0.05)
