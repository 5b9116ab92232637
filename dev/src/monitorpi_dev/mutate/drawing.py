"""Which mutants are tried: all of some modules, but those that make no difference, by a seed."""

from __future__ import annotations

import importlib.util
import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.checkout import root
from monitorpi_dev.mutate.mutants import Mutant, mutants
from monitorpi_dev.mutate.reach import ReachError, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

EQUIVALENTS: Final = Path(__file__).with_name("equivalents.toml")


@dataclass(frozen=True, slots=True)
class Case:
    """A mutant of one module."""

    module: str
    file: Path
    source: str
    mutant: Mutant
    tests: tuple[str, ...]
    """That may notice it, the fastest first."""
    seconds: Mapping[str, float]
    """How long each test takes."""

    @property
    def place(self) -> str:
        """Where it is, for an editor."""
        return f"{self.file.relative_to(root())}:{self.mutant.line}"

    @property
    def change(self) -> str:
        """The line before and after."""
        return self.mutant.describe(self.source)


def draw(package: str, seed: int, sample: int) -> list[Case]:
    """Draw mutants of a package, but none of those that are known to make no difference.

    Args:
        package: a package or module by its dotted name.
        seed: which.
        sample: how many at most.

    Raises:
        ReachError: the name is none, or the tests do not pass as they are.

    """
    known = {(one["module"], one["change"]) for one in equivalents()}
    found: list[tuple[str, Path, str, Mutant]] = []
    for file in files_of(package):
        source, module = file.read_text(encoding="utf-8"), module_of(file)
        found += [
            (module, file, source, mutant)
            for mutant in mutants(source)
            if (module, mutant.describe(source)) not in known
        ]
    picked = random.Random(f"{seed} {package}").sample(found, min(sample, len(found)))  # noqa: S311
    measured = reach(package.split(".", 1)[0])
    return [
        Case(*one, measured.tests(one[1], one[3].line, one[3].last_line), measured.seconds)
        for one in picked
    ]


def equivalents() -> list[dict[str, str]]:
    """Return the mutants that make no difference, each with ``module``, ``change``, ``reason``."""
    entries: list[dict[str, str]] = tomllib.loads(EQUIVALENTS.read_text()).get("equivalent", [])
    return entries


def files_of(package: str) -> list[Path]:
    """Return the modules of a package.

    Raises:
        ReachError: there is no such package.

    """
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ReachError(f"there is no package {package!r}")
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]


def module_of(file: Path) -> str:
    """Return the dotted name of a module by its file."""
    parts = file.with_suffix("").parts
    return ".".join(parts[len(parts) - parts[::-1].index("src") :])
