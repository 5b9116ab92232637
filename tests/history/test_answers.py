"""What may be asked, and that each way to write an answer says the same."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from tests.history.world import NOON, World, alert, device, mac, probe

from monitorpi_common.messages import timestamp_of
from monitorpi_history.sources.answers import csv_lines
from monitorpi_history.sources.questions import (
    DEFAULT_POINTS,
    MAX_POINTS,
    SeriesQuestion,
    WireQuestion,
    moment_s,
)

if TYPE_CHECKING:
    from pathlib import Path

NOON_S = NOON.timestamp()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Live for a minute with two devices, one of them named, and a target."""
    world = World(tmp_path)
    world.hand(device(1, hostname="lamp"), "x")
    world.live(65, kernel_drops=1)
    world.idle(30)
    return world


def lines(world: World, table: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for lines of JSON."""
    return [json.loads(line) for line in world.ask(table, format="jsonl", **asked).splitlines()]


def document(world: World, table: str, **asked: Any) -> dict[str, Any]:
    """Ask for one document."""
    found: dict[str, Any] = json.loads(world.ask(table, **asked))
    return found


# --- each form of an answer -----------------------------------------------------------------------


@pytest.mark.parametrize(("table", "key"), [("wire", "interface"), ("traffic", "mac"),
                                            ("probes", "address")])  # fmt: skip
def test_a_document_says_what_the_lines_say(world: World, table: str, key: str) -> None:
    """A list for each column, a value for each step, from the beginning to the end."""
    asked = {"step": 10, "from_": NOON_S, "to": NOON_S + 120}
    whole = document(world, table, **asked)
    records = lines(world, table, **asked)

    assert (whole["from"], whole["to"], whole["step_s"]) == (
        "2026-03-01T12:00:00.000Z", "2026-03-01T12:02:00.000Z", 10,
    )  # fmt: skip
    assert records
    times = [timestamp_of(NOON_S + 10 * at) for at in range(12)]
    by_place = {(one[key], one["time"]): one for one in records}
    series = {one[key] for one in records}
    found = [one for one in whole["series"] if key in one]  # beside devices, their wire
    assert [one[key] for one in found] == sorted(series)
    for one in found:
        assert {len(values) for values in one["columns"].values()} == {12}
        for name, values in one["columns"].items():
            said = [by_place.get((one[key], time), {}).get(name) for time in times]
            assert [value or None for value in values] == [value or None for value in said]


def test_the_wires_coverage_stands_beside_its_columns(world: World) -> None:
    """Seconds that were watched, frames and windows that were lost; devices have names."""
    (wire,) = document(world, "wire", step=60, from_=NOON_S, to=NOON_S + 120)["series"]
    traffic = document(world, "traffic", step=60, from_=NOON_S, to=NOON_S + 120)["series"]
    (target,) = document(world, "probes", step=60, from_=NOON_S, to=NOON_S + 120)["series"]

    assert {name: wire[name] for name in wire if name != "columns"} == {
        "kind": "wire", "interface": "eth0", "covered_s": [60.0, 5.0], "drops": [60, 5],
        "lost_windows": [], "unset_windows": [],
    }  # fmt: skip
    named = {one["mac"]: one.get("name") for one in traffic if one["kind"] == "device"}
    assert named == {mac(0): None, mac(1): "lamp"}
    assert {one["interface"] for one in traffic} == {"eth0"}
    assert (target["instance"], target["address"], target["name"]) == ("main", "192.168.1.10", None)
    assert target["columns"]["sent"] == [60, 10]
    assert target["columns"]["rtt_min_ms"] == [0.4, 0.4]
    assert target["columns"]["mos"] == [4.3, 4.3]


@pytest.mark.parametrize("idle_s", [0, 4000])
def test_columns_and_peaks_are_those_asked_for(world: World, idle_s: int) -> None:
    """A step longer than ten seconds has the most of ten beside it, packed or not packed yet."""
    world.idle(idle_s)
    (fine, *_) = lines(world, "wire", step=10, columns="syn", peaks=True, from_=NOON_S)
    (twenty, *_) = lines(world, "wire", step=20, columns="syn", peaks=True, from_=NOON_S)
    (one,) = lines(world, "wire", step=60, columns="syn", peaks=True, from_=NOON_S, to=NOON_S + 60)
    plain = document(world, "wire", step=60, columns="syn", from_=NOON_S, to=NOON_S + 60)
    plain_head, peaks_head = (
        world.ask("wire", format="csv", columns="syn", peaks=peaks).decode().splitlines()[0]
        for peaks in (False, True)
    )

    assert [
        {name: value for name, value in one.items() if "syn" in name or "packets" in name}
        for one in (fine, twenty, one)
    ] == [{"syn": 30}, {"syn": 60, "peak_syn": 30}, {"syn": 180, "peak_syn": 30}]
    assert plain["series"][0]["columns"] == {"syn": [180]}
    assert plain_head.endswith(",syn")
    assert "packets" not in plain_head
    assert peaks_head == f"{plain_head},peak_syn"


def test_only_what_is_of_an_interface_or_a_device(world: World) -> None:
    """Another one has none of it."""
    assert lines(world, "wire", interface="eth1") == []
    assert lines(world, "traffic", interface="eth1") == []
    assert {one["mac"] for one in lines(world, "traffic", mac=mac(1).upper())} == {mac(1)}
    assert lines(world, "probes", address="192.168.1.11") == []


def test_changes_and_alerts_are_found_by_whose_they_are(world: World) -> None:
    """The newest first, so many as were asked for."""
    world.hand(device(2), "y")
    world.hand(alert(world.now), "a")
    loop = {"key": "loop-wire", "rule": "loop", "subject": "wire-eth0"}
    later = world.now + timedelta(seconds=1)
    world.hand(alert(later, id="8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c12", **loop), "b")
    world.idle(30)

    assert [one["subject"] for one in lines(world, "changes", from_=0, subject=mac(2))] == [mac(2)]
    assert len(lines(world, "changes", from_=0)) == 2
    assert len(lines(world, "changes", from_=0, limit=1)) == 1
    assert [one["rule"] for one in lines(world, "alerts")] == ["loop", "syn-flood"]
    assert [one["rule"] for one in lines(world, "alerts", limit=1)] == ["loop"]
    assert [one["rule"] for one in lines(world, "alerts", rule="syn-flood")] == ["syn-flood"]
    assert document(world, "changes", from_=0)["changes"] == lines(world, "changes", from_=0)
    assert document(world, "alerts")["alerts"] == lines(world, "alerts")


def test_a_round_that_nobody_answered_has_a_loss_and_no_times(world: World) -> None:
    """What came late or altered is no loss."""
    world.hand(probe(world.now, 100, received=0, late=2, altered=3), "main")
    world.idle(30)

    found = lines(world, "probes", step=10)[-1]

    assert (found["loss_ratio"], found["rtt_min_ms"], found["mos"]) == (0.5, None, None)


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv"])
@pytest.mark.parametrize("table", ["traffic", "changes", "devices"])
def test_names_stand_as_people_wrote_them(world: World, table: str, format_: str) -> None:
    """Not as numbers of letters."""
    world.hand(device(1, hostname="Küche"), "x")
    world.idle(30)

    assert "Küche".encode() in world.ask(table, format=format_, **_since(table))


def _since(table: str) -> dict[str, Any]:
    return {} if table == "devices" else {"from_": NOON_S}


@pytest.mark.parametrize(
    ("table", "head"),
    [("alerts", "opened_at,closed_at,state"), ("wire", "time,seconds,covered_s")],
)
def test_an_empty_csv_has_its_head(world: World, table: str, head: str) -> None:
    """A spreadsheet knows its columns."""
    found = world.ask(table, format="csv", from_=NOON_S - 7200, to=NOON_S - 3600).decode()

    assert found.startswith(head)
    assert len(found.splitlines()) == 1


# --- what may be asked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("now", 1e6),
        ("-90s", 1e6 - 90),
        ("now-2m", 1e6 - 120),
        ("-3h", 1e6 - 3 * 3600),
        ("-2d", 1e6 - 2 * 86400),
        ("-1w", 1e6 - 7 * 86400),
        ("-1y", 0.0),
        (" 1234.5 ", 1234.5),
        (99, 99.0),
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00:00", 3600.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("9999-12-31T23:59:59.9Z", 253_402_300_799.0),
    ],
)
def test_a_moment_is_written_as_people_do(written: object, moment: float) -> None:
    """Nothing is before 1970 or after 9999."""
    assert moment_s(written, 1e6) == moment


def test_a_moment_without_a_zone_is_utc_wherever_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As all that is published."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment_s("1970-01-01T01:00:00", 0) == 3600.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("written", ["", "yesterday", "-3", "-3x", "12:00", "1772366400000"])
def test_what_is_no_moment_is_refused_with_examples(written: str) -> None:
    """One sentence."""
    with pytest.raises(ValueError, match="write 2026-03-01T12:00:00Z, 1772366400, now or -6h"):
        moment_s(written, 0)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"from": "2026-01-02", "to": "2026-01-02"}, "to: not after from"),
        ({"step": 11}, "step: one of 10, 20"),
        ({"step": 10, "from": 0, "to": 10 * MAX_POINTS + 1}, f"more than {MAX_POINTS} points"),
        ({"points": 0}, "greater than or equal to 1"),
        ({"points": MAX_POINTS + 1}, f"less than or equal to {MAX_POINTS}"),
        ({"interfaces": "eth0"}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], error: str) -> None:
    """In words that name the parameter."""
    with pytest.raises(ValidationError, match=error):
        WireQuestion.model_validate(asked, context={"now_s": 1e9})


def test_a_question_without_words_is_about_the_last_day() -> None:
    """In as many points as a screen is wide; a document may be as long as lines are not."""
    found = SeriesQuestion.model_validate({}, context={"now_s": 1e9})

    assert (found.from_, found.to, found.points) == (1e9 - 86400, 1e9, DEFAULT_POINTS)
    assert (found.step, found.wanted, found.peaks, found.format) == (None, None, False, "json")
    for more in ({"format": "csv"}, {"to": 10 * MAX_POINTS}):
        asked = {"step": 10, "from": 0, "to": 1e9} | more
        assert SeriesQuestion.model_validate(asked).step == 10


def test_a_count_that_is_not_there_is_nought_in_a_table() -> None:
    """What is no count is empty."""
    (text,) = csv_lines([{"packets": 3, "mac": "a"}, {}], ["mac", "packets", "tx_syn", "name"])

    assert text.decode().splitlines() == ["mac,packets,tx_syn,name", "a,3,0,", ",0,0,"]


def test_an_answer_comes_in_pieces_of_which_none_is_long() -> None:
    """Whatever it is as a whole: nobody holds it."""
    records = [{"name": "x" * 1000, "packets": number} for number in range(300)]

    pieces = list(csv_lines(iter(records), ["name", "packets"]))

    assert [len(piece) // 65_536 for piece in pieces] == [1, 1, 1, 1, 0]
    assert all(len(piece) < 67_000 for piece in pieces)
    assert b"".join(pieces).count(b"\n") == 301
