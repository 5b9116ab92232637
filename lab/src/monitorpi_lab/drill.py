"""``monitorpi drill``: a harmless flood beside the running stack, through its whole pipeline.

The flood runs between two namespaces that nobody else is in. A second capture (instance
``drill``) counts it at an interface called ``drill0`` and publishes to the running broker, so that
broker, detector and whoever listens are the ones in service. The LAN sees not one frame.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

from pydantic import ValidationError

from monitorpi_cli.arguments import number
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.viewer import Viewer, forget
from monitorpi_common.messages import Alert, Device, Message, Sent, Service, Traffic
from monitorpi_common.settings import ENV_PREFIX, ConfigurationError
from monitorpi_common.topics import pattern
from monitorpi_lab import flood
from monitorpi_lab.demo.alert_check import subject_mac
from monitorpi_lab.demo.steps import RATE
from monitorpi_lab.lan import Lab, LabError
from monitorpi_lab.namespace import scratch
from monitorpi_lab.relay import Relay
from monitorpi_lab.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_cli.stack.running import Running
    from monitorpi_cli.stack.viewer import Arrival
    from monitorpi_cli.table import Colour
    from monitorpi_common.topics import Topic
    from monitorpi_lab.flood import Kind

INSTANCE: Final = "drill"
INTERFACE: Final = "drill0"
RULES: Final[dict[str, Kind]] = {
    "syn-flood": "syn",
    "icmp-flood": "icmp_echo",
    "arp-storm": "arp",
    "broadcast-storm": "broadcast",
    "dhcp-starvation": "dhcp",
    "igmp-storm": "igmp",
}
"""The rules that a flood from one host can set off, and the flood that does."""

FLOOD_S: Final = 6.0
"""Shorter than the 10 s after which capture would announce the drill's hosts as devices."""
_MAX_RATE: Final = 20_000
"""Frames per second: enough for any floor, and no burden for a Raspberry Pi."""
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nothing is bound to it
_ONLINE_S: Final = 10.0
_START_S: Final = 30.0
_ALERT_S: Final = 15.0
_DELIVERY_S: Final = 8.0  # the alert closes no sooner
_NEXT_DELIVERY_S: Final = 2.0
"""Destinations are served side by side: the others come soon after the first."""
_CLOSE_S: Final = 600.0  # the longest quiet time somebody would sit through
_M = TypeVar("_M", bound=Message)

_OK, _FAILED, _USAGE, _RESOURCE = 0, 1, 2, 3


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: the alert opened on the drill's MAC and closed. 1: it did not. 2: wrong arguments or
    configuration. 3: no stack runs here, or no lab can be made.
    """
    options = _parse(argv)
    reporter = Reporter(sys.stderr if options.json else sys.stdout)
    try:
        running = find_running(options.config)
        with Drill(running, options.rule, options.rate, reporter, options.config) as drill:
            result = drill.run()
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi drill: configuration: {line}", file=sys.stderr)
        return _USAGE
    except (LabError, NoStackError) as error:
        print(f"monitorpi drill: {error}", file=sys.stderr)
        return _RESOURCE
    if options.json:
        print(json.dumps(result))
    return _OK if result["seconds_to_close"] is not None else _FAILED


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi drill",
        description="Test the running stack with a flood that never touches the LAN.",
    )
    parser.add_argument("--rule", choices=RULES, default="syn-flood", help="the rule to set off")
    parser.add_argument(
        "--rate",
        type=number(
            lambda value: 0 < value <= _MAX_RATE, f"give more than 0, at most {_MAX_RATE} frames/s"
        ),
        default=RATE,
        metavar="N",
        help=f"frames per second (default {RATE:g})",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings `up` runs with")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser.parse_args(argv)


class Drill:
    """A flood, a capture that sees it, and an eye on what the running detector makes of it."""

    def __init__(
        self, running: Running, rule: str, rate: float, reporter: Reporter, config: Path | None
    ) -> None:
        self._running = running
        self._rule = rule
        self._rate = rate
        self._reporter = reporter
        self._config = {f"{ENV_PREFIX}CONFIG": str(config.resolve())} if config else {}
        self._resources = contextlib.ExitStack()
        self._states: set[Topic] = set()
        self._has_notifier = False
        self._key = ""
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _set_up(self) -> None:
        running, hold = self._running, self._resources.enter_context
        self._lab = hold(Lab(2, mirror=INTERFACE))
        _fix_neighbours(self._lab)
        folder = hold(scratch())
        self._resources.callback(self._forget)
        hold(Relay(self._lab.sensor.namespace, running.port))
        self._viewer = hold(Viewer(running.account("viewer"), [pattern("+")]))
        site = self._site()
        environment = (
            os.environ
            | self._config
            | {
                f"{ENV_PREFIX}SITE": site,
                f"{ENV_PREFIX}INSTANCE": INSTANCE,
                f"{ENV_PREFIX}BROKER__HOST": "127.0.0.1",
                f"{ENV_PREFIX}BROKER__PORT": str(running.port),
                f"{ENV_PREFIX}SECRETS_DIR": str(running.secrets / Service.CAPTURE),
                f"{ENV_PREFIX}STATE_DIR": str(folder),
                f"{ENV_PREFIX}LOG_LEVEL": "warning",
                f"{ENV_PREFIX}CAPTURE__INTERFACES": json.dumps([INTERFACE]),
            }
        )
        environment.pop(f"{ENV_PREFIX}HEARTBEAT", None)
        capture = self._lab.sensor.popen(
            [sys.executable, "-P", "-m", "monitorpi_capture"], env=environment, cwd=folder
        )
        self._resources.callback(capture.wait)
        self._resources.callback(capture.terminate)

    def _site(self) -> str:
        """Return the site whose detector is online: `up` may run with another name."""
        deadline = time.monotonic() + _ONLINE_S
        while (left := deadline - time.monotonic()) > 0:
            arrival = self._viewer.next(left)
            if arrival is not None:
                self._read(arrival)
            if arrival and (arrival.topic.service, arrival.payload) == (
                Service.DETECTOR,
                b"online",
            ):
                return arrival.topic.site
        raise LabError(f"no detector is online at the broker of port {self._running.port}")

    def _forget(self) -> None:
        """Take back every retained message of the drill's capture: no device of it is real."""
        forget(self._running.account("capture"), self._states)

    # --- the drill --------------------------------------------------------------------------

    def run(self) -> dict[str, object]:
        """Flood, wait for the alert and for its end; returns what ``--json`` prints.

        Raises:
            LabError: the drill's capture does not reach the stack.

        """
        attacker, victim = self._lab.hosts
        self._report(
            "drill", f"between two namespaces, at {INTERFACE}; the LAN sees nothing of it."
        )
        if self._first(Traffic, lambda window: window.interface == INTERFACE, _START_S) is None:
            raise LabError(f"no window of {INTERFACE} came within {_START_S:g} s: is the stack up?")
        spec = flood.flood_between(
            attacker,
            victim,
            RULES[self._rule],
            self._rate,
            seconds=FLOOD_S,
            # an ARP probe (RFC 5227) names no address that the prober could take for a device's
            source_ip=_NO_ADDRESS if self._rule == "arp-storm" else attacker.ip,
        )
        running = flood.start(attacker, spec)
        first_s = running.first_frame_s()
        self._report("FLOOD", f"{attacker.mac} sends {self._rate:g} frames/s.", "yellow")
        opened_s = self._await(attacker.mac, "open", first_s, _ALERT_S)
        deliveries = self._deliveries(first_s) if opened_s else {}
        last_s = running.wait().last_s
        self._report("ends", "the flood is over; the alert closes after the quiet time.")
        closed_s = self._await(attacker.mac, "closed", last_s, _CLOSE_S) if opened_s else None
        return {
            "rule": self._rule,
            "rate": self._rate,
            "attacker_mac": attacker.mac,
            "seconds_to_alert": opened_s,
            "seconds_to_close": closed_s,
            "seconds_to_deliveries": deliveries,
        }

    def _deliveries(self, since_s: float) -> dict[str, float]:
        """Follow the alert to those whom the notifier tells; returns the seconds of each.

        None where no notifier runs, or where none of its destinations wants this alert.
        """
        found: dict[str, float] = {}
        if not self._has_notifier:
            return found

        def ours(sent: Sent) -> bool:
            return sent.ok and any(one.key == self._key for one in sent.alerts)

        within_s = _DELIVERY_S
        while (arrived := self._first(Sent, ours, within_s)) is not None:
            sent, at_s = arrived
            found[sent.destination] = round(at_s - since_s, 3)
            self._report(
                "sent", f"to {sent.destination} after {found[sent.destination]:.1f} s.", "green"
            )
            within_s = _NEXT_DELIVERY_S
        if not found:
            self._report("none", f"nobody was told of it within {_DELIVERY_S:g} s.", "yellow")
        return found

    def _await(
        self, mac: str, state: Literal["open", "closed"], since_s: float, within_s: float
    ) -> float | None:
        """Wait for the drill's alert to be in a state; returns the seconds since a moment."""

        def ours(alert: Alert) -> bool:
            mine = (alert.rule, subject_mac(alert), alert.state) == (self._rule, mac, state)
            return mine and alert.at.timestamp() >= since_s - 1

        found = self._first(Alert, ours, within_s)
        if found is None:
            self._report("none", f"no {self._rule} alert was {state} within {within_s:g} s.", "red")
            return None
        alert, at_s = found
        self._key = alert.key
        after_s = round(at_s - since_s, 3)
        mark, colour = _MARKS[state]
        self._report(mark, f"after {after_s:.1f} s: {alert.summary}", colour)
        return after_s

    def _first(
        self, kind: type[_M], wanted: Callable[[_M], bool], within_s: float
    ) -> tuple[_M, float] | None:
        """Listen for a message; returns it with its time of arrival, None: none in time."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            arrival = self._viewer.next(left)
            message = self._read(arrival) if arrival else None
            if arrival and isinstance(message, kind) and wanted(message):
                return message, arrival.at_s
        return None

    def _read(self, arrival: Arrival) -> Message | None:
        """Read a message and note what the drill must take back at its end."""
        if arrival.topic.service == Service.NOTIFIER and arrival.topic.kind == "status":
            self._has_notifier = arrival.payload == b"online"
        try:
            message = arrival.message()
        except ValidationError:
            return None
        if arrival.topic.id == INSTANCE or (
            isinstance(message, Device) and message.interface == INTERFACE
        ):
            self._states.add(arrival.topic)
        return message

    def _report(self, mark: str, text: str, colour: Colour | None = None) -> None:
        self._reporter.event(time.monotonic() - self._start, mark, text, colour)


def _fix_neighbours(lab: Lab) -> None:
    """Let the hosts know each other without asking.

    Their ARP would show devices with addresses, and the prober would look for those on the LAN.
    """
    for host in lab.hosts:
        for other in lab.hosts:
            known = [other.ip, "lladdr", other.mac, "nud", "permanent", "dev", host.interface]
            if other is not host:
                host.run(["ip", "neigh", "replace", *known])


_MARKS: Final[dict[str, tuple[str, Colour]]] = {
    "open": ("ALERT", "red"),
    "closed": ("closed", "green"),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
