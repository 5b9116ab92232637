"""A bus whose client of paho's is moved by hand, with its clock: nothing waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho

from monitorpi_common import mqtt
from monitorpi_common.inbox import Inbox
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

STATUS = Topic("lab", "detector", "status", "main")
STATE, STREAM = "monitorpi/v1/lab/detector/alert/x", "monitorpi/v1/lab/capture/traffic/eth0"


@dataclass
class Paho:
    """Keeps what it is asked for."""

    code: int = paho.MQTT_ERR_SUCCESS
    asked: dict[str, Any] = field(default_factory=dict)
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    answers: Callable[[int], None] | None = None
    """What becomes of a message, by its number."""
    fails: Exception | None = None

    def __call__(self, settings: BrokerSettings, id_: str, *, comes_back: bool) -> Paho:
        """Be the client."""
        self.asked |= {"settings": settings, "id": id_, "comes_back": comes_back}
        return self

    def will_set(self, topic: str, payload: str, **how: Any) -> None:
        """Keep the last will."""
        self.asked["will"] = (topic, payload, how.pop("properties").MessageExpiryInterval, how)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, with_: Any) -> Any:
        """Take a message, or not."""
        left = getattr(with_, "MessageExpiryInterval", None)
        self.sent.append((topic, payload, qos, retain, left))
        if self.answers is not None:
            self.answers(len(self.sent))
        return SimpleNamespace(rc=self.code, mid=len(self.sent))

    def subscribe(self, filters: list[tuple[str, Any]]) -> None:
        """Keep them."""
        self.calls.append([(one, options.QoS) for one, options in filters])

    def unsubscribe(self, filters: list[str]) -> None:
        """Keep them."""
        self.calls.append(filters)

    def loop_forever(self, *, retry_first_connection: bool) -> None:
        """End at once."""
        self.asked["retries"] = retry_first_connection
        if self.fails is not None:
            raise self.fails

    def disconnect(self) -> None:
        """Note it."""
        self.calls.append("disconnect")

    def __getattr__(self, name: str) -> Any:
        """Keep what is set or begun."""
        return lambda *values, **how: self.asked.update({name: (values, how)})


@dataclass
class Wire:
    """A bus with its client, its inbox and its clock."""

    monkeypatch: pytest.MonkeyPatch
    client: Paho = field(default_factory=Paho)
    now_s: float = 0.0
    inbox: Inbox = field(default_factory=lambda: Inbox(3))
    lines: list[Any] = field(default_factory=list)
    returned: int = 0

    def bus(self, status: Topic | None = STATUS, **settings: Any) -> MqttBus:
        """Return a bus that was not opened."""
        self.monkeypatch.setattr(mqtt, "client_of", self.client)

        def returns() -> None:
            self.returned += 1

        return MqttBus(
            BrokerSettings(host="pi", keepalive_s=9, **settings), "name", status, self,  # type: ignore[arg-type] # a log
            lambda: self.now_s, before_return=returns,
        )  # fmt: skip

    def warning(self, event: str, **fields: Any) -> None:
        """Be the log."""
        self.lines.append((event, fields))

    def taken(self) -> list[object]:
        """Return all that lies in the inbox."""
        return [self.inbox.take(0.0) for _ in range(len(self.inbox))]
