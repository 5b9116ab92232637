"""What an inventory learns of one MAC from what it, or another one, says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.capture.inventories import inventory, known, report
from tests.capture.windows import mac

from monitorpi_capture.inventory.denials import DENIES_FROM
from monitorpi_capture.items import Sighting

if TYPE_CHECKING:
    from monitorpi_common.messages import Device

IP, OTHER = "192.0.2.7", "192.0.2.8"


def seen(number: int, at_s: float, *, how: str = "arp", **more: object) -> Sighting:
    """Return what a frame says of a MAC."""
    return Sighting(mac(number), at_s, "eth0", how, **more)  # type: ignore[arg-type]


def addresses(*devices: Device) -> dict[str, list[str]]:
    """Return the addresses of devices, by the end of their MACs."""
    return {one.mac[-2:]: one.ips for one in devices}


@pytest.mark.parametrize("sender", [None, mac(1)])
def test_who_gives_an_address_up_has_it_no_more(sender: bytes | None) -> None:
    """By a word of its own, of those that it has."""
    one = known(mac(1))
    one.learn(seen(1, 12, ips=(IP, OTHER)))
    one.learn(seen(1, 13, how="dhcp", sender=sender, ended=(OTHER, "192.0.2.9")))

    assert addresses(*report(one, 20)) == {"01": [IP]}


def test_a_server_gives_addresses_and_takes_them_back() -> None:
    """Of who is named it is what the server says, until the client itself is seen with it."""
    one = known(mac(1), mac(9))
    one.learn(seen(1, 12, how="dhcp", sender=mac(9), named=(IP,)))
    assert addresses(*report(one, 20)) == {"01": [IP]}

    one.learn(seen(1, 21, how="dhcp", sender=mac(9), ended=(IP,)))
    assert addresses(*report(one, 30)) == {"01": []}

    one.learn(seen(1, 31, ips=(IP,)))
    one.learn(seen(1, 32, how="dhcp", sender=mac(9), ended=(IP,)))
    assert addresses(*report(one, 40)) == {"01": [IP]}


def test_what_one_says_of_another_is_a_claim_in_its_name() -> None:
    """It takes an address from its holder, gives nobody a free one, and makes nobody present."""
    one = known(mac(1), mac(2), mac(4))
    one.learn(seen(4, 12, ips=(IP,)))
    one.learn(seen(1, 13, sender=mac(2), ips=(IP, OTHER)))

    assert addresses(*report(one, 20)) == {"01": [IP], "04": []}
    one.learn(seen(3, 21, sender=mac(2), ips=(OTHER,)))
    assert (len(one), one.candidates) == (3, 0)


def test_who_denies_others_their_addresses_is_published_at_once() -> None:
    """It answers whoever is about to take one; with the first of them it may be right."""
    one = known(mac(1), mac(2))
    for number in range(DENIES_FROM):
        ip = f"192.0.2.{100 + number}"
        one.learn(seen(1, 20 + number, tries=ip))
        one.learn(seen(2, 20.1 + number, ips=(ip,)))
        one.learn(seen(3, 20.2 + number, ips=(f"198.18.0.{number}",)))

    denied = {one.mac[-2:]: one.denied for one in report(one, 30)}
    assert (denied["02"], denied.get("01", 0)) == (DENIES_FROM, 0)


def test_a_stranger_that_denies_others_their_addresses_is_looked_at_at_once() -> None:
    """Whoever fills the inventory."""
    one = known(mac(1))
    for number in range(DENIES_FROM):
        ip = f"192.0.2.{100 + number}"
        one.learn(seen(1, 20 + number, tries=ip))
        one.learn(seen(5, 20.1 + number, ips=(ip,)))

    assert one._table.suspects == 1
    assert [device.denied for device in report(one, 24) if device.mac[-2:] == "05"] == [DENIES_FROM]


def test_who_asks_for_many_that_nobody_has_is_published() -> None:
    """With each 25 of them; what is claimed within a second was not in vain."""
    one = known(mac(1), mac(2))
    for number in range(24):
        one.learn(seen(1, 20, asks=f"192.0.2.{number}"))
    assert report(one, 20) == []

    one.learn(seen(1, 20, asks="192.0.2.24"))
    (asker,) = report(one, 20)

    assert (asker.mac[-2:], asker.asked_in_vain) == ("01", 25)


def test_who_only_answers_is_told_from_who_speaks() -> None:
    """An answer comes after a question of somebody else's."""
    one = known(mac(1), mac(2))
    answering = one._topology.answering
    one.learn(seen(1, 20.0, asks=IP))
    one.learn(seen(2, 20.1, ips=(IP,)))
    one.learn(seen(2, 25.0, ips=(OTHER,)))
    one.learn(seen(1, 30.0, asks="192.0.2.9"))
    one.learn(seen(2, 30.1, ips=("192.0.2.9",), asks="192.0.2.1"))

    assert answering.only_answers(mac(2), (), IP)
    assert not answering.only_answers(mac(2), (), OTHER)
    assert not answering.only_answers(mac(2), (), "192.0.2.9")


def test_groups_and_nobody_are_no_device() -> None:
    """Whatever a frame says of them."""
    one = inventory()
    for address in (b"\xff" * 6, b"\x01\x00\x5e\x00\x00\x01", bytes(6)):
        one.learn(Sighting(address, 12, "eth0", ips=(IP,)))

    assert (len(one), one.candidates) == (0, 0)


def test_a_router_of_before_a_restart_is_one_still() -> None:
    """Until it was not shown for a day; what it advertised, and what was named, is known too."""
    before = known(mac(1), mac(2))
    before.learn(seen(1, 12, how="nd", ips=("fe80::1",), is_router=True, vlan=(7,)))
    before.learn(seen(1, 13, ips=("192.0.2.1",)))
    before.learn(seen(2, 14, how="dhcp", sender=mac(9), named=(IP,), router_ips=("192.0.2.1",)))
    [device] = [one for one in report(before, 20, everything=True) if one.mac[-2:] == "01"]
    assert [held.router for held in device.addresses if held.ip == "192.0.2.1"] == [True]

    for role in ("router", "host"):
        after = inventory()
        after.restore(device.model_copy(update={"role": role}))
        [entry] = after._devices.values()

        assert after._routers.is_shown(mac(1), 100.0) is (role == "router")
        assert list(after._routers.advertised(mac(1), 100.0)) == [(7,)]
        assert after._routers.is_named((), "192.0.2.1", 100.0)
        assert not after._routers.is_named((), IP, 100.0)
        assert (entry.role, entry.changed, sorted(entry.ips)) == (
            role, False, ["192.0.2.1", "fe80::1"])  # fmt: skip
