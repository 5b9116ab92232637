"""A server of somebody else's, which answers what it is told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Foreign:
    """A server that answers every call with what it is told, piece by piece."""

    def __init__(self) -> None:
        self.status = 200
        self.pieces: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.calls: list[tuple[str, str | None]] = []
        """The method of each call, and the key it brought."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                owner.asked.append(self.path)
                key = self.headers.get("THINGSPEAKAPIKEY") or self.headers.get("Authorization")
                owner.calls.append((self.command, key))
                self.send_response(owner.status)
                for name, value in owner.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(sum(map(len, owner.pieces))))
                self.end_headers()
                for piece in owner.pieces:
                    self.wfile.write(piece)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's
                """Keep no log."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients hang up on answers that are too long: that is the point."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def foreign() -> Iterator[Foreign]:
    """Run such a server."""
    one = Foreign()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()
        thread.join()
