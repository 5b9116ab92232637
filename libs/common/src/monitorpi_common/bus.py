"""What the service shell needs of a bus, be it a broker or a pipe, and the items a bus makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.inbox import Inbox
    from monitorpi_common.messages import Delivery
    from monitorpi_common.topics import Topic


@dataclass(slots=True)
class Counters:
    """What health tells of the bus."""

    published: int = 0
    received: int = 0
    rejected: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Raw:
    """A message as it came in, not yet looked at."""

    topic: str
    payload: bytes
    retained: bool = False
    expiry_s: int | None = None
    """Seconds after which the broker would have forgotten it; None: never, or not known."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us in; ``max_packet_bytes`` is what it accepts, None: no limit."""

    max_packet_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """The broker is there and said no."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """There was no way to the broker; paho tries again by itself."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; paho tries again by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered for one message of ours."""

    mid: int
    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker refused to subscribe us to something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker has answered a subscription; what it keeps comes next."""


@dataclass(frozen=True, slots=True)
class NetworkDied:
    """The network thread ended with an exception: a bug."""

    error: BaseException


BusEvent = (
    Connected
    | ConnectionFailed
    | ConnectionRefused
    | Disconnected
    | Acknowledged
    | SubscriptionRefused
    | Subscribed
    | NetworkDied
)
"""What a bus leaves in the inbox for itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a bus has to tell people of its connection."""

    text: str
    failed: bool = False
    """Nothing is sent or received until this is mended."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """A pipe's input is at its end."""


class Bus(Protocol):
    """What the service shell needs of a bus, be it a broker or a pipe."""

    live: bool
    """Real time passes: ticks, status and health are wanted."""
    counters: Counters

    def open(self, inbox: Inbox, subscriptions: Sequence[str]) -> None:
        """Start; from now on items arrive in the inbox."""
        ...

    def event(self, item: BusEvent) -> Report | None:
        """Take one of the bus's own items from the inbox; what is returned is for people."""
        ...

    def publish(
        self, topic: Topic | str, payload: bytes, delivery: Delivery, expiry_s: int | None
    ) -> None:
        """Send, or keep until it can be sent. An empty payload takes a retained message back."""
        ...

    def adopt(self, raw: Raw, delivery: Delivery) -> bool:
        """Take a retained message of an earlier process of our name as our own; False: not now."""
        ...

    def flush(self) -> None:
        """Nothing more waits to be handled: let out what is buffered."""
        ...

    @property
    def depth(self) -> int:
        """Messages waiting to be sent."""
        ...

    @property
    def alive(self) -> bool:
        """The network thread lives."""
        ...

    def close(self) -> None:
        """Say goodbye and end."""
        ...
