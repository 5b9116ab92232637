"""Joins a service's retained state, its file and the bus: the shell's part in keeping state.

Theory of operation. The file is read at the start. What the broker has of ours comes first,
retained; the newer of the two goes on (a broker that has lived on knows better than a file that is
written rarely). What the broker does not have is handed to the core and published when the first
message comes that is not retained, or after :data:`SUBSCRIBED_S` without any, or :data:`AWAY_S`
after the start while the broker is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common import clock
from monitorpi_common.clocksteps import ClockSteps
from monitorpi_common.recordfile import RecordFile
from monitorpi_common.retained import RetainedState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_common.log import Log
    from monitorpi_common.messages import Message
    from monitorpi_common.retained import Restored
    from monitorpi_common.service import Tick
    from monitorpi_common.topics import Topic

SUBSCRIBED_S: Final = 1.0
"""A broker sends what it keeps right behind its answer to the subscription."""
EXPIRING_S: Final = 60.0
"""A smaller step costs nothing that lives for a day of its life."""
AWAY_S: Final = 5.0
"""A broker that has not let us in by then is away; a new device is published after ten seconds."""


class Retention:
    """What one service keeps of its retained state. All methods belong to the main thread."""

    def __init__(
        self, folder: Path, site: str, service: str, instance: str, log: Log, *, trust_clock: bool
    ) -> None:
        self._log = log
        self._state = RetainedState(site, service)
        self._file = RecordFile(folder / f"{service}-{instance}.retained", log)
        self._is_set = trust_clock or clock.synchronised()
        self._started_s = clock.boot_s()
        self._subscribed_s: float | None = None
        self._useless = 0
        self._steps = ClockSteps()

    def open(self) -> None:
        """Read what the process before us kept."""
        reading = self._file.read()
        wall_s = clock.wall().timestamp()
        self._useless = self._state.restore(
            reading.records.values(), clock.boot_s(), wall_s, is_set=self._is_set
        )
        if reading.records:
            self._log.info(
                "state of before is there",
                records=len(self._state), outlived=self._useless, clock_set=self._is_set,
            )  # fmt: skip

    def subscribed(self) -> None:
        """Note that the broker has answered the subscription."""
        if self._subscribed_s is None:
            self._subscribed_s = clock.boot_s()

    # --- what is restored -----------------------------------------------------------------------

    def is_newer(self, topic: Topic, message: Message) -> bool:
        """Return whether the file knows better than a retained message of the broker."""
        return self._state.is_newer(topic, message)

    def restored(self, *, is_live: bool) -> Iterable[Restored]:
        """Return what is to be handed to the core and published now: once, at the right time.

        Args:
            is_live: a message came that is not retained: there are no more of those.

        """
        if not self._state.is_pending:
            return ()
        now_s = clock.boot_s()
        began_s, wait_s = (
            (self._started_s, AWAY_S)
            if self._subscribed_s is None
            else (self._subscribed_s, SUBSCRIBED_S)
        )
        if not is_live and now_s - began_s < wait_s:
            return ()
        return list(self._state.hand_on(now_s))

    def expired(self, tick: Tick) -> Iterable[Restored]:
        """Return what a broker on this machine may have let expire, as the clock was set ahead.

        It counts lives by the wall clock: ten days in a second end what lives for seven.
        """
        if self._steps.take(tick) < EXPIRING_S:
            return ()
        return list(self._state.again(clock.boot_s()))

    # --- what is kept ---------------------------------------------------------------------------

    def take(self, topic: Topic, message: Message, payload: bytes, left_s: float | None) -> None:
        """Take a message of ours that was published, or that the broker has."""
        self._state.take(topic, message, payload, left_s, clock.boot_s())

    def forget(self, topic: Topic) -> None:
        """Take a message that was taken back."""
        self._state.forget(topic, clock.boot_s())

    def tick(self, *, is_set: bool) -> None:
        """Write what is due; ``is_set``: the wall clock can be trusted."""
        self._is_set = is_set
        if self._file.take_failure():
            self._state.failed()
        if not self._file.is_busy:
            write = self._state.due(clock.boot_s(), self._wall_s())
            if write is not None:
                self._file.write(write)

    def close(self) -> None:
        """Write all as it is now, and end."""
        if self._state.is_pending:
            self._file.close(None)  # stopped before anything was handed on: the file stands
            return
        self._file.close(self._state.due(clock.boot_s(), self._wall_s(), everything=True))

    def _wall_s(self) -> float | None:
        return clock.wall().timestamp() if self._is_set else None

    def detail(self) -> dict[str, JsonValue]:
        """Return what health tells: how much is kept, and why it cannot be."""
        return {
            "records": len(self._state),
            "refused_total": self._state.refused,
            "written_bytes_total": self._file.written_bytes,
            "error": self._file.error,
        }
