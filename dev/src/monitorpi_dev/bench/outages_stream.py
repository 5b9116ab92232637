"""Asks the stream of ``bench outages``: who leads it, and which rows it has."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.errors import Error

from monitorpi_dev.bench.outages_programs import OutagesError
from monitorpi_dev.bench.outages_verdict import StreamRow
from monitorpi_dev.bench.outages_world import SERVERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.js import JetStreamContext

    from monitorpi_dev.bench.outages_world import SitesWorld

STREAM: Final = "monitorpi-rows"
_LIMIT_S: Final = 60.0
_PAUSE_S: Final = 0.5
_ANSWER_S: Final = 5.0


def leader(world: SitesWorld) -> str:
    """Return which server leads the stream."""
    found: str = _asked(world, _leader)
    return found


def rows_of(world: SitesWorld) -> list[StreamRow]:
    """Return all rows of the stream, in its order."""
    found: list[StreamRow] = _asked(world, _rows)
    return found


async def _leader(stream: JetStreamContext) -> str:
    info = await stream.stream_info(STREAM)
    if info.cluster is None or not info.cluster.leader:
        raise TimeoutError("nobody leads")
    return info.cluster.leader


async def _rows(stream: JetStreamContext) -> list[StreamRow]:
    left = (await stream.stream_info(STREAM)).state.messages
    reader = await stream.subscribe(">", stream=STREAM, ordered_consumer=True)
    rows = []
    for _ in range(left):
        message = await reader.next_msg(timeout=_ANSWER_S)
        _, site, channel = message.subject.split(".")
        row = json.loads(message.data)
        arrived_s = message.metadata.timestamp.timestamp()
        rows.append(StreamRow(site, channel, row["id"], row["second"], row["values"], arrived_s))
    return rows


def _asked(world: SitesWorld, what: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    """Ask the stream something; servers that have no leader are asked again.

    Raises:
        OutagesError: they do not answer.

    """
    ends_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < ends_s:
        with suppress(Error, OSError):
            return world.centre.call(asyncio.run, _with_stream(world, what))
        time.sleep(_PAUSE_S)
    raise OutagesError("the servers of NATS do not answer")


async def _with_stream(
    world: SitesWorld, what: Callable[[JetStreamContext], Awaitable[Any]]
) -> Any:
    client = Client()

    async def unsaid(_: Exception) -> None:
        """Say nothing: one of the servers may be away."""

    await client.connect(
        [f"nats://{name}.example.net" for name in SERVERS], error_cb=unsaid, user="store",
        password="of store", tls=ssl.create_default_context(cafile=world.authority),  # noqa: S106 - as in the example
        allow_reconnect=False, connect_timeout=2,
    )  # fmt: skip
    try:
        return await what(client.jetstream(timeout=_ANSWER_S))
    finally:
        await client.close()
