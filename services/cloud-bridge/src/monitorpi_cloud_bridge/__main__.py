"""The cloud bridge as a process: ``monitorpi-cloud-bridge``."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.core import MEMORY, REPORTED, BridgeCore
from monitorpi_cloud_bridge.mapping import FREE, PAID
from monitorpi_cloud_bridge.rollups import RollupPublisher
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks.clouds import destinations_of, reveal, web_of
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox, open_outbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.uploader import QUOTA, Uploader
from monitorpi_cloud_bridge.sinks.uploaders import Uploaders
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_common.database import refusal
from monitorpi_common.messages import Alert, Service
from monitorpi_common.service import Assembly, Context, ResourceError, Source
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern

if TYPE_CHECKING:
    from pydantic import JsonValue

    from monitorpi_cloud_bridge.sinks.outbox import RowOutbox


LAST_COMMAND: Final = "talkback"
"""Under which name the number of TalkBack's last command is remembered."""


def _whole(value: JsonValue) -> int | None:
    return value if isinstance(value, int) else None


def assemble(context: Context[CloudBridgeSettings]) -> Assembly:
    """Put core, outbox, uploader and TalkBack together.

    Raises:
        ConfigurationError: no cloud is configured.
        ResourceError: the outbox cannot be opened, or is damaged.

    """
    if (missing := context.settings.missing) is not None:
        raise ConfigurationError([missing])
    file = context.state_dir / "outbox.sqlite"
    try:
        return _assemble(context, open_outbox(file, context.log))
    except (OSError, sqlite3.Error) as error:
        raise ResourceError(refusal("the outbox", file, error)) from None


def _assemble(context: Context[CloudBridgeSettings], outbox: RowOutbox) -> Assembly:
    settings = context.settings
    destinations = destinations_of(settings, context.site)
    licence = FREE if settings.licence == "free" else PAID
    quota = YearlyQuota(licence.messages_per_year)
    quota.remember(outbox.recall(QUOTA))
    uploaders = Uploaders(
        [Uploader(outbox, destination, quota, context.log) for destination in destinations], quota
    )
    builder = RowBuilder(settings.entries(), settings.interval_s)
    builder.remember(outbox.recall(MEMORY))
    by_channel = {
        name: tuple(
            destination.name
            for destination in destinations
            if destination.name.split("/")[1] == name
        )
        for name in settings.destinations()
    }
    texts = {destination.name for destination in destinations if destination.takes_text}
    first = next((name for name in ("health", "traffic") if name in by_channel), None)
    store = GuardedRowOutbox(outbox, settings.interval_s, context.log)
    talkback = settings.talkback
    sources: list[Source] = [*uploaders.each]
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
        tuple(name for name in by_channel.get(first or "", ()) if name in texts)
        if settings.sends_alerts
        else (),
        talkback.commands if talkback else {},
        uploaders.hurry,
        uploaders.state,
        lambda ahead_s: context.log.warning(
            "the clock was set back: rows go on between those that stand ahead of it",
            ahead_s=ahead_s,
        ),
        _rollups(settings),
        settings.write_s,
    )
    core.recall(outbox.recall(REPORTED))
    closers = [destination.sink.close for destination in destinations]
    return Assembly(
        core=core,
        sources=sources,
        subscriptions=_subscriptions(settings, context.site),
        is_stuck=uploaders.are_stuck,
        on_close=[outbox.close, *closers],
    )


def _rollups(settings: CloudBridgeSettings) -> RollupPublisher | None:
    """Return what publishes rollups; None: nobody wants any."""
    if not settings.rollup_s:
        return None
    labels = {(entry.channel, entry.field): entry.label for entry in settings.entries()}
    return RollupPublisher(RowBuilder(settings.entries(), settings.rollup_s), labels)


def _subscriptions(settings: CloudBridgeSettings, site: str) -> list[str]:
    """Return what the mapping and the texts of alerts need, each once."""
    wanted = {tuple(entry.topic.split("/")[:2]) for entry in settings.entries()}
    if settings.sends_alerts:
        wanted.add((Service.DETECTOR.value, Alert.KIND))
    return [pattern(site, service, kind) for service, kind in sorted(wanted)]


def main() -> int:
    """Run the cloud bridge."""
    return run_service(Service.CLOUD_BRIDGE, CloudBridgeSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
