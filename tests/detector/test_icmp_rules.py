"""ICMP: floods, answers, errors, and our own probes."""

from __future__ import annotations

from tests.detector.windows import (
    ATTACKER,
    ID,
    PI,
    ROUTER,
    VICTIM,
    Detector,
    answer,
    echoes,
    plain,
    probe,
    repeated,
    rules_of,
    window,
)
from tests.drive import received

from monitorpi_common.messages import (
    DeviceWindow,
    Peer,
    ProbeSource,
    Spread,
)


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
    """A smurf's echo requests to everybody are an ICMP flood, not as a broadcast storm too."""
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
