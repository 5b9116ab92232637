"""Leases: what a server names, what ends by another one, and what came too late."""

from __future__ import annotations

from tests.capture.addressworld import IP, OTHER, V6, A, B, C, World, held, turns

from monitorpi_capture.inventory.addresses import YIELD_S
from monitorpi_capture.inventory.ends import MAX_ENDS


def test_a_name_does_not_prove_and_frames_do() -> None:
    """A repeater's frames prove a client's lease; renewals of the client's change nothing."""
    one = World().addresses()
    one.name(C, (), [IP], 0)
    named = held(one, C)
    for at_s in (5, 60, 120):
        one.claim(A, (), IP, at_s)
        one.name(C, (), [IP], at_s + 1)

    assert named == [IP]
    assert (held(one, A), held(one, C)) == ([IP], [])
    assert turns(one, A, 121) == []


def test_a_new_lease_ends_the_one_before() -> None:
    """Also where a repeater speaks for the client."""
    one = World().addresses()
    one.name(A, (), [IP], 0)
    one.claim(A, (), IP, 1)
    one.name(A, (), [OTHER], 600)
    one.name(C, (), ["198.18.0.60"], 0)
    one.claim(B, (), "198.18.0.60", 1)
    one.name(C, (), ["198.18.0.61"], 600)

    assert held(one, A) == [OTHER]
    assert held(one, B) == []


def test_a_lease_that_comes_back_is_held_again() -> None:
    """A client that gets an earlier address again holds it, and nobody disputes."""
    one = World().addresses()
    for at_s, ip in ((0, IP), (600, OTHER), (1200, IP)):
        one.name(A, (), [ip], at_s)
        one.claim(A, (), ip, at_s + 1)

    assert held(one, A) == [IP]
    assert turns(one, A, 1201) == []


def test_a_lease_given_to_another_goes_over_without_a_word() -> None:
    """The server says whose it is, and the frames of that one prove it."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.name(B, (), [IP], 5)
    before = held(one, A)
    one.claim(B, (), IP, 6)

    assert (before, held(one, A), held(one, B)) == ([IP], [], [IP])
    assert turns(one, B, 6) == []


def test_a_lease_does_not_excuse_who_takes_what_another_one_leases() -> None:
    """A forged answer names the claimant; whose lease it was insists, and is believed."""
    one = World().addresses()
    one.name(A, (), [IP], 0)
    one.claim(A, (), IP, 1)
    one.name(B, (), [IP], 300)
    for at_s, mac in ((301, B), (310, A), (311, B)):
        one.claim(mac, (), IP, at_s)

    assert held(one, A) == [IP]
    assert turns(one, A, 312) == [(A, B, 2)]


def test_what_was_claimed_before_its_end_comes_too_late() -> None:
    """Frames of ARP are read behind those of DHCP, whatever came first on the wire."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.name(A, (), [IP], 1)
    one.name(A, (), [OTHER], 3)

    one.claim(A, (), IP, 2.9)  # waited
    one.claim(B, (), IP, 2.9)
    assert held(one, B) == [IP]

    one.end(B, (), IP, 4)
    one.shift(100)
    one.claim(B, (), IP, 103)
    assert held(one, B) == []
    one.claim(B, (), IP, 105)
    assert held(one, B) == [IP]


def test_a_lease_from_before_our_start_ends_soon_after_another_one() -> None:
    """Nobody saw it given; an address beside the lease that is used stays."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.claim(A, (), V6, 0)
    one.name(A, (), [OTHER], 10)
    for at_s in range(11, 200, 20):
        one.claim(A, (), OTHER, at_s)
        one.end_overdue(A, at_s)
        assert held(one, A) == ([IP, V6, OTHER] if at_s < YIELD_S else [V6, OTHER])

    one.claim(A, (), IP, 200)
    for at_s in range(211, 400, 20):
        one.claim(A, (), OTHER, at_s)
        one.claim(A, (), IP, at_s)
        one.end_overdue(A, at_s)
    assert sorted(held(one, A)) == sorted([IP, V6, OTHER])
    assert YIELD_S == 120.0


def test_ends_that_are_remembered_are_bounded() -> None:
    """Who forges releases by the thousand takes no memory."""
    one = World().addresses()
    for number in range(3 * MAX_ENDS):
        ip = f"10.{number >> 8 & 255}.{number & 255}.1"
        one.claim(A, (), ip, number)
        one.end(A, (), ip, number)

    assert len(one._ends._until) == MAX_ENDS
    assert MAX_ENDS == 1024


def test_a_full_table_makes_room_by_those_nobody_knows() -> None:
    """Not before they are a minute old, and no more often than once a second."""
    world = World()
    one = world.addresses()
    for number in range(16_384):
        one.claim(number.to_bytes(6, "big"), (), f"10.1.{number >> 7}.{number & 127}", 0.0)
    sizes = []
    for at_s in (0.5, 30.0, 60.0, 60.9, 61.0):
        one.claim(A, (), IP, at_s)
        world.absent = {(7).to_bytes(6, "big"), (8).to_bytes(6, "big")}
        sizes.append((len(one), one.refused, bool(held(one, A))))

    full = 16_384
    assert sizes == [
        (full, 1, False), (full, 2, False), (full, 3, False), (full, 4, False),
        (full - 1, 4, True),
    ]  # fmt: skip

    one.claim(B, (), OTHER, 61.0)
    world.absent |= {number.to_bytes(6, "big") for number in (9, 10)}
    one.claim(C, (), V6, 61.0)
    assert (len(one), held(one, B), held(one, C)) == (full, [OTHER], [])
    one.claim(C, (), V6, 62.0)
    assert held(one, C) == [V6]
