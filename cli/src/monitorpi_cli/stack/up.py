"""``up``: the whole stack on this machine, an own broker and every service under supervision."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import importlib.util
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr, ValidationError

from monitorpi_cli.stack import broker
from monitorpi_cli.stack.preflight import mistakes
from monitorpi_cli.stack.supervisor import Child, ChildEvent, Supervisor
from monitorpi_cli.table import Terminal
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.bus import BusEvent, Raw, Report
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Service
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import (
    ENV_PREFIX,
    BrokerSettings,
    CommonSettings,
    ConfigurationError,
    NoSection,
    authority,
    load,
)
from monitorpi_common.topics import Topic, TopicError, pattern
from monitorpi_dashboard.settings import DashboardSettings, page_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import TextIOWrapper

    from monitorpi_cli.table import Colour

BROKER: Final = "broker"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_POLL_S: Final = 0.1
_MAX_SHOWN: Final = 2048
"""Alerts whose last line is remembered: more than a detector keeps, open and closed."""
_COLOURS: Final[dict[str, Colour]] = {
    "critical": "red",
    "warning": "yellow",
    "info": "blue",
    "closed": "green",
}


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
    listeners: tuple[str, ...] = ()
    """More listeners of the own broker, as ``PORT ADDRESS``."""
    config: Path | None = None
    environment: Mapping[Service, Mapping[str, str]] = field(default_factory=dict)
    """More variables for single services."""
    prefix: Mapping[Service, Sequence[str]] = field(default_factory=dict)
    """What to put before a service's command, such as ``ip netns exec NAME``."""
    page: str | None = None
    """Where the page will be; None: it is not served, or takes any free port."""
    logs: Path | None = None
    """Folder for what the children print; None: where our own output goes."""


class Stack:
    """A broker and services, running. Use from one asyncio loop."""

    def __init__(self, plan: StackPlan, notify: Callable[[ChildEvent], None]) -> None:
        self.plan = plan
        self._lock = _lock(plan.state_dir)
        self.secrets = plan.state_dir / "secrets"
        try:
            self.passwords = {} if plan.other_broker else broker.ensure_passwords(self.secrets)
            children = [self._service(service) for service in plan.services]
            if plan.other_broker is None:
                children.append(self._broker())
        except OSError as error:
            self._lock.close()
            raise _unwritable(plan.state_dir, error) from None
        self.supervisor = Supervisor(children, notify)

    def _broker(self) -> Child:
        plan = self.plan
        listeners = [f"{plan.port} {LOOPBACK[0]}", *plan.listeners]
        config = broker.write_files(plan.state_dir / "broker", listeners, self.passwords)
        return Child(
            BROKER, broker.command(config), log=self._log(BROKER), rank=0, restart_always=True
        )

    def _log(self, name: str) -> Path | None:
        return self.plan.logs / f"{name}.log" if self.plan.logs else None

    def _service(self, service: Service) -> Child:
        plan = self.plan
        state = plan.state_dir / service.value
        state.mkdir(exist_ok=True, mode=0o700)
        environment = os.environ | {
            f"{ENV_PREFIX}SITE": plan.site,
            f"{ENV_PREFIX}STATE_DIR": str(state),
        }
        if plan.other_broker is None:
            environment |= self._account(service)
            environment.pop(f"{ENV_PREFIX}BROKER__PASSWORD", None)  # the one in the file counts
        if plan.config is not None:
            environment[f"{ENV_PREFIX}CONFIG"] = str(plan.config)
        module = f"monitorpi_{service.value.replace('-', '_')}"
        return Child(
            service.value,
            [*plan.prefix.get(service, ()), sys.executable, "-P", "-m", module],
            {**environment, **plan.environment.get(service, {})},
            log=self._log(service.value),
        )

    def _account(self, service: Service) -> dict[str, str]:
        """Return where the own broker is and who the service is there, whatever is configured."""
        return {
            f"{ENV_PREFIX}BROKER__HOST": LOOPBACK[0],
            f"{ENV_PREFIX}BROKER__PORT": str(self.plan.port),
            f"{ENV_PREFIX}BROKER__USERNAME": service.value,
            f"{ENV_PREFIX}SECRETS_DIR": str(self.secrets / service.value),
        }

    def viewer(self) -> BrokerSettings:
        """Return how to read the bus."""
        if self.plan.other_broker is not None:
            return self.plan.other_broker
        password = SecretStr(self.passwords["viewer"])
        return BrokerSettings(port=self.plan.port, username="viewer", password=password)

    def start(self) -> None:
        """Start everything; returns at once."""
        self.supervisor.start_all()

    async def stop(self) -> None:
        """Stop everything, services before the broker, and let the state directory go."""
        await self.supervisor.stop()
        self._lock.close()


def _lock(folder: Path) -> TextIOWrapper:
    """Make the state directory, and take it for this process.

    Raises:
        ResourceError: it cannot be written, or another process has it.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "lock"
        stream = file.open("a+", encoding="ascii")
        file.chmod(0o600)  # whoever may read it may hold it, and keep us from starting
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ResourceError(
            f"another MonitorPi runs with the state directory {folder}: stop it, or set another "
            f"one ({ENV_PREFIX}STATE_DIR)"
        ) from None
    return stream


def _unwritable(folder: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"the state directory {folder} cannot be written ({error.strerror}): run as its owner, "
        f"make room on its disk, or set another one ({ENV_PREFIX}STATE_DIR)"
    )


class Listener:
    """Reads the bus as one of its users and hands on what arrives."""

    def __init__(self, settings: BrokerSettings, filters: Sequence[str]) -> None:
        self._inbox = Inbox()
        self._bus = MqttBus(settings, "monitorpi-up", None, Log("up"))
        self._filters = filters

    async def run(self, handle: Callable[[Raw], None], tell: Callable[[Report], None]) -> None:
        """Hand on every message, and what becomes of the connection, until cancelled."""
        self._bus.open(self._inbox, self._filters)
        try:
            while True:
                while (item := self._inbox.take(0)) is not None:
                    if isinstance(item, Raw):
                        handle(item)
                    elif isinstance(item, BusEvent):
                        report = self._bus.event(item)
                        if report is not None:
                            tell(report)
                await asyncio.sleep(_POLL_S)
        finally:
            self._bus.close()


# --- the command ----------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """Run the stack until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi up", description="Run the whole stack on this machine until Ctrl-C."
    )
    parser.add_argument(
        "--interface",
        action="append",
        metavar="NAME",
        help="listen here (repeatable); by default the wired interface",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    parser.add_argument("--site", metavar="NAME", help="name of this installation in topics")
    options = parser.parse_args(argv)
    try:
        plan = make_plan(options)
        return asyncio.run(_run(plan))
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi: configuration: {line}", file=sys.stderr)
        return 2
    except ResourceError as error:
        print(f"monitorpi: {error}", file=sys.stderr)
        return 3


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
    configured = common.broker.port if "port" in common.broker.model_fields_set else None
    port = broker.choose_port(configured) if own else common.broker.port
    environment: dict[Service, dict[str, str]] = {}
    if options.interface:
        names = json.dumps(options.interface)
        environment[Service.CAPTURE] = {f"{ENV_PREFIX}CAPTURE__INTERFACES": names}
    services = _services(options.config)
    page = None
    if Service.DASHBOARD in services:
        listen, page_port = _page(options.config)
        environment[Service.DASHBOARD] = {f"{ENV_PREFIX}DASHBOARD__PORT": str(page_port)}
        page = page_url(listen, page_port) if page_port else None
    return StackPlan(
        site=common.site,
        state_dir=state_dir(common),
        services=services,
        port=port,
        page=page,
        other_broker=None if own else common.broker,
        config=options.config.resolve() if options.config else None,
        environment=environment,
    )


def _page(config: Path | None) -> tuple[str, int]:
    """Return where the page listens: the port as configured, or the first free one.

    Raises:
        ResourceError: the configured port is taken.

    """
    secrets = secrets_of(Service.DASHBOARD, config)
    settings = load(Service.DASHBOARD, DashboardSettings, file=config, secrets=secrets).section
    configured = settings.port if "port" in settings.model_fields_set else None
    if configured == 0:
        return settings.listen, 0
    address = "127.0.0.1" if settings.listen in ("", "localhost") else settings.listen
    port = broker.choose_port(configured, settings.port, address, "dashboard.port")
    return settings.listen, port


def is_own(settings: BrokerSettings) -> bool:
    """Tell whether `up` runs the broker itself.

    One elsewhere or with TLS is somebody else's, and so is one that asks for a user who is not of
    our making; ``broker.own`` says it where that is not enough.
    """
    if settings.own is not None:
        return settings.own
    named = {"username", "password"} & settings.model_fields_set
    return settings.host in LOOPBACK and settings.tls_ca is None and not named


def secrets_of(service: Service, config: Path | None) -> Path | None:
    """Return where a service that `up` runs finds its secrets; None: as the environment says."""
    try:
        common = load(None, NoSection, file=config).common
    except ConfigurationError:
        return None  # whoever loads the service's settings says what is wrong
    return state_dir(common) / "secrets" / service.value if is_own(common.broker) else None


def state_dir(common: CommonSettings) -> Path:
    """Return where `up` keeps its state: as configured, or in the home of an ordinary user."""
    if "state_dir" in common.model_fields_set or os.geteuid() == 0:
        return common.state_dir
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "monitorpi"


def _services(config: Path | None) -> tuple[Service, ...]:
    """Return the installed services; the cloud bridge only where it is configured."""
    installed = [
        service
        for service in Service
        if importlib.util.find_spec(f"monitorpi_{service.value.replace('-', '_')}.__main__")
    ]
    if not _cloud_is_configured(config):
        installed = [service for service in installed if service is not Service.CLOUD_BRIDGE]
    return tuple(installed)


def _cloud_is_configured(config: Path | None) -> bool:
    secrets = secrets_of(Service.CLOUD_BRIDGE, config)
    loaded = load(Service.CLOUD_BRIDGE, CloudBridgeSettings, file=config, secrets=secrets)
    return bool(loaded.section.model_fields_set)


async def _run(plan: StackPlan) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means what it says
            loop.add_signal_handler(number, stopped.set)
    stack = Stack(plan, _say_event)
    stack.start()
    tasks = [asyncio.create_task(stopped.wait()), asyncio.create_task(stack.supervisor.failed())]
    try:
        await _until_the_broker_answers(stack, stopped)
        _say(greeting(stack))
        tasks.append(asyncio.create_task(_tell_alerts(stack)))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        _say("monitorpi: stopping")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stack.stop()
    _say("monitorpi: stopped")
    return 0


async def _tell_alerts(stack: Stack) -> None:
    """Print a line for each alert until cancelled."""
    shown: dict[str, tuple[str, str]] = {}
    listener = Listener(stack.viewer(), [pattern(stack.plan.site, "detector", "alert")])
    await listener.run(lambda raw: _say_alert(raw, shown), Connection().tell)


class Connection:
    """Says what becomes of the connection to the broker: each change, and no repetition."""

    def __init__(self) -> None:
        self._said: str | None = None

    def tell(self, report: Report) -> None:
        """Print a failure that is another than the last, and that it is over."""
        if report.failed and report.text != self._said:
            self._said = report.text
            _say(f"monitorpi: {report.text}")
        elif not report.failed and self._said is not None:
            self._said = None
            _say(f"monitorpi: {report.text} again")


async def _until_the_broker_answers(stack: Stack, stopped: asyncio.Event) -> None:
    """Wait for the broker's port, for a while: what we print should work when it is read."""
    settings = stack.viewer()
    for _ in range(100):
        if stopped.is_set():
            return
        try:
            _, writer = await asyncio.open_connection(settings.host, settings.port)
        except OSError:
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return


def greeting(stack: Stack) -> str:
    """Say where to look."""
    plan = stack.plan
    settings = stack.viewer()
    address = authority(settings.host, settings.port)
    page = plan.page
    services = [
        f"  services  {', '.join(service.value for service in plan.services)}",
        *([f"  page      {page}"] if page else []),
    ]
    head = f"MonitorPi watches site {plan.site!r}. Ctrl-C stops it."
    read = "sudo cat" if os.environ.get("SUDO_USER") else "cat"  # as it was started
    if plan.other_broker is not None:
        return "\n".join([head, f"  broker    {address} (as configured)", *services])
    return "\n".join(
        [
            head,
            f"  broker    {address}, users: viewer, operator",
            f"  passwords {stack.secrets}/USER/broker__password",
            *services,
            f"  look      mosquitto_sub -h {settings.host} -p {settings.port} -u viewer \\",
            f'              -P "$({read} {stack.secrets}/viewer/broker__password)" \\',
            f"              -v -t 'monitorpi/v1/{plan.site}/#'",
        ]
    )


def _say(text: str) -> None:
    """Print at once. Where nobody reads any more, the stack stops as by Ctrl-C."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


def _say_event(event: ChildEvent) -> None:
    if event.what == "died":
        _say(f"monitorpi: {event.name} {event.text}")


def _say_alert(raw: Raw, shown: dict[str, tuple[str, str]]) -> None:
    """Print one line when an alert opens, grows more severe or closes."""
    try:
        topic = Topic.parse(raw.topic)
        alert = Alert.model_validate_json(raw.payload)
    except (TopicError, ValidationError):
        return
    state = (f"{alert.id} {alert.state}", alert.severity)
    if shown.get(topic.id) == state or (raw.retained and alert.state == "closed"):
        return
    shown[topic.id] = state
    if len(shown) > _MAX_SHOWN:
        del shown[next(iter(shown))]
    _say(alert_line(alert, Terminal.of(sys.stdout)))


def alert_line(alert: Alert, terminal: Terminal) -> str:
    """Return one readable line about an alert."""
    at = (alert.closed_at or alert.at).astimezone(UTC).strftime("%H:%M:%SZ")
    word = alert.severity.upper() if alert.state == "open" else alert.state
    why = f" ({alert.close_reason})" if alert.close_reason else ""
    label = terminal.paint(f"{word:<8}", _COLOURS[word.lower()])
    return f"{at} {label} {alert.rule}: {_printable(alert.summary)}{why}"


def _printable(text: str) -> str:
    """Keep foreign text from steering the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
