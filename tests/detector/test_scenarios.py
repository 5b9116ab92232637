"""Generated floods are found in time, hard benign hours are left alone, whatever the seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detector.windows import Detector, at, echoes, plain, syns, window

from monitorpi_cli import scenarios
from monitorpi_cli.evaluate import FLOODS, Row, run_scenario, summarise
from monitorpi_cli.suggest_thresholds import Measurement, propose, written
from monitorpi_detector.settings import DetectorSettings

SEEDS = (1, 2026)


def limit_s(times_floor: float, name: str) -> float:
    """Return the seconds within which a flood must be found."""
    if "ramp" in name:
        return 30.0 * 3 / times_floor + 3.0  # from the second in which it passes three floors
    return 1.5 if times_floor >= 10 else 3.0


@pytest.mark.parametrize(
    "seed", [SEEDS[0], *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))]
)
def test_floods_of_twice_the_floor_are_found_in_time(seed: int) -> None:
    """Every flood from 2x the floor is found on the right subject: 1.5 s at 10x, 3 s at 2x."""
    for scenario in scenarios.flood_scenarios(seed):
        assert scenario.expected is not None
        times = scenario.expected.times_floor

        row = run_scenario(scenario)

        if times >= 2:
            assert (scenario.name, row.verdict) == (scenario.name, "found")
            assert row.seconds_to_alert is not None
            assert row.seconds_to_alert <= limit_s(times, scenario.name), scenario.name
            others = [key for key in row.alerts if key.startswith(FLOODS)]
            assert len(others) == 1, row


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weak_forged_and_answered_flood_is_found(seed: int) -> None:
    """111 SYNs a second from forged addresses, 88 % answered, over an office hour are found."""
    how = scenarios.Flood("syn-flood", 1.11, spoofed=True, answered=0.88)

    row = run_scenario(scenarios.flood_scenario(how, seed))

    assert row.verdict == "found"


@pytest.mark.parametrize("name", list(scenarios.BENIGN))
def test_hard_benign_cases_open_no_flood(name: str) -> None:
    """Each hard benign case over a busy office opens nothing, known or unknown the router."""
    for seed in SEEDS:
        scenario = scenarios.benign_scenario(seed, 90, name)
        scenario.lan.knows_router = seed == SEEDS[0]

        row = run_scenario(scenario)

        assert (name, row.alerts) == (name, [])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_day_of_everything_opens_no_flood() -> None:
    """24 h of generated office traffic with every hard case in it: no false flood alert."""
    row = run_scenario(scenarios.benign_scenario(SEEDS[1], 86400))

    assert [key for key in row.alerts if key.startswith(FLOODS)] == []


def test_the_sum_says_found_and_missed() -> None:
    """A summary counts floods found and missed, false alarms and hours."""
    found = run_scenario(scenarios.flood_scenario(scenarios.Flood(times=10), 3))
    benign = run_scenario(scenarios.benign_scenario(3, 60, "backup"))

    total = summarise([found, benign])

    assert (total["found"], total["missed"], total["false_alarms"]) == (1, 0, 0)
    assert total["worst_seconds_to_alert"] == 1.0
    assert benign.devices >= 20
    assert total["benign_device_days"] == pytest.approx(benign.devices / 1440, rel=0.05)
    assert total["alerts_per_device_day"] == 0.0


def test_alerts_of_every_rule_count_per_device_and_day() -> None:
    """Two alerts of ten devices in half a day are 0.4 per device and day."""
    row = Row("office", "benign", "none", hours=12.0, devices=10, openings=2)

    assert summarise([row])["alerts_per_device_day"] == 0.4


@given(st.integers(0, 200_000))
def test_shares_lose_no_frame(frames: int) -> None:
    """However a flood's frames are shared out between addresses, all of them are sent."""
    assert sum(scenarios.shares(frames)) == frames


# --- thresholds that fit a network ----------------------------------------------------------------


def test_proposed_floors_leave_a_margin_and_a_loud_device_its_own() -> None:
    """The floor is three times the usual, never under half of the default."""
    quiet = propose("icmp-flood", "ICMP/s", 50.0, {"04:00:00:00:00:0a": 2.0})
    loud = propose(
        "icmp-flood", "ICMP/s", 50.0, {"04:00:00:00:00:0a": 2.0, "04:00:00:00:00:0b": 300.0}
    )

    assert (quiet.floor, quiet.devices) == (25.0, {})
    assert (loud.floor, loud.devices) == (25.0, {"04:00:00:00:00:0b": (900.0, 300.0)})


def test_proposals_are_configuration() -> None:
    """What is proposed can be pasted into the configuration, and then the same traffic is quiet."""
    import tomllib  # noqa: PLC0415 - only here

    measurement = Measurement()
    windows = [window(n, echoes(120), plain("04:00:00:00:00:0c", arp=3)) for n in range(5)]
    for one in windows:
        measurement.take(one)

    table = tomllib.loads("\n".join(written(measurement)))["detector"]
    before, after = Detector(), Detector(**DetectorSettings(**table).model_dump(exclude_none=True))
    before.take(*windows)
    after.take(*windows)

    assert list(before.open()) == ["icmp-flood-04000000000a"]
    assert after.open() == {}
    assert after.take(window(9, syns(1000)))[0].at == at(10)
