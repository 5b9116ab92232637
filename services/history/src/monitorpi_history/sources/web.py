"""The queries over HTTP: ``GET /v1/...`` on loopback or an internal network.

Nothing can be changed here and no password is asked for: it listens where only this machine, or
the network of the containers, leads to, and answers by names of this machine only (DNS rebinding).
Each answer is read by a connection of its own and written as it is read.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from monitorpi_common import clock
from monitorpi_common.endpoint import names_this_machine
from monitorpi_common.service import ResourceError
from monitorpi_history.codec import CodecError
from monitorpi_history.settings import history_url
from monitorpi_history.sources import tables
from monitorpi_history.sources.answers import TooMuchError
from monitorpi_history.sources.openapi import document
from monitorpi_history.sources.reader import Reader, open_to_read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from pydantic import JsonValue
    from starlette.requests import Request
    from starlette.responses import Response

    from monitorpi_history.sources.tables import Answer, AnswerTable

AT_ONCE: Final = 64
"""Connections; what is more is told to come again (503)."""
QUERIES: Final = 4
"""Questions read at once; the next wait."""
_GZIP_LEAST: Final = 1024
_KEEP_ALIVE_S: Final = 5
_STOP_S: Final = 2
LOOKS_EACH_S: Final = 0.5
"""To wake costs 0.15 ms of CPU, whoever asks or not."""
_TYPES: Final = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
}


class _CalmServer(uvicorn.Server):
    """Looks twice a second whether it shall end, and what time it is, not ten times."""

    async def main_loop(self) -> None:
        """Run until it shall end."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - it is ended by a flag of another thread
            await asyncio.sleep(LOOKS_EACH_S)


class WebServer:
    """A source that emits nothing: it answers."""

    def __init__(self, file: Path, listen: str, port: int) -> None:
        self._file = file
        self._listen = listen
        self._port = port
        self.state: dict[str, JsonValue] = {}
        """What health says, as the core said it last."""
        self._socket: socket.socket | None = None
        self._server = _CalmServer(
            uvicorn.Config(
                self.app(), log_config=None, access_log=False, lifespan="off", ws="none",
                loop="asyncio", http="h11", limit_concurrency=AT_ONCE, server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=_STOP_S,
                proxy_headers=False,
            )
        )  # fmt: skip
        self._places = threading.Semaphore(QUERIES)

    def open(self) -> None:
        """Take the port.

        Raises:
            ResourceError: it is taken, or not ours to take.

        """
        family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self._listen, self._port))
            sock.listen(AT_ONCE)  # who comes before we answer waits
        except OSError as error:
            sock.close()
            raise ResourceError(
                f"the history cannot listen on {self._listen} port {self._port} "
                f"({error.strerror}): set another one (history.listen, history.port)"
            ) from None
        self._socket = sock
        self._port = sock.getsockname()[1]

    def show(self, state: dict[str, JsonValue]) -> None:
        """Take what health says."""
        self.state = state

    @property
    def url(self) -> str:
        """Where programs of this machine ask."""
        return history_url(self._listen, self._port)

    def run(self, emit: Callable[[object], None]) -> None:
        """Answer until stopped."""
        del emit
        self._server.run([self._socket] if self._socket else None)

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._server.should_exit = True

    def app(self) -> Starlette:
        """Return what answers, without its socket."""
        routes = [Route(f"/v1/{table.name}", self._endpoint(table)) for table in tables.TABLES]
        routes += [
            Route("/v1/state", self._state),
            Route("/v1/openapi.json", self._openapi),
        ]
        middleware = [Middleware(_OurNames), Middleware(GZipMiddleware, minimum_size=_GZIP_LEAST)]
        return Starlette(routes=routes, middleware=middleware)

    async def _state(self, request: Request) -> Response:
        del request
        return JSONResponse(self.state, headers=_HEADERS)

    async def _openapi(self, request: Request) -> Response:
        del request
        return JSONResponse(document(tables.TABLES), headers=_HEADERS)

    def _endpoint(self, table: AnswerTable) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            asked = dict(request.query_params)
            try:
                question = table.question.model_validate(
                    asked, context={"now_s": clock.wall().timestamp()}
                )
            except ValidationError as error:
                return _refusal(400, explained(error))
            try:
                found = await run_in_threadpool(self._begin, table, question)
            except TooMuchError as error:
                return _refusal(400, str(error))
            except (sqlite3.Error, CodecError) as error:
                return _refusal(503, f"nothing can be read now ({error})")
            kind = getattr(question, "format", "json")
            headers = dict(_HEADERS)
            if kind != "json":
                headers["Content-Disposition"] = f'attachment; filename="{table.name}.{kind}"'
            return StreamingResponse(found, media_type=_TYPES[kind], headers=headers)

        return answer

    def _begin(self, table: AnswerTable, question: BaseModel) -> AsyncIterator[bytes]:
        """Read the first part of an answer, so that what cannot be answered is refused."""
        lines = self._lines(table.answer, question)
        first = next(lines, b"")
        return iterate_in_threadpool(_with_first(first, lines))

    def _lines(self, answer: Answer, question: BaseModel) -> Iterator[bytes]:
        """Read an answer part by part; a place and a connection are held while it is read."""
        with self._places, closing(open_to_read(self._file)) as db:
            yield from answer(Reader(db), question)


def _with_first(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _refusal(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers=_HEADERS)


def explained(error: ValidationError) -> str:
    """Say in one line what is wrong with a question."""
    lines = []
    for one in error.errors(include_url=False):
        where = ".".join(str(part) for part in one["loc"])
        text = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            text = "no such parameter"
        lines.append(f"{where}: {text}" if where else text)
    return "; ".join(lines)


class _OurNames:
    """Refuse whoever asks for another host's name: a page on the Internet does (DNS rebinding)."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            host = next((v for k, v in scope["headers"] if k == b"host"), b"").decode("latin-1")
            if not names_this_machine(host, ("history",)):
                await _refusal(421, "not served by that name")(scope, receive, send)
                return
        await self._app(scope, receive, send)
