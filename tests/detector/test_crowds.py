"""Nobody hides in a crowd: what windows omit is judged, full tables keep whom they know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detector.windows import (
    ATTACKER,
    ID,
    VICTIM,
    Detector,
    device,
    echoes,
    plain,
    syns,
    window,
)

from monitorpi_common.messages import DeviceWindow, Omitted, Traffic
from monitorpi_detector.alerts.raising import MAX_TRIGGERS
from monitorpi_detector.bounded import RESIDENT_S, Bounded

WIRE = "wire-eth0"
BUSY = [plain(f"04:00:00:00:01:{n:02x}", packets=50, bytes=5000, tcp=50, ipv4=50) for n in range(5)]


def crowded(second: int, *rows: DeviceWindow, devices: int = 4000, **classes: int) -> Traffic:
    """Build a window that omits so many devices, and what they sent."""
    one = window(second, *BUSY, *rows)
    counts = dict(one.counts)
    for name, count in classes.items():
        counts[name] = counts.get(name, 0) + count
    packets = max(classes.values(), default=0)
    omitted = Omitted(devices=devices, packets=packets, bytes=60 * packets, classes=classes)
    return one.model_copy(
        update={"omitted": omitted, "counts": counts, "packets": one.packets + packets}
    )


def subjects(detector: Detector, rule: str) -> set[str]:
    """Return whom a rule has raised an alert on."""
    return {alert.subject for alert in detector.alerts if alert.rule == rule}


@pytest.mark.parametrize(
    ("rule", "classes"),
    [
        ("syn-flood", {"syn": 600, "tcp": 600, "ipv4": 600}),
        ("icmp-flood", {"icmp_echo": 300, "icmp": 300, "ipv4": 300}),
        ("arp-storm", {"arp": 1000, "broadcast": 1000}),
        ("igmp-storm", {"igmp": 500, "multicast": 500}),
    ],
)
def test_a_flood_that_nobody_listed_sent_is_reported_on_the_wire(
    rule: str, classes: dict[str, int]
) -> None:
    """Devices are listed, but the flood is among what is omitted: it is told all the same."""
    detector = Detector()
    for second in range(4):
        detector.take(crowded(second, **classes))

    assert subjects(detector, rule) == {WIRE}


@pytest.mark.parametrize(
    ("rule", "classes"),
    [
        ("syn-flood", {"syn": 250, "tcp": 250, "ipv4": 250}),
        ("icmp-flood", {"icmp_echo": 120, "icmp": 120, "ipv4": 120}),
        ("dhcp-starvation", {"dhcp": 70, "udp": 70, "ipv4": 70}),
    ],
)
def test_few_that_are_omitted_need_only_the_floor(rule: str, classes: dict[str, int]) -> None:
    """Where each sends several frames a second no clients do: the floor stands as it is."""
    detector = Detector()
    for second in range(4):
        detector.take(crowded(second, devices=3, **classes))

    assert subjects(detector, rule) == {WIRE}


def test_many_that_are_omitted_and_do_a_little_each_are_no_flood() -> None:
    """A large LAN lists its busiest devices only; the others together make some frames too."""
    detector = Detector()
    for second in range(30):
        detector.take(
            crowded(
                second, devices=900, syn=180, tcp=3000, ipv4=3300, arp=200, broadcast=250,
                icmp=60, icmp_echo=50, dhcp=20, igmp=60,
            )
        )  # fmt: skip

    assert detector.alerts == []


def test_a_flood_is_named_as_soon_as_its_row_exists_and_told_once() -> None:
    """The alert on the wire gives way to the one that names a MAC."""
    detector = Detector()
    for second in range(3):
        detector.take(crowded(second, syn=600, tcp=600, ipv4=600))
    for second in range(3, 6):
        detector.take(crowded(second, syns(600)))

    still_open = {a.subject for a in detector.open().values() if a.rule == "syn-flood"}
    assert still_open == {ATTACKER.replace(":", "")}
    assert subjects(detector, "syn-flood") == {WIRE, ATTACKER.replace(":", "")}


def test_what_is_omitted_is_not_told_beside_a_named_flood() -> None:
    """While a MAC is named the rest of the same flood needs no alert of its own."""
    detector = Detector()
    for second in range(6):
        detector.take(crowded(second, echoes(500), icmp=400, icmp_echo=400, ipv4=400))

    assert subjects(detector, "icmp-flood") == {ATTACKER.replace(":", "")}


# --- triggers ---------------------------------------------------------------------------------


def many(second: int, count: int) -> list[DeviceWindow]:
    """Return rows of senders over the floor of ARP, none of them twice."""
    return [
        plain(f"06:{second:02x}:00:00:{n >> 8:02x}:{n & 255:02x}", packets=120, bytes=7200, arp=120)
        for n in range(count)
    ]


def test_m_of_n_goes_on_when_thousands_hold_triggers() -> None:
    """Ever new subjects push out the longest untouched, not the newcomer."""
    detector = Detector()
    for second in range(5):
        detector.take(window(second, *many(second, 2100)))
    for second in range(5, 9):
        detector.take(window(second, syns(120)))

    assert "syn-flood" in {alert.rule for alert in detector.open().values()}
    assert len(detector.core._alerts._triggers) <= MAX_TRIGGERS


def test_m_of_n_goes_on_beside_a_hundred_others() -> None:
    """What was over the limit once is remembered from window to window, then for a minute."""
    detector = Detector()
    for second in range(2):
        detector.take(window(second, syns(120), *many(second, 100)))
    opened = set(detector.open())
    for second in range(2, 70):
        detector.take(window(second))

    assert f"syn-flood-{ID}" in opened
    assert len(detector.core._alerts._triggers) == 0


def test_findings_below_the_threshold_leave_no_trigger() -> None:
    """What could not raise later takes no place."""
    detector = Detector()
    for second in range(3):
        rows = [plain(f"06:00:00:00:00:{n:02x}", packets=60, bytes=60, arp=60) for n in range(200)]
        detector.take(window(second, *rows))

    assert len(detector.core._alerts._triggers) == 0


def test_an_interface_that_is_lost_takes_only_its_own_triggers() -> None:
    """Two weak windows on one interface raise, though another one began a new epoch in between."""
    detector = Detector()
    detector.take(window(0, syns(120, VICTIM), interface="eth1", epoch="a"))
    detector.take(window(0, syns(120)))
    detector.take(window(1, interface="eth1", epoch="b"))
    detector.take(window(1, syns(120)))

    assert {alert.subject for alert in detector.open().values()} == {ATTACKER.replace(":", "")}


# --- tables -----------------------------------------------------------------------------------


def test_a_newcomer_that_keeps_talking_finds_a_place_in_a_flood() -> None:
    """Thousands that speak once push out their own kind only."""
    table: Bounded[str] = Bounded(64)
    for n in range(56):
        table.put(f"resident {n}", "x", 0.0)
        table.put(f"resident {n}", "x", RESIDENT_S)
    for second in range(100, 200):
        table.put("newcomer", "x", second)
        for n in range(7):
            table.put(f"stranger {second} {n}", "x", second)

    assert "newcomer" in table
    assert all(f"resident {n}" in table for n in range(56))
    assert len(table) <= 64


def test_a_resident_leaves_when_it_was_silent_for_long() -> None:
    """A full table of residents lets one stale one go for each newcomer that stays."""
    table: Bounded[int] = Bounded(2, stale_s=100)
    table.restore("a", 1, 0.0)
    assert table.put("b", 2, 0.0)
    assert table.put("b", 2, 60.0)

    kept = dict(table.items())
    table.put("b", 3, 101.0)

    assert kept == {"a": 1, "b": 2}
    assert dict(table.items()) == {"b": 3}


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 120)), max_size=120), st.integers(1, 9)
)
def test_a_table_is_bounded_and_never_loses_a_fresh_resident(
    touches: list[tuple[int, int]], limit: int
) -> None:
    """Whatever comes in whatever order: the limit holds, residents stay while they are fresh."""
    table: Bounded[int] = Bounded(limit, stale_s=300)
    now_s = 0.0
    last: dict[str, float] = {}
    residents: set[str] = set()
    for number, pause in touches:
        now_s += pause
        name = str(number)
        if table.put(name, number, now_s):
            last[name] = now_s
        residents = {one for one in residents if now_s - last[one] < 300}

        assert len(table) <= limit
        assert residents <= set(table._residents)
        residents |= set(table._residents)
        assert table.get(name) in (None, number)


def test_known_devices_are_not_new_again_after_thousands_of_invented_ones() -> None:
    """An hour of forged devices does not make the household new."""
    detector = Detector(learning_s=600.0)
    known = [f"04:00:00:00:02:{n:02x}" for n in range(20)]
    for minute in range(30):
        detector.take(window(60 * minute))
        for mac in known:
            detector.take(device(mac, 60 * minute))
    before = len(detector.alerts)
    for n in range(20_000):
        if n % 300 == 0:
            detector.take(window(1_800 + n // 5))
        forged = f"06:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"
        if n % 300 == 0:
            detector.take(window(1_800 + n // 5))
        detector.take(device(forged, 1_800 + n * 0.2))
    opened = {alert.subject for alert in detector.alerts[before:]}
    for mac in known:
        detector.take(device(mac, 6_000))

    assert opened
    assert not {mac.replace(":", "") for mac in known} & {a.subject for a in detector.alerts}
