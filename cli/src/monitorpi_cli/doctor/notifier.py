"""Looks whether those who get alerts can be reached: their addresses, and the servers behind. I/O.

Nothing is sent to anybody: `./monitorpi notify test` does that.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitorpi_cli.doctor.finding import CheckResult
from monitorpi_cli.stack.plan import secrets_of
from monitorpi_common.messages import Service
from monitorpi_common.settings import load
from monitorpi_notifier.settings import NotifierSettings
from monitorpi_notifier.sinks.postbox import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRY_S: Final = 5.0
_TEST: Final = "./monitorpi notify test sends a message"


def look_at_destinations(config: Path | None) -> Iterator[CheckResult]:
    """Try each destination's address; nothing where there is none."""
    secrets = secrets_of(Service.NOTIFIER, config)
    settings = load(Service.NOTIFIER, NotifierSettings, file=config, secrets=secrets).section
    urls = {name: one.url.get_secret_value().strip() for name, one in settings.destinations.items()}
    if not urls:
        return
    try:
        plugins = check(urls)
    except OSError as error:
        yield CheckResult(
            "wrong", "notifier", str(error), "delete .venv beside ./monitorpi: it is made anew"
        )
        return
    for name, plugin in plugins.items():
        yield _look_at(name, urls[name], plugin)


def _look_at(name: str, url: str, plugin: str | None) -> CheckResult:
    """Say what Apprise makes of an address, and whether its server answers, where it names one."""
    if plugin is None:
        return CheckResult(
            "wrong", "notifier", f"Apprise does not take the address of {name!r}",
            f"write notifier__destinations__{name}__url as Apprise documents it",
        )  # fmt: skip
    kind = plugin.rpartition(":")[2].removeprefix("Notify")
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    host = urlsplit(url).hostname
    if host is None or port is None:
        return CheckResult("ok", "notifier", f"{name} is told by {kind}", _TEST)
    try:
        socket.create_connection((host, port), TRY_S).close()
    except OSError as error:
        return CheckResult(
            "wrong", "notifier", f"the server of {name} ({kind}) is not reached: {error.strerror}",
            "check its name, its port and the network",
        )  # fmt: skip
    return CheckResult(
        "ok", "notifier", f"{name} is told by {kind}, and its server is reached", _TEST
    )
