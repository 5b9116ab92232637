"""Who is in the inventory when somebody fills it: by what a MAC has shown of itself."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_capture.inventory.admission import (
    LASTS,
    MAX_CANDIDATES,
    TALKS,
    Admission,
    Entry,
    Standing,
)
from monitorpi_capture.inventory.devices import Inventory
from monitorpi_capture.inventory.suspects import BURST, Suspects
from monitorpi_capture.items import (
    COLUMN,
    PACKETS,
    WIDTH,
    Instant,
    MacCounts,
    Sighting,
    WindowCounts,
)
from monitorpi_common.messages import Device, Publication, Tombstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FULL = 4096
KNOWN = [b"\x04\0\0\0\1" + bytes([number]) for number in range(20)]
OUT = KNOWN[10:]
ROUTER = KNOWN[0]
NEWCOMER = b"\x06\0\0\0\0\x01"


def forged(number: int) -> bytes:
    """Return a made-up address."""
    return b"\x02" + number.to_bytes(5, "big")


def row(mac: bytes, *, talks: bool = False) -> MacCounts:
    """Return a row of one ARP frame, or of some IP packets both ways."""
    tx = [0] * WIDTH
    tx[PACKETS] = 1
    tx[COLUMN["ipv4" if talks else "arp"]] = 1
    return MacCounts(mac, tx, tx if talks else ())


def window(at_s: float, rows: Sequence[MacCounts]) -> WindowCounts:
    """Return the window that ends at this time."""
    moment = Instant(at_s, None)
    return WindowCounts("eth0", "file", moment, moment, 1.0, [0] * WIDTH, rows)


class Lan:
    """An inventory, a clock, and what was said."""

    def __init__(self, **options: Any) -> None:
        self.inventory = Inventory(**({"max_devices": FULL, "absent_after_s": 300.0} | options))
        self.at_s = 1000.0
        self.devices: dict[str, Device] = {}
        self.names = {mac: f"device-{mac[-1]}" for mac in KNOWN}

    def second(self, talking: Iterable[bytes] = (), claiming: Iterable[bytes] = ()) -> None:
        """Let a second pass in which some talk, and some claim an address by ARP."""
        self.at_s += 1.0
        claiming = list(claiming)
        for mac in claiming[:200]:
            ip = f"10.{mac[3] % 100}.{mac[4]}.{mac[5] % 254 + 1}"
            self.inventory.learn(Sighting(mac, self.at_s, "eth0", ips=(ip,)))
        rows = [row(mac, talks=True) for mac in talking] + [row(mac) for mac in claiming]
        self.inventory.count(window(self.at_s, rows))
        self.tell()

    def tell(self) -> None:
        """Take the messages that are due."""
        for said in self.inventory.publish(self.at_s):
            if isinstance(said, Publication) and isinstance(said.message, Device):
                self.devices[said.id] = said.message
            elif isinstance(said, Tombstone):
                self.devices.pop(said.id, None)

    def live(self, seconds: int) -> None:
        """Let the household talk, all twenty of it, with names."""
        for number, mac in enumerate(KNOWN, 1):
            sighting = Sighting(
                mac, self.at_s, "eth0", ips=(f"192.168.1.{number}",), hostname=self.names[mac]
            )
            self.inventory.learn(sighting)
        for _ in range(seconds):
            self.second(KNOWN)

    def message(self, mac: bytes) -> Device | None:
        """Return what is published of a MAC."""
        return self.devices.get(mac.hex())


def at_rate(macs: int, per_second: int, seconds: int) -> Iterator[list[bytes]]:
    """Yield the senders of each second, of so many addresses in turns."""
    number = 0
    for _ in range(seconds):
        yield [forged((number + one) % macs) for one in range(per_second)]
        number += per_second


FILLINGS = {
    "60/s": (4400, 60, 200),
    "180/s": (4400, 180, 90),
    "500/s": (4400, 500, 60),
    "14/s for five minutes": (4400, 14, 315),
    "14/s, back after ten seconds": (140, 14, 300),
    "a million": (1_000_000, 4000, 60),
}


@pytest.fixture(params=FILLINGS, name="filled")
def _filled(request: pytest.FixtureRequest) -> Lan:
    lan = Lan()
    lan.live(40)
    for senders in at_rate(*FILLINGS[request.param]):
        lan.second(KNOWN[:10], senders)
    return lan


def test_known_devices_keep_their_entries_and_forged_ones_leave(filled: Lan) -> None:
    """Ten that are out keep name and first time; within six minutes the forged ones are gone."""
    first = {mac: filled.message(mac) for mac in KNOWN}
    for _ in range(360):
        filled.second(KNOWN[:10])

    for mac in KNOWN:
        device, before = filled.message(mac), first[mac]
        assert device is not None
        assert before is not None
        assert device.hostname == filled.names[mac]
        assert device.first_seen == before.first_seen
        assert device.first_seen.timestamp() < 1010
    assert len(filled.inventory) <= 20 + 64
    assert len(filled.devices) == len(filled.inventory)


def test_a_newcomer_that_talks_gets_in_while_it_lasts() -> None:
    """A new device that speaks with others has a place though all are taken and renewed."""
    lan = Lan()
    lan.live(20)
    for senders in at_rate(4400, 400, 40):
        lan.second(KNOWN[:10], senders)
    full = len(lan.inventory)
    for senders in at_rate(4400, 400, 15):
        lan.second([*KNOWN[:10], NEWCOMER], senders)

    assert full == FULL
    assert lan.message(NEWCOMER) is not None
    assert lan.inventory.refused_total > 0


def test_who_answers_our_pings_gets_in_and_never_leaves() -> None:
    """The prober's word opens the door, whatever else is known."""
    lan = Lan()
    for senders in at_rate(4400, 400, 40):
        lan.second((), senders)
    lan.inventory.pin(NEWCOMER)
    for senders in at_rate(4400, 400, 15):
        lan.second((), [*senders, NEWCOMER])

    assert lan.message(NEWCOMER) is not None


DEEDS: dict[str, dict[str, Any]] = {
    "claim": {"ips": ("192.168.1.1",)},
    "dhcp": {"how": "dhcp", "serves_dhcp": True},
    "router": {"how": "ra", "is_router": True},
}


def test_who_must_be_looked_at_is_published_at_once(filled: Lan) -> None:
    """A first frame is enough: a claim of the router's address, an offer, an advertisement."""
    at_s = filled.at_s = filled.at_s + 1.0
    filled.inventory.count(window(at_s, [row(mac, talks=True) for mac in KNOWN[:10]]))
    filled.inventory.learn(Sighting(ROUTER, at_s, "eth0", ips=("192.168.1.1",)))
    for number, report in enumerate(DEEDS.values()):
        mac = NEWCOMER[:5] + bytes([number])
        filled.inventory.learn(Sighting(mac, at_s, "eth0", **report))
    filled.tell()

    devices = [filled.message(NEWCOMER[:5] + bytes([number])) for number in range(3)]
    assert None not in devices
    assert [device and device.dhcp_server for device in devices] == [False, True, False]


def test_a_flood_of_claims_makes_no_flood_of_messages() -> None:
    """Each of thousands of forged addresses claims the router's: few are published, all counted."""
    lan = Lan()
    lan.live(20)
    for second in range(20):
        lan.at_s += 1.0
        lan.inventory.learn(Sighting(ROUTER, lan.at_s, "eth0", ips=("192.168.1.1",)))
        for number in range(180):
            mac = forged(180 * second + number)
            lan.inventory.learn(Sighting(mac, lan.at_s, "eth0", ips=("192.168.1.1",)))
        lan.tell()
    # the rogue DHCP server among them has its own kind of place
    lan.inventory.learn(Sighting(NEWCOMER, lan.at_s, "eth0", "dhcp", serves_dhcp=True))
    lan.tell()

    assert len(lan.devices) <= 20 + 32 + 1
    assert lan.message(NEWCOMER) is not None
    assert lan.inventory.refused_total > 3000


def test_an_inventory_of_talkers_takes_no_passer_by_but_who_answers_pings() -> None:
    """What the docs say: thousands that hold conversations are devices for all we see."""
    lan = Lan(max_devices=64)
    talkers = [forged(number) for number in range(64)]
    for _ in range(14):
        lan.second(talkers)
    for _ in range(14):
        lan.second(talkers, [NEWCOMER])
    before = lan.message(NEWCOMER)
    lan.inventory.pin(NEWCOMER)
    for _ in range(6):
        lan.second(talkers, [NEWCOMER])

    assert before is None
    assert lan.message(NEWCOMER) is not None
    assert lan.inventory.refused_total == 1


def test_passing_devices_of_an_ordinary_lan_are_kept() -> None:
    """Few that only ever sent some frames stay for their week: nobody needs their place."""
    lan = Lan()
    visitors = [forged(number) for number in range(40)]
    for _ in range(12):
        lan.second(KNOWN, visitors)
    for _ in range(400):
        lan.second(KNOWN)

    assert all(lan.message(mac) is not None for mac in visitors)


def test_a_candidate_that_keeps_talking_outlasts_a_flood_of_random_addresses() -> None:
    """Ten seconds of four thousand new addresses each: a real newcomer becomes a device."""
    lan = Lan()
    numbers = count(1)
    for _ in range(14):
        noise = [forged(next(numbers)) for _ in range(4000)]
        lan.second([NEWCOMER], noise)

    assert lan.message(NEWCOMER) is not None
    assert lan.inventory.candidates <= MAX_CANDIDATES
    assert MAX_CANDIDATES == 8192


def test_standing_comes_from_what_was_shown() -> None:
    """Minutes, then talk, then answers to our pings; each opens the next step."""
    table = Admission(max_devices=8)
    entry = table.candidate(NEWCOMER, "eth0", 0.0)
    steps = [table.standing(entry)]
    for minute in range(LASTS):
        table.observe(entry, row(NEWCOMER), 60.0 * minute)
    steps.append(table.standing(entry))
    for second in range(TALKS):
        table.observe(entry, row(NEWCOMER, talks=True), 600.0 + second)
    steps.append(table.standing(entry))
    table.pin(NEWCOMER)
    steps.append(table.standing(entry))

    assert steps == list(Standing)
    assert (LASTS, TALKS) == (5, 3)


def test_places_of_suspects_are_few_and_let_go() -> None:
    """Thirty-two of a kind; the oldest makes room; after ten minutes nobody is one."""
    suspects = Suspects(FULL)
    let_in = [
        suspects.add(forged(number), "claim", float(number), is_device=False) is not None
        for number in range(50)
    ]
    burst = sum(
        suspects.add(forged(1000 + number), "dhcp", 50.0, is_device=False) is not None
        for number in range(200)
    )
    held = len(suspects)
    suspects.expire(1000.0)

    assert all(let_in)
    assert burst == BURST
    assert held == 32 + BURST
    assert len(suspects) == 0
    assert BURST == 16.0


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["send", "talk", "pin", "dhcp", "claim", "expire"]),
        st.integers(0, 30),
        st.integers(0, 90),
    ),
    max_size=150,
)


@given(ACTIONS, st.integers(1, 12))
def test_whatever_happens_it_is_bounded_and_kept_ones_stay(
    actions: list[tuple[str, int, int]], most: int
) -> None:
    """Never more devices than allowed, each in one group, who is configured never gone."""
    gone: list[bytes] = []
    table = Admission(max_devices=most, pinned=[forged(0)], left=lambda one: gone.append(one.mac))
    at_s = 0.0
    for action, number, pause in actions:
        at_s += pause
        mac = forged(number)
        entry = table.devices.get(mac) or table.candidate(mac, "eth0", at_s)
        entry.last_s = at_s
        match action:
            case "talk":
                table.observe(entry, row(mac, talks=True), at_s)
            case "pin":
                table.pin(mac)
            case "dhcp" | "claim":
                table.look_at(entry, "dhcp" if action == "dhcp" else "claim", at_s)
            case "expire":
                table.expire(at_s)

        assert len(table.devices) <= most
        assert sorted(mac for group in table._by for mac in group) == sorted(table.devices)
        assert not table.devices.keys() & table.candidates.keys()
        assert table.devices.keys() >= set(table.by_importance()) - {forged(0)}
    assert forged(0) not in gone


def test_who_answers_pings_is_kept_up_to_a_number() -> None:
    """The one that answered longest ago makes room; who answers again stays."""
    table = Admission(max_devices=10)
    first, second = (Entry(mac, "eth0", 0.0, 100.0) for mac in KNOWN[:2])
    for entry in (first, second):
        assert table.restore(entry, lasting=False, talking=False)
        table.pin(entry.mac)
    for number in range(4094):
        table.pin(forged(number))
    table.pin(first.mac)
    assert {table.standing(entry) for entry in (first, second)} == {Standing.KEPT}

    table.pin(forged(4094))

    assert [table.standing(entry) for entry in (first, second)] == [
        Standing.KEPT, Standing.UNPROVEN]  # fmt: skip
