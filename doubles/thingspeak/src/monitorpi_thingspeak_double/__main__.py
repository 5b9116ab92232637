"""The double as a process: prints its address and keys as one JSON line, then serves."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from typing import TYPE_CHECKING, get_args

from monitorpi_thingspeak_double.channels import BULK_INTERVAL_S, DuplicateRows, Switches
from monitorpi_thingspeak_double.server import Double

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")


def switches(argv: Sequence[str] | None = None) -> tuple[Switches, int]:
    """Read the command line: how to behave, and the port."""
    parser = argparse.ArgumentParser(
        prog="monitorpi-thingspeak-double",
        description="Answers as ThingSpeak does, on loopback; prints its keys as a line of JSON.",
    )
    parser.add_argument("--port", type=int, default=0, help="port of loopback; 0: any free one")
    parser.add_argument(
        "--bulk-interval", type=float, default=BULK_INTERVAL_S, metavar="SECONDS",
        help="time between two bulk calls to a channel (the service: 15)",
    )  # fmt: skip
    parser.add_argument(
        "--dup-bulk", choices=get_args(DuplicateRows), default="drop_row",
        help="what becomes of rows whose time is there already",
    )  # fmt: skip
    parser.add_argument(
        "--too-many", type=int, choices=[413, 400, 429], default=413,
        help="answer to more rows than a call may have",
    )  # fmt: skip
    parser.add_argument(
        "--update-429", action="store_true", help="answer a too early update with 429, not 0"
    )
    parser.add_argument(
        "--commit-delay", type=float, default=0.0, metavar="SECONDS",
        help="time from a 202 until the rows are there",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=float, default=0.0, metavar="SECONDS",
        help="repeat long answers to the same query for so long (the service: 300)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    chosen = Switches(
        dup_bulk=options.dup_bulk,
        bulk_interval_s=options.bulk_interval,
        commit_delay_s=options.commit_delay,
        cache_s=options.cache,
        update_429=options.update_429,
        too_many=options.too_many,
    )
    return chosen, options.port


def main() -> int:
    """Serve until told to stop."""
    chosen, port = switches()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Double(chosen, port=port) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        line = {
            "url": double.url,
            "channel": channel.id,
            "write_key": channel.write_key,
            "read_key": channel.read_key,
            "user_key": double.cloud.user_key,
        }
        print(json.dumps(line), flush=True)  # noqa: T201 - whoever started it reads this
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
