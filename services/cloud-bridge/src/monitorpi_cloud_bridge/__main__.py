"""The cloud bridge as a process: ``monitorpi-cloud-bridge``."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from monitorpi_cloud_bridge.core import MEMORY, TOLD, BridgeCore
from monitorpi_cloud_bridge.mapping import FREE, PAID
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import lanes_of, reveal, web_of
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_common.messages import Alert, Service
from monitorpi_common.service import Assembly, Context, ResourceError, Source
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_common.log import Log

_STANDBY_LOOK_S: Final = 1.0
LAST_COMMAND: Final = "talkback"
"""Under which name the number of TalkBack's last command is remembered."""


class GuardedRowOutbox:
    """The outbox for the core: a full disk is an answer, not an exception."""

    def __init__(self, outbox: RowOutbox, interval_s: int, log: Log) -> None:
        self._outbox = outbox
        self._interval_s = interval_s
        self._log = log

    def add(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows; False: not now."""
        try:
            dropped = self._outbox.add(rows, memory, self._interval_s)
        except sqlite3.Error as error:
            self._log.error("the outbox cannot be written: rows are kept in memory", reason=error)
            return False
        if dropped:
            self._log.warning("rows were dropped: their seconds are taken", rows=dropped)
        return True

    def add_urgent(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Write rows that take the next slot; False: not now."""
        try:
            self._outbox.add_urgent(rows, self._interval_s, memory)
        except sqlite3.Error as error:
            self._log.error("an alert could not be written to the outbox", reason=error)
            return False
        return True

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts, if there is room."""
        try:
            self._outbox.remember(memory)
        except sqlite3.Error as error:
            self._log.error("the outbox cannot be written", reason=error)


def _whole(value: JsonValue) -> int | None:
    return value if isinstance(value, int) else None


def assemble(context: Context[CloudBridgeSettings]) -> Assembly:
    """Put core, outbox, courier and TalkBack together.

    Raises:
        ConfigurationError: no cloud is configured.
        ResourceError: the outbox cannot be opened, or is damaged.

    """
    if not context.settings.lanes():
        raise ConfigurationError(
            ["cloud-bridge.channels: missing; give a channel, such as { traffic = 1234567 }"]
        )
    file = context.state_dir / "outbox.sqlite"
    try:
        return _assemble(context, _open_outbox(file, context.log))
    except (OSError, sqlite3.Error) as error:
        raise ResourceError(
            f"cannot open the outbox {file} ({error}): make the folder writable, or move the "
            "file away if it is damaged"
        ) from None


def _assemble(context: Context[CloudBridgeSettings], outbox: RowOutbox) -> Assembly:
    settings = context.settings
    lanes = lanes_of(settings, context.site)
    licence = FREE if settings.licence == "free" else PAID
    courier = Uploader(outbox, lanes, licence.messages_per_year, context.log)
    builder = RowBuilder(settings.entries(), settings.interval_s)
    builder.remember(outbox.recall(MEMORY))
    by_channel = {
        name: tuple(lane.name for lane in lanes if lane.name.split("/")[1] == name)
        for name in settings.lanes()
    }
    first = next((name for name in ("health", "traffic") if name in by_channel), None)
    store = GuardedRowOutbox(outbox, settings.interval_s, context.log)
    talkback = settings.talkback
    sources: list[Source] = [courier]
    if talkback is not None:
        key = reveal(talkback.key)
        poll_s = talkback.poll_s
        sources.append(
            TalkBack(
                settings.url, talkback.id, key, poll_s, context.log, web_of(settings),
                last=_whole(outbox.recall(LAST_COMMAND)),
                remember=lambda number: store.remember({LAST_COMMAND: number}),
            )
        )  # fmt: skip
    core = BridgeCore(
        builder,
        store,
        by_channel,
        by_channel.get(first, ()) if settings.tells_alerts and first else (),
        talkback.commands if talkback else {},
        courier.hurry,
        courier.state,
        lambda ahead_s: context.log.warning(
            "the clock was set back: rows go on between those that stand ahead of it",
            ahead_s=ahead_s,
        ),
    )
    core.recall(outbox.recall(TOLD))
    closers = [lane.sink.close for lane in lanes]
    return Assembly(
        core=core,
        sources=sources,
        subscriptions=_subscriptions(settings, context.site),
        on_close=[outbox.close, *closers],
    )


def _subscriptions(settings: CloudBridgeSettings, site: str) -> list[str]:
    """Return what the mapping and the texts of alerts need, each once."""
    wanted = {tuple(entry.topic.split("/")[:2]) for entry in settings.entries()}
    if settings.tells_alerts:
        wanted.add((Service.DETECTOR.value, Alert.KIND))
    return [pattern(site, service, kind) for service, kind in sorted(wanted)]


def _open_outbox(file: Path, log: Log) -> RowOutbox:
    """Open the outbox; while another bridge holds it, wait: we are the standby."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return RowOutbox(file)
    except BlockingIOError:
        log.info("standing by: another bridge holds the outbox", file=file)
        return _stand_by(file)


def _stand_by(file: Path) -> RowOutbox:
    """Wait until the outbox is free; a signal ends the process, there is nothing to close yet."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            time.sleep(_STANDBY_LOOK_S)
            with suppress(BlockingIOError):
                return RowOutbox(file)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)


def main() -> int:
    """Run the cloud bridge."""
    return run_service(Service.CLOUD_BRIDGE, CloudBridgeSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
