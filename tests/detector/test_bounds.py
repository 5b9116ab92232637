"""What strangers can fill is bounded, and a full house costs little."""

from __future__ import annotations

import time

import pytest
from tests.detector.windows import ATTACKER, Detector, device, probe, syns, window
from tests.memory import resident_bytes

from monitorpi_common.messages import DeviceWindow, Peer, ProbeResult, Spread, Traffic

CLASSES = ("packets", "bytes", "tcp", "ipv4", "udp", "https", "dns", "arp", "broadcast", "fin")


def busy(mac: str) -> DeviceWindow:
    """Build the row of a device that does a little of everything."""
    return DeviceWindow(
        mac=mac,
        role="host",
        tx=dict.fromkeys(CLASSES, 7) | {"syn": 2, "arp": 1, "broadcast": 1},
        rx=dict.fromkeys(CLASSES, 9) | {"syn_ack": 2},
        spread=Spread(src_ips=1, dst_ips=2, dst_ports=1),
        top_peer={"syn": Peer(mac="04:00:00:00:00:01", ip="203.0.113.9", port=443, packets=1)},
    )


def test_a_million_macs_leave_memory_bounded() -> None:
    """Random source MACs for ever fill the tables once; then memory no longer grows."""
    detector = Detector()
    number = 0
    rows = [
        DeviceWindow.model_construct(
            mac="", role="unknown", tx={"packets": 1, "arp": 1, "dhcp": 12}, rx={},
            spread=Spread(), top_peer={},
        )
        for _ in range(1000)
    ]  # fmt: skip

    def storm(windows: int, first: int) -> None:
        nonlocal number
        for second in range(first, first + windows):
            for row in rows:
                number += 1
                # a new row each time would cost as much as the detector does
                row.__dict__["mac"] = f"02:00:{number.to_bytes(4, 'big').hex(':')}"
            one = window(second, syns(1000), new_macs=1000, source_macs=1000)
            detector.take(one.model_copy(update={"devices": [*one.devices, *rows]}))
            detector.published.clear()

    storm(100, 0)
    before = resident_bytes()
    storm(900, 100)
    after = resident_bytes()

    assert number == 1_000_000
    assert after - before < 30_000_000
    detail = detector.core.detail()
    assert isinstance(detail["devices"], int)
    assert detail["devices"] <= 4096


def test_floods_from_ever_new_macs_leave_memory_bounded() -> None:
    """Every window another hundred attackers: alerts, triggers and silences stay bounded."""
    detector = Detector()
    for second in range(300):
        rows = [
            syns(
                400,
                f"02:01:00:{second >> 8:02x}:{second & 255:02x}:{n:02x}",
                peer=f"04:00:00:00:09:{n:02x}",
                ip=f"198.18.9.{n}",
            )
            for n in range(100)
        ]
        detector.take(window(second, *rows))

    alerts = detector.core._alerts
    assert len(alerts.open_keys()) <= 33
    assert len(alerts._closed) <= 512
    assert len(alerts._triggers) <= 8192


def test_devices_and_targets_without_end_are_bounded() -> None:
    """Notices about ever new devices and targets fill tables of fixed size only."""
    detector = Detector()
    for n in range(10_000):
        mac = f"06:00:00:00:{n >> 8:02x}:{n & 255:02x}"
        detector.take(device(mac, n, f"10.0.{n >> 8}.{n & 255}"))
    for n in range(30):
        targets = [
            ProbeResult(name="x", address=f"10.{n}.{i >> 8}.{i & 255}", state="up", sent=1,
                        received=1, rtt_p50_ms=1.0)
            for i in range(1000)
        ]  # fmt: skip
        detector.take(probe(10_000 + 10 * n, *targets))

    core = detector.core
    assert len(core._notices.macs) <= 8192
    assert len(core._rounds.stays) <= 8192
    assert len(core._inventory) <= 4096
    assert len(core._learning.targets) <= 4096


def test_ten_interfaces_of_256_devices_cost_little() -> None:
    """256 devices a window on ten interfaces are judged in far less than a second each second.

    The figure for the docs is measured apart; here a generous bound catches a blunder.
    """
    rows = [busy(f"04:00:00:01:00:{n:02x}") for n in range(256)]
    payloads = [
        [window(s, *rows, interface=f"eth{i}").encode() for i in range(10)] for s in range(12)
    ]
    detector = Detector()

    start = time.process_time()
    for second in payloads:
        for payload in second:
            detector.take(Traffic.model_validate_json(payload))
    cost = (time.process_time() - start) / len(payloads)

    assert cost < 0.5
    assert detector.alerts == []


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", ATTACKER])
def test_odd_addresses_are_no_trouble(mac: str) -> None:
    """A window that lists group addresses, as forged frames make it, is judged like any other."""
    detector = Detector()

    assert detector.take(window(0, syns(1000, mac, peer=mac)))
