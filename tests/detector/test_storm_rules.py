"""Storms, surges and floods of addresses."""

from __future__ import annotations

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    VICTIM,
    Detector,
    answer,
    echoes,
    plain,
    probe,
    repeated,
    rules_of,
    syns,
    window,
)

from monitorpi_common.messages import (
    DeviceWindow,
    Silence,
    Traffic,
)
from monitorpi_common.service import CommandReceived


@pytest.mark.parametrize(
    ("counts", "key"),
    [
        ({"arp": 400, "broadcast": 400}, f"arp-storm-{ID}"),
        ({"broadcast": 900, "udp": 900}, f"broadcast-storm-{ID}"),
        ({"igmp": 200, "multicast": 200}, f"igmp-storm-{ID}"),
        ({"dhcp": 200, "broadcast": 200, "udp": 200}, f"dhcp-starvation-{ID}"),
        ({"dns": 3000, "udp": 3000}, f"surge-dns-{ID}"),
        ({"malformed": 1000}, f"surge-malformed-{ID}"),
    ],
)
def test_a_storm_is_called_by_its_kind(counts: dict[str, int], key: str) -> None:
    """Frames of one kind without end open the rule of that kind, and only that."""
    sender = plain(ATTACKER, packets=max(counts.values()), **counts)

    assert rules_of(*repeated(3, sender)) == [key]


def test_dhcp_from_invented_macs_is_told_of_the_wire() -> None:
    """A request from a MAC of its own each is starvation by nobody in particular."""
    rows = [plain(f"04:00:00:00:08:{n:02x}", packets=1, dhcp=1, broadcast=1) for n in range(200)]
    total = {"dhcp": 1000, "broadcast": 1000, "udp": 1000}
    windows = [window(n, *rows, counts=total, new_macs=1000) for n in range(20, 23)]

    assert "dhcp-starvation-wire-eth0" in rules_of(window(0), *windows)


def test_who_answers_arp_is_no_storm() -> None:
    """A device that answers as often as it is asked makes no storm."""
    asked = plain(VICTIM, rx={"arp": 400, "packets": 400}, arp=400, packets=400)

    assert rules_of(*repeated(5, asked, counts={"arp": 50})) == []


@pytest.mark.parametrize(("others", "keys"), [(250, []), (60, [f"arp-storm-{ID}"])])
def test_who_answers_what_everybody_was_asked_is_no_storm(others: int, keys: list[str]) -> None:
    """A switch comes back, and each host asks for the router; answers to nobody are a storm."""
    router = plain(ATTACKER, packets=250, arp=250)
    asked = {"arp": 250 + others, "broadcast": others}

    assert rules_of(*repeated(5, router, counts=asked)) == keys


def test_a_dhcp_server_is_not_who_starves_it() -> None:
    """The server answers as much as it is asked; only who asks without end is reported."""
    asker = plain(ATTACKER, packets=400, dhcp=400, broadcast=400)
    server = plain(VICTIM, packets=400, dhcp=400, rx={"dhcp": 0})
    clients = [plain(f"04:00:00:00:08:{n:02x}", packets=4, dhcp=4) for n in range(100)]

    assert rules_of(*repeated(3, asker, server)) == [f"dhcp-starvation-{ID}"]
    assert rules_of(*repeated(3, server, *clients)) == []


@pytest.mark.parametrize(
    ("asker", "server"),
    [
        ({"dhcp": 100, "broadcast": 50}, {"dhcp": 90, "broadcast": 60}),
        ({"dhcp": 100, "broadcast": 50}, {"dhcp": 100}),
    ],
)
def test_who_asks_more_than_it_is_answered_is_no_server(
    asker: dict[str, int], server: dict[str, int]
) -> None:
    """Nor who asks as much as it is answered, by broadcast more often than the other."""
    rows = plain(ATTACKER, **asker), plain(VICTIM, **server)

    assert f"dhcp-starvation-{ID}" in rules_of(*repeated(3, *rows))


@pytest.mark.parametrize("rates", [(60, 60), (60, 45), (60, 60, 60)])
@pytest.mark.parametrize("group", ["broadcast", "multicast"])
def test_nobody_starves_a_server_in_the_shadow_of_another(
    rates: tuple[int, ...], group: str
) -> None:
    """Several that ask everybody without end are no servers of each other, by IPv6 neither."""
    rows = [
        plain(f"04:00:00:00:08:{n:02x}", packets=rate, dhcp=rate, **{group: rate})
        for n, rate in enumerate(rates)
    ]

    reported = {f"dhcp-starvation-0400000008{n:02x}" for n in range(len(rates))}
    assert set(rules_of(*repeated(3, *rows))) == reported


def test_macs_without_end_are_a_mac_flood() -> None:
    """New source addresses by the hundred each second overflow a switch; a first look does not."""
    first = window(0, new_macs=1000, source_macs=1000)
    assert rules_of(first, window(1)) == []

    later = [window(second, new_macs=900, source_macs=900) for second in range(20, 24)]

    assert rules_of(first, *later) == ["mac-flood-wire-eth0"]


def test_a_silenced_storm_is_not_learned() -> None:
    """What is over a storm's floor never becomes usual, whoever chose not to hear of it."""
    detector = Detector()
    rows = {"arp": 300, "broadcast": 300}
    detector.take(window(0))
    for rule in ("arp-storm", "broadcast-storm"):
        detector.take(CommandReceived("silence", Silence(key=f"{rule}-{ID}", minutes=60), rule))
    for second in range(1, 1500):
        detector.take(window(second, plain(ATTACKER, packets=300, **rows)))
    storms = [window(second, plain(ATTACKER, packets=300, **rows)) for second in range(3700, 3704)]

    assert detector.open() == {}
    detector.take(*storms)

    assert list(detector.open()) == [f"arp-storm-{ID}"]


def test_a_delay_over_a_devices_own_floor_is_not_learned() -> None:
    """A floor below the general one holds for what becomes usual, too."""
    detector = Detector(devices={VICTIM: {"high-delay": {"floor": 20.0}}})
    detector.take(window(0))
    detector.take(
        CommandReceived("silence", Silence(key="high-delay-198-18-0-11", minutes=600), "1")
    )

    detector.take(*[probe(10 * n, answer(rtt_p50_ms=50.0)) for n in range(1, 360)])

    assert detector.open() == {}
    assert detector.core._learning.targets.of("198.18.0.11", "rtt_ms", 0.0) is None


def test_volume_is_no_attack_unless_a_floor_is_set() -> None:
    """A speed test opens nothing; with a floor in the configuration the class is watched."""
    loud = plain(ATTACKER, packets=8000, tcp=8000, https=8000)
    assert rules_of(*repeated(10, loud)) == []

    detector = Detector(rules={"surge-https": {"enabled": True, "floor": 1000}})
    detector.take(*repeated(5, loud))

    assert list(detector.open()) == [f"surge-https-{ID}"]


def test_a_device_can_have_limits_of_its_own() -> None:
    """What is configured for one device holds for it alone, lower or higher."""
    detector = Detector(devices={ATTACKER: {"icmp-flood": {"floor": 5}}})

    detector.take(*repeated(3, echoes(20), echoes(20, VICTIM, peer=ATTACKER)))

    assert list(detector.open()) == [f"icmp-flood-{ID}"]


def test_ignored_devices_are_never_told_of() -> None:
    """A MAC on the ignore list opens nothing."""
    detector = Detector(ignore=[ATTACKER])

    detector.take(*repeated(3, syns(1000)))

    assert detector.open() == {}


def members(hosts: int, groups: int) -> list[DeviceWindow]:
    """Build hosts that each report some groups."""
    return [
        plain(f"04:00:00:00:01:{k:02x}", packets=groups, igmp=groups, multicast=groups)
        for k in range(hosts)
    ]


@pytest.mark.parametrize("hosts", [40, 250])
def test_answers_to_a_query_are_no_storm(hosts: int) -> None:
    """Ten reports of each of many hosts within a second, each two minutes, are answers."""
    calm, answers = [], members(hosts, 10)
    for second in range(300):
        rows = answers if second % 125 in (30, 31) else []
        calm.append(window(second, *rows, source_macs=hosts, new_macs=0))

    assert rules_of(*calm) == []


def test_one_host_without_end_and_invented_ones_are_igmp_storms() -> None:
    """What is more than answers is reported, of the host or of the wire."""
    calm = [window(second) for second in range(20)]
    one = [window(second, *members(250, 2), plain(ATTACKER, packets=99, igmp=99), source_macs=251)
           for second in range(20, 24)]  # fmt: skip
    many = [window(second, *members(250, 2), source_macs=400, new_macs=400)
            for second in range(20, 24)]  # fmt: skip

    assert rules_of(*calm, *one) == [f"igmp-storm-{ID}"]
    assert rules_of(*calm, *many) == [
        "igmp-storm-wire-eth0", "mac-flood-wire-eth0",
    ]  # fmt: skip


def announcing(
    second: int, rate: int, *, answered: int = 0, sees_replies: bool | None = True
) -> Traffic:
    """Build a window of a MAC that sends ARP to everybody."""
    row = plain(ATTACKER, rx={"arp": answered} if answered else {}, arp=rate, broadcast=rate)
    return window(second, row, packets=rate, sees_replies=sees_replies)


@pytest.mark.parametrize("sees_replies", [True, None])
def test_a_failover_that_announces_its_addresses_is_no_storm(sees_replies: bool | None) -> None:
    """Two hundred addresses, announced five times in a second and once more, then nothing.

    Whether answers would be seen need not be known yet: nothing but ARP may be on the wire.
    """
    bursts = [announcing(s, 1000, sees_replies=sees_replies) for s in (0, 1, 6, 7)]
    quiet = [window(s) for s in range(2, 6)]

    assert rules_of(*bursts[:2], *quiet, *bursts[2:], window(8)) == []
    assert rules_of(announcing(0, 1000, sees_replies=False)) == [f"arp-storm-{ID}"]


def test_a_storm_or_a_sweep_is_told_beside_announcements() -> None:
    """What lasts is a storm; what is answered is a sweep, at once."""
    assert rules_of(*(announcing(s, 200) for s in range(3))) == [f"arp-storm-{ID}"]
    assert rules_of(announcing(0, 400, answered=9)) == [f"arp-storm-{ID}"]


@pytest.mark.parametrize("name", ["multicast", "fragment"])
def test_television_and_tunnels_are_plain_volume(name: str) -> None:
    """5,000 frames/s to groups, or in pieces, are no surge unless a floor is set."""
    rows = [window(s, plain(ATTACKER, packets=5000, udp=5000, **{name: 5000})) for s in range(9)]

    assert rules_of(*rows) == []
