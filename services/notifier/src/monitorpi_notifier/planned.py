"""Whom an alert concerns, and when: filters, hours, maintenance, quiet hours. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_common.messages import SEVERITIES
from monitorpi_notifier import spans

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    from monitorpi_notifier.settings import Destination, NotifierSettings
    from monitorpi_notifier.spans import Span


class Plan:
    """The settings' filters and times, read once; ``zone`` is the local time they are in."""

    def __init__(self, settings: NotifierSettings, zone: tzinfo) -> None:
        self._destinations = settings.destinations
        self._zone = zone
        self._hours = _parsed({name: one.hours for name, one in self._destinations.items()})
        self._quiet = _parsed({name: one.quiet for name, one in self._destinations.items()})
        self._maintenance = [(one, spans.parse(one.when)) for one in settings.maintenance]

    def concerns(
        self, name: str, rule: str, severity: str, macs: frozenset[str], at: datetime
    ) -> bool:
        """Return whether a destination is to be told of an alert at a moment."""
        one: Destination = self._destinations[name]
        if SEVERITIES.index(severity) < SEVERITIES.index(one.least) or not one.fits(rule, macs):
            return False
        local = at.astimezone(self._zone)
        hours = self._hours[name]
        if hours and spans.covered_until(hours, local) is None:
            return False
        return not any(
            span.until(local) is not None and work.fits(rule, macs)
            for work, span in self._maintenance
        )

    def quiet_until(self, name: str, severity: str, at: datetime) -> float | None:
        """Return when quiet hours that hold for it end, seconds since 1970; None: none do."""
        if SEVERITIES.index(severity) >= SEVERITIES.index(self._destinations[name].quiet_least):
            return None
        end = spans.covered_until(self._quiet[name], at.astimezone(self._zone))
        return None if end is None else end.timestamp()

    def is_quiet(self, name: str, severity: str, at: datetime) -> bool:
        """Return whether a destination has quiet hours for an alert as severe as that."""
        return self.quiet_until(name, severity, at) is not None


def _parsed(texts: Mapping[str, list[str]]) -> dict[str, list[Span]]:
    return {name: [spans.parse(text) for text in several] for name, several in texts.items()}
