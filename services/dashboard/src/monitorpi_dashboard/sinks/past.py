"""Questions about the past, handed on to the history: the page asks one server only.

The history says in its health where it answers; only an address of this machine is believed, since
whoever may write that message could have the page fetch anything. One elsewhere is a setting.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from monitorpi_dashboard.settings import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLES: Final = frozenset(
    {"alerts", "changes", "devices", "exceedances", "probes", "state", "traffic", "wire"}
)
QUERIES: Final = 4
"""Handed on at once: the history itself reads so many."""
_TIMEOUT_S: Final = 30.0


class NoPastError(Exception):
    """The history cannot be asked; says why, and whose fault it is."""

    def __init__(self, text: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        super().__init__(text)
        self.status = status


class Past:
    """The way to the history."""

    def __init__(self, told: Callable[[], str | None], url: str | None = None) -> None:
        self._published_url = told
        self._url = url
        self._places = threading.Semaphore(QUERIES)

    @contextmanager
    def ask(self, table: str, query: str) -> Iterator[http.client.HTTPResponse]:
        """Ask a question and give its answer as it comes.

        Raises:
            NoPastError: there is no such table, no history, or too many ask.

        """
        if table not in TABLES:
            raise NoPastError("there is no such table", HTTPStatus.NOT_FOUND)
        host, port = self._place()
        if not self._places.acquire(blocking=False):
            raise NoPastError("too many ask at once")
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", f"/v1/{table}?{query}" if query else f"/v1/{table}")
            yield connection.getresponse()
        except (UnicodeError, http.client.InvalidURL):  # no browser asks so
            raise NoPastError("ask in printable ASCII", HTTPStatus.BAD_REQUEST) from None
        except (OSError, http.client.HTTPException) as error:
            raise NoPastError(f"the history does not answer ({type(error).__name__})") from None
        finally:
            connection.close()
            self._places.release()

    def _place(self) -> tuple[str, int]:
        """Return where it answers.

        Raises:
            NoPastError: nobody has said so.

        """
        try:
            parts = urlsplit(self._url or self._published_url() or "")
            host, port = parts.hostname, parts.port or 80
        except ValueError:  # not of our making
            host, port = None, 0
        if not host or (self._url is None and host not in LOOPBACK):
            raise NoPastError("no history runs here")
        return host, port
