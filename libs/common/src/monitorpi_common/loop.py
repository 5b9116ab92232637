"""The loop of a running service: inbox, core and bus; ticks, health, commands.

Theory of operation. One inbox, one loop, in the main thread. The network thread and the sources
put items into the inbox; the loop hands each to the core and the core's answers to the bus. Foreign
data that is not of the contract is counted and forgotten; an exception of ours ends the process
without a goodbye, so that the last will is published and the supervisor restarts it.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_common import __version__, clock
from monitorpi_common.allowance import Allowance
from monitorpi_common.bus import BusEvent, InputEnded, Raw, Subscribed
from monitorpi_common.messages import (
    FOREIGN,
    Foreign,
    Health,
    Publication,
    Result,
    Service,
    Tombstone,
)
from monitorpi_common.reading import arguments_of, command_of, first_line, item_of
from monitorpi_common.service import (
    Assembly,
    CommandReceived,
    CommandRefusedError,
    Follow,
    Outside,
    Received,
    ResourceError,
    Source,
    Tick,
)
from monitorpi_common.stdio import Line, StdioBus
from monitorpi_common.topics import Topic, TopicError, pattern
from monitorpi_common.vacancy import Rival, Rivals, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pydantic import JsonValue

    from monitorpi_common.bus import Bus
    from monitorpi_common.inbox import Inbox
    from monitorpi_common.log import Log
    from monitorpi_common.retention import Retention
    from monitorpi_common.service import Outward
    from monitorpi_common.settings import CommonSettings

TICK_S: Final = 1.0
COMMANDS_PER_S: Final = 20.0
COMMANDS_AT_ONCE: Final = 50
"""Commands that are carried out; a person sends one a second. What is more is counted and gets no
answer: it would make a service deaf to everything else."""
HEALTH_S: Final = 3.0
"""Health is the pulse of a service, too: a process that hangs keeps its connection for as long as
the broker waits for it (1.5 keepalives, and Mosquitto looks each 6 s)."""
MAX_PAYLOAD: Final = 512 * 1024
_SOURCE_STOP_S: Final = 5.0
_CLOCK_CHECK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stop:
    """A signal asked us to stop."""


@dataclass(frozen=True, slots=True)
class _SourceEnded:
    source: Source
    error: BaseException | None


def touch(heartbeat: Path, log: Log) -> None:
    """Renew the time of the file by which the container's health check knows that we live."""
    try:
        heartbeat.touch()
    except OSError as error:
        log.warning("cannot touch the heartbeat file", file=heartbeat, reason=error.strerror)


class Shell:
    """One running service: the loop between inbox, core and bus."""

    def __init__(
        self,
        service: Service,
        common: CommonSettings,
        assembly: Assembly,
        bus: Bus,
        inbox: Inbox,
        log: Log,
        retention: Retention | None = None,
        started_at: datetime | None = None,
        present: Callable[[], None] = lambda: None,
        alive: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._retention = retention
        self._common = common
        self._assembly = assembly
        self._core = assembly.core
        self._bus = bus
        self._inbox = inbox
        self._log = log
        self._commands = pattern(common.site, service.value, "command")
        self._health_topic = Topic(common.site, service.value, Health.KIND, common.instance)
        self._running = True
        self._open_sources = len(assembly.sources)
        self._incomplete: ResourceError | None = None
        self._started_at = started_at or clock.wall()
        self._allowance = Allowance(COMMANDS_PER_S, COMMANDS_AT_ONCE)
        self._rivals = Rivals(self._started_at)
        self._present = present
        """Called when the broker shows our own messages to all."""
        self._alive = alive
        """Called with each tick."""
        self._started_s = clock.boot_s()
        self._trouble: str | None = "not connected yet"
        self._next_tick = time.monotonic()
        self._next_health = self._next_tick
        self._next_clock_check = self._next_tick
        self._clock_synced = common.trust_clock

    def run(self) -> None:
        """Run until stopped.

        Raises:
            ResourceError: a source of a pipe could not read all; what it read was published.

        """
        if self._retention is not None:
            self._retention.open()
        own = [self._commands, str(self._health_topic)] if self._bus.live else []
        self._bus.open(self._inbox, [*self._assembly.subscriptions, *self._assembly.outside, *own])
        for source in self._assembly.sources:
            threading.Thread(
                target=self._drive, args=(source,), name=type(source).__name__, daemon=True
            ).start()
        if self._bus.live:
            self._tick()  # no core judges anything before it knows what time it is
        while self._running:
            self._step()
        self._close()
        if self._incomplete is not None:
            raise self._incomplete

    def _drive(self, source: Source) -> None:
        """Run one source in its own thread and tell the loop how it ended."""
        error: BaseException | None = None
        try:
            source.run(self._inbox.wait_put)
        except BaseException as raised:  # noqa: BLE001 - the loop decides what it means
            error = raised
        self._inbox.put(_SourceEnded(source, error))

    def _step(self) -> None:
        """Take one item, or tick."""
        wait_s = 3600.0 if not self._bus.live else self._next_tick - time.monotonic()
        item = self._inbox.take(0.0)
        if item is None:
            self._bus.flush()
            item = self._inbox.take(max(wait_s, 0.0))
        if item is not None:
            self._take(item)
        if self._bus.live and time.monotonic() >= self._next_tick:
            self._tick()

    def _take(self, item: object) -> None:
        match item:
            case Stop():
                self._running = False
            case InputEnded():
                self._running = False
            case _SourceEnded(_, error):
                self._source_ended(error)
            case Raw():
                self._receive(item)
            case Line():
                if isinstance(self._bus, StdioBus) and (raw := self._bus.accept(item)) is not None:
                    self._receive(raw)
            case _ if isinstance(item, BusEvent):
                if isinstance(item, Subscribed) and self._retention is not None:
                    self._retention.subscribed()
                report = self._bus.event(item)
                if report is not None:
                    self._trouble = report.text if report.failed else None
                    log = self._log.warning if report.failed else self._log.info
                    log("bus", what=report.text)
            case _:
                self._publish(self._core.handle(item))

    def _source_ended(self, error: BaseException | None) -> None:
        if isinstance(error, ResourceError) and not self._bus.live:
            self._incomplete = error  # what it emitted stands: it is told to its end
        elif error is not None:
            raise error
        self._open_sources -= 1
        if self._open_sources == 0 and not self._assembly.reads_pipe and not self._bus.live:
            self._running = False

    # --- inwards ----------------------------------------------------------------------------

    def _receive(self, raw: Raw) -> None:
        """Turn foreign bytes into an item for the core; what is not of the contract is counted.

        Reading alone may fail by what others sent: what is raised later is a bug of ours.
        """
        self._bus.counters.received += 1
        if raw.topic in self._assembly.outside:
            self._publish(self._core.handle(Outside(raw.topic, raw.payload, raw.retained)))
            return
        try:
            topic = Topic.parse(raw.topic)
            if self._assembly.wants is not None and not self._assembly.wants(topic):
                return
            if len(raw.payload) > MAX_PAYLOAD:
                raise ValueError(f"larger than {MAX_PAYLOAD} bytes")
            is_command = topic.kind == "command" and topic.service == self._service.value
            item = None if is_command else item_of(topic, raw)
        except (TopicError, ValidationError, ValueError, RecursionError) as error:
            self._bus.counters.rejected += 1
            self._log.warning("rejected a message", topic=raw.topic, reason=first_line(error))
            return
        if item is None:
            self._obey(topic, raw)
            return
        if not raw.retained:
            self._restore(is_live=True)
        if isinstance(item, Received) and self._is_outdated(item, raw):
            return
        self._publish(self._core.handle(item))

    def _is_outdated(self, item: Received, raw: Raw) -> bool:
        """Look whether a message is of our own name: a rival's health, or state we retained.

        Returns: the state that was kept is newer, and will be handed on in its place.

        """
        message, retention = item.message, self._retention
        if item.topic == self._health_topic and isinstance(message, Health):
            self._watch_for_a_rival(message, retained=raw.retained)
        elif raw.retained and item.topic.service == self._service.value and message.DELIVERY.retain:
            if retention is not None and retention.is_newer(item.topic, message):
                return True
            if self._bus.adopt(raw, message.DELIVERY) and retention is not None:
                retention.take(item.topic, message, raw.payload, raw.expiry_s)
        return False

    def _restore(self, *, is_live: bool) -> None:
        """Hand the core what was kept and the broker does not have, as if it had had it."""
        if self._retention is None:
            return
        for one in self._retention.restored(is_live=is_live):
            self._bus.publish(one.topic, one.payload, one.message.DELIVERY, one.left_s)
            self._publish(self._core.handle(Received(one.topic, one.message, retained=True)))

    def _watch_for_a_rival(self, health: Health, *, retained: bool) -> None:
        rival = self._rivals.judge(health, retained=retained)
        if self._rivals.is_present:
            self._present()
        if rival is Rival.EARLIER:
            raise ResourceError(taken(self._health_topic))
        if rival is Rival.LATER:
            self._log.warning("another process tried to run under our name")

    def _obey(self, topic: Topic, raw: Raw) -> None:
        """Carry out one command and publish what became of it."""
        if self._bus.live and not self._allowance.take(clock.boot_s()):
            self._bus.counters.rejected += 1
            self._log.warning("too many commands: not carried out")
            return
        name = "unknown"
        error: str | None = None
        try:
            command = command_of(raw)
            name = command.name
            args = arguments_of(command, self._service)
            self._publish(self._core.handle(CommandReceived(name, args, topic.id)))
            self._next_health = self._next_tick  # what it changed stands there
        except CommandRefusedError as refusal:
            error = str(refusal)
        if error is not None:
            self._bus.counters.rejected += 1
            self._log.warning("refused a command", name=name, reason=error)
        result = Result(name=name, at=clock.wall(), ok=error is None, error=error and error[:255])
        self._publish([Publication(topic.id, result)])

    # --- outwards ---------------------------------------------------------------------------

    def _publish(self, published: Iterable[Outward]) -> None:
        site, own, retention = self._common.site, self._service.value, self._retention
        for one in published:
            match one:
                case Publication(id_, message, to):
                    topic = Topic(site, to.value if to else own, message.KIND, id_)
                    payload = message.encode()
                    self._bus.publish(topic, payload, message.DELIVERY, message.expiry_s)
                    if retention is not None:
                        retention.take(topic, message, payload, message.expiry_s)
                case Tombstone(id_, kind):
                    topic = Topic(site, own, kind.KIND, id_)
                    self._bus.publish(topic, b"", kind.DELIVERY, None)
                    if retention is not None:
                        retention.forget(topic)
                case Foreign(name, payload):
                    self._bus.publish(name, payload, FOREIGN, None)
                case Follow(filters):
                    self._bus.follow(filters)

    # --- time -------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        self._next_tick = max(self._next_tick + TICK_S, now)
        self._alive(now)
        if now >= self._next_clock_check and not self._common.trust_clock:
            self._next_clock_check = now + _CLOCK_CHECK_S
            self._clock_synced = clock.synchronised()
        at = clock.wall()
        self._restore(is_live=False)
        tick = Tick(at, clock.boot_s(), self._clock_synced, self._trouble)
        self._publish(self._core.handle(tick))
        if self._retention is not None:
            for one in self._retention.expired(tick):
                self._bus.publish(one.topic, one.payload, one.message.DELIVERY, one.left_s)
            self._retention.tick(is_set=self._clock_synced)
        if now >= self._next_health:
            self._next_health = now + HEALTH_S
            self._publish([Publication(self._common.instance, self._health(at))])
        if self._common.heartbeat is not None and self._bus.alive:
            touch(self._common.heartbeat, self._log)

    def _health(self, at: datetime) -> Health:
        counters = self._bus.counters
        return Health(
            at=at,
            version=__version__,
            started_at=self._started_at,
            uptime_s=round(clock.boot_s() - self._started_s, 1),
            published_total=counters.published,
            received_total=counters.received,
            rejected_total=counters.rejected,
            refused_total=counters.refused,
            queue_depth=self._bus.depth + len(self._inbox),
            queue_dropped_total=counters.dropped,
            rss_bytes=_rss_bytes(),
            clock_synced=self._clock_synced,
            detail=self._core.detail() | self._kept(),
        )

    def _kept(self) -> dict[str, JsonValue]:
        return {} if self._retention is None else {"state_file": self._retention.detail()}

    # --- the end ----------------------------------------------------------------------------

    def _close(self) -> None:
        self._inbox.close()
        for source in self._assembly.sources:
            source.stop()
        self._await_sources()
        self._publish(self._core.close())
        if self._retention is not None:
            self._retention.close()
        for release in self._assembly.on_close:
            release()
        self._bus.close()

    def _await_sources(self) -> None:
        """Let the sources finish what they were emitting, for a bounded time."""
        deadline = time.monotonic() + _SOURCE_STOP_S
        while self._open_sources > 0 and (left := deadline - time.monotonic()) > 0:
            item = self._inbox.take(left)
            if item is not None:
                self._take(item)


def _rss_bytes() -> int:
    """Return the resident memory of this process (proc(5), second field of statm, in pages)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
