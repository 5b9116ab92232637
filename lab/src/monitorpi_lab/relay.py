"""A TCP port of this machine's loopback, made to appear on the loopback of a lab's namespace.

So a service in the sensor's namespace reaches the broker under the same 127.0.0.1:PORT as the
services outside, while the namespace keeps having no way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from monitorpi_lab.namespace import Namespace

LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 64 * 1024


class Relay:
    """Hands every connection to ``port`` in the namespace on to ``port`` outside of it.

    A connection that nobody takes outside is closed, as one to a dead broker would be.
    """

    def __init__(self, namespace: Namespace, port: int) -> None:
        self._port = port
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"relay-{port}", daemon=True)

    def __enter__(self) -> Self:
        self._listener = self._namespace.call(socket.create_server, (LOOPBACK, self._port))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        # what was cancelled closes its connections before the loop goes
        self._loop.run_until_complete(_all_ended(self._loop))
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._take, sock=self._listener)
        await server.serve_forever()

    def _stop(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one connection with a new one to the outside, until either side ends it."""
        with contextlib.closing(writer), contextlib.suppress(OSError):
            outer_reader, outer_writer = await asyncio.open_connection(LOOPBACK, self._port)
            with contextlib.closing(outer_writer):
                ways = {
                    asyncio.ensure_future(_copy(reader, outer_writer)),
                    asyncio.ensure_future(_copy(outer_reader, writer)),
                }
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on as fast as the other side takes them."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _all_ended(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    await asyncio.gather(*others, return_exceptions=True)
