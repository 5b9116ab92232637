"""What a topology tells its addresses: who is here, who was away, who left."""

from __future__ import annotations

import pytest
from tests.capture.addressworld import IP, A, B
from tests.capture.inventories import inventory, known, report
from tests.capture.windows import mac

from monitorpi_capture.inventory.addresses import PRESENT_S
from monitorpi_capture.inventory.admission import Entry
from monitorpi_capture.inventory.feed import PUBLISH_AT_ONCE
from monitorpi_capture.inventory.topology import SILENT_S, WAKES_S, Topology
from monitorpi_capture.items import Sighting
from monitorpi_common.messages import Tombstone


def test_addresses_ask_all_of_it() -> None:
    """Each question has its own who answers."""
    one = Topology({}, {})
    asked = one.addresses._witness

    assert asked.is_present == one._is_present
    assert asked.was_away == one._was_away
    assert asked.is_established == one._is_established
    assert asked.is_router_address == one.is_router_address
    assert asked.only_answers == one.answering.only_answers
    assert asked.answers_for == one.answering.answers_for
    assert asked.is_nobodys == one.subnets.is_nobodys
    assert asked.is_member == one._is_member
    assert not asked.is_known(A)
    one._devices[A] = Entry(A, "eth0", 0.0, 0.0)
    assert asked.is_known(A)


@pytest.mark.parametrize("is_device", [True, False])
@pytest.mark.parametrize(
    ("since_s", "at_s", "last_s", "woke_s", "was_away"),
    [
        (1000, 1100, 1000, 0, True),
        (1000, 1100, 1000 + WAKES_S, 0, True),
        (1000, 1100, 1001 + WAKES_S, 0, False),
        (1000, 1000 + SILENT_S, 1000, 0, False),
        (1000, 1001 + SILENT_S, 1000, 0, True),
        (1000, 1100, 1099, 1100 - WAKES_S, True),
        (1000, 1100, 1099, 1099 - WAKES_S, False),
        (1098, 1100, 1099, 1098, True),
        (1098, 1100, 1099, 1097, False),
    ],
)
def test_who_slept_from_one_moment_to_another(
    is_device: bool, since_s: float, at_s: float, last_s: float, woke_s: float, was_away: bool
) -> None:
    """A minute without a word, or woken just now; what comes shortly after is of its last word."""
    table = {A: Entry(A, "eth0", 0.0, last_s, woke_s=woke_s)}
    one = Topology(table, {}) if is_device else Topology({}, table)

    assert one._was_away(A, since_s, at_s) is was_away
    assert not one._was_away(B, since_s, at_s)


@pytest.mark.parametrize("is_device", [True, False])
def test_who_sent_of_late_is_here(is_device: bool) -> None:
    """Within two minutes; who never did is not."""
    table = {A: Entry(A, "eth0", 0.0, 1000.0)}
    one = Topology(table, {}) if is_device else Topology({}, table)

    assert one._is_present(A, 1000.0 + PRESENT_S)
    assert not one._is_present(A, 1001.0 + PRESENT_S)
    assert not one._is_present(B, 1000.0)


@pytest.mark.parametrize("present", [True, False])
def test_who_was_absent_before_a_restart_is_absent_after_it(present: bool) -> None:
    """Nothing is published of it until that changes."""
    one = known(mac(1))
    one._devices[mac(1)].changed = True
    (device,) = report(one, 20)
    after = inventory()

    after.restore(device.model_copy(update={"present": present}))

    assert after._devices[mac(1)].present is present
    assert report(after, 21) == []


def test_of_who_left_nothing_is_remembered() -> None:
    """Its address is free, it is no router, and its topic is taken back."""
    one = known(mac(1), mac(2))
    one.learn(Sighting(mac(1), 12, "eth0", ips=(IP,)))
    one.learn(Sighting(mac(1), 12, "eth0", asks="192.0.2.99"))
    one._routers.restore(mac(1), 12.0)
    one._denials.tries(mac(2), (), "192.0.2.98", 12.0)
    one._denials.claims(mac(1), (), "192.0.2.98", 12.1, None)

    one._left(one._devices[mac(1)])

    assert one._addresses.holder((), IP) is None
    assert not one._routers.is_shown(mac(1), 13.0)
    assert one._asking.of(mac(1), 13.0) is None
    assert one._denials.of(mac(1), 13.0) is None
    assert not one._topology.answering._speaks.get(mac(1))
    del one._devices[mac(1)]
    assert [said.id for said in one.publish(13.0) if isinstance(said, Tombstone)] == [
        mac(1).hex()]  # fmt: skip


def test_who_is_in_a_hurry_takes_the_room_of_a_turn() -> None:
    """As many as a turn has, and the others wait for the next ones."""
    many = PUBLISH_AT_ONCE + 20
    macs = [mac(number) for number in range(1, many + 1)]
    one = known(*macs)
    for number, address in enumerate(macs):
        one._devices[address].changed, one._devices[address].published_s = True, -1e9
        if number % 2:
            one._feed.hurry(address)

    first, second = report(one, 12), report(one, 13)

    assert (len(first), len(second)) == (PUBLISH_AT_ONCE, 20)
    assert [device.mac for device in first[: many // 2]] == [one.hex(":") for one in macs[1::2]]
    assert len({device.mac for device in (*first, *second)}) == many
