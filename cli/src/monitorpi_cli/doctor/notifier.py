"""Looks whether those who get alerts can be reached: their addresses, and the servers behind. I/O.

Nothing is sent to anybody: `./monitorpi notify test` does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitorpi_cli.doctor.finding import CheckResult, ok, wrong
from monitorpi_cli.doctor.server import reach
from monitorpi_notifier.sinks.postbox import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_notifier.settings import NotifierSettings

TRY_S: Final = 5.0
_TEST: Final = "./monitorpi notify test sends a message"


def check_destinations(settings: NotifierSettings) -> Iterator[CheckResult]:
    """Try each destination's address; nothing where there is none."""
    urls = {name: one.url.get_secret_value().strip() for name, one in settings.destinations.items()}
    if not urls:
        return
    try:
        plugins = check(urls)
    except OSError as error:
        yield wrong("notifier", str(error), "delete .venv beside ./monitorpi: it is made anew")
        return
    for name, plugin in plugins.items():
        yield _check(name, urls[name], plugin)


def _check(name: str, url: str, plugin: str | None) -> CheckResult:
    """Return what Apprise makes of an address, and whether the server it names answers."""
    if plugin is None:
        remedy = f"write notifier__destinations__{name}__url as Apprise documents it"
        return wrong("notifier", f"Apprise does not take the address of {name!r}", remedy)
    kind = plugin.rpartition(":")[2].removeprefix("Notify")
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    host = urlsplit(url).hostname
    if host is None or port is None:
        return ok("notifier", f"{name} is told by {kind}", _TEST)
    try:
        reach(host, port, TRY_S)
    except OSError as error:
        text = f"the server of {name} ({kind}) is not reached: {error.strerror}"
        return wrong("notifier", text, "check its name, its port and the network")
    return ok("notifier", f"{name} is told by {kind}, and its server is reached", _TEST)
