"""Which changes go together, at the edges of each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.notifier.made import BERLIN
from tests.notifier.test_folding import T, change

from monitorpi_notifier.directory import Directory
from monitorpi_notifier.folding import Folding
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from monitorpi_notifier.items import Letter, NoticeChange

WORDS = Wording(Directory(), BERLIN, "http://pi/")


def letter(waiting: list[NoticeChange], *ago_s: float, most: int = 6) -> Letter | None:
    """Return the next message where some went out so many seconds ago."""
    return Folding(most).next(waiting, ago_s, T, WORDS)


@pytest.mark.parametrize(
    ("ago_s", "count"),
    [
        ((), 1), ((50, 40), 1),
        ((50, 40, 30), 3), ((50, 40, 20), 3), ((50, 40, 19), None),
        ((60, 50, 40), 1), ((59, 50, 40), 3),
        ((59, 58, 57, 56, 55), 3), ((59, 58, 57, 56, 55, 54), None),
    ],
)  # fmt: skip
def test_messages_of_a_minute(ago_s: tuple[float, ...], count: int | None) -> None:
    """Three by themselves, then a summary each twenty seconds, six in all."""
    found = letter([change(number) for number in range(3)], *ago_s)

    assert (found and len(found.changes)) == count


@pytest.mark.parametrize(("most", "singles", "pause_s"), [(2, 1, 60), (5, 3, 30), (60, 30, 2)])
def test_half_of_a_minute_is_for_summaries(most: int, singles: int, pause_s: float) -> None:
    """The greater half for single ones."""
    assert (Folding(most).singles, Folding(most).pause_s) == (singles, pause_s)


@pytest.mark.parametrize(
    ("waiting", "ago_s", "what"),
    [
        ([change(1, at_s=T - 600), change(2, at_s=T - 600)], (), "opened"),
        ([change(1, at_s=T - 601), change(2)], (), "opened"),
        ([change(1, at_s=T - 601), change(2, at_s=T - 601)], (), "summary"),
        ([change(1, held=True), change(2, held=True)], (), "summary"),
        ([change(n) for n in range(4)], (), "opened"),
        ([change(n) for n in range(3)], (50,), "opened"),
        ([change(n) for n in range(4)], (50,), "summary"),
        ([change(1), change(2, what="test")], (), "test"),
        ([change(1, what="digest"), change(2, what="test")], (50, 40, 30), "digest"),
        ([change(1, due_s=T + 1)], (), None),
        ([change(1, due_s=T)], (), "opened"),
        ([change(1, due_s=T + 600)], (), None),
        ([change(1, due_s=T + 601)], (), "opened"),
        ([change(1, due_s=T + 601, held=True)], (), None),
    ],
)  # fmt: skip
def test_what_goes_by_itself(
    waiting: list[NoticeChange], ago_s: tuple[float, ...], what: str | None
) -> None:
    """The first of few; old ones and many go together; a test and a digest never do.

    What is due in more than ten minutes and was not held outlived a clock.
    """
    found = letter(waiting, *ago_s)

    assert (found and found.what) == what


def test_a_summary_holds_a_thousand() -> None:
    """In the order they happened."""
    found = letter([change(number) for number in range(1200)], 50, 40, 30)

    assert found is not None
    assert [one.id for one in found.changes] == list(range(1000))
    assert found.destination == "phone"


def test_of_those_that_are_as_bad_the_first_goes_first() -> None:
    """And the worst before all."""
    waiting = [change(1, severity="info"), change(2, at_s=T), change(3, at_s=T - 5)]

    found = letter(waiting)

    assert found is not None
    assert found.changes[0].id == 3
    worst = letter([*waiting, change(4, severity="critical")])
    assert worst is not None
    assert worst.changes[0].id == 4
