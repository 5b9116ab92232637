"""Writes the rows of all sites from a stream of NATS JetStream into VictoriaMetrics.

    python3 store.py --server nats1.example.net --server nats2.example.net \
        --tls-ca server.crt --password-file store.password --store http://127.0.0.1:8428

Theory of operation. VictoriaMetrics answers 204 to what it has in memory, and forgets the last
seconds of it when it is killed. So a row is acknowledged to the stream only when it has been there
for HOLD_S, and only while the process that took it still runs; else the stream gives it again. What
the store is given twice is one value at one second: with `-dedup.minScrapeInterval=1ms` it is read
once. The stream remembers how far this program is: it keeps nothing itself.

It needs nats-py, which the environment of MonitorPi's cloud bridge has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import re
import ssl
import sys
import time
import urllib.request
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig
from nats.js.errors import BadRequestError

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

SUBJECTS: Final = "monitorpi-rows.>"
STREAM: Final = "monitorpi-rows"
NAME: Final = "store"
"""Of the stream's consumer: two of these programs share it."""
HOLD_S: Final = 30.0
"""VictoriaMetrics writes to its disk every five seconds (`-inmemoryDataFlushInterval`); killed, it
had forgotten 9.5 s at most."""
LOOK_S: Final = 5.0
ACK_WAIT_S: Final = 300.0
"""What this program had when it was killed is given to the next one after so long."""
DUPLICATES_S: Final = 600.0
BATCH: Final = 200
MOST_HELD: Final = 100_000
_PAUSE_S: Final = 1.0
_ANSWER_S: Final = 30.0
_DAY_S: Final = 86_400.0
_STARTED: Final = re.compile(rb"^process_start_time_seconds (\S+)", re.MULTILINE)
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_]")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_MOST_BYTES: Final = 16_384
"""Of a row: VictoriaMetrics refuses a line of 256 kB, and all that come with it."""
_SECONDS: Final = range(1 << 32)


def line(subject: str, data: bytes) -> str | None:
    """Return a row as a line for InfluxDB, named as the cloud bridge's own are; None: no numbers.

    Texts of alerts stay in the stream: VictoriaMetrics keeps numbers only. So does what is no row:
    whatever one site sends, it holds up no other, and is kept under no other's name.
    """
    if len(data) > _MOST_BYTES:
        return None
    try:
        _, site, channel = subject.split(".")
        row = json.loads(data)
        second = int(row["second"])
        values = {name: float(value) for name, value in row["values"].items() if name != "status"}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    if not (_NAME.fullmatch(site) and _NAME.fullmatch(channel)) or second not in _SECONDS:
        return None
    fields = ",".join(
        f"{_UNUSUAL.sub('_', name) or '_'}={value!r}"
        for name, value in values.items()
        if math.isfinite(value)
    )
    return f"monitorpi,channel={channel},site={site} {fields} {second}" if fields else None


class SeriesStore:
    """VictoriaMetrics."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def process(self) -> bytes:
        """Return by what its process is known: when it started.

        Raises:
            OSError: it does not answer.

        """
        found = _STARTED.search(await asyncio.to_thread(self._ask, "/metrics"))
        if found is None:
            raise OSError("it does not say when it started")
        return found[1]

    async def write(self, lines: list[str]) -> None:
        """Hand over lines.

        Raises:
            OSError: it has not taken them.

        """
        await asyncio.to_thread(self._ask, "/write?precision=s", "\n".join(lines).encode())

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        try:
            with self._opener.open(f"{self._url}{path}", body, _ANSWER_S) as answer:
                return bytes(answer.read())
        except HTTPException as error:  # it ended in the middle of its answer
            raise OSError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Held:
    """Messages whose rows a process of the store has, perhaps in its memory alone."""

    process: bytes
    until_s: float
    messages: list[Msg]


class Storer:
    """Moves rows from the stream into the store."""

    def __init__(self, reader: JetStreamContext.PullSubscription, store: SeriesStore) -> None:
        self._reader = reader
        self._store = store
        self._held: deque[Held] = deque()
        self._process: bytes | None = None
        self._looked_s = -math.inf
        self._why = ""
        """What is waited for, as it was said."""

    async def run(self) -> None:
        """Go on until cancelled; whatever does not answer is asked again."""
        while True:
            try:
                await self._move(await self._look())
                self._why = ""
            except (Error, OSError) as error:
                if (why := str(error)) != self._why:
                    say("waiting", error)
                self._why = why
                await asyncio.sleep(_PAUSE_S)

    async def _look(self) -> bytes:
        """Acknowledge what is on the store's disk by now, ask again for what may not be.

        Returns: by what the store's process is known.

        """
        now_s = time.monotonic()
        if self._process is not None and now_s - self._looked_s < LOOK_S:
            return self._process
        process = self._process = await self._store.process()
        self._looked_s = now_s
        again = 0
        while self._held and (self._held[0].process != process or self._held[0].until_s <= now_s):
            held = self._held.popleft()
            for message in held.messages:
                await (message.ack() if held.process == process else message.nak())
            again += (held.process != process) * len(held.messages)
        if again:
            say(f"the store was started anew: {again} messages are stored again")
        return process

    async def _move(self, process: bytes) -> None:
        """Hand on what the stream has."""
        try:
            messages = await self._reader.fetch(BATCH, timeout=_PAUSE_S)
        except TimeoutError:
            return
        rows = [line(message.subject, message.data) for message in messages]
        try:
            if lines := [row for row in rows if row is not None]:
                await self._store.write(lines)
        except OSError:
            self._process = None
            for message in messages:
                await message.nak()
            raise
        for message in messages:  # the stream has what was in them, whatever is asked for again
            message.data = b""
        self._held.append(Held(process, time.monotonic() + HOLD_S, messages))


async def reader_of(
    client: Client, replicas: int, keep_days: float
) -> JetStreamContext.PullSubscription:
    """Return the stream's reader; stream and reader are made where there are none."""
    stream = client.jetstream()
    plan = StreamConfig(
        name=STREAM, subjects=[SUBJECTS], storage=StorageType.FILE, num_replicas=replicas,
        max_age=keep_days * _DAY_S, duplicate_window=DUPLICATES_S,
    )  # fmt: skip
    config = ConsumerConfig(
        ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S, max_ack_pending=MOST_HELD
    )
    while True:
        try:
            with suppress(BadRequestError):  # it is there, as somebody else wanted it
                await stream.add_stream(plan)
            return await stream.pull_subscribe(SUBJECTS, durable=NAME, stream=STREAM, config=config)
        except (Error, OSError) as error:  # servers that have no leader yet
            say("waiting for the stream", error)
            await asyncio.sleep(_PAUSE_S)


def say(what: str, error: Exception | None = None) -> None:
    """Print a line."""
    text = "" if error is None else f": {' '.join(str(error).split()) or type(error).__name__}"
    print(f"{what}{text}", file=sys.stderr, flush=True)


async def lost(error: Exception) -> None:
    """Say what keeps the client from its servers: it comes back by itself."""
    say("the servers of NATS", error)


async def main(argv: list[str]) -> None:
    """Run until ended."""
    parser = argparse.ArgumentParser(description="Write the rows of a stream into VictoriaMetrics.")
    parser.add_argument("--server", action="append", required=True, help="HOST[:PORT], each one")
    parser.add_argument("--tls-ca", help="the authority of their certificate (PEM)")
    parser.add_argument("--username", default="store")
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--store", required=True, help="address of VictoriaMetrics")
    parser.add_argument("--replicas", type=int, default=3, help="of the stream, if it is made")
    parser.add_argument("--keep-days", type=float, default=31.0, help="likewise")
    options = parser.parse_args(argv)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of how nats-py ends TLS
    password = options.password_file.read_text(encoding="utf-8").strip()
    context = ssl.create_default_context(cafile=options.tls_ca)
    client = Client()

    def username() -> str:
        if not client._server_info.get("tls_required"):  # noqa: SLF001 - no other way
            raise OSError("the server wants no TLS: it gets no password")
        return str(options.username)

    servers = [f"nats://{server}" for server in options.server]
    await client.connect(
        servers, tls=context, user=username, password=password, max_reconnect_attempts=-1,
        error_cb=lost, name="monitorpi-store",
    )  # fmt: skip
    reader = await reader_of(client, options.replicas, options.keep_days)
    await Storer(reader, SeriesStore(options.store)).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
