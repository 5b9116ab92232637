"""Who has the ports of loopback and page that ``up`` would listen on. I/O."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cli.doctor.finding import CheckResult, note, ok, wrong
from monitorpi_cli.stack import broker
from monitorpi_cli.stack.listening import LOOPBACK, bind_error
from monitorpi_cli.stack.plan import section_of
from monitorpi_cli.stack.preflight import SECTIONS
from monitorpi_cli.stack.state import try_to_hash
from monitorpi_common.messages import Service
from monitorpi_common.service import ResourceError
from monitorpi_host.listeners import holder_of

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_common.settings import BrokerSettings

SERVED: Final = {Service.DASHBOARD: "page", Service.HISTORY: "history"}
"""The services that listen, and what is found of each is about."""


def check_broker_port(settings: BrokerSettings) -> CheckResult:
    """Return whether an own broker could listen: nobody's runs yet."""
    try:
        program = broker.program()
    except ResourceError:
        return note("broker", "Mosquitto is not installed yet", "./monitorpi up does that")
    if (no_room := try_to_hash()) is not None:
        return wrong("broker", no_room.why, no_room.remedy)
    found = _why_not("broker", LOOPBACK[0], settings, "broker.port")
    return found or ok("broker", f"none runs yet; {program} is installed")


def check_port(service: Service, config: Path | None) -> CheckResult:
    """Return whether a service of ``SERVED`` could listen: nobody's does yet."""
    settings: Any = section_of(service, SECTIONS[service], config)
    topic = SERVED[service]
    if not settings.port:
        return ok(topic, "at any free port, as configured")
    where = settings.listen or "all addresses"
    found = _why_not(topic, settings.listen, settings, f"{service.value}.port")
    return found or ok(topic, f"port {settings.port} of {where} is free")


def _why_not(topic: str, listen: str, settings: Any, key: str) -> CheckResult | None:
    """Try to take a port; None: it can be taken.

    Args:
        topic: of the finding.
        listen: the address.
        settings: those with the ``port``.
        key: what the setting of the port is called.

    """
    port = settings.port
    match bind_error(listen, port):
        case None:
            return None
        case errno.EADDRINUSE:
            text = f"port {port} is taken by {holder_of(port)}"
            if "port" in settings.model_fields_set:
                return wrong(topic, text, f"stop it, or set another one ({key})")
            return note(topic, text, f"`up` takes the next free one; {key} sets one that stays")
        case errno.EACCES:
            text, remedy = f"port {port} is for root", f"run with sudo, or set {key} above 1023"
        case errno.EADDRNOTAVAIL:
            text = f"{listen} is no address of this machine"
            remedy = f"set one that is ({key.replace('port', 'listen')})"
        case number:
            text = f"port {port} of {listen} cannot be used: {os.strerror(number)}"
            remedy = f"set another one ({key})"
    return wrong(topic, text, remedy)
