"""How fine, how far back, what goes first: and what an error of the disk means to people."""

from __future__ import annotations

import errno
import re
import sqlite3
from pathlib import Path

import pytest

from monitorpi_history.fold import fold, lay
from monitorpi_history.sinks.schema import trouble_of
from monitorpi_history.tiers import (
    HOUR,
    MINUTE,
    SNAPSHOT,
    Held,
    Tier,
    leaves_first,
    step_for,
    tier_for,
)

HOUR_S, DAY_S = 3600, 86_400
NOW_S = 1_000_000_000.0


@pytest.mark.parametrize(
    ("step_s", "tier"),
    [
        (10, SNAPSHOT), (30, SNAPSHOT), (60, MINUTE), (1800, MINUTE), (3600, HOUR), (7200, HOUR),
        (86_400, HOUR),
    ],
)  # fmt: skip
def test_a_step_is_read_as_coarsely_as_it_can_be(step_s: int, tier: Tier) -> None:
    """Of slots that make up the step."""
    assert tier_for(step_s) is tier


@pytest.mark.parametrize(
    ("span_s", "points", "step_s"),
    [
        (100, 10, 10), (101, 10, 20), (200, 10, 20), (300, 10, 30), (301, 10, 60), (601, 10, 120),
        (DAY_S, 720, 120), (DAY_S, 1440, 60), (DAY_S, 1, 86_400), (365 * DAY_S, 1, 86_400),
        (6001, 10, 900), (18_001, 10, 3600), (36_001, 10, 7200), (72_001, 10, 21_600),
        (216_001, 10, 43_200), (432_001, 10, 86_400), (1201, 10, 300), (3001, 10, 600),
        (9001, 10, 1800),
    ],
)  # fmt: skip
def test_the_least_step_that_has_no_more_points(span_s: float, points: int, step_s: int) -> None:
    """Of those that make up hours and days; a day at most."""
    assert step_for(span_s, points) == step_s


def test_a_tier_reaches_from_its_oldest_block_to_now() -> None:
    """An empty one, and one that lies ahead, reaches nowhere."""
    assert Held(MINUTE, round(NOW_S) - 500).reach_s(NOW_S) == 500
    assert Held(MINUTE, round(NOW_S) + 500).reach_s(NOW_S) == 0
    assert Held(MINUTE, None).reach_s(NOW_S) == 0
    assert (SNAPSHOT.length, MINUTE.length, HOUR.length) == (360, 60, 24)


def reaching(tier: Tier, seconds: float) -> Held:
    """Return a tier that reaches so far back."""
    return Held(tier, round(NOW_S - seconds))


def test_who_reaches_furthest_beyond_its_goal_leaves_first() -> None:
    """A day of ten seconds, a month of minutes, two years of hours."""
    snapshot, minute = reaching(SNAPSHOT, 1.5 * DAY_S), reaching(MINUTE, 40 * DAY_S)

    assert leaves_first([snapshot, minute, reaching(HOUR, 700 * DAY_S)], NOW_S) is snapshot
    minute = reaching(MINUTE, 46 * DAY_S)
    assert leaves_first([snapshot, minute, reaching(HOUR, 700 * DAY_S)], NOW_S) is minute
    hour = reaching(HOUR, 1200 * DAY_S)
    assert leaves_first([snapshot, minute, hour], NOW_S) is hour


@pytest.mark.parametrize(
    ("tier", "least_s"), [(SNAPSHOT, 2 * HOUR_S), (MINUTE, 2 * HOUR_S), (HOUR, DAY_S + HOUR_S)]
)
def test_the_block_that_is_being_written_stays(tier: Tier, least_s: int) -> None:
    """Until an hour behind its end, lest what comes late begins it anew."""
    assert leaves_first([reaching(tier, least_s)], NOW_S) is None
    assert leaves_first([reaching(tier, least_s + 1)], NOW_S) is not None
    assert leaves_first([Held(tier, None)], NOW_S) is None


def test_values_become_one_as_their_column_says() -> None:
    """Of the least, 0 is no value; the last of them may be fewer."""
    values = [0, 5, 3, 0, 0, 7]

    assert fold(values, 3, "sum") == [8, 7]
    assert fold(values, 4, "most") == [5, 7]
    assert fold(values, 2, "least") == [5, 3, 7]
    assert fold([0, 0], 2, "least") == [0]
    assert fold([2**63 - 2, 5], 2, "sum") == [2**63 - 1]
    assert lay([1, 2, 3, 0, 5], 1, [4, 0, 6], "sum") == [1, 6, 3, 6, 5]
    assert lay([9, 2], 0, [4, 4], "least") == [4, 2]
    assert lay([9, 2], 0, [4, 4], "most") == [9, 4]


def failing(name: str | None) -> sqlite3.Error:
    """Return an error as SQLite raises it."""
    error = sqlite3.OperationalError("it failed")
    if name is not None:
        error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "state", "text", "remedy"),
    [
        (failing("SQLITE_FULL"), "full", "the disk of FILE is full", "make room"),
        (failing("SQLITE_READONLY_DBMOVED"), "read-only", "FILE may not be written", "dmesg"),
        (failing("SQLITE_CORRUPT_VTAB"), "damaged", r"FILE is damaged \(it failed\)", "fsck"),
        (failing("SQLITE_NOTADB"), "damaged", "FILE is damaged", "move the file away"),
        (failing("SQLITE_BUSY"), "busy", "another program holds FILE", "end the other program"),
        (failing("SQLITE_LOCKED_SHAREDCACHE"), "busy", "another program holds FILE", "end the"),
        (failing("SQLITE_CANTOPEN"), "failed", r"FILE cannot be opened \(it failed\)", "writable"),
        (failing("SQLITE_IOERR_WRITE"), "failed", "FILE cannot be written", "dmesg and the card"),
        (failing(None), "failed", "FILE cannot be written", "dmesg"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only", "may not be", "dmesg"),
        (OSError(errno.ENOTDIR, "Not a directory"), "failed", "FILE cannot be written", "dmesg"),
    ],
)  # fmt: skip
def test_an_error_of_the_disk_in_words(
    tmp_path: Path, error: Exception, state: str, text: str, remedy: str
) -> None:
    """What is wrong, of which file, and what to do."""
    file = tmp_path / "history.sqlite"

    found = trouble_of(error, file)

    assert found.state == state
    assert re.search(text.replace("FILE", str(file)), found.text)
    assert re.search(remedy, found.remedy)
    assert found.published() == {"state": state, "text": found.text, "remedy": found.remedy}


def test_a_folder_that_is_not_there_is_not_mounted_read_only() -> None:
    """Nobody can ask its disk."""
    found = trouble_of(failing("SQLITE_CANTOPEN"), Path("/no/such/folder/x"))

    assert (found.state, found.remedy) == ("failed", "make its folder writable for the history")
