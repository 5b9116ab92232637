"""Who asks for what nobody has, and who answers for what nobody held: counted, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitorpi_capture.inventory.asking import (
    MAX_ANSWERED,
    MAX_ASKED,
    MAX_ASKERS,
    MAX_REMEMBERED,
    NEWS_EACH,
    WITHIN_S,
    Asking,
)
from monitorpi_capture.inventory.denials import (
    ANSWERS_S,
    MAX_DENIED,
    MAX_DENIERS,
    MAX_TRIED,
    Denials,
)

A, B, C = b"\4\0\0\0\0\1", b"\4\0\0\0\0\2", b"\4\0\0\0\0\3"


def mac(number: int) -> bytes:
    """Return one of many MAC addresses."""
    return b"\6\0" + number.to_bytes(4, "big")


def nobody(_space: object, _ip: str) -> bool:
    """Tell that nobody holds anything."""
    return False


def test_different_addresses_are_counted_for_an_hour() -> None:
    """Again is not another one; what was asked an hour ago is over."""
    asking = Asking(nobody)
    for number in range(10):
        asking.asks(A, (), f"192.0.2.{number % 5}", float(number))

    assert asking.of(A, 10.0) == (5, 4.0)
    assert asking.of(A, 7.0 + WITHIN_S) == (3, 4.0)
    assert asking.of(A, 10.0 + WITHIN_S) is None
    assert asking.of(B, 10.0) is None
    assert len(asking) == 0
    assert WITHIN_S == 3600.0


def test_who_answers_later_was_not_asked_in_vain() -> None:
    """Whether an address is held is decided when they are counted; VLANs are apart."""
    held: set[tuple[object, str]] = set()
    asking = Asking(lambda space, ip: (space, ip) in held)
    for vlan in ((), (5,)):
        for number in range(4):
            asking.asks(A, vlan, f"192.0.2.{number}", 1.0)
    held |= {((), "192.0.2.1"), ((5,), "192.0.2.2"), ((5,), "192.0.2.3")}

    assert asking.of(A, 2.0) == (3, 1.0)


def test_who_gets_an_answer_does_not_ask_in_vain() -> None:
    """Though nobody is believed to hold the address: what a router answers for, or one of many.

    One's own claim is no answer, nor is one of another VLAN, nor one of long ago.
    """
    asking = Asking(nobody)
    for number in range(5):
        asking.asks(A, (), f"192.0.2.{number}", 100.0)
    asking.claims(B, (), "192.0.2.0", 101.0)
    asking.claims(B, (), "192.0.2.1", 99.0)
    asking.claims(A, (), "192.0.2.2", 101.0)
    asking.claims(B, (5,), "192.0.2.3", 101.0)

    assert asking.of(A, 102.0) == (3, 100.0)
    asking.asks(A, (), "192.0.2.0", 102.0 + WITHIN_S)
    assert asking.of(A, 102.0 + WITHIN_S) == (1, 100.0)
    asking.claims(B, (), "192.0.2.0", 103.0 + WITHIN_S)
    asking.shift(-50.0)
    assert asking.of(A, 52.0 + WITHIN_S) is None


def test_claims_are_bounded() -> None:
    """The latest are remembered."""
    asking = Asking(nobody)
    asking.asks(A, (), "192.0.2.1", 1.0)
    asking.claims(B, (), "192.0.2.1", 1.0)
    for number in range(MAX_ANSWERED):
        asking.claims(C, (), f"198.18.{number >> 8}.{number & 255}", 2.0)

    assert asking.of(A, 3.0) == (1, 1.0)
    assert MAX_ANSWERED == 4096


def test_addresses_anywhere_are_no_sweep() -> None:
    """A broken host's requests lie in many networks; a sweep goes through one."""
    asking = Asking(nobody)
    for number in range(60):
        asking.asks(A, (), f"192.{number}.2.1", 1.0)
        asking.asks(B, (), f"192.0.2.{number}", 1.0)

    assert asking.of(A, 2.0) == (1, 1.0)
    assert asking.of(B, 2.0) == (60, 1.0)


def test_each_so_many_addresses_are_worth_a_message() -> None:
    """And no request in between."""
    asking = Asking(nobody)
    worth = [n for n in range(1, 101) if asking.asks(A, (), f"192.0.2.{n}", float(n))]

    assert worth == [NEWS_EACH, 2 * NEWS_EACH, 3 * NEWS_EACH, 4 * NEWS_EACH]
    assert NEWS_EACH == 25


def test_forged_askers_push_out_their_own_kind() -> None:
    """Who asked for more stays, whatever comes."""
    asking = Asking(nobody)
    for number in range(30):
        asking.asks(A, (), f"192.0.2.{number}", 1.0)
    for number in range(3 * MAX_ASKERS):
        asking.asks(mac(number), (), "192.0.2.77", 2.0)

    assert asking.of(A, 3.0) == (30, 1.0)
    assert len(asking) <= MAX_ASKERS + 30
    assert MAX_ASKERS == 1024


@settings(max_examples=20)
@given(st.integers(1, 3000), st.integers(1, 400))
def test_what_is_remembered_is_bounded(askers: int, addresses: int) -> None:
    """However many ask for however many."""
    asking = Asking(nobody)
    for number in range(20 * addresses):
        who = mac(number * 7919 % askers)
        asking.asks(who, (), f"198.18.{number // 250 % 250}.{number % 250}", number / 50)

    assert len(asking) <= MAX_REMEMBERED
    assert all(
        one.addresses <= MAX_ASKED
        for number in range(min(askers, 100))
        if (one := asking.of(mac(number), addresses / 2.5)) is not None
    )
    assert (MAX_ASKED, MAX_REMEMBERED) == (256, 16_384)


def deny(denials: Denials, ip: str, at_s: float, *, after_s: float = 0.1, **who: bytes) -> bool:
    """Have B try an address and A, or another one, answer."""
    denials.tries(who.get("tries", B), (), ip, at_s)
    holder = who.get("holder")
    return denials.claims(who.get("claims", A), (), ip, at_s + after_s, holder)


def test_an_answer_denies_what_nobody_or_the_asker_held() -> None:
    """Not what its sender or a third one held, not what came late, and nobody denies himself."""
    denials = Denials()

    assert not deny(denials, "192.0.2.1", 1.0)
    assert deny(denials, "192.0.2.2", 2.0, holder=B)
    assert not deny(denials, "192.0.2.3", 3.0, holder=A)
    assert not deny(denials, "192.0.2.4", 4.0, holder=C)
    assert not deny(denials, "192.0.2.5", 5.0, after_s=ANSWERS_S + 0.1)
    assert not deny(denials, "192.0.2.6", 6.0, claims=B)
    assert deny(denials, "192.0.2.2", 7.0, holder=A)  # it says so again
    assert not denials.claims(A, (5,), "192.0.2.2", 7.1, None)  # in another VLAN
    assert denials.of(A, 8.0) == (2, 7.1)
    assert denials.of(A, 700.0) is None
    assert denials.of(B, 8.0) is None
    assert ANSWERS_S == 0.9


def test_denials_are_bounded() -> None:
    """By who tries, by who denies, and by what each denies."""
    denials = Denials()
    for number in range(3 * MAX_DENIED):
        deny(denials, f"198.18.1.{number}", 1.0)
    for number in range(3 * MAX_DENIERS):
        deny(denials, f"198.18.{number // 250}.{number % 250}", 2.0, claims=mac(number))
    for number in range(2 * MAX_TRIED):
        denials.tries(B, (), f"198.19.{number // 250}.{number % 250}", 3.0)

    assert denials.of(A, 4.0) == (MAX_DENIED, 1.1)
    assert sum(denials.of(mac(number), 4.0) is not None for number in range(1000)) < MAX_DENIERS
    assert not denials.claims(A, (), "198.19.0.1", 3.1, None)
    assert (MAX_DENIED, MAX_DENIERS, MAX_TRIED) == (64, 256, 1024)


def test_a_step_of_the_clock_moves_all_times() -> None:
    """What was a moment ago stays so."""
    asking, denials = Asking(nobody), Denials()
    asking.asks(A, (), "192.0.2.1", 1.0)
    deny(denials, "192.0.2.1", 1.0)
    for one in (asking, denials):
        one.shift(1e6)

    assert asking.of(A, 1e6 + 2.0) == (1, 1e6 + 1.0)
    assert denials.of(A, 1e6 + 2.0) == (1, 1e6 + 1.1)


@pytest.mark.parametrize(
    ("after_s", "denies"), [(-0.1, False), (0.0, True), (0.9, True), (0.91, False)]
)
@pytest.mark.parametrize("step_s", [0.0, 1e9])
def test_an_answer_comes_within_a_second_of_the_request(
    after_s: float, denies: bool, step_s: float
) -> None:
    """Also where the clock was set between the two."""
    denials = Denials()
    denials.tries(B, (), "192.0.2.1", 0.0)
    denials.shift(step_s)

    denials.claims(A, (), "192.0.2.1", step_s + after_s, None)

    assert (denials.of(A, step_s + 1.0) is not None) == denies


def test_who_tries_an_address_does_not_deny_it() -> None:
    """Nor does a claim of an address that nobody tries, or in another VLAN."""
    denials = Denials()
    denials.tries(A, (), "192.0.2.1", 0.0)
    denials.tries(B, (7,), "192.0.2.2", 0.0)

    for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert not denials.claims(A, (), ip, 0.1, None)

    assert denials.of(A, 0.1) is None
