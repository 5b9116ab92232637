"""What people may change while the detector runs: silences, acknowledgements, thresholds. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitorpi_common.messages import Acknowledge, SetThreshold, Silence
from monitorpi_common.service import CommandRefusedError
from monitorpi_detector.limits import LimitsError, LimitsTable
from monitorpi_detector.rule import LimitsChange
from monitorpi_detector.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitorpi_common.messages import Publication, Tombstone
    from monitorpi_detector.alerts.table import AlertTable
    from monitorpi_detector.rule import Limits


class Commands:
    """Carries out commands on the alerts and the limits."""

    def __init__(self, alerts: AlertTable, limits: LimitsTable) -> None:
        self._alerts = alerts
        self._limits = limits
        self.changed = False
        """Something is to be kept over a restart."""

    def obey(self, args: object, now: datetime | None) -> Iterator[Publication | Tombstone]:
        """Carry out a command.

        Args:
            args: the arguments of the command.
            now: the end of the latest window or round.

        Raises:
            CommandRefusedError: it names nothing that is there, or limits that cannot be.

        """
        match args:
            case Silence(key=key, minutes=minutes):
                yield from self._silence(key, minutes, now)
            case Acknowledge(key=key):
                try:
                    yield from list(self._alerts.acknowledge(key))
                except KeyError:
                    raise CommandRefusedError(f"no open alert has the key {key!r}") from None
            case SetThreshold() as change:
                yield from self._set_threshold(change, now)
            case _:
                return

    def _silence(
        self, key: str, minutes: float, now: datetime | None
    ) -> Iterator[Publication | Tombstone]:
        reached = [one for one in (now, self._alerts.watermark) if one is not None]
        if not reached:
            raise CommandRefusedError("nothing was seen yet: there is nothing to silence")
        if not any(key.startswith(f"{rule}-") for rule in RULES):
            raise CommandRefusedError(f"{key!r} is no alert's key: use rule-subject")
        at = max(reached)  # ticks go on where capture is away
        self.changed = True
        yield from list(self._alerts.silence(key, at + timedelta(minutes=minutes), at))

    def _set_threshold(
        self, wanted: SetThreshold, now: datetime | None
    ) -> Iterator[Publication | Tombstone]:
        change = LimitsChange(**wanted.model_dump(exclude={"rule", "mac", "reset"}))
        try:
            limits: Limits = self._limits.change(
                wanted.rule, wanted.mac, change, reset=wanted.reset
            )
        except LimitsError as error:
            raise CommandRefusedError(str(error)) from None
        self.changed = True
        if not limits.enabled and now is not None:
            yield from self._alerts.end_rule(wanted.rule, now, "silenced", wanted.mac)
