"""SYNs: flood, scan, sweep, or work; on the LAN and through a router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    ROUTER,
    VICTIM,
    Detector,
    echoes,
    plain,
    repeated,
    rules_of,
    syns,
    window,
)

from monitorpi_common.messages import (
    DeviceWindow,
    Peer,
    Spread,
)

if TYPE_CHECKING:
    from monitorpi_common.messages import Traffic


def plain_second(second: int = 4) -> Traffic:
    """Return a window in which nothing happens."""
    return window(second, plain(VICTIM, packets=1))


def test_a_web_benchmark_is_no_flood() -> None:
    """130 connections a second, all answered and used, are work."""
    client = syns(130, tcp=650, fin=130, rx={"syn_ack": 130, "tcp": 520, "fin": 130})

    assert rules_of(*repeated(10, client)) == []


def test_half_answered_forged_syns_are_a_flood() -> None:
    """111 SYNs a second from a thousand addresses behind one MAC are a flood, answered or not."""
    client = syns(111, addresses=111, rx={"syn_ack": 98, "tcp": 98})

    assert rules_of(*repeated(5, client)) == [f"syn-flood-{ID}"]


def test_an_answered_flood_from_a_true_address_is_a_flood() -> None:
    """SYN-ACKs alone are no connections: the sender's resets show that it wanted none."""
    flooder = syns(300, tcp=600, rst=300, rx={"syn_ack": 300, "tcp": 300})

    assert rules_of(*repeated(3, flooder)) == [f"syn-flood-{ID}"]


def test_a_flood_over_a_download_is_a_flood() -> None:
    """Frames of a download that went on before do not make connections of a flood's SYNs."""
    detector = Detector()
    for second in range(30):
        calm = plain(ATTACKER, packets=1000, tcp=1000, bytes=60_000)
        detector.take(window(second, calm))
    for second in range(30, 34):
        flooder = syns(200, tcp=1200, rx={"syn_ack": 200, "tcp": 2000})
        detector.take(window(second, flooder))

    assert f"syn-flood-{ID}" in detector.open()


def test_one_direction_is_judged_by_what_it_shows_and_says_so() -> None:
    """Where replies are not mirrored, a used connection shows by its later frames."""
    client = syns(200, tcp=1400, fin=200)
    assert rules_of(*repeated(5, client, sees_replies=False)) == []

    detector = Detector()
    detector.take(*repeated(2, syns(500), sees_replies=False))

    alert = detector.open()[f"syn-flood-{ID}"]
    assert alert.evidence.sees_replies is False
    assert alert.evidence.answered_ratio is None
    assert "one direction only" in alert.summary


def test_resets_of_the_opener_outweigh_a_download_beside_them() -> None:
    """Who resets what it opened did not use it, though it carries something else meanwhile."""
    flooder = syns(300, tcp=800, rst=300, rx={"syn_ack": 300, "tcp": 300})

    assert Detector().take(window(0, flooder))[0].evidence.value == 300


def test_a_thousand_connections_a_second_must_also_end() -> None:
    """A large download makes no connections of SYNs that are answered and never closed."""
    rx = {"syn_ack": 2000, "tcp": 2000}

    assert rules_of(*repeated(2, syns(2000, tcp=8000, rx=rx))) == [f"syn-flood-{ID}"]
    assert rules_of(*repeated(2, syns(2000, tcp=8000, fin=2000, rx=rx))) == []


USED = syns(2000, tcp=8000, rx={"syn_ack": 2000, "tcp": 2000})
THREE = [
    syns(1000, f"04:00:00:00:01:{n:02x}", tcp=4000, rx={"syn_ack": 1000, "tcp": 1000})
    for n in range(3)
]


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        ([USED], {}),
        ([USED], {"sees_replies": False}),
        (THREE, {}),
        ([USED.model_copy(update={"mac": ROUTER, "role": "router"}),
          plain(VICTIM, rx={"syn": 2000, "tcp": 8000}, syn_ack=2000, tcp=4000)], {}),
        ([], {"counts": {"syn": 2000, "syn_ack": 2000, "tcp": 16_000}}),
    ],
    ids=["sender", "one direction", "many senders", "router", "no MACs"],
)  # fmt: skip
def test_a_burst_in_use_may_end_in_the_next_window(
    rows: list[DeviceWindow], more: dict[str, Any]
) -> None:
    """The end of a window cuts between connections and their ends once, and not twice."""
    burst = [window(second, *rows, **more) for second in (5, 6)]

    assert rules_of(plain_second(), burst[0], plain_second(6)) == []
    assert len(rules_of(plain_second(), *burst)) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [syns(5200, tcp=20_800, rx={"syn_ack": 5200, "tcp": 5200})],
        [syns(2000, tcp=8000, rst=200, rx={"syn_ack": 2000, "tcp": 2000})],
        [syns(2200, tcp=8000, rx={"syn_ack": 2000, "tcp": 2000})],
        [*THREE, *(syns(60, f"04:00:00:00:02:{n:02x}") for n in range(3))],
        [syns(200, ROUTER, role="router", addresses=200), USED,
         plain(VICTIM, rx={"syn": 2200, "tcp": 8200}, syn_ack=2000, tcp=4000)],
    ],
    ids=["more than a burst", "resets", "not answered", "beside others", "beyond the router"],
)  # fmt: skip
def test_no_burst_in_use_hides_what_is_not(rows: list[DeviceWindow]) -> None:
    """180 or 200 a second that were never used raise at once beside thousands that were."""
    assert len(rules_of(plain_second(), window(5, *rows))) == 1


def test_a_known_host_cannot_use_connections_of_forged_addresses() -> None:
    """Answers to forged addresses never came back to it, whatever else it sends meanwhile."""
    known = repeated(61, plain(ATTACKER, packets=5))
    rx = {"syn_ack": 200, "tcp": 200}
    forger = syns(200, addresses=100, tcp=1000, rx=rx)
    user = syns(200, addresses=1, tcp=1000, rx=rx)

    assert rules_of(*known, window(61, forger)) == [f"syn-flood-{ID}"]
    assert rules_of(*known, window(61, user)) == []


def test_who_once_passed_connections_of_many_is_taken_for_a_router() -> None:
    """Connections of many addresses that ended in order behind a MAC excuse its addresses later."""
    quiet = syns(20, ROUTER, role="unknown", addresses=15, tcp=160, fin=20, rx={"syn_ack": 20})
    busy = syns(300, ROUTER, role="unknown", addresses=250, tcp=2400, fin=60, rx={"syn_ack": 300})

    assert rules_of(*repeated(70, quiet), *[window(n, busy) for n in range(70, 75)]) == []


def test_one_frame_more_is_no_use_of_a_connection() -> None:
    """Seen from one side, a used connection acknowledges and asks: two frames beside the SYN."""
    half = syns(400, tcp=800)

    published = Detector().take(window(0, half, sees_replies=False))

    assert published[0].evidence.value == 200


@pytest.mark.parametrize("rate", [100, 400, 2400])
def test_a_port_scan_is_called_a_scan(rate: int) -> None:
    """SYNs to many ports of one host are a port scan, not a flood, up to 2,400 a second."""
    scanner = syns(rate, ports=rate // 2, rx={"rst": rate, "tcp": rate})

    assert rules_of(*repeated(5, scanner)) == [f"port-scan-{ID}"]


def test_a_flood_to_random_ports_from_forged_addresses_is_a_flood() -> None:
    """Many ports alone do not make a scan: a scanner wants the answers and cannot forge much."""
    flooder = syns(1000, ports=1000, addresses=1000)

    assert rules_of(*repeated(2, flooder)) == [f"syn-flood-{ID}"]


def test_a_sweep_is_called_a_sweep() -> None:
    """One port of many hosts, or echo requests to many hosts, mostly in vain, are a host sweep."""
    by_syn = syns(200, hosts=200, peer=ROUTER)
    by_echo = echoes(220, hosts=110, peer=ROUTER)

    assert rules_of(*repeated(5, by_syn)) == [f"host-sweep-{ID}"]
    assert rules_of(*repeated(5, by_echo)) == [f"host-sweep-{ID}"]


def test_file_sharing_is_left_alone() -> None:
    """Peers of file sharing are many, each with a port of its own, and few of them answer."""
    peer = syns(60, hosts=55, ports=55, peer=ROUTER, rx={"syn_ack": 5, "tcp": 50})

    assert rules_of(*repeated(20, peer)) == []


def test_syns_that_carry_a_fin_are_a_flood() -> None:
    """A FIN in the frame that opens ends no connection."""
    assert rules_of(*repeated(2, syns(200, fin=200))) == [f"syn-flood-{ID}"]


def spread_over(hosts: int, each: int, packets: int | None) -> DeviceWindow:
    """Build the row of a MAC that sends each of some hosts as many SYNs; the vote may be open."""
    row = syns(hosts * each, hosts=hosts, rx={"rst": 0})
    peer = {} if packets is None else {"syn": Peer(mac=VICTIM, packets=packets)}
    return row.model_copy(update={"top_peer": peer})


@pytest.mark.parametrize("packets", [None, 1])
def test_few_victims_at_once_are_flooded_and_many_hosts_tried_are_not(packets: int | None) -> None:
    """Without a majority the busiest destination has the mean at least and half at most."""
    assert rules_of(*repeated(4, spread_over(3, 40, packets))) == [f"syn-flood-{ID}"]
    assert rules_of(*repeated(4, spread_over(50, 7, packets))) == []


def test_on_a_wire_without_macs_addresses_and_ports_tell_a_scan_from_a_flood() -> None:
    """Many ports or hosts from one address are looked for, one port of one host is flooded."""
    syn, echo = {"syn": 800, "tcp": 800}, {"icmp": 200, "icmp_echo": 200}
    ports = Spread(src_ips=1, dst_ips=1, dst_ports=600)
    hosts = Spread(src_ips=1, dst_ips=200, dst_ports=1)
    forged = Spread(src_ips=700, dst_ips=1, dst_ports=700)
    one = Spread(src_ips=1, dst_ips=1, dst_ports=1)

    for spread in (ports, hosts):
        assert rules_of(*repeated(3, counts=syn, spread=spread)) == []
    for spread in (forged, one):
        assert rules_of(*repeated(3, counts=syn, spread=spread)) == ["syn-flood-wire-eth0"]
        refused = syn | {"rst": 800}
        assert rules_of(*repeated(3, counts=refused, spread=spread)) == ["syn-flood-wire-eth0"]
    assert rules_of(*repeated(3, counts=echo, spread=hosts)) == []
    assert rules_of(*repeated(3, counts=echo, spread=one)) == ["icmp-flood-wire-eth0"]


def tried(hosts: int, ports: int, mac: str = ATTACKER, **more: object) -> DeviceWindow:
    """Build the row of a MAC that tries ports of several hosts once each: nobody has a majority."""
    row = syns(hosts * ports, mac, hosts=hosts, ports=ports, **more)  # type: ignore[arg-type]
    refused = hosts * ports - hosts
    return row.model_copy(update={"top_peer": {}, "rx": {"rst": refused, "tcp": refused}})


@pytest.mark.parametrize(
    ("hosts", "ports"), [(5, 100), (15, 100), (15, 70), (40, 25), (100, 10), (200, 6)]
)
def test_ports_of_several_hosts_are_a_scan(hosts: int, ports: int) -> None:
    """A hundred ports of each host of a LAN, one try each, are looked for and not flooded."""
    assert rules_of(*repeated(3, tried(hosts, ports))) == [f"port-scan-{ID}"]


def test_ports_of_several_hosts_without_macs_are_a_scan() -> None:
    """The same on a wire without MAC addresses is no flood either."""
    grid = Spread(src_ips=1, dst_ips=15, dst_ports=100)
    syn = {"syn": 1500, "tcp": 1500}

    assert rules_of(*repeated(3, counts=syn, spread=grid)) == []


def test_a_flood_beside_file_sharing_is_a_flood() -> None:
    """Many peers with a port each do not make a scan of what one host gets beside them."""
    start = repeated(61, plain(VICTIM, packets=5))
    row = syns(260, hosts=56, ports=55)
    row = row.model_copy(update={"top_peer": {"syn": Peer(mac=VICTIM, packets=200)}})

    assert rules_of(*start, *[window(n, row) for n in (61, 62)]) == [f"syn-flood-{ID}"]


def test_many_weak_sources_are_a_flood_and_clients_that_try_again_are_not() -> None:
    """Fifty sources of four SYNs or two pings a second attack; three tries a second are a client's.

    A refused connection is tried three times within a second by some systems.
    """
    macs = [f"04:00:00:00:05:{n:02x}" for n in range(50)]
    victim = "victim-04000000000b"

    assert rules_of(*repeated(2, *[syns(4, mac) for mac in macs])) == [f"syn-flood-{victim}"]
    assert rules_of(*repeated(2, *[echoes(2, mac) for mac in macs])) == [f"icmp-flood-{victim}"]
    assert rules_of(*repeated(9, *[syns(3, mac) for mac in macs])) == []
    assert rules_of(*repeated(9, *[echoes(1, mac) for mac in macs])) == []


def test_a_first_look_at_clients_that_try_again_is_no_flood() -> None:
    """When an epoch begins every MAC is new: that says nothing of who made it up."""
    clients = [syns(1, f"04:00:00:00:05:{n:02x}") for n in range(200)]
    rest = DeviceWindow(mac=VICTIM, rx={"syn": 200, "tcp": 200})

    assert rules_of(window(0, *clients, rest, new_macs=200)) == []


@pytest.mark.parametrize(("name", "rule"), [("syn", "syn-flood"), ("icmp_echo", "icmp-flood")])
def test_twice_the_floor_from_a_mac_each_frame_is_found(name: str, rule: str) -> None:
    """Where each frame brings a MAC of its own, the floor counts once its epoch is not new."""
    count = 200 if name == "syn" else 100
    tally = {name: count, "tcp" if name == "syn" else "icmp": count}
    rows = [plain(f"04:00:00:00:06:{n:02x}", packets=1, **{name: 1}) for n in range(count)]
    victim = DeviceWindow(mac=VICTIM, rx=tally)
    flood = [window(n, *rows, victim, counts=tally, new_macs=count) for n in range(20, 23)]

    assert f"{rule}-victim-04000000000b" in rules_of(window(0), *flood)


# --- through a router ----------------------------------------------------------------------------


def served(count: int, **more: int) -> DeviceWindow:
    """Build the row of a server that was sent SYNs."""
    return DeviceWindow(
        mac=VICTIM,
        rx={"packets": count, "syn": count, "tcp": count} | more,
        tx={"packets": count, "syn_ack": count, "tcp": count},
    )


def test_a_busy_published_server_is_no_flood() -> None:
    """Hundreds of connections a second from everywhere through the router, all used, are work."""
    router = syns(300, ROUTER, role="router", addresses=250, tcp=2400, fin=300, rx={"syn_ack": 300})

    assert rules_of(*repeated(10, router, served(300, tcp=2400, fin=300))) == []


def test_a_flood_from_beyond_the_router_is_seen_at_its_victim() -> None:
    """A router's many addresses prove nothing; what its victim is left with does."""
    router = syns(1000, ROUTER, role="router", addresses=900)
    detector = Detector()

    detector.take(*repeated(2, router, served(1000)))

    alert = detector.open()["syn-flood-040000000001"]
    assert alert.evidence.beyond_router is True
    assert alert.evidence.spoofed is None
    assert alert.evidence.victims[0].mac == VICTIM
    assert "from beyond the router" in alert.summary


def test_what_a_host_sends_through_the_router_is_told_once() -> None:
    """A flood that passes a router twice on the same wire has one source: the host."""
    host = syns(1000, peer=ROUTER)
    router = syns(1000, ROUTER, role="router", rx={"syn": 1000, "tcp": 1000})

    assert rules_of(*repeated(5, host, router, served(1000))) == [f"syn-flood-{ID}"]


def test_a_scan_that_passes_a_router_is_told_of_once() -> None:
    """Both legs of a scan are on the wire: the host scans, and the router floods nobody."""
    host = syns(800, ports=700, peer=ROUTER, rx={"rst": 790, "tcp": 790})
    router = syns(800, ROUTER, role="router", ports=700, rx={"syn": 800, "rst": 790, "tcp": 1590})
    many = tried(15, 70, ROUTER, role="router")

    assert rules_of(*repeated(3, host, router, served(800))) == [f"port-scan-{ID}"]
    assert not [key for key in rules_of(*repeated(3, tried(15, 70), many)) if "flood" in key]


def test_a_scan_from_beyond_the_router_is_called_a_scan() -> None:
    """Few addresses that try many ports through the router are a scan, many addresses a flood."""
    router = syns(800, ROUTER, role="router", ports=700, rx={"rst": 790, "tcp": 790})
    forged = syns(800, ROUTER, role="router", ports=700, addresses=700)
    victim = DeviceWindow(mac=VICTIM, rx={"syn": 800, "tcp": 800}, tx={"rst": 790, "tcp": 790})
    detector = Detector()

    detector.take(*repeated(3, router, victim))

    assert list(detector.open()) == ["port-scan-040000000001"]
    assert detector.open()["port-scan-040000000001"].evidence.beyond_router is True
    assert rules_of(*repeated(3, forged, victim)) == ["syn-flood-040000000001"]


def test_clients_that_try_again_are_no_flood() -> None:
    """A server that is gone leaves three hundred clients trying: nobody attacks."""
    clients = [syns(2, f"04:00:00:00:05:{n:02x}") for n in range(250)]

    assert rules_of(*repeated(5, *clients, served(500))) == []


def test_a_syn_flood_from_invented_macs_has_its_victim_as_subject() -> None:
    """When each SYN has a MAC of its own, no source can be named, but the victim can."""
    rows = [syns(4, f"04:00:00:00:06:{n:02x}") for n in range(200)]
    victim = DeviceWindow(mac=VICTIM, rx={"syn": 5000, "tcp": 5000})
    total = {"syn": 5000, "tcp": 5000}
    windows = repeated(2, *rows, victim, counts=total, new_macs=4000, source_macs=4000)

    assert "syn-flood-victim-04000000000b" in rules_of(*windows)
