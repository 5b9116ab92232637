"""One retained message as a line of a file, and a file's lines read back. Pure.

A file is a head line and records, each a line of its own behind a checksum; a later record of a
name replaces an earlier one. Behind the last record come zeros: room that was made before, so that
a record is written without moving the file's end (see :mod:`monitorpi_common.recordfile`). What a
power cut tore, or a worn card gave back wrong, fails its checksum and costs that record alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD: Final = b"monitorpi-state 1\n"
"""The first line: what the file is, and the version of its form."""
_HEAD_WORD: Final = b"monitorpi-state "
_SUM_DIGITS: Final = 8
_ZERO: Final = b"\0"


class RecordError(ValueError):
    """A file that is not of this form; the text says how."""


class LaterVersionError(RecordError):
    """A file of a form that only a later version knows."""


@dataclass(frozen=True, slots=True)
class RetainedRecord:
    """A retained message, as it is kept."""

    name: str
    """``{kind}/{id}``: site and service are those of whoever keeps it."""
    payload: bytes
    """As it was published; empty: it was taken back."""
    left_s: float | None = None
    """Seconds after which the broker would have forgotten it; None: never."""
    at_s: float | None = None
    """When it was written, seconds since 1970; None: the clock was not set."""

    @property
    def size(self) -> int:
        """About how many bytes it takes in the file."""
        return len(self.name) + len(self.payload) + _OVERHEAD

    def encode(self) -> bytes:
        """Return its line."""
        left = "null" if self.left_s is None else f"{self.left_s:.0f}"
        at = "null" if self.at_s is None else f"{self.at_s:.3f}"
        text = b'{"name":"%b","at":%b,"left_s":%b,"message":%b}' % (
            self.name.encode(), at.encode(), left.encode(), self.payload or b"null",
        )  # fmt: skip
        return b"%08x %b\n" % (zlib.crc32(text), text)


_OVERHEAD: Final = 64


class _RecordLine(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, StringConstraints(max_length=300)]
    at: Annotated[float, Field(allow_inf_nan=False)] | None = None
    left_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    message: JsonValue


@dataclass(slots=True)
class RecordReading:
    """What a file held."""

    records: dict[str, RetainedRecord] = field(default_factory=dict)
    """The newest record of each name; what was taken back is not among them."""
    damaged: int = 0
    """Lines that were no record."""
    torn: bool = False
    """The last line has no end: it was being written when the power went."""


def encode_all(records: Iterable[RetainedRecord]) -> bytes:
    """Return a whole file."""
    return HEAD + b"".join(one.encode() for one in records)


def decode(data: bytes) -> RecordReading:
    """Read a file.

    Raises:
        LaterVersionError: it is of a later version.
        RecordError: it is something else.

    """
    if not data.startswith(HEAD):
        if data.startswith(_HEAD_WORD):
            raise LaterVersionError("written by a later version")
        raise RecordError("not of our making")
    reading = RecordReading()
    *lines, rest = data[len(HEAD) :].split(b"\n")
    reading.torn = bool(rest.strip(_ZERO))
    for line in lines:
        record = _record(line)
        if record is None:
            reading.damaged += 1
        elif record.payload:
            reading.records[record.name] = record
        else:
            reading.records.pop(record.name, None)
    return reading


def _record(line: bytes) -> RetainedRecord | None:
    """Return the record of a line; None: it is damaged."""
    digits, _, text = line.partition(b" ")
    try:
        if len(digits) != _SUM_DIGITS or int(digits, 16) != zlib.crc32(text):
            return None
        found = _RecordLine.model_validate_json(text)
        payload = _payload(text, found)
        return RetainedRecord(found.name, payload, found.left_s, found.at)
    except (ValueError, ValidationError, RecursionError):
        return None


def _payload(text: bytes, found: _RecordLine) -> bytes:
    """Return the message's own bytes: it is the last value of its line."""
    if found.message is None:
        return b""
    _, mark, payload = text.partition(b',"message":')
    if not mark:
        raise RecordError("no message")
    return payload[:-1]
