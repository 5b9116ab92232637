"""``bench backlog``: what the cloud bridge needs to send days of rows, measured on it alone.

A process fills an outbox, another one empties it into the double of ThingSpeak, which runs in the
first. Its clock is simulated: the service's limits are kept without being waited for, and told as
the time they would take. Its memory is that of everything the bridge loads.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import monitorpi_cloud_bridge.__main__  # noqa: F401 - all the service loads, for its memory
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.settings import PACING_S
from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.sinks.uploader import THIN_ABOVE, Uploader
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log
from monitorpi_thingspeak_double.channels import Switches
from monitorpi_thingspeak_double.server import Double

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS: Final = 130_000
"""Thirty days at a row per 20 s."""
INTERVAL_S: Final = 20
START: Final = 1_800_000_000
_DESTINATION: Final = "thingspeak/traffic"
_FIELDS: Final = 8


@dataclass(frozen=True, slots=True)
class Drained:
    """What it took to empty an outbox."""

    waiting: int
    stored: int
    thinned: int
    calls: int
    service_s: float
    """Seconds the service's own limits make of it."""
    cpu_s: float
    rss_before_bytes: int
    rss_peak_bytes: int


def main(argv: Sequence[str]) -> int:
    """Measure with and without thinning, and print a line each."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench backlog")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows that wait (30 days: 130000)")
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--step", choices=["fill", "drain"], help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.step:
        order = json.loads(sys.stdin.read())
        print(json.dumps(_fill(**order) if options.step == "fill" else asdict(_drain(**order))))
        return 0
    for thins in (True, False):
        drained = measure(options.rows, thins=thins)
        if options.json:
            print(json.dumps({"thins": thins, **asdict(drained)}))
        else:
            print(_sentence(drained, thins=thins))
    return 0


def measure(rows: int, *, thins: bool) -> Drained:
    """Fill an outbox, empty it, and tell what that took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Double(Switches(bulk_interval_s=0, commit_delay_s=0)) as double,
    ):
        labels = [f"field {number}" for number in range(1, _FIELDS + 1)]
        channel = double.cloud.add_channel("traffic", labels)
        file = str(Path(folder) / "outbox.sqlite")
        _step("fill", {"file": file, "rows": rows})
        cloud = {"url": double.url, "channel": channel.id, "key": channel.write_key}
        drained = Drained(**_step("drain", {"file": file, "rows": rows, "thins": thins, **cloud}))
        times = {row["created_at"] for row in channel.rows}
        assert len(times) == len(channel.rows) == drained.stored  # noqa: S101 - else no figure counts
        return drained


def _step(name: str, order: dict[str, Any]) -> Any:
    """Run one step in a process of its own; a key goes through its pipe."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "monitorpi_cli", "bench", "backlog", "--step", name],
        input=json.dumps(order), text=True, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _fill(file: str, rows: int) -> int:
    """Write rows whose fields all move: the hardest to thin."""
    dice = random.Random(1)  # noqa: S311 - repeatable on purpose
    names = [f"field{number}" for number in range(1, _FIELDS + 1)]
    outbox = RowOutbox(Path(file))
    outbox.add(
        (
            OutboxRow(
                _DESTINATION,
                START + INTERVAL_S * n,
                {name: str(dice.randrange(10**4)) for name in names},
            )
            for n in range(rows)
        ),
        {},
    )
    outbox.close()
    return rows


def _drain(file: str, rows: int, url: str, channel: int, key: str, *, thins: bool) -> Drained:
    """Empty an outbox as fast as the service lets us."""
    start_s = now_s = float(START + INTERVAL_S * rows)
    outbox = RowOutbox(Path(file))
    destination = UploadDestination(
        _DESTINATION, ThingSpeak(url, channel, key, None, PACING_S, client())
    )
    uploader = Uploader(
        outbox, destination, YearlyQuota(0), Log("bench", "error"), lambda: now_s, lambda: now_s,
        thin_above=THIN_ABOVE if thins else sys.maxsize,
    )  # fmt: skip
    before = peak = _rss_bytes()
    calls = 0
    cpu_s = time.process_time()
    while outbox.oldest_unsent(_DESTINATION) is not None:
        now_s += uploader.step()
        calls += 1
        peak = max(peak, _rss_bytes())
    cpu_s = time.process_time() - cpu_s
    outbox.close()
    return Drained(
        rows, destination.stored_total, destination.thinned_total, calls, now_s - start_s,
        round(cpu_s, 2), before, peak,
    )  # fmt: skip


def _rss_bytes() -> int:
    """Return the resident memory of this process (proc(5), VmRSS, in kB)."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def _sentence(drained: Drained, *, thins: bool) -> str:
    mb = 1_000_000
    return (
        f"{'thinned' if thins else 'whole  '}  {drained.waiting:,} rows waiting, "
        f"{drained.stored:,} stored: {drained.calls} calls, {drained.service_s / 60:.1f} min of "
        f"the service's time, {drained.cpu_s:.1f} s CPU, memory "
        f"{drained.rss_before_bytes / mb:.1f} -> {drained.rss_peak_bytes / mb:.1f} MB at most"
    )
