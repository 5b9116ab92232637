"""What each rule calls by its name, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.detector.windows import (
    ATTACKER,
    PI,
    ROUTER,
    VICTIM,
    Detector,
    at,
    device,
    echoes,
    plain,
    probe,
    syns,
    window,
)

from monitorpi_common.fake import received
from monitorpi_common.messages import (
    Device,
    DeviceWindow,
    Peer,
    ProbeResult,
    ProbeSource,
    Silence,
    Spread,
    Traffic,
)
from monitorpi_common.service import Order, Presence
from monitorpi_common.topics import Topic
from monitorpi_detector.baseline import MATURE_S, Baseline
from monitorpi_detector.rules import RULES
from monitorpi_detector.state import Kept

ID = "04000000000a"


def rules_of(*windows: Traffic) -> list[str]:
    """Return the keys that a few windows open."""
    detector = Detector()
    detector.take(*windows)
    return sorted(detector.open())


def repeated(count: int, *rows: DeviceWindow, **more: object) -> list[Traffic]:
    """Build the same window several times."""
    return [window(second, *rows, **more) for second in range(count)]  # type: ignore[arg-type]


# --- SYNs: flood, scan, sweep, or work -----------------------------------------------------------


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

    assert rules_of(window(0, syns(2000, tcp=8000, rx=rx))) == [f"syn-flood-{ID}"]
    assert rules_of(window(0, syns(2000, tcp=8000, fin=2000, rx=rx))) == []


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

    said = Detector().take(window(0, half, sees_replies=False))

    assert said[0].evidence.value == 200


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


# --- ICMP ----------------------------------------------------------------------------------------


def test_echo_replies_without_requests_are_a_flood() -> None:
    """ICMP that nobody asked for is a flood as well as echo requests are."""
    sender = plain(ATTACKER, packets=1000, icmp=1000)

    assert rules_of(*repeated(2, sender)) == [f"icmp-flood-{ID}"]


def test_replies_and_errors_are_explained_by_what_was_asked() -> None:
    """Whoever is flooded answers: its replies and errors are no flood of its own."""
    pinged = plain(VICTIM, rx={"icmp": 1000, "icmp_echo": 1000}, packets=1000, icmp=1000)
    reflector = plain(VICTIM, rx={"udp": 4000}, packets=400, icmp=400)

    assert rules_of(*repeated(5, pinged, counts={})) == []
    assert rules_of(*repeated(5, reflector, counts={})) == []


def test_errors_that_come_when_the_scan_is_over_are_answers() -> None:
    """A router gives a host up after three seconds of ARP: its errors come in a burst, late."""
    asked = {"packets": 220, "icmp": 220, "icmp_echo": 220}
    scanned = [window(second, plain(VICTIM, rx=asked, packets=1)) for second in range(3)]
    late = [window(second, plain(VICTIM, packets=150, icmp=150)) for second in range(3, 5)]
    never = [window(second, plain(VICTIM, packets=150, icmp=150)) for second in range(60, 62)]

    assert rules_of(*scanned, *late) == []
    assert rules_of(*scanned, *never) == ["icmp-flood-04000000000b"]


def test_errors_without_visible_destinations_may_be_answers() -> None:
    """Where the link layer names no destinations what others sent explains errors, if it can."""
    scanned = plain(VICTIM, packets=200, icmp=200)
    scanner = plain(ATTACKER, packets=200, udp=200)
    flooder = plain(ATTACKER, packets=500, icmp=500)

    assert rules_of(*repeated(3, scanned, scanner)) == []
    assert rules_of(*repeated(3, flooder)) == [f"icmp-flood-{ID}"]


def test_errors_on_a_wire_without_macs_are_explained_by_what_they_answer() -> None:
    """A UDP scan of closed ports is no ICMP flood, nor is a ping that is answered often."""
    scan = repeated(3, counts={"udp": 200, "icmp": 200}, packets=400)
    fuzzed = repeated(1, counts={"icmp": 100}, packets=100)
    flood = repeated(3, counts={"icmp": 200}, packets=200)

    assert rules_of(*scan) == []
    assert rules_of(*fuzzed) == []
    assert rules_of(*flood) == ["icmp-flood-wire-eth0"]


def test_neighbour_discovery_from_invented_macs_is_an_icmp_flood_of_the_wire() -> None:
    """Router advertisements, each from a MAC of its own, to everybody: nobody can be named."""
    rows = [plain(f"06:00:00:00:00:{n:02x}", packets=1, icmp=1) for n in range(200)]
    windows = [
        window(second, *rows, counts={"icmp": 600, "multicast": 600}, packets=600, new_macs=600,
               source_macs=600)
        for second in range(20, 23)
    ]  # fmt: skip

    assert "icmp-flood-wire-eth0" in rules_of(window(0), *windows)


def test_answers_to_a_broadcast_ping_are_no_flood() -> None:
    """An echo request to everybody is answered by everybody: the one who asked is the source."""
    hosts = [plain(f"04:00:00:00:07:{n:02x}", packets=100, icmp=100) for n in range(20)]
    asker = echoes(100, peer="ff:ff:ff:ff:ff:ff", ip="198.18.0.255")

    assert rules_of(*repeated(5, asker, *hosts)) == [f"icmp-flood-{ID}"]


def test_a_broadcast_ping_flood_is_one_attack() -> None:
    """A smurf's echo requests to everybody are told of as ICMP, not as a broadcast storm too."""
    asker = plain(ATTACKER, packets=500, icmp=500, icmp_echo=500, broadcast=500)

    assert rules_of(*repeated(3, asker)) == [f"icmp-flood-{ID}"]


def test_pings_that_pass_a_router_are_told_of_once() -> None:
    """An ICMP flood that is on the wire on both sides of a router has one source: the host."""
    router = echoes(1000, ROUTER).model_copy(update={"role": "router"})

    assert rules_of(*repeated(5, echoes(1000, peer=ROUTER), router)) == [f"icmp-flood-{ID}"]


def test_replies_are_not_judged_where_requests_cannot_be_seen() -> None:
    """Where one direction is mirrored, ICMP that nobody seems to have asked for proves nothing."""
    sender = plain(ATTACKER, packets=1000, icmp=1000)

    assert rules_of(*repeated(5, sender, sees_replies=False)) == []


def test_probers_of_one_target_are_no_group_of_attackers() -> None:
    """Three of our machines that probe one target as announced are subtracted each."""
    macs = [f"04:00:00:00:04:{n:02x}" for n in range(3)]
    detector = Detector()
    for mac in macs:
        announced = ProbeSource(mac=mac, echo_per_s=100, arp_per_s=0)
        detector.take(received(probe(0, source=announced), mac[-2:]))

    detector.take(*repeated(5, *[echoes(100, mac) for mac in macs]))

    assert detector.open() == {}


def test_errors_follow_packets_of_every_protocol() -> None:
    """A scan of IP protocols is answered by one error each: who complains floods nobody."""
    pair = {"ipv4": 250, "packets": 250}
    scanner = plain(ATTACKER, rx=pair | {"icmp": 250}, **pair)
    target = plain(VICTIM, rx=pair, icmp=250, **pair)

    assert rules_of(*repeated(3, scanner, target)) == []
    cooked = [plain(mac, packets=250, ipv4=250, **more) for mac, more in
              ((ATTACKER, {}), (VICTIM, {"icmp": 250}))]  # fmt: skip
    assert rules_of(*repeated(3, *cooked)) == []
    assert rules_of(*repeated(3, counts={"ipv4": 500, "icmp": 250}, packets=500)) == []


def test_the_fragments_of_large_pings_are_no_flood() -> None:
    """Two pings of 65,535 bytes a second are two requests, in ninety fragments each way."""
    pieces = {"packets": 90, "ipv4": 90, "icmp": 90, "fragment": 90}
    asker = echoes(2).model_copy(update={"tx": pieces | {"icmp_echo": 2}, "rx": pieces})
    answerer = plain(VICTIM, rx=pieces | {"icmp_echo": 2}, **pieces)

    assert rules_of(*repeated(5, asker, answerer)) == []


def test_errors_beside_a_load_are_no_flood() -> None:
    """Unreachables from a router that also brings thousands of other frames accompany them."""
    router = plain(ROUTER, packets=4300, udp=4000, icmp=265)

    assert rules_of(*repeated(5, router)) == []


def test_our_own_probes_are_subtracted_and_a_spoofer_of_our_mac_is_seen() -> None:
    """Up to the announced rate and 20 % echo requests of the Pi's MAC are ours; more are not."""
    announced = ProbeSource(mac=PI, echo_per_s=200, arp_per_s=50)
    ours, more = Detector(), Detector()
    for detector in (ours, more):
        detector.take(probe(0, source=announced))

    ours.take(*repeated(10, echoes(230, PI)))
    more.take(*repeated(10, echoes(400, PI)))

    assert ours.open() == {}
    assert list(more.open()) == ["icmp-flood-040000000003"]
    assert more.open()["icmp-flood-040000000003"].evidence.value == 160


def test_our_own_sweep_sets_off_no_storm_and_no_mac_flood() -> None:
    """ARP as announced, and whoever answers it for the first time, are no attack; more is."""
    announced = ProbeSource(mac=PI, echo_per_s=0, arp_per_s=300)
    ours, more = Detector(), Detector()
    for detector, count in ((ours, 330), (more, 700)):
        detector.take(probe(10, source=announced), window(0))
        row = plain(PI, packets=count, arp=count, broadcast=count)
        wire = {"arp": count + 300, "broadcast": count}
        detector.take(*[window(20 + n, row, counts=wire, new_macs=300) for n in range(5)])

    assert ours.open() == {}
    assert list(more.open()) == ["arp-storm-040000000003"]


def test_our_own_probes_of_hosts_that_are_off_are_no_sweep_and_no_surge() -> None:
    """A thousand targets in vain as announced: neither a host sweep nor a surge of ICMP."""
    announced = ProbeSource(mac=PI, echo_per_s=3000, arp_per_s=0)
    detector = Detector()
    detector.take(probe(0, source=announced))
    row = echoes(3000, PI, hosts=3000).model_copy(update={"top_peer": {}})

    detector.take(*repeated(10, row))

    assert detector.open() == {}


def test_probers_that_share_a_mac_are_subtracted_together() -> None:
    """Two replicas on one machine send from one MAC: what both announced is ours."""
    detector = Detector()
    announced = ProbeSource(mac=PI, echo_per_s=100, arp_per_s=0)
    for name in ("a", "b"):
        detector.take(received(probe(0, source=announced), name))

    detector.take(*repeated(10, echoes(230, PI)))

    assert detector.open() == {}


def test_an_announcement_forgets_no_targets() -> None:
    """A message that only announces leaves the destinations of the last round explained."""
    targets = [answer(address=f"198.18.1.{number}") for number in range(1, 151)]
    announced = ProbeSource(mac=PI, echo_per_s=150, arp_per_s=0)
    detector = Detector()
    detector.take(probe(0, *targets, source=announced), probe(1, source=announced))

    detector.take(*repeated(2, busy_prober(300)))

    assert list(detector.open()) == ["icmp-flood-040000000003"]


def busy_prober(flood: int) -> DeviceWindow:
    """Build the row of a MAC that pings 150 hosts once and one of them ``flood`` times more."""
    sent = 150 + flood
    return DeviceWindow(
        mac=PI,
        role="host",
        tx={"packets": sent, "icmp": sent, "icmp_echo": sent},
        rx={"packets": 150, "icmp": 150},
        spread=Spread(src_ips=2, dst_ips=152),
        top_peer={"icmp_echo": Peer(mac=VICTIM, ip="198.18.0.11", packets=flood)},
    )


def test_a_flood_under_our_mac_is_seen_beside_probes_of_many_hosts() -> None:
    """What our probes explain explains their destinations too: the rest went to one."""
    targets = [answer(address=f"198.18.1.{number}") for number in range(1, 151)]
    announced = ProbeSource(mac=PI, echo_per_s=150, arp_per_s=0)
    ours, more = Detector(), Detector()
    for detector in (ours, more):
        detector.take(probe(0, *targets, source=announced))

    ours.take(*repeated(10, busy_prober(0)))
    more.take(*repeated(2, busy_prober(300)))

    assert ours.open() == {}
    assert list(more.open()) == ["icmp-flood-040000000003"]


def test_a_flood_of_a_known_host_is_seen_beside_pings_of_many() -> None:
    """A monitoring server that also floods one host is told of once that host is known."""
    start = repeated(61, plain(VICTIM, packets=5))
    flood = [window(second, busy_prober(300)) for second in range(61, 64)]

    assert rules_of(*start, *flood) == ["icmp-flood-040000000003"]


def test_monitoring_through_a_router_beside_our_probes_is_no_flood() -> None:
    """A hundred hosts beyond a router pinged from the Pi by something else are no flood."""
    announced = ProbeSource(mac=PI, echo_per_s=150, arp_per_s=0)
    detector = Detector()
    detector.take(probe(0, answer(), source=announced))
    row = busy_prober(100).model_copy(
        update={"top_peer": {"icmp_echo": Peer(mac=ROUTER, ip="203.0.113.9", packets=100)}}
    )

    detector.take(*repeated(10, row))

    assert detector.open() == {}


def test_monitoring_of_many_hosts_is_no_flood() -> None:
    """Two echo requests a second to each of a hundred hosts, answered, are monitoring."""
    monitor = DeviceWindow(
        mac=ATTACKER,
        tx={"packets": 200, "icmp": 200, "icmp_echo": 200},
        rx={"packets": 190, "icmp": 190},
        spread=Spread(src_ips=1, dst_ips=100),
        top_peer={"icmp_echo": Peer(mac=VICTIM, ip="198.18.0.11", packets=4)},
    )

    assert rules_of(*repeated(20, monitor)) == []


# --- storms --------------------------------------------------------------------------------------


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


def test_a_dhcp_server_is_not_who_starves_it() -> None:
    """The server answers as much as it is asked; only who asks without end is told of."""
    asker = plain(ATTACKER, packets=400, dhcp=400, broadcast=400)
    server = plain(VICTIM, packets=400, dhcp=400, rx={"dhcp": 0})
    clients = [plain(f"04:00:00:00:08:{n:02x}", packets=4, dhcp=4) for n in range(100)]

    assert rules_of(*repeated(3, asker, server)) == [f"dhcp-starvation-{ID}"]
    assert rules_of(*repeated(3, server, *clients)) == []


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
        detector.take(Order("silence", Silence(key=f"{rule}-{ID}", minutes=60), rule))
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
    detector.take(Order("silence", Silence(key="high-delay-198-18-0-11", minutes=600), "1"))

    detector.take(*[probe(10 * n, answer(rtt_p50_ms=50.0)) for n in range(1, 360)])

    assert detector.open() == {}
    assert detector.core._round_baseline.of("198.18.0.11", "rtt_ms", 0.0) is None


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


# --- devices -------------------------------------------------------------------------------------

LEARNED = 100.0


def watched(*known: Device) -> Detector:
    """Build a detector whose learning time has passed in sight of some devices."""
    detector = Detector(learning_s=LEARNED)
    detector.take(*known, device(known[0].mac, 60), device(known[0].mac, 120))
    return detector


def test_a_new_device_is_told_of_after_the_first_day() -> None:
    """In the learning time every device is known; later a new one is told of once."""
    detector = watched(device(ATTACKER, 0, "198.18.0.10"))

    said = detector.take(
        device(VICTIM, 121, "198.18.0.11", vendor="Acme", randomised=True),
        device(VICTIM, 180, "198.18.0.11"),
    )

    assert [(one.key, one.severity) for one in said] == [("new-device-04000000000b", "info")]
    assert "Acme, private address" in said[0].summary


def test_time_that_nobody_watched_teaches_nothing() -> None:
    """Two captures a month apart in one file are no month of learning."""
    detector = Detector()

    said = detector.take(device(ATTACKER, 0), device(VICTIM, 30 * 86400.0))

    assert said == []


def test_the_routers_address_at_another_mac_is_spoofing() -> None:
    """Who claims the address of a router that is here is told of at once, as critical."""
    detector = Detector()
    detector.take(device(ROUTER, 0, "198.18.0.1", role="router"))

    said = detector.take(device(ATTACKER, 5, "198.18.0.10", "198.18.0.1"))

    assert [(f"arp-spoof-{ID}", "critical")] == [(one.key, one.severity) for one in said]
    assert said[0].evidence.victims[0].mac == ROUTER


def test_a_lease_that_goes_to_another_device_is_no_spoofing() -> None:
    """An address whose holder has left moves once, and nobody is told."""
    detector = Detector()

    said = detector.take(
        device(VICTIM, 0, "198.18.0.50"),
        device(ATTACKER, 1000, "198.18.0.50"),
        device(VICTIM, 1001, "198.18.0.50", present=False),
        device(ATTACKER, 1060, "198.18.0.50"),
    )

    assert said == []


def test_an_address_that_two_present_devices_hold_on_to_is_spoofing() -> None:
    """The old holder is still here a minute later and still claims it: one of them lies."""
    detector = Detector()

    said = detector.take(
        device(VICTIM, 0, "198.18.0.50"),
        device(ATTACKER, 10, "198.18.0.10", "198.18.0.50"),
        device(VICTIM, 75, "198.18.0.50"),
    )

    assert [f"arp-spoof-{ID}"] == [one.key for one in said]


def test_virtual_router_addresses_pass_from_router_to_router() -> None:
    """An address that moves between a virtual router's MAC (VRRP) and its owner's is no forgery."""
    virtual = "00:00:5e:00:01:0a"
    detector = Detector()

    said = detector.take(
        device(virtual, 0, "198.18.0.1", role="router"),
        device(ROUTER, 1, "198.18.0.1", role="router"),
        device(virtual, 2, "198.18.0.1", role="router"),
        device(ROUTER, 3, "198.18.0.2"),
        device(virtual, 4, "198.18.0.1", "198.18.0.2"),
    )

    assert said == []


def test_an_unknown_dhcp_server_is_rogue() -> None:
    """Servers of the learning time, or the configured ones, are known; another one is told of."""
    detector = watched(device(ROUTER, 0, dhcp_server=True))

    said = detector.take(device(ATTACKER, 121, dhcp_server=True))

    assert f"rogue-dhcp-{ID}" in [one.key for one in said]
    configured = Detector(dhcp_servers=[ROUTER])
    assert [f"rogue-dhcp-{ID}"] == [
        one.key for one in configured.take(device(ATTACKER, 1, dhcp_server=True))
    ]


def test_configured_dhcp_servers_are_all_there_are() -> None:
    """What was learned before is not known any more once the configuration names the servers."""
    learned = Kept(dhcp_servers=[ATTACKER])

    said = Detector(kept=learned, dhcp_servers=[ROUTER]).take(device(ATTACKER, 1, dhcp_server=True))
    unsaid = Detector(kept=learned).take(device(ATTACKER, 1, dhcp_server=True))

    assert [one.key for one in said] == [f"rogue-dhcp-{ID}"]
    assert unsaid == []


# --- probes --------------------------------------------------------------------------------------


def answer(**more: object) -> ProbeResult:
    """Build a target's result."""
    values = {"name": "printer", "address": "198.18.0.11", "mac": VICTIM, "state": "up",
              "sent": 10, "received": 10, "loss_ratio": 0.0, "rtt_p50_ms": 0.5,
              "jitter_ms": 0.1}  # fmt: skip
    return ProbeResult.model_validate(values | more)


def test_a_device_that_was_up_is_told_of_when_it_is_down() -> None:
    """Down after up opens, up again closes; what never answered cannot go down."""
    detector, never = Detector(), Detector()
    down = answer(state="down", received=0, loss_ratio=1.0, rtt_p50_ms=None, jitter_ms=None)

    never.take(probe(10, down), probe(20, down))
    detector.take(probe(10, answer()), probe(20, down), probe(30, down))
    assert list(detector.open()) == ["device-down-198-18-0-11"]
    detector.take(*[probe(40 + 10 * n, answer()) for n in range(5)])

    assert never.alerts == []
    assert detector.open() == {}


def test_a_phone_that_leaves_is_not_down() -> None:
    """Private MAC addresses are of devices that come and go."""
    detector = Detector()
    phone = {"mac": "06:00:00:00:00:01"}

    detector.take(probe(10, answer(**phone)), probe(20, answer(**phone, state="down", received=0)))

    assert detector.alerts == []


def test_a_device_that_a_flood_takes_down_is_linked_to_it() -> None:
    """The victim of an open flood that goes down names the flood as the cause."""
    detector = Detector()
    detector.take(probe(1, answer()), *repeated(4, syns(1000)))

    detector.take(probe(4, answer(state="down", received=0, loss_ratio=1.0)))

    alert = detector.open()["device-down-198-18-0-11"]
    assert (alert.caused_by, alert.severity) == (f"syn-flood-{ID}", "info")


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("high-loss", {"received": 6, "loss_ratio": 0.4}),
        ("high-delay", {"rtt_p50_ms": 180.0}),
        ("high-jitter", {"jitter_ms": 60.0}),
    ],
)
def test_a_bad_line_is_told_of_when_it_lasts(rule: str, bad: dict[str, float]) -> None:
    """One bad round is nothing, several in a row open, good rounds close."""
    detector = Detector()
    detector.take(probe(10, answer()), probe(20, answer(**bad)), probe(30, answer()))
    assert detector.open() == {}

    detector.take(*[probe(40 + 10 * n, answer(**bad)) for n in range(4)])
    assert list(detector.open()) == [f"{rule}-198-18-0-11"]
    detector.take(*[probe(80 + 10 * n, answer()) for n in range(9)])

    assert detector.open() == {}


@pytest.mark.parametrize("rule", ["device-down", "high-delay"])
def test_what_a_flood_does_beyond_the_router_is_linked_by_its_address(rule: str) -> None:
    """A target without a MAC of its own on this wire is known as a victim by its address."""
    detector = Detector()
    away = {"address": "203.0.113.9", "mac": None}
    bad = {"state": "down"} if rule == "device-down" else {"rtt_p50_ms": 900.0}
    flood = syns(1000, peer=ROUTER, ip="203.0.113.9")
    detector.take(probe(1, answer(**away)), *repeated(4, flood))

    detector.take(probe(4, answer(**away | bad)))

    alert = detector.open()[f"{rule}-203-0-113-9"]
    assert (alert.caused_by, alert.severity) == (f"syn-flood-{ID}", "info")


@pytest.mark.parametrize(
    ("rule", "usual", "bad"),
    [
        ("high-loss", {"received": 8, "loss_ratio": 0.15}, {"received": 6, "loss_ratio": 0.4}),
        ("high-delay", {"rtt_p50_ms": 90.0}, {"rtt_p50_ms": 180.0}),
        ("high-jitter", {"jitter_ms": 25.0}, {"jitter_ms": 60.0}),
    ],
)
def test_a_line_that_is_always_so_is_held_against_its_own_habit(
    rule: str, usual: dict[str, float], bad: dict[str, float]
) -> None:
    """What opens an alert on a good line is less than three times what this one is used to."""
    watched = Detector()
    watched.take(*[probe(60 * n, answer(**usual)) for n in range(1, 20)])

    for detector, opened in ((Detector(), [f"{rule}-198-18-0-11"]), (watched, [])):
        detector.take(*[probe(1200 + 60 * n, answer(**bad)) for n in range(4)])
        assert list(detector.open()) == opened


def test_a_lost_prober_closes_what_it_told() -> None:
    """When the prober goes offline its alerts close as sensor-lost."""
    detector = Detector()
    detector.take(probe(10, answer()), probe(20, answer(state="down", received=0)))

    said = detector.take(Presence(Topic("lab", "prober", "status", "main"), online=False))

    assert [(one.state, one.close_reason) for one in said] == [("closed", "sensor-lost")]


def test_a_victims_delay_stands_in_the_alert() -> None:
    """Round-trip time, jitter and loss of a round that overlaps the flood are its evidence."""
    detector = Detector()
    detector.take(device(VICTIM, 0, "198.18.0.11"), probe(1.5, answer(rtt_avg_ms=87.5)))

    evidence = detector.take(window(1, syns(1000)))[0].evidence

    assert (evidence.victim_rtt_ms, evidence.victim_jitter_ms) == (87.5, 0.1)
    assert evidence.victim_loss_ratio == 0.0


def test_rounds_before_and_after_a_flood_say_nothing_of_it() -> None:
    """Only a round that overlaps the flood counts, also when it ends after the flood."""
    detector = Detector()
    detector.take(device(VICTIM, 0, "198.18.0.11"), probe(0.9, answer(rtt_avg_ms=1.0)))
    opened = detector.take(window(1, syns(1000)))[0]
    detector.take(window(2, syns(1000)))

    detector.take(probe(5, answer(rtt_avg_ms=87.5)), *[window(second) for second in range(3, 14)])
    detector.take(probe(14, answer(rtt_avg_ms=2.0)))
    closed = detector.take(*[window(second) for second in range(14, 25)])[-1]

    assert opened.evidence.victim_rtt_ms is None
    assert (closed.state, closed.evidence.victim_rtt_ms) == ("closed", 87.5)


# --- baselines -----------------------------------------------------------------------------------


def test_a_device_that_always_pings_has_a_higher_threshold() -> None:
    """After some hours the threshold follows what is usual for a device, frozen while it floods."""
    detector = Detector()
    for second in range(3 * 3600):
        detector.take(window(second, echoes(40)))
    key = f"icmp-flood-{ID}"
    assert detector.open() == {}

    for second in range(3 * 3600, 3 * 3600 + 10):
        detector.take(window(second, echoes(90)))
    assert detector.open() == {}
    for second in range(3 * 3600 + 10, 3 * 3600 + 200):
        detector.take(window(second, echoes(1000)))

    alert = detector.open()[key]
    assert alert.evidence.baseline == pytest.approx(40, abs=5)
    assert alert.evidence.threshold == pytest.approx(4 * 40, abs=20)


def test_an_open_alert_freezes_the_baseline_in_both_directions() -> None:
    """While an alert is open neither its low values nor its length change what is usual."""
    detector = Detector()
    detector.core._baseline.restore({ATTACKER: {"icmp_echo": (20.0, 9999.0)}}, 0.0)
    for second in range(3600):
        # over the close level of the threshold of 80, below the floor of 50 for learning
        detector.take(window(second, echoes(1000 if second < 5 else 45)))
    assert list(detector.open()) == [f"icmp-flood-{ID}"]

    for second in range(3600, 3630):
        detector.take(window(second, echoes(20)))
    usual = detector.core._baseline.of(ATTACKER, "icmp_echo", 0.0)

    assert detector.open() == {}
    assert usual == pytest.approx(20.0, abs=0.5)


def test_a_floods_victim_keeps_its_usual_delay() -> None:
    """Rounds that overlap a flood teach nothing of its victim."""
    detector = Detector()
    detector.take(*[probe(60 * n, answer()) for n in range(1, 20)])
    for second in range(1200, 1800):
        detector.take(window(second, syns(1000)))
        if second % 60 == 0:
            detector.take(probe(second, answer(rtt_p50_ms=90.0)))

    usual = detector.core._round_baseline.of("198.18.0.11", "rtt_ms", 0.0)

    assert usual == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("away_s", [90_000, 90 * 86400])
def test_time_that_nobody_watched_is_no_silence(away_s: int) -> None:
    """A night without power, or a clock that is set at last, leaves what is usual as it was."""
    detector = Detector()
    detector.core._baseline.restore({ATTACKER: {"icmp_echo": (40.0, 9999.0)}}, 0.0)
    detector.take(*[window(second, echoes(40)) for second in range(30)])

    for second in range(away_s, away_s + 30):
        detector.take(window(second, echoes(40), epoch="e2"))

    assert detector.core._baseline.of(ATTACKER, "icmp_echo", 0.0) == pytest.approx(40, abs=1)


def test_a_baseline_speaks_only_when_it_has_watched_long_enough() -> None:
    """A new device uses the mean of the LAN's, and nothing where there is none."""
    baseline = Baseline()
    assert baseline.of("a", "syn", 0.0) is None

    for step in range(1, int(MATURE_S) + 2):
        baseline.learn("a", [("syn", 8.0)], 1.0, float(step))

    now_s = MATURE_S + 100
    assert baseline.of("a", "syn", now_s) == baseline.of("new", "syn", now_s)
    again = Baseline()
    again.restore(baseline.saved(), now_s)
    assert again.of("a", "syn", now_s) == pytest.approx(baseline.of("a", "syn", now_s), abs=0.001)


def test_every_rule_has_sane_limits_and_a_name_for_topics() -> None:
    """Every rule can be raised, closed and named."""
    for name, rule in RULES.items():
        limits = rule.defaults
        assert name == rule.name
        assert limits.raise_m <= limits.raise_n
        assert 0 < limits.close_ratio <= 1
        assert limits.quiet_s > 0
    assert len(RULES) >= 16 + 22


def test_time_of_the_day_is_not_needed() -> None:
    """Windows an hour apart are no gap that brings two weak windows together."""
    detector = Detector()

    for hour in range(10):
        one = window(hour * 3600, syns(120))
        detector.take(one.model_copy(update={"end": one.end + timedelta(milliseconds=1)}))

    assert detector.alerts == []
    assert at(0) < at(1)
