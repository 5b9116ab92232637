"""Waits, before a service starts, until nobody else runs under its name.

Theory of operation. A broker ends the older of two connections with one client id, so two processes
of one name would throw each other out for ever. Whether the name is free is asked under another
client id: our status topic says ``online`` while its holder lives, and the broker itself says
``offline`` for one that died or hangs. What is left by a broker that came back with an old memory
says ``online`` too, but nobody behind it speaks: after :data:`SILENT_S` the name counts as free.
:class:`Vacancy` decides, without clock or network; :func:`await_vacancy` asks. :class:`Rivals`
watches on while the service runs. A process that a broker has given up, because it was frozen or
cut off, may have a successor by the time it comes back: it asks (:func:`is_taken`) before it does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from monitorpi_common.bus import Connected, Raw, Subscribed
from monitorpi_common.messages import Health, Status, timestamp
from monitorpi_common.topics import Topic, pattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitorpi_common.log import Log
    from monitorpi_common.settings import BrokerSettings

AWAY_S: Final = 2.0
"""A broker that has not let us in by then is away: the service starts and waits for it there."""
RETAINED_S: Final = 0.2
"""A broker sends what it keeps right behind its answer to the subscription."""
SILENT_S: Final = 150.0
"""Two and a half times the longest pause between two health messages."""
MAX_REPLICAS: Final = 64
_LOOK_S: Final = 0.05


@dataclass(slots=True)
class Vacancy:
    """Whether a name is free. Times are seconds of any one clock."""

    began_s: float
    connected: bool = False
    asked_s: float | None = None
    online: bool = False
    spoke_s: float | None = None

    def subscribed(self, now_s: float) -> None:
        """Take the broker's answer to our subscription."""
        self.asked_s = self.spoke_s = now_s

    def status(self, *, online: bool, now_s: float) -> None:
        """Take what the status topic says."""
        self.online = online
        self.spoke_s = now_s

    def spoke(self, now_s: float) -> None:
        """Take a message that the holder published just now."""
        self.spoke_s = now_s

    def is_free(self, now_s: float) -> bool | None:
        """Return whether the name is free; None: not known yet."""
        if self.asked_s is None or self.spoke_s is None:
            return True if not self.connected and now_s - self.began_s > AWAY_S else None
        if not self.online:
            return True if now_s - self.asked_s > RETAINED_S else None
        return now_s - self.spoke_s > SILENT_S


def await_vacancy(
    settings: BrokerSettings,
    status: Topic,
    log: Log,
    *,
    is_stopped: Callable[[], bool],
    beat: Callable[[], None],
    stand_by: Callable[[], None],
) -> bool:
    """Wait until nobody runs under a name; False: we were stopped meanwhile.

    Args:
        settings: where the broker is and who we are there.
        status: the status topic of the name.
        log: for the line that says what is waited for.
        is_stopped: returns whether we shall end.
        beat: called while waiting, to show that we live.
        stand_by: called once when somebody is there.

    """
    health = Topic(status.site, status.service, Health.KIND, status.id)
    from monitorpi_common.session import ConnectionChange, Session  # noqa: PLC0415 - not for a pipe

    vacancy = Vacancy(time.monotonic())
    logged = False
    with Session(settings, "starts", [str(status), str(health)], log) as session:
        while not is_stopped():
            item = session.next(_LOOK_S)
            now_s = time.monotonic()
            if isinstance(item, Raw):
                _learn(vacancy, item, status, now_s)
            elif isinstance(item, ConnectionChange):
                vacancy.connected |= isinstance(item.event, Connected)
                if isinstance(item.event, Subscribed):
                    vacancy.subscribed(now_s)
            free = vacancy.is_free(now_s) if item is None else None  # what has come is read first
            if free:
                return True
            if free is False:
                if not logged:
                    log.warning(
                        "standing by",
                        what=f"{taken(status)}; until then this one waits",
                    )
                    stand_by()
                logged = True
                beat()
    return False


def online_names(settings: BrokerSettings, status: Topic, log: Log) -> set[str]:
    """Return the names under which processes of a service are there; of a broker that is away none.

    Args:
        settings: where the broker is and who we are there.
        status: the status topic of any name.
        log: for what goes wrong.

    """
    from monitorpi_common.session import ConnectionChange, Session  # noqa: PLC0415 - not for a pipe

    until_s = time.monotonic() + AWAY_S
    latest_s = until_s + AWAY_S  # whoever publishes there without end holds nobody up
    there: set[str] = set()
    filter_ = pattern(status.site, status.service, status.kind)
    with Session(settings, "names", [filter_], log) as session:
        item: object = None
        while time.monotonic() < (until_s if item is None else latest_s):
            item = session.next(_LOOK_S)
            if isinstance(item, Raw) and item.payload == Status.ONLINE.value.encode():
                there.add(item.topic.rpartition("/")[2])
            elif isinstance(item, ConnectionChange) and isinstance(item.event, Subscribed):
                until_s = min(until_s, time.monotonic() + RETAINED_S)
    return there


def is_taken(settings: BrokerSettings, status: Topic, log: Log, started_at: datetime) -> bool:
    """Ask whether somebody else runs under our name by now: for a process that was away.

    A process that was frozen, or cut off, for longer than a broker waits was given up, and another
    may have taken its place. A broker that cannot be asked has no such other.

    Args:
        settings: where the broker is and who we are there.
        status: the status topic of the name.
        log: for what goes wrong.
        started_at: when we started, as our health message has it.

    """
    health = Topic(status.site, status.service, Health.KIND, status.id)
    from monitorpi_common.session import ConnectionChange, Session  # noqa: PLC0415 - as above

    deadline_s = time.monotonic() + AWAY_S
    is_online = is_other = False
    with Session(settings, "returns", [str(status), str(health)], log) as session:
        while time.monotonic() < deadline_s:
            item = session.next(_LOOK_S)
            if isinstance(item, Raw) and item.topic == str(status):
                is_online = item.payload == Status.ONLINE.value.encode()
                if not is_online:
                    return False
            elif isinstance(item, Raw):
                is_other = _starts(item.payload) not in (None, timestamp(started_at))
            elif isinstance(item, ConnectionChange) and item.report and item.report.failed:
                return False
            if is_online and is_other:
                return True
    return False


def _starts(payload: bytes) -> str | None:
    """Return when the writer of a health message started; None: it is none."""
    try:
        return timestamp(Health.model_validate_json(payload).started_at)
    except ValueError:
        return None


def _learn(vacancy: Vacancy, raw: Raw, status: Topic, now_s: float) -> None:
    if raw.topic == str(status):
        vacancy.status(online=raw.payload == Status.ONLINE.value.encode(), now_s=now_s)
    elif not raw.retained:
        vacancy.spoke(now_s)


def taken(topic: Topic) -> str:
    """Say that another process has the name a topic is under, and what to do."""
    return (
        f"another process runs as {topic.service} instance {topic.id!r} of site {topic.site!r}: "
        "stop it, or give this one another name (MONITORPI_INSTANCE)"
    )


class Rival(Enum):
    """A living process that runs under our name."""

    EARLIER = auto()
    """It started before us: we give way."""
    LATER = auto()
    """It started after us: it gives way."""


class Rivals:
    """Notices a second process of our name while we run.

    Both may have started while the broker was away. What stands on our own health topic after our
    first message there is a rival's if it is sent now, or says something else than before: what
    stands still is what a broker remembers. No clock is asked.
    """

    def __init__(self, started_at: datetime) -> None:
        self._started = timestamp(started_at)
        self.is_present = False
        """A message of ours came back: the broker shows that we are there."""
        self._other: Health | None = None

    def judge(self, health: Health, *, retained: bool) -> Rival | None:
        """Take a message of our own health topic."""
        started = timestamp(health.started_at)
        if started == self._started:
            self.is_present = True
            return None
        if not self.is_present:
            return None  # left by the process before us
        before, self._other = self._other, health
        if retained and before in (None, health):
            return None
        return Rival.EARLIER if started < self._started else Rival.LATER
