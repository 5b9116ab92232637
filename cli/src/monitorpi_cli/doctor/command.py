"""``./monitorpi doctor``: is this machine fit, and does its port see the LAN?

It tries what is configured, and leaves nothing behind: a file that is written and removed, a
message to itself at the broker, an echo request to this machine, a read at each cloud.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitorpi_capture.settings import CaptureSettings
from monitorpi_cli.arguments import number
from monitorpi_cli.doctor.broker import try_elsewhere, try_logins
from monitorpi_cli.doctor.cloud import check_clouds
from monitorpi_cli.doctor.finding import COLOURS, note, ok
from monitorpi_cli.doctor.machine import (
    check_clock,
    check_pings,
    check_secrets,
    check_settings,
    check_state,
)
from monitorpi_cli.doctor.mirror import check_ports
from monitorpi_cli.doctor.notifier import check_destinations
from monitorpi_cli.doctor.ports import SERVED, check_broker_port, check_port
from monitorpi_cli.doctor.watch import check_watch
from monitorpi_cli.stack.centre import CENTRE_KEYS
from monitorpi_cli.stack.listening import is_own
from monitorpi_cli.stack.logins import logins
from monitorpi_cli.stack.plan import section_of
from monitorpi_cli.stack.preflight import SECTIONS, broker_settings
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.state import state_dir
from monitorpi_cli.table import Terminal
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import nats_account, trial_of
from monitorpi_common.handover import Handover
from monitorpi_common.messages import Service
from monitorpi_common.settings import NoSection, load
from monitorpi_common.topics import ANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from monitorpi_cli.doctor.finding import CheckResult
    from monitorpi_cli.stack.running import Running
    from monitorpi_common.settings import CommonSettings

CHECKS: Final[Mapping[Service, Callable[[Any], Iterator[CheckResult]]]] = {
    Service.CLOUD_BRIDGE: check_clouds,
    Service.NOTIFIER: check_destinations,
    Service.PROBER: check_pings,
}
"""What is tried for a service that reaches beyond this machine; each takes its settings."""
LISTEN_S: Final = 5.0
_MOST_S: Final = 3600.0
_WELL, _WRONG, _SETTINGS = 0, 1, 2


def look(config: Path | None, names: Sequence[str], seconds: float) -> Iterator[CheckResult]:
    """Look at everything, the quick things first; with wrong settings at nothing else."""
    mistakes = list(check_settings(config))
    yield from mistakes or [ok("settings", "all services take theirs")]
    if mistakes:
        return
    common = load(None, NoSection, file=config).common
    yield check_clock(trusted=common.trust_clock)
    yield check_state(state_dir(common))
    yield from check_secrets(common)
    yield from check_bus(config, common)
    if (centre := broker_settings(config).centre) is not None:
        account = centre.account(common.site)
        yield try_elsewhere("centre", account, Handover(account, "doctor", CENTRE_KEYS))
    for service in CHECKS:
        yield from check_service(service, config)
    cloud = section_of(Service.CLOUD_BRIDGE, CloudBridgeSettings, config)
    if cloud.mqtt is not None:
        yield try_elsewhere("cloud", *trial_of(cloud.mqtt, common.site))
    if cloud.nats is not None:
        from monitorpi_cli.doctor.nats import try_nats  # noqa: PLC0415 - the client takes a while

        yield try_nats(nats_account(cloud.nats, common.site))
    capture = section_of(Service.CAPTURE, CaptureSettings, config)
    yield from check_ports(capture, names, seconds)


def check_service(service: Service, config: Path | None) -> Iterator[CheckResult]:
    """Try what a service of ``CHECKS`` would use, as it is configured."""
    return CHECKS[service](section_of(service, SECTIONS[service], config))


def check_bus(config: Path | None, common: CommonSettings) -> Iterator[CheckResult]:
    """Try the broker, and ask it for the watch; without an own one yet, whether it could run."""
    running: Running | None = None
    if is_own(common.broker):
        try:
            running = find_running(config)
        except NoStackError:
            yield check_broker_port(common.broker)
            yield from (check_port(service, config) for service in SERVED)
            return
    try:
        found = logins(config, running)
    except OSError as error:
        text = f"a stack runs here, and {error.filename} is not for us to read"
        yield note("broker", text, "run with sudo")
        return
    yield from try_logins(found, common.site)
    reader = next((one for one in found if one.service is Service.DASHBOARD), found[0])
    yield from check_watch(reader.settings, ANY if running is not None else common.site)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line per finding; exit 0 when nothing is wrong, 2 for settings, else 1."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi doctor",
        description="Try what is configured, and look at what the mirror port shows. Leaves "
        "nothing behind, sends nothing to the LAN.",
        epilog="Exit code: 0 nothing is wrong, 1 something is, 2 the settings are.",
    )
    parser.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help="listen here (repeatable); by default as configured, or the wired interface",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    parser.add_argument(
        "--seconds",
        type=number(lambda value: 0 < value <= _MOST_S, f"give up to {_MOST_S:g} seconds"),
        default=LISTEN_S,
        help=f"to listen (default {LISTEN_S:g})",
    )
    parser.add_argument(
        "--json", action="store_true",
        help="print one JSON list of {mark, topic, text, remedy} instead of lines",
    )  # fmt: skip
    options = parser.parse_args(argv)
    terminal = Terminal.of(sys.stdout)
    found = []
    for finding in look(options.config, options.interface, options.seconds):
        found.append(finding)
        if not options.json:
            mark = terminal.paint(f"{finding.mark:<6}", COLOURS[finding.mark])
            print(f"{mark}{finding}", flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    return exit_code(found)


def exit_code(found: Sequence[CheckResult]) -> int:
    """Return what the command ends with."""
    wrong = {one.topic for one in found if one.mark == "wrong"}
    if "settings" in wrong:
        return _SETTINGS
    return _WRONG if wrong else _WELL
