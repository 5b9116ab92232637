"""The same bus as a Unix pipe: JSON lines ``{"topic": ..., "payload": ...}``.

A service passes through what it reads and adds its own behind it, so that services can be
chained with ``|`` and the last one shows everything. Time is what the messages carry.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from monitorpi_common import topics
from monitorpi_common.bus import Counters, InputEnded, Raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.bus import BusEvent, Report
    from monitorpi_common.inbox import Inbox
    from monitorpi_common.messages import Delivery
    from monitorpi_common.topics import Topic

MAX_LINE_BYTES: Final = 1024 * 1024


class StdioBus:
    """The bus over two byte streams.

    ``source`` None: nothing is read, for a service whose own source feeds it.
    """

    live = False

    def __init__(self, source: BinaryIO | None, sink: BinaryIO) -> None:
        self.counters = Counters()
        self._source = source
        self._sink = sink
        self._subscriptions: tuple[str, ...] = ()
        self._thread: threading.Thread | None = None

    def open(self, inbox: Inbox, subscriptions: Sequence[str]) -> None:
        """Begin to read."""
        self._subscriptions = tuple(subscriptions)
        if self._source is not None:
            self._thread = threading.Thread(
                target=self._read, args=(self._source, inbox), name="stdin", daemon=True
            )
            self._thread.start()

    def _read(self, source: BinaryIO, inbox: Inbox) -> None:
        while line := source.readline(MAX_LINE_BYTES):
            inbox.wait_put(Line(line))
        inbox.put(InputEnded())

    def event(self, item: BusEvent) -> Report | None:
        """Nothing happens to a pipe but its end, which the shell handles."""
        del item
        return None

    def accept(self, line: Line) -> Raw | None:
        """Pass a line on; return it as a message when the service subscribed to its topic."""
        raw: Raw | None = None
        try:
            record = from_json(line.text)
            topic, payload = record["topic"], record["payload"]
            if not isinstance(topic, str):
                raise TypeError
            if any(topics.matches(pattern, topic) for pattern in self._subscriptions):
                raw = Raw(topic, _encoded(payload))
        except (ValueError, KeyError, TypeError, PydanticSerializationError):
            self.counters.rejected += 1
            return None
        self._sink.write(line.text.rstrip(b"\r\n") + b"\n")
        return raw

    def publish(
        self, topic: Topic | str, payload: bytes, delivery: Delivery, expiry_s: int | None
    ) -> None:
        """Write one line; a message taken back has the payload null."""
        del delivery, expiry_s
        self._sink.write(
            b'{"topic":"%b","payload":%b}\n' % (str(topic).encode(), payload or b"null")
        )
        self.counters.published += 1

    def follow(self, filters: Sequence[str]) -> None:
        """Read these too; nothing is taken out of a pipe's way."""
        self._subscriptions = tuple(dict.fromkeys([*self._subscriptions, *filters]))

    def adopt(self, raw: Raw, delivery: Delivery) -> bool:
        """Nothing is retained in a pipe."""
        del raw, delivery
        return False

    def flush(self) -> None:
        """Let out what is buffered."""
        self._sink.flush()

    @property
    def depth(self) -> int:
        """Nothing waits in a pipe."""
        return 0

    @property
    def alive(self) -> bool:
        """A pipe has no network thread to lose."""
        return True

    def close(self) -> None:
        """Let out what is buffered."""
        self._sink.flush()


def _encoded(payload: object) -> bytes:
    """Return a payload as a broker would have brought it; null: it was taken back.

    Raises:
        ValueError: it holds half a surrogate pair, which JSON has a form for and UTF-8 has not.

    """
    if payload is None:
        return b""
    return payload.encode() if isinstance(payload, str) else to_json(payload)


class Line:
    """One line as read, not yet looked at."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text
