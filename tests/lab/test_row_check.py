from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.messages import Traffic
from monitorpi_lab.demo.row_check import RowCheck

START = 1_800_000_000


def window(end: float, syns: int, total: int, **changes: Any) -> Traffic:
    """Build the window of a second that counted so many SYNs, of so many since the epoch began."""
    return Traffic.model_validate(
        {
            "epoch": "e1",
            "seq": 1,
            "start": datetime.fromtimestamp(START + end - 1, UTC),
            "end": datetime.fromtimestamp(START + end, UTC),
            "window_s": 1.0,
            "clock_synced": True,
            "interface": "mirror0",
            "engine": "socket",
            "packets": syns,
            "bytes": 60 * syns,
            "counts": {"syn": syns},
            "totals": {"syn": total},
            **changes,
        }
    )


def row(syns: int) -> tuple[int, ...]:
    """Build the row that counts so many SYNs."""
    return (0, 0, 0, 0, 0, 0, syns, 0)


def carried(counts: list[int]) -> RowCheck:
    """Return the row_check of windows that end half a second past each second."""
    row_check = RowCheck(5)
    total = 0
    for number, syns in enumerate(counts):
        total += syns
        row_check.add(window(number + 0.5, syns, total))
    return row_check


def test_rows_that_add_up_are_right() -> None:
    """Each row is the sum of the windows that ended in its interval."""
    row_check = carried([1] * 15)

    stored = {START + 5: row(5), START + 10: row(5), START + 15: row(5)}

    assert row_check.differences(stored, undisturbed=True) == []


def test_a_row_that_is_wrong_is_named() -> None:
    """One frame too many in one row is found."""
    row_check = carried([1] * 15)

    said = row_check.differences({START + 5: row(5), START + 10: row(6)}, undisturbed=True)

    assert said == [f"the row of second {START + 10} says {row(6)}, the windows add up to {row(5)}"]


def test_a_cloud_without_rows_is_wrong() -> None:
    """Nothing stored agrees with nothing: it means that the bridge never ran."""
    said = [carried([1] * 15).differences({}, undisturbed=calm) for calm in (True, False)]

    assert said == [["no row has reached the cloud"]] * 2


def test_the_first_row_may_be_short() -> None:
    """The bridge may have started in the middle of an interval."""
    row_check = carried([1] * 15)

    assert row_check.differences({START + 5: row(2), START + 10: row(5)}, undisturbed=True) == []


def test_a_row_that_began_before_the_first_window_heard_is_not_looked_at() -> None:
    """The subscriber may have come after the bridge, in the middle of its second row."""
    row_check = RowCheck(5)
    for number in range(6, 15):
        row_check.add(window(number + 0.5, 1, number + 1))
    stored = {START + 5: row(5), START + 10: row(5), START + 15: row(5)}

    assert row_check.differences(stored, undisturbed=True) == []

    stored[START + 15] = row(6)
    assert len(row_check.differences(stored, undisturbed=True)) == 1


def test_http_and_https_are_one_field() -> None:
    """Ports 80 and 443 are counted together, as the mapping says."""
    row_check = RowCheck(5)
    row_check.add(window(1, 0, 0))
    row_check.add(window(6, 0, 0, counts={"http": 2, "https": 3}))

    stored = {START + 5: row(0), START + 10: (0, 0, 0, 0, 0, 0, 0, 5)}

    assert row_check.differences(stored, undisturbed=True) == []


@given(st.lists(st.integers(0, 500).map(lambda n: 2 * n), min_size=20), st.integers(1, 9))
def test_a_late_window_may_move_but_not_vanish(counts: list[int], late: int) -> None:
    """When something was killed, counts may stand a row later, but the sum must be right."""
    row_check = carried(counts)
    stored = {
        START + 5 * (i + 1): row(sum(counts[5 * i : 5 * i + 5])) for i in range(len(counts) // 5)
    }
    moved = min(late, stored[START + 10][6])
    stored[START + 10] = row(stored[START + 10][6] - moved)
    stored[START + 15] = row(stored[START + 15][6] + moved)

    assert row_check.differences(stored, undisturbed=False) == []
    assert bool(row_check.differences(stored, undisturbed=True)) is (moved > 0)
    stored[START + 15] = row(stored[START + 15][6] + 1)
    # one frame too many: no sum of windows, all of them even, is odd
    assert len(row_check.differences(stored, undisturbed=False)) == 1


@given(st.lists(st.integers(0, 500), min_size=20, max_size=60), st.integers(0, 4))
def test_windows_too_late_for_the_first_row_stand_in_the_next(counts: list[int], late: int) -> None:
    """The broker was killed as the first row closed: its newest windows came after it."""
    row_check = carried(counts)
    stored = {
        START + 5 * (i + 1): row(sum(counts[5 * i : 5 * i + 5])) for i in range(len(counts) // 5)
    }
    moved = sum(counts[5 - late : 5])
    stored[START + 5] = row(stored[START + 5][6] - moved)
    stored[START + 10] = row(stored[START + 10][6] + moved)

    assert row_check.differences(stored, undisturbed=False) == []


def test_what_came_before_the_first_window_heard_is_not_missed() -> None:
    """The subscriber came a moment after the bridge: the totals tell what it did not hear."""
    row_check = RowCheck(5)
    row_check.add(window(5.4, 2, 30))
    row_check.add(window(9.4, 4, 34))

    stored = {START + 5: row(28), START + 10: row(6)}

    assert row_check.differences(stored, undisturbed=False) == []
    stored[START + 10] = row(34)
    assert len(row_check.differences(stored, undisturbed=False)) == 1


def test_a_row_from_before_the_first_window_heard_is_not_looked_at() -> None:
    """What a row adds to one that nobody here heard the end of cannot be reported."""
    row_check = RowCheck(5)
    row_check.add(window(12, 2, 30))
    row_check.add(window(14, 2, 32))
    row_check.add(window(19, 4, 36))

    stored = {START + 5: row(1), START + 10: row(99), START + 15: row(4), START + 20: row(4)}

    assert row_check.differences(stored, undisturbed=False) == []


def test_a_new_epoch_goes_on_counting() -> None:
    """Capture was killed: its totals begin at zero, the sum does not."""
    row_check = RowCheck(5)
    row_check.add(window(1, 10, 10))
    row_check.add(window(6, 10, 20))
    row_check.add(window(8, 7, 7, epoch="e2"))

    stored = {START + 5: row(10), START + 10: row(17)}

    assert row_check.differences(stored, undisturbed=False) == []
