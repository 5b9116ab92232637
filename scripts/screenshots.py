"""Take the pictures of docs/images from a played LAN: screenshots.py [OUT] [PICTURE...].

A broker, a history that is given a week, and a page, each for itself; on the bus a small LAN with a
SYN flood. Every view is taken on a desktop, in the dark and on a phone; the kiosk on both of its
screens. Without names those of the documents are taken, with `all` every one. All of it is made up.
"""

# ruff: noqa: S603 - programs of our own

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screenshot import browser  # type: ignore[import-not-found] # it stands beside this file
from selenium.webdriver.support.ui import WebDriverWait

from monitorpi_cli.stack import broker
from monitorpi_common.examples import example
from monitorpi_common.log import Log
from monitorpi_common.messages import (
    Alert,
    Device,
    DeviceWindow,
    Evidence,
    Health,
    Packet,
    Peer,
    Probe,
    ProbeResult,
    Target,
    Traffic,
    WatchState,
    Wire,
)
from monitorpi_common.session import Session
from monitorpi_common.settings import ENV_PREFIX, BrokerSettings
from monitorpi_common.topics import Topic, mac_id
from monitorpi_history.items import COVERED, HOUR_S, SLOT_S, Batch, Named, Series, Stretch
from monitorpi_history.sinks.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_common.messages import Message

SITE = "home"
HOSTS = {
    "router": ("00:00:5e:00:53:01", 900, "IANA"), "nas": ("00:00:5e:00:53:02", 1500, "Synology"),
    "television": ("00:00:5e:00:53:05", 2400, "LG Electronics"),
    "printer": ("00:00:5e:00:53:03", 12, "Brother"),
    "camera": ("00:00:5e:00:53:04", 160, "Reolink"),
    "phone": ("00:00:5e:00:53:06", 90, "Apple"), "laptop": ("00:00:5e:00:53:07", 340, "Intel"),
    "thermostat": ("00:00:5e:00:53:08", 2, "Espressif"),
}  # fmt: skip
"""Name: MAC address (RFC 9542 documentation range), frames a second, maker."""
VIEWS = {
    "dashboard": "now?span=24h",
    "devices": "devices",
    "device": "device/00:00:5e:00:53:02?span=24h",
    "alerts": "alerts?span=7d",
    "packets": "packets",
    "services": "services",
    "threshold": "threshold/syn-flood?floor=150",
}
FORMS = {
    "": (1280, 900, False), "-dark": (1280, 900, True), "-phone": (390, 844, False),
}  # fmt: skip
DOCUMENTED = (
    "dashboard", "dashboard-dark", "dashboard-phone", "device", "threshold", "kiosk",
)  # fmt: skip
HOURS = 24 * 7
BEGAN = datetime.now(UTC)
FLOODED = range(120, 168)
"""Slots of the hour in which the camera was mad."""
DICE = random.Random(7)  # noqa: S311 - the same each time


def _ip(name: str) -> str:
    return f"192.0.2.{list(HOSTS).index(name) + 1}"


def _lively(at_s: float) -> float:
    """Return how busy people are: little at night."""
    day = math.sin((at_s / HOUR_S % 24 - 7) / 17 * math.pi)
    return 0.3 + max(0.0, day) * DICE.uniform(0.6, 1.1)


def _tally(frames: float) -> dict[str, int]:
    n = max(int(frames), 1)
    return {"packets": n, "bytes": 620 * n, "ipv4": n, "tcp": n * 7 // 10, "https": n * 6 // 10,
            "udp": n // 4, "dns": n // 60, "syn": n // 90, "arp": 1 + n // 400,
            "icmp_echo": n // 200, "icmp": n // 100, "multicast": n // 90}  # fmt: skip


# --- the week that is remembered ------------------------------------------------------------------


def remember(file: Path, now: datetime) -> None:
    """Write a week: days and nights, a flood of the camera last night, an hour without power."""
    archive = Archive(file, 500_000_000, None, Log("history", "error"))
    archive.open()
    end = int(now.timestamp()) // HOUR_S
    night = end - 9
    for hour in range(end - HOURS, end + 1):
        slots = int(now.timestamp()) % HOUR_S // SLOT_S if hour == end else HOUR_S // SLOT_S
        if hour == end - 60 or slots == 0:
            continue
        archive.save(Batch([_hour(hour, slots, night)]))
        while archive.work((hour + 1) * HOUR_S + 150, is_set=True):
            pass
    opened = datetime.fromtimestamp(night * HOUR_S + 1200, UTC)
    archive.save(Batch(
        alerts=[flood(opened, opened + timedelta(minutes=8), "closed"),
                flood(opened - timedelta(days=3), None, "closed", peak=130.0)],
        targets={_ip(name): Named(name, "up") for name in HOSTS},
    ))  # fmt: skip
    archive.close()


def _hour(hour: int, slots: int, night: int) -> Stretch:
    series: dict[Series, dict[str, list[int]]] = {}
    wire: dict[str, list[int]] = {COVERED: [SLOT_S * 1000] * slots}
    for name, (mac, frames, _) in HOSTS.items():
        columns: dict[str, list[int]] = {}
        for at in range(slots):
            some = frames * SLOT_S * _lively(hour * HOUR_S) * DICE.uniform(0.5, 1.5)
            for way, share in (("tx", 1.0), ("rx", 0.6)):
                counts = _tally(some * share)
                if name == "camera" and hour == night and at in FLOODED and way == "tx":
                    counts["syn"] = int(9000 * DICE.uniform(0.9, 1.1))
                for word, value in counts.items():
                    columns.setdefault(f"{way}_{word}", [0] * slots)[at] = value
                    if way == "tx":
                        wire.setdefault(word, [0] * slots)[at] += value
        series[Series("device", "eth0", mac)] = columns
        series[Series("target", "main", _ip(name))] = _rounds(slots, hour, night, name)
    series[Series("wire", "eth0")] = wire
    return Stretch(hour, 0, slots, series)


def _rounds(slots: int, hour: int, night: int, name: str) -> dict[str, list[int]]:
    bad = hour == night and name == "nas"
    lost = [DICE.randint(1, 6) if bad and at in FLOODED else 0 for at in range(slots)]
    rtt = [int(DICE.uniform(300, 700) * (20 if lost[at] else 1)) for at in range(slots)]
    got = [10 - one for one in lost]
    return {
        "rounds": [1] * slots, "rounds_up": [1] * slots, "sent": [10] * slots, "received": got,
        "rtt_min_us": [one // 2 for one in rtt], "rtt_max_us": [one * 3 for one in rtt],
        "rtt_p95_us": [one * 2 for one in rtt], "pdv_p95_us": rtt,
        "rtt_avg_us_sum": [a * b for a, b in zip(rtt, got, strict=True)],
        "rtt_p50_us_sum": [a * b for a, b in zip(rtt, got, strict=True)],
        "jitter_us_sum": [a * b // 8 for a, b in zip(rtt, got, strict=True)],
        "jitter_received": got, "mos_centi": [300 if one else 438 for one in lost],
    }  # fmt: skip


def flood(opened: datetime, closed: datetime | None, state: str, peak: float = 940.0) -> Alert:
    """Return the alert on the camera."""
    camera, nas = HOSTS["camera"][0], HOSTS["nas"][0]
    end = closed or opened + timedelta(seconds=40)
    return Alert.model_validate({
        "id": f"8f3e0b8e-3c0b-5d0a-9a55-{int(opened.timestamp()):012x}",
        "key": f"syn-flood-{mac_id(camera)}", "rule": "syn-flood", "severity": "critical",
        "state": state, "subject": mac_id(camera), "interface": "eth0", "opened_at": opened,
        "at": end if state == "closed" else datetime.now(UTC),
        "closed_at": end if state == "closed" else None,
        "close_reason": "quiet" if state == "closed" else None,
        "summary": f"SYN flood from {camera} to 192.0.2.2 port 80 ({nas}): {peak:.0f} SYN/s over "
                   "1 s (threshold 100), 0% answered",
        "evidence": Evidence(
            value=peak * 0.95, threshold=100, baseline=1.8, window_s=1, peak=peak, unit="SYN/s",
            answered_ratio=0.0, sources=[Peer(mac=camera, ip="192.0.2.5", packets=int(peak))],
            victims=[Peer(mac=nas, ip="192.0.2.2", port=80, packets=int(peak))],
        ),
    })  # fmt: skip


# --- what the bus says meanwhile ------------------------------------------------------------------


def _standing(now: datetime) -> Iterator[tuple[Topic, Message]]:
    """Yield what is retained."""
    for name, (mac, _, vendor) in HOSTS.items():
        named = {
            "mac": mac, "ips": [_ip(name)], "hostname": name, "vendor": vendor, "last_seen": now,
            "first_seen": now - timedelta(days=200),
            "role": "router" if name == "router" else "host",
            "interface": "eth0", "conflicts": [], "marks": {"known": True},
        }  # fmt: skip
        yield _topic(Device, mac_id(mac)), _with(Device, named)
        last = _result(name)
        told = {"name": name, "address": _ip(name), "mac": mac, "vendor": vendor, "last": last,
                "state": "up", "since": now - timedelta(days=2)}  # fmt: skip
        yield _topic(Target, _ip(name).replace(".", "-")), _with(Target, told)
    floors = {"thresholds": {}, "configured_floors": {"syn-flood": 100.0}}
    for service in ("capture", "detector", "prober", "notifier"):
        detail = {"detector": floors, "notifier": {"destinations": {"mail": {
            "waiting": 0, "delivered_total": 14, "failed_total": 0, "delivered_s_ago": 41}}},
        }.get(service, {})  # fmt: skip
        yield (
            Topic(SITE, service, Health.KIND, "main"),
            _with(Health, {"at": now, "uptime_s": 432000, "detail": detail}),
        )
    watch = {"state": "watching", "reasons": [], "at": now, "judged_until": now}
    yield _topic(WatchState, "main"), _with(WatchState, watch)
    alert = flood(BEGAN - timedelta(seconds=30), None, "open")
    yield _topic(Alert, alert.key), alert


def _with(kind: type[Message], change: dict[str, Any]) -> Message:
    return kind.model_validate(json.loads(example(kind).encode()) | change)


def _topic(kind: type[Message], id_: str) -> Topic:
    assert kind.SERVICE is not None  # noqa: S101 - those here have one
    return Topic(SITE, kind.SERVICE.value, kind.KIND, id_)


def _result(name: str) -> ProbeResult:
    base = example(Target).last.model_dump()
    rtt = 0.3 + list(HOSTS).index(name) / 4
    return ProbeResult.model_validate(base | {
        "name": name, "address": _ip(name), "mac": HOSTS[name][0], "state": "up", "sent": 10,
        "received": 10, "loss_ratio": 0.0, "rtt_avg_ms": rtt, "jitter_ms": rtt / 10, "error": None,
    })  # fmt: skip


def _second(at: datetime, seq: int) -> Iterator[tuple[Topic, Message]]:
    """Yield a window, its wire, and a frame of the flood."""
    rows = []
    for name, (mac, frames, _) in HOSTS.items():
        some = frames * DICE.uniform(0.6, 1.4)
        tx = _tally(some)
        if name == "camera":
            tx |= {"syn": int(900 * DICE.uniform(0.95, 1.05)), "packets": tx["packets"] + 900}
        rows.append(DeviceWindow(mac=mac, tx=tx, rx=_tally(some * 0.6)))
    counts = {word: sum(row.tx.get(word, 0) for row in rows) for word in _tally(1)}
    packets, size = counts.pop("packets"), counts.pop("bytes")
    told = {"epoch": "e", "seq": seq, "start": at - timedelta(seconds=1), "end": at,
            "window_s": 1.0, "clock_synced": True, "interface": "eth0", "engine": "ebpf",
            "link_bps": 10**9,
            "packets": packets, "bytes": size, "counts": counts,
            "totals": {**counts, "packets": packets * seq}, "sees_replies": True, "devices": rows,
            "kernel_drops": 0,
            "source_macs": len(rows), "new_macs": 0}  # fmt: skip
    window = Traffic.model_validate(told)
    yield _topic(Traffic, "eth0"), window
    fields = {name: getattr(window, name) for name in Wire.model_fields}
    yield _topic(Wire, "eth0"), Wire.model_construct(**fields)
    for n in range(5):
        port = DICE.randint(20000, 60000)
        line = {
            "at": at, "epoch": "e", "seq": 5 * seq + n, "mac_src": HOSTS["camera"][0],
            "mac_dst": HOSTS["nas"][0], "ip_src": "192.0.2.5", "ip_dst": "192.0.2.2", "length": 60,
            "line": f"192.0.2.5 port {port} > 192.0.2.2 port 80 ipv4 tcp syn http 60 bytes",
        }  # fmt: skip
        yield _topic(Packet, "eth0"), _with(Packet, line)
    if seq % 10 == 0:
        targets = [_result(name) for name in HOSTS]
        told = {"round_start": at, "round_end": at, "seq": seq, "targets": targets}
        yield _topic(Probe, "main"), _with(Probe, told)


class PlayedLan(threading.Thread):
    """Publishes all of it, each second anew, and answers commands."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.ended = threading.Event()

    def run(self) -> None:
        """Play until ended."""
        commands = [f"monitorpi/v1/{SITE}/+/command/+"]
        settings = BrokerSettings(port=self._port)
        with Session(settings, SITE, commands, Log(SITE, "error")) as session:
            seq = 0
            while not self.ended.is_set():
                now = datetime.now(UTC)
                for service in ("capture", "detector", "prober", "notifier"):
                    status = Topic(SITE, service, "status", "main")
                    session.bus.publish(status, b"online", example(Health).DELIVERY, None)
                said = [*(_standing(now) if seq % 5 == 0 else ()), *_second(now, seq)]
                for topic, message in said:
                    session.bus.publish(topic, message.encode(), message.DELIVERY, message.expiry_s)
                seq += 1
                until = time.monotonic() + 1
                while (left := until - time.monotonic()) > 0:
                    session.next(left)


# --- the pictures ---------------------------------------------------------------------------------


def take(url: str, out: Path, wanted: Sequence[str]) -> None:
    """Save each view in each form, and the kiosk on both of its screens, as far as wanted."""
    pictures = [
        (f"{name}{ending}", f"{url}#/{view}", form)
        for ending, form in FORMS.items()
        for name, view in VIEWS.items()
    ]
    small = {"kiosk": (800, 480, False), "kiosk-480": (480, 320, False)}
    pictures += [(name, f"{url}kiosk", form) for name, form in small.items()]
    for name, address, (width, height, dark) in pictures:
        if name in wanted or "all" in wanted:
            page = browser(dark=dark, size=(width, height))
            try:
                page.get(address)
                _save(page, out / f"{name}.png")
            finally:
                page.quit()


def _save(page: Any, file: Path) -> None:
    WebDriverWait(page, 30).until(lambda p: "camera" in p.page_source or "capture" in p.page_source)
    time.sleep(4)
    page.save_screenshot(str(file))
    sys.stdout.write(f"{file}\n")


def _await(port: int) -> None:
    """Wait until the page watches."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return


def main(arguments: list[str]) -> int:
    """Play the LAN and take the pictures."""
    out = Path(arguments[0] if arguments else "docs/images")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        remember(Path(folder) / "history.sqlite", datetime.now(UTC))
        port, own = broker.free_port(), broker.free_port()
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="ascii")
        environment = os.environ | {
            f"{ENV_PREFIX}SITE": SITE, f"{ENV_PREFIX}BROKER__PORT": str(port),
            f"{ENV_PREFIX}STATE_DIR": folder, f"{ENV_PREFIX}DASHBOARD__PORT": str(own),
            f"{ENV_PREFIX}HISTORY__PORT": "0", f"{ENV_PREFIX}TRUST_CLOCK": "true",
        }  # fmt: skip
        started = [
            subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            for command in (
                [broker.program(), "-c", str(config)],
                [sys.executable, "-P", "-m", "monitorpi_history"],
                [sys.executable, "-P", "-m", "monitorpi_dashboard"],
            )
        ]
        lan = PlayedLan(port)
        try:
            lan.start()
            _await(own)
            take(f"http://127.0.0.1:{own}/", out, arguments[1:] or DOCUMENTED)
        finally:
            lan.ended.set()
            lan.join(5)
            for process in reversed(started):
                process.terminate()
                process.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
