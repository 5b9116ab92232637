"""A subscriber to all a site publishes, as ``mosquitto_sub`` would be, with times of arrival."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from monitorpi_common.bus import Raw
from monitorpi_common.log import Log
from monitorpi_common.messages import Command, Delivery, Result, message_type
from monitorpi_common.session import Session
from monitorpi_common.topics import Topic, TopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_common.messages import Message
    from monitorpi_common.settings import BrokerSettings

_POLL_S: Final = 0.2  # how soon it notices that it shall end
_FORGET_S: Final = 5.0
_ANSWER_S: Final = 3.0
_STATE: Final = Delivery("state", 1, retain=True, expiry_s=None, rate="once")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message, with the Unix time at which it arrived."""

    topic: Topic
    payload: bytes
    at_s: float
    retained: bool

    def message(self) -> Message | None:
        """Return it as a message of the contract; None: a status, or taken back.

        Raises:
            ValueError: it is not of the contract.

        """
        kind = message_type(self.topic.service, self.topic.kind)
        if kind is None or not self.payload:
            return None
        return kind.model_validate_json(self.payload)


class Viewer:
    """Subscribes to a broker from entering to leaving the ``with`` block, and comes back to it."""

    def __init__(self, settings: BrokerSettings, filters: Sequence[str]) -> None:
        self._session = Session(settings, "viewer", filters, Log("viewer"))
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="viewer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def next(self, timeout_s: float = 0.0) -> Arrival | None:
        """Return the next message, or None if none comes in time."""
        try:
            return (
                self._arrivals.get(timeout=timeout_s) if timeout_s else self._arrivals.get_nowait()
            )
        except queue.Empty:
            return None

    def _listen(self) -> None:
        with self._session as session:
            while not self._ended.is_set():
                item = session.next(_POLL_S)
                if isinstance(item, Raw):
                    self._receive(item)

    def _receive(self, raw: Raw) -> None:
        at_s = time.time()
        try:
            topic = Topic.parse(raw.topic)
        except TopicError:
            return
        self._arrivals.put(Arrival(topic, raw.payload, at_s, raw.retained))


def send_command(settings: BrokerSettings, topic: Topic, command: Command) -> Result | None:
    """Give a service a command as the operator; None: nobody answered in time."""
    answers = str(replace(topic, kind=Result.KIND))
    deadline = time.monotonic() + _ANSWER_S
    with Session(settings, "operator", [answers], Log("operator")) as session:
        session.bus.publish(topic, command.encode(), command.DELIVERY, command.expiry_s)
        while (left := deadline - time.monotonic()) > 0:
            item = session.next(min(left, _POLL_S))
            if isinstance(item, Raw) and item.topic == answers and not item.retained:
                with contextlib.suppress(ValueError):
                    return Result.model_validate_json(item.payload)
    return None


def forget(settings: BrokerSettings, retained: Iterable[Topic]) -> None:
    """Take back retained messages as their writer; gives up after some seconds without a broker."""
    deadline = time.monotonic() + _FORGET_S
    with Session(settings, "forget", [], Log("forget")) as session:
        for topic in retained:
            session.bus.publish(topic, b"", _STATE, None)
        while session.bus.depth and time.monotonic() < deadline:
            session.next(_POLL_S)
