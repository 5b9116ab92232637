"""``monitorpi licences``: the packages of other people that each service runs on."""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final

from monitorpi_cli.table import Terminal, rows_to_lines
from monitorpi_common.messages import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OWN: Final = "monitorpi-"
"""What our own distributions' names begin with."""
_SPDX: Final = {
    "Apache License 2.0 or GPLv3": "Apache-2.0 OR GPL-3.0-only",
    "GNU Lesser General Public License v3.0": "LGPL-3.0-only",
}
"""Licences that packages name otherwise than SPDX does."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_HEAD: Final = ("package", "version", "licence", "needed by")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of other people, as it is installed here."""

    name: str
    version: str
    licence: str
    """An SPDX expression."""
    needed_by: tuple[str, ...]
    """Our parts that run on it, directly or not."""


def main(argv: Sequence[str]) -> int:
    """Print each package with its licence and the parts that run on it."""
    parser = argparse.ArgumentParser(prog="./monitorpi licences", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    found = packages(parts())
    if options.json:
        print(json.dumps({"packages": [asdict(one) for one in found]}))
        return 0
    rows = [[one.name, one.version, one.licence, ", ".join(one.needed_by)] for one in found]
    for line in rows_to_lines(_HEAD, rows, Terminal.of(sys.stdout).width):
        print(line)
    return 0


def parts() -> list[str]:
    """Return the services that are installed here, and the command line."""
    names = {one.name for one in metadata.distributions()}
    services = (f"{OWN}{service.value}" for service in Service)
    return [*(name for name in services if name in names), f"{OWN}cli"]


def packages(ours: Iterable[str]) -> list[Package]:
    """Return what some of our distributions run on, each package once, by name."""
    needed_by: dict[str, list[str]] = {}
    for part in ours:
        for name in needs(part):
            needed_by.setdefault(name, []).append(part.removeprefix(OWN))
    return [_package(name, tuple(by)) for name, by in sorted(needed_by.items())]


def needs(distribution: str) -> set[str]:
    """Return the names of all packages of others that a distribution runs on."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        for name in _required(waiting.pop()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return {name for name in found if not name.startswith(OWN)}


@functools.cache
def _required(distribution: str) -> tuple[str, ...]:
    """Return what a distribution requires here; what another system needs is not installed."""
    found = []
    for requirement in metadata.requires(distribution) or ():
        name = _NAME.match(requirement)
        if name is None or "extra ==" in requirement:
            continue
        try:
            found.append(metadata.distribution(name[0]).name)
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _package(name: str, needed_by: tuple[str, ...]) -> Package:
    about = metadata.metadata(name).json
    written = str(about.get("license_expression") or about.get("license") or "not named")
    return Package(name, str(about["version"]), _SPDX.get(written, written), needed_by)


def label(found: Iterable[Package]) -> str:
    """Return the licences of our own and of some packages as one SPDX expression."""
    names = dict.fromkeys(["MIT", *(one.licence for one in found)])
    return " AND ".join(f"({name})" if " OR " in name else name for name in names)
