"""``./monitorpi bench page``: what the page costs, with nobody looking and with many.

A dashboard and a broker of its own; on it a LAN of so many devices that all send and are sent in
each window, probed, announced once a minute, beside the health of all services. Pages are streams
as a browser reads them, packed. ``--python`` measures another checkout's program in the same LAN:
compare by turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cli.stack import broker
from monitorpi_common.examples import example
from monitorpi_common.log import Log
from monitorpi_common.messages import (
    Device,
    Health,
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
from monitorpi_dev.bench.history import at, mac, windows
from monitorpi_dev.bench.processes import peak_rss
from monitorpi_host.children import cpu_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_common.messages import Message

DEVICES: Final = 256
SITE: Final = "bench"
SERVICES: Final = ("capture", "detector", "prober", "history", "cloud-bridge", "notifier")
TARGET: Final = example(Target)
ROUND: Final = example(Probe)
_HEALTH_S: Final = 3
_ROUND_S: Final = 10
_RENEWED_S: Final = 60
_START_S: Final = 20.0
_SETTLE_S: Final = 3


@dataclass(frozen=True, slots=True)
class PageFigures:
    """With so many pages open."""

    pages: int
    cpu_ms_per_s: float
    kb_per_s: float
    """Of each page, as it is on the wire; without the first picture."""
    rss_bytes: int
    """The highest so far."""


class BusyLan:
    """What the bus says of a LAN, second by second."""

    def __init__(self, session: Session, devices: int) -> None:
        self._session = session
        self._windows = windows(devices)
        self._devices = devices
        self._second = 0

    def live(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds)):
            due = time.monotonic() + 1
            for topic, message in self._published(datetime.now(UTC)):
                self._session.bus.publish(
                    topic, message.encode(), message.DELIVERY, message.expiry_s
                )
            self._second += 1
            while (left := due - time.monotonic()) > 0:
                self._session.next(left)

    def announce(self) -> None:
        """Publish all state at once, as it is found by whoever comes."""
        now = datetime.now(UTC)
        for topic, message in [one for n in range(self._devices) for one in self._device(n, now)]:
            self._session.bus.publish(topic, message.encode(), message.DELIVERY, message.expiry_s)

    def _published(self, now: datetime) -> Iterator[tuple[Topic, Message]]:
        second = self._second
        window = at(self._windows[second % len(self._windows)], second, now - timedelta(seconds=1))
        fields = {name: getattr(window, name) for name in Wire.model_fields}
        yield _topic(Traffic, "eth0"), window
        yield _topic(Wire, "eth0"), Wire.model_construct(**fields)
        for n in range(second % _RENEWED_S, self._devices, _RENEWED_S):
            yield from self._device(n, now)
        if second % _HEALTH_S == 0:
            watch = example(WatchState)
            change = {"state": "watching", "reasons": [], "at": now, "judged_until": now}
            yield _topic(WatchState, "main"), watch.model_copy(update=change)
            for name in SERVICES:
                health = example(Health).model_copy(update={"at": now, "uptime_s": second})
                yield Topic(SITE, name, Health.KIND, "main"), health
        if second % _ROUND_S == 0:
            results = [_result(n) for n in range(self._devices)]
            times = {"round_start": now, "round_end": now, "seq": second, "targets": results}
            yield _topic(Probe, "main"), ROUND.model_copy(update=times)

    def _device(self, n: int, now: datetime) -> Iterator[tuple[Topic, Message]]:
        named = {
            "mac": mac(n), "ips": [_ip(n)], "hostname": f"host-{n}", "first_seen": now,
            "last_seen": now,
        }  # fmt: skip
        yield _topic(Device, mac_id(mac(n))), example(Device).model_copy(update=named)
        last = TARGET.last.model_copy(update=_answer(n))
        target = {"name": f"host-{n}", "address": _ip(n), "mac": mac(n), "last": last}
        yield _topic(Target, _ip(n).replace(".", "-")), TARGET.model_copy(update=target)


def _topic(kind: type[Message], id_: str) -> Topic:
    assert kind.SERVICE is not None  # noqa: S101 - those here have one
    return Topic(SITE, kind.SERVICE.value, kind.KIND, id_)


def _ip(n: int) -> str:
    return f"192.0.{n >> 8}.{n & 255}"


def _answer(n: int) -> dict[str, Any]:
    return {"rtt_avg_ms": 1 + n / 100, "jitter_ms": n / 1000}


def _result(n: int) -> ProbeResult:
    named = {"name": f"host-{n}", "address": _ip(n), "mac": mac(n)}
    return ROUND.targets[0].model_copy(update=named | _answer(n))


class Looking:
    """A page that is open: it reads what it is sent, and counts it."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.sendall(
            b"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n"
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self._socket.recv(65536):
                self.bytes += len(piece)

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def measure(
    pages: Sequence[int], seconds: int, devices: int = DEVICES, python: str = sys.executable
) -> list[PageFigures]:
    """Run a dashboard and return what it costs with each number of pages."""
    with tempfile.TemporaryDirectory() as folder:
        port, own = broker.free_port(), broker.free_port()
        config = Path(folder) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 8192\n",
            encoding="ascii",
        )
        mosquitto = subprocess.Popen(
            [broker.program(), "-c", str(config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        environment = os.environ | {
            f"{ENV_PREFIX}SITE": SITE, f"{ENV_PREFIX}BROKER__PORT": str(port),
            f"{ENV_PREFIX}STATE_DIR": folder, f"{ENV_PREFIX}DASHBOARD__PORT": str(own),
            f"{ENV_PREFIX}TRUST_CLOCK": "true",
        }  # fmt: skip
        dashboard = subprocess.Popen(
            [python, "-P", "-m", "monitorpi_dashboard"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            with Session(BrokerSettings(port=port), SITE, [], Log(SITE, "error")) as session:
                lan = BusyLan(session, devices)
                _await(own)
                lan.announce()
                lan.live(_SETTLE_S)
                return [_measured(lan, dashboard.pid, own, n, seconds) for n in pages]
        finally:
            for process in (dashboard, mosquitto):
                process.terminate()
                process.wait()


def _await(port: int) -> None:
    """Wait until the page answers.

    Raises:
        TimeoutError: it does not.

    """
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except urllib.error.HTTPError:  # it sees nothing yet, and says so
            return
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise TimeoutError("the page does not answer")


def _measured(lan: BusyLan, pid: int, port: int, pages: int, seconds: int) -> PageFigures:
    looking = [Looking(port) for _ in range(pages)]
    lan.live(_SETTLE_S)
    begin, since = cpu_s(pid), time.monotonic()
    sent = sum(one.bytes for one in looking)
    lan.live(seconds)
    took = time.monotonic() - since
    used, sent = cpu_s(pid) - begin, sum(one.bytes for one in looking) - sent
    for one in looking:
        one.close()
    each = sent / took / 1000 / pages if pages else 0.0
    return PageFigures(pages, round(used / took * 1000, 2), round(each, 2), peak_rss(pid))


def main(argv: Sequence[str]) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench page", description=__doc__)
    parser.add_argument("--devices", type=int, default=DEVICES, metavar="N")
    parser.add_argument("--pages", type=int, nargs="+", default=[0, 1, 8], metavar="N")
    parser.add_argument("--seconds", type=int, default=20, help="of each figure (default 20)")
    parser.add_argument("--python", default=sys.executable, help="that has the page to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args(argv)
    found = measure(options.pages, options.seconds, options.devices, options.python)
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    for one in found:
        print(
            f"{one.pages:2} pages  {one.cpu_ms_per_s:.1f} ms of CPU a second, "
            f"{one.kb_per_s:.1f} kB/s each, {one.rss_bytes / 1e6:.0f} MB"
        )
    return 0
