"""The search for rows a cloud refuses: whom it blames, whom never, and that nobody waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitorpi_cloud_bridge.search import CallResult, RowSearch

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence


@dataclass
class Calls:
    """A cloud and a search in it; a new row comes before each second call."""

    rows: int
    answer: Callable[[int, Sequence[int]], CallResult]
    """What becomes of the n-th call with these rows."""
    fresh: bool = True
    most: int = 960
    waiting: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    blamed: list[int] = field(default_factory=list)
    calls: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.search = RowSearch([list(range(self.rows))])

    def run(self, most: int) -> Calls:
        """Make calls until nothing is under suspicion."""
        while self.search.segments and len(self.calls) < most:
            n = len(self.calls)
            if self.fresh and n % 2 == 0:
                self.waiting.append(1000 + n)
            others = [row for row in self.waiting if row not in self.search.passed_over]
            newest = max(others or self.waiting, default=None)
            sent = list(self.search.next(newest, self.most))
            self.calls.append(sent)
            result = self.answer(n, sent)
            if result is CallResult.TAKEN:
                self.taken += sent
                self.waiting = [row for row in self.waiting if row not in sent]
            self.blamed += self.search.learn(sent, result)
        return self


def refusing(*bad: int) -> Callable[[int, Sequence[int]], CallResult]:
    """Refuse every call with one of these rows."""

    def answer(_: int, sent: Sequence[int]) -> CallResult:
        return CallResult.REFUSED if set(bad) & set(sent) else CallResult.TAKEN

    return answer


def test_a_search_begins_with_the_newest_row_alone() -> None:
    """Before anything is divided it is asked whether the cloud takes anything at all."""
    one = Calls(960, refusing(7)).run(2)

    assert one.calls == [[1000], list(range(960))]


def test_a_row_that_is_refused_twice_in_a_row_lets_the_others_go_first() -> None:
    """A call that was taken lies between them: then it is once again, not twice."""
    search = RowSearch([[1, 2], [3]])
    search.next(9, 960)
    search.learn([9], CallResult.TAKEN)
    assert search.next(9, 960) == [3]
    search.learn([3], CallResult.REFUSED)
    search.learn([9], CallResult.TAKEN)
    search.learn([3], CallResult.REFUSED)
    once = search.segments[-1]
    search.learn([3], CallResult.REFUSED)

    assert (once, search.segments) == ([3], [[3], [1, 2]])


def test_the_only_row_there_is_is_not_to_blame() -> None:
    """With nothing to compare it with, its refusals may be the call's fault: they are forgotten."""
    search = RowSearch([[5]])
    for _ in range(9):
        assert search.next(None, 960) == [5]
        assert search.learn([5], CallResult.REFUSED) == []

    assert search.is_control
    assert search.next(9, 960) == [9]
    assert search.learn([9], CallResult.TAKEN) == []
    assert search.segments == [[5]]


def test_one_row_of_960_is_found_while_rows_come() -> None:
    """In some 30 calls; every other row arrives, and new ones arrive all the while."""
    one = Calls(960, refusing(7)).run(100)

    assert one.blamed == [7]
    assert set(one.taken) >= set(range(960)) - {7}
    assert len(one.calls) <= 40
    live = [n for n, sent in enumerate(one.calls) if sent[0] >= 1000]
    assert max(b - a for a, b in pairwise(live)) <= 14


@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59), max_size=12),
    st.integers(1, 60),
)
def test_the_bad_rows_are_blamed_and_no_other(rows: int, bad: set[int], most: int) -> None:
    """Whatever the number of bad rows and the size of calls."""
    here = {row for row in bad if row < rows}
    one = Calls(rows, refusing(*bad), most=most).run(3000)

    assert not one.search.segments
    assert sorted(one.blamed) == sorted(here)
    assert sorted(row for row in one.taken if row < 1000) == sorted(set(range(rows)) - here)
    assert len(one.taken) == len(set(one.taken))


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(2, 40), st.integers(1, 200))
def test_a_fault_of_the_call_blames_nobody(dice: random.Random, rows: int, length: int) -> None:
    """A gateway that refuses everything for a while, from any moment on, for any length."""
    begins = dice.randrange(12)

    def answer(n: int, sent: Sequence[int]) -> CallResult:
        del sent
        kinds = [CallResult.REFUSED, CallResult.FAILED]
        return dice.choice(kinds) if begins <= n < begins + length else CallResult.TAKEN

    one = Calls(rows, answer).run(1000)

    assert one.blamed == []
    assert set(one.taken) >= set(range(rows))


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("bad", [(), (3,)])
def test_one_broken_server_of_two_blames_nobody(phase: int, bad: tuple[int, ...]) -> None:
    """Every other call is refused by a balancer's broken half, not for what is in it."""

    def answer(n: int, sent: Sequence[int]) -> CallResult:
        return CallResult.REFUSED if n % 2 == phase else refusing(*bad)(n, sent)

    one = Calls(40, answer).run(2000)

    assert set(one.blamed) <= set(bad)
    assert set(one.taken) >= set(range(40)) - set(bad)


def test_nobody_is_blamed_where_nothing_was_ever_taken() -> None:
    """A bucket without an organisation: 500 calls, all refused, all rows kept, none divided."""
    one = Calls(50, lambda *_: CallResult.REFUSED).run(500)

    assert one.blamed == []
    assert one.search.suspected == list(range(50))
    assert {len(sent) for sent in one.calls} == {1}


def test_suspects_are_compared_with_each_other_where_no_row_comes() -> None:
    """A sensor that has stopped: nobody waits for the bad rows, the last of which are kept."""
    one = Calls(40, refusing(1, 2, 30), fresh=False).run(500)

    assert sorted([*one.blamed, *one.search.suspected]) == [1, 2, 30]
    assert set(one.taken) == set(range(40)) - {1, 2, 30}


def test_a_last_row_that_nothing_can_be_compared_with_is_tried_and_kept() -> None:
    """It may have been the call after all; with the next row it shows."""
    one = Calls(1, refusing(0), fresh=False).run(50)
    assert (one.blamed, one.search.suspected) == ([], [0])

    one.fresh = True
    one.run(100)
    assert one.blamed == [0]


def test_rows_that_an_answer_names_need_no_division() -> None:
    """288 rows older than a retention, refused by name: blamed after two calls that were taken."""

    def answer(_: int, sent: Sequence[int]) -> CallResult:
        return CallResult.NAMED if sent[0] < 288 else CallResult.TAKEN

    one = Calls(288, answer).run(20)

    assert sorted(one.blamed) == list(range(288))
    assert len(one.calls) <= 4


def test_a_row_that_breaks_the_server_is_found_later() -> None:
    """A 500 is no word on a row: four times as many are needed, each beside calls taken."""

    def answer(_: int, sent: Sequence[int]) -> CallResult:
        return CallResult.FAILED if 5 in sent else CallResult.TAKEN

    one = Calls(8, answer).run(200)

    assert one.blamed == [5]
    assert sum(sent == [5] for sent in one.calls) == 12


def test_a_call_that_was_too_large_says_so() -> None:
    """Rows that are refused together and taken in halves are no bad rows."""
    one = Calls(24, lambda _, sent: CallResult.REFUSED if len(sent) > 20 else CallResult.TAKEN)
    one.run(20)

    assert one.blamed == []
    assert one.search.found_size
    assert one.search.largest_taken == 12


def test_what_fits_into_a_call_is_not_divided() -> None:
    """What does not is: the older part is next."""
    for rows, left in (([1, 2], [[1, 2]]), ([1, 2, 3], [[3], [1, 2]])):
        one = RowSearch([list(rows)])
        assert one.next(9, 2) == [9]
        one.learn([9], CallResult.TAKEN)

        assert one.next(8, 2) == [1, 2]
        assert one.segments == left
        assert not one.is_control


@pytest.mark.parametrize(
    ("segments", "after", "is_control"),
    [
        ([[1], [2]], [[2], [1]], False), ([[1], [2], [3]], [[3], [1], [2]], False),
        ([[1, 2, 3]], [[1, 2], [3]], False), ([[1, 2], [3]], [[3], [1, 2]], False),
        ([[1]], [[1]], True),
    ],
)  # fmt: skip
def test_where_no_other_row_waits_suspects_stand_in(
    segments: list[list[int]], after: list[list[int]], is_control: bool
) -> None:
    """In turns; the only one there is is its own control."""
    one = RowSearch(segments)

    assert one.next(None, 9) == after[-1]
    assert (one.segments, one.is_control) == (after, is_control)
