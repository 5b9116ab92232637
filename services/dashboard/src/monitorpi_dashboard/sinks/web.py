"""The page over HTTP: a few files, one JSON document, and a stream of it.

Nothing can be changed here but what :mod:`~monitorpi_dashboard.sinks.commands` names, and nothing
is loaded from elsewhere.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common.service import ResourceError
from monitorpi_dashboard.settings import page_url
from monitorpi_dashboard.sinks.commands import PageCommands
from monitorpi_dashboard.sinks.connections import Connections, Head
from monitorpi_dashboard.sinks.door import Door
from monitorpi_dashboard.sinks.files import page_files
from monitorpi_dashboard.sinks.metrics import CONTENT_TYPE, Metrics
from monitorpi_dashboard.sinks.packets import PacketLines
from monitorpi_dashboard.sinks.packing import Packer
from monitorpi_dashboard.sinks.past import NoPastError, Past

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_dashboard.sinks.board import Board
    from monitorpi_dashboard.sinks.files import File


MAX_STREAMS: Final = 32
_MAX_BODY: Final = 1024
_LENGTH: Final = re.compile(r"[0-9]{1,4}")
"""Of a body; Python itself reads no number of more than 4,300 digits."""
_AFTER: Final = re.compile(r"after=([0-9]{1,15})")
KEEP_ALIVE_S: Final = 15.0
_SEND_TIMEOUT_S: Final = 10.0
_STOPS_S: Final = 0.5
"""How late it learns that it is stopped: to look more often costs more than all else here."""
_PAST: Final = "/api/history/"
_RATES: Final = "/api/rates/"
_COMMAND: Final = "/api/order/"
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
    door: Door = field(init=False)
    commands: PageCommands = field(default_factory=PageCommands)
    packets: PacketLines = field(default_factory=PacketLines)
    _server: Connections | None = None
    _streams: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_STREAMS))

    def __post_init__(self) -> None:
        self.files = page_files()
        self.door = Door(self.password, self.hosts)
        self.past = Past(lambda: self.board.history_url, self.history_url)
        self.metrics = Metrics(self.board.picture, self.board.rates, self.max_devices)

    def open(self) -> None:
        """Take the port.

        Raises:
            ResourceError: the port is taken or not ours to take.

        """
        owner = self

        class Handler(_Handler):
            page = owner

        try:
            self._server = Connections((self.listen, self.port), Handler)
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
        self.commands.emit = self.board.emit = emit
        if self._server is not None:
            self._server.serve_forever(_STOPS_S)
            self._server.server_close()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self.board.close()
        if self._server is not None:
            threading.Thread(target=self._server.shutdown, daemon=True).start()

    def stream_begins(self) -> bool:
        """Take a place for one more stream; False: there are enough."""
        return self._streams.acquire(blocking=False)

    def stream_ended(self) -> None:
        """Give the place back."""
        self._streams.release()


class _Handler(BaseHTTPRequestHandler):
    page: PageServer
    server: Connections
    timeout = _SEND_TIMEOUT_S
    server_version = "MonitorPi"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = Head(self.connection.makefile("rb", buffering=0))

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
        whole = {"/api/state": self.page.board.newest, "/api/glance": self.page.board.glance}
        if path in whole:
            return self._reply(HTTPStatus.OK, whole[path](), "application/json")
        if path.startswith(_RATES):
            rates = json.dumps(self.page.board.rates(path.removeprefix(_RATES))).encode()
            return self._reply(HTTPStatus.OK, rates, "application/json")
        if path == "/api/packets":
            after = _AFTER.fullmatch(self.path.partition("?")[2])
            lines = self.page.packets.after(int(after[1]) if after else 0)
            return self._reply(HTTPStatus.OK, lines, "application/json")
        if path == "/metrics":
            return self._reply(HTTPStatus.OK, self.page.metrics.text(), CONTENT_TYPE)
        if path.startswith(_PAST):
            return self._past(path.removeprefix(_PAST))
        if path == "/api/stream":
            return self._stream()
        return self._reply(HTTPStatus.NOT_FOUND, b"there is no such page\n", "text/plain")

    def do_POST(self) -> None:
        """Take a command; one that another web page makes a browser send is refused.

        It has to be JSON: a browser asks us first before it sends that for another page, and gets
        no leave. Newer ones also say whose page it was.
        """
        if not self._is_welcome():
            return None
        if not self.path.startswith(_COMMAND):
            return self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})
        length = self.headers.get("Content-Length", "")
        is_json = self.headers.get_content_type() == "application/json"
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return self._answer(
                HTTPStatus.FORBIDDEN, {"error": "that was asked for by another page"}
            )
        if not is_json or not _LENGTH.fullmatch(length) or int(length) > _MAX_BODY:
            text = "ask with a short object of JSON"
            return self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": text})
        service, _, name = self.path.removeprefix(_COMMAND).partition("/")
        return self._answer(*self.page.commands.send(service, name, self.rfile.read(int(length))))

    def _is_welcome(self) -> bool:
        """Refuse a name that is not ours, and who does not know the password."""
        door = self.page.door
        if not door.knows(self.headers.get("Host")):
            text = b"This page is not served by that name; see dashboard.hosts.\n"
            self._reply(HTTPStatus.MISDIRECTED_REQUEST, text, "text/plain")
            return False
        opens = door.opens(self.headers.get("Authorization"), self.client_address[0])
        if opens is None:
            text = b"Too many wrong passwords from this address: wait a minute.\n"
            self._reply(HTTPStatus.TOO_MANY_REQUESTS, text, "text/plain")
            return False
        if not opens:
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

    def _answer(self, status: HTTPStatus, words: dict[str, str]) -> None:
        self._reply(status, json.dumps(words).encode(), "application/json")

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
            self._answer(error.status, {"error": str(error)})

    def _stream(self) -> None:
        """Send the picture and every change of it as server-sent events; the slow are dropped."""
        if not self.page.stream_begins():
            text = b"too many pages are open\n"
            return self._reply(HTTPStatus.SERVICE_UNAVAILABLE, text, "text/plain")
        try:
            packer = Packer(self.headers)
            self.send_response(HTTPStatus.OK)
            self.send_header("X-Accel-Buffering", "no")  # nginx would hold events back
            if packer.encoding is not None:
                self.send_header("Content-Encoding", packer.encoding)
            self._head("text/event-stream", None)
            number = 0
            with self.page.board.viewer():
                while not self.page.board.closed:
                    number, event = self.page.board.after(number, KEEP_ALIVE_S)
                    self.wfile.write(packer.pack(b":\n\n" if event is None else event))
        finally:
            self.page.stream_ended()
        return None
