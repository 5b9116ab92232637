"""Posts one letter by Apprise, in a process of its own that ends with it: ``-m ...sinks.post``.

Apprise with its plugins takes more memory than the whole notifier, and a plugin that hangs must not
hold anybody up. So each letter has a process; it reads what to do from standard input, since
arguments and variables of a process can be read by others, and notes the outcome in the outbox
itself: the notifier may have been killed meanwhile. Its exit code tells the same. Only the one
plugin that is needed is loaded.

With ``--check`` it tells which URLs Apprise takes, and the plugin of each.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import signal
import sqlite3
import sys
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from monitorpi_notifier.sinks.notes import NOT_DELIVERED, note

MOST_S: Final = 60
"""Of a whole delivery, whatever it hangs on; Apprise waits 4 s for each step of a call."""
_SHORT: Final = 3
_SCHEME: Final = re.compile(r"^[a-z0-9]+s?://", re.IGNORECASE)


class _LastWarning(logging.Handler):
    """Keeps the last thing Apprise complained of."""

    text: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.text = record.getMessage()


def check(urls: dict[str, str]) -> dict[str, str | None]:
    """Return the plugin that takes each URL, as ``module:class``; None: Apprise takes it not."""
    from apprise import Apprise  # noqa: PLC0415 - with --check only: loads every plugin

    found: dict[str, str | None] = {}
    for name, url in urls.items():
        plugin = Apprise.instantiate(url.strip(), suppress_exceptions=True)
        kind = type(plugin)
        found[name] = f"{kind.__module__}:{kind.__qualname__}" if plugin else None
    return found


def plugin_of(url: str, path: str) -> Any:
    """Make the plugin of a URL, without loading the others."""
    module, _, name = path.partition(":")
    kind = getattr(importlib.import_module(module), name)
    return kind(**kind.parse_url(url.strip()))


def post(order: dict[str, Any]) -> tuple[bool, str | None]:
    """Deliver a letter; returns whether it was taken, and why not."""
    warning = _LastWarning()
    logger = logging.getLogger("apprise")
    logger.addHandler(warning)
    logger.propagate = False
    url = order["url"]
    try:
        plugin = plugin_of(url, order["plugin"])
        is_delivered = bool(
            plugin.notify(
                title=order["title"], body=order["body"], notify_type=order["type"],
                body_format="text",
            )
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - 180 plugins by others: any of them may fail
        return False, scrub(f"{type(error).__name__}: {error}", url)
    return is_delivered, None if is_delivered else scrub(warning.text or "not delivered", url)


def scrub(text: str, url: str) -> str:
    """Return a text without anything of a URL but its scheme and host."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    bare = _SCHEME.sub("", url)
    pieces = {*re.split(r"[/?&=@:,#]+", bare), *map(unquote, re.split(r"[/?&=@:,#]+", bare))}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > _SHORT and piece.lower() != host:
            text = text.replace(piece, "***")
    return " ".join(text.split())[:200]


def main() -> int:
    """Check URLs, or post one letter; the order comes as JSON on standard input."""
    order = json.load(sys.stdin)
    if "--check" in sys.argv[1:]:
        logging.disable(logging.CRITICAL)
        json.dump(check(order), sys.stdout)
        return 0
    signal.alarm(MOST_S)  # ends the process; without a note its letter counts as doubtful
    is_delivered, text = post(order)
    with suppress(sqlite3.Error):  # a full disk: the exit code tells it, to whoever still waits
        db = sqlite3.connect(order["outbox"], timeout=MOST_S, isolation_level=None)
        note(db, order["letter"], is_delivered=is_delivered, text=text)
        db.close()
    return 0 if is_delivered else NOT_DELIVERED


if __name__ == "__main__":
    raise SystemExit(main())
