"""A smallest service, run as a process by the tests of bus and shell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitorpi_common.messages import Alert, Device, Evidence, Publication, Service, Silence
from monitorpi_common.service import (
    Assembly,
    CommandReceived,
    CommandRefusedError,
    Context,
    Presence,
    Received,
    ResourceError,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.settings import Section
from monitorpi_common.shell import run_service
from monitorpi_common.topics import mac_id, pattern

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class EchoSettings(Section):
    """Settings of the smallest service."""

    states: int = 0
    """How many retained alerts to publish at the first tick."""


def alert(key: str, summary: str) -> Alert:
    """Build an alert that is valid and says what it is told."""
    return Alert(
        id="00000000-0000-5000-8000-000000000000", key=key, rule="echo", severity="info",
        state="open", subject=key, opened_at=WHEN, at=WHEN, summary=summary,
        evidence=Evidence(value=1, threshold=1, window_s=1, peak=1),
    )  # fmt: skip


class Echo:
    """Answers each device with an alert of its name; breaks on the host name ``bug``."""

    def __init__(self, settings: EchoSettings) -> None:
        self._states = settings.states
        self._gone: list[str] = []

    def handle(self, item: object) -> Iterable[Publication]:
        """Answer one item."""
        match item:
            case Tick() if self._states:
                states, self._states = self._states, 0
                for number in range(states):
                    yield Publication(f"state-{number}", alert(f"state-{number}", "x" * 100))
            case Received(_, Device(hostname="bug")):
                raise RuntimeError("as asked")
            case Received(_, Device() as device):
                yield Publication(
                    mac_id(device.mac), alert(mac_id(device.mac), f"{device.hostname}")
                )
            case TombstoneReceived(topic):
                yield Publication(topic.id, alert(topic.id, "gone"))
            case Presence(topic, online) if topic.service != "detector":
                yield Publication("presence", alert("presence", f"{topic.service} {online}"))
            case CommandReceived("silence", Silence(key=key)):
                yield self._silence(key)
            case _:
                return

    @staticmethod
    def _silence(key: str) -> Publication:
        """Obey, refuse, or break in a way that looks like bad input."""
        match key:
            case "unknown":
                raise CommandRefusedError("no such alert")
            case "bug":
                raise ValueError("as asked")
            case "invalid":
                Silence.model_validate({"key": key})
        return Publication(key, alert(key, "silenced"))

    def close(self) -> Iterable[Publication]:
        """Say a last word."""
        yield Publication("last", alert("last", "closed"))

    def detail(self) -> dict[str, JsonValue]:
        """Tell nothing much."""
        return {"echo": True}


class Stubborn:
    """A source that fails as told."""

    def __init__(self, how: str) -> None:
        self._how = how

    def run(self, emit: Callable[[object], None]) -> None:
        """Fail."""
        del emit
        if self._how == "resource":
            raise ResourceError("there is no such thing: plug it in")
        raise RuntimeError("a source's bug")

    def stop(self) -> None:
        """Nothing runs."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Let a test choose a failing source."""
    parser.add_argument("--fail", choices=["resource", "bug"])


def assemble(context: Context[EchoSettings]) -> Assembly:
    """Put the smallest service together."""
    fail = context.arguments.fail
    return Assembly(
        core=Echo(context.settings),
        sources=[Stubborn(fail)] if fail else [],
        subscriptions=[
            pattern(context.site, "capture", "device"),
            pattern(context.site, "capture", "status"),
            pattern(context.site, "detector", "alert"),
        ],
    )


if __name__ == "__main__":
    raise SystemExit(run_service(Service.DETECTOR, EchoSettings, assemble, arguments))
