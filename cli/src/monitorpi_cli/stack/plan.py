"""What ``up`` runs and how: from command line and settings to a plan. Starts nothing."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from monitorpi_cli.stack import broker
from monitorpi_cli.stack.centre import Centre
from monitorpi_cli.stack.listening import LOOPBACK, is_own
from monitorpi_cli.stack.preflight import SECTIONS, broker_settings, given, mistakes, rollup_s
from monitorpi_cli.stack.state import secrets_folder, state_dir
from monitorpi_common.messages import Service
from monitorpi_common.settings import (
    ENV_PREFIX,
    BrokerSettings,
    ConfigurationError,
    NoSection,
    Section,
    load,
)
from monitorpi_common.vacancy import MAX_REPLICAS
from monitorpi_dashboard.settings import DashboardSettings, page_url
from monitorpi_history.settings import HistorySettings
from monitorpi_home_assistant.sinks.announced import FILE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

S = TypeVar("S", bound=Section)
LISTENERS: Final[Mapping[Service, type[DashboardSettings | HistorySettings]]] = {
    Service.DASHBOARD: DashboardSettings,
    Service.HISTORY: HistorySettings,
}
"""Services that listen on a port of this machine."""
ON_DEMAND: Final = (Service.CLOUD_BRIDGE, Service.NOTIFIER, Service.HOME_ASSISTANT)
"""They reach beyond this machine: they run, and cost something, where they are configured."""


SCALABLE: Final = (Service.PROBER, Service.DETECTOR, Service.CLOUD_BRIDGE)
"""Of these there may be several: probers share the targets, of the others one works and the rest
stand by."""


@dataclass(frozen=True)
class StackPlan:
    """What to run and how."""

    site: str
    state_dir: Path
    services: tuple[Service, ...]
    port: int
    """Port of the own broker on loopback."""
    other_broker: BrokerSettings | None = None
    """A broker that is there already, as configured: then there is no own one."""
    centre: Centre | None = None
    """A broker of several sites that the own one tells of this site."""
    listeners: tuple[str, ...] = ()
    """More listeners of the own broker, as ``PORT ADDRESS``."""
    config: Path | None = None
    instance: str = "main"
    """The name of each service's first process."""
    replicas: Mapping[Service, int] = field(default_factory=dict)
    """How many processes of a service; one where nothing is said."""
    environment: Mapping[Service, Mapping[str, str]] = field(default_factory=dict)
    """More variables for single services."""
    prefix: Mapping[Service, Sequence[str]] = field(default_factory=dict)
    """What to put before a service's command, such as ``ip netns exec NAME``."""
    page: str | None = None
    """Where the page will be; None: it is not served, or takes any free port."""
    logs: Path | None = None
    """Folder for what the children print; None: where our own output goes."""

    def count(self, service: Service) -> int:
        """Return how many processes of a service there are to be."""
        return self.replicas.get(service, 1)


def make_plan(options: argparse.Namespace) -> StackPlan:
    """Turn command line and configuration into a plan.

    Raises:
        ConfigurationError: a setting is wrong.
        ResourceError: the configured port is taken.

    """
    overrides = {"site": options.site} if options.site else {}
    wrong = mistakes(options.config, secrets_of)
    if wrong:
        raise ConfigurationError(wrong)
    loaded = load(None, NoSection, file=options.config, overrides=overrides)
    common = loaded.common
    own = is_own(common.broker)
    centre = broker_settings(options.config).centre
    configured = common.broker.port if "port" in common.broker.model_fields_set else None
    services = services_of(options.config)
    ours = _given_ports(services, options.config)
    port = broker.choose_port(configured, besides=ours) if own else common.broker.port
    ours.add(port)
    environment: dict[Service, dict[str, str]] = {}
    if options.interface:
        names = json.dumps(options.interface)
        environment[Service.CAPTURE] = {f"{ENV_PREFIX}CAPTURE__INTERFACES": names}
    page = None
    if Service.DASHBOARD in services:
        listen, page_port = _listen_at(Service.DASHBOARD, options.config, ours)
        ours.add(page_port)
        environment[Service.DASHBOARD] = {f"{ENV_PREFIX}DASHBOARD__PORT": str(page_port)}
        page = page_url(listen, page_port) if page_port else None
    if Service.HISTORY in services:
        _, history_port = _listen_at(Service.HISTORY, options.config, ours)
        environment[Service.HISTORY] = {f"{ENV_PREFIX}HISTORY__PORT": str(history_port)}
    if every_s := rollup_s(options.config):
        environment[Service.CLOUD_BRIDGE] = {f"{ENV_PREFIX}CLOUD_BRIDGE__ROLLUP_S": str(every_s)}
    if Service.HOME_ASSISTANT not in services and _is_announced(state_dir(common)):
        services = (*services, Service.HOME_ASSISTANT)
        environment[Service.HOME_ASSISTANT] = {f"{ENV_PREFIX}HOME_ASSISTANT__ENABLED": "false"}
    return StackPlan(
        site=common.site,
        state_dir=state_dir(common),
        services=services,
        port=port,
        page=page,
        other_broker=None if own else common.broker,
        centre=Centre(common.site, centre) if centre and own else None,
        config=options.config.resolve() if options.config else None,
        instance=common.instance,
        replicas=_replicas(options.scale or [], services),
        environment=environment,
    )


def _replicas(given: Sequence[str], services: Collection[Service]) -> dict[Service, int]:
    """Return how many there are to be of services, from ``SERVICE=N``.

    Raises:
        ConfigurationError: it is not written so, or the service does not run here.

    """
    found = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in SCALABLE or not number.isdecimal() or not 1 <= int(number) <= MAX_REPLICAS:
            known = ", ".join(SCALABLE)
            raise ConfigurationError(
                [f"--scale: {text!r} is not SERVICE=N with one of {known} and 1 to {MAX_REPLICAS}"]
            )
        if name not in services:
            raise ConfigurationError([f"--scale: {name} does not run here: it is not configured"])
        found[Service(name)] = int(number)
    return found


def _given_ports(services: Sequence[Service], config: Path | None) -> set[int]:
    """Return the ports that are configured for our services."""
    found = (section_of(one, kind, config) for one, kind in LISTENERS.items() if one in services)
    return {one.port for one in found if "port" in one.model_fields_set}


def _listen_at(service: Service, config: Path | None, ours: Collection[int]) -> tuple[str, int]:
    """Return where a service listens: the port as configured, or the first that is free.

    Args:
        service: one of ``LISTENERS``.
        config: the TOML file.
        ours: ports that others of our services will have.

    Raises:
        ResourceError: the configured port is taken.

    """
    settings = section_of(service, LISTENERS[service], config)
    configured = settings.port if "port" in settings.model_fields_set else None
    if configured == 0:
        return settings.listen, 0
    address = LOOPBACK[0] if settings.listen in ("", "localhost") else settings.listen
    key = f"{service.value}.port"
    return settings.listen, broker.choose_port(
        configured, settings.port, address, key, besides=ours
    )


def secrets_of(service: Service, config: Path | None) -> Path | None:
    """Return where a service that `up` runs finds its secrets; None: as the environment says."""
    try:
        common = load(None, NoSection, file=config).common
    except ConfigurationError:
        return None  # whoever loads the service's settings says what is wrong
    return secrets_folder(common) / service.value if is_own(common.broker) else None


def section_of(service: Service, kind: type[S], config: Path | None) -> S:
    """Return the settings of a service as `up` gives them to it.

    Raises:
        ConfigurationError: one of them is wrong.

    """
    return load(
        service, kind, file=config, secrets=secrets_of(service, config),
        overrides=given(service, config),
    ).section  # fmt: skip


def _is_announced(state: Path) -> bool:
    """Return whether Home Assistant still shows what it was told before that was switched off."""
    return (state / Service.HOME_ASSISTANT.value / FILE).exists()


def package_of(service: Service) -> str:
    """Return the package that a service is."""
    return f"monitorpi_{service.value.replace('-', '_')}"


def services_of(config: Path | None) -> tuple[Service, ...]:
    """Return the installed services; those that reach beyond this machine where configured."""
    installed = [
        service
        for service in Service
        if importlib.util.find_spec(f"{package_of(service)}.__main__")
    ]
    return tuple(
        service
        for service in installed
        if service not in ON_DEMAND or is_configured(service, config)
    )


def is_configured(service: Service, config: Path | None) -> bool:
    """Return whether a service has any setting or secret of its own."""
    return bool(section_of(service, SECTIONS[service], config).model_fields_set)
