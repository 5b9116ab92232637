"""What waits to be sent to a broker: state by topic, streams in order, and what is under way. Pure.

The newest state of a topic replaces an older one, and all state is sent again after each connection
with what is left of its expiry. A stream's queue is bounded and drops the oldest.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_INFLIGHT: Final = 20  # Mosquitto's own default for unacknowledged messages per client
MAX_STREAM: Final = 300  # five minutes of one window a second; older windows have expired
_PRUNE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way; ``expires_at`` in seconds of the queue's clock."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expires_at: float | None


class SendQueue:
    """Everything of one connection that is not yet acknowledged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: OrderedDict[str, Outgoing] = OrderedDict()
        self._unsent: OrderedDict[str, Outgoing] = OrderedDict()
        self._stream: deque[Outgoing] = deque()
        self._inflight: dict[int, Outgoing] = {}
        self._pruned_at = clock()

    def __len__(self) -> int:
        return len(self._unsent) + len(self._stream) + len(self._inflight)

    def __contains__(self, topic: str) -> bool:
        """Return whether a topic has state of ours."""
        return topic in self._states

    def put(self, outgoing: Outgoing) -> bool:
        """Add a message; False: the oldest of the streams was dropped for it."""
        if not outgoing.retain:
            self._stream.append(outgoing)
            if len(self._stream) > MAX_STREAM:
                self._stream.popleft()
                return False
            return True
        if outgoing.payload:
            self._states[outgoing.topic] = outgoing
        else:
            self._states.pop(outgoing.topic, None)
        self._unsent[outgoing.topic] = outgoing
        return True

    def put_last(self, outgoing: Outgoing) -> None:
        """Put state behind all that waits; it is not sent again."""
        self._unsent.pop(outgoing.topic, None)
        self._unsent[outgoing.topic] = outgoing

    def adopt(self, outgoing: Outgoing) -> None:
        """Take what the broker retains already as state of ours."""
        self._states[outgoing.topic] = outgoing

    def connected(self) -> None:
        """Send all state again: the broker may have lost it."""
        for topic, outgoing in self._states.items():
            self._unsent.setdefault(topic, outgoing)

    def disconnected(self) -> None:
        """Forget what nobody will ever acknowledge: quality of service 0 that was on its way."""
        self._inflight = {mid: out for mid, out in self._inflight.items() if out.qos > 0}

    def next(self) -> Outgoing | None:
        """Take the next message, state before streams; None: none may be sent now."""
        self._prune()
        if len(self._inflight) >= MAX_INFLIGHT:
            return None
        if self._unsent:
            return self._unsent.popitem(last=False)[1]
        return self._stream.popleft() if self._stream else None

    def put_back(self, outgoing: Outgoing) -> None:
        """Take a message back that could not be sent; newer state stays."""
        if outgoing.retain:
            self._unsent.setdefault(outgoing.topic, outgoing)
        else:
            self._stream.appendleft(outgoing)

    def sent(self, mid: int, outgoing: Outgoing) -> None:
        """Note that a message is under way by this number."""
        self._inflight[mid] = outgoing

    def acknowledged(self, mid: int) -> Outgoing | None:
        """Take the message of a number; None: it is not known any more."""
        return self._inflight.pop(mid, None)

    def forget(self, topic: str) -> None:
        """Forget state that cannot be sent, or has expired."""
        self._states.pop(topic, None)

    def _prune(self) -> None:
        """Forget state that has expired, once a minute."""
        now = self._clock()
        if now - self._pruned_at < _PRUNE_S:
            return
        self._pruned_at = now
        for topic, outgoing in list(self._states.items()):
            if outgoing.expires_at is not None and outgoing.expires_at <= now:
                del self._states[topic]
