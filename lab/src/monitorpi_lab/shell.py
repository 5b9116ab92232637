"""``./monitorpi lab``: a shell on the sensor of a LAN whose hosts live their lives."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.lan import Lab, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Open a shell on the lab's sensor (or run a command there) until it ends."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi lab",
        description="Open a shell on the sensor of a LAN in namespaces; it ends with the shell.",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="what to run there instead of a shell"
    )
    command = parser.parse_args(argv).command or [os.environ.get("SHELL", "/bin/sh")]
    try:
        with Lab() as lab, BackgroundTraffic(lab):
            print(_map(lab), file=sys.stderr)
            return lab.sensor.popen(command).wait()
    except LabError as error:
        print(f"monitorpi lab: {error}", file=sys.stderr)
        return 3


def _map(lab: Lab) -> str:
    """Return who is where, and how to get in from another terminal."""
    lines = ["Here is the sensor; mirror0 sees all traffic. Into the hosts, from another terminal:"]
    for host in (*lab.hosts, lab.sensor):
        enter = " ".join(host.namespace.prefix)
        lines.append(f"  {host.name:8} {host.ip:15} {host.mac}  {enter} sh")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
