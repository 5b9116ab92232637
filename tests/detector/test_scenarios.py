"""Generated floods are found in time, hard benign hours are left alone, whatever the seed."""

from __future__ import annotations

import struct
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detector.windows import Detector, at, echoes, plain, syns, window

from monitorpi_cli import suggest_thresholds
from monitorpi_cli.suggest_thresholds import Measurement, propose, written
from monitorpi_common.messages import Traffic
from monitorpi_detector.settings import DetectorSettings
from monitorpi_dev.evaluate import FLOODS, EvaluationRow, run_scenario, summarise
from monitorpi_dev.scenarios.benign import BENIGN
from monitorpi_dev.scenarios.floods import ScenarioFlood, shares
from monitorpi_dev.scenarios.lan import Lan
from monitorpi_dev.scenarios.scenario import benign_scenario, flood_scenario, flood_scenarios

if TYPE_CHECKING:
    from pathlib import Path

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
    for scenario in flood_scenarios(seed):
        assert scenario.expected is not None
        times = scenario.expected.times_floor

        row = run_scenario(scenario)

        if times >= 2:
            assert (scenario.name, row.verdict) == (scenario.name, "found")
            assert row.seconds_to_alert is not None
            assert row.seconds_to_alert <= limit_s(times, scenario.name), scenario.name
            others = [key for key in row.alerts if key.startswith(FLOODS)]
            assert len(others) == 1, row


def test_one_way_traffic_is_what_clients_send() -> None:
    """Seen from one side nothing comes back, neither from a server nor from the router."""
    windows = benign_scenario(5, 5, "web benchmark", one_way=True).windows()
    clients = {one.mac for one in Lan(5).clients}

    for one in windows:
        assert isinstance(one, Traffic)
        senders = {row.mac for row in one.devices if row.tx}
        assert senders <= clients
        assert one.sees_replies is False


def test_floods_begin_anywhere_in_a_second() -> None:
    """The first window of a flood has its share of the flood's frames and no more."""
    scenario = flood_scenario(ScenarioFlood(times=10), 11)
    assert scenario.expected is not None
    since_s = scenario.expected.since_s

    counts = [one.counts.get("syn", 0) for one in scenario.windows() if isinstance(one, Traffic)]
    flood = counts[int(since_s)] - counts[int(since_s) - 1]

    assert since_s % 1
    assert flood == pytest.approx(1000 * (1 - since_s % 1), abs=60)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weak_forged_and_answered_flood_is_found(seed: int) -> None:
    """111 SYNs a second from forged addresses, 88 % answered, over an office hour are found."""
    how = ScenarioFlood("syn-flood", 1.11, spoofed=True, answered=0.88)

    row = run_scenario(flood_scenario(how, seed))

    assert row.verdict == "found"


@pytest.mark.parametrize("name", list(BENIGN))
def test_hard_benign_cases_open_no_flood(name: str) -> None:
    """Each hard benign case over a busy office opens nothing.

    Known or unknown the router, and also where the mirror port shows one direction only.
    """
    for seed, seconds, one_way in ((SEEDS[0], 90, False), (SEEDS[1], 90, False), (7, 40, True)):
        scenario = benign_scenario(seed, seconds, name, one_way=one_way)
        scenario.lan.knows_router = seed == SEEDS[0]

        row = run_scenario(scenario)

        assert (name, row.alerts) == (name, [])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_day_of_everything_opens_no_flood() -> None:
    """24 h of generated office traffic with every hard case in it: no false flood alert."""
    row = run_scenario(benign_scenario(SEEDS[1], 86400))

    assert [key for key in row.alerts if key.startswith(FLOODS)] == []


def test_the_sum_says_found_and_missed() -> None:
    """A summary counts floods found and missed, false alarms and hours."""
    found = run_scenario(flood_scenario(ScenarioFlood(times=10), 3))
    benign = run_scenario(benign_scenario(3, 60, "backup"))

    total = summarise([found, benign])

    assert (total["found"], total["missed"], total["false_alarms"]) == (1, 0, 0)
    worst = total["worst_seconds_to_alert"]
    assert isinstance(worst, float)
    assert 0 < worst <= 1.5
    assert benign.devices >= 20
    assert total["benign_device_days"] == pytest.approx(benign.devices / 1440, rel=0.05)
    assert total["alerts_per_device_day"] == 0.0


def test_alerts_of_every_rule_count_per_device_and_day() -> None:
    """Two alerts of ten devices in half a day are 0.4 per device and day."""
    row = EvaluationRow("office", "benign", "none", hours=12.0, devices=10, openings=2)

    assert summarise([row])["alerts_per_device_day"] == 0.4


@given(st.integers(0, 200_000))
def test_shares_lose_no_frame(frames: int) -> None:
    """However a flood's frames are shared out between addresses, all of them are sent."""
    assert sum(shares(frames)) == frames


# --- thresholds that fit a network ----------------------------------------------------------------


def test_proposed_floors_leave_a_margin_and_a_loud_device_its_own() -> None:
    """The floor is three times the usual, never under half of the default."""
    quiet = propose("icmp-flood", "ICMP/s", 50.0, {"04:00:00:00:00:0a": 2.0})
    loud = propose(
        "icmp-flood", "ICMP/s", 50.0, {"04:00:00:00:00:0a": 2.0, "04:00:00:00:00:0b": 300.0}
    )

    assert (quiet.floor, quiet.devices) == (25.0, {})
    assert (loud.floor, loud.devices) == (25.0, {"04:00:00:00:00:0b": (900.0, 300.0)})


def test_floors_are_proposed_from_a_capture_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file goes through the real services; one without frames is said to be so."""
    ping = bytes.fromhex("04000000000b04000000000a0800 4500001c0001000040010000c6120a0ac6120a0b08")
    frame = ping.ljust(60, b"\0")
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = [
        struct.pack("<IIII", 1_700_000_000 + n // 100, n % 100 * 10_000, 60, 60) + frame
        for n in range(300)
    ]
    (tmp_path / "usual.pcap").write_bytes(head + b"".join(records))
    (tmp_path / "empty.pcap").write_bytes(head)

    assert suggest_thresholds.main([str(tmp_path / "usual.pcap")]) == 0
    proposed = tomllib.loads(capsys.readouterr().out)["detector"]["rules"]
    assert suggest_thresholds.main([str(tmp_path / "empty.pcap")]) == 1

    assert proposed["icmp-flood"]["floor"] == 300.0
    assert "there are no frames in the files" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_no_success(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads it says why, once; nothing else is made of it."""
    assert suggest_thresholds.main([str(tmp_path / "missing.pcap")]) == 3

    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "missing.pcap cannot be read (No such file or directory)" in said.err


def test_no_floor_is_proposed_from_frames_without_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows their rates: one line says why there is nothing."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack("<IIII", 0, 0, 60, 60) + bytes.fromhex("04000000000b04000000000a0800")
    (tmp_path / "x.pcap").write_bytes(head + record.ljust(76, b"\0") * 300)

    assert suggest_thresholds.main([str(tmp_path / "x.pcap")]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert "no window was seen: the 300 frames in the files have no times" in said.err


def test_the_first_look_at_a_lan_is_no_mac_flood_to_allow_for() -> None:
    """That every MAC is new when a capture begins raises no floor."""
    measurement = Measurement()
    for second in range(20):
        measurement.take(window(second, new_macs=800 if second == 0 else 1, source_macs=800))

    assert [one.floor for one in measurement.proposals() if one.rule == "mac-flood"] == [200.0]


def test_proposals_are_configuration() -> None:
    """What is proposed can be pasted into the configuration, and then the same traffic is quiet."""
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
