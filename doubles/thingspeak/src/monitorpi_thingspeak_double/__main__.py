"""The double as a process: prints its address and keys as one JSON line, then serves."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from monitorpi_thingspeak_double.channels import BULK_INTERVAL_S, Switches
from monitorpi_thingspeak_double.server import Double

LABELS = ("broadcast", "dhcp", "dns", "arp", "icmp", "igmp", "syn", "http and https")


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="monitorpi-thingspeak-double")
    parser.add_argument("--port", type=int, default=0, help="port of loopback; 0: any free one")
    parser.add_argument(
        "--bulk-interval", type=float, default=BULK_INTERVAL_S, metavar="SECONDS",
        help="time between two bulk calls to a channel",
    )  # fmt: skip
    options = parser.parse_args()
    switches = Switches(bulk_interval_s=options.bulk_interval)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Double(switches, port=options.port) as double:
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
