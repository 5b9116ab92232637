"""``./monitorpi ping ADDRESS...``: one round, as a table or as the message."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from os import getpid
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.viewer import Viewer, send_command
from monitorpi_common.messages import (
    Announce,
    Command,
    Device,
    Probe,
    Publication,
    Service,
)
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.topics import Topic
from monitorpi_host.vendors import Vendors
from monitorpi_prober.core import ProberCore
from monitorpi_prober.items import PlanTaken, RoundDone
from monitorpi_prober.quiet import HEADROOM, SOLICITATIONS
from monitorpi_prober.schedule import ProbeGroup, ProbePlan
from monitorpi_prober.settings import ProberSettings, TargetSettings, one_host
from monitorpi_prober.sources.exits import exits_of
from monitorpi_prober.sources.names import look_up_all
from monitorpi_prober.sources.once import contact_then_round
from monitorpi_prober.sources.pinger import Pinger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitorpi_common.messages import Load, ProbeResult
    from monitorpi_prober.items import Exit
    from monitorpi_prober.schedule import ProbeTarget

_SPACING_S: Final = 0.2
"""Between two requests to one target: what ping(8) allows everybody."""
_WAITING_S: Final = 15.0
"""For names, the last replies, and addresses nobody answers for."""
_PATIENCE_S: Final = 5.0
"""Beyond this the time it may take is announced."""
_GENTLE_PER_S: Final = 25.0
"""Half of what the detector calls a ping flood: beside a stack that was not notified."""
_MAX_PROBES: Final = 1000
_MAX_ADDRESSES: Final = 1024
_LONGEST: Final = 255
"""Characters of an address or name, as in the settings."""
_MAX_DEVICES: Final = 4096
_FIRST_S, _NEXT_S = 1.0, 0.2
"""How long the first retained message may take, and each after it."""
_LOAD_HEAD: Final = f"{'sends':>13}{'fr/s':>7}{'receives':>13}{'fr/s':>7}{'use':>6}"
_COLUMNS: Final = (
    ("avg", "rtt_avg_ms"),
    ("p95", "rtt_p95_ms"),
    ("max", "rtt_max_ms"),
    ("jitter", "jitter_ms"),
    ("mos", "mos"),
)


@dataclass(frozen=True, slots=True)
class PingLimits:
    """How much may be sent per second."""

    echo_per_s: float = 250.0
    arp_per_s: float = 20.0


def measure(
    addresses: Sequence[str],
    count: int,
    timeout_s: float,
    source: str | None,
    devices: Iterable[Device] = (),
    notify: Callable[[Sequence[Exit], float], PingLimits] = lambda _exits, _seconds: PingLimits(),
) -> Probe:
    """Probe some addresses or host names once and return the round as the prober publishes it.

    Args:
        addresses: whom to probe.
        count: requests to each.
        timeout_s: how long a reply may take.
        source: own address or interface to send from; None: as routed.
        devices: those capture knows: they have the MAC addresses.
        notify: called with where requests will leave, and for how many seconds; returns limits.

    Raises:
        ResourceError: no ICMP socket may be opened, or not from ``source``.

    """
    settings = ProberSettings(
        targets=[TargetSettings(address=address) for address in addresses],
        announced=False,
        probes=count,
        max_targets=_MAX_ADDRESSES,
    )
    core = ProberCore(
        settings, "ping", "ping", lambda _: None, vendor_of=Vendors().of_text, live=False
    )
    for device in devices:
        core.targets.announce(device)
    for found in look_up_all(core.targets.hostnames):
        core.targets.resolve(found)
    core.replan()

    def grouped(targets: tuple[ProbeTarget, ...]) -> ProbeGroup:
        # all that was asked for is sent: many targets take longer
        interval_s = max(count * _SPACING_S, 1.0, count * len(targets) / limits.echo_per_s)
        return ProbeGroup(interval_s, count, targets, settings.interval_s)

    probed = core.targets.merged()
    exits = exits_of(ProbePlan(quiet=probed), source)
    limits = notify(list(dict.fromkeys(exits.values())), _longest_s(len(probed), count))
    plan = ProbePlan(
        (), timeout_s, quiet_per_s=limits.echo_per_s, arp_per_s=HEADROOM * limits.arp_per_s
    )
    began = datetime.now(UTC)
    silent, done = contact_then_round(Pinger(source), probed, grouped, plan)
    if done is None:
        empty = ProbeGroup(settings.interval_s, count, (), settings.interval_s)
        done = RoundDone(began, datetime.now(UTC), plan, empty, ())
    shown = ProbePlan((done.group,), timeout_s, quiet=tuple(probed))
    list(core.handle(PlanTaken(done.start, shown, exits_of(shown, source))))
    published = [one for item in (*silent, done) for one in core.handle(item)]
    messages = [one.message for one in published if isinstance(one, Publication)]
    [probe] = [one for one in messages if isinstance(one, Probe) and one.targets][-1:]
    return probe.model_copy(update={"targets": _in_order(probe.targets, probed)})


def _longest_s(targets: int, count: int) -> float:
    """Return how long it may take at most: everybody is silent, or everybody answers."""
    limits = PingLimits()
    asking_s = targets * SOLICITATIONS / (HEADROOM * limits.arp_per_s)
    sending_s = max(count * _SPACING_S, count * targets / limits.echo_per_s)
    return asking_s + sending_s + _WAITING_S


def _in_order(rows: Sequence[ProbeResult], probed: Sequence[ProbeTarget]) -> list[ProbeResult]:
    """Put the lines in the order asked for; a second one of an address says only that."""
    places: dict[str, list[int]] = {}
    for place, target in enumerate(probed):
        places.setdefault(target.address, []).append(place)
    return sorted(rows, key=lambda row: places[row.address].pop(0))


def known_devices() -> list[Device]:
    """Return the devices that the stack running here knows; none where none runs, or not for us."""
    try:
        account = find_running(None).account("viewer")
    except (NoStackError, ConfigurationError, OSError):
        return []
    found: dict[str, Device] = {}
    topics = [f"monitorpi/v1/+/{Service.CAPTURE.value}/{Device.KIND}/+"]
    with Viewer(account, topics) as viewer:
        wait_s = _FIRST_S
        while (arrival := viewer.next(wait_s)) is not None:
            wait_s = _NEXT_S
            with contextlib.suppress(ValueError):
                if isinstance(device := arrival.message(), Device):
                    found[device.mac] = device
            if len(found) >= _MAX_DEVICES:
                break
    return list(found.values())


def announced(source: Sequence[Exit], seconds: float) -> PingLimits:
    """Have the stack that runs here announce what is about to be sent, or send gently beside it."""
    limits, gentle = PingLimits(), PingLimits(echo_per_s=_GENTLE_PER_S)
    try:
        running = find_running(None)
    except (NoStackError, ConfigurationError, OSError):
        return limits  # nobody here watches
    for number, one in enumerate(source):
        if one.mac is None:
            continue
        rates = Announce(
            seconds=min(seconds, 600), mac=one.mac, ip=one.ip,
            echo_per_s=limits.echo_per_s, arp_per_s=limits.arp_per_s,
        )  # fmt: skip
        command = Command(name="announce", args=rates.model_dump(), at=datetime.now(UTC))
        topic = Topic(running.site, Service.PROBER.value, Command.KIND, f"ping-{getpid()}-{number}")
        try:
            result = send_command(running.account("operator"), topic, command)
        except OSError:
            return gentle
        if result is None or not result.ok:
            return gentle
    return limits


def _announced_to_people(source: Sequence[Exit], seconds: float) -> PingLimits:
    if seconds - _WAITING_S > _PATIENCE_S:
        print(f"this may take up to {seconds:.0f} s", file=sys.stderr)
    return announced(source, seconds)


def table(probe: Probe, devices: Iterable[Device] = ()) -> str:
    """Write a round as a table, with the load of the devices that are known."""
    loads = {device.mac: device.load for device in devices}
    shows_load = any(target.mac in loads for target in probe.targets)
    width = max(len("target"), *(len(_label(target)) for target in probe.targets))
    lines = [f"{'target':<{width}}  sent  lost" + "".join(f"{n:>9}" for n, _ in _COLUMNS)]
    lines[0] += _LOAD_HEAD if shows_load else ""
    for target in probe.targets:
        lost = max(0, target.sent - target.received - target.late - target.altered)
        cells = "".join(f"{_cell(getattr(target, field)):>9}" for _, field in _COLUMNS)
        cells += _load(loads.get(target.mac or "")) if shows_load else ""
        note = f"  {_note(target)}" if target.error else ""
        lines.append(f"{_label(target):<{width}}{target.sent:>6}{lost:>6}{cells}{note}")
    floor = probe.noise_floor_ms
    own = "" if floor is None else f"; differences below {floor:.3f} ms are this machine's own"
    lines.append(f"times in ms, round trip{own}")
    return "\n".join(lines)


def _note(target: ProbeResult) -> str:
    """Return what is wrong, and how many requests it concerns where that is not all."""
    for count, what in (
        (target.unsent, "not sent"), (target.late, "late"), (target.altered, "altered"),
    ):  # fmt: skip
        if count:
            return f"{count} {what}: {target.error}"
    return target.error or ""


def _load(load: Load | None) -> str:
    if load is None:
        return f"{'-':>13}{'-':>7}{'-':>13}{'-':>7}{'-':>6}"
    use = "-" if load.utilisation_ratio is None else f"{load.utilisation_ratio:.0%}"
    sent = f"{_bits(load.tx_bps):>13}{load.tx_frames_per_s:>7.0f}"
    return f"{sent}{_bits(load.rx_bps):>13}{load.rx_frames_per_s:>7.0f}{use:>6}"


def _bits(bps: float) -> str:
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bps < 1000:  # noqa: PLR2004 - SI
            return f"{bps:.4g} {unit}"
        bps /= 1000
    return f"{bps:.4g} Gbit/s"


def _label(target: ProbeResult) -> str:
    return target.name if target.name == target.address else f"{target.name} ({target.address})"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _address(text: str) -> str:
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST} characters")
        return one_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: {error}") from None


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if not 1 <= value <= _MAX_PROBES:
        raise argparse.ArgumentTypeError(f"give 1 to {_MAX_PROBES}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one round; exit 0 when all answered, 1 when some did not, 3 without a socket."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi ping", description="Measure one round of probes, as the prober does."
    )
    parser.add_argument(
        "addresses", nargs="+", type=_address, metavar="ADDRESS", help="addresses or host names"
    )
    parser.add_argument("--count", type=_count, default=10, help="requests each (default 10)")
    parser.add_argument("--timeout", type=float, default=1.0, metavar="S", help="default 1 s")
    parser.add_argument("--source", help="own address or interface to send from")
    parser.add_argument("--json", action="store_true", help="print the message of the prober")
    options = parser.parse_args(argv)
    if len(options.addresses) > _MAX_ADDRESSES or not 0 < options.timeout <= 10:  # noqa: PLR2004 - as in the settings
        parser.error(f"at most {_MAX_ADDRESSES} addresses, and a timeout of at most 10 s")
    try:
        devices = known_devices()
        probe = measure(
            options.addresses, options.count, options.timeout, options.source, devices,
            _announced_to_people,
        )  # fmt: skip
    except ResourceError as error:
        print(f"monitorpi ping: {error}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(json.loads(probe.encode())))
    else:
        print(table(probe, devices))
    return 0 if all(target.state == "up" for target in probe.targets) else 1


if __name__ == "__main__":
    raise SystemExit(main())
