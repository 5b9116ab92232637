"""What the service shell needs of a bus, be it a broker or a pipe, and the items a bus makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from monitorpi_common.messages import OWNED, SHARED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_common.inbox import Inbox
    from monitorpi_common.messages import Delivery
    from monitorpi_common.topics import Topic

_KIND_LEVEL: Final = 4  # monitorpi/v1/site/service/kind/id
_STATE: Final = {kind.KIND for kind in (*OWNED, *SHARED) if kind.DELIVERY.retain}
_ACCOUNT: Final = "check broker.username and its password"
REFUSALS: Final = {
    "Bad user name or password": _ACCOUNT,
    "Not authorized": _ACCOUNT,
    "Unsupported protocol version": "it speaks no MQTT 5; Mosquitto does from 1.6 on",
    "Client identifier not valid": "it takes no client id of ours: check its rules for ids",
    "Banned": "it has banned this client or address",
    "Server busy": "it is busy; tried again",
    "Server unavailable": "it is not ready; tried again",
    "Quota exceeded": "it allows no more clients; tried again",
    "Connection rate exceeded": "too many connections; tried again",
    "Use another server": "it wants us elsewhere: set broker.host",
    "Server moved": "it has moved: set broker.host",
}
"""What to do, by the reason of a refusal (MQTT 5, table 3-1)."""


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

    def follow(self, filters: Sequence[str]) -> None:
        """Read these topics from now on, beside what is always read, and no others."""
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


def subscription_qos(filter_: str) -> int:
    """Return the quality of service to subscribe with: 0 for what is retained and refreshed."""
    kind = filter_.split("/")[_KIND_LEVEL] if filter_.count("/") > _KIND_LEVEL else ""
    return 0 if kind in _STATE else 1


def refused(address: str, reason: str) -> Report:
    """Return why a broker refused us, and what to do."""
    remedy = REFUSALS.get(reason, "its log says why")
    return Report(f"the broker at {address} refused us ({reason}): {remedy}", failed=True)


def disconnected(address: str, reason: str, *, was_connected: bool, tls: bool = False) -> Report:
    """Return how a connection ended, or that it never was one."""
    if was_connected:
        return Report(f"connection lost to the broker at {address} ({reason})", failed=True)
    wants = "a certificate of its clients (we have none)" if tls else "TLS"
    return Report(
        f"no connection to the broker at {address}: it does not answer as a broker does "
        f"({reason}): check broker.port, whether it wants {wants}, and its log",
        failed=True,
    )
