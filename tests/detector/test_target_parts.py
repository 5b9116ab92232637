"""What is known of targets by hand: how well they answered, and who belongs together."""

from __future__ import annotations

import pytest

from monitorpi_detector.targets.cause import CommonCause, clusters, count_devices, is_beyond
from monitorpi_detector.targets.line import TargetLine
from monitorpi_detector.targets.presence import Stay


def taken(*rounds: int | None, line: TargetLine | None = None) -> TargetLine:
    """Return a line after rounds that count as so many bad ones, each a second after another."""
    one = line or TargetLine()
    for second, counts in enumerate(rounds):
        one.take(counts, float(second))
    return one


@pytest.mark.parametrize(
    ("rounds", "bad"),
    [
        ((), 8), ((0,), 7), ((0,) * 8, 0), ((0,) * 8 + (1,), 1), ((0,) * 8 + (3,), 3),
        ((0,) * 8 + (1, 0, 1), 2), ((0,) * 8 + (1,) + (0,) * 7, 1), ((0,) * 8 + (1,) + (0,) * 8, 0),
        ((0,) * 8 + (None,), 0), ((0,) * 8 + (1, None), 0), ((0,) * 8 + (1, None, 1), 2),
    ],
)  # fmt: skip
def test_the_last_eight_rounds_count(rounds: tuple[int | None, ...], bad: int) -> None:
    """What is not known is bad; who is silent now is not bad but away."""
    assert taken(*rounds).bad == bad


def test_a_line_turns_when_half_of_its_rounds_were_bad() -> None:
    """After eight good ones; when that was stays known until it was well again."""
    one = taken(*[1] * 5)
    assert (one.was_well, one.turned_at) == (False, None)
    taken(*[0] * 8, line=one)
    assert (one.was_well, one.turned_at) == (True, None)

    for second in (100.0, 101.0, 102.0):
        one.take(1, second)
    assert (one.was_well, one.turned_at) == (True, None)
    one.take(1, 103.0)
    assert (one.was_well, one.turned_at) == (False, 103.0)
    one.take(1, 104.0)
    assert one.turned_at == 103.0
    taken(*[0] * 7, line=one)
    assert one.turned_at == 103.0
    one.take(0, 200.0)
    assert (one.was_well, one.turned_at) == (True, None)


def stay(address: str, mac: str | None = None, name: str = "") -> Stay:
    """Return a target."""
    return Stay(address, name, mac)


@pytest.mark.parametrize(
    ("one", "others", "beyond"),
    [
        (stay("8.8.8.8"), [], True), (stay("192.168.1.9"), [], False),
        (stay("192.168.1.9"), [stay("192.168.1.8")], False),
        (stay("192.168.1.9"), [stay("192.168.1.8", "02:00:00:00:00:01")], True),
        (stay("8.8.8.8", "02:00:00:00:00:01"), [], False), (stay("example.org"), [], True),
        (stay("fe80::1%eth0"), [], False), (stay("2606:4700::1111"), [], True),
    ],
)  # fmt: skip
def test_who_is_beyond_the_router(one: Stay, others: list[Stay], beyond: bool) -> None:
    """Who has no MAC address on this wire; a private one only where others' are known."""
    assert is_beyond(one, others) is beyond


def test_a_group_is_named_by_its_first_five() -> None:
    """One target of each device, by its name or address."""
    members = [stay(f"192.0.2.{n}", f"02:00:00:00:00:{n:02x}", "nas" * (n == 1)) for n in range(6)]
    twin = stay("192.0.2.99", "02:00:00:00:00:00")
    lone = stay("192.0.2.98")

    def names(*stays: Stay) -> str:
        return CommonCause("group-down", "x", 0.0, {one.address: one for one in stays}).names

    assert names(*members[:5]) == "192.0.2.0, nas, 192.0.2.2, 192.0.2.3, 192.0.2.4"
    assert names(*members) == "192.0.2.0, nas, 192.0.2.2, 192.0.2.3, 192.0.2.4 and 1 more"
    assert names(members[0], twin, lone) == "192.0.2.99, 192.0.2.98"
    assert count_devices([members[0], twin, lone, members[1]]) == 3


def test_what_changed_together_is_grouped_by_the_first() -> None:
    """Within so many seconds of it, and not of the last."""
    a, b, c, d = (stay(name) for name in "abcd")

    found = clusters([(19.0, d), (0.0, b), (10.0, c), (0.0, a)], 10.0)

    assert found == [[(0.0, a), (0.0, b), (10.0, c)], [(19.0, d)]]
    assert clusters([(0.0, a), (10.1, b)], 10.0) == [[(0.0, a)], [(10.1, b)]]
    assert clusters([], 10.0) == []
