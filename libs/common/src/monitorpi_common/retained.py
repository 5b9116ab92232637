"""What a service has retained on the bus, and which of it is worth a write. Pure.

Theory of operation. The broker keeps nothing on a disk, and a service that starts takes up what it
finds there: so whatever both lose at once, in a power cut, is gone. Each service therefore keeps
its own state (the kinds that say how, see ``Message.KEPT``) in a file. An SD card wears by what is
written, so a message is written only when what it *means* has changed, without its times, totals
and loads: at the earliest :data:`PAUSE_S` after the write before where something came, went, or is
an alert, else after :data:`PATIENCE_S`; and once more when half of its life as written is over.

A message's life goes on while nobody runs. A Raspberry Pi has no clock of its own: where the clock
is not set, or was not when the record was written, nobody knows for how long. Then a record loses
at least :data:`LEAST_LOST` and at most :data:`MOST_LOST` of its life with each start: one power cut
takes nothing away, and nothing lives for ever.

All times are seconds of a clock that never steps, except where they say wall.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_common.messages import message_type
from monitorpi_common.record import RetainedRecord, encode_all
from monitorpi_common.topics import Topic, TopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitorpi_common.messages import Message

PAUSE_S: Final = 60.0
"""Least time between two writes: what a power cut may cost."""
GATHER_S: Final = 5.0
"""A first change waits for others for so long."""
PATIENCE_S: Final = 600.0
"""A change that says nothing new of what is there waits for so long."""
MAX_NAMES: Final = 8192
"""Twice the devices there may be, or the targets and the alerts together."""
BURST_BYTES: Final = 16 * 1024 * 1024
"""Written in one go at most: 4,096 devices are 6 MB."""
REFILL_BYTES_PER_S: Final = 1024
"""And 88 MB a day from then on, whoever makes up devices."""
SLACK_BYTES: Final = 64 * 1024
"""The file is written anew when it is larger by so much than twice what it must hold."""
LEAST_LOST: Final = 1 / 8
MOST_LOST: Final = 1 / 2
AHEAD_S: Final = 60.0
"""A record written so far ahead of now was stamped by a clock that was wrong."""
_SWEEP_S: Final = 600.0


@dataclass(slots=True)
class _HeldTopic:
    message: Message
    payload: bytes
    until_s: float | None
    meaning: bytes
    written: bytes | None = None
    """The meaning that is in the file; None: nothing of it is."""
    written_until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """One message of the file that is to go on."""

    topic: Topic
    message: Message
    payload: bytes
    left_s: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be written."""

    data: bytes
    whole: bool
    """The file is replaced; else this goes to its end."""


class RetainedState:
    """The state of one service."""

    def __init__(self, site: str, service: str) -> None:
        self._site = site
        self._service = service
        self._held: dict[str, _HeldTopic] = {}
        self._pending: dict[str, None] = {}
        """Of the file, and not yet handed on."""
        self._soon: dict[str, None] = {}
        self._later: dict[str, None] = {}
        self._dirty_s: float | None = None
        """When the oldest change came that is not to wait for long."""
        self._patient_s: float | None = None
        self._wrote_s: float | None = None
        self._swept_s: float | None = None
        self._file_bytes: int | None = None
        """Length of the file; None: it is to be written anew."""
        self._has_failed = False
        self._room_bytes = float(BURST_BYTES)
        self._room_s: float | None = None
        self.refused = 0
        """Names for which there was no room."""

    def __len__(self) -> int:
        return len(self._held)

    # --- what is published ------------------------------------------------------------------

    def take(
        self, topic: Topic, message: Message, payload: bytes, left_s: float | None, now_s: float
    ) -> None:
        """Take a message that was published, or that the broker has of ours."""
        name = f"{topic.kind}/{topic.id}"
        kept = type(message).KEPT
        if kept is None:
            return
        held = self._held.get(name)
        if held is None and len(self._held) >= MAX_NAMES:
            self.refused += 1
            return
        self._pending.pop(name, None)
        meaning = _meaning(message)
        until_s = None if left_s is None else now_s + left_s
        if held is None:
            held = self._held[name] = _HeldTopic(message, payload, until_s, meaning)
        held.message, held.payload, held.until_s, held.meaning = message, payload, until_s, meaning
        if held.written == meaning:
            self._soon.pop(name, None)
            self._later.pop(name, None)
        elif held.written is None or kept.at_once:
            self._mark_soon(name, now_s)
        elif name not in self._soon:
            self._mark_later(name, now_s)

    def forget(self, topic: Topic, now_s: float) -> None:
        """Take a message that was taken back."""
        self._drop(f"{topic.kind}/{topic.id}", now_s)

    def _drop(self, name: str, now_s: float) -> None:
        held = self._held.pop(name, None)
        self._pending.pop(name, None)
        self._later.pop(name, None)
        self._soon.pop(name, None)
        if held is not None and held.written is not None:
            self._mark_soon(name, now_s)

    def _mark_soon(self, name: str, now_s: float) -> None:
        self._later.pop(name, None)
        self._soon[name] = None
        self._dirty_s = now_s if self._dirty_s is None else self._dirty_s

    def _mark_later(self, name: str, now_s: float) -> None:
        self._later[name] = None
        self._patient_s = now_s if self._patient_s is None else self._patient_s

    # --- what was kept ----------------------------------------------------------------------

    def restore(
        self, records: Iterable[RetainedRecord], now_s: float, wall_s: float, *, is_set: bool
    ) -> int:
        """Take what a file held; returns how many records are of no use (any more).

        Args:
            records: of the file.
            now_s: now.
            wall_s: seconds since 1970, as far as this machine knows.
            is_set: the wall clock can be trusted.

        """
        useless = 0
        for record in records:
            left_s, is_exact = _left_s(record, wall_s, is_set=is_set)
            known = self._known(record)
            if known is None or (left_s is not None and left_s < 1) or len(self) >= MAX_NAMES:
                useless += 1
                continue
            topic, message = known
            until_s = None if left_s is None else now_s + left_s
            name = f"{topic.kind}/{topic.id}"
            meaning = _meaning(message)
            self._held[name] = _HeldTopic(
                message, record.payload, until_s, meaning, meaning, until_s
            )
            self._pending[name] = None
            if not is_exact:  # what it lost of its life is lost
                self._mark_soon(name, now_s)
                self._wrote_s = now_s
        return useless

    def _known(self, record: RetainedRecord) -> tuple[Topic, Message] | None:
        """Return a record's topic and message; None: it is none that we keep."""
        kind, _, id_ = record.name.partition("/")
        type_ = message_type(self._service, kind)
        if type_ is None or type_.KEPT is None:
            return None
        try:
            topic = Topic(self._site, self._service, kind, id_)
            return topic, type_.model_validate_json(record.payload)
        except (TopicError, ValidationError, ValueError, RecursionError):
            return None

    @property
    def is_pending(self) -> bool:
        """Something of the file was not handed on yet."""
        return bool(self._pending)

    def is_newer(self, topic: Topic, message: Message) -> bool:
        """Return whether the file has a newer message of a topic than the one given."""
        name = f"{topic.kind}/{topic.id}"
        kept = type(message).KEPT
        if kept is None or name not in self._pending:
            return False
        ours = self._held[name].message
        return bool(getattr(ours, kept.stamp) > getattr(message, kept.stamp))

    def hand_on(self, now_s: float) -> Iterator[Restored]:
        """Return what the broker did not have, once."""
        pending, self._pending = self._pending, {}
        yield from self._living(pending, now_s)

    def again(self, now_s: float) -> Iterator[Restored]:
        """Return all that is held, for a broker that may have let it expire."""
        yield from self._living(self._held, now_s)

    def _living(self, names: Iterable[str], now_s: float) -> Iterator[Restored]:
        for name in names:
            held = self._held[name]
            left_s = None if held.until_s is None else int(held.until_s - now_s)
            if left_s is not None and left_s < 1:
                continue
            topic = Topic(self._site, self._service, *name.split("/", 1))
            yield Restored(topic, held.message, held.payload, left_s)

    # --- what is written --------------------------------------------------------------------

    def due(self, now_s: float, wall_s: float | None, *, everything: bool = False) -> Write | None:
        """Return what is to be written now.

        Args:
            now_s: now.
            wall_s: seconds since 1970; None: the clock is not set.
            everything: write the whole, with the latest times of all: the service ends.

        """
        self._sweep(now_s)
        if everything:
            return self._whole(now_s, wall_s) if self._held or self._soon else None
        if not self._is_due(now_s):
            return None
        self._refill(now_s)
        names = self._within_room()
        if not names and not self._has_failed:
            return None
        self._wrote_s = now_s
        records = [self._record(name, now_s, wall_s) for name in names]
        length = sum(one.size for one in records)
        must_hold = sum(len(one.payload) for one in self._held.values())
        if self._file_bytes is None or self._file_bytes + length > 2 * must_hold + SLACK_BYTES:
            return self._whole(now_s, wall_s)
        data = b"".join(one.encode() for one in records)
        self._file_bytes += len(data)
        self._room_bytes -= len(data)
        for name in names:
            self._is_written(name)
        self._undirty(now_s)
        return Write(data, whole=False)

    def failed(self) -> None:
        """Note that the last write did not succeed: nothing is known of the file."""
        self._file_bytes = None
        self._has_failed = True

    def _is_due(self, now_s: float) -> bool:
        if self._wrote_s is not None and now_s - self._wrote_s < PAUSE_S:
            return False
        if self._has_failed:
            return True
        if self._soon and self._dirty_s is not None and now_s - self._dirty_s >= GATHER_S:
            return True
        return bool(self._later) and (
            self._patient_s is not None and now_s - self._patient_s >= PATIENCE_S
        )

    def _refill(self, now_s: float) -> None:
        since_s = 0.0 if self._room_s is None else now_s - self._room_s
        self._room_s = now_s
        self._room_bytes = min(
            float(BURST_BYTES), self._room_bytes + REFILL_BYTES_PER_S * max(0.0, since_s)
        )

    def _within_room(self) -> list[str]:
        """Return the names to write, in order, as far as there is room."""
        names, room = [], self._room_bytes
        for name in (*self._soon, *self._later):
            held = self._held.get(name)
            room -= len(name) + (len(held.payload) if held is not None else 0)
            if room < 0:
                break
            names.append(name)
        return names

    def _whole(self, now_s: float, wall_s: float | None) -> Write:
        data = encode_all(self._record(name, now_s, wall_s) for name in self._held)
        self._file_bytes, self._has_failed = len(data), False
        self._room_bytes = max(0.0, self._room_bytes - len(data))
        for name in (*self._soon, *self._held):
            self._is_written(name)
        self._undirty(now_s)
        return Write(data, whole=True)

    def _record(self, name: str, now_s: float, wall_s: float | None) -> RetainedRecord:
        held = self._held.get(name)
        if held is None:
            return RetainedRecord(name, b"", None, wall_s)
        left_s = None if held.until_s is None else max(0.0, held.until_s - now_s)
        return RetainedRecord(name, held.payload, left_s, wall_s)

    def _is_written(self, name: str) -> None:
        held = self._held.get(name)
        if held is not None:
            held.written, held.written_until_s = held.meaning, held.until_s
        self._soon.pop(name, None)
        self._later.pop(name, None)

    def _undirty(self, now_s: float) -> None:
        self._dirty_s = now_s if self._soon else None
        self._patient_s = now_s if self._later else None

    def _sweep(self, now_s: float) -> None:
        """Forget what the broker has forgotten, and find what is written as if it were old."""
        if self._swept_s is not None and now_s - self._swept_s < _SWEEP_S:
            return
        self._swept_s = now_s
        for name, held in list(self._held.items()):
            if held.until_s is None:
                continue
            if held.until_s <= now_s:
                self._drop(name, now_s)
            elif (
                held.written_until_s is not None
                and name not in self._soon
                and held.until_s - now_s > 2 * (held.written_until_s - now_s)
            ):
                self._mark_later(name, now_s)


def _meaning(message: Message) -> bytes:
    """Return a digest of what a message says, without what changes all the time."""
    kept = type(message).KEPT
    fleeting = None if kept is None else dict(kept.fleeting)
    text = message.__pydantic_serializer__.to_json(message, exclude=fleeting)
    return hashlib.blake2b(text, digest_size=8).digest()


def _left_s(record: RetainedRecord, wall_s: float, *, is_set: bool) -> tuple[float | None, bool]:
    """Return how much of a record's life is left (None: it has no end), and whether that is so."""
    left_s = record.left_s
    if left_s is None:
        return None, True
    age_s = None if record.at_s is None else wall_s - record.at_s
    if is_set and age_s is not None and age_s > -AHEAD_S:
        return left_s - max(0.0, age_s), True
    return left_s - min(max(age_s or 0.0, LEAST_LOST * left_s), MOST_LOST * left_s), False
