"""What a machine that others use does not show: how exact times are, and what awakes the prober."""

from __future__ import annotations

import time

import pytest
from tests.prober.test_prober_wire import bench, measure

from monitorpi_dev.bench.prober import ProberBench, addresses, figures, rows

pytestmark = [pytest.mark.lab, pytest.mark.alone]
__all__ = ["bench"]

SECONDS = 2.0
STEP_S = 0.032


def test_times_are_the_networks(bench: ProberBench) -> None:
    """A round trip is what the responder really held it, to 0.1 ms, with the machine's load."""
    ips = addresses(50)

    done, truth, _ = measure(bench, *ips, probes=10, jitter_ms=5.0)

    errors = sorted(
        abs(time - held)
        for echoes in done.echoes
        for time, held in zip(echoes.times_ms, truth[echoes.key], strict=True)
        if time is not None and held is not None
    )
    assert len(errors) == 500
    assert errors[len(errors) * 95 // 100] < 0.1


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


def test_bench_rows(bench: ProberBench) -> None:
    """The bench gives the rows it promises, and the loss it measures is the programmed one."""
    del bench
    [row, *_] = rows([10], 1)

    assert set(row) == {
        "tool",
        "targets",
        "rtt_error_p50_ms",
        "rtt_error_p95_ms",
        "loss_error_ratio",
        "cpu_s_per_1000",
        "rss_bytes",
    }
    assert row["loss_error_ratio"] == 0
    assert row["rss_bytes"] < 80_000_000
    assert callable(figures)
