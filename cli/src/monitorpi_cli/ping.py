"""``./monitorpi ping ADDRESS...``: one round, as a table or as the message."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Probe, Publication
from monitorpi_common.service import ResourceError
from monitorpi_prober import interfaces
from monitorpi_prober.names import look_up_all
from monitorpi_prober.pinger import Pinger, one_round
from monitorpi_prober.rounds import PlanTaken, ProberCore
from monitorpi_prober.schedule import make_plan
from monitorpi_prober.settings import ProberSettings, TargetSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.messages import ProbeResult

_SPACING_S: Final = 0.2
"""Between two requests to one target: what ping(8) allows everybody."""
_MAX_RATE: Final = 250.0
_MAX_PROBES: Final = 1000
_MAX_ADDRESSES: Final = 1024
_COLUMNS: Final = (
    ("avg", "rtt_avg_ms"),
    ("p95", "rtt_p95_ms"),
    ("max", "rtt_max_ms"),
    ("jitter", "jitter_ms"),
    ("mos", "mos"),
)


def measure(addresses: Sequence[str], count: int, timeout_s: float, source: str | None) -> Probe:
    """Probe some addresses or host names once and return the round as the prober publishes it.

    Raises:
        ResourceError: no ICMP socket may be opened, or not from ``source``.

    """
    settings = ProberSettings(
        targets=[TargetSettings(address=address) for address in addresses],
        announced=False,
        probes=count,
    )
    core = ProberCore(settings, "ping", "ping", lambda _: None)
    for found in look_up_all(core.targets.hostnames):
        core.targets.resolve(found)
    interval_s = max(count * _SPACING_S, 1.0)
    aims = core.targets.aims()
    plan = make_plan(
        aims, interval_s=interval_s, probes=count, max_rate=_MAX_RATE, timeout_s=timeout_s
    )
    core.replan()
    done = one_round(Pinger(source), plan.lanes[0], timeout_s)
    list(core.handle(PlanTaken(done.start, plan, interfaces.exits(plan, source))))
    said = [one.message for one in core.handle(done) if isinstance(one, Publication)]
    return next(message for message in said if isinstance(message, Probe))


def table(probe: Probe) -> str:
    """Write a round as a table."""
    width = max(len("target"), *(len(_label(target)) for target in probe.targets))
    lines = [f"{'target':<{width}}  sent  lost" + "".join(f"{n:>9}" for n, _ in _COLUMNS)]
    for target in probe.targets:
        lost = target.sent - target.received
        cells = "".join(f"{_cell(getattr(target, field)):>9}" for _, field in _COLUMNS)
        note = f"  {target.error}" if target.error else ""
        lines.append(f"{_label(target):<{width}}{target.sent:>6}{lost:>6}{cells}{note}")
    floor = "" if probe.noise_floor_ms is None else f"{probe.noise_floor_ms:.3f}"
    lines.append(f"times in ms, round trip; differences below {floor} ms are this machine's own")
    return "\n".join(lines)


def _label(target: ProbeResult) -> str:
    return target.name if target.name == target.address else f"{target.name} ({target.address})"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= _MAX_PROBES:
        raise argparse.ArgumentTypeError(f"give 1 to {_MAX_PROBES}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one round; exit 0 when all answered, 1 when some did not, 3 without a socket."""
    parser = argparse.ArgumentParser(prog="monitorpi ping")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS", help="addresses or host names")
    parser.add_argument("--count", type=_count, default=10, help="requests each (default 10)")
    parser.add_argument("--timeout", type=float, default=1.0, metavar="S", help="default 1 s")
    parser.add_argument("--source", help="own address or interface to send from")
    parser.add_argument("--json", action="store_true", help="print the message of the prober")
    options = parser.parse_args(argv)
    if len(options.addresses) > _MAX_ADDRESSES or not 0 < options.timeout <= 10:  # noqa: PLR2004 - as in the settings
        parser.error(f"at most {_MAX_ADDRESSES} addresses, and a timeout of at most 10 s")
    try:
        probe = measure(options.addresses, options.count, options.timeout, options.source)
    except ResourceError as error:
        print(f"monitorpi ping: {error}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(json.loads(probe.encode())))
    else:
        print(table(probe))
    return 0 if all(target.received for target in probe.targets) else 1


if __name__ == "__main__":
    raise SystemExit(main())
