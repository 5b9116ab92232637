"""The notifier as a process: ``monitorpi-notifier``."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from monitorpi_common.backoff import MESSAGE
from monitorpi_common.database import refusal
from monitorpi_common.messages import Service
from monitorpi_common.service import Assembly, Context, ResourceError
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_notifier.core import NotifierCore
from monitorpi_notifier.digest import Digest
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.folding import Folding
from monitorpi_notifier.planned import Plan
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.sinks.guarded import GuardedOutbox
from monitorpi_notifier.sinks.outbox import Outbox
from monitorpi_notifier.sinks.postbox import Postbox, PostedDestination, check, open_lock
from monitorpi_notifier.upkeep import ALIVE
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from datetime import tzinfo

    from pydantic import JsonValue

PLUGINS: Final = "plugins"
"""Under which name it is remembered which plugin takes which URL, by a hash of it."""
_LOCAL_TIME: Final = Path("/etc/localtime")
_READS: Final = (
    ("detector", "alert"),
    ("detector", "watch"),
    ("detector", "health"),
    ("capture", "device"),
    ("prober", "target"),
    ("+", "status"),
)


def assemble(context: Context[NotifierSettings]) -> Assembly:
    """Put core, outbox and postbox together.

    Raises:
        ConfigurationError: no destination is configured, or Apprise takes a URL not.
        ResourceError: the outbox cannot be opened, or is damaged.

    """
    settings = context.settings
    if (missing := settings.missing) is not None:
        raise ConfigurationError([missing])
    file = context.state_dir / "outbox.sqlite"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        outbox = Outbox(file)
        locks = {name: open_lock(context.state_dir, name) for name in settings.destinations}
        plugins = plugins_of(settings, outbox)
    except BlockingIOError:
        raise ResourceError(f"another notifier holds the outbox {file}: stop it") from None
    except (OSError, sqlite3.Error) as error:
        raise ResourceError(refusal("the outbox", file, error)) from None
    zone = zone_of(settings.time_zone)
    directory = Directory()
    wording = Wording(directory, zone, settings.page)
    postbox = Postbox(
        outbox,
        [
            PostedDestination(
                name, one.url.get_secret_value().strip(), plugins[name],
                locks[name],
            )
            for name, one in settings.destinations.items()
        ],
        Folding(settings.most_per_minute), wording,
        MESSAGE.up_to(settings.back_off_most_s), context.log,
    )  # fmt: skip
    core = NotifierCore(
        settings, GuardedOutbox(outbox, context.log), wording, directory, Plan(settings, zone),
        Digest(directory, zone, settings.digest_at, settings.page),
        post_soon=postbox.post_soon, state=postbox.state,
        alive_before_s=_number(outbox.recall(ALIVE)),
    )  # fmt: skip
    core.recall(outbox.reported())
    return Assembly(
        core=core, sources=[postbox],
        subscriptions=[pattern(context.site, service, kind) for service, kind in _READS],
        on_close=[postbox.close, outbox.close],
    )  # fmt: skip


def plugins_of(settings: NotifierSettings, outbox: Outbox) -> dict[str, str]:
    """Return the Apprise plugin of each destination; known ones are not looked for again.

    Raises:
        ConfigurationError: Apprise does not take a URL.
        ResourceError: it cannot be asked.

    """
    urls = {name: one.url.get_secret_value().strip() for name, one in settings.destinations.items()}
    known = outbox.recall(PLUGINS)
    before = known if isinstance(known, dict) else {}
    marks = {name: _mark(url) for name, url in urls.items()}
    found: dict[str, str | None] = {
        name: str(before[mark]) for name, mark in marks.items() if mark in before
    }
    if new := {name: url for name, url in urls.items() if name not in found}:
        try:
            found |= check(new)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ResourceError(f"Apprise cannot be run ({error}): install it anew") from None
    plugins = {name: plugin for name, plugin in found.items() if plugin is not None}
    if wrong := sorted(found.keys() - plugins.keys()):
        raise ConfigurationError(
            f"notifier.destinations.{name}.url: Apprise does not take it: check it against its "
            "documentation of that service"
            for name in wrong
        )
    if new:
        outbox.remember({PLUGINS: {marks[name]: plugin for name, plugin in plugins.items()}})
    return plugins


def _mark(url: str) -> str:
    """Return what a URL is known by to a later start: with another Apprise it is looked at anew."""
    return hashlib.sha256(f"{version('apprise')} {url}".encode()).hexdigest()


def zone_of(name: str | None) -> tzinfo:
    """Return the time zone of the settings, or of this machine."""
    if name is not None:
        return ZoneInfo(name)
    try:
        with _LOCAL_TIME.open("rb") as stream:
            return ZoneInfo.from_file(stream)
    except (OSError, ValueError):
        return UTC


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def main() -> int:
    """Run the notifier."""
    return run_service(Service.NOTIFIER, NotifierSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
