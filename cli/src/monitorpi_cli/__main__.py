"""The command line: one table of commands, each loaded only when it is called.

Those of the lab and of developers live in packages above this one: it knows them by name only.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from monitorpi_common import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("monitorpi_cli.stack.up:main", "run the whole stack on this machine"),
    "install": ("monitorpi_cli.install.command:install", "run it now and at each boot (systemd)"),
    "uninstall": ("monitorpi_cli.install.command:uninstall", "take it out of the boot"),
    "status": ("monitorpi_cli.install.command:status", "is it installed, does it run and watch"),
    "demo": ("monitorpi_lab.demo.run:main", "watch it find two floods in a lab of its own"),
    "doctor": (
        "monitorpi_cli.doctor.command:main",
        "is this machine fit, does its port see the LAN",
    ),
    "replay": ("monitorpi_cli.replay:main", "count and judge a capture file"),
    "drill": ("monitorpi_lab.drill:main", "a harmless flood beside the running stack"),
    "lab": ("monitorpi_lab.shell:main", "a shell on the sensor of a LAN in namespaces"),
    "ping": ("monitorpi_cli.ping:main", "one round of probes to some addresses"),
    "export": ("monitorpi_cli.export:main", "devices, alerts, traffic, probes of the past"),
    "sites": ("monitorpi_cli.sites.command:main", "all sites a broker is told of, one line each"),
    "thingspeak": ("monitorpi_cli.thingspeak:main", "set up ThingSpeak channels, see the outbox"),
    "notify": ("monitorpi_cli.notify:main", "send a test message to those who get alerts"),
    "suggest-thresholds": (
        "monitorpi_cli.suggest_thresholds:main",
        "propose thresholds from recorded traffic",
    ),
    "licences": (
        "monitorpi_cli.licences:main",
        "whose packages run here, under which licence",
    ),
    "evaluate": ("monitorpi_dev.evaluate:main", "judge a folder of labelled capture files"),
    "bench backlog": ("monitorpi_dev.bench.backlog:main", "measure the cloud bridge's memory"),
    "bench capture": ("monitorpi_dev.bench.capture:main", "measure the capture engines"),
    "bench detection": ("monitorpi_dev.bench.detection:main", "measure the time to an alert"),
    "bench footprint": (
        "monitorpi_dev.bench.footprint:main",
        "measure what the stack takes",
    ),
    "bench history": ("monitorpi_dev.bench.history:main", "measure what it costs to remember"),
    "bench outages": (
        "monitorpi_dev.bench.outages:main",
        "measure what outages of links and servers cost a centre of sites",
    ),
    "bench page": ("monitorpi_dev.bench.page:main", "measure what the page costs"),
    "bench prober": ("monitorpi_dev.bench.prober:main", "measure the prober against the truth"),
    "bench sites": ("monitorpi_dev.bench.sites:main", "measure a centre of many sites"),
    "test": ("monitorpi_dev.checks:test", "run the tests (arguments go to pytest)"),
    "soak": ("monitorpi_dev.checks:soak", "run the long tests"),
    "contract": (
        "monitorpi_dev.contract:main",
        "can another program take a service's place: -- COMMAND",
    ),
    "mutate": ("monitorpi_dev.mutate.command:main", "list small faults that no test notices"),
    "check": ("monitorpi_dev.checks:check", "format, lint, types, import rules, generated files"),
    "generate": ("monitorpi_dev.contracts:generate", "write the generated files anew"),
}

_ABSENT: Final = 3


def usage() -> str:
    """Return the help text."""
    width = max(map(len, COMMANDS))
    lines = [f"MonitorPi {__version__}", "", "usage: ./monitorpi COMMAND [OPTIONS]", ""]
    lines += [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    lines += ["", "./monitorpi COMMAND --help tells the options of one."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read what we print has gone: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("help", "--help", "-h"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(__version__)
        return 0
    for taken in (2, 1):
        name = " ".join(words[:taken])
        if name in COMMANDS:
            run = _load(name)
            return _ABSENT if run is None else run(words[taken:])
    print(f"monitorpi: there is no command {words[0]!r}\n\n{usage()}", file=sys.stderr)
    return 2


def _load(name: str) -> Callable[[list[str]], int] | None:
    """Import a command; None: its package is not here, which is printed."""
    module, function = COMMANDS[name][0].split(":")
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError:
        called = package.replace("_", "-")
        print(f"monitorpi {name}: is of the package {called}, not installed here", file=sys.stderr)
        return None
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("monitorpi"):
            raise
        lacks = f"needs {error.name}, which it installs when it runs: its options are told then"
        print(f"monitorpi {name}: {lacks}", file=sys.stderr)
        return None
    run: Callable[[list[str]], int] = getattr(loaded, function)
    return run


if __name__ == "__main__":
    raise SystemExit(main())
