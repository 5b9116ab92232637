"""A subscriber to everything a site says, as ``mosquitto_sub`` would be, with times of arrival."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from monitorpi_common.messages import message_type
from monitorpi_common.topics import Topic, TopicError

if TYPE_CHECKING:
    from monitorpi_common.messages import Message

_SESSION_S: Final = 60  # the broker keeps what we miss in a short absence
_RECONNECT_MAX_S: Final = 2


@dataclass(frozen=True, slots=True)
class Heard:
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
    """Listens to a broker from entering to leaving the ``with`` block, and comes back to it."""

    def __init__(
        self, port: int, user: str | None, password: str | None, topics: str, name: str
    ) -> None:
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._topics = topics
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(1, _RECONNECT_MAX_S)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
        properties.SessionExpiryInterval = _SESSION_S
        self._client.connect_async("127.0.0.1", port, 10, properties=properties)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def next(self, timeout_s: float) -> Heard | None:
        """Return the next message, or None if none comes in time."""
        try:
            return self._heard.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topics, qos=1)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = Topic.parse(message.topic)
        except TopicError:
            return
        self._heard.put(Heard(topic, bytes(message.payload), time.time(), message.retain))
