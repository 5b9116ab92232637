"""The HTTP side of the double: a real server on loopback, with faults on demand."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from monitorpi_thingspeak_double.channels import Answer, Switches, error
from monitorpi_thingspeak_double.cloud import Cloud
from monitorpi_thingspeak_double.page import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fault = Literal["reset", "reset_after_commit", "stall", "429", "500", "502", "503", "truncate"]
MAX_BODY: Final = 4 * 1024 * 1024
_STALL_S: Final = 3600.0
_HTML: Final = b"<html><body><h1>Service unavailable</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the log keeps it: never a key, never a body.

    Where a key stood in the address there is ``KEY``.
    """

    at_s: float
    method: str
    path: str
    status: int


@dataclass
class Double:
    """A running double. Use as a context manager."""

    switches: Switches = field(default_factory=Switches)
    clock: Callable[[], float] = time.time
    port: int = 0
    certificate: tuple[str, str] | None = None
    """Files with a certificate and its key: then the double speaks TLS."""

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.clock, self.switches)
        self.faults: deque[tuple[str, Fault]] = deque()
        """Faults to come: a part of the path they wait for, and what then happens."""
        self.failing_handshakes = 0
        """So many TLS handshakes to come fail."""
        self.log: deque[Request] = deque(maxlen=10_000)
        self.on_request: Callable[[str, str], None] = lambda _when, _path: None
        """Called with ``before``, ``committed`` or ``answered`` and the path."""
        self.tls = _tls(*self.certificate) if self.certificate else None
        self._released = threading.Event()
        self._server = _Server(self, self.port)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.end()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be unreachable: connections break, new ones are refused, nothing is forgotten."""
        self._server.end()
        with socket.socket() as place:  # bound and deaf, so that nobody else takes the port
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(("127.0.0.1", self.port))
            yield
        self._server = _Server(self, self.port)
        self._server.start()

    def note(self, method: str, target: str, status: int) -> None:
        """Remember a request, its keys blotted out."""
        for key in self.cloud.all_keys():
            target = target.replace(key, "KEY")
        self.log.append(Request(self.clock(), method, target, status))

    def fail_next(self, path: str, *faults: Fault) -> None:
        """Let the next requests whose path contains the text meet these faults, in order."""
        self.faults.extend((path, fault) for fault in faults)

    def take_fault(self, path: str) -> Fault | None:
        """Return the fault a request meets now."""
        if self.faults and self.faults[0][0] in path:
            return self.faults.popleft()[1]
        return None

    def wait_stalled(self) -> None:
        """Hold a request until the double ends."""
        self._released.wait(_STALL_S)


class _Server(ThreadingHTTPServer):
    """The listener: plain or TLS, from its start to its end."""

    daemon_threads = True

    def __init__(self, owner: Double, port: int) -> None:
        class Handler(_Handler):
            pass

        Handler.owner = owner
        super().__init__(("127.0.0.1", port), Handler)
        self._owner = owner
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def end(self) -> None:
        """Stop listening and break what is open."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection; a failing handshake is answered by what is no TLS at all."""
        tls = self._owner.tls
        if tls is None:
            return self._serve(request, client_address)
        if self._owner.failing_handshakes > 0:
            self._owner.failing_handshakes -= 1
            request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
        with tls.wrap_socket(request, server_side=True) as connection:
            return self._serve(connection, client_address)

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        self._open.add(connection)
        try:
            super().finish_request(connection, client_address)
        finally:
            self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed mid-request are part of the game."""


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@dataclass(frozen=True, slots=True)
class _Call:
    """One call, taken apart."""

    method: str
    path: str
    parts: tuple[str | None, ...]
    """What the route's pattern found in the path."""
    values: dict[str, str]
    """Of query and body."""
    body: bytes

    def number(self, part: int) -> int:
        """Return a number of the path."""
        return int(self.parts[part] or 0)


_ROUTES: Final = (
    (r"/channels/(\d+)/bulk_update\.json", "_bulk"),
    (r"/channels/(\d+)/feeds\.json", "_feeds"),
    (r"/channels/(\d+)/feeds/last\.json", "_last_feed"),
    (r"/update(?:\.json)?", "_update"),
    (r"/channels\.json", "_channels"),
    (r"/channels/(\d+)\.json", "_channel"),
    (r"/talkbacks/(\d+)/commands/(execute|last)(?:\.json)?", "_talkback"),
    (r"/talkbacks/(\d+)/commands(?:/(\d+))?\.json", "_commands"),
    (r"/", "_page"),
)
_NOT_ALLOWED: Final = error(405, "error_method_invalid", "Method Not Allowed")


class _Handler(BaseHTTPRequestHandler):
    owner: Double
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: each answer would wait 40 ms

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Keep no log here: the double has its own, without keys."""

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        fault = self.owner.take_fault(parts.path)
        if fault == "reset":
            return self._reset()  # what was sent is not even read
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY))
        self.owner.on_request("before", parts.path)
        if fault in ("500", "502", "503"):
            return self._reply(int(fault), _HTML, "text/html")
        if fault == "stall":
            return self.owner.wait_stalled()
        if fault == "429":
            refused = error(429, "error_too_many_requests", "Too many requests")
            return self._answer(refused)
        answer = self._route(method, parts.path, dict(parse_qsl(parts.query)), body)
        self.owner.on_request("committed", parts.path)
        if fault == "reset_after_commit":
            return self._reset()
        if fault == "truncate":
            return self._truncated(answer)
        self._answer(answer)
        self.owner.on_request("answered", parts.path)
        return None

    def _route(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        for pattern, name in _ROUTES:
            if found := re.fullmatch(pattern, path):
                values = query | _form(body, self.headers.get("Content-Type", ""))
                call = _Call(method, path, found.groups(), values, body)
                answer: Answer = getattr(self, name)(call, self._key(values.get("api_key")))
                return answer
        return error(404, "error_resource_not_found", "Resource not found")

    def _bulk(self, call: _Call, _: str | None) -> Answer:
        if call.method != "POST":
            return _NOT_ALLOWED
        try:
            record = json.loads(call.body)
            updates, key = record["updates"], record.get("write_api_key")
        except (ValueError, KeyError, TypeError, AttributeError):
            return error(400, "error_bad_request", "not a bulk update")
        return self.owner.cloud.bulk_update(call.number(0), self._key(key), updates)

    def _feeds(self, call: _Call, key: str | None) -> Answer:
        if call.method != "GET":
            return _NOT_ALLOWED
        return self.owner.cloud.feeds(call.number(0), key, call.values)

    def _last_feed(self, call: _Call, key: str | None) -> Answer:
        if call.method != "GET":
            return _NOT_ALLOWED
        return self.owner.cloud.last_feed(call.number(0), key, call.values)

    def _update(self, call: _Call, key: str | None) -> Answer:
        answer = self.owner.cloud.update(key, call.values)
        if call.path == "/update" and isinstance(answer.body, dict) and "entry_id" in answer.body:
            return Answer(200, answer.body["entry_id"])
        return answer

    def _channels(self, call: _Call, key: str | None) -> Answer:
        cloud = self.owner.cloud
        if call.method == "POST":
            return cloud.make_channel(key, call.values)
        return cloud.list_channels(key)

    def _channel(self, call: _Call, key: str | None) -> Answer:
        if call.method != "PUT":
            return _NOT_ALLOWED
        return self.owner.cloud.change_channel(key, call.number(0), call.values)

    def _talkback(self, call: _Call, key: str | None) -> Answer:
        answer = self.owner.cloud.talkback(call.number(0), key, str(call.parts[1]))
        if call.path.endswith(".json") or answer.status != HTTPStatus.OK:
            return answer
        return Answer(200, answer.body.get("command_string", ""))

    def _commands(self, call: _Call, key: str | None) -> Answer:
        one = int(call.parts[1]) if call.parts[1] else None
        if call.method == "POST" and not (call.values.get("command_string") and one is None):
            return error(400, "error_bad_request", "command_string is missing")
        return self.owner.cloud.commands(call.number(0), key, call.method, one, call.values)

    def _page(self, _: _Call, __: str | None) -> Answer:
        return Answer(200, page(self.owner.cloud))

    def _key(self, given: str | None) -> str | None:
        """Find the key: any header whose name contains THINGSPEAKAPIKEY wins."""
        for name, value in self.headers.items():
            if "THINGSPEAKAPIKEY" in name.upper().replace("-", "").replace("_", ""):
                return str(value)
        return given

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer.body, str):
            self._reply(answer.status, answer.body.encode(), "text/html; charset=utf-8")
        else:
            text = json.dumps(answer.body).encode()
            self._reply(answer.status, text, "application/json; charset=utf-8")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.owner.note(self.command, self.path, status)
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _truncated(self, answer: Answer) -> None:
        """Promise a whole answer, send half of it and hang up."""
        body = json.dumps(answer.body).encode()
        self.send_response(HTTPStatus(answer.status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _reset(self) -> None:
        """Hang up with a TCP reset."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


def _form(body: bytes, kind: str) -> dict[str, str]:
    """Read the body of an update: a form or JSON."""
    text = body.decode(errors="replace")
    if "json" in kind:
        try:
            record = json.loads(text)
        except ValueError:
            return {}
        return {k: str(v) for k, v in record.items()} if isinstance(record, dict) else {}
    return dict(parse_qsl(text))
