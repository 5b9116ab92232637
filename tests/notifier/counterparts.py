"""Real services that messages are delivered to, on loopback: SMTP, and HTTP as ntfy speaks it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Mail:
    """One mail that was taken."""

    subject: str
    text: str
    at_s: float
    """When it was taken, seconds since 1970."""


@dataclass
class MailServer:
    """A mail server; ``answer`` is what it says to a whole mail."""

    port: int = field(default_factory=free_port)
    answer: str = "250 OK"
    mails: list[Mail] = field(default_factory=list)
    calls: int = 0
    on_data: Callable[[], None] = lambda: None
    """Called when a whole mail has come, before it is taken."""
    on_taken: Callable[[], None] = lambda: None
    _controller: Controller | None = None

    @property
    def url(self) -> str:
        """Where Apprise finds it."""
        return f"mailto://127.0.0.1:{self.port}?from=pi@example.org&to=admin@example.org"

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self, _: SMTP, __: Session, envelope: Envelope
    ) -> str:
        """Take a mail, or refuse it."""
        self.calls += 1
        self.on_data()
        if not self.answer.startswith("2"):
            return self.answer
        content = envelope.content
        mail = message_from_bytes(bytes(content or b""), policy=policy.default)  # type: ignore[arg-type]
        part = mail.get_body(("plain",))
        text = part.get_content() if part is not None else ""
        self.mails.append(Mail(str(mail["Subject"]), text, time.time()))
        self.on_taken()
        return self.answer

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Listen no more: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass
class WebHook:
    """An HTTP server that takes JSON, such as a webhook or ntfy; ``statuses`` are used up first."""

    statuses: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.calls += 1
                status = owner.statuses.pop(0) if owner.statuses else 200
                if status == 200:
                    owner.taken.append({"path": self.path, **json.loads(body)})
                answer = json.dumps({"id": "x"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
