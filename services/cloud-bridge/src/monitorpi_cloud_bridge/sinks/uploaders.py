"""All destinations together, for whoever needs to know of no single one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
    from monitorpi_cloud_bridge.sinks.uploader import Uploader

STUCK_S = 600.0
"""Calls and looks have their limits, and a step with all of them takes less; but for a server that
answers each look slowly and with rows nobody asked for. Then the bridge is started again."""


@dataclass(slots=True)
class Uploaders:
    """The uploaders of one outbox, and the quota they share."""

    each: list[Uploader]
    quota: YearlyQuota

    def hurry(self) -> None:
        """Let each look at once whether something is due."""
        for uploader in self.each:
            uploader.hurry()

    def are_stuck(self) -> bool:
        """Return whether one of them hangs in a step."""
        return any(one.destination.stint.lasts(STUCK_S) for one in self.each)

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        left = self.quota.most - self.quota.used if self.quota.most else None
        destinations: dict[str, JsonValue] = {
            one.destination.name: one.state() for one in self.each
        }
        return {"lanes": destinations, "quota_used": self.quota.used, "quota_left": left}
