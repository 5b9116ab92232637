"""What the flood rules find, by hand: floods, scans, and what looks like either."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.finders import NOW, found, ours, values, view
from tests.detector.windows import ATTACKER, ID, PI, ROUTER, VICTIM, echoes, plain, syns
from tests.detector.windows import device as seen_device

from monitorpi_common.messages import Peer, Spread
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rules import icmp_flood
from monitorpi_detector.rules.icmp_flood import unasked
from monitorpi_detector.rules.syn_flood import is_scan
from monitorpi_detector.views import wires


def spread(ports: int = 1, hosts: int = 1, sources: int = 1) -> Spread:
    """Return how many different ones there were."""
    return Spread(src_ips=sources, dst_ips=hosts, dst_ports=ports)


def sender(count: int, *, to_one: int | None = None, length_s: float = 1.0, **more: int) -> Any:
    """Return a sender of SYNs and the view of its window."""
    row = syns(count).model_copy(update={"spread": spread(**more)})
    peer = Peer(mac=VICTIM, packets=count if to_one is None else to_one)
    row = row.model_copy(update={"top_peer": {"syn": peer}})
    return view(row, length_s=length_s), row


# --- scans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "more", "scans"),
    [
        (400, {"ports": 100}, True), (400, {"ports": 99}, False), (20, {"ports": 10}, True),
        (20, {"ports": 9}, False), (4999, {"ports": 4000}, True), (5000, {"ports": 4000}, False),
        (9998, {"ports": 8000, "length_s": 2.0}, True),
        (400, {"ports": 100, "sources": 16}, True), (400, {"ports": 100, "sources": 17}, False),
        # many hosts, of which none gets much
        (400, {"hosts": 100, "to_one": 19}, True), (400, {"hosts": 100, "to_one": 20}, False),
        (20, {"hosts": 10, "to_one": 2}, True), (20, {"hosts": 9, "to_one": 2}, False),
        # several hosts that are tried alike
        (400, {"hosts": 4, "to_one": 200, "ports": 50}, True),
        (400, {"hosts": 4, "to_one": 200, "ports": 49}, False),
        (400, {"hosts": 4, "to_one": 201, "ports": 50}, False),
        (400, {"hosts": 4, "to_one": 201, "ports": 100}, True),
        (8, {"hosts": 4, "to_one": 2, "ports": 3}, True),
        (8, {"hosts": 4, "to_one": 2, "ports": 2}, False),
    ],
)  # fmt: skip
def test_what_looks_for_open_ports_or_hosts(count: int, more: dict[str, Any], scans: bool) -> None:
    """A quarter as many different ones as SYNs, at less than any scanner's rate."""
    one, row = sender(count, **more)

    assert is_scan(one, row, 100.0) is scans


# --- SYN floods -----------------------------------------------------------------------------------


def test_a_flood_of_one_sender() -> None:
    """With what is known of it; what came late in the window is said."""
    known = HostInventory()
    known.see_device(seen_device(ATTACKER, -100, "198.18.0.10", role="host"))
    one = view(syns(400, addresses=8), known=known, late_syn=30, first_seen_s=NOW - 100,
               usual={ATTACKER: {"half_open": (30.0, 9999.0)}})  # fmt: skip

    (finding,) = found("syn-flood", one)

    assert (finding.subject, finding.value, finding.threshold) == (ID, 400.0, 120.0)
    assert (finding.baseline, finding.late, finding.cumulates) == (30.0, 30.0, True)
    assert finding.sources == (Peer(mac=ATTACKER, ip="198.18.0.10", packets=400),)
    assert [peer.mac for peer in finding.victims] == [VICTIM]
    assert (finding.spoofed, finding.beyond_router, finding.answered_ratio) == (True, False, 0.0)
    assert finding.spread == one.rows[ATTACKER].spread


@pytest.mark.parametrize(
    ("count", "hosts", "told"), [(25, 1, True), (24, 1, False), (400, 20, True), (400, 21, False)]
)
def test_what_is_enough_to_look_at(count: int, hosts: int, told: bool) -> None:
    """A quarter of the floor, of which one destination gets a fifth of the floor."""
    one, _ = sender(count, to_one=1, hosts=hosts)

    assert bool(found("syn-flood", one)) is told


@pytest.mark.parametrize(
    ("counts", "more", "told"),
    [
        ({"syn": 400}, {}, True),
        ({"syn": 50}, {}, True), ({"syn": 49}, {}, False),
        # what looks for open ports is no flood, up to a scanner's rate
        ({"syn": 400}, {"spread": spread(ports=100)}, False),
        ({"syn": 400}, {"spread": spread(ports=99)}, True),
        ({"syn": 400}, {"spread": spread(hosts=100)}, False),
        ({"syn": 400}, {"spread": spread(ports=100, sources=16)}, False),
        ({"syn": 400}, {"spread": spread(ports=100, sources=17)}, True),
        ({"syn": 4999}, {"spread": spread(ports=1250)}, False),
        ({"syn": 5000}, {"spread": spread(ports=1250)}, True),
        ({"syn": 400}, {"spread": spread(ports=10, hosts=20)}, False),
        ({"syn": 400}, {"spread": spread(ports=10, hosts=19)}, True),
        ({"syn": 400}, {"spread": spread(ports=9, hosts=40)}, True),
        # most met closed ports
        ({"syn": 400, "rst": 200}, {}, False), ({"syn": 400, "rst": 199}, {}, True),
        ({"syn": 400, "rst": 200, "syn_ack": 40}, {}, True),
        ({"syn": 400, "rst": 200, "syn_ack": 39}, {}, False),
        ({"syn": 400, "rst": 200}, {"spread": spread()}, True),
    ],
)  # fmt: skip
def test_a_flood_without_mac_addresses(
    counts: dict[str, int], more: dict[str, Any], told: bool
) -> None:
    """Is told of the wire."""
    one = view(counts={"tcp": sum(counts.values()), **counts}, **more)

    assert bool(found("syn-flood", one)) is told


def test_a_flood_of_mac_addresses_made_up_for_it() -> None:
    """Is told of whoever gets it, where it is most of all, and enough of them are new."""
    target = plain(VICTIM, packets=1, rx={"packets": 400, "syn": 400, "tcp": 400})
    counts = {"syn": 400, "tcp": 400}

    def told(new: int, rx: int = 400) -> list[tuple[str, float, float]]:
        row = target.model_copy(update={"rx": {"packets": rx, "syn": rx, "tcp": rx}})
        return values("syn-flood", view(row, counts=counts, new_macs=new, source_macs=400))

    assert told(200) == [("victim-04000000000b", 400.0, 100.0)]
    assert told(50) == [("victim-04000000000b", 400.0, 300.0)]
    assert told(49) == []
    assert told(200, 200) == [("victim-04000000000b", 200.0, 100.0)]
    assert told(200, 199) == []


# --- ICMP floods ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "own", "value"), [(400, 0.0, 400.0), (400, 100.0, 280.0)])
def test_a_flood_of_pings_beyond_our_own(count: int, own: float, value: float) -> None:
    """With what is usual for the sender."""
    one = view(echoes(count, PI), known=ours(echo=own), usual={PI: {"icmp_echo": (20.0, 9999.0)}})

    (finding,) = found("icmp-flood", one)

    assert (finding.value, finding.threshold, finding.baseline) == (value, 80.0, 20.0)
    assert (finding.unit, finding.beyond_router, finding.must_last) == ("ICMP/s", False, False)
    assert finding.sources[0].packets == count
    assert [peer.mac for peer in finding.victims] == [VICTIM]


@pytest.mark.parametrize(
    ("tx", "rx", "more", "left"),
    [
        ({"packets": 300, "icmp": 300}, {}, {}, 300.0),
        ({"packets": 300, "icmp": 300, "icmp_echo": 100}, {}, {}, 200.0),
        ({"packets": 300, "icmp": 300}, {"icmp_echo": 120}, {}, 180.0),
        ({"packets": 300, "icmp": 300}, {"tcp": 50, "udp": 20, "ipv4": 80}, {}, 220.0),
        ({"packets": 300, "icmp": 300}, {"ipv4": 80, "ipv6": 20, "icmp": 30}, {}, 230.0),
        ({"packets": 300, "icmp": 300}, {"udp": 400}, {}, 0.0),
        ({"packets": 300, "icmp": 300}, {}, {"sees_replies": False}, 0.0),
        ({"packets": 300, "icmp": 300}, {}, {"sees_replies": None}, 300.0),
    ],
)  # fmt: skip
def test_icmp_that_nobody_asked_for(
    tx: dict[str, int], rx: dict[str, int], more: dict[str, Any], left: float
) -> None:
    """Beside requests: whatever its sender was sent may be answered by it."""
    row = plain(ATTACKER, rx=rx, **tx)
    other = plain(VICTIM, packets=1, rx={"packets": 500})

    assert unasked(view(row, other, counts={"icmp": 300}, **more), row) == left


def test_whoever_answers_everybodys_ping_was_asked() -> None:
    """A request to everybody is nobody's in particular."""
    row = plain(ATTACKER, packets=300, icmp=300)
    other = plain(VICTIM, packets=1, rx={"packets": 500, "icmp_echo": 10})

    assert unasked(view(row, other, counts={"icmp_echo": 60}), row) == 250.0
    nameless = view(row, counts={"icmp_echo": 60, "icmp": 360, "udp": 40})
    assert unasked(nameless, row) == 200.0


def test_a_flood_from_beyond_the_router_is_told_of_it() -> None:
    """Whose addresses it has nobody can tell."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))

    told = found("icmp-flood", view(echoes(400, ROUTER), known=known))

    assert [(one.subject, one.beyond_router, one.spoofed) for one in told] == [
        ("040000000001", True, None)]  # fmt: skip
    assert told[0].text.startswith(f"ICMP flood from beyond the router {ROUTER} to ")


# --- several ports --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "matters"),
    [
        ([plain(ATTACKER, syn=4)], True), ([plain(ATTACKER, syn=3)], False),
        ([plain(ATTACKER, icmp_echo=2)], True), ([plain(ATTACKER, icmp_echo=1)], False),
        ([plain(ATTACKER, arp=999)], False),
        ([plain(ATTACKER, arp=50), plain(ATTACKER, arp=1)], True),
        ([plain(ATTACKER, arp=49), plain(ATTACKER, arp=49)], False),
        ([plain(ATTACKER, rx={"syn": 20}), plain(ATTACKER, arp=1)], True),
        ([plain(ATTACKER, rx={"syn": 19}), plain(ATTACKER, arp=1)], False),
    ],
)  # fmt: skip
def test_what_several_ports_show_of_one_sender(rows: list[Any], matters: bool) -> None:
    """On one port it was judged there: it counts as one of several sources."""
    found = [(row, 1.0) for row in rows]

    assert wires._matters(found, {"arp": 50.0}, {"syn": 20.0}) is matters


@pytest.mark.parametrize(
    ("rule", "build", "counts", "told"),
    [
        ("syn-flood", syns, (18, 16, 16), True), ("syn-flood", syns, (17, 16, 16), False),
        ("icmp-flood", echoes, (9, 8, 8), True), ("icmp-flood", echoes, (8, 8, 8), False),
    ],
)  # fmt: skip
def test_three_at_one_destination_are_told_of_from_the_close_level_on(
    rule: str, build: Any, counts: tuple[int, ...], told: bool
) -> None:
    """Together: each alone is below what is looked at."""
    rows = [build(count, f"04:00:00:00:01:0{n}") for n, count in enumerate(counts)]

    assert [one for one, _, _ in values(rule, view(*rows))] == ["victim-04000000000b"] * told


@pytest.mark.parametrize(("rule", "build"), [("syn-flood", syns), ("icmp-flood", echoes)])
def test_of_forty_sources_the_thirty_two_busiest_are_named(rule: str, build: Any) -> None:
    """All count."""
    rows = [build(100 + n, f"04:00:00:00:01:{n:02x}") for n in range(40)]

    (finding,) = found(rule, view(*rows))

    assert [one.packets for one in finding.sources] == list(range(139, 107, -1))
    assert finding.value == sum(range(100, 140))
    assert " from 40 sources " in finding.text


def test_of_forty_victims_beyond_a_router_the_thirty_two_busiest_are_named() -> None:
    """All count."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))
    targets = [
        plain(f"04:00:00:00:01:{n:02x}", packets=1, rx={"syn": 100 + n, "tcp": 100 + n})
        for n in range(40)
    ]

    (finding,) = found("syn-flood", view(syns(9000, ROUTER), *targets, known=known))

    assert [one.packets for one in finding.victims] == list(range(139, 107, -1))
    assert finding.value == sum(range(100, 140))


@pytest.mark.parametrize(
    ("asked", "to_one", "others", "peer", "value"),
    [
        (400, 300, (), VICTIM, 400.0), (400, 300, (250,), VICTIM, 300.0),
        (400, 300, (50,), VICTIM, 350.0), (400, 300, (3,), VICTIM, 400.0),
        (400, 300, (4,), VICTIM, 396.0), (400, 300, (250,), PI, 150.0), (900, 300, (), PI, 500.0),
        (100, 300, (), VICTIM, 100.0),
    ],
)  # fmt: skip
def test_what_a_victim_gets_from_beyond_a_router(
    asked: int, to_one: int, others: tuple[int, ...], peer: str, value: float
) -> None:
    """What no sender on this wire explains, or what the router is known to have sent there."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))
    router = syns(500, ROUTER).model_copy(
        update={"top_peer": {"syn": Peer(mac=peer, packets=to_one)}}
    )
    rows = [syns(count, f"04:00:00:00:01:0{n}") for n, count in enumerate(others)]
    victim = plain(VICTIM, packets=1, rx={"syn": asked, "tcp": asked})

    told = values("syn-flood", view(router, *rows, victim, known=known))

    assert [one[1] for one in told if one[0] == "040000000001"] == [value]


@pytest.mark.parametrize(("hosts", "to_one", "value"), [(100, 10, 390.0), (1, 150, 200.0)])
def test_what_a_sender_on_this_wire_sends_through_a_router_is_the_senders(
    hosts: int, to_one: int, value: float
) -> None:
    """Of what a scan tries only the busiest destination's is known to take this way."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))
    one = sender(200, hosts=hosts)[1]
    one = one.model_copy(update={"top_peer": {"syn": Peer(mac=ROUTER, packets=to_one)}})
    victim = plain(VICTIM, packets=1, rx={"syn": 400, "tcp": 400})

    told = values("syn-flood", view(syns(400, ROUTER), one, victim, known=known))

    assert [count for subject, count, _ in told if subject == "040000000001"] == [value]


@pytest.mark.parametrize(
    ("tx", "announces"),
    [
        ({"icmp": 1, "multicast": 1}, True), ({"icmp": 2, "multicast": 1}, False), ({}, False),
        ({"icmp": 9, "multicast": 9, "icmp_echo": 1}, False), ({"multicast": 9}, False),
        ({"icmp": 9, "igmp": 9, "multicast": 9}, False),
    ],
)  # fmt: skip
def test_who_advertises_addresses_asks_nothing_and_asks_everybody(
    tx: dict[str, int], announces: bool
) -> None:
    """All of its ICMP, however little."""
    assert icmp_flood._announces(plain(ATTACKER, **tx)) is announces


@pytest.mark.parametrize(
    ("rows", "new", "told"),
    [((plain(VICTIM, packets=1),), 25, True), ((plain(VICTIM, packets=1),), 24, False),
     ((), 0, True)],
)  # fmt: skip
def test_unasked_icmp_of_nobody_needs_macs_that_are_new(
    rows: tuple[Any, ...], new: int, told: bool
) -> None:
    """Half as many as the floor, where there are any; and three times the floor."""
    one = view(*rows, counts={"icmp": 400}, packets=400, new_macs=new, source_macs=new)

    assert values("icmp-flood", one) == [("wire-eth0", 400.0, 150.0)] * told


@pytest.mark.parametrize(("answered", "told"), [(0, True), (100, True), (101, False)])
def test_a_scan_is_one_while_half_of_it_comes_to_nothing(answered: int, told: bool) -> None:
    """Whose connections are answered and used looks for nothing."""
    row = syns(200, ports=100, rx={"syn_ack": answered, "tcp": 2 * answered}, tcp=200 + answered)

    assert bool(found("port-scan", view(row))) is told


def test_a_router_is_no_victim_of_itself_nor_is_whoever_got_a_few() -> None:
    """From a quarter of the floor on; what it is sent itself is not what it passes on."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))
    router = syns(500, ROUTER, rx={"syn": 450, "tcp": 450})
    victims = [plain(f"04:00:00:00:01:{n}", packets=1, rx={"syn": n, "tcp": n})
               for n in (24, 25, 90)]  # fmt: skip

    told = [one for one in found("syn-flood", view(router, *victims, known=known))
            if one.beyond_router]  # fmt: skip

    assert [[peer.mac for peer in one.victims] for one in told] == [
        ["04:00:00:00:01:90", "04:00:00:00:01:25"]
    ]
    assert [one.value for one in told] == [115.0]
