"""A subscriber to all a site publishes, as ``mosquitto_sub`` would be, with times of arrival."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr

from monitorpi_common.bus import BusEvent, Raw
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Command, Delivery, Result, message_type
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic, TopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_common.messages import Message

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

    def __init__(
        self, port: int, user: str | None, password: str | None, filters: Sequence[str]
    ) -> None:
        secret = SecretStr(password) if password else None
        self._settings = BrokerSettings(port=port, username=user, password=secret)
        self._filters = filters
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="viewer", daemon=True)

    @classmethod
    def of(cls, broker: BrokerSettings, filters: Sequence[str]) -> Self:
        """Return a listener to a broker anywhere, as configured."""
        viewer = cls(broker.port, None, None, filters)
        viewer._settings = broker
        return viewer

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
        inbox = Inbox()
        bus = MqttBus(self._settings, "monitorpi-viewer", None, Log("viewer"))
        bus.open(inbox, self._filters)
        while not self._ended.is_set():
            item = inbox.take(_POLL_S)
            if isinstance(item, Raw):
                self._receive(item)
            elif isinstance(item, BusEvent):
                bus.event(item)
        bus.close()

    def _receive(self, raw: Raw) -> None:
        at_s = time.time()
        try:
            topic = Topic.parse(raw.topic)
        except TopicError:
            return
        self._arrivals.put(Arrival(topic, raw.payload, at_s, raw.retained))


def send_command(port: int, password: str, topic: Topic, command: Command) -> Result | None:
    """Give a service a command as the operator; None: nobody answered in time."""
    settings = BrokerSettings(port=port, username="operator", password=SecretStr(password))
    inbox = Inbox()
    bus = MqttBus(settings, "monitorpi-operator", None, Log("viewer"))
    answers = replace(topic, kind=Result.KIND)
    bus.open(inbox, [str(answers)])
    bus.publish(topic, command.encode(), command.DELIVERY, command.expiry_s)
    deadline = time.monotonic() + _ANSWER_S
    found = None
    while found is None and (left := deadline - time.monotonic()) > 0:
        item = inbox.take(min(left, _POLL_S))
        if isinstance(item, BusEvent):
            bus.event(item)
        elif isinstance(item, Raw) and item.topic == str(answers) and not item.retained:
            with contextlib.suppress(ValueError):
                found = Result.model_validate_json(item.payload)
    bus.close()
    return found


def forget(port: int, user: str, password: str, retained: Iterable[Topic]) -> None:
    """Take back retained messages as their writer; gives up after some seconds without a broker."""
    settings = BrokerSettings(port=port, username=user, password=SecretStr(password))
    inbox = Inbox()
    bus = MqttBus(settings, "monitorpi-forget", None, Log("viewer"))
    bus.open(inbox, [])
    for topic in retained:
        bus.publish(topic, b"", _STATE, None)
    deadline = time.monotonic() + _FORGET_S
    while bus.depth and time.monotonic() < deadline:
        item = inbox.take(_POLL_S)
        if isinstance(item, BusEvent):
            bus.event(item)
    bus.close()
