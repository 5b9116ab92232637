#!/usr/bin/env python3
"""Runs the demo in a Debian that has nothing yet, and says what that took. Needs root, debootstrap.

    sudo apt-get install debootstrap && sudo scripts/fresh_root.py bookworm trixie

Each root is made anew, in a mount namespace that takes all of its mounts along when it ends; the
checkout's HEAD is copied into it. No compiler is there and none is installed, and still the kernel
counts: the page of the demo says with which engine. Downloaded is what this machine received
meanwhile, so nothing else should load from the Internet.
"""

# ruff: noqa: S603, S607 - the system's own tools, found by PATH
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SECONDS: Final = 45
IN_KERNEL: Final = ("tcx", "ebpf")
"""Engines that need no compiler and lose nothing."""
OF_THIS_MACHINE: Final = (
    "/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt",
)  # fmt: skip
"""How the Internet is reached from here, and whom this machine trusts."""
_INSIDE: Final = "root/monitorpi"
_ENTER: Final = """
set -e
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mkdir -p old
pivot_root . old
umount -l /old
for compiler in clang gcc cc; do
    if command -v "$compiler"; then echo "a compiler is there" >&2; exit 9; fi
done
cd /root/monitorpi
exec ./monitorpi demo --seconds "$1"
"""
"""A root of its own and not chroot(2): the demo enters namespaces, which leaves a chroot."""
_ENVIRONMENT: Final = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True)
class FreshRun:
    """What became of a demo in a fresh root. Sizes are in 10^6 bytes."""

    suite: str
    exit_code: int
    engine: str | None
    """What counted; None: the page never said."""
    root_mb: float
    """On disk, before ``./monitorpi`` runs for the first time."""
    added_mb: float
    downloaded_mb: float
    took_s: float
    output: str


def make_root(suite: str, folder: Path) -> Path:
    """Make a Debian and put the checkout's HEAD into it.

    Args:
        suite: of Debian, such as ``bookworm``.
        folder: where the root is made.

    Raises:
        subprocess.CalledProcessError: it cannot be made.

    """
    root = folder / suite
    make = ["debootstrap", "--include=ca-certificates", suite, str(root)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    furnish(root)
    return root


def furnish(root: Path) -> None:
    """Put the checkout's HEAD into a root, and how the Internet is reached from here."""
    for name in OF_THIS_MACHINE:
        if Path(name).exists():
            shutil.copyfile(name, root / name.lstrip("/"))
    inside = root / _INSIDE
    inside.mkdir(parents=True)
    git = ["git", "-C", str(CHECKOUT), "archive", "HEAD"]
    archive = subprocess.run(git, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(inside)], input=archive, check=True)


def try_demo(root: Path, seconds: int = SECONDS) -> FreshRun:
    """Run the demo in a root that :func:`make_root` has made."""
    before, received, begun = _on_disk(root), _received(), time.monotonic()
    code, engine, output = _run(root, seconds)
    return FreshRun(
        root.name, code, engine, round(before, 1), round(_on_disk(root) - before, 1),
        round(_received() - received, 1), round(time.monotonic() - begun, 1), output,
    )  # fmt: skip


def _run(root: Path, seconds: int) -> tuple[int, str | None, str]:
    """Run the demo, and ask its page meanwhile what counts."""
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER]
    engines: list[str] = []
    lines = []
    with subprocess.Popen(
        [*unshare, str(root), str(seconds)], env=_ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - as asked for
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)  # noqa: T201 - a script talks to people
            word, _, url = line.strip().partition(" ")
            if word == "page":
                asker = threading.Thread(target=_ask, args=(url.strip(), process, engines))
                asker.start()
    return process.returncode, engines[0] if engines else None, "".join(lines)


def _ask(url: str, process: subprocess.Popen[str], engines: list[str]) -> None:
    """Ask a page until it shows an interface, or the demo ends."""
    while process.poll() is None and not engines:
        try:
            with urllib.request.urlopen(f"{url}api/state", timeout=5) as answer:  # noqa: S310 - of the demo
                engines += [one["engine"] for one in json.load(answer).get("interfaces", [])]
        except (OSError, ValueError):
            pass
        time.sleep(1)


def _on_disk(root: Path) -> float:
    """Return the megabytes that the files below a folder take on the disk."""
    done = subprocess.run(["du", "-sxB1", str(root)], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0]) / 1e6


def _received() -> float:
    """Return the megabytes that came in by the interface that leads to the Internet."""
    routes = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    leading = {fields[0] for fields in map(str.split, routes) if int(fields[1], 16) == 0}
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    counted = (line.partition(":") for line in lines)
    return sum(int(of.split()[0]) for name, _, of in counted if name.strip() in leading) / 1e6


def main() -> int:
    """Print a line for each suite; 1: a demo failed, or the kernel did not count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="+", metavar="SUITE", help="of Debian, such as bookworm")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of the demo")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        parser.error("needs root and debootstrap (apt-get install debootstrap)")
    failed = False
    with tempfile.TemporaryDirectory(prefix="monitorpi-fresh-") as folder:
        for suite in options.suites:
            run = try_demo(make_root(suite, Path(folder)), options.seconds)
            failed |= run.exit_code != 0 or run.engine not in IN_KERNEL
            shown = {name: value for name, value in asdict(run).items() if name != "output"}
            print(json.dumps(shown), flush=True)  # noqa: T201 - what it is for
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
