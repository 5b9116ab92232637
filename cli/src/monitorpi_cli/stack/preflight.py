"""What is wrong with the settings of any service, before one is started: for ``up`` and doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_capture.settings import CaptureSettings
from monitorpi_cli.stack.broker import OWN, USERS
from monitorpi_cli.stack.listening import LOOPBACK, clashes, is_foreign, is_own
from monitorpi_cli.stack.private import refused_passwords
from monitorpi_cli.stack.state import secrets_folder, state_dir, try_to_write
from monitorpi_cli.stack.usable import try_to_use
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.messages import Service
from monitorpi_common.settings import ConfigurationError, Loaded, NoSection, Section, load
from monitorpi_common.settings_files import why_never
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_detector.settings import DetectorSettings
from monitorpi_history.settings import HistorySettings
from monitorpi_home_assistant.settings import HomeAssistantSettings
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_prober.settings import ProberSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitorpi_common.settings import BrokerSettings

SECTIONS: Final[dict[Service, type[Section]]] = {
    Service.CAPTURE: CaptureSettings,
    Service.PROBER: ProberSettings,
    Service.DETECTOR: DetectorSettings,
    Service.CLOUD_BRIDGE: CloudBridgeSettings,
    Service.HISTORY: HistorySettings,
    Service.DASHBOARD: DashboardSettings,
    Service.NOTIFIER: NotifierSettings,
    Service.HOME_ASSISTANT: HomeAssistantSettings,
}


def mistakes(
    config: Path | None, secrets_of: Callable[[Service, Path | None], Path | None]
) -> list[str]:
    """Return a line for each mistake in what the services would read.

    Args:
        config: the TOML file; None: the default one.
        secrets_of: returns the secrets directory of a service.

    """
    lines: dict[str, None] = {}
    listeners: dict[str, tuple[str, int]] = {}
    """By the key of each, behind where it stands."""
    try:
        common = load(None, NoSection, file=config)
        lines |= dict.fromkeys(_of_the_stack(common))
        if is_own(common.common.broker):
            folder = secrets_folder(common.common)
            files = [folder / user.name / "broker__password" for user in USERS]
            lines |= dict.fromkeys(refused_passwords(files))
        broker_settings(config)
        broker = common.common.broker
        if is_own(broker) and "port" in broker.model_fields_set:
            origin = common.origins.of(["broker", "port"])
            listeners[f"{origin}broker.port"] = (LOOPBACK[0], broker.port)
    except ConfigurationError as error:
        lines |= dict.fromkeys(error.lines)
    for service, section in SECTIONS.items():
        try:
            secrets, overrides = secrets_of(service, config), given(service, config)
            loaded = load(service, section, file=config, secrets=secrets, overrides=overrides)
            lines |= dict.fromkeys(_of_this_machine(service, loaded))
            lines |= dict.fromkeys(_of_the_missing(service, loaded))
            if (listener := _listener(loaded.section)) is not None:
                origin = loaded.origins.of([service.value, "port"])
                listeners[f"{origin}{service.value}.port"] = listener
        except ConfigurationError as error:
            lines |= dict.fromkeys(error.lines)
    for one, other, port in clashes(listeners):
        taken = one.rpartition(" ")[2]
        lines[f"{other}: {port} is {taken} too; give each a port of its own"] = None
    return list(lines)


def _listener(section: Section) -> tuple[str, int] | None:
    """Return the address and port that are configured to be listened on."""
    listen, port = getattr(section, "listen", None), getattr(section, "port", None)
    if not isinstance(listen, str) or not isinstance(port, int):
        return None
    return (listen, port) if "port" in section.model_fields_set else None


def broker_settings(config: Path | None) -> BrokerSettings:
    """Return the broker's settings, with the secrets that are the own broker's.

    Raises:
        ConfigurationError: one of them is wrong.

    """
    loaded = load(None, NoSection, file=config)
    if loaded.common.broker.centre is None:
        return loaded.common.broker
    where = f"{loaded.origins.of(['broker', 'centre'])}broker.centre: "
    if not is_own(loaded.common.broker):
        raise ConfigurationError(
            [f"{where}the broker is not `up`'s own: let that one pass topics on, and remove this"]
        )
    folder = secrets_folder(loaded.common) / OWN
    return load(None, NoSection, file=config, secrets=folder).common.broker


def rollup_s(config: Path | None) -> int:
    """Return how often the own broker passes rollups on to one of several sites; 0: it does not.

    Raises:
        ConfigurationError: a setting of the broker is wrong.

    """
    broker = load(None, NoSection, file=config).common.broker
    return broker.centre.rollup_s if broker.centre is not None and is_own(broker) else 0


def given(service: Service, config: Path | None) -> dict[str, dict[str, int]]:
    """Return what `up` gives a service beside its own settings.

    Raises:
        ConfigurationError: a setting of the broker is wrong.

    """
    if service is Service.CLOUD_BRIDGE and (every_s := rollup_s(config)):
        return {"cloud_bridge": {"rollup_s": every_s}}
    return {}


def _of_the_stack(loaded: Loaded[NoSection]) -> Iterator[str]:
    """Yield what no service would stop for, and ``up`` cannot start with.

    A service that runs goes on when its folder goes, and says that it cannot keep its state. A disk
    that is full is no mistake: there may be room again.
    """
    folder = state_dir(loaded.common)
    where = f"{loaded.origins.of(['state_dir'])}state_dir: "
    if (why := why_never(folder)) is not None:
        yield f"{where}{why}; give another folder"
    elif (found := try_to_write(folder)) is not None and not found.is_full:
        yield f"{where}{folder} cannot be written: {found.why}: {found.remedy}"
    elif (found := try_to_use(folder, has_broker=is_own(loaded.common.broker))) is not None:
        yield f"{where}{folder} cannot be used: {found.why}: {found.remedy}"


def _of_the_missing(service: Service, loaded: Loaded[Section]) -> Iterator[str]:
    """Yield what a service that is configured cannot begin without."""
    section = loaded.section
    if section.model_fields_set and (missing := section.missing) is not None:
        key = min(section.model_fields_set)
        given = getattr(section, key)
        inner = list(given)[:1] if isinstance(given, dict) else []
        yield f"{loaded.origins.of([service.value.replace('-', '_'), key, *inner])}{missing}"


def _of_this_machine(service: Service, loaded: Loaded[Section]) -> Iterator[str]:
    """Yield that a service is to listen on an address that this machine does not have."""
    listen = getattr(loaded.section, "listen", None)
    if listen is not None and is_foreign(listen):
        name = service.value.replace("-", "_")
        origin = loaded.origins.of([name, "listen"])
        yield f"{origin}{name}.listen: {listen} is no address of this machine; give one that is"
