"""Several mirror ports of one site are one wire: halves add up, and nobody is waited for."""

from __future__ import annotations

import pytest
from tests.detector.windows import (
    ATTACKER,
    VICTIM,
    Detector,
    at,
    device,
    echoes,
    plain,
    syns,
    window,
)

from monitorpi_common.messages import CLASSES, Copies, DeviceWindow, Omitted, Peer, Spread, Traffic
from monitorpi_detector.views import wires
from monitorpi_detector.views.wires import Wires
from monitorpi_detector.views.wires import added as added_or_none

SUBJECT = ATTACKER.replace(":", "")


def added(windows: list[Traffic]) -> Traffic:
    """Return the sum of windows in which every MAC matters."""
    together = added_or_none(windows, dict.fromkeys(CLASSES, 1.0))
    assert together is not None
    return together


def arps(count: int) -> DeviceWindow:
    """Build the row of a MAC that asks for addresses."""
    return plain(ATTACKER, packets=count, bytes=60 * count, arp=count, broadcast=count)


def requests(count: int) -> DeviceWindow:
    """Build the row of a MAC that asks for leases."""
    return plain(ATTACKER, packets=count, bytes=300 * count, dhcp=count, broadcast=count)


FLOODS = {
    "icmp-flood": (echoes, 80),
    "syn-flood": (syns, 110),
    "arp-storm": (arps, 150),
    "dhcp-starvation": (requests, 50),
}


@pytest.mark.parametrize("rule", FLOODS)
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.875, 0.125), (0.34, 0.33, 0.33)])
def test_parts_on_several_ports_add_up(rule: str, shares: tuple[float, ...]) -> None:
    """Each part lies under the floor or not: the sum is reported, once, as on one port."""
    build, rate = FLOODS[rule]
    detector, alone = Detector(), Detector()
    for second in range(20, 40):
        alone.take(window(second, build(rate)))
        for port, share in enumerate(shares):
            detector.take(window(second, build(round(rate * share)), interface=f"eth{port}"))

    [alert] = detector.open().values()
    assert alert.key == f"{rule}-{SUBJECT}"
    assert alert.evidence.value == pytest.approx(rate, abs=2)
    assert alert.opened_at == alone.open()[alert.key].opened_at


def test_the_sum_is_one_alert_until_it_ends() -> None:
    """One id, one closing, and no port's part in between."""
    detector = Detector()
    for second in range(60):
        count = 40 if 20 <= second < 40 else 0
        rows = [echoes(count)] if count else []
        detector.take(window(second, *rows), window(second, *rows, interface="eth1"))

    assert {one.id for one in detector.alerts} == {detector.alerts[0].id}
    assert {one.evidence.value for one in detector.alerts} == {80}
    assert detector.alerts[-1].close_reason == "quiet"


def test_what_is_usual_on_each_port_is_usual_together() -> None:
    """Less than twice of it is no storm over two ports either; ten times it is one."""
    detector = Detector()
    ports = ("eth0", "eth1")
    for second in range(1300):
        rate = 45 if second < 1200 else 75
        detector.take(*(window(second, arps(rate), interface=port) for port in ports))
    assert detector.alerts == []

    for second in range(1300, 1310):
        detector.take(*(window(second, arps(450), interface=port) for port in ports))
    assert {alert.rule for alert in detector.alerts} == {"arp-storm"}


def test_one_port_is_judged_as_ever() -> None:
    """A second port that shows nothing changes neither rate nor time."""
    alone, beside = Detector(), Detector()
    for second in range(5):
        alone.take(window(second, echoes(80)))
        beside.take(window(second, echoes(80)), window(second, interface="eth1"))

    [one], [other] = alone.open().values(), beside.open().values()
    assert (one.opened_at, one.evidence.value) == (other.opened_at, other.evidence.value)


def test_what_both_show_counts_once() -> None:
    """The sensor saw the same frames on both."""
    both = Copies(elsewhere=0.5)
    detector = Detector()
    for second in range(20):
        detector.take(
            window(second, echoes(40), copies=both),
            window(second, echoes(40), interface="eth1", copies=both),
        )

    assert detector.alerts == []


def test_a_dead_port_holds_nobody_up() -> None:
    """Of three ports one dies; the other two go on adding up."""
    detector = Detector()
    for second in range(10):
        detector.take(*(window(second, interface=f"eth{port}") for port in range(3)))
    for second in range(10, 13):
        detector.take(*(window(second, echoes(40), interface=f"eth{port}") for port in range(2)))

    assert list(detector.open()) == [f"icmp-flood-{SUBJECT}"]


def test_a_value_falls_with_what_the_ports_show() -> None:
    """A flood that gets weaker, on one of its ports alone, is told as what it is."""
    detector = Detector()
    for second in range(40):
        first, other = (40, 40) if second < 10 else (0, 60)
        detector.take(window(second, echoes(first)))
        detector.take(window(second, echoes(other), interface="eth1"))

    [alert] = detector.open().values()
    assert (alert.evidence.value, alert.evidence.peak) == (60, 80)


@pytest.mark.parametrize("late", [1, 2])
def test_a_late_port_joins_when_it_comes(late: int) -> None:
    """Windows of another sensor that come a second or two later belong to their moment."""
    detector = Detector()
    for second in range(20):
        detector.take(window(second, echoes(40)))
        if second >= late:
            detector.take(window(second - late, echoes(40), interface="eth1"))

    [alert] = detector.open().values()
    assert alert.evidence.value == 80


def test_ports_that_are_cut_at_other_moments_overlap() -> None:
    """Two sensors' windows begin where they do."""
    detector = Detector()
    for second in range(10):
        detector.take(window(second, echoes(40)))
        shifted = window(second, echoes(40), interface="eth1")
        moved = {name: getattr(shifted, name) + (window(1).start - window(0).start) * 0.4
                 for name in ("start", "end")}  # fmt: skip
        detector.take(shifted.model_copy(update=moved))

    [alert] = detector.open().values()
    assert alert.evidence.value == 80


def test_requests_on_one_port_and_answers_on_another_belong_together() -> None:
    """A tap shows each direction on a port of its own: together they show the answers."""
    asks = syns(40)
    answered = DeviceWindow(mac=ATTACKER, rx={"packets": 400, "tcp": 400, "syn_ack": 40})
    together = added([window(0, asks), window(0, answered, interface="eth1")])

    [row] = together.devices
    assert (row.tx["syn"], row.rx["syn_ack"]) == (40, 40)


def test_the_same_few_ends_count_once_and_many_add_up() -> None:
    """One victim on both ports is one; a scan spreads over a bundle."""
    victim = added([window(0, syns(40)), window(0, syns(40), interface="eth1")])
    scan = added([window(0, syns(40, ports=40)), window(0, syns(40, ports=38), interface="eth1")])

    assert victim.devices[0].spread.dst_ips == 1
    assert victim.devices[0].top_peer["syn"].packets == 80
    assert scan.devices[0].spread.dst_ports == 78


def test_sums_follow_the_contract() -> None:
    """What was built without checking would pass it."""
    ports = [
        window(0, syns(40), plain(VICTIM, packets=2), interface=f"eth{port}", source_macs=2)
        for port in range(5)
    ]

    together = added(ports)

    assert Traffic.model_validate(together.model_dump()).source_macs == 2
    assert together.interface == "eth0+eth1+eth2+2 more"


def test_one_port_keeps_one_window() -> None:
    """Nothing is kept where there is nothing to add up."""
    wires = Wires()
    for second in range(100):
        assert wires.join(window(second)) == []

    assert sum(map(len, wires._held.values())) == 1


def test_a_window_that_no_other_port_shares_is_judged_once() -> None:
    """A port beside which all others are dead has nothing to add up, and waits for none."""
    wires = Wires()
    wires.join(window(0))
    wires.join(window(0, interface="eth1"))

    assert [wires.join(window(second)) for second in (10, 11)] == [[], []]
    late = window(10, interface="eth1")
    assert wires.join(late) == [[late, window(10)]]


def test_a_window_of_no_length_has_nothing_in_common_with_another() -> None:
    """A clock that stood still says nothing of what two ports showed at one moment."""
    wires = Wires()
    wires.join(window(0))
    empty = window(0, interface="eth1").model_copy(update={"start": at(1), "end": at(1)})

    assert wires.join(empty) == []


def test_what_no_source_explains_is_one_alert_on_the_ports_together() -> None:
    """A MAC flood over two ports is not told for each port and once more for both."""
    detector = Detector()
    for second in range(20):
        detector.take(
            window(second, new_macs=150, source_macs=150),
            window(second, new_macs=150, source_macs=150, interface="eth1"),
        )

    assert len(detector.open()) == 1


def test_a_router_is_one_on_every_port() -> None:
    """What capture says of a MAC holds for the sum."""
    detector = Detector()
    detector.take(device(ATTACKER, 0, "198.18.0.1", role="router"))
    for second in range(3):
        detector.take(window(second, echoes(60)), window(second, echoes(60), interface="eth1"))

    [alert] = detector.open().values()
    assert alert.evidence.beyond_router is True


def test_windows_of_two_ports_are_one_window_whole() -> None:
    """What each of them lost, left out or has not seen before, too; copies are gone."""
    left = [Omitted(devices=n, packets=10 * n, bytes=100 * n, classes={"arp": 20 * n})
            for n in (1, 2)]  # fmt: skip
    one, other = (
        window(
            n, syns(40 * n), interface=f"eth{n}", kernel_drops=n, source_macs=5 * n, new_macs=n,
            copies_ratio=0.1 * n, late_syn=3 * n, omitted=left[n - 1], counts={"arp": 50 * n},
            sees_replies=n == 1 or None, length_s=1.0, link_bps=10**9,
        )
        for n in (1, 2)
    )  # fmt: skip
    other = other.model_copy(update={"clock_synced": False, "engine": "ebpf"})

    together = added([one, other])

    values = {name: getattr(together, name) for name in Traffic.model_fields}
    assert values.pop("devices")[0].tx["syn"] == 120
    assert values.pop("omitted") == Omitted(devices=3, packets=30, bytes=300, classes={"arp": 60})
    assert values == {
        "epoch": other.epoch, "seq": other.seq, "start": one.start, "end": other.end,
        "window_s": 1.0, "clock_synced": False, "interface": "eth1+eth2", "link_bps": None,
        "engine": "ebpf", "packets": 120, "bytes": 7200, "kernel_drops": 3, "losses": {},
        "counts": {"arp": 150}, "totals": {}, "sees_replies": True, "spread": None,
        "source_macs": 14, "new_macs": 3, "copies_ratio": 0.2, "copies": None, "repeats": None,
        "late_syn": 9, "has_link": None, "has_times": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("share", "ports", "peer", "sent"), [(0.5, 10, 30, 45), (0.1, 10, 54, 81), (0.0, 18, 60, 90)]
)
def test_one_sender_on_two_ports_is_one_row(share: float, ports: int, peer: int, sent: int) -> None:
    """Where both show the same frames, destinations are the same, too; whoever knows its role."""
    rows = [
        syns(50, ports=10, rx={"tcp": 50}).model_copy(
            update={"top_peer": {"syn": Peer(mac=VICTIM, ip="192.0.2.1", port=80, packets=40)}}
        ),
        syns(40, ports=8, role="unknown", rx={"tcp": 40}).model_copy(
            update={"top_peer": {"syn": Peer(mac=VICTIM, ip="192.0.2.1", port=81, packets=20)}}
        ),
    ]

    one = wires._row([(row, share) for row in rows])

    assert (one.mac, one.role, one.copies) == (ATTACKER, "host", None)
    assert (one.tx["syn"], one.rx["tcp"]) == (sent, sent)
    assert one.spread == Spread(src_ips=1, dst_ips=1, dst_ports=ports)
    assert one.top_peer == {"syn": Peer(mac=VICTIM, ip="192.0.2.1", packets=peer)}
    assert wires._row([(rows[1], share)]) is rows[1]
    assert wires._row([(row, share) for row in reversed(rows)]).role == "host"


def test_ports_beyond_sixteen_are_judged_by_themselves() -> None:
    """Nothing of them is held, and nobody waits for them."""
    together = Wires()
    names = [f"eth{number}" for number in range(17)]
    for name in names:
        together.join(window(1, syns(5), interface=name))

    found = [together.join(window(2, syns(5), interface=name)) for name in names]

    ports = {one.interface for sets in found for group in sets for one in group}
    assert ports == set(names[:16])
    assert together.others(window(2, interface="eth16"))
    assert found[16] == []
