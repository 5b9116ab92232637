"""The header of the kernel's program, made from the table of the memory it shares with Python."""

from __future__ import annotations

import textwrap
from typing import Final

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf.objectfile import OBJECT

HEADER: Final = OBJECT.with_suffix(".h")
_WIDTH: Final = 99
_TAB: Final = 8

_TOP: Final = """\
// SPDX-License-Identifier: MIT
/*
 * The memory count.bpf.c and Python share. Generated from memory.py by ./monitorpi generate; do not
 * edit. Include it behind <linux/types.h> and a definition of SEC().
 */

/* Both sides mean the same bytes, or this does not compile. */
#define PROVE(statement) _Static_assert(statement, "not where Python reads it")
"""


def header() -> str:
    """Return the text of the header: constants, classes, records and maps."""
    blocks = [_TOP, _constants(), _classes(), *map(_record, memory.RECORDS), _maps()]
    return "\n".join(blocks)


def _comment(text: str) -> str:
    """Return a comment of one line, or a block of several."""
    lines = text.splitlines()
    if len(lines) == 1:
        return f"/* {text} */\n"
    return "/*\n" + "".join(f" * {line}\n" for line in lines) + " */\n"


def _constants() -> str:
    lines = [
        f"#define {name} {f'{value:#x}' if value > _WIDTH else value} /* {note} */\n"
        for name, (value, note) in memory.CONSTANTS.items()
    ]
    sketches = ", ".join([*(name.upper() for name in memory.SKETCHES), "SKETCHES"])
    return "".join(lines) + f"enum {{ {sketches} }};\n"


def _classes() -> str:
    """Return a frame's classes as bits of a mask: bit w or 32 + w for word w of a side."""
    lines = [
        f"#define {_class(name)} (1ULL << {word + 32 * half})\n"
        for name, (word, half) in memory.PLACES.items()
    ]
    floods = textwrap.fill(
        " | ".join(map(_class, memory.FLOODS)),
        width=_WIDTH - 2 * _TAB,
        break_long_words=False,
        break_on_hyphens=False,
    )
    flags = " \\\n\t ".join(floods.splitlines())
    note = _comment("What floods are made of: a MAC without a row contends for one with these.")
    return "".join(lines) + f"{note}#define C_FLOODS \\\n\t({flags})\n"


def _class(name: str) -> str:
    return f"C_{name.upper()}"


def _record(record: memory.Record) -> str:
    members = [
        f"\t{member.declared};{f' /* {member.note} */' if member.note else ''}\n"
        for member in record.members
    ]
    proofs = [
        f"PROVE(__builtin_offsetof(struct {record.name}, {name}) == {offset});\n"
        for name, offset in record.offsets().items()
    ]
    proofs.append(f"PROVE(sizeof(struct {record.name}) == {record.size});\n")
    body = "".join(members)
    return f"{_comment(record.note)}struct {record.name} {{\n{body}}};\n{''.join(proofs)}"


def _maps() -> str:
    note = "One entry, reached without a look-up: the loader puts its address into the code."
    lines = [
        _comment(note) + 'struct control control SEC("variables");\n\n',
        _comment("Types and sizes of the others are given when they are made."),
        '#define MAP(name) \\\n\tstruct { \\\n\t\tint unused; \\\n\t} name SEC("maps")\n',
    ]
    notes = {name: note for name, (_, note) in memory.MAPS.items()} | memory.RING_MAPS
    lines += [f"MAP({name});{f' /* {note} */' if note else ''}\n" for name, note in notes.items()]
    return "".join(lines)
