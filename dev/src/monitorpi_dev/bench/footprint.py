"""``./monitorpi bench footprint``: what the whole stack takes, with no, 256 and 1,024 devices.

Theory of operation. Two network namespaces, a cable between them. In one ``up`` runs as for a
person, with the settings it has by itself; in the other a process is all the devices
(:mod:`.crowd`). Nobody looks at the page. Every process below ``up`` is counted: its share of the
memory (PSS: a page that several share is counted once, in parts) and its share of one core. The
start is timed from the command to the first message of traffic that a subscriber is sent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cli.stack.loader import TITLE
from monitorpi_dev.bench import crowd
from monitorpi_host.children import cpu_s
from monitorpi_lab.namespace import LabError, Namespace, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEVICES: Final = (0, 256, 1024)
SETTLE_S: Final = 30.0
"""Devices are found, targets too, and each has had a round; learning has begun."""
SECONDS: Final = 30.0
ALL: Final = "all"
_SITE: Final = "bench"
_PORT: Final = 1883
"""Nobody else listens in a namespace of our own."""
_START_S: Final = 60.0
_POLL_S: Final = 0.02
_TIMES: Final = slice(11, 15)
"""``utime``, ``stime``, ``cutime``, ``cstime`` of proc_pid_stat(5), behind the name."""
_MODULE: Final = re.compile(r"-m monitorpi_([\w.]+)(?: (up)\b)?")


class BenchError(Exception):
    """It cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One run: memory in MiB and share of one core by service, and the start in seconds."""

    pss_mib: dict[str, float]
    cpu_ratio: dict[str, float]
    first_window_s: float
    start_cpu_s: float
    """CPU time of all until then: what a busy machine does not change."""


def service_of(command: str) -> str:
    """Return what a process is called in the table, by its command line."""
    found = _MODULE.search(command)
    if found is None:
        known = (name for name in ("mosquitto", TITLE) if name in command)
        return {"mosquitto": "broker", TITLE: "loader"}.get(next(known, ""), "other")
    if found[2]:
        return "up"
    return found[1].split(".")[-1].replace("_", "-")


def tree(root: int) -> dict[int, str]:
    """Return every process from one downwards, with what it is called."""
    commands, children = {}, dict[int, list[int]]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        commands[int(folder.name)] = command
        children.setdefault(int(stat[1]), []).append(int(folder.name))
    found, queue = dict[int, str](), [root]
    while queue:
        pid = queue.pop()
        if pid in commands:
            found[pid] = service_of(commands[pid])
            queue += children.get(pid, [])
    return found


def pss_mib(pid: int) -> float:
    """Return a process's share of the memory in MiB, 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def used_s(pid: int) -> float:
    """Return the CPU time of a process and of its children that have ended, 0 once it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0.0
    ticks = stat.rpartition(")")[2].split()[_TIMES]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _sum(figures: Iterable[tuple[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {ALL: 0.0}
    for service, figure in figures:
        for name in (service, ALL):
            total[name] = total.get(name, 0.0) + figure
    return total


class Footprint:
    """The two namespaces and the cable, and one ``up`` at a time."""

    def __init__(self, python: str, config: Path | None) -> None:
        self._python = python
        self._config = [] if config is None else ["--config", str(config.resolve())]
        self._near, self._far = Namespace("sensor"), Namespace("devices")
        holder = self._far.popen(["sleep", "infinity"])
        run = self._near.run
        run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"])
        run(["ip", "link", "set", "far0", "netns", str(holder.pid)])
        for space, name in ((self._near, "eth0"), (self._far, "far0")):
            space.run(["ip", "link", "set", name, "up"])
            space.run(["ip", "link", "set", "lo", "up"])
        run(["ip", "address", "add", f"{crowd.SENSOR_IP}/{crowd.PREFIX}", "dev", "eth0"])

    def close(self) -> None:
        """Take everything away."""
        self._near.close()
        self._far.close()

    def measure(self, devices: int, settle_s: float, seconds: float) -> Taken:
        """Start the stack, let it settle, and count.

        Raises:
            BenchError: it did not start, or a part of it ended meanwhile.

        """
        module = [sys.executable, "-P", "-m", crowd.__name__]
        with (
            scratch() as folder,
            self._far.popen(
                [*module, "far0", str(devices)], stdout=subprocess.PIPE, text=True
            ) as there,
        ):
            try:
                assert there.stdout is not None  # noqa: S101 - asked for
                there.stdout.readline()
                return self._measured(folder, settle_s, seconds)
            finally:
                there.terminate()

    def _measured(self, state: Path, settle_s: float, seconds: float) -> Taken:
        words = ["up", "--interface", "eth0", "--site", _SITE, *self._config]
        log = state / "log"
        began = time.monotonic()
        with (
            log.open("wb") as output,
            self._near.popen(
                [self._python, "-P", "-m", "monitorpi_cli", *words],
                env=os.environ | {"MONITORPI_STATE_DIR": str(state / "state")},
                stdout=output,
                stderr=output,
            ) as up,
        ):
            try:
                self._await_traffic(state / "state" / "secrets" / "viewer" / "broker__password")
                first_s = time.monotonic() - began
                start_cpu_s = sum(map(used_s, tree(up.pid)))
                time.sleep(settle_s)
                before = tree(up.pid)
                used = {pid: cpu_s(pid) for pid in before}
                start = time.monotonic()
                time.sleep(seconds)
                # processes that come and go (a sweep, a message) are of those that stay
                stayed = [pid for pid in before if Path(f"/proc/{pid}").exists()]
                spent = {pid: cpu_s(pid) - used[pid] for pid in stayed}
                passed = time.monotonic() - start
                memory = {pid: pss_mib(pid) for pid in tree(up.pid)}
                names = before | tree(up.pid)
            except BenchError as error:
                raise BenchError(f"{error}\n{log.read_text(errors='replace')}") from None
            finally:
                up.terminate()
                up.wait()
        return Taken(
            _sum((names[pid], mib) for pid, mib in memory.items()),
            _sum((names[pid], cpu / passed) for pid, cpu in spent.items()),
            first_s,
            start_cpu_s,
        )

    def _await_traffic(self, password: Path) -> None:
        """Wait for the first message of traffic, as a subscriber who was there in time."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if password.exists() and (text := password.read_text()):
                who = ["-p", str(_PORT), "-u", "viewer", "-P", text.strip()]
                what = ["-C", "1", "-W", str(round(_START_S)), "-t"]
                done = self._near.run(
                    ["mosquitto_sub", *who, *what, f"monitorpi/v1/{_SITE}/capture/traffic/+"],
                    check=False,
                    timeout_s=_START_S + 10,
                )
                if done.returncode == 0:
                    return
            time.sleep(_POLL_S)
        raise BenchError(f"no window came within {_START_S:g} s")


def table(found: dict[int, list[Taken]]) -> dict[str, Any]:
    """Return what is printed with ``--json``: medians of the runs."""
    rows = []
    for devices, runs in found.items():
        names = sorted({name for run in runs for name in run.pss_mib} - {ALL})
        rows += [
            {
                "devices": devices,
                "service": name,
                "pss_mib": round(statistics.median(r.pss_mib.get(name, 0.0) for r in runs), 2),
                "cpu_ratio": round(statistics.median(r.cpu_ratio.get(name, 0.0) for r in runs), 5),
            }
            for name in (*names, ALL)
        ]
    every = [run for runs in found.values() for run in runs]
    return {
        "rows": rows,
        "first_window_s": round(statistics.median(run.first_window_s for run in every), 2),
        "start_cpu_s": round(statistics.median(run.start_cpu_s for run in every), 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 where the stack did not run, 3 without namespaces."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench footprint")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--devices", type=int, nargs="+", default=DEVICES, metavar="N")
    parser.add_argument("--runs", type=int, default=1, help="runs of each, by turns (default 1)")
    parser.add_argument("--settle", type=float, default=SETTLE_S, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long CPU is counted")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the stack")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="the interpreter of another checkout's .venv: its stack is measured",
    )
    options = parser.parse_args(argv)
    found: dict[int, list[Taken]] = {devices: [] for devices in options.devices}
    try:
        bench = Footprint(options.python, options.config)
    except LabError as error:
        print(f"monitorpi bench footprint: {error}", file=sys.stderr)
        return 3
    try:
        for _ in range(options.runs):
            for devices, runs in found.items():
                runs.append(bench.measure(devices, options.settle, options.seconds))
    except BenchError as error:
        print(f"monitorpi bench footprint: {error}", file=sys.stderr)
        return 1
    finally:
        bench.close()
    result = table(found)
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"{'devices':>8}  {'service':<16}{'PSS MiB':>9}{'CPU %':>8}")
    for row in result["rows"]:
        share = row["cpu_ratio"] * 100
        print(f"{row['devices']:>8}  {row['service']:<16}{row['pss_mib']:>9.1f}{share:>8.2f}")
    print(f"first window after {result['first_window_s']:g} s", end="")
    print(f" and {result['start_cpu_s']:g} s of CPU")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
