"""Scans under the floor of a second, and what merely tries the same again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    ROUTER,
    VICTIM,
    Detector,
    device,
    plain,
    rules_of,
    window,
)

from monitorpi_common.messages import DeviceWindow, Peer, Spread
from monitorpi_detector.hosts.slowscans import MAX_SCANNERS, SlowScans

if TYPE_CHECKING:
    from collections.abc import Sequence


def tries(
    ends: Sequence[tuple[str, int]], *, answered: int = 0, mac: str = ATTACKER, peer: str = VICTIM
) -> DeviceWindow:
    """Build a window of SYNs to these addresses and ports; the vote ends with one of them."""
    ip, port = random.Random(len(ends) + ends[0][1]).choice(ends)  # noqa: S311 - a vote
    count = len(ends)
    back = {"rst": count - answered, "syn_ack": answered, "tcp": count, "packets": count}
    return DeviceWindow(
        mac=mac,
        tx={"packets": count, "bytes": 60 * count, "tcp": count, "syn": count},
        rx={name: number for name, number in back.items() if number},
        spread=Spread(src_ips=1, dst_ips=len({i for i, _ in ends}),
                      dst_ports=len({p for _, p in ends})),
        top_peer={"syn": Peer(mac=peer, ip=ip, port=port, packets=1)},
    )  # fmt: skip


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_a_slow_port_scan_is_named(rate: int) -> None:
    """395 ports of one host, a few each second: reported once 200 were tried within a minute."""
    ports = list(range(1, 396))
    steps = [ports[n : n + rate] for n in range(0, len(ports), rate)]
    detector = Detector()

    for second, some in enumerate(steps):
        detector.take(window(second, tries([("198.18.0.11", port) for port in some])))

    assert list(detector.open()) == [f"port-scan-{ID}"]
    alert = detector.open()[f"port-scan-{ID}"]
    assert "slow port scan" in alert.summary
    assert "ports within a minute (threshold 200)" in alert.summary


def test_a_slow_sweep_is_named() -> None:
    """Port 22 of eight hosts a second, of ever other ones."""
    rows = [
        tries([(f"198.18.{n}.{k}", 22) for k in range(8)], peer=f"04:00:00:00:01:{n:02x}")
        for n in range(40)
    ]

    assert rules_of(*[window(n, row) for n, row in enumerate(rows)]) == [f"host-sweep-{ID}"]


def test_what_is_tried_again_and_again_is_no_scan() -> None:
    """A monitor that asks ten dead ports of five hosts each second, for minutes."""
    ends = [(f"198.18.0.{k % 5}", 8000 + k) for k in range(10)]
    rows = []
    for n in range(300):
        row = tries(ends)
        peer = Peer(mac=VICTIM, ip=ends[n % 10][0], port=ends[n % 10][1], packets=1)
        rows.append(window(n, row.model_copy(update={"top_peer": {"syn": peer}})))

    assert rules_of(*rows) == []


def test_file_sharing_and_answered_crawls_are_no_slow_scans() -> None:
    """Peers that are gone have a port and an address each; a crawl is answered."""
    rng = random.Random(1)  # noqa: S311 - noise
    peers = [
        tries([(f"203.0.{rng.randrange(250)}.{rng.randrange(250)}", rng.randrange(1024, 65535))
               for _ in range(8)])
        for _ in range(120)
    ]  # fmt: skip
    crawl = [tries([(f"203.0.{n}.{k}", 443) for k in range(12)], answered=11) for n in range(120)]

    assert rules_of(*[window(n, row) for n, row in enumerate(peers)]) == []
    assert rules_of(*[window(n, row) for n, row in enumerate(crawl)]) == []


def test_one_direction_names_no_slow_scan() -> None:
    """Where answers cannot be seen, everything looks unanswered."""
    steps = [tries([("198.18.0.11", 10 * n + k) for k in range(10)]) for n in range(40)]

    assert rules_of(*[window(n, row, sees_replies=False) for n, row in enumerate(steps)]) == []


def test_scanners_are_bounded() -> None:
    """Ever new senders of unanswered SYNs fill the table once; it frees itself in a minute."""
    scans = SlowScans()
    for n in range(3 * MAX_SCANNERS):
        row = tries([("198.18.0.11", n % 60_000)], mac=f"06:00:00:00:{n >> 8:02x}:{n & 255:02x}")
        scans.see(row, n / 1000)

    assert len(scans) <= MAX_SCANNERS


def test_clients_that_try_again_while_the_router_is_away_are_no_sweepers() -> None:
    """Browsers of a LAN whose router restarts ask for ever other hosts, a few a second each."""
    detector = Detector()
    detector.take(device(ROUTER, 0, "198.18.0.1", role="router"))
    calm = tries([("203.0.113.9", 443)], answered=1, peer=ROUTER)
    answers = plain(ROUTER, packets=4, tcp=4, syn_ack=1)
    detector.take(*[window(n, calm, answers) for n in range(10)])

    for n in range(10, 200):
        row = tries([(f"203.{n}.113.{k}", 443) for k in range(5)], peer=ROUTER)
        detector.take(window(n, row, plain(ROUTER, packets=2, udp=2)))

    assert detector.open() == {}


def test_file_sharing_beyond_a_router_is_no_port_scan() -> None:
    """Peers that are gone have ports and addresses of their own, whoever leads there."""
    rng = random.Random(2)  # noqa: S311 - noise
    detector = Detector()
    detector.take(device(ROUTER, 0, "198.18.0.1", role="router"))
    for n in range(120):
        ends = [(f"203.0.{rng.randrange(250)}.{rng.randrange(250)}", rng.randrange(1024, 65535))
                for _ in range(8)]  # fmt: skip
        detector.take(window(n, tries(ends, peer=ROUTER)))

    assert detector.open() == {}


def test_sixty_four_windows_of_a_sender_are_kept() -> None:
    """The last ones, however short windows are."""
    one = SlowScans()
    for n in range(100):
        one.see(tries([("192.0.2.1", 80)]), 1000.0 + n / 10)

    scanner = one._scanners.get(ATTACKER)
    assert scanner is not None
    assert [window.at_s for window in scanner.windows] == [1000.0 + n / 10 for n in range(36, 100)]
