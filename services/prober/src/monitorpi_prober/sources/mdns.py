"""Asks a device for its own name by multicast DNS: one question, one answer. No sockets here.

RFC 6762 section 6.7: a question from another port than 5353 is a legacy one and is answered
directly. Only what a reverse question needs is understood (RFC 1035, sections 4.1 and 4.1.4), and
every length in an answer is foreign data.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

GROUP: Final = ("224.0.0.251", 5353)
_HEADER: Final = struct.Struct("!6H")
_PTR, _IN = 12, 1
_TYPE_CLASS: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_POINTER: Final = 0xC0
_MAX_JUMPS: Final = 16  # a name of 255 bytes needs none; a loop of pointers has no end
_MAX_RECORDS: Final = 32
_MAX_NAME: Final = 255
_MAX_LABEL: Final = 63


def question(address: str, identifier: int) -> bytes:
    """Return the question for the name of an address."""
    labels = ipaddress.ip_address(address).reverse_pointer.split(".")
    name = b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"
    return _HEADER.pack(identifier, 0, 1, 0, 0, 0) + name + _TYPE_CLASS.pack(_PTR, _IN)


def answer(data: bytes, address: str) -> str | None:
    """Return the name in an answer to :func:`question`; None: it holds none, or is malformed."""
    wanted = ipaddress.ip_address(address).reverse_pointer
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
        if not flags & 0x8000:
            return None
        at = _HEADER.size
        for _ in range(min(questions, _MAX_RECORDS)):
            at = _read_name(data, at)[1] + _TYPE_CLASS.size
        for _ in range(min(answers, _MAX_RECORDS)):
            owner, at = _read_name(data, at)
            kind, _, _, length = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            if kind == _PTR and owner.lower() == wanted:
                return _clean(_read_name(data, at)[0])
            at += length
    except (struct.error, IndexError, ValueError):
        return None
    return None


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """Read a name; returns it and the place behind it."""
    labels: list[str] = []
    behind: int | None = None
    jumps = size = 0
    while length := data[at]:
        if length & _POINTER == _POINTER:
            behind = behind if behind is not None else at + 2
            at = (length & ~_POINTER) << 8 | data[at + 1]
            jumps += 1
            if jumps > _MAX_JUMPS:
                raise ValueError("a loop of pointers")
            continue
        label = data[at + 1 : at + 1 + length]
        size += length + 1
        if length > _MAX_LABEL or len(label) < length or size > _MAX_NAME:
            raise ValueError("a malformed name")
        labels.append(label.decode("utf-8", "replace"))
        at += 1 + length
    return ".".join(labels), behind if behind is not None else at + 1


def _clean(name: str) -> str | None:
    """Keep what can be shown; a name without anything printable is none."""
    shown = "".join(character for character in name if character.isprintable()).strip(". ")
    return shown.removesuffix(".local") or None
