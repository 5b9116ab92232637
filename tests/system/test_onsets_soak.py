"""Bursts of answered connections, as many and as fast as there are, at each phase of a window."""

from __future__ import annotations

from itertools import product

import pytest
from tests.system.onset_rig import ORDINARY, ScriptedLoad, answered, live

LASTS_S = (0.05, 0.1, 0.2, 0.35, 0.5)
REPLIES_S = (0.0002, 0.01, 0.05, 0.08, 0.1)
LIVES_S = (0.005, 0.05, 0.5)
PHASES_S = tuple(n / 20 for n in range(20))

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("has_bell", [False, True], ids=["", "bell"])
@pytest.mark.parametrize("known", [False, True], ids=["", "known"])
@pytest.mark.parametrize("count", [500, 1000, 2000, 3500, 5000])
def test_no_burst_of_answered_connections_raises(count: int, known: bool, has_bell: bool) -> None:
    """Whatever a window's end or a look cuts apart: SYNs from answers, answers from ends."""
    before = [ORDINARY] * known

    raised = {
        case: opened
        for case in product(LASTS_S, REPLIES_S, LIVES_S, PHASES_S)
        if (opened := _opened(before, count, *case, has_bell=has_bell))
    }

    assert raised == {}


def _opened(
    before: list[ScriptedLoad], count: int, lasts_s: float, reply_s: float, life_s: float,
    phase_s: float, *, has_bell: bool,
) -> list[tuple[float, str]]:  # fmt: skip
    """Return what alerts open while a burst comes and for two seconds more."""
    burst = ScriptedLoad(answered(reply_s, life_s), count, 1002 + phase_s, lasts_s)
    return live([*before, burst], 5, has_bell=has_bell).opened()
