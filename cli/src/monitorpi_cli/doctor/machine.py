"""What the machine itself must offer: a clock, a folder for state, secrets, echo requests. I/O."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from monitorpi_cli.doctor.finding import CheckResult, note, ok, parted, wrong
from monitorpi_cli.ping import measure
from monitorpi_cli.stack.plan import secrets_of
from monitorpi_cli.stack.preflight import mistakes
from monitorpi_cli.stack.state import nearest, open_to_others, secrets_folder, try_to_write
from monitorpi_common import clock
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitorpi_common.settings import CommonSettings
    from monitorpi_prober.settings import ProberSettings

LEAST_FREE: Final = 100 * 1024 * 1024
"""Bytes: a year of ThingSpeak rows that could not be sent, several times over."""
_PING_S: Final = 1.0


def check_settings(config: Path | None) -> Iterator[CheckResult]:
    """Return what is wrong with the settings of any service."""
    for line in mistakes(config, secrets_of):
        yield wrong("settings", line)


def check_clock(*, trusted: bool) -> CheckResult:
    """Return whether the wall clock can be believed."""
    if trusted or clock.synchronised():
        return ok("clock", "trusted as configured" if trusted else "synchronised")
    return note(
        "clock",
        "not synchronised: times may be off, and rows for the cloud wait",
        "is a time server reached (timedatectl)?",
    )


def check_state(folder: Path) -> CheckResult:
    """Write to the state folder, or to where it would be made, and report the room there."""
    unwritable = try_to_write(folder)
    if unwritable is not None:
        text = f"{folder} cannot be written: {unwritable.why}"
        return wrong("state", text, unwritable.remedy)
    place = nearest(folder)
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    where = f"{folder} can be written" if place == folder else f"{folder} can be made"
    if free < LEAST_FREE:
        return note("state", f"{where}, with {free / 1e6:.0f} MB free", "make room on its disk")
    return ok("state", f"{where}, {free / 1e9:.1f} GB free")


def check_secrets(common: CommonSettings) -> Iterator[CheckResult]:
    """Return whether somebody else may read the secrets that ``up`` keeps."""
    folder = secrets_folder(common)
    try:
        if not folder.exists():
            return
        is_open = open_to_others(folder)
        names = os.listdir(folder)  # noqa: PTH208 - only their number is wanted
    except OSError as error:
        yield wrong(
            "secrets", f"{folder} cannot be read: {error.strerror}", "run with sudo, as `up` does"
        )
        return
    if is_open:
        yield wrong("secrets", is_open, f"chmod 700 {folder}")
    else:
        yield ok("secrets", f"{folder}: of {len(names)} accounts, open to nobody else")


def check_pings(settings: ProberSettings) -> Iterator[CheckResult]:
    """Return whether echo requests may be sent, by one to this machine itself."""
    try:
        measure(["127.0.0.1"], 1, _PING_S, settings.source)
    except ResourceError as error:
        yield parted("pings", str(error))
    else:
        yield ok("pings", "may be sent")
