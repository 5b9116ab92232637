"""The page over HTTP: a few files, one JSON document, and a stream of it.

Nothing can be changed here but that a test message may be sent to those who get alerts, and nothing
is loaded from elsewhere. A request for a host name that is not ours is refused, so that a web page
on the Internet cannot read a LAN through the visitor's browser (DNS rebinding). A test has to be
asked for as JSON: a browser asks us first before it sends that for another page, and is refused.

Connections are bounded, and whoever has one may say little and must say it soon: where all places
are taken, the one that goes has for longest neither said its wish nor shown that it may have it.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from monitorpi_common.allowance import Allowance
from monitorpi_common.endpoint import names_this_machine
from monitorpi_common.messages import NotifyTest
from monitorpi_common.service import ResourceError
from monitorpi_dashboard.items import MessageWanted
from monitorpi_dashboard.settings import page_url
from monitorpi_dashboard.sinks.files import page_files
from monitorpi_dashboard.sinks.metrics import CONTENT_TYPE, Metrics
from monitorpi_dashboard.sinks.past import NoPastError, Past

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_dashboard.sinks.board import Board
    from monitorpi_dashboard.sinks.files import File


MAX_STREAMS: Final = 32
MAX_CONNECTIONS: Final = 64
TESTS_PER_S: Final = 0.1
TESTS_AT_ONCE: Final = 3
"""Test messages: a person who clicks again and again gets no more than these."""
_MAX_BODY: Final = 1024
MAX_HEAD: Final = 16 * 1024
"""Bytes of a request before it is answered, as h11 and Node.js have it; the library alone would
keep 6 MB of each connection, password or not."""
KEEP_ALIVE_S: Final = 15.0
_SEND_TIMEOUT_S: Final = 10.0
_GUESS_S: Final = 0.5
"""Before a wrong password is answered: some hundred guesses a second, not thousands."""
_LEAVING_S: Final = 2 * _GUESS_S
"""How long a connection that is cut may take to give its place back: it may be made to wait."""
_USER: Final = "monitorpi"
_PAST: Final = "/api/history/"
_PIECE: Final = 64 * 1024
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(slots=True)
class PageServer:
    """A source that emits nothing: it serves the board."""

    board: Board
    listen: str
    port: int
    password: str | None
    hosts: tuple[str, ...] = ()
    max_devices: int = 0
    """Devices that have metrics of their own."""
    history_url: str | None = None
    metrics: Metrics = field(init=False)
    past: Past = field(init=False)
    files: dict[str, File] = field(init=False)
    _server: ThreadingHTTPServer | None = None
    _emit: Callable[[object], None] | None = None
    _tests: Allowance = field(default_factory=lambda: Allowance(TESTS_PER_S, TESTS_AT_ONCE))
    _streams: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_STREAMS))

    def __post_init__(self) -> None:
        self.files = page_files()
        self.past = Past(self.board.newest, self.history_url)
        self.metrics = Metrics(self.board.newest, self.max_devices)

    def open(self) -> None:
        """Take the port.

        Raises:
            ResourceError: the port is taken or not ours to take.

        """
        owner = self

        class Handler(_Handler):
            page = owner

        try:
            self._server = _Server((self.listen, self.port), Handler)
        except OSError as error:
            raise ResourceError(
                f"the page cannot listen on {self.listen} port {self.port} ({error.strerror}): "
                "set another one (dashboard.listen, dashboard.port)"
            ) from None
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return page_url(self.listen, self.port)

    def run(self, emit: Callable[[object], None]) -> None:
        """Serve until stopped."""
        self._emit = emit
        if self._server is not None:
            self._server.serve_forever(0.1)
            self._server.server_close()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self.board.close()
        if self._server is not None:
            threading.Thread(target=self._server.shutdown, daemon=True).start()

    def may_ask(self, host: str | None) -> bool:
        """Tell whether a Host header names this machine by an address or a name we know."""
        return names_this_machine(host, self.hosts)

    def may_see(self, authorization: str | None) -> bool:
        """Tell whether the right password was given, or none is needed."""
        if self.password is None:
            return True
        wanted = base64.b64encode(f"{_USER}:{self.password}".encode()).decode()
        return hmac.compare_digest((authorization or "").encode(), f"Basic {wanted}".encode())

    def test(self, destination: str | None) -> bool:
        """Have a test message sent; False: there were enough of late, or it is too early."""
        if self._emit is None or not self._tests.take(time.monotonic()):
            return False
        self._emit(MessageWanted(destination))
        return True

    def stream_begins(self) -> bool:
        """Take a place for one more stream; False: there are enough."""
        return self._streams.acquire(blocking=False)

    def stream_ended(self) -> None:
        """Give the place back."""
        self._streams.release()


class _Server(ThreadingHTTPServer):
    """A bounded number of connections, none of them able to hold the service up."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        host, port = address
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._asking: dict[socket.socket, None] = {}
        """Connections that have not said yet what they want and may have, the oldest first."""
        self._guard = threading.Lock()
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            # `::` is both families, whatever the machine's default (net.ipv6.bindv6only)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self._cut_the_slowest()
            if not self._places.acquire(timeout=_LEAVING_S):
                self.shutdown_request(request)
                return
        with self._guard:
            self._asking[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
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


class _Head(io.BufferedReader):
    """The head of a request, line by line, as long as it is not too long.

    Raises:
        LineTooLong: it is; the library answers 431 to that, and nothing to a first line so long.

    """

    _room = MAX_HEAD

    def readline(self, size: int | None = -1, /) -> bytes:
        del size
        line = super().readline(self._room + 1)
        self._room -= len(line)
        if self._room < 0:
            self._room = 0
            raise LineTooLong("head")
        return line


class _Handler(BaseHTTPRequestHandler):
    page: PageServer
    server: _Server
    timeout = _SEND_TIMEOUT_S
    server_version = "MonitorPi"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = _Head(self.connection.makefile("rb", buffering=0))

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0]
        if path == "/healthz":
            level = self.page.board.level
            status = HTTPStatus.OK if level == "watching" else HTTPStatus.SERVICE_UNAVAILABLE
            return self._reply(status, f"{level}\n".encode(), "text/plain")
        if not self._is_welcome():
            return None
        if path in self.page.files:
            return self._file(self.page.files[path])
        if path == "/api/state":
            return self._reply(HTTPStatus.OK, self.page.board.newest(), "application/json")
        if path == "/api/glance":
            return self._reply(HTTPStatus.OK, self.page.board.glance(), "application/json")
        if path == "/metrics":
            return self._reply(HTTPStatus.OK, self.page.metrics.text(), CONTENT_TYPE)
        if path.startswith(_PAST):
            return self._past(path.removeprefix(_PAST))
        if path == "/api/stream":
            return self._stream()
        return self._reply(HTTPStatus.NOT_FOUND, b"there is no such page\n", "text/plain")

    def do_POST(self) -> None:
        if not self._is_welcome():
            return None
        kind = self.headers.get_content_type()
        length = self.headers.get("Content-Length", "")
        if self.path != "/api/test":
            return self._reply(HTTPStatus.NOT_FOUND, b"there is no such page\n", "text/plain")
        if kind != "application/json" or not length.isdecimal() or int(length) > _MAX_BODY:
            text = b"ask with a short object of JSON\n"
            return self._reply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, "text/plain")
        try:
            wish = NotifyTest.model_validate_json(self.rfile.read(int(length)))
        except ValidationError:
            return self._reply(HTTPStatus.BAD_REQUEST, b"no such wish\n", "text/plain")
        if not self.page.test(wish.destination):
            text = b"enough tests for now\n"
            return self._reply(HTTPStatus.TOO_MANY_REQUESTS, text, "text/plain")
        return self._reply(HTTPStatus.ACCEPTED, b"{}", "application/json")

    def _is_welcome(self) -> bool:
        """Refuse a name that is not ours, and who does not know the password."""
        if not self.page.may_ask(self.headers.get("Host")):
            text = b"This page is not served by that name; see dashboard.hosts.\n"
            self._reply(HTTPStatus.MISDIRECTED_REQUEST, text, "text/plain")
            return False
        guess = self.headers.get("Authorization")
        if not self.page.may_see(guess):
            if guess is not None:
                time.sleep(_GUESS_S)
            self._ask_for_password()
            return False
        self.server.has_asked(self.connection)
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Keep no log of who looks."""

    def _ask_for_password(self) -> None:
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", 'Basic realm="MonitorPi", charset="UTF-8"')
        self._head("text/plain", 0)

    def _reply(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self._head(kind, len(body))
        self.wfile.write(body)

    def _file(self, file: File) -> None:
        """Serve one of the page's own files; a browser that has it is told so."""
        if self.headers.get("If-None-Match") == file.mark:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", file.mark)
            return self._head(file.kind, None, "no-cache")
        packs = "gzip" in self.headers.get("Accept-Encoding", "")
        body = file.packed if packs else file.content
        self.send_response(HTTPStatus.OK)
        self.send_header("ETag", file.mark)
        self.send_header("Vary", "Accept-Encoding")
        if packs:
            self.send_header("Content-Encoding", "gzip")
        self._head(file.kind, len(body), "no-cache")
        self.wfile.write(body)
        return None

    def _head(self, kind: str, length: int | None, cache: str = "no-store") -> None:
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", cache)
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _past(self, table: str) -> None:
        """Hand a question on to the history, and its answer back as it comes."""
        query = self.path.partition("?")[2]
        try:
            with self.page.past.ask(table, query) as answer:
                self.send_response(answer.status)
                for name in ("Content-Disposition",):
                    if (value := answer.getheader(name)) is not None:
                        self.send_header(name, value)
                self._head(answer.getheader("Content-Type") or "text/plain", None)
                while piece := answer.read(_PIECE):
                    self.wfile.write(piece)
        except NoPastError as error:
            text = json.dumps({"error": str(error)}).encode()
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, text, "application/json")

    def _stream(self) -> None:
        """Send every new document as a server-sent event; who is too slow is dropped."""
        if not self.page.stream_begins():
            text = b"too many pages are open\n"
            return self._reply(HTTPStatus.SERVICE_UNAVAILABLE, text, "text/plain")
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("X-Accel-Buffering", "no")  # nginx would hold events back
            self._head("text/event-stream", None)
            number = 0
            while not self.page.board.closed:
                number, event = self.page.board.after(number, KEEP_ALIVE_S)
                self.wfile.write(b":\n\n" if event is None else event)
        finally:
            self.page.stream_ended()
        return None
