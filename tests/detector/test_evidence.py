"""What stands in an alert's evidence, and what an alert may be blamed for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.floods import KEY, flood, quiet
from tests.detector.windows import (
    ATTACKER,
    ID,
    ROUTER,
    VICTIM,
    Detector,
    answer,
    echoes,
    plain,
    probe,
    repeated,
    syns,
    window,
)

from monitorpi_common.messages import Alert, DeviceWindow, Peer, Spread

CROWD = [f"04:00:00:00:01:0{n}" for n in range(4)]
OTHER = "04:00:00:00:00:0c"


def alert_of(key: str, *rows: DeviceWindow, seconds: int = 4, **more: Any) -> Alert:
    """Return the alert of that key which windows like one open."""
    detector = Detector()
    detector.take(*repeated(seconds, *rows, **more))
    return detector.open()[key]


@pytest.mark.parametrize(
    ("sent", "addresses", "forged"),
    [({}, 1, False), ({"hosts": 2, "ports": 3}, 1, False), ({"hosts": 1, "ports": 9}, 700, True)],
)
def test_a_flood_tells_its_spread_and_whether_it_forges(
    sent: dict[str, int], addresses: int, forged: bool
) -> None:
    """As the window says of the source's row; many source addresses of a host are not its own."""
    row = syns(1000, addresses=addresses, **sent)

    evidence = alert_of(KEY, row).evidence

    assert evidence.spread == row.spread
    assert evidence.spoofed is forged


def test_the_spread_of_a_crowd_counts_shared_destinations_once() -> None:
    """Each source has addresses of its own; they share the hosts and ports they go to."""
    rows = [
        syns(400 + n, mac, addresses=n + 1, hosts=3 - n % 2, ports=2 + n)
        for n, mac in enumerate(CROWD)
    ]

    evidence = alert_of("syn-flood-victim-04000000000b", *rows).evidence

    assert evidence.spread == Spread(src_ips=10, dst_ips=3, dst_ports=5)
    assert evidence.spoofed is False


@pytest.mark.parametrize(("rule", "row"), [("syn-flood", syns), ("icmp-flood", echoes)])
def test_the_sources_of_a_crowd_come_with_the_busiest_first(rule: str, row: Any) -> None:
    """Who looks at the first source looks at the right one."""
    rows = [row(400 + 50 * n, mac) for n, mac in enumerate(CROWD)]

    evidence = alert_of(f"{rule}-victim-04000000000b", *rows).evidence

    assert [(one.mac, one.packets) for one in evidence.sources] == [
        (mac, 400 + 50 * n) for n, mac in reversed([*enumerate(CROWD)])
    ]
    assert [one.mac for one in evidence.victims] == [VICTIM]


def test_the_victims_beyond_a_router_come_with_the_worst_first() -> None:
    """What is left half open decides, not what a victim was sent."""
    router = syns(1000, ROUTER, role="router", addresses=900)
    asked = [plain(mac, rx={"syn": count, "tcp": count, "packets": count}, packets=0)
             for mac, count in ((VICTIM, 300), (OTHER, 600))]  # fmt: skip

    evidence = alert_of("syn-flood-040000000001", router, *asked).evidence

    assert [one.mac for one in evidence.victims] == [OTHER, VICTIM]


def test_a_destination_without_a_count_is_judged_by_what_was_sent() -> None:
    """An optional field that is absent ends nobody: all of it may have gone there."""
    row = syns(1000).model_copy(update={"top_peer": {"syn": Peer(mac=VICTIM, ip="198.18.0.11")}})
    crowd = [one.model_copy(update={"mac": mac, "top_peer": row.top_peer})
             for one, mac in zip([row] * 4, CROWD, strict=True)]  # fmt: skip

    assert alert_of(KEY, row).evidence.value == 1000
    sources = alert_of("syn-flood-victim-04000000000b", *crowd).evidence.sources
    assert [one.packets for one in sources] == [1000] * 4


def test_losses_of_an_alert_that_opens_again_are_counted_anew() -> None:
    """What was lost before it closed was told then."""
    detector = Detector()
    for second in range(3):
        detector.take(window(second, syns(1000), kernel_drops=50))
    quiet(detector, 3, 20)
    first = detector.alerts[-1]

    detector.take(window(20, syns(1000), kernel_drops=7))

    again = detector.open()[KEY]
    assert (first.state, first.evidence.kernel_drops) == ("closed", 150)
    assert (again.id, again.evidence.kernel_drops) == (first.id, 7)


def down(second: float, **who: Any) -> Any:
    """Build a round in which a target does not answer."""
    return probe(second, answer(**who, state="down", received=0, loss_ratio=1.0,
                                rtt_p50_ms=None, jitter_ms=None))  # fmt: skip


@pytest.mark.parametrize("first", ["flood", "outage"])
def test_an_outage_of_somebody_else_is_not_blamed_on_a_flood(first: str) -> None:
    """A device that no flood is about goes down by itself, whichever is known first."""
    detector = Detector()
    other = {"name": "nas", "address": "198.18.0.12", "mac": OTHER, "origin": "configured"}
    detector.take(probe(1, answer(**other)), window(0))
    if first == "flood":
        flood(detector, 1, 5)
        detector.take(down(5, **other))
    else:
        detector.take(down(3, **other), window(3))
        flood(detector, 4, 8)

    alert = detector.open()["device-down-198-18-0-12"]
    assert KEY in detector.open()
    assert (alert.caused_by, alert.severity) == (None, "warning")


def test_two_floods_of_one_sender_are_two() -> None:
    """A flood is nobody's side effect: neither lowers the other."""
    both = syns(1000, icmp=600, icmp_echo=600).model_copy(
        update={"top_peer": {
            "syn": Peer(mac=VICTIM, ip="198.18.0.11", port=80, packets=1000),
            "icmp_echo": Peer(mac=VICTIM, ip="198.18.0.11", packets=600)}}
    )  # fmt: skip
    detector = Detector()
    detector.take(*repeated(3, both))

    found = {alert.rule: alert for alert in detector.open().values()}
    assert {alert.caused_by for alert in found.values()} == {None}
    assert {alert.severity for alert in found.values()} <= {"warning", "critical"}
    assert found["syn-flood"].evidence.sources[0].mac == ATTACKER
    assert found["icmp-flood"].subject == ID
