"""The replicas of the prober that are online, and who of them owns a target. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from monitorpi_prober.targets import owner

MAX_REPLICAS: Final = 64


@dataclass(slots=True)
class Replicas:
    """The live replicas, ourselves among them."""

    instance: str
    _online: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._online = {self.instance}

    def __len__(self) -> int:
        return len(self._online)

    def presence(self, instance: str, *, online: bool) -> bool:
        """Take the status of a replica; True: the shares change."""
        before = len(self._online)
        if online and before < MAX_REPLICAS:
            self._online.add(instance)
        elif not online and instance != self.instance:
            self._online.discard(instance)
        return before != len(self._online)

    def is_ours(self, key: str) -> bool:
        """Return whether a target, or a job of all replicas, is ours."""
        return owner(key, self._online) == self.instance
