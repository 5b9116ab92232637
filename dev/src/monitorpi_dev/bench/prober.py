"""``./monitorpi bench prober``: the prober and fping, each against the same known truth.

Theory of operation. Two network namespaces, a cable between them. In one a responder answers for
all addresses with seeded delay, jitter, loss, duplicates, reordering and wrong sequence numbers,
and keeps how long it really held each request (:mod:`.responder`). In the other the prober's own
engine and core run, then fping with the same number of requests at the same pace. A row is the
median of the runs. Both tools run by turns, so a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_dev.bench import processes
from monitorpi_lab.namespace import LabError, Namespace
from monitorpi_lab.responder import Behaviour

if TYPE_CHECKING:
    from collections.abc import Sequence

Times = dict[str, list[float | None]]

SIZES: Final = (1, 50, 250, 1000)
RUNS: Final = 5
PROBES: Final = {1: 50, 50: 20, 250: 10, 1000: 5}
"""Requests per target: enough for a p95, few enough for a short run."""
GAP_S: Final = 0.001
"""Between two requests: 1,000 per second to 1,000 targets."""
LEAST_PERIOD_S: Final = 0.05
"""Between two requests to one target: longer than any programmed delay but a reordered one."""
TIMEOUT_S: Final = 0.5
_GATEWAY: Final = "198.19.0.1"
_OWN: Final = "198.19.0.2"
_FIELDS: Final = (
    "rtt_error_p50_ms",
    "rtt_error_p95_ms",
    "loss_error_ratio",
    "cpu_s_per_1000",
    "rss_bytes",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one tool measured in one run, and what it cost."""

    times: Times
    cpu_s: float
    rss_bytes: int


def addresses(count: int) -> list[str]:
    """Return that many addresses of the block for benchmarks (RFC 2544)."""
    return [f"198.18.{number // 250}.{number % 250 + 1}" for number in range(count)]


def period_s(count: int) -> float:
    """Return the time between two requests to the same target."""
    return max(count * GAP_S, LEAST_PERIOD_S)


class ProberBench:
    """The two namespaces and the cable."""

    def __init__(self) -> None:
        self.near, self.far = Namespace("prober"), Namespace("responder")
        run = self.near.run
        run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"])
        far_pid = self.far.popen(["sleep", "infinity"])
        run(["ip", "link", "set", "far0", "netns", str(far_pid.pid)])
        for space, name in ((self.near, "eth0"), (self.far, "far0")):
            space.run(["ip", "link", "set", name, "up"])
            space.run(["ip", "link", "set", "lo", "up"])
        run(["ip", "address", "add", f"{_OWN}/24", "dev", "eth0"])
        mac = self.far.call(lambda: Path("/sys/class/net/far0/address").read_text()).strip()
        run(["ip", "neigh", "add", _GATEWAY, "lladdr", mac, "dev", "eth0", "nud", "permanent"])
        run(["ip", "route", "add", "198.18.0.0/16", "via", _GATEWAY])

    def close(self) -> None:
        """Take everything away."""
        self.near.close()
        self.far.close()

    def held_against_truth(self, tool: str, count: int, behaviour: Behaviour) -> dict[str, float]:
        """Run one tool once and return its figures."""
        told = json.dumps(dataclasses.asdict(behaviour))
        responder = self.far.popen(
            [
                sys.executable,
                "-P",
                "-m",
                "monitorpi_lab.responder",
                "far0",
                "--behaviour",
                told,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert responder.stdout is not None  # noqa: S101 - asked for
        responder.stdout.readline()
        measure = self._monitorpi if tool == "monitorpi" else self._fping
        measured = measure(count, PROBES.get(count, 5))
        with responder:
            responder.terminate()
            truth: Times = json.loads(responder.communicate(timeout=20)[0])
        return figures(measured, truth)

    def _monitorpi(self, count: int, probes: int) -> Measured:
        order = json.dumps({"count": count, "probes": probes})
        done = self.near.run(
            [sys.executable, "-P", "-m", "monitorpi_dev.bench.prober", "--measure"], input=order
        )
        return Measured(**json.loads(done.stdout))

    def _fping(self, count: int, probes: int) -> Measured:
        command = ["fping", "-q", "-C", str(probes), "-i", f"{GAP_S * 1000:g}"]
        command += ["-p", f"{period_s(count) * 1000:g}", "-t", f"{TIMEOUT_S * 1000:g}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        program = self.near.popen(
            [*command, *addresses(count)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with program:
            rss = _peak_rss_while_running(program)
            text = program.stderr.read() if program.stderr else ""
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Measured(read_fping(text), cpu, rss)


def read_fping(text: str) -> Times:
    """Read the output of ``fping -q -C``: an address, a colon, a time or ``-`` per request."""
    found: Times = {}
    for line in text.splitlines():
        address, colon, words = line.partition(" : ")
        if colon and re.fullmatch(r"[-\d. ]+", words):  # others tell of duplicates
            found[address.strip()] = [None if w == "-" else float(w) for w in words.split()]
    return found


def figures(measured: Measured, truth: Times) -> dict[str, float]:
    """Hold a measurement against the truth."""
    errors = sorted(
        abs(time - held)
        for address, times in measured.times.items()
        for time, held in zip(times, truth.get(address, []), strict=False)
        if time is not None and held is not None
    )
    sent = sum(map(len, measured.times.values()))
    lost = sum(time is None for times in measured.times.values() for time in times)
    really = sum(
        held is None or held > TIMEOUT_S * 1000 for times in truth.values() for held in times
    )
    return {
        "rtt_error_p50_ms": errors[len(errors) // 2],
        "rtt_error_p95_ms": errors[math.ceil(len(errors) * 0.95) - 1],
        "loss_error_ratio": abs(lost - really) / sent,
        "cpu_s_per_1000": measured.cpu_s / sent * 1000,
        "rss_bytes": measured.rss_bytes,
    }


def measure() -> int:
    """Run the prober's engine and core for one round; order and result as JSON on the pipes."""
    # all the service loads, for its memory: the shell brings the MQTT client
    import monitorpi_common.shell  # noqa: F401, PLC0415 - see above
    import monitorpi_prober.__main__  # noqa: F401, PLC0415 - see above
    from monitorpi_host.vendors import Vendors  # noqa: PLC0415 - only here
    from monitorpi_prober.core import ProberCore  # noqa: PLC0415 - only here
    from monitorpi_prober.items import Echoes, RoundDone  # noqa: PLC0415 - only here
    from monitorpi_prober.schedule import ProbeGroup, ProbePlan  # noqa: PLC0415 - only here
    from monitorpi_prober.settings import ProberSettings, TargetSettings  # noqa: PLC0415 - only here
    from monitorpi_prober.sources.once import one_round  # noqa: PLC0415 - only here
    from monitorpi_prober.sources.pinger import Pinger  # noqa: PLC0415 - only here

    order = json.load(sys.stdin)
    interval = period_s(order["count"]) * order["probes"]
    targets = [
        TargetSettings(address=address, mac="b8:27:eb:00:00:01")
        for address in addresses(order["count"])
    ]
    settings = ProberSettings(targets=targets, probes=order["probes"], announced=False)
    core = ProberCore(settings, "bench", "main", lambda _: None, vendor_of=Vendors().of_text)
    probed = core.targets.merged()

    def take(item: object) -> None:
        for said in core.handle(item):
            getattr(said, "message").encode()  # noqa: B009 - a round takes nothing back

    # a service is warm for months: build what pydantic builds at the first message
    group = ProbeGroup(interval, order["probes"], probed, interval)
    blank = tuple(Echoes(target.key, (None,)) for target in probed[:1])
    now = datetime.now(UTC)
    take(RoundDone(now, now, ProbePlan(), group, blank))
    before = time.process_time()
    done = one_round(Pinger(), group, TIMEOUT_S, take)
    cpu = time.process_time() - before
    address = {target.key: target.address for target in probed}
    times = {address[echoes.key]: echoes.times_ms for echoes in done.echoes}
    json.dump({"times": times, "cpu_s": cpu, "rss_bytes": processes.peak_rss("self")}, sys.stdout)
    return 0


def _peak_rss_while_running(program: subprocess.Popen[str]) -> int:
    peak = 0
    while program.poll() is None:
        peak = max(peak, processes.peak_rss(program.pid))
        time.sleep(0.05)
    return peak


def rows(sizes: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """Measure both tools by turns and return a row each, the median of all runs.

    Raises:
        LabError: namespaces cannot be made here.

    """
    tools = ["monitorpi", *(["fping"] if shutil.which("fping") else [])]
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    bench = ProberBench()
    try:
        for run in range(runs):
            for count in sizes:
                for tool in tools:
                    figure = bench.held_against_truth(tool, count, Behaviour(seed=run + 1))
                    found.setdefault((tool, count), []).append(figure)
    finally:
        bench.close()
    return [
        {
            "tool": tool,
            "targets": count,
            **{name: round(statistics.median(f[name] for f in all_), 6) for name in _FIELDS},
        }
        for (tool, count), all_ in found.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 3 where namespaces cannot be made."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench prober")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs (default {RUNS})")
    parser.add_argument("--targets", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.measure:
        return measure()
    if not shutil.which("fping"):
        print("fping is not installed: only our own rows (apt install fping)", file=sys.stderr)
    try:
        table = rows(options.targets, options.runs)
    except LabError as error:
        print(f"monitorpi bench prober: {error}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps({"rows": table}))
        return 0
    print(f"{'tool':<10}{'targets':>8}{'error p50':>11}{'p95 ms':>9}{'loss error':>12}", end="")
    print(f"{'CPU s/1000':>12}{'MB':>6}")
    for row in table:
        print(
            f"{row['tool']:<10}{row['targets']:>8}{row['rtt_error_p50_ms']:>11.4f}"
            f"{row['rtt_error_p95_ms']:>9.4f}{row['loss_error_ratio']:>12.4f}"
            f"{row['cpu_s_per_1000']:>12.4f}{row['rss_bytes'] / 1e6:>6.0f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
