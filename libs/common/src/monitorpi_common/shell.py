"""A service's command line: settings, name, bus, exit codes; :mod:`.loop` runs it."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from monitorpi_common import __version__, clock
from monitorpi_common.claim import Turn
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.loop import Shell, Stop, touch
from monitorpi_common.memory import hold_little
from monitorpi_common.messages import (
    OWNED,
    Service,
)
from monitorpi_common.retention import Retention
from monitorpi_common.service import (
    Assembly,
    Context,
    ResourceError,
)
from monitorpi_common.settings import CommonSettings, ConfigurationError, Section, load
from monitorpi_common.stdio import StdioBus
from monitorpi_common.topics import Topic
from monitorpi_common.vacancy import MAX_REPLICAS, await_vacancy, is_taken, online_names, taken
from monitorpi_common.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitorpi_common.mqtt import MqttBus
    from monitorpi_common.settings import BrokerSettings

EXIT_STOPPED: Final = 0
EXIT_BUG: Final = 1
EXIT_CONFIGURATION: Final = 2
EXIT_RESOURCE: Final = 3

SectionT = TypeVar("SectionT", bound=Section)


def run_service(
    service: Service,
    section: type[SectionT],
    assemble: Callable[[Context[SectionT]], Assembly],
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    *,
    shares: bool = False,
) -> int:
    """Run a service from its command line until it is stopped, and return its exit code.

    Args:
        service: its name in topics and settings.
        section: the model of its table in the configuration.
        assemble: puts core and sources together; may raise ``ResourceError``.
        arguments: adds command line arguments of the service's own.
        shares: replicas share the work, each under a name of its own; else all but one wait for
            the name.

    Returns:
        0 stopped, 1 a bug, 2 configuration, 3 a resource is missing.

    """
    parser = argparse.ArgumentParser(prog=f"monitorpi-{service.value}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    parser.add_argument(
        "--bus", choices=["-"], help="'-': JSON lines on stdin and stdout instead of a broker"
    )
    parser.add_argument("--version", action="version", version=__version__)
    if arguments is not None:
        arguments(parser)
    options = parser.parse_args()
    inbox = Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.put(Stop()))
    log = Log(service.value)
    try:
        loaded = load(service, section, file=options.config)
        common = loaded.common
        log = Log(service.value, common.log_level)
        live = options.bus is None
        turn = _turn(service, common, common.instance)
        if live and shares and "instance" not in common.model_fields_set:
            common, turn = _named(service, common, log)
        if live and not _await_name(service, common, inbox, log, turn):
            return EXIT_STOPPED
        context = Context(
            site=common.site,
            instance=common.instance,
            epoch=secrets.token_hex(6),
            settings=loaded.section,
            arguments=options,
            state_dir=common.state_dir,
            trust_clock=common.trust_clock,
            live=live,
            log=log,
        )
        assembly = assemble(context)
        started_at = clock.wall()
        bus = _live_bus(service, common, log, started_at) if live else _pipe_bus(assembly)
        retention = _retention(service, common, log) if live else None
        shell = Shell(
            service, common, assembly, bus, inbox, log, retention, started_at, turn.pass_on,
            Watchdog(assembly.is_stuck).beat,
        )  # fmt: skip
        hold_little()
        shell.run()
    except ConfigurationError as error:
        for line in error.lines:
            print(f"{parser.prog}: configuration: {line}", file=sys.stderr)  # noqa: T201 - for people
        return EXIT_CONFIGURATION
    except ResourceError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)  # noqa: T201 - for people
        return EXIT_RESOURCE
    except BrokenPipeError:
        # the reader of our pipe has gone: nobody is left to write to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:  # noqa: BLE001 - a bug of ours, whatever it is: say it and let the will speak
        traceback.print_exc()
        return EXIT_BUG
    return EXIT_STOPPED


def _turn(service: Service, common: CommonSettings, instance: str) -> Turn:
    return Turn(common.state_dir, f"{common.site}-{service.value}-{instance}")


def _named(service: Service, common: CommonSettings, log: Log) -> tuple[CommonSettings, Turn]:
    """Return the settings with the first name that no other replica has, here or at the broker."""
    there = online_names(account(service, common.broker), _status(service, common), log)
    for number in range(1, MAX_REPLICAS + 1):
        name = common.instance if number == 1 else f"{common.instance}-{number}"
        turn = _turn(service, common, name)
        if name not in there and turn.take():
            if number > 1:
                log.info("one of several replicas", instance=name)
            return common.model_copy(update={"instance": name}), turn
    return common, _turn(service, common, common.instance)


def _await_name(
    service: Service, common: CommonSettings, inbox: Inbox, log: Log, turn: Turn
) -> bool:
    """Wait until nobody else runs under our name; False: we were stopped meanwhile."""

    def beat() -> None:
        if common.heartbeat is not None:
            touch(common.heartbeat, log)

    def is_stopped() -> bool:
        return len(inbox) > 0

    broker, status = account(service, common.broker), _status(service, common)
    while True:
        turn.take()
        if not await_vacancy(
            broker, status, log, is_stopped=is_stopped, beat=beat, stand_by=turn.pass_on
        ):
            return False
        if turn.is_ours:
            return True
        beat()
        turn.look(is_stopped)  # then ask again: who was ahead is online, or has gone


def account(service: Service, broker: BrokerSettings) -> BrokerSettings:
    """Return who a service is at a broker: with a password and no name it goes by its own."""
    if broker.username is None and broker.password is not None:
        return broker.model_copy(update={"username": service.value})
    return broker


def _status(service: Service, common: CommonSettings) -> Topic:
    return Topic(common.site, service.value, "status", common.instance)


def _live_bus(service: Service, common: CommonSettings, log: Log, started_at: datetime) -> MqttBus:
    status, settings = _status(service, common), account(service, common.broker)

    def before_return() -> None:
        if is_taken(settings, status, log, started_at):
            raise ResourceError(taken(status))

    name = f"monitorpi-{status.site}-{status.service}-{status.id}"
    from monitorpi_common.mqtt import MqttBus  # noqa: PLC0415 - a pipe needs none of it

    return MqttBus(settings, name, status, log, before_return=before_return)


def _retention(service: Service, common: CommonSettings, log: Log) -> Retention | None:
    """Return what keeps a service's retained state; None: it has none that is kept."""
    if not any(kind.SERVICE is service and kind.KEPT is not None for kind in OWNED):
        return None
    return Retention(
        common.state_dir, common.site, service.value, common.instance, log,
        trust_clock=common.trust_clock,
    )  # fmt: skip


def _pipe_bus(assembly: Assembly) -> StdioBus:
    # a file object of our own: Python aborts at exit when a thread still reads sys.stdin
    source: BinaryIO | None = None
    if assembly.reads_pipe:
        source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    return StdioBus(source, sys.stdout.buffer)
