"""``./monitorpi bench history``: what it costs to remember a LAN, and to be asked.

Three measurements, each in a process of its own. *Live*: the service and a broker, a window a
second: its share of a core, its memory and how often it forces the disk (strace). *Written*: hours
of windows with a clock that runs as fast as they are taken: CPU and bytes written, of which a day
is made. *Asked*: a month that is filled by the hour, and a last day by ten seconds; then questions
as the page asks them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cli.stack import broker
from monitorpi_common.log import Log
from monitorpi_common.messages import CLASSES, DeviceWindow, Traffic
from monitorpi_common.service import Received, Tick
from monitorpi_common.session import Session
from monitorpi_common.settings import ENV_PREFIX, BrokerSettings
from monitorpi_common.topics import Topic
from monitorpi_dev.bench.processes import peak_rss
from monitorpi_history.core import HistoryCore
from monitorpi_history.diary import Diary
from monitorpi_history.items import COVERED, DAY_S, HOUR_S, SLOT_S, Batch, Series, Stretch
from monitorpi_history.sinks.archive import Archive
from monitorpi_history.sources.reader import Reader, open_to_read
from monitorpi_history.sources.tables import TABLES
from monitorpi_host.children import cpu_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEVICES: Final = 256
USED: Final = CLASSES[:18]
"""Classes every device sends and is sent: with frames and bytes twenty columns each way."""
_CLASS_SHARE: Final = 0.35
"""Of the seconds in which a device has a class: nearly all are in each ten seconds."""
_KINDS: Final = 30
"""Different windows, taken in turns."""
_START: Final = datetime(2026, 3, 2, tzinfo=UTC)
_TOPIC: Final = Topic("bench", "capture", "traffic", "eth0")
_BUDGET: Final = 5_000_000_000
_FILL_EVERY: Final = 60
_FEW: Final = 16
"""Of the days before the last one slot in so many is filled, of so few devices: a device's blocks
are as many as ever, and found by their key."""
_ASKED: Final = 7
_LEAST_ANSWER: Final = 1000


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported."""

    devices: int
    live_cpu_ratio: float
    live_rss_bytes: int
    live_fsyncs_per_minute: float | None
    payload_bytes: int
    cpu_ratio: float
    """With the folding of hours, which a minute of life does not see."""
    written_bytes_per_day: int
    kept_bytes_per_day: dict[str, int]
    rss_bytes: int
    asked_ms: dict[str, float]
    asked_rss_bytes: int


def mac(serial: int) -> str:
    """Return the MAC address of a device by its number."""
    return f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}"


def windows(devices: int) -> list[Traffic]:
    """Return windows of a busy LAN, always the same."""
    dice = random.Random(1)  # noqa: S311 - repeatable on purpose

    def tally() -> dict[str, int]:
        counts = {name: dice.randint(1, 3) for name in USED if dice.random() < _CLASS_SHARE}
        frames = max(sum(counts.values()) // 2, 1)
        return counts | {"packets": frames, "bytes": frames * dice.randint(60, 1500)}

    made = []
    for _ in range(_KINDS):
        rows = [DeviceWindow(mac=mac(n), tx=tally(), rx=tally()) for n in range(devices)]
        frames = sum(row.tx["packets"] for row in rows)
        wire = {name: sum(row.tx.get(name, 0) for row in rows) for name in USED}
        made.append(
            Traffic(
                epoch="bench", seq=0, start=_START, end=_START, window_s=1, clock_synced=True,
                interface="eth0", engine="ebpf", packets=frames, bytes=700 * frames, counts=wire,
                totals=wire, devices=rows,
            )
        )  # fmt: skip
    return made


def at(window: Traffic, seq: int, when: datetime) -> Traffic:
    """Return a window of another second."""
    change = {"seq": seq, "start": when, "end": when + timedelta(seconds=1)}
    return window.model_copy(update=change)


# --- live ---------------------------------------------------------------------------------------


def live(devices: int, seconds: int) -> dict[str, Any]:
    """Run the service and feed it a window a second."""
    with tempfile.TemporaryDirectory() as folder:
        port = broker.free_port()
        mosquitto = subprocess.Popen(
            [broker.program(), "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return _live(Path(folder), port, devices, seconds)
        finally:
            mosquitto.terminate()
            mosquitto.wait()


def _live(folder: Path, port: int, devices: int, seconds: int) -> dict[str, Any]:
    traced = folder / "fsyncs"
    strace = shutil.which("strace") or ""
    tracer = [strace, "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", str(traced)]
    environment = os.environ | {
        f"{ENV_PREFIX}SITE": "bench", f"{ENV_PREFIX}BROKER__PORT": str(port),
        f"{ENV_PREFIX}STATE_DIR": str(folder), f"{ENV_PREFIX}HISTORY__PORT": "0",
        f"{ENV_PREFIX}TRUST_CLOCK": "true",
    }  # fmt: skip
    service = [sys.executable, "-P", "-m", "monitorpi_history"]
    process = subprocess.Popen(
        [*(tracer if strace else []), *service], env=environment, stderr=subprocess.DEVNULL
    )
    pid = process.pid if not strace else _child(process.pid)
    try:
        settings = BrokerSettings(port=port)
        with Session(settings, "bench", [], Log("bench", "error")) as session:
            made = windows(devices)
            _feed(session, made, 10)
            begin, fsyncs = cpu_s(pid), _fsyncs(traced)
            since = time.monotonic()
            _feed(session, made, seconds)
            took = time.monotonic() - since
            used = cpu_s(pid) - begin
            return {
                "live_cpu_ratio": round(used / took, 5),
                "live_rss_bytes": peak_rss(pid),
                "live_fsyncs_per_minute":
                    round((_fsyncs(traced) - fsyncs) / took * 60, 2) if strace else None,
                "payload_bytes": len(made[0].encode()),
            }  # fmt: skip
    finally:
        os.kill(pid, signal.SIGTERM)  # a tracer would go on waiting
        process.wait()


def _child(pid: int) -> int:
    """Return the service that a tracer runs; before it the tracer tries what the kernel can."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        for child in children.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                program = Path(f"/proc/{child}/cmdline").read_bytes().partition(b"\0")[0]
                if program == os.fsencode(sys.executable):
                    return int(child)
        time.sleep(0.01)


def _fsyncs(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


def _feed(session: Session, made: Sequence[Traffic], seconds: int) -> None:
    for _ in range(seconds):
        due = time.monotonic() + 1
        now = datetime.now(UTC)
        one = at(made[int(now.timestamp()) % _KINDS], int(now.timestamp()), now)
        session.bus.publish(_TOPIC, one.encode(), one.DELIVERY, one.expiry_s)
        while (left := due - time.monotonic()) > 0:
            session.next(left)


# --- written ------------------------------------------------------------------------------------


def written(folder: Path, devices: int, hours: float) -> dict[str, Any]:
    """Let the core and the archive take hours of windows as fast as they can."""
    archive = Archive(folder / "history.sqlite", _BUDGET, None, Log("bench", "error"))
    core = HistoryCore(archive, Diary(), {}, lambda _: None)
    payloads = [one.encode() for one in windows(devices)]
    dice = random.Random(3)  # noqa: S311 - repeatable on purpose
    begin, bytes_before, now = time.process_time(), _written(), _START
    seconds = round(hours * HOUR_S)
    for second in range(seconds):
        core.handle(Tick(now, float(second), clock_synced=True))
        window = Traffic.model_validate_json(dice.choice(payloads))
        core.handle(Received(_TOPIC, at(window, second, now)))
        now += timedelta(seconds=1)
    used, wrote = time.process_time() - begin, _written() - bytes_before
    core.close()
    tiers: Any = archive.state(now.timestamp())["tiers"]
    archive.close()
    packed = (hours * HOUR_S - 600) // HOUR_S or 1
    return {
        "cpu_ratio": round(used / seconds, 5),
        "written_bytes_per_day": round(wrote / seconds * DAY_S),
        "kept_bytes_per_day": {
            step: round(one["bytes"] / (hours if step == "10" else packed) * 24)
            for step, one in tiers.items()
        },
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _written() -> int:
    """Return the bytes this process has caused to be written (proc(5), io)."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(text.split("write_bytes: ")[1].split()[0])


# --- asked --------------------------------------------------------------------------------------


def fill(folder: Path, devices: int, days: int) -> dict[str, Any]:
    """Fill a month, the last day by ten seconds, the days before more thinly."""
    archive = Archive(folder / "history.sqlite", _BUDGET, None, Log("bench", "error"))
    dice = random.Random(2)  # noqa: S311 - repeatable on purpose
    hour = int(_START.timestamp()) // HOUR_S
    for number in range(hour - 24 * days, hour):
        is_last = number >= hour - 24
        some, every = (devices, 1) if is_last else (min(devices, _FEW), _FILL_EVERY)
        for stretch in _stretches(dice, number, some, every):
            archive.save(Batch([stretch]))
        while archive.work((number + 1.5) * HOUR_S, is_set=True):
            pass
    archive.close()
    return {}


def _stretches(dice: random.Random, hour: int, devices: int, every: int) -> Iterator[Stretch]:
    length = 3
    names = [f"{way}_{name}" for way in ("tx", "rx") for name in (*USED, "packets", "bytes")]
    covered = {COVERED: [10_000] * length, "packets": [9999] * length, "syn": [77] * length}
    for first in range(0, HOUR_S // SLOT_S, length * every):
        series: dict[Series, dict[str, list[int]]] = {Series("wire", "eth0"): covered}
        for device in range(devices):
            values = dice.choices(range(14), k=length * len(names))
            series[Series("device", "eth0", mac(device))] = {
                name: values[length * n : length * (n + 1)] for n, name in enumerate(names)
            }
        yield Stretch(hour, first, length, series)


QUESTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a day of a device": ("traffic", {"from": "-24h", "mac": mac(7)}),
    "a day of a device by 10 s": ("traffic", {"from": "-24h", "mac": mac(7), "step": 10}),
    "a day of the wire": ("wire", {"from": "-24h"}),
    "a day of the LAN": ("traffic", {"from": "-24h", "step": 3600}),
    "a day of the LAN, bytes by 10 min":
        ("traffic", {"from": "-24h", "step": 600, "columns": "tx_bytes,rx_bytes"}),
    "30 days of a device": ("traffic", {"from": "-30d", "mac": mac(7)}),
}  # fmt: skip


def asked(folder: Path) -> dict[str, Any]:
    """Ask each question some times; the median of the CPU time counts, the file is in memory."""
    found = {}
    for name, (table, words) in QUESTIONS.items():
        one = next(one for one in TABLES if one.name == table)
        times = []
        for _ in range(_ASKED):
            begin = time.process_time()
            db = open_to_read(folder / "history.sqlite")
            question = one.question.model_validate(words, context={"now_s": _START.timestamp()})
            size = sum(len(part) for part in one.answer(Reader(db), question))
            db.close()
            times.append((time.process_time() - begin) * 1000)
        assert size > _LEAST_ANSWER  # noqa: S101 - else no figure counts
        found[name] = round(statistics.median(times), 1)
    return {
        "asked_ms": found,
        "asked_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


# --- the command --------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench history", description=__doc__)
    parser.add_argument("--devices", type=int, default=DEVICES, metavar="N")
    parser.add_argument("--seconds", type=int, default=60, help="of life (default 60)")
    parser.add_argument("--hours", type=float, default=3.2, help="that are written (default 3.2)")
    parser.add_argument("--days", type=int, default=30, help="that are asked for (default 30)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--step", choices=["written", "fill", "asked"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    match options.step:
        case "written":
            print(json.dumps(written(options.folder, options.devices, options.hours)))
            return 0
        case "fill":
            print(json.dumps(fill(options.folder, options.devices, options.days)))
            return 0
        case "asked":
            print(json.dumps(asked(options.folder)))
            return 0
    found = live(options.devices, options.seconds)
    for steps_of in (("written",), ("fill", "asked")):
        with tempfile.TemporaryDirectory() as folder:
            for step in steps_of:
                found |= _step(step, options, folder) or {}
    figures = Figures(devices=options.devices, **found)
    print(json.dumps(asdict(figures), indent=1) if options.json else "\n".join(_printed(figures)))
    return 0


def _step(step: str, options: argparse.Namespace, folder: str) -> dict[str, Any] | None:
    command = [sys.executable, "-P", "-m", "monitorpi_cli", "bench", "history", "--step", step]
    more = ("devices", "hours", "days")
    words = [word for name in more for word in (f"--{name}", str(getattr(options, name)))]
    done = subprocess.run(
        [*command, "--folder", folder, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, Any] | None = json.loads(done.stdout)
    return answer


def _printed(figures: Figures) -> Iterator[str]:
    mb = 1_000_000
    yield (
        f"live      {figures.live_cpu_ratio:.2%} of a core, {figures.live_rss_bytes / mb:.0f} MB, "
        f"{figures.live_fsyncs_per_minute or '-'} forced writes a minute "
        f"({figures.devices} devices, windows of {figures.payload_bytes / 1000:.0f} kB)"
    )
    kept = ", ".join(
        f"{size / mb:.1f} MB by {step} s" for step, size in figures.kept_bytes_per_day.items()
    )
    yield (
        f"written   {figures.cpu_ratio:.2%} of a core with folding, "
        f"{figures.rss_bytes / mb:.0f} MB, "
        f"{figures.written_bytes_per_day / mb:.0f} MB written a day; kept of a day: {kept}"
    )
    for name, ms in figures.asked_ms.items():
        yield f"asked     {name}: {ms:.1f} ms of CPU"
    yield f"asked     {figures.asked_rss_bytes / mb:.0f} MB"
