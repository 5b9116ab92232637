"""Which targets that went together have one cause, by hand: who, how many, when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from monitorpi_detector.targets.outage import Outages
from monitorpi_detector.targets.presence import Stay, Stays

NEAR = tuple(f"04:00:00:00:01:{n:02x}" for n in range(30))
NOW = 1000.0


def gone(n: int, at: float = 900.0, rounds: int = 2, *, near: bool = True, **more: Any) -> Stay:
    """Return a target that fell silent."""
    address = f"192.168.1.{n}" if near else f"203.0.113.{n}"
    known = {
        "named": True,
        "silent_from": at,
        "silent_rounds": rounds,
        "answered_at": at - 5,
    } | more
    return Stay(address, f"t{n}", NEAR[n] if near else None, **known)


def there(n: int, at: float = NOW, *, near: bool = True) -> Stay:
    """Return a target that answers."""
    return gone(n, near=near, silent_from=None, silent_rounds=0, answered_at=at)


class Seen:
    """The outages of a prober, round by round."""

    def __init__(self, *alive: Stay, forwards: str = "") -> None:
        self.alive = {stay.address for stay in alive}
        self.outages = Outages(
            Stays(), lambda stay: stay.address in self.alive, lambda mac: mac == forwards
        )

    def after(self, *stays: Stay, now: float = NOW, own: frozenset[str] = frozenset(),
              round_s: float = 10.0) -> list[tuple[str, str, int, int]]:  # fmt: skip
        """Return cause, subject, members and others after a round."""
        self.found = self.outages.follow("main", stays, now, round_s, own, 1e6)
        return [(one.cause, one.subject, len(one.members), one.others) for one in self.found]


OTHERS = tuple(there(n) for n in range(20, 25))
GROUP = ("group-down", "192-168-1-0", 3, 5)


@pytest.mark.parametrize(
    ("stays", "found"),
    [
        ([gone(0), gone(1), gone(2)], [GROUP]), ([gone(0), gone(1)], []),
        ([gone(0), gone(1), gone(2, named=False, left_s=1e6)], []),
        ([gone(0), gone(1), gone(2, 915.0)], [GROUP]), ([gone(0), gone(1), gone(2, 915.1)], []),
        # half of them for two rounds; or this machine has no network
        ([gone(n, rounds=1) for n in range(3)], []),
        ([gone(0), gone(1, rounds=1), gone(2, rounds=1), gone(3)], [("group-down", "192-168-1-0", 4,
                                                                      5)]),
        ([gone(0), gone(1, rounds=1), gone(2, rounds=1)], []),
        ([gone(n, rounds=1, lacks_network=n < 2) for n in range(3)], [GROUP]),
        ([gone(n, rounds=1, lacks_network=n < 1) for n in range(3)], []),
    ],
)  # fmt: skip
def test_three_that_went_together_have_one_cause(stays: list[Stay], found: list[Any]) -> None:
    """Within a round and a half of each other."""
    assert Seen().after(*stays, *OTHERS) == found


@pytest.mark.parametrize(
    ("count", "others", "cause"),
    [(10, 1, "cut-off"), (10, 2, "group-down"), (9, 1, "group-down"), (2, 0, "cut-off"),
     (1, 0, None), (18, 2, "cut-off")],
)  # fmt: skip
def test_where_nearly_nobody_answers_this_machine_is_cut_off(
    count: int, others: int, cause: str | None
) -> None:
    """Nine of ten, and ten at least, or all of several."""
    stays = [*(gone(n) for n in range(count)), *(there(n) for n in range(25, 25 + others))]

    assert [one[0] for one in Seen().after(*stays)] == ([] if cause is None else [cause])


def test_only_answers_of_now_count() -> None:
    """Neither this machine's own, nor what is two minutes old, nor what came before they went."""
    stays = [gone(0), gone(1)]
    for other, is_one in ((there(20, 880.1), False), (there(20, 901.0), True)):
        assert bool(Seen().after(*stays, other)) is not is_one
    assert Seen().after(*stays, there(20), own=frozenset({"192.168.1.20"})) != []
    assert Seen().after(*stays, there(20)) == []


@pytest.mark.parametrize(
    ("near", "far", "far_there", "found"),
    [
        (0, 1, 0, [("uplink-down", "internet", 1, 5)]),
        (2, 1, 0, [("uplink-down", "internet", 1, 5)]),
        (3, 1, 0, [("group-down", "192-168-1-0", 4, 5)]), (0, 1, 1, []),
        (0, 3, 1, [("group-down", "203-0-113-0", 3, 6)]),
    ],
)  # fmt: skip
def test_what_is_beyond_the_router_is_the_uplink(
    near: int, far: int, far_there: int, found: list[Any]
) -> None:
    """If nothing beyond it answers, and few of the LAN went too."""
    stays = [
        *(gone(n) for n in range(near)), *(gone(n, near=False) for n in range(far)), *OTHERS,
        *(there(n, near=False) for n in range(28, 28 + far_there)),
    ]  # fmt: skip

    assert Seen().after(*stays) == found


def test_a_router_that_went_takes_along_what_is_beyond_it() -> None:
    """It is a part of the uplink."""
    seen = Seen(forwards=NEAR[0])

    assert seen.after(gone(0), gone(1, near=False), *OTHERS) == [("uplink-down", "internet", 2, 5)]


def test_an_outage_lasts_while_half_of_it_is_away() -> None:
    """Then it is over, and dropped ten minutes later, or once all are back."""
    seen, stays = Seen(gone(1)), [gone(n) for n in range(4)]
    assert seen.after(*stays, *OTHERS) == [("group-down", "192-168-1-0", 4, 5)]
    (one,) = seen.found
    assert (one.ended, one.witnessed, one.has_answered, one.is_sure) == (None, 1, True, True)
    assert all(stay.excused for stay in stays)

    for stay in stays[:2]:
        stay.silent_rounds, stay.silent_from = 0, None
    seen.after(*stays, *OTHERS, now=1010.0)
    assert one.ended is None
    stays[2].silent_rounds, stays[2].silent_from = 0, None
    seen.after(*stays, *OTHERS, now=1020.0)
    assert one.ended == 1020.0
    assert len(seen.after(*stays, *OTHERS, now=1620.0)) == 1
    assert seen.after(*stays, *OTHERS, now=1620.1) == []


def test_who_goes_with_an_outage_belongs_to_it() -> None:
    """Or is found silent later and was heard of before it began; nobody else does."""
    seen, stays = Seen(), [gone(n) for n in range(3)]
    seen.after(*stays, *OTHERS)
    late = gone(5, 990.0, answered_at=915.0)
    assert seen.after(*stays, late, *OTHERS)[0][2] == 4

    for other in (gone(6, 990.0, answered_at=915.1), gone(7, 884.9, answered_at=800.0)):
        assert seen.after(*stays, late, other, *OTHERS)[0][2] == 4
    seen.outages.forget("main")
    seen.outages.forget("nobody")
    seen.outages.resume("as-before", frozenset({"192.168.1.2"}))
    assert seen.after(*(gone(n) for n in range(3)), *OTHERS)[0][1] == "as-before"
    for n in range(40):
        seen.outages.resume(str(n), frozenset())
    assert len(seen.outages._resumed) == 32


@pytest.mark.parametrize(
    ("began", "answered", "sure"),
    [
        (890.0, (895.0, 895.0, 700.0), True), (890.0, (895.0, 700.0, 700.0), False),
        (890.0, (770.0, 770.0, 700.0), True), (890.0, (769.9, 769.9, 700.0), False),
        (820.1, (600.0, 600.0, 600.0), False), (820.0, (600.0, 600.0, 600.0), True),
        (None, (-200.0, -200.0, -200.0), False),
    ],
)  # fmt: skip
def test_what_may_be_starting_as_this_machine_does_is_not_sure(
    began: float | None, answered: tuple[float, ...], *, sure: bool
) -> None:
    """Within three minutes of our start, unless most answered since then or a moment before."""
    stays = [gone(n, answered_at=at) for n, at in enumerate(answered)]
    one = Seen()
    one.outages.presence._first_round_at = began

    one.after(*stays, *OTHERS)
    assert [found.is_sure for found in one.found] == [sure]

    one.outages.presence._first_round_at = 820.0
    one.after(*stays, *OTHERS)
    assert [found.is_sure for found in one.found] == [True]
