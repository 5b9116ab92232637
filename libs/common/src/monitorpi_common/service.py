"""What a service is made of: a pure core, its sources, and the items that pass between them.

The shell that runs them, :mod:`monitorpi_common.shell`, is for a service's ``__main__`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from monitorpi_common.settings import Section

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_common.log import Log
    from monitorpi_common.messages import Args, Foreign, Message, Publication, Tombstone
    from monitorpi_common.topics import Topic

# --- what a core is handed ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the bus that passed the contract."""

    topic: Topic
    message: Message
    retained: bool = False


@dataclass(frozen=True, slots=True)
class TombstoneReceived:
    """A retained message was taken back, or a status: ``offline`` leaves one too."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class Outside:
    """A message on a topic outside our tree, for a service that asked for it; not validated."""

    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """A service instance came online or went offline (its status topic)."""

    topic: Topic
    online: bool
    taken_back: bool = False
    """Its status was taken back: it is not coming back, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A command for this service, its arguments already validated.

    The shell answers with a result: a core that cannot obey raises :class:`CommandRefusedError`.
    """

    name: str
    args: Args
    id: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Once a second on a live bus, never in a pipe: there only events carry time."""

    at: datetime
    """Wall clock, UTC."""
    boot_s: float
    """Boot-time clock, seconds: never steps, counts suspension."""
    clock_synced: bool
    broker: str | None = None
    """Why there is no connection to the broker; None: there is one."""


@dataclass(frozen=True, slots=True)
class Follow:
    """What a core wants to read from now on beside its subscriptions, instead of what it followed.

    For large topics, while somebody looks at what they say.
    """

    filters: tuple[str, ...]
    """As made by :func:`monitorpi_common.topics.pattern`."""


class CommandRefusedError(Exception):
    """A core cannot obey an order; its text goes into the result."""


Outward: TypeAlias = "Publication | Tombstone | Foreign | Follow"
"""What a core may answer an item with."""


class Core(Protocol):
    """A service's pure part: no clock, no randomness, no I/O."""

    def handle(self, item: object) -> Iterable[Outward]:
        """Take one item (of this module, or of the service's own source) and answer."""
        ...

    def close(self) -> Iterable[Outward]:
        """Return what is left to say: the stream has ended or the service is stopped."""
        ...

    def detail(self) -> dict[str, JsonValue]:
        """Return what goes into ``detail`` of the health message."""
        ...


class Source(Protocol):
    """A service's own way to the world beside the bus: a socket, a file, a poller.

    ``run`` is called in a thread of its own and blocks until ``stop`` is called or the source
    ends. What it emits reaches the core in order. An exception other than
    :class:`ResourceError` is a bug and ends the service with exit code 1.
    """

    def run(self, emit: Callable[[object], None]) -> None:
        """Produce items until stopped; returning ends a service that reads no bus."""
        ...

    def stop(self) -> None:
        """Make ``run`` return soon. Called from another thread."""
        ...


class ResourceError(Exception):
    """Something the service needs is missing or denied; the text says the remedy. Exit code 3."""


# --- how a service is put together ---------------------------------------------------------------

SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True)
class Context(Generic[SectionT]):
    """What a service knows when it is put together."""

    site: str
    instance: str
    epoch: str
    """An id made at start; a core that needs a new one appends ``-1``, ``-2`` ..."""
    settings: SectionT
    arguments: argparse.Namespace
    state_dir: Path
    trust_clock: bool
    live: bool
    """False in a pipe (``--bus -``): no ticks, no clock, time comes with the events."""
    log: Log


@dataclass(frozen=True)
class Assembly:
    """A service, put together."""

    core: Core
    sources: Sequence[Source] = ()
    subscriptions: Sequence[str] = ()
    """Patterns as made by :func:`monitorpi_common.topics.pattern`; own commands come by themselves.

    A message of our own comes back where a pattern covers it: a core that re-reads its retained
    state after a restart must know its own words.
    """
    outside: Sequence[str] = ()
    """Topics outside our tree that are handed on as :class:`Outside`."""
    wants: Callable[[Topic], bool] | None = None
    """Whether a message is to be read at all, for a core that needs not each of them; None: each.
    What is not read is not judged either."""
    reads_pipe: bool = True
    """With ``--bus -``: read messages from standard input. False for a service that ends with its
    own source, such as a capture file."""
    is_stuck: Callable[[], bool] = lambda: False
    """Whether a source hangs: the process is ended then, as where the loop does."""
    on_close: Sequence[Callable[[], None]] = field(default_factory=tuple)
    """What must be released at the end, after the core's last words."""
