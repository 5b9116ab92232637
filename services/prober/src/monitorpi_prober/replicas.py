"""The replicas of the prober that are live, and who of them owns a target. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Health, Service
from monitorpi_common.service import Presence, Received
from monitorpi_prober.targets import owner

if TYPE_CHECKING:
    from datetime import datetime

MAX_REPLICAS: Final = 64
MISSED: Final = 3
"""Health messages of our own, one each three seconds, without one of another between them: it is
taken for silent. The broker gives it up after one and a half keepalives and some seconds."""


@dataclass(slots=True)
class Replicas:
    """The live replicas, ourselves among them: online, and not silent.

    Silence is counted in our own health messages as they come back from the broker, not in
    seconds: while the broker is away, or after we were held up ourselves, nobody is silent.
    """

    instance: str
    _online: set[str] = field(init=False)
    _missed: dict[str, int] = field(init=False, default_factory=dict)
    """Of each replica that has published its health."""
    _live: frozenset[str] = field(init=False)
    _pulse_at: datetime | None = None

    def __post_init__(self) -> None:
        self._online = {self.instance}
        self._live = frozenset(self._online)

    def __len__(self) -> int:
        return len(self._live)

    def see(self, item: Presence | Received) -> bool:
        """Take a status or the health of a replica; True: the shares change."""
        if item.topic.service != Service.PROBER.value:
            return False
        name = item.topic.id
        match item:
            case Presence():
                self._presence(name, online=item.online)
            case Received(_, Health(at=at)) if name == self.instance:
                if not item.retained:
                    self._count(at)
            case Received(_, Health()):
                self._missed[name] = 0
        before = self._live
        self._missed = {one: self._missed[one] for one in self._missed if one in self._online}
        self._live = frozenset(one for one in self._online if self._missed.get(one, 0) < MISSED)
        return before != self._live

    def _presence(self, name: str, *, online: bool) -> None:
        if online and len(self._online) < MAX_REPLICAS:
            self._online.add(name)
        elif not online and name != self.instance:
            self._online.discard(name)

    def _count(self, at: datetime) -> None:
        """Take a health message of our own, which may come once for each of our subscriptions."""
        if at != self._pulse_at:
            self._pulse_at = at
            self._missed = {one: 1 + missed for one, missed in self._missed.items()}

    def is_ours(self, key: str) -> bool:
        """Return whether a target, or a job of all replicas, is ours."""
        return owner(key, self._live) == self.instance
