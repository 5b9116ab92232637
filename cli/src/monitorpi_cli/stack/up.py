"""``up``: the whole stack on this machine, an own broker and every service under supervision."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.bytecode import write_bytecode
from monitorpi_cli.stack.console import print_event, print_line, report_bus
from monitorpi_cli.stack.forked import Loader
from monitorpi_cli.stack.notify import READY, STOPPING, beat, notify
from monitorpi_cli.stack.plan import make_plan, package_of, services_of
from monitorpi_cli.stack.stack import Stack
from monitorpi_cli.stack.state import SECRETS, open_to_others
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import ConfigurationError, authority

if TYPE_CHECKING:
    from monitorpi_cli.stack.plan import StackPlan
    from monitorpi_common.messages import Service

_POLL_S: Final = 0.1


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
    parser.add_argument(
        "--scale", action="append", metavar="SERVICE=N",
        help="so many processes of a service (repeatable): prober, detector, cloud-bridge",
    )  # fmt: skip
    options = parser.parse_args(argv)
    loader = Loader(_packages(options.config))
    loader.fork()
    try:
        plan = make_plan(options)
        return asyncio.run(_run(plan, loader))
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi: configuration: {line}", file=sys.stderr)
        return 2
    except ResourceError as error:
        print(f"monitorpi: {error}", file=sys.stderr)
        return 3
    finally:
        loader.close()


def _packages(config: Path | None) -> list[str]:
    """Return the packages of the services to run, found out by a process of its own.

    Ours must not have read a secret before the loader is made of it.
    """
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            packages = [package_of(service) for service in services_of(config)]
            os.write(writer, " ".join(packages).encode())
        finally:
            os._exit(0)  # what is wrong is said when we plan ourselves
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as text:
        packages = text.read().split()
    os.waitpid(pid, 0)
    return packages


async def _run(plan: StackPlan, loader: Loader) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means what it says
            loop.add_signal_handler(number, stopped.set)
    if (is_open := open_to_others(plan.state_dir / SECRETS)) is not None:
        print_line(
            f"monitorpi: {is_open}: it is closed now; change what somebody may have read there"
        )
    write_bytecode(service.value for service in plan.services)
    stack = Stack(plan, print_event, loader)
    stack.start()
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(stack.supervisor.failed()),
        asyncio.create_task(beat()),
    ]
    try:
        await _until_it_runs(stack, stopped)
        print_line(greeting(stack))
        notify(READY)
        tasks.append(asyncio.create_task(report_bus(stack.viewer(), plan.site)))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        print_line("monitorpi: stopping")
        notify(STOPPING)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stack.stop()
    print_line("monitorpi: stopped")
    return 0


async def _until_it_runs(stack: Stack, stopped: asyncio.Event) -> None:
    """Wait for the services and the broker's port, a while: what we print should work when read."""
    settings = stack.viewer()
    for _ in range(100):
        if stopped.is_set():
            return
        try:
            _, writer = await asyncio.open_connection(settings.host, settings.port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.close()
        if not stack.supervisor.untried:
            return
        await asyncio.sleep(_POLL_S)


def _counted(service: Service, number: int) -> str:
    return service.value if number == 1 else f"{service.value} ({number})"


def greeting(stack: Stack) -> str:
    """Return where to look."""
    plan = stack.plan
    settings = stack.viewer()
    address = authority(settings.host, settings.port)
    page = plan.page
    services = [
        f"  services  {', '.join(map(_counted, plan.services, map(plan.count, plan.services)))}",
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
