"""Who holds an address: the table's transitions, one by one."""

from __future__ import annotations

import pytest
from tests.capture.addressworld import IP, OTHER, V6, VIRTUAL, A, B, C, World, held, turns

from monitorpi_capture.inventory.addresses import (
    AGE_S,
    MAX_FAMILY,
    PRESENT_S,
    UNCLAIMED_S,
    YIELD_S,
)
from monitorpi_capture.inventory.disputes import MAX_DISPUTES
from monitorpi_capture.inventory.groups import Relation
from monitorpi_capture.inventory.holding import (
    MAX_TURNS,
    REMEMBER_S,
    TRANSITIONS,
    Dispute,
    Event,
    State,
)
from monitorpi_capture.inventory.proxies import NEW_FROM, PROXY_FROM


def test_every_state_has_an_answer_to_every_event_it_can_see() -> None:
    """Claims of others are never out of place; what is settled or moved can settle."""
    claims = {Event.HEIR, Event.MEMBER, Event.CLAIMANT, Event.INTRUDER}

    for state in (State.HELD, State.MOVED, State.CONTESTED):
        assert claims | {Event.HOLDER, Event.ENDS} <= TRANSITIONS[state].keys()
    assert {Event.DEFENDER, Event.SETTLES} <= TRANSITIONS[State.MOVED].keys()
    assert {Event.CHALLENGER, Event.YIELDED, Event.SETTLES} <= TRANSITIONS[State.CONTESTED].keys()
    assert {Event.HEIR, Event.NAMES} <= TRANSITIONS[State.FREE].keys()
    assert {Event.HOLDER, Event.HEIR, Event.NAMES, Event.ENDS} <= TRANSITIONS[State.NAMED].keys()


def test_a_claim_holds() -> None:
    """Who claims a free address holds it; VLANs are apart."""
    one = World().addresses()

    one.claim(A, (10,), IP, 0)
    one.claim(B, (20,), IP, 1)

    assert (held(one, A, (10,)), held(one, B, (20,))) == ([IP], [IP])
    assert turns(one, A, 1) == []


def test_a_planned_move_is_believed_at_once_and_counts_one_turn() -> None:
    """The old holder loses the address with the first claim of the next one."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.claim(A, (), OTHER, 0)

    one.claim(B, (), IP, 300)
    one.claim(B, (), IP, 360)

    assert (held(one, A), held(one, B)) == ([OTHER], [IP])
    assert turns(one, B, 360) == [(A, B, 1)]
    one.claim(B, (), IP, 300 + REMEMBER_S + 1)
    assert turns(one, B, 300 + REMEMBER_S + 1) == []
    assert one.state((), IP) is State.HELD
    assert REMEMBER_S == 600.0


def test_a_move_back_is_no_fight() -> None:
    """A fails over to B and back: A holds it, one turn of B, and nothing more after a while."""
    one = World().addresses()
    for mac, at_s in ((A, 0), (B, 300), (A, 600)):
        one.claim(mac, (), IP, at_s)

    assert held(one, A) == [IP]
    assert turns(one, A, 600) == [(A, B, 1)]


def test_two_that_insist_fight_and_the_first_one_keeps_it() -> None:
    """Every claim after the other's is a turn; the list of neither goes to and fro."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    for second in range(10, 100, 10):
        one.claim(B, (), IP, second)
        one.claim(B, (), IP, second + 1)
        one.claim(A, (), IP, second + 5)

    assert one.state((), IP) is State.CONTESTED
    assert (held(one, A), held(one, B)) == ([IP], [])
    assert turns(one, A, 100) == [(A, B, 9)]
    assert not one.disputes(A, 100)[0].in_turns


def test_who_stops_claiming_yields() -> None:
    """A contested address goes to the challenger when its holder has not claimed it for long."""
    one = World().addresses()
    for mac, at_s in ((A, 0), (B, 10), (A, 20), (B, 30), (B, 20 + YIELD_S + 1)):
        one.claim(mac, (), IP, at_s)

    assert held(one, B) == [IP]


def test_an_address_of_one_that_left_goes_over_without_a_word() -> None:
    """A lease that goes to another device is no dispute, unless it is a router's address."""
    world = World(absent={A}, router_ips={OTHER})
    one = world.addresses()
    one.claim(A, (), IP, 0)
    one.claim(A, (), OTHER, 0)

    one.claim(B, (), IP, PRESENT_S)
    one.claim(B, (), OTHER, PRESENT_S)

    assert held(one, B) == [IP, OTHER]
    assert [(d.ip, d.present, d.router) for d in one.disputes(B, PRESENT_S)] == [
        (OTHER, False, True)
    ]
    assert PRESENT_S == 120.0


def test_who_speaks_for_another_mac_takes_but_gives_nothing() -> None:
    """It is a dispute with the MAC that it names; a free address stays nobody's."""
    one = World(router_ips={IP}).addresses()
    one.claim(A, (), IP, 0)
    for at_s in (10, 30):
        one.allege(B, (), IP, at_s, C)
        one.claim(A, (), IP, at_s + 10)
    one.allege(B, (), OTHER, 50, C)

    assert (held(one, A), held(one, B)) == ([IP], [])
    assert turns(one, A, 51) == [(A, B, 2)]


@pytest.mark.parametrize("router", [False, True])
def test_a_holder_that_speaks_for_another_mac(*, router: bool) -> None:
    """Several ports of one machine; a router's address is not believed so: the sender is forged."""
    one = World(router_ips={IP} if router else set()).addresses()
    one.claim(A, (), IP, 0)
    one.allege(B, (), IP, 10, A)

    assert turns(one, A, 11) == ([(A, B, 1)] if router else [])


@pytest.mark.parametrize("sender", [A, None])
def test_a_release_ends(sender: bytes | None) -> None:
    """A client gives its address up; nobody holds it then."""
    one = World().addresses()
    one.claim(A, (), IP, 0)

    one.end(A, (), IP, 1, sender)

    assert held(one, A) == []
    assert len(one) == 0


def test_nobody_gives_up_what_another_holds() -> None:
    """A RELEASE in another's name, a DECLINE of what another holds, and a router's end nothing."""
    world = World(router_ips={OTHER})
    one = world.addresses()
    one.claim(A, (), IP, 0)
    one.claim(A, (), OTHER, 0)

    one.end(A, (), IP, 1, B)
    one.end(B, (), IP, 1, B)
    one.end(A, (), OTHER, 1, A)

    assert held(one, A) == [IP, OTHER]


def test_a_refused_lease_is_nobodys() -> None:
    """DECLINE: the client was given what somebody else uses; that one goes on holding it."""
    one = World().addresses()
    one.name(A, (), [IP], 0)
    one.end(A, (), IP, 1, A)
    free = len(one)
    one.claim(B, (), IP, 2)
    one.name(A, (), [IP], 3)
    one.end(A, (), IP, 4, A)

    assert free == 0
    assert held(one, B) == [IP]


def test_a_virtual_router_holds_against_strangers() -> None:
    """The intruder never gets the address; each claim after the router's own is a turn."""
    one = World().addresses()
    for second in range(0, 30, 10):
        one.claim(VIRTUAL, (), IP, second)
        one.claim(A, (), IP, second + 5)

    assert (held(one, VIRTUAL), held(one, A)) == ([IP], [])
    assert turns(one, A, 30) == [(VIRTUAL, A, 3)]


@pytest.mark.parametrize("intruder_first", [True, False])
def test_a_virtual_router_takes_what_is_its_own(intruder_first: bool) -> None:
    """Who was there first says nothing: after one turn each the virtual MAC holds."""
    one = World().addresses()
    order = (A, VIRTUAL, A) if intruder_first else (VIRTUAL, A, VIRTUAL)
    for at_s, mac in enumerate(order):
        one.claim(mac, (), IP, at_s)

    assert held(one, VIRTUAL) == [IP]


@pytest.mark.parametrize(
    ("first", "second"),
    [("0007b4000101", "0007b4000102"), ("0007b400ff01", "0007b400ff04")],
)
def test_forwarders_of_one_gateway_share_its_address(first: str, second: str) -> None:
    """GLBP answers for one address with several MACs by design."""
    one = World().addresses()
    for at_s in range(0, 60, 2):
        one.claim(bytes.fromhex(first), (), IP, at_s)
        one.claim(bytes.fromhex(second), (), IP, at_s + 1)

    assert turns(one, bytes.fromhex(first), 60) == []


def test_members_of_a_group_share_its_address() -> None:
    """The routers behind a virtual address may answer with their own MACs."""
    one = World(members={A, B, VIRTUAL}).addresses()
    for at_s, mac in enumerate((VIRTUAL, A, VIRTUAL, B, A, VIRTUAL)):
        one.claim(mac, (), IP, at_s)

    assert held(one, VIRTUAL) == [IP]
    assert turns(one, VIRTUAL, 6) == []


def test_a_router_that_answers_for_others_keeps_its_own_address() -> None:
    """Those it answers for are not its own, and go to their true holders without a word."""
    world = World(router_ips={"198.18.0.1"})
    one = world.addresses()
    one.claim(A, (), "198.18.0.1", 0)
    world.established = {A}
    for number in range(40):
        one.claim(A, (), f"198.18.0.{100 + number}", number)
    for number in range(5):
        one.claim(B, (), f"198.18.0.{100 + number}", 50 + number)
        one.claim(A, (), f"198.18.0.{100 + number}", 60 + number)

    assert held(one, A) == ["198.18.0.1"]
    assert len(held(one, B)) == 5
    assert turns(one, A, 70) == turns(one, B, 70) == []


@pytest.mark.parametrize(("held_before", "kept"), [(PROXY_FROM - 1, 8), (PROXY_FROM, 1)])
def test_who_answers_for_others_claims_more_than_eight(held_before: int, kept: int) -> None:
    """Up to eight may be a router's own; with the ninth all but one turn out not to be."""
    world = World()
    one = world.addresses()
    for number in range(held_before):
        one.claim(A, (), f"198.18.0.{number + 1}", number)
    world.established = {A}

    one.claim(A, (), "198.18.0.99", 20)

    assert len(held(one, A)) == kept


def test_nobody_answers_for_others_by_its_own_word() -> None:
    """Who is no established router and claims what others hold disputes it, each one."""
    one = World().addresses()
    for number in range(PROXY_FROM + 4):
        one.claim(A, (), f"198.18.0.{100 + number}", number)
        one.claim(B, (), f"198.18.0.{100 + number}", number + 0.5)

    assert len(one.disputes(B, 20)) == PROXY_FROM + 4
    assert PROXY_FROM == 8


@pytest.mark.parametrize(
    ("answers", "at_s", "is_established", "disputes"),
    [
        (NEW_FROM, 60, True, 0),
        (NEW_FROM - 1, 60, True, 1),
        (NEW_FROM, REMEMBER_S + 60, True, 1),
        (NEW_FROM, 60, False, 1),
    ],
)
def test_what_a_router_has_but_just_begun_to_answer_for_is_its_hosts(
    answers: int, at_s: float, is_established: bool, disputes: int
) -> None:
    """Local proxy ARP when watching begins: the hosts speak after the router did.

    A router with a second address or two, what it has for long, and who is no router by others'
    word lose nothing to a stranger without a dispute.
    """
    world = World(established={A} if is_established else set())
    one = world.addresses()
    for number in range(answers):
        one.claim(A, (), f"198.18.0.{100 + number}", number)

    one.claim(B, (), "198.18.0.101", at_s)

    assert len(one.disputes(B, at_s)) == disputes
    assert "198.18.0.101" in held(one, B)
    assert NEW_FROM == 4


def test_families_are_bounded_apart() -> None:
    """However many IPv6 addresses come, the IPv4 address stays, and so does the longest held."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    for number in range(100):
        one.claim(A, (), f"2001:db8::1:{number:x}", number)
    for number in range(100):
        one.claim(A, (), f"198.19.0.{number}", 200 + number)

    families = [len([ip for ip in held(one, A) if (":" in ip) == v6]) for v6 in (True, False)]
    assert families == [MAX_FAMILY, MAX_FAMILY]
    assert {IP, "2001:db8::1:0", "198.19.0.99"} <= set(held(one, A))
    assert MAX_FAMILY == 16


def test_what_is_not_claimed_while_others_are_ends() -> None:
    """A temporary IPv6 address that its device uses no more ends; its IPv4 address has no rival."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.claim(A, (), V6, 0)
    one.claim(A, (), "2001:db8::51", UNCLAIMED_S + 1)

    one.end_overdue(A, UNCLAIMED_S + 2)

    assert held(one, A) == [IP, "2001:db8::51"]
    assert UNCLAIMED_S == 3600.0


def test_an_address_lives_a_day_without_a_claim() -> None:
    """Its holder is here, and nobody asks for it: after a day it ends."""
    one = World().addresses()
    one.claim(A, (), IP, 0)
    one.end_overdue(A, AGE_S)
    still = held(one, A)
    one.end_overdue(A, AGE_S + 1)

    assert (still, held(one, A)) == ([IP], [])
    assert AGE_S == 86_400.0


def test_a_time_from_the_future_is_no_claim_to_eternity() -> None:
    """What a wrong clock stamped ages from now on."""
    one = World().addresses()
    one.restore(A, (), IP, 0, 365 * 86400.0, "arp")
    one.end_overdue(A, 100)
    one.end_overdue(A, 100 + AGE_S + 2)

    assert held(one, A) == []


def test_challengers_are_bounded() -> None:
    """Ever new MACs that claim one address fill a table of fixed size."""
    one = World(router_ips={IP}).addresses()
    one.claim(VIRTUAL, (), IP, 0)
    for number in range(1000):
        one.claim(b"\x06" + number.to_bytes(5, "big"), (), IP, 1 + number / 100)

    assert len(one.disputes(VIRTUAL, 20)) == MAX_DISPUTES
    assert len(one._disputes.by_mac) == MAX_DISPUTES + 1
    assert MAX_DISPUTES == 4


def test_turns_of_late_are_remembered() -> None:
    """The newest sixteen of ten minutes."""
    one = Dispute((), IP, A, B, 0.0, 0.0, [], present=True, router=False,
                  relation=Relation.UNRELATED)  # fmt: skip
    for at_s in range(20):
        one.take_turn(float(at_s))
    assert one.turns == [float(at_s) for at_s in range(4, 20)]

    one.take_turn(10.0 + REMEMBER_S)
    assert one.turns == [*(float(at_s) for at_s in range(11, 20)), 10.0 + REMEMBER_S]
    assert MAX_TURNS == 16


def test_members_of_a_virtual_router_share_its_address() -> None:
    """Its own MAC takes it from a card at once; a card takes it when it was silent for long."""
    one = World(members={A, VIRTUAL}).addresses()
    one.claim(A, (), IP, 0)
    one.claim(VIRTUAL, (), IP, 1)
    assert (held(one, VIRTUAL), held(one, A)) == ([IP], [])

    one.claim(A, (), IP, 1 + YIELD_S)
    assert (held(one, VIRTUAL), held(one, A)) == ([IP], [])
    one.claim(A, (), IP, 1.1 + YIELD_S)
    assert (held(one, VIRTUAL), held(one, A)) == ([], [IP])
    assert not one.disputes(A, 1.1 + YIELD_S)
