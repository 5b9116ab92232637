"""The clock is set while the prober runs: since when a target is up or down stays what it was."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.drive import drive, messages, received
from tests.prober.corebench import ADDRESS, T0, Prober, latched

from monitorpi_common.messages import Target
from monitorpi_common.service import Tick
from monitorpi_prober.reachability import Reachability, StateLimits
from monitorpi_prober.states import States


def tick(prober: Prober, step_s: float = 0.0) -> None:
    """Let a second pass; from now on the clock is off by so much."""
    prober.at += timedelta(seconds=1)
    boot_s = (prober.at - T0).total_seconds()
    at = prober.at + timedelta(seconds=step_s)
    drive(prober.core, [Tick(at, boot_s, clock_synced=True)])


def since(prober: Prober, step_s: float) -> float:
    """Let rounds pass until the target is published; returns its seconds since T0."""
    prober.at += timedelta(seconds=step_s)
    for _ in range(10):
        for one in messages(prober.round(1.0)):
            if isinstance(one, Target):
                prober.at -= timedelta(seconds=step_s)
                return (one.since - T0).total_seconds()
    raise AssertionError("not published")


@pytest.mark.parametrize("step_s", [-86_400.0, -3600.0, 3600.0, 86_400.0, 4e8])
def test_what_was_stamped_before_a_step_is_dated_by_the_clock_as_it_is(step_s: float) -> None:
    """Up for so many seconds before and after, whatever the clock shows."""
    prober = Prober(ADDRESS)
    tick(prober)
    before = since(prober, 0.0)
    tick(prober)

    tick(prober, step_s)

    assert since(prober, step_s) == pytest.approx(before + step_s)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_again_dates_it_again(step_s: float) -> None:
    """Since the moment at which the process began, too, which is dated anew each time."""
    table = States(StateLimits())
    table.tick(Tick(T0, 0.0, clock_synced=True))
    table.ours = {"a": Reachability("up", T0), "b": Reachability()}

    for n in (1, 2, 3):
        at = T0 + timedelta(seconds=n + n * step_s)
        table.tick(Tick(at, float(n), clock_synced=True))

        assert table.ours["a"].since == T0 + timedelta(seconds=n * step_s)
        assert table.ours["b"].since is None


@pytest.mark.parametrize(("step_s", "says"), [(3600.0, -7200.0), (-3600.0, -7200.0)])
def test_what_an_earlier_process_stamped_stays(step_s: float, says: float) -> None:
    """Its clock is not known."""
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("up", T0 - timedelta(hours=2)), "192-0-2-1",
                                 retained=True)])  # fmt: skip
    tick(prober)
    prober.round(1.0)
    tick(prober)

    tick(prober, step_s)

    assert since(prober, step_s) == says


def test_nothing_is_up_since_tomorrow() -> None:
    """An earlier process ended while the clock was a day ahead."""
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("up", T0 - timedelta(hours=2)), "192-0-2-1",
                                 retained=True)])  # fmt: skip
    tick(prober)
    prober.round(1.0)
    tick(prober)

    tick(prober, -86_400.0)
    set_s = (prober.at - T0).total_seconds() - 86_400.0

    assert since(prober, -86_400.0) == set_s
