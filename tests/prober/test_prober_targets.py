"""The tables of targets by hand: who is probed, under which name, and who leaves."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common.messages import Device, HeldAddress
from monitorpi_prober import targets as module
from monitorpi_prober.items import KnownAddress, Resolution
from monitorpi_prober.settings import ProberSettings
from monitorpi_prober.targets import (
    Targets,
    is_address,
    is_probeable,
    is_randomised,
    owner,
    target_id,
    watched_addresses,
)

if TYPE_CHECKING:
    from monitorpi_prober.schedule import ProbeTarget

T0 = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
MAC, OTHER, RANDOM = "b8:27:eb:00:00:07", "b8:27:eb:00:00:08", "02:00:00:00:00:09"


def tables(*addresses: str, **settings: Any) -> Targets:
    """Return tables with configured targets."""
    more = {name: settings.pop(name) for name in ("own_macs", "attached", "vendor_of")
            if name in settings}  # fmt: skip
    targets = settings.pop("targets", [{"address": address} for address in addresses])
    return Targets(ProberSettings(targets=targets, **settings), **more)


def device(*ips: str, mac: str = MAC, **more: Any) -> Device:
    """Return an announced device."""
    return Device(mac=mac, ips=list(ips), first_seen=T0, last_seen=T0, present=True, **more)


def found(address: str, mac: str | None = MAC, **more: Any) -> KnownAddress:
    """Return what a sweep has found."""
    return KnownAddress(address, mac, interface=more.pop("interface", "eth0"), **more)


def keys(table: Targets, answering: dict[str, float] | None = None) -> list[str]:
    """Return the keys of the targets, in order."""
    return [one.key for one in table.merged(answering)]


def only(table: Targets) -> ProbeTarget:
    """Return the one target there is."""
    (one,) = table.merged()
    return one


# --- what is announced ----------------------------------------------------------------------------


def test_an_address_that_a_device_has_no_more_is_gone() -> None:
    """Whoever had found it; not one that another device has by now, nor a pinned one."""
    table = tables(pin=["192.0.2.3"])
    assert table.announce(device("192.0.2.1", "192.0.2.2", "192.0.2.3")) == []
    table.discover("eth0", [found("192.0.2.1"), found("192.0.2.9")])

    assert table.announce(device("192.0.2.2")) == ["192-0-2-1"]
    assert sorted(keys(table)) == ["192-0-2-2", "192-0-2-3", "192-0-2-9"]
    assert list(table.announced_by(MAC)) == ["192-0-2-2"]

    table.announce(device("192.0.2.2", mac=OTHER))
    assert table.announce(device("192.0.2.5")) == []
    assert table.announced_by(OTHER)["192-0-2-2"].mac == OTHER  # type: ignore[union-attr]
    assert table.announced_by("nobody") == {}


def test_what_is_no_host_is_no_target() -> None:
    """Groups, all hosts, nobody and ourselves."""
    table = tables()

    table.announce(device("224.0.0.1", "255.255.255.255", "0.0.0.0", "192.0.2.1"))
    table.discover("eth0", [found("ff02::1"), found("::1"), found("192.0.2.2")])

    assert sorted(keys(table)) == ["192-0-2-1", "192-0-2-2"]


def test_a_device_that_is_taken_back_leaves_with_its_addresses() -> None:
    """But for pinned ones, and those that a sweep has found too."""
    table = tables(pin=["192.0.2.3"])
    table.announce(device("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    table.discover("eth0", [found("192.0.2.2")])

    assert table.forget(MAC) == ["192-0-2-1"]
    assert sorted(keys(table)) == ["192-0-2-2", "192-0-2-3"]
    assert table.forget(MAC) == []
    assert table.announced_by(MAC) == {}


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came first leaves first; a name and a count of sweeps go with it."""
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    table = tables()
    for number in range(1, 6):
        mac = f"b8:27:eb:00:00:{number:02x}"
        table.announce(device(f"192.0.2.{number}", mac=mac))
        table.discover("eth0", [found(f"198.51.100.{number}", mac)])
        table.call(f"203.0.113.{number}", "x")

    assert list(table._announced) == ["192-0-2-3", "192-0-2-4", "192-0-2-5"]
    assert list(table._by_device) == [f"b8:27:eb:00:00:0{number}" for number in (3, 4, 5)]
    assert list(table._discovered) == [f"198-51-100-{number}" for number in (3, 4, 5)]
    assert set(table._missed) <= set(table._discovered)
    assert list(table._names) == [f"203.0.113.{number}" for number in (3, 4, 5)]
    table.announce(device("192.0.2.3", mac="b8:27:eb:00:00:03"))
    table.announce(device("192.0.2.6", mac="b8:27:eb:00:00:06"))
    assert "192-0-2-3" in table._announced
    assert module.MAX_KNOWN == 3


def test_eight_thousand_addresses_are_known() -> None:
    """Two for each device that the bus may carry."""
    assert module.MAX_KNOWN == 2 * 4096


# --- what is discovered ---------------------------------------------------------------------------


@pytest.mark.parametrize(("others", "sweeps"), [((), 48), (("192.0.2.2",), 2)])
def test_an_address_that_does_not_answer_leaves(others: tuple[str, ...], sweeps: int) -> None:
    """After a day; after two sweeps where its device answers at another address."""
    table = tables()
    table.discover("eth0", [found("192.0.2.1")])
    seen = [found(one) for one in others]

    for _ in range(sweeps - 1):
        assert table.discover("eth0", seen) == []
        assert table.discover("eth1", []) == []  # another interface sees nothing of it
    assert "192-0-2-1" in keys(table)

    assert table.discover("eth0", seen) == ["192-0-2-1"]
    assert "192-0-2-1" not in keys(table)
    assert "192-0-2-1" not in table._missed


def test_sweeps_in_vain_are_counted_in_a_row() -> None:
    """One answer begins anew; a pinned one stays, an announced one is not gone."""
    table = tables(pin=["192.0.2.3"])
    for _ in range(3):
        table.discover("eth0", [found("192.0.2.1"), found("192.0.2.3", OTHER)])
        for _ in range(47):
            assert table.discover("eth0", []) == []
    assert sorted(keys(table)) == ["192-0-2-1", "192-0-2-3"]
    table.announce(device("192.0.2.1"))

    assert table.discover("eth0", []) == []

    assert "192-0-2-1" not in table._discovered
    assert sorted(keys(table)) == ["192-0-2-1", "192-0-2-3"]


# --- names that resolve ---------------------------------------------------------------------------


def test_a_host_name_is_probed_once_it_resolves() -> None:
    """And keeps its last address where it resolves no more; each state has its words."""
    table = tables("printer.lan")
    assert table.hostnames == ("printer.lan",)
    one = only(table)
    assert (one.key, one.ip, one.cause) == ("printer-lan", None, "no-address")
    assert one.error == "the host name is being resolved"

    table.resolve(Resolution("printer.lan", None, "no such name"))
    assert (only(table).ip, only(table).error) == (None, "no such name")
    table.resolve(Resolution("printer.lan", "192.0.2.1"))
    one = only(table)
    assert (one.key, one.address, one.ip) == ("192-0-2-1", "printer.lan", "192.0.2.1")
    assert (one.error, one.cause, one.origin, one.name) == (None, None, "configured", "printer.lan")
    table.resolve(Resolution("printer.lan", None, "no such name"))
    assert only(table).ip == "192.0.2.1"
    table.resolve(Resolution("printer.lan", "192.0.2.2"))
    assert only(table).ip == "192.0.2.2"


def test_the_addresses_of_a_name_have_their_turns() -> None:
    """Round and round; other addresses begin with the first; the key stays that of the first."""
    table = tables("printer.lan")
    assert not table.turn("printer.lan")
    table.resolve(Resolution("printer.lan", "192.0.2.1"))
    assert not table.turn("printer.lan")
    both = Resolution("printer.lan", "192.0.2.1", None, ("192.0.2.2", "192.0.2.3"))
    table.resolve(both)

    shown = [only(table).ip]
    for _ in range(4):
        assert table.turn("printer.lan")
        shown.append(only(table).ip)
    assert shown == [f"192.0.2.{number}" for number in (1, 2, 3, 1, 2)]
    assert only(table).key == "192-0-2-1"
    table.resolve(both)
    assert only(table).ip == "192.0.2.2"

    table.resolve(Resolution("printer.lan", "192.0.2.1", None, ("192.0.2.3",)))
    assert only(table).ip == "192.0.2.1"


def test_two_configured_targets_of_one_address_are_probed_once() -> None:
    """The second says so, by the name of the first."""
    table = tables(targets=[{"address": "192.0.2.1", "name": "router"}, {"address": "printer.lan"}])
    table.resolve(Resolution("printer.lan", "192.0.2.1"))

    first, second = table.merged()

    assert (first.key, first.name, first.ip, first.cause) == ("192-0-2-1", "router", "192.0.2.1",
                                                              None)  # fmt: skip
    assert (second.key, second.ip, second.cause) == ("192-0-2-1-1", None, "duplicate")
    assert (second.origin, second.address) == ("configured", "printer.lan")
    assert second.error == "not probed twice: it is the same target as router"


def test_a_configured_target_knows_what_was_seen_of_it() -> None:
    """MAC and vendor; what the configuration says wins."""
    vendor_of = {MAC: "by registry", OTHER: "other"}.get
    targets = [{"address": "192.0.2.1", "interval_s": 60},
               {"address": "192.0.2.2", "mac": OTHER}, {"address": "192.0.2.3"}]  # fmt: skip
    table = tables(targets=targets, vendor_of=vendor_of)
    table.announce(device("192.0.2.1", vendor="announced"))
    table.discover("eth0", [found("192.0.2.2")])

    shown = [(one.mac, one.vendor, one.interval_s) for one in table.merged()]

    assert shown == [(MAC, "announced", 60), (OTHER, "other", None), (None, None, None)]


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "called", "name"),
    [
        (found("192.0.2.1", hostname="by-dhcp"), "by-dns", "by-dhcp"),
        (found("192.0.2.1"), "by-dns", "by-dns"),
        (found("192.0.2.1", vendor="Maker"), None, "Maker 00:00:07"),
        (found("192.0.2.1"), None, "Registry 00:00:07"),
        (found("192.0.2.1", "b8:27:eb:ab:cd:ef"), None, "192.0.2.1"),
        (found("192.0.2.1", RANDOM), None, "private address 00:00:09"),
        (found("192.0.2.1", None), None, "192.0.2.1"),
        (found("192.0.2.1", hostname="n" * 300), None, "n" * 255),
    ],
)
def test_what_a_target_is_called(seen: KnownAddress, called: str | None, name: str) -> None:
    """Its own name, that of DNS, its maker's with the end of its MAC, else its address."""
    table = tables(vendor_of=lambda mac: {MAC: "Registry"}.get(mac.lower()))  # never of none
    table.discover("eth0", [seen])
    if called:
        table.call("192.0.2.1", called)

    assert only(table).name == name


def test_who_has_no_name_is_looked_up() -> None:
    """Not whom anybody named, nor whom we leave alone, nor who is far away."""
    table = tables(
        targets=[{"address": "192.0.2.1", "name": "x"}, {"address": "192.0.2.2"}],
        ignore=["192.0.2.3", OTHER],
    )  # fmt: skip
    table.announce(device("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"))
    table.announce(device("192.0.2.5", mac=OTHER))
    table.discover("eth0", [found("192.0.2.6", hostname="h"), found("192.0.2.7"), found("8.8.8.8")])
    table.call("192.0.2.7", "by-dns")

    assert sorted(table.nameless()) == ["192.0.2.2", "192.0.2.4"]
    assert table.ignores("192.0.2.3", None)
    assert table.ignores("192.0.2.99", OTHER)
    assert not table.ignores("192.0.2.99", MAC)


def test_a_link_local_address_is_asked_at_its_interface() -> None:
    """It means nothing without; an IPv4 one needs none."""
    table = tables()
    table.discover("eth0", [found("fe80::1"), found("169.254.1.1"), found("fd00::1")])
    table.discover("eth1", [found("fe80::2", interface=None)])

    assert {one.address: one.ip for one in table.merged()} == {
        "fe80::1": "fe80::1%eth0", "169.254.1.1": "169.254.1.1", "fd00::1": "fd00::1",
        "fe80::2": "fe80::2",
    }  # fmt: skip


# --- who is probed --------------------------------------------------------------------------------


def test_the_strongest_claims_come_first() -> None:
    """Configured, pinned, those that answer for longest, then what was seen last."""
    table = tables("192.0.2.9", pin=["192.0.2.1"], max_targets=5)
    for number in range(1, 8):
        table.announce(device(f"192.0.2.{number}", mac=f"b8:27:eb:00:00:{number:02x}"))

    assert keys(table, {"192-0-2-3": 200.0, "192-0-2-2": 300.0}) == [
        f"192-0-2-{number}" for number in (9, 1, 3, 2, 7)
    ]
    assert table.omitted == 3
    origins = [one.origin for one in table.merged()]
    assert origins[:3] == ["configured", "pinned", "announced"]
    table.settings = ProberSettings(targets=[], max_targets=7)
    table.merged()
    assert table.omitted == 0


def test_where_a_target_comes_from() -> None:
    """Announced ones may be left out; what both know is announced."""
    table = tables()
    table.announce(device("192.0.2.1", "192.0.2.2"))
    table.discover("eth0", [found("192.0.2.2"), found("192.0.2.3")])
    assert {one.key[-1]: one.origin for one in table.merged()} == {
        "1": "announced", "2": "announced", "3": "discovered"}  # fmt: skip

    table.settings = ProberSettings(announced=False)

    assert sorted(keys(table)) == ["192-0-2-2", "192-0-2-3"]


def test_this_machine_and_public_addresses_are_left_alone() -> None:
    """Unless somebody pinned them, or we are attached to their subnet; far ones are counted."""
    net = ipaddress.ip_network("8.8.8.0/24")
    for pin, attached, shown, far in (
        ([], [], ["192-0-2-1"], 2),
        ([], [net], ["192-0-2-1", "8-8-8-8"], 1),
        (["8.8.4.4"], [], ["192-0-2-1", "8-8-4-4"], 1),
        ([OTHER], [], ["192-0-2-1", "192-0-2-2"], 2),
    ):
        table = tables(pin=pin, own_macs=frozenset({OTHER}), attached=lambda nets=attached: nets)
        table.announce(device("192.0.2.1", "8.8.8.8", "8.8.4.4"))
        table.announce(device("192.0.2.2", mac=OTHER))
        assert sorted(keys(table)) == shown
        assert table.far == far
        assert keys(table)
        assert table.far == far


def test_temporary_addresses_only_where_there_are_no_others() -> None:
    """Then the one that was claimed last."""

    def held(ip: str, minutes: int, *, temporary: bool) -> HeldAddress:
        at = T0 + timedelta(minutes=minutes)
        return HeldAddress(ip=ip, since=at, claimed_at=at, temporary=temporary)

    one, two = held("fd00::1", 1, temporary=True), held("fd00::2", 2, temporary=True)
    lasting = held("fd00::3", 0, temporary=False)

    assert watched_addresses(device("fd00::1", "fd00::3", addresses=[one, lasting])) == ["fd00::3"]
    assert watched_addresses(device("fd00::2", "fd00::1", addresses=[two, one])) == ["fd00::2"]
    assert watched_addresses(device("fd00::1")) == ["fd00::1"]
    assert watched_addresses(device()) == []


@pytest.mark.parametrize(
    ("address", "is_one", "is_probed"),
    [
        ("192.0.2.1", True, True), ("fe80::1", True, True), ("printer.lan", False, False),
        ("224.0.0.1", True, False), ("ff02::1", True, False), ("0.0.0.0", True, False),
        ("::", True, False), ("127.0.0.1", True, False), ("::1", True, False),
        ("255.255.255.255", True, False), ("240.0.0.1", True, True),
    ],
)  # fmt: skip
def test_what_one_host_answers_at(address: str, is_one: bool, is_probed: bool) -> None:
    """Groups, all hosts, nobody and loopback are none."""
    assert (is_address(address), is_probeable(address)) == (is_one, is_probed)


@pytest.mark.parametrize(
    ("mac", "made_up"),
    [("02:00:00:00:00:00", True), ("fe:00:00:00:00:00", True), ("fd:00:00:00:00:00", False),
     ("01:00:00:00:00:00", False), ("b8:27:eb:00:00:00", False)],
)  # fmt: skip
def test_whether_a_mac_was_made_up(mac: str, made_up: bool) -> None:
    """By the second lowest bit of its first octet."""
    assert is_randomised(mac) is made_up


def test_ids_and_owners() -> None:
    """Of addresses by their interface, of names by their letters; the shares are even."""
    assert target_id("192.0.2.1") == "192-0-2-1"
    assert target_id("fe80::1", "eth0").endswith("-eth0")
    assert target_id("Printer.lan") == "printer-lan"
    shares = [owner(str(number), "abc") for number in range(3000)]
    assert all(900 < shares.count(name) < 1100 for name in "abc")
