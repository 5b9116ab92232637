"""``./monitorpi mutate``: put small faults into the code and list those that no test notices.

Theory of operation. All mutants of the chosen modules are made (:mod:`.mutants`) and some are drawn
by a seed (:mod:`.drawing`). Each meets the tests that come to its lines and those that start
programs (:mod:`.reach`), the fastest first, until one fails, in a fork with a copy of the package
that has the one fault (:mod:`.trial`); the checkout is not touched. What is left survived: a hole
in the tests, or a change that makes no difference; the latter stand in ``equivalents.toml``, each
with its reason. All of it happens in a network namespace of its own: nobody knows what a
fault does to a network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from monitorpi_dev.mutate.drawing import draw
from monitorpi_dev.mutate.reach import ReachError, reach
from monitorpi_dev.mutate.trial import control, trials, warm_up

if TYPE_CHECKING:
    from collections.abc import Sequence

_APART: Final = "MUTATE_APART"
"""Set where we are there; a name of our own would be one more variable that services refuse."""
PACKAGES: Final = (
    "monitorpi_common", "monitorpi_host", "monitorpi_capture", "monitorpi_prober",
    "monitorpi_detector", "monitorpi_cloud_bridge", "monitorpi_dashboard", "monitorpi_history",
    "monitorpi_notifier", "monitorpi_home_assistant",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when every mutant drawn was noticed or makes no difference."""
    parser = argparse.ArgumentParser(prog="./monitorpi mutate", description=main.__doc__)
    parser.add_argument(
        "package", nargs="*", default=PACKAGES, help="such as monitorpi_detector.rules"
    )
    parser.add_argument("--seed", type=int, default=1, help="which are drawn (default 1)")
    parser.add_argument("--sample", type=int, default=40, metavar="M",
                        help="how many, from all packages alike (default 40)")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    options = parser.parse_args(argv)
    if (refused := _go_apart()) is not None:
        print(f"mutate: {refused}", file=sys.stderr)
        return 3
    try:
        return _run(options)
    except ReachError as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 3


def _go_apart() -> str | None:
    """Begin anew in a network namespace of our own, unless we are there; return why it cannot be.

    With loopback and nothing else: no test needs more that does not make it itself.
    """
    if _APART in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return None
    if os.geteuid() != 0:
        return "network namespaces need root: run it with sudo"
    os.environ[_APART] = "1"
    try:
        os.execvp("unshare", ["unshare", "--net", "--", *sys.orig_argv])  # noqa: S606 - our own words
    except FileNotFoundError:
        return "unshare is missing: apt-get install util-linux"


def _run(options: argparse.Namespace) -> int:
    share = -(-options.sample // len(options.package))
    drawn = [draw(package, options.seed, share) for package in options.package]
    warm_up({
        name for package in options.package for name in reach(package.split(".", 1)[0]).libraries
    })  # fmt: skip
    cases = [case for of_package in drawn for case in control(of_package)][: options.sample]
    begun, survived = time.monotonic(), 0
    for case, is_noticed in trials(cases, options.jobs):
        if not is_noticed:
            survived += 1
            nobody = "" if case.tests else "  (no test comes there)"
            print(f"survived  {case.place}  {case.change}{nobody}", flush=True)
    part = survived / len(cases) if cases else 0.0
    took_s = time.monotonic() - begun
    print(f"mutate: {len(cases)} mutants (seed {options.seed}) in {took_s:.0f} s: "
          f"{len(cases) - survived} noticed, {survived} survived ({part:.1%})")  # fmt: skip
    return 1 if survived else 0
