"""``monitorpi sites``: which sites a broker is told of, and what this one tells it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr, ValidationError

from monitorpi_cli.sites.overview import FILTERS, SitesOverview
from monitorpi_cli.sites.series import SeriesError, ask_series
from monitorpi_cli.sites.travels import Amounts, travels
from monitorpi_cli.stack.plan import section_of, services_of
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.table import Terminal, printable, rows_to_lines
from monitorpi_cloud_bridge.settings import CloudBridgeSettings, check_url, is_local
from monitorpi_cloud_bridge.web import client
from monitorpi_common.bus import Raw, Subscribed
from monitorpi_common.endpoint import ENDPOINT
from monitorpi_common.log import Log
from monitorpi_common.messages import Service
from monitorpi_common.session import ConnectionChange, Session
from monitorpi_common.settings import BrokerSettings, ConfigurationError, NoSection, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cli.sites.overview import SiteRow
    from monitorpi_cli.table import Colour

_OK, _NOT_ALL, _USAGE, _RESOURCE = 0, 1, 2, 3
_WAIT_S: Final = 10.0
_QUIET_S: Final = 0.7
"""What the broker keeps comes at once: after so long nothing more of it does."""
_LONGEST_S: Final = 30.0
_COLOURS: Final[dict[str, Colour]] = {"watching": "green", "partly": "yellow"}


class _NoAnswerError(Exception):
    """The broker cannot be asked; the text says why."""


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: every site watches. 1: one does not, or there is none. 2: wrong arguments. 3: no broker.
    """
    options = _parse(argv)
    if options.sends:
        return _sends(options)
    try:
        rows, rejected = _look(options)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi sites: configuration: {line}", file=sys.stderr)
        return _USAGE
    except (NoStackError, SeriesError, _NoAnswerError) as error:
        print(f"monitorpi sites: {error}", file=sys.stderr)
        return _RESOURCE
    if options.json:
        print(json.dumps({"sites": [dataclasses.asdict(row) for row in rows]}))
    else:
        _print(rows, rejected)
    return _OK if rows and all(row.level == "watching" for row in rows) else _NOT_ALL


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi sites",
        description="Show every site that a broker is told of, or a store of series: does it "
        "watch, what is open there.",
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--broker", metavar="HOST:PORT", help="by default that of the stack on this machine"
    )
    asked.add_argument(
        "--series", metavar="URL", help="VictoriaMetrics or Prometheus, instead of a broker"
    )
    parser.add_argument("--username", metavar="NAME", help="an account that may read the sites")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its password")
    parser.add_argument("--tls-ca", metavar="FILE", help="the authority of its certificate (PEM)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings `up` runs with")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    sends = parser.add_argument_group("what this site sends to the others' broker, and how much")
    sends.add_argument("--sends", action="store_true", help="print it as the settings say it")
    sends.add_argument("--devices", type=_number, default=50, metavar="N", help="by default 50")
    sends.add_argument("--targets", type=_number, metavar="N", help="by default as many as devices")
    sends.add_argument(
        "--alerts", type=_number, default=1, metavar="N", help="open at a time, by default 1"
    )
    return parser.parse_args(argv)


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("less than none")
    return number


def _sends(options: argparse.Namespace) -> int:
    """Print what the settings send, and return the exit code."""
    targets = options.devices if options.targets is None else options.targets
    try:
        common = load(None, NoSection, file=options.config).common
        bridge = section_of(Service.CLOUD_BRIDGE, CloudBridgeSettings, options.config)
        services = len(services_of(options.config))
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi sites: configuration: {line}", file=sys.stderr)
        return _USAGE
    amounts = Amounts(options.devices, targets, options.alerts, services)
    rows = travels(common.site, common.broker.centre, bridge, amounts)
    total = sum(row.bytes_per_day for row in rows if row.is_sent)
    if options.json:
        each = [dataclasses.asdict(row) | {"bytes_per_day": row.bytes_per_day} for row in rows]
        print(json.dumps({"sends": each, "bytes_per_day": total}))
        return _OK
    head = ["what", "sent", "messages a day", "bytes each", "MB a day"]
    table = [
        [
            row.what, "yes" if row.is_sent else "no", f"{row.per_day:,.0f}",
            f"{row.bytes_each:,.0f}", f"{row.bytes_per_day / 1e6:,.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    for line in rows_to_lines(head, table, Terminal.of(sys.stdout).width, fixed=2):
        print(line)
    print(
        f"\n{total / 1e6:,.1f} MB a day are sent with {amounts.devices} devices and "
        f"{amounts.targets} targets heard of all day, and {amounts.alerts} alerts open."
    )
    if common.broker.centre is None:
        print("No broker of several sites is told: set broker.centre (docs/scaling.md).")
    return _OK


def _look(options: argparse.Namespace) -> tuple[list[SiteRow], int]:
    """Return a row per site, and how many messages were not of the contract.

    Raises:
        ConfigurationError: the arguments are wrong.
        NoStackError: no broker was given, and no stack runs here.
        SeriesError: the store of series cannot be asked.
        _NoAnswerError: the broker cannot be asked.

    """
    if options.series is None:
        overview = _ask(_settings(options))
        return overview.rows(datetime.now(UTC)), overview.rejected
    account = None
    if options.username or options.password_file:
        account = (options.username or "", _password(options.password_file) or "")
        if options.series.startswith("http:") and not is_local(options.series):
            raise ConfigurationError(["--series: plain http would show the password; use https"])
    try:
        check_url("--series", options.series, allow_http=True)
        web = client(options.tls_ca)
    except (ValueError, OSError) as error:
        raise ConfigurationError([str(error)]) from None
    with web:
        return ask_series(web, options.series, account, time.time()), 0


def _password(file: Path | None) -> str | None:
    """Return what a file holds.

    Raises:
        ConfigurationError: it cannot be read.

    """
    try:
        return None if file is None else file.read_text(encoding="utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"--password-file: cannot be read ({error})"]) from None


def _settings(options: argparse.Namespace) -> BrokerSettings:
    """Return which broker to ask, and as whom.

    Raises:
        ConfigurationError: the arguments are wrong.
        NoStackError: none was given, and no stack runs here.

    """
    if options.broker is None:
        return find_running(options.config).account("viewer")
    found = ENDPOINT.match(options.broker)
    if found is None:
        raise ConfigurationError([f"--broker: {options.broker!r} is not HOST:PORT"])
    given: dict[str, object] = {"host": found["host"].strip("[]"), "port": int(found["port"])}
    if options.username:
        given["username"] = options.username
    if options.tls_ca:
        given["tls_ca"] = options.tls_ca
    if (text := _password(options.password_file)) is not None:
        given["password"] = SecretStr(text)
    try:
        return BrokerSettings.model_validate(given)
    except ValidationError as error:
        lines = [f"--{one['loc'][0]}: {one['msg']}".replace("_", "-") for one in error.errors()]
        raise ConfigurationError(lines) from None


def _ask(settings: BrokerSettings) -> SitesOverview:
    """Gather what the broker keeps.

    Raises:
        _NoAnswerError: it cannot be asked.

    """
    overview = SitesOverview()
    began = received_s = time.monotonic()
    subscribed = False
    with Session(settings, "sites", FILTERS, Log("sites", "error")) as session:
        while (now_s := time.monotonic()) - began < _LONGEST_S:
            item = session.next(0.1)
            if isinstance(item, Raw):
                overview.take(item.topic, item.payload)
                received_s = now_s if item.retained else received_s
            elif isinstance(item, ConnectionChange):
                if item.report is not None and item.report.failed:
                    raise _NoAnswerError(item.report.text)
                if isinstance(item.event, Subscribed):
                    subscribed, received_s = True, now_s
            if subscribed and now_s - received_s > _QUIET_S:
                return overview
            if not subscribed and now_s - began > _WAIT_S:
                raise _NoAnswerError("the broker takes the connection and says nothing")
    return overview


def _print(rows: Sequence[SiteRow], rejected: int) -> None:
    """Print a table, and below it what is wrong where."""
    if not rows:
        print("nothing is told of any site there (docs/scaling.md says how to)")
        return
    terminal = Terminal.of(sys.stdout)
    head = ["site", "state", "services", "alerts", "critical", "said"]
    table = [
        [
            row.site, row.level, f"{row.online} of {row.instances}", str(row.open_alerts),
            str(row.critical), _age(row.age_s),
        ]
        for row in rows
    ]  # fmt: skip
    for number, line in enumerate(rows_to_lines(head, table, terminal.width, fixed=2)):
        level = rows[number - 1].level if 0 < number <= len(rows) else "watching"
        print(terminal.paint(line, _COLOURS.get(level, "red")) if number else line)
    lines = [
        f"{row.site}: {printable(text)}"
        for row in rows
        for text in (row.reason, row.worst)
        if text is not None
    ]
    if lines:
        print("", *lines, sep="\n")
    if rejected:
        print(f"\n{rejected} messages are not of the contract")


def _age(seconds: float | None) -> str:
    """Write how long ago something was said."""
    if seconds is None:
        return "never"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
