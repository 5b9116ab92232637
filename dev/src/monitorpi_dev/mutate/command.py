"""``./monitorpi mutate``: put small faults into the code and list those that no test notices.

Theory of operation. All mutants of the chosen modules are made (:mod:`.mutants`), some are drawn by
a seed, and for each the tests that come to its lines (:mod:`.reach`) are run against a copy of the
package with that one fault; the checkout is not touched. A mutant that these do not notice meets
the rest of the package's tests. What is left survived: a hole in the tests, or a change that makes
no difference; the latter stand in ``equivalents.toml``, each with its reason.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.checkout import root
from monitorpi_dev.mutate.mutants import Mutant, mutants
from monitorpi_dev.mutate.reach import IN_PROCESS, ReachError, reach, tests_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PACKAGES: Final = (
    "monitorpi_capture", "monitorpi_prober", "monitorpi_detector", "monitorpi_cloud_bridge",
    "monitorpi_dashboard", "monitorpi_common",
)  # fmt: skip
EQUIVALENTS: Final = Path(__file__).with_name("equivalents.toml")
_MOST_TESTS: Final = 150
"""Run first against one mutant; the rest comes to those that these do not notice."""
_LONGEST_S: Final = 600
_PASSED, _FAILED, _INTERRUPTED, _NONE = 0, 1, 2, 5
"""Exit codes of pytest; a module that cannot be imported interrupts it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A mutant of one module."""

    module: str
    file: Path
    source: str
    mutant: Mutant
    tests: tuple[str, ...]
    """That come to its lines."""

    @property
    def place(self) -> str:
        """Where it is, for an editor."""
        return f"{self.file.relative_to(root())}:{self.mutant.line}"

    @property
    def change(self) -> str:
        """The line before and after."""
        return self.mutant.describe(self.source)


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when every mutant drawn was noticed or makes no difference."""
    parser = argparse.ArgumentParser(prog="./monitorpi mutate", description=main.__doc__)
    parser.add_argument(
        "package", nargs="*", default=PACKAGES, help="such as monitorpi_detector.rules"
    )
    parser.add_argument("--seed", type=int, default=1, help="which are drawn (default 1)")
    parser.add_argument("--sample", type=int, default=40, metavar="M", help="how many (default 40)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    options = parser.parse_args(argv)
    try:
        drawn = draw(options.package, options.seed, options.sample)
    except ReachError as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 3
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        survived = []
        for case, is_seen in zip(drawn, pool.map(is_noticed, drawn), strict=True):
            if not is_seen:
                survived.append(case)
                print(f"survived  {case.place}  {case.change}", flush=True)
    share = len(survived) / len(drawn) if drawn else 0.0
    noticed = len(drawn) - len(survived)
    print(f"mutate: {len(drawn)} mutants (seed {options.seed}): {noticed} noticed, "
          f"{len(survived)} survived ({share:.1%})")  # fmt: skip
    return 1 if survived else 0


def draw(packages: Sequence[str], seed: int, sample: int) -> list[Case]:
    """Draw mutants that are not known to make no difference.

    Args:
        packages: packages or modules by their dotted names.
        seed: which.
        sample: how many at most, from all packages alike.

    Raises:
        ReachError: a name is none, or the tests do not pass as they are.

    """
    known = {(one["module"], one["change"]) for one in equivalents()}
    cases: list[Case] = []
    for package in packages:
        files = files_of(package)
        mine: list[tuple[str, Path, str, Mutant]] = []
        for file in files:
            source = file.read_text(encoding="utf-8")
            module = module_of(file)
            mine += [
                (module, file, source, mutant)
                for mutant in mutants(source)
                if (module, mutant.describe(source)) not in known
            ]
        share = -(-sample // len(packages))
        picked = random.Random(f"{seed} {package}").sample(mine, min(share, len(mine)))  # noqa: S311
        lines = reach(package, files)
        cases += [Case(*one, tests=_tests(lines[one[1]], one[3])) for one in picked]
    return cases[:sample]


def _tests(lines: dict[int, list[str]], mutant: Mutant) -> tuple[str, ...]:
    """Return the tests that run a mutant's lines; for what runs at import, all of the module's."""
    own = {
        test for line in range(mutant.line, mutant.last_line + 1) for test in lines.get(line, ())
    }
    return tuple(sorted(own or {test for tests in lines.values() for test in tests}))


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


def is_noticed(case: Case) -> bool:
    """Run the tests against the mutant and tell whether one fails."""
    package = case.module.split(".")[0]
    whole = next(parent for parent in case.file.parents if parent.name == package)
    with tempfile.TemporaryDirectory(prefix="monitorpi-mutant-") as folder:
        copy = Path(folder, package)
        shutil.copytree(whole, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / case.file.relative_to(whole)).write_text(case.mutant.applied(case.source))
        near = random.Random(case.place).sample(case.tests, min(_MOST_TESTS, len(case.tests)))  # noqa: S311
        return (bool(near) and _fails(folder, near)) or _fails(folder, tests_of(case.module))


def _fails(folder: str, tests: Iterable[str]) -> bool:
    environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "--timeout=60", "-p", "no:cacheprovider",
        "-m", IN_PROCESS, *tests,
    ]  # fmt: skip
    try:
        run = subprocess.run(
            command, cwd=root(), env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=_LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (_PASSED, _FAILED, _INTERRUPTED, _NONE):
        raise ReachError(f"pytest ended with {run.returncode}: {' '.join(command)}")
    return run.returncode in (_FAILED, _INTERRUPTED)
