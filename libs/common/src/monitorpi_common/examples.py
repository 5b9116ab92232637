"""One worked example of every message: the golden ones of the docs and the contract tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from monitorpi_common.messages import (
    Alert,
    AlertEvent,
    Command,
    Device,
    DeviceTotals,
    DeviceWindow,
    Evidence,
    Health,
    Load,
    Message,
    Omitted,
    Onset,
    Packet,
    Peer,
    Probe,
    ProbeResult,
    ProbeSource,
    Rates,
    Result,
    Rollup,
    RuleState,
    Sent,
    SentAlert,
    Spread,
    Target,
    Traffic,
    WatchReason,
    WatchState,
    Wire,
)
from monitorpi_common.topics import Topic

MessageT = TypeVar("MessageT", bound=Message)
SITE: Final = "home"
AT: Final = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
ATTACKER: Final = "b8:27:eb:12:34:56"
VICTIM: Final = "02:00:5e:10:00:01"
_EPOCH: Final = "5f1c09a2b7d4"

_RESULT: Final = ProbeResult(
    name="printer", address="192.168.1.10", mac=VICTIM, state="up", sent=10, received=10,
    loss_ratio=0.0, rtt_min_ms=0.41, rtt_avg_ms=0.52, rtt_p50_ms=0.5, rtt_p95_ms=0.7,
    rtt_max_ms=0.72, mdev_ms=0.08, jitter_ms=0.06, jitter_rfc3550_ms=0.05, pdv_p95_ms=0.29,
    mos=4.4,
)  # fmt: skip

EXAMPLES: Final[tuple[tuple[Topic, Message], ...]] = (
    (
        Topic(SITE, "capture", "wire", "eth0"),
        Wire(
            epoch=_EPOCH,
            seq=42,
            start=AT - timedelta(seconds=1),
            end=AT,
            window_s=1.0,
            clock_synced=True,
            interface="eth0",
            link_bps=100_000_000,
            engine="socket",
            packets=1031,
            bytes=66_010,
            counts={"broadcast": 1, "arp": 1, "ipv4": 1030, "tcp": 1030, "syn": 1012, "rst": 18},
            totals={"packets": 90_031, "bytes": 51_066_010, "syn": 1290, "tcp": 71_030},
            sees_replies=True,
            source_macs=2,
            new_macs=0,
        ),
    ),
    (
        Topic(SITE, "capture", "traffic", "eth0"),
        Traffic(
            epoch=_EPOCH,
            seq=42,
            start=AT - timedelta(seconds=1),
            end=AT,
            window_s=1.0,
            clock_synced=True,
            interface="eth0",
            link_bps=100_000_000,
            engine="socket",
            packets=1031,
            bytes=66_010,
            counts={"broadcast": 1, "arp": 1, "ipv4": 1030, "tcp": 1030, "syn": 1012, "rst": 18},
            totals={"packets": 90_031, "bytes": 51_066_010, "syn": 1290, "tcp": 71_030},
            sees_replies=True,
            source_macs=2,
            new_macs=0,
            devices=[
                DeviceWindow(
                    mac=ATTACKER,
                    role="host",
                    tx={"packets": 1012, "bytes": 64_768, "syn": 1012, "tcp": 1012, "ipv4": 1012},
                    rx={"packets": 18, "bytes": 1080, "rst": 18, "tcp": 18, "ipv4": 18},
                    spread=Spread(src_ips=1, dst_ips=1, dst_ports=1),
                    top_peer={"syn": Peer(mac=VICTIM, ip="192.168.1.10", port=80, packets=1012)},
                ),
                DeviceWindow(
                    mac=VICTIM,
                    tx={"packets": 18, "bytes": 1080, "rst": 18, "tcp": 18, "ipv4": 18},
                    rx={"packets": 1012, "bytes": 64_768, "syn": 1012, "tcp": 1012, "ipv4": 1012},
                ),
            ],
            omitted=Omitted(devices=1, packets=1, bytes=162, classes={"broadcast": 1, "arp": 1}),
        ),
    ),
    (
        Topic(SITE, "capture", "onset", "eth0"),
        Onset(
            epoch=_EPOCH,
            seq=43,
            start=AT,
            end=AT + timedelta(seconds=0.42),
            window_s=0.42,
            rise_s=0.12,
            before={"syn": 2},
            late_syn=1000,
            clock_synced=True,
            interface="eth0",
            engine="ebpf",
            packets=1202,
            bytes=76_928,
            counts={"ipv4": 1202, "tcp": 1202, "syn": 1202},
            sees_replies=True,
            devices=[
                DeviceWindow(
                    mac=ATTACKER,
                    role="host",
                    tx={"packets": 1200, "bytes": 76_800, "syn": 1200, "tcp": 1200, "ipv4": 1200},
                    spread=Spread(src_ips=1, dst_ips=1, dst_ports=1),
                    top_peer={"syn": Peer(mac=VICTIM, ip="192.168.1.10", port=80, packets=1200)},
                ),
            ],
        ),
    ),
    (
        Topic(SITE, "capture", "packet", "eth0"),
        Packet(
            epoch=_EPOCH,
            seq=7,
            at=AT,
            line="192.168.1.20:40112 > 192.168.1.10:80 tcp syn",
            mac_src=ATTACKER,
            mac_dst=VICTIM,
            ip_src="192.168.1.20",
            ip_dst="192.168.1.10",
            length=60,
        ),
    ),
    (
        Topic(SITE, "capture", "device", "b827eb123456"),
        Device(
            mac=ATTACKER,
            role="host",
            ips=["192.168.1.20"],
            hostname="workshop",
            vendor="Raspberry Pi Foundation",
            interface="eth0",
            first_seen=AT - timedelta(days=1),
            last_seen=AT,
            present=True,
            totals=DeviceTotals(tx={"packets": 2012, "bytes": 164_768}, rx={"packets": 918}),
            load=Load(
                tx_bps=518_144.0,
                rx_bps=8640.0,
                tx_frames_per_s=340.0,
                rx_frames_per_s=12.5,
                utilisation_ratio=0.005,
            ),
        ),
    ),
    (
        Topic(SITE, "prober", "probe", "main"),
        Probe(
            epoch=_EPOCH,
            seq=3,
            round_start=AT - timedelta(seconds=10),
            round_end=AT,
            clock_synced=True,
            noise_floor_ms=0.02,
            source=ProbeSource(mac="02:00:5e:10:00:99", ip="192.168.1.2", echo_per_s=1.0),
            targets=[_RESULT],
        ),
    ),
    (
        Topic(SITE, "prober", "target", "192-168-1-10"),
        Target(
            name="printer",
            address="192.168.1.10",
            mac=VICTIM,
            state="up",
            since=AT - timedelta(hours=2),
            at=AT,
            last=_RESULT,
        ),
    ),
    (
        Topic(SITE, "detector", "watch", "main"),
        WatchState(
            state="partly",
            since=AT - timedelta(minutes=3),
            at=AT,
            judged_until=AT - timedelta(seconds=1),
            reasons=[
                WatchReason(
                    what="service",
                    service="prober",
                    text="The prober is not running.",
                    remedy="look at its last log lines; ./monitorpi up starts it again",
                )
            ],
        ),
    ),
    (
        Topic(SITE, "detector", "alert", "syn-flood-b827eb123456"),
        Alert(
            id="8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c11",
            key="syn-flood-b827eb123456",
            rule="syn-flood",
            severity="critical",
            state="open",
            subject="b827eb123456",
            interface="eth0",
            opened_at=AT,
            at=AT,
            summary="b8:27:eb:12:34:56 sends 1012 SYN/s to 192.168.1.10 port 80; 0 % are answered",
            evidence=Evidence(
                value=1012.0,
                threshold=100.0,
                window_s=1.0,
                peak=1012.0,
                sources=[Peer(mac=ATTACKER, ip="192.168.1.20", packets=1012)],
                victims=[Peer(mac=VICTIM, ip="192.168.1.10", port=80, packets=1012)],
                spread=Spread(src_ips=1, dst_ips=1, dst_ports=1),
                answered_ratio=0.0,
                spoofed=False,
                sees_replies=True,
            ),
        ),
    ),
    (
        Topic(SITE, "notifier", "sent", "phone"),
        Sent(
            at=AT + timedelta(seconds=1),
            destination="phone",
            what="opened",
            ok=True,
            tries=1,
            title="CRITICAL SYN flood: camera",
            changes=1,
            waited_s=1.0,
            alerts=[
                SentAlert(
                    key="syn-flood-b827eb123456",
                    id="8f3e0b8e-3c0b-5d0a-9a55-0f6f5a1f7c11",
                    what="opened",
                )
            ],
        ),
    ),
    (
        Topic(SITE, "cloud-bridge", "rollup", "traffic"),
        Rollup(
            at=AT.replace(second=0),
            interval_s=60,
            values={"broadcast": 61, "DHCP": 2, "DNS": 412, "ARP": 87, "ICMP": 60, "SYN": 2214},
        ),
    ),
    (
        Topic(SITE, "home-assistant", "rates", "eth0"),
        Rates(
            at=AT,
            interface="eth0",
            interval_s=10.0,
            frames_per_s=103.1,
            bps=52_808,
            utilisation_ratio=0.0005,
            lost_ratio=0.0,
            classes={"broadcast": 0.1, "syn": 101.2},
        ),
    ),
    (
        Topic(SITE, "home-assistant", "rule", "syn-flood"),
        RuleState(
            at=AT,
            rule="syn-flood",
            state="ON",
            open=1,
            severity="critical",
            summary="b8:27:eb:12:34:56 sends 1012 SYN/s to 192.168.1.10 port 80; 0 % are answered",
            keys=["syn-flood-b827eb123456"],
        ),
    ),
    (
        Topic(SITE, "home-assistant", "event", "alert"),
        AlertEvent(
            event_type="opened",
            at=AT,
            rule="syn-flood",
            severity="critical",
            key="syn-flood-b827eb123456",
            summary="b8:27:eb:12:34:56 sends 1012 SYN/s to 192.168.1.10 port 80; 0 % are answered",
        ),
    ),
    (
        Topic(SITE, "detector", "health", "main"),
        Health(
            at=AT,
            version="0.1.0",
            started_at=AT - timedelta(hours=1),
            uptime_s=3600.0,
            published_total=12,
            received_total=3600,
            rejected_total=0,
            refused_total=0,
            queue_depth=0,
            queue_dropped_total=0,
            rss_bytes=41_000_000,
            clock_synced=True,
            detail={"open_alerts": 1},
        ),
    ),
    (
        Topic(SITE, "detector", "command", "from-the-desk"),
        Command(name="silence", args={"key": "syn-flood-b827eb123456", "minutes": 30}, at=AT),
    ),
    (
        Topic(SITE, "detector", "result", "from-the-desk"),
        Result(name="silence", at=AT, ok=True),
    ),
)
"""Topic and message pairs, at least one of every class of the contract."""


def example(kind: type[MessageT]) -> MessageT:
    """Return the first example of a message class."""
    found = (one for _, one in EXAMPLES if isinstance(one, kind) and type(one) is kind)
    return next(found)
