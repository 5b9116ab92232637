"""The accounts of the broker that the services of a stack use. I/O: reads their passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitorpi_cli.stack.plan import secrets_of, services_of
from monitorpi_cli.stack.preflight import SECTIONS
from monitorpi_common.settings import BrokerSettings, load
from monitorpi_common.shell import account

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_cli.stack.running import Running
    from monitorpi_common.messages import Service


@dataclass(frozen=True)
class Login:
    """One account of the broker, and the service whose topics it may write."""

    service: Service
    settings: BrokerSettings


def logins(config: Path | None, running: Running | None) -> list[Login]:
    """Return the accounts of the services that ``up`` runs.

    Args:
        config: the settings file.
        running: the stack with a broker of its own that runs here; None: the broker is as
            configured.

    Raises:
        OSError: the passwords are not for us to read.

    """
    services = services_of(config)
    if running is not None:
        return [Login(service, running.account(service.value)) for service in services]
    found: dict[object, Login] = {}
    for service in services:
        loaded = load(service, SECTIONS[service], file=config, secrets=secrets_of(service, config))
        settings = account(service, loaded.common.broker)
        found.setdefault((settings.username, settings.password), Login(service, settings))
    return list(found.values())
