"""Requests that are due at nearly the same time leave at one awakening."""

from __future__ import annotations

import time

import pytest
from tests.prober.test_prober_wire import bench, measure

from monitorpi_dev.bench.prober import ProberBench, addresses

pytestmark = [pytest.mark.lab, pytest.mark.alone]
__all__ = ["bench"]

SECONDS = 2.0
STEP_S = 0.032


def test_an_awakening_serves_several_requests(
    bench: ProberBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 requests in two seconds, 4 ms apart, take an awakening each 32 ms; times stay exact."""
    naps: list[float] = []
    sleep = time.sleep

    def counted(seconds: float) -> None:
        naps.append(seconds)
        sleep(seconds)

    monkeypatch.setattr("monitorpi_prober.sources.pinger.time.sleep", counted)

    done, truth, _ = measure(bench, *addresses(50), probes=10, seconds=SECONDS, delay_ms=3.0)

    assert [len(echoes.times_ms) for echoes in done.echoes] == [10] * 50
    assert 5 < len(naps) <= (done.end - done.start).total_seconds() / STEP_S + 5
    errors = sorted(
        abs(took - held)
        for echoes in done.echoes
        for took, held in zip(echoes.times_ms, truth[echoes.key], strict=True)
        if took is not None and held is not None
    )
    assert len(errors) == 500
    assert errors[len(errors) * 95 // 100] < 0.5
