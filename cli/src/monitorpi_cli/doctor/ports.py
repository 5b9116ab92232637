"""Who has the ports of loopback and page that ``up`` would listen on. I/O."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.doctor.finding import CheckResult
from monitorpi_cli.stack import broker
from monitorpi_cli.stack.listening import bind_error
from monitorpi_cli.stack.plan import LOOPBACK, secrets_of
from monitorpi_common.messages import Service
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import load
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_history.settings import HistorySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.settings import BrokerSettings

_LISTENS: Final = "0A"
"""TCP_LISTEN of Linux's net/tcp_states.h, as /proc/net/tcp writes it."""


def look_at_broker_port(settings: BrokerSettings) -> CheckResult:
    """Return whether an own broker could listen: nobody's runs yet."""
    try:
        program = broker.program()
    except ResourceError:
        return CheckResult(
            "note", "broker", "Mosquitto is not installed yet", "./monitorpi up does that"
        )
    configured = "port" in settings.model_fields_set
    found = _look_at("broker", LOOPBACK[0], settings.port, "broker.port", configured=configured)
    return found or CheckResult("ok", "broker", f"none runs yet; {program} is installed")


def look_at_page_port(config: Path | None) -> Iterator[CheckResult]:
    """Return whether the page could be served: nobody's is yet."""
    secrets = secrets_of(Service.DASHBOARD, config)
    settings = load(Service.DASHBOARD, DashboardSettings, file=config, secrets=secrets).section
    if not settings.port:
        yield CheckResult("ok", "page", "at any free port, as configured")
        return
    configured = "port" in settings.model_fields_set
    listen, port = settings.listen, settings.port
    found = _look_at("page", listen, port, "dashboard.port", configured=configured)
    yield found or CheckResult("ok", "page", f"port {port} of {listen or 'all addresses'} is free")


def look_at_history_port(config: Path | None) -> CheckResult:
    """Return whether the history could answer: nobody's does yet."""
    secrets = secrets_of(Service.HISTORY, config)
    settings = load(Service.HISTORY, HistorySettings, file=config, secrets=secrets).section
    listen, port = settings.listen, settings.port
    if not port:
        return CheckResult("ok", "history", "at any free port, as configured")
    configured = "port" in settings.model_fields_set
    found = _look_at("history", listen, port, "history.port", configured=configured)
    return found or CheckResult("ok", "history", f"port {port} of {listen} is free")


def _look_at(
    topic: str, listen: str, port: int, key: str, *, configured: bool
) -> CheckResult | None:
    """Try to take a port; None: it can be taken."""
    match bind_error(listen, port):
        case None:
            return None
        case errno.EADDRINUSE if configured:
            return CheckResult(
                "wrong", topic, f"port {port} is taken by {_holder(port)}",
                f"stop it, or set another one ({key})",
            )  # fmt: skip
        case errno.EADDRINUSE:
            return CheckResult(
                "note", topic, f"port {port} is taken by {_holder(port)}",
                f"`up` takes the next free one; {key} sets one that stays",
            )  # fmt: skip
        case errno.EACCES:
            return CheckResult(
                "wrong",
                topic,
                f"port {port} is for root",
                f"run with sudo, or set {key} above 1023",
            )
        case errno.EADDRNOTAVAIL:
            return CheckResult(
                "wrong", topic, f"{listen} is no address of this machine",
                f"set one that is ({key.replace('port', 'listen')})",
            )  # fmt: skip
        case number:
            return CheckResult(
                "wrong", topic, f"port {port} of {listen} cannot be used: {os.strerror(number)}",
                f"set another one ({key})",
            )  # fmt: skip


def _holder(port: int) -> str:
    """Return the name of the process that listens there, as far as we may know it."""
    wanted = {f"socket:[{inode}]" for inode in _listeners(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(handle.readlink()) in wanted for handle in (folder / "fd").iterdir()):
                name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (process {folder.name})"
        except OSError:
            continue
    return "another process"


def _listeners(port: int) -> Iterator[str]:
    """Return the inodes of the sockets that listen on a port (Linux, proc_net_tcp.rst)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
