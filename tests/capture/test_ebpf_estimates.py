"""What several CPUs saw of one MAC, put together: how many ends, and which got most."""

from __future__ import annotations

import pytest

from monitorpi_capture.engine.ebpf.estimates import any_target, estimate, merged, winner
from monitorpi_capture.engine.ebpf.memory import SKETCH_BYTES, SKETCH_REGISTERS
from monitorpi_capture.items import SynTarget, TopPeer

MAC, OTHER = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
IP = bytes(8) + b"\xc0\0\2\1" + bytes(4)
"""An IPv4 address as a vote holds it."""
IP6 = bytes.fromhex("20010db8") + bytes(11) + b"\x01"
Ballot = tuple[bytes, int, bytes, int, int, int, int]


def ballot(
    mac: bytes = MAC, *, score: int = 1, hits: int = 1, port: int = 80, port_score: int = 1
) -> Ballot:
    """Return one CPU's vote."""
    return (mac, 4, IP, score, hits, port, port_score)


def sketch(*registers: int) -> tuple[bytes, int, int]:
    """Return a sketch with these values in its first registers, as the kernel packs them."""
    values = [*registers, *[0] * (SKETCH_REGISTERS - len(registers))]
    half = SKETCH_REGISTERS // 2
    packed = bytes(values[n] | values[n + half] << 4 for n in range(half))
    filled = [one for one in values if one]
    return packed, len(filled), sum((1 << 15) - (1 << 15 - one) for one in filled)


# --- how many -------------------------------------------------------------------------------------


def test_a_sketch_of_the_test_is_as_large_as_the_kernels() -> None:
    """Two registers share a byte."""
    assert len(sketch()[0]) == SKETCH_BYTES == 512
    assert SKETCH_REGISTERS == 1024


@pytest.mark.parametrize(
    ("filled", "distinct"), [(0, 0), (1, 1), (2, 2), (100, 105), (512, 710), (900, 2162)]
)
def test_few_are_counted_by_registers_that_are_empty(filled: int, distinct: int) -> None:
    """Linear counting: m ln(m / empty), while that is below two and a half of m."""
    assert estimate(filled, filled * (1 << 14)) == distinct


@pytest.mark.parametrize(
    ("filled", "rank", "distinct"),
    [(1024, 1, 1476), (1024, 4, 11_805), (1024, 10, 755_542), (1023, 4, 11_635), (1000, 4, 8735)],
)
def test_many_are_estimated_by_what_stands_in_the_registers(
    filled: int, rank: int, distinct: int
) -> None:
    """HyperLogLog: alpha m^2 over the sum of 2^-register, alpha = 0.7213 / (1 + 1.079 / m)."""
    gone = filled * ((1 << 15) - (1 << 15 - rank))

    assert estimate(filled, gone) == distinct


def test_sketches_of_several_cpus_are_one() -> None:
    """What both saw counts once, what one saw counts too; who saw nothing changes nothing."""
    one, other, nothing = sketch(3, 1, 0, 2), sketch(1, 4, 1), sketch()

    assert merged([]) == merged([nothing, nothing]) == 0
    assert merged([one]) == merged([nothing, one]) == merged([one, one]) == 3
    assert merged([one, other]) == merged([other, nothing, one]) == 4
    assert merged([sketch(*[2] * 1024), sketch(*[1] * 1024)]) == estimate(
        1024, 1024 * ((1 << 15) - (1 << 13))
    )


@pytest.mark.parametrize("place", [0, 511, 512, 1023])
def test_registers_of_both_halves_count(place: int) -> None:
    """Of a byte the low half is one register and the high half another."""
    first = [0] * 1024
    first[place] = 2
    second = [0] * 1024
    second[(place + 1) % 1024] = 2

    assert merged([sketch(*first), sketch(*second)]) == 2


# --- which most -----------------------------------------------------------------------------------


def test_one_cpus_winner_is_the_winner() -> None:
    """With its address as it is written: four bytes of IPv4, sixteen of IPv6."""
    vote = ballot(score=5, hits=9, port=443)
    six = (MAC, 6, IP6, 5, 9, 443, 0)

    assert winner([vote], with_port=True) == TopPeer(MAC, b"\xc0\0\2\1", 443, 9)
    assert winner([vote], with_port=False) == TopPeer(MAC, b"\xc0\0\2\1", None, 9)
    assert winner([six], with_port=True) == TopPeer(MAC, IP6, None, 9)


def test_nobody_is_named_where_nobody_won() -> None:
    """No CPU has a candidate that is ahead."""
    assert winner([], with_port=True) is None
    assert winner([ballot(score=0, hits=7)], with_port=True) is None


def test_candidates_of_two_cpus_add_up() -> None:
    """The same destination got what it got on both."""
    votes = [ballot(score=3, hits=10), ballot(score=4, hits=20), ballot(score=0, hits=9)]

    assert winner(votes, with_port=True) == TopPeer(MAC, b"\xc0\0\2\1", 80, 30)


@pytest.mark.parametrize(
    ("mine", "theirs", "who"),
    [(5, 4, MAC), (4, 5, OTHER), (5, 5, None)],
)
def test_candidates_that_differ_are_set_against_each_other(
    mine: int, theirs: int, who: bytes | None
) -> None:
    """More than half of all that is ahead wins."""
    peer = winner([ballot(score=mine, hits=50), ballot(OTHER, score=theirs, hits=40)],
                  with_port=True)  # fmt: skip

    assert (peer.mac if peer else None) == who


def test_three_that_differ_may_leave_none() -> None:
    """The most of three is not more than half."""
    votes = [ballot(score=4), ballot(OTHER, score=3), ballot(bytes(6), score=3)]

    assert winner(votes, with_port=True) is None


@pytest.mark.parametrize(
    ("one", "other", "port"),
    [
        ((80, 5), (80, 3), 80),
        ((80, 5), (443, 3), 80),
        ((80, 3), (443, 5), 443),
        ((80, 4), (443, 4), None),
        ((80, 0), (443, 0), None),
    ],
)
def test_ports_are_set_against_each_other_too(
    one: tuple[int, int], other: tuple[int, int], port: int | None
) -> None:
    """The port of one destination, where one has the majority on all CPUs."""
    votes = [ballot(score=2, port=number, port_score=score) for number, score in (one, other)]

    peer = winner(votes, with_port=True)

    assert peer is not None
    assert peer.port == port


def test_a_third_cpu_meets_what_two_left() -> None:
    """Eight frames to one port, five to another, four to it again: the second is ahead."""
    votes = [ballot(port=80, port_score=8), ballot(port=443, port_score=5),
             ballot(port=443, port_score=4)]  # fmt: skip

    peer = winner(votes, with_port=True)

    assert peer is not None
    assert (peer.port, peer.packets) == (443, 3)
    assert winner([*votes[:2], ballot(port=80, port_score=1)], with_port=True) == peer._replace(
        port=80
    )


def test_any_target_is_one_that_got_a_syn() -> None:
    """Won or not, of the first CPU that has one."""
    assert any_target([]) is None
    assert any_target([ballot(score=0, hits=0)]) is None
    assert any_target([ballot(hits=0), ballot(score=0, hits=1, port=22)]) == SynTarget(
        b"\xc0\0\2\1", 22
    )
