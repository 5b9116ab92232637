"""Who answers for addresses that it never speaks from."""

from __future__ import annotations

from monitorpi_capture.inventory.answering import (
    ANSWERS_FROM,
    MAX_ADDRESSES,
    MAX_SPEAKERS,
    WITHIN_S,
    Answering,
)

A, B = b"\x04\0\0\0\0\x0a", b"\x04\0\0\0\0\x0b"


def answered(one: Answering, count: int, begin_s: float = 0.0) -> list[str]:
    """Have A answer for so many addresses when asked."""
    ips = [f"198.18.0.{number}" for number in range(1, count + 1)]
    for number, ip in enumerate(ips):
        one.asks(B, (), ip, begin_s + number)
        one.claims(A, (), ip, begin_s + number + 0.01, asking=False)
    return ips


def test_who_answers_for_three_answers_for_others() -> None:
    """And not before."""
    one = Answering()
    ips = answered(one, ANSWERS_FROM - 1)
    before = [one.answers_for(A, (), ip) for ip in ips]
    ips = answered(one, ANSWERS_FROM)

    assert not any(before)
    assert all(one.answers_for(A, (), ip) for ip in ips)
    assert not one.answers_for(A, (10,), ips[0])
    assert ANSWERS_FROM == 3


def test_what_one_speaks_from_is_ones_own() -> None:
    """Asked from it, announced unasked, or said when the question is long past: for good."""
    for asking, late_s in ((True, 0.0), (False, WITHIN_S + 1), (False, -50.0)):
        one = Answering()
        ips = answered(one, ANSWERS_FROM + 1)
        one.claims(A, (), ips[0], ANSWERS_FROM + 1 + late_s, asking=asking)
        answered(one, 1, 100)

        assert not one.answers_for(A, (), ips[0])
        assert one.answers_for(A, (), ips[1])
    assert WITHIN_S == 1.0


def test_a_question_of_ones_own_excuses_nobody() -> None:
    """Who asks for addresses and claims them speaks unasked; others' questions still count."""
    one, other = Answering(), Answering()
    for number in range(ANSWERS_FROM):
        ip = f"198.18.0.{number}"
        one.asks(A, (), ip, number)
        one.claims(A, (), ip, number + 0.1, asking=False)
        other.asks(B, (), ip, number)
        other.asks(A, (), ip, number + 0.1)
        other.claims(A, (), ip, number + 0.2, asking=False)

    assert not one.only_answers(A, (), "198.18.0.1")
    assert other.answers_for(A, (), "198.18.0.1")


def test_families_are_counted_apart() -> None:
    """Three of IPv6 say nothing of one of IPv4."""
    one = Answering()
    for number in range(ANSWERS_FROM):
        one.asks(B, (), f"2001:db8::{number}", 1)
        one.claims(A, (), f"2001:db8::{number}", 1.1, asking=False)
    ip = answered(one, 1)[0]

    assert one.only_answers(A, (), ip)
    assert not one.answers_for(A, (), ip)
    assert one.answers_for(A, (), "2001:db8::1")


def test_it_is_bounded_and_the_latest_stay() -> None:
    """Forged senders and addresses without end."""
    one = Answering()
    ips = answered(one, MAX_ADDRESSES + 1)
    forgotten = one.only_answers(A, (), ips[0])
    kept = one.only_answers(A, (), ips[1])
    for number in range(MAX_SPEAKERS):
        one.claims(number.to_bytes(6, "big"), (), "198.18.0.9", 99, asking=True)

    assert (forgotten, kept) == (False, True)
    assert not one.only_answers(A, (), ips[-1])
    assert (MAX_ADDRESSES, MAX_SPEAKERS) == (64, 1024)


def test_a_step_of_the_clock_moves_questions() -> None:
    """An answer belongs to its question though the clock was set between them."""
    one = Answering()
    one.asks(B, (), "198.18.0.1", 10)
    one.shift(1000)
    one.claims(A, (), "198.18.0.1", 1010.1, asking=False)
    said = one.only_answers(A, (), "198.18.0.1")
    one.forget(A)

    assert said
    assert not one.only_answers(A, (), "198.18.0.1")
