"""Reads the compiled object and links a program of it to maps. Pure but for where it lies.

Only what clang writes for our own source is understood: programs in sections of their own, maps as
symbols of the sections ``maps`` and ``variables``, which a program names by a 16-byte load
instruction each. A map of one entry in ``variables`` is used without a look-up: what is loaded is
the address of its value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OBJECT: Final = Path(__file__).resolve().parent / "count.bpf.o"
"""What a compiler made of the source beside it; `./monitorpi generate` makes it anew."""
_MAGIC: Final = b"\x7fELF\x02\x01"
"""64 bits, little-endian (System V ABI, chapter 4)."""
_MACHINE_BPF: Final = 247
_SHT_SYMTAB: Final = 2
_SHT_REL: Final = 9
_LOAD_64: Final = 0x18
"""BPF_LD | BPF_IMM | BPF_DW."""
_PSEUDO_MAP_FD: Final = 1
_PSEUDO_MAP_VALUE: Final = 2
"""The first value of an array of one, in place of the map (linux/bpf.h)."""


class ObjectFormatError(Exception):
    """This is no object our compiler step made."""


@dataclass(frozen=True)
class BpfObject:
    """The programs of an object by section, with the places that name maps."""

    programs: Mapping[str, bytes]
    references: Mapping[str, tuple[tuple[int, str], ...]]
    variables: frozenset[str]
    """The maps of one entry that programs use without a look-up."""
    licence: bytes

    def linked(self, section: str, maps: Mapping[str, int]) -> bytes:
        """Return a program's code with the file descriptors of its maps filled in."""
        code = bytearray(self.programs[section])
        for offset, name in self.references.get(section, ()):
            if code[offset] != _LOAD_64:
                raise ObjectFormatError(f"instruction at {offset} of {section} names no map")
            kind = _PSEUDO_MAP_VALUE if name in self.variables else _PSEUDO_MAP_FD
            code[offset + 1] = code[offset + 1] & 0x0F | kind << 4
            struct.pack_into("<i", code, offset + 4, maps[name])
        return bytes(code)


def parse(data: bytes) -> BpfObject:
    """Read an object file.

    Raises:
        ObjectFormatError: it is none.

    """
    try:
        return _parse(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ObjectFormatError(f"not an object file ({error})") from None


def _parse(data: bytes) -> BpfObject:
    if data[:6] != _MAGIC or struct.unpack_from("<H", data, 18)[0] != _MACHINE_BPF:
        raise ObjectFormatError("not a little-endian BPF object")
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    # each: name, type, flags, address, offset, size, link, info, alignment, entry size
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * i) for i in range(count)]

    def text(section: int, offset: int) -> str:
        start = headers[section][4] + offset
        return data[start : data.index(b"\0", start)].decode("ascii")

    sections = [text(names, header[0]) for header in headers]
    content = [data[header[4] : header[4] + header[5]] for header in headers]
    (symbols,) = (header for header in headers if header[1] == _SHT_SYMTAB)
    # each: name, info, other, section
    entries = [
        struct.unpack_from("<IBBH", data, offset)
        for offset in range(symbols[4], symbols[4] + symbols[5], 24)
    ]
    symbol = [text(symbols[6], entry[0]) for entry in entries]
    place = sections.index("variables") if "variables" in sections else -1
    variables = frozenset(
        name for name, entry in zip(symbol, entries, strict=True) if entry[3] == place
    )
    references = {
        sections[header[7]]: tuple(
            (offset, symbol[info >> 32])
            for offset, info in struct.iter_unpack("<QQ", content[index])
        )
        for index, header in enumerate(headers)
        if header[1] == _SHT_REL
    }
    programs = {
        name: content[index]
        for index, name in enumerate(sections)
        if name.startswith(("socket/", "tcx/"))
    }
    licence = content[sections.index("license")].rstrip(b"\0")
    return BpfObject(programs, references, variables, licence)
