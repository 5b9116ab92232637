"""What ``up`` prints while it runs: alerts, the watch, the connection, the children."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_cli.table import Terminal, printable
from monitorpi_common import clock
from monitorpi_common.bus import Raw, Report
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Status, message_type
from monitorpi_common.session import Session
from monitorpi_common.topics import Topic, TopicError, pattern
from monitorpi_common.watch import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_cli.stack.supervisor import ChildEvent
    from monitorpi_cli.table import Colour
    from monitorpi_common.messages import WatchLevel, WatchReason
    from monitorpi_common.settings import BrokerSettings

_POLL_S: Final = 0.25
_TICK_S: Final = 1.0
"""Between two conclusions whether anybody watches, where there was no news."""
_MAX_SHOWN: Final = 2048
"""Alerts whose last line is remembered: more than a detector keeps, open and closed."""
_SETTLE_S: Final = 5.0
"""Before the first word of the watch: services that start are no news."""
_COLOURS: Final[dict[str, Colour]] = {
    "critical": "red",
    "warning": "yellow",
    "info": "blue",
    "closed": "green",
    "blind": "red",
    "partly": "yellow",
    "watching": "green",
}


def print_line(text: str) -> None:
    """Print at once. Where nobody reads any more, the stack stops as by Ctrl-C."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


def print_event(event: ChildEvent) -> None:
    """Print that a child has died, and what is done about it."""
    if event.what == "died":
        print_line(f"monitorpi: {event.name} {event.text}")


async def report_bus(settings: BrokerSettings, site: str) -> None:
    """Print what the bus says until cancelled.

    Args:
        settings: the broker, and who reads there.
        site: whose topics to read.

    """
    console = Console(print_line, Terminal.of(sys.stdout))
    kinds = (("+", "status"), ("detector", "alert"), ("detector", "watch"))
    with Session(settings, "up", [pattern(site, *kind) for kind in kinds], Log("up")) as session:
        while True:
            while (item := session.next(0)) is not None:
                if isinstance(item, Raw):
                    console.receive(item)
                elif item.report is not None:
                    console.connection(item.report)
            console.tick(clock.boot_s())
            await asyncio.sleep(_POLL_S)


class Console:
    """Turns messages into lines: each alert, each change of the watch and of the connection."""

    def __init__(self, print_line: Callable[[str], None], terminal: Terminal) -> None:
        self._print = print_line
        self._terminal = terminal
        self._shown: dict[str, tuple[str, str]] = {}
        self._trouble: str | None = None
        self._observer = Observer(reads_windows=False)
        self._began_s: float | None = None
        self._concluded_s: float | None = None
        """When the last conclusion was drawn; None: there was news since."""
        self._watch: tuple[str, ...] | None = None

    def connection(self, report: Report) -> None:
        """Print a failure that is another than the last, and that it is over."""
        self._concluded_s = None
        if report.failed and report.text != self._trouble:
            self._trouble = report.text
            self._print(f"monitorpi: {report.text}")
        elif not report.failed and self._trouble is not None:
            self._trouble = None
            self._print(f"monitorpi: {report.text} again")

    def receive(self, raw: Raw) -> None:
        """Take a message; what is not of the contract is passed over."""
        self._concluded_s = None
        try:
            topic = Topic.parse(raw.topic)
            if topic.kind == "status":
                online = raw.payload == Status.ONLINE.value.encode()
                self._observer.presence(topic, online=online)
                return
            kind = message_type(topic.service, topic.kind)
            message = kind.model_validate_json(raw.payload) if kind and raw.payload else None
        except (TopicError, ValidationError):
            return
        if isinstance(message, Alert):
            self._alert(topic.id, message, retained=raw.retained)
        elif message is not None:
            self._observer.receive(topic, message, clock.wall(), retained=raw.retained)

    def _alert(self, id_: str, alert: Alert, *, retained: bool) -> None:
        """Print one line when an alert opens, grows more severe or closes."""
        state = (f"{alert.id} {alert.state}", alert.severity)
        if self._shown.get(id_) == state or (retained and alert.state == "closed"):
            return
        self._shown[id_] = state
        if len(self._shown) > _MAX_SHOWN:
            del self._shown[next(iter(self._shown))]
        self._print(alert_line(alert, self._terminal))

    def tick(self, now_s: float) -> None:
        """Print what has become of the watch, once it has settled after the start."""
        self._began_s = now_s if self._began_s is None else self._began_s
        if self._concluded_s is not None and now_s - self._concluded_s < _TICK_S:
            return
        self._concluded_s = now_s
        self._observer.tick(now_s, self._trouble)
        level, reasons = self._observer.state()
        state = (level, *(f"{reason.what}{reason.service}{reason.interface}" for reason in reasons))
        young = self._watch is None and now_s - self._began_s < _SETTLE_S
        if state == self._watch or (young and level != "watching"):
            return
        first, self._watch = self._watch is None, state
        if first and level == "watching":
            return  # as it should be
        self._print(watch_line(level, [_sentence(one) for one in reasons], self._terminal))


def _sentence(reason: WatchReason) -> str:
    return reason.text if reason.remedy is None else f"{reason.text} ({reason.remedy})"


def watch_line(level: WatchLevel, reasons: Sequence[str], terminal: Terminal) -> str:
    """Return one readable line about the watch."""
    at = clock.wall().astimezone(UTC).strftime("%H:%M:%SZ")
    label = terminal.paint(f"{level.upper():<8}", _COLOURS[level])
    return f"{at} {label} {printable(' '.join(reasons)) or 'all that is expected is there'}"


def alert_line(alert: Alert, terminal: Terminal) -> str:
    """Return one readable line about an alert."""
    at = (alert.closed_at or alert.at).astimezone(UTC).strftime("%H:%M:%SZ")
    word = alert.severity.upper() if alert.state == "open" else alert.state
    why = f" ({alert.close_reason})" if alert.close_reason else ""
    label = terminal.paint(f"{word:<8}", _COLOURS[word.lower()])
    return f"{at} {label} {alert.rule}: {printable(alert.summary)}{why}"
