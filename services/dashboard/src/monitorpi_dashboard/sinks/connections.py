"""A bounded number of connections, none of them able to hold the service up.

Whoever has one may say little and must say it soon: where all places are taken, the one that goes
has for longest neither said its wish nor shown that it may have it.
"""

from __future__ import annotations

import io
import socket
import threading
from contextlib import suppress
from http.client import LineTooLong
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from monitorpi_dashboard.sinks.door import GUESS_S

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

MAX_CONNECTIONS: Final = 64
MAX_HEAD: Final = 16 * 1024
"""Bytes of a request before it is answered, as h11 and Node.js have it; the library alone would
keep 6 MB of each connection, password or not."""
_LEAVING_S: Final = 2 * GUESS_S
"""How long a connection that is cut may take to give its place back: it may be made to wait."""


class Connections(ThreadingHTTPServer):
    """A bounded number of connections, none of them able to hold the service up."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        host, port = address
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._asking: dict[socket.socket, None] = {}
        """Connections that have not said yet what they want and may have, the oldest first."""
        self._guard = threading.Lock()
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """Take both families where the address means both."""
        if self.address_family == socket.AF_INET6:
            # `::` is both families, whatever the machine's default (net.ipv6.bindv6only)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a place, or the place of the slowest."""
        if not self._places.acquire(blocking=False):
            self._cut_the_slowest()
            if not self._places.acquire(timeout=_LEAVING_S):
                self.shutdown_request(request)
                return
        with self._guard:
            self._asking[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_asked(request)
            self._places.release()

    def has_asked(self, request: Any) -> None:
        """Learn that a connection has said what it wants, and may have it."""
        with self._guard:
            self._asking.pop(request, None)

    def _cut_the_slowest(self) -> None:
        """Cut the connection that has been asking for longest; its thread then ends."""
        with self._guard:
            slowest = next(iter(self._asking), None)
            if slowest is not None:
                del self._asking[slowest]
                with suppress(OSError):  # it has gone by itself
                    slowest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is no news."""


class Head(io.BufferedReader):
    """The head of a request, line by line, as long as it is not too long.

    Raises:
        LineTooLong: it is; the library answers 431 to that, and nothing to a first line so long.

    """

    _room = MAX_HEAD

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line."""
        del size
        line = super().readline(self._room + 1)
        self._room -= len(line)
        if self._room < 0:
            self._room = 0
            raise LineTooLong("head")
        return line
