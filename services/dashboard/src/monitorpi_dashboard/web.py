"""The page over HTTP: a few files, one JSON document, and a stream of it.

Nothing can be changed here, and nothing is loaded from elsewhere. A request for a host name that
is not ours is refused, so that a web page on the Internet cannot read a LAN through the visitor's
browser (DNS rebinding).
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import socket
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STREAMS: Final = 32
MAX_CONNECTIONS: Final = 64
KEEP_ALIVE_S: Final = 15.0
_SEND_TIMEOUT_S: Final = 10.0
_USER: Final = "monitorpi"
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Board:
    """The newest document, and a bell for those who wait for the next one."""

    def __init__(self) -> None:
        self._document = b"{}"
        self._number = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, document: bytes) -> None:
        """Show a new document."""
        with self._changed:
            self._document = document
            self._number += 1
            self._changed.notify_all()

    def newest(self) -> bytes:
        """Return the document that is shown."""
        with self._changed:
            return self._document

    def after(self, number: int, timeout_s: float) -> tuple[int, bytes | None]:
        """Wait for a document newer than the given one; None: none came, or the end has."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._closed, timeout_s)
            if self._closed or self._number <= number:
                return number, None
            return self._number, self._document

    @property
    def closed(self) -> bool:
        """Nothing more will be shown."""
        return self._closed

    def close(self) -> None:
        """Let everybody go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass(slots=True)
class PageServer:
    """A source that emits nothing: it serves the board."""

    board: Board
    listen: str
    port: int
    password: str | None
    hosts: tuple[str, ...] = ()
    _server: ThreadingHTTPServer | None = None
    _streams: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_STREAMS))

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
                "set another one (dashboard.port)"
            ) from None
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        host = "127.0.0.1" if self.listen in ("0.0.0.0", "") else self.listen  # noqa: S104 - compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def run(self, emit: Callable[[object], None]) -> None:
        """Serve until stopped."""
        del emit
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
        if not host:
            return False
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            own = socket.gethostname().lower()
            return name in ("localhost", own, f"{own}.local", *self.hosts)
        return True

    def may_see(self, authorization: str | None) -> bool:
        """Tell whether the right password was given, or none is needed."""
        if self.password is None:
            return True
        wanted = base64.b64encode(f"{_USER}:{self.password}".encode()).decode()
        return hmac.compare_digest((authorization or "").encode(), f"Basic {wanted}".encode())

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
    request_queue_size = 16

    def __init__(self, *args: Any) -> None:
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    page: PageServer
    timeout = _SEND_TIMEOUT_S
    server_version = "MonitorPi"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0]
        if path == "/healthz":
            return self._reply(HTTPStatus.OK, b"ok\n", "text/plain")
        if not self.page.may_ask(self.headers.get("Host")):
            text = b"This page is not served by that name; see dashboard.hosts.\n"
            return self._reply(HTTPStatus.MISDIRECTED_REQUEST, text, "text/plain")
        if not self.page.may_see(self.headers.get("Authorization")):
            return self._ask_for_password()
        if path in _FILES:
            name, kind = _FILES[path]
            content = resources.files("monitorpi_dashboard").joinpath("page", name).read_bytes()
            return self._reply(HTTPStatus.OK, content, kind)
        if path == "/api/state":
            return self._reply(HTTPStatus.OK, self.page.board.newest(), "application/json")
        if path == "/api/stream":
            return self._stream()
        return self._reply(HTTPStatus.NOT_FOUND, b"there is no such page\n", "text/plain")

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

    def _head(self, kind: str, length: int | None) -> None:
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _stream(self) -> None:
        """Send every new document as a server-sent event; who is too slow is dropped."""
        if not self.page.stream_begins():
            text = b"too many pages are open\n"
            return self._reply(HTTPStatus.SERVICE_UNAVAILABLE, text, "text/plain")
        try:
            self.send_response(HTTPStatus.OK)
            self._head("text/event-stream", None)
            number = 0
            while not self.page.board.closed:
                number, document = self.page.board.after(number, KEEP_ALIVE_S)
                event = b":\n\n" if document is None else b"data: " + document + b"\n\n"
                self.wfile.write(event)
        finally:
            self.page.stream_ended()
        return None
