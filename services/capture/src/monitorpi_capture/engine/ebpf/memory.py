"""The memory the kernel's program and Python share, written once. Pure.

``count.bpf.h`` is made from these tables (``./monitorpi generate``): the records as C declares
them, with the size each must have, so that the compiler proves what Python reads. A member says
both how C declares it and what Python reads from its bytes, in the letters of :mod:`struct`.

All maps are arrays of parts, ``[epoch 0..1][CPU]``. A part is written by one CPU alone while its
epoch is the live one, and by nobody else than us while it is not. Only systems with more than
:data:`MAX_PARTS` possible CPUs get fewer parts than CPUs: those that come up later share the last.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from monitorpi_capture.count.contenders import FLOOD_CLASSES, PROMOTE
from monitorpi_common.messages import CLASSES

MAX_PARTS: Final = 16
MAX_ROWS: Final = 65_535
"""A cell of a bucket keeps the row number in 16 bits."""
EPOCHS: Final = 2

# --- counters -----------------------------------------------------------------------------------

COMMON_WORDS: Final = (
    ("packets", "ipv4"), ("ipv6", "tcp"), ("udp", "syn"), ("https", "http"), ("icmp", "icmp_echo"),
)  # fmt: skip
"""Two counters to a word, the lower half first. Almost every frame counts in one of these ..."""
RARE_WORDS: Final = (
    ("broadcast", "multicast"), ("arp", "igmp"), ("dhcp", "dns"), ("fin", "syn_ack"),
    ("mdns", "vlan"), ("rst", "fragment"), ("malformed",),
)  # fmt: skip
"""... the others are touched only by frames that count in one of them. FIN and RST stand two words
apart, as they stand two bits apart in a TCP header: one multiplication sets both."""
WORDS: Final = len(COMMON_WORDS) + len(RARE_WORDS)
PLACES: Final = {
    name: (word, half)
    for word, names in enumerate(COMMON_WORDS + RARE_WORDS)
    for half, name in enumerate(names)
}
"""Word of a side and half of the word of each counter but ``bytes``."""

# --- numbers ------------------------------------------------------------------------------------

CELLS: Final = 8
PROMOTED: Final = 0x8000
PINNED: Final = 1
CONTENDER: Final = 2
SKETCH_REGISTERS: Final = 1024
SKETCH_WORDS: Final = SKETCH_REGISTERS // 16
SKETCHES: Final = ("src_ips", "dst_ips", "dst_ports")
"""Of a flood block, in the order in which they lie."""
SMALL_FRAME: Final = 256
LARGE_FRAME: Final = 2048
NO_TAG: Final = 0x10000
NEVER: Final = 0xFFFFFFFF
CELL_BYTES: Final = 8
BUCKET_BYTES: Final = CELL_BYTES * CELLS
REGISTER_WORD: Final = 8
"""Bytes of an entry of the map of the registers: sixteen of 4 bits each."""
SKETCH_BYTES: Final = SKETCH_WORDS * REGISTER_WORD

CONSTANTS: Final = {
    "CELLS": (CELLS, "of a bucket, each MAC << 16 | row number"),
    "PROMOTE": (PROMOTE, "votes ahead from which a MAC has a row"),
    "PROMOTED": (PROMOTED, "in a contender's cell: the number of its row follows"),
    "PINNED": (PINNED, "who has a row: one that had it before the window began ..."),
    "CONTENDER": (CONTENDER, "... or that was promoted, now or in the windows before"),
    "SKETCH_WORDS": (SKETCH_WORDS, "1,024 registers of 4 bits: standard error 3.3 %"),
    "COMMON_WORDS": (len(COMMON_WORDS), "those that almost every frame counts in"),
    "WORDS": (WORDS, "of a side, two counters each"),
    "SMALL_FRAME": (SMALL_FRAME, "room in the ring for a frame of ARP and its like"),
    "LARGE_FRAME": (LARGE_FRAME, "... and for any other"),
    "NO_TAG": (NO_TAG, "beyond any control information"),
    "NEVER": (NEVER, "more SYNs than any window has: the bell is rung no more"),
}
"""Numbers that both sides use, by their name in C, each with what it means."""
FLOODS: Final = FLOOD_CLASSES
"""With frames of these classes a MAC without a row contends for one."""

# --- records ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a record, as C and Python see it."""

    declared: str
    """As C declares it."""
    read: str
    """What Python reads from its bytes; ``8x``: nothing."""
    note: str = ""

    @property
    def name(self) -> str:
        """The name, without type and length."""
        return self.declared.split()[-1].split("[")[0]


class Record:
    """A struct of C, and what Python reads from it."""

    def __init__(self, name: str, note: str, *members: Member) -> None:
        self.name = name
        self.note = note
        self.members = members
        self.read: Final = "".join(member.read for member in members)
        self.layout: Final = struct.Struct("<" + self.read)

    @property
    def size(self) -> int:
        """Bytes; C agrees, or it does not compile."""
        return self.layout.size

    def offsets(self) -> dict[str, int]:
        """Return where each member lies, in bytes from the start."""
        reads = [member.read for member in self.members]
        return {
            member.name: struct.calcsize("<" + "".join(reads[:number]))
            for number, member in enumerate(self.members)
        }

    def at(self, name: str) -> int:
        """Return where the values of a member begin among those that are unpacked."""
        before = self.members[: [member.name for member in self.members].index(name)]
        return _values("".join(member.read for member in before))

    def values(self, name: str) -> slice:
        """Return where the values of a member stand among those that are unpacked."""
        (member,) = (member for member in self.members if member.name == name)
        start = self.at(name)
        return slice(start, start + _values(member.read))

    def pack(self, **values: Any) -> bytes:
        """Return a record of these values, one of each member.

        Raises:
            KeyError: a member has no value.

        """
        return self.layout.pack(*(values[member.name] for member in self.members))


def _values(read: str) -> int:
    """Return how many values these letters unpack to."""
    layout = struct.Struct("<" + read)
    return len(layout.unpack(bytes(layout.size)))


CONTROL: Final = Record(
    "control",
    "Where what lies in the maps of all interfaces, and which epoch is live.",
    Member("__u32 epoch", "I"),
    Member("__u32 cpus", "I", "parts of an epoch"),
    Member("__u32 rows", "I", "per part, the reserved ones too: at most 65,535"),
    Member("__u32 buckets", "I", "per part, a power of two"),
    Member("__u32 floods", "I", "per part; as many as rows are reserved are for contenders"),
    Member("__u32 unknown_floods", "I", "of these, for MACs whose rows are not pinned"),
    Member("__u32 shift", "I", "64 - log2(buckets)"),
    Member("__u32 open", "I", "of the rows, those that whoever comes first may take"),
    Member("__u64 factor", "Q", "secret, odd"),
    Member("__u64 salt", "Q", "secret"),
)
SIDE: Final = Record(
    "side",
    "What one MAC sent, or was sent.",
    Member("__u64 bytes", "Q"),
    Member("__u64 words[WORDS]", f"{2 * WORDS}I"),
)
ROW: Final = Record(
    "row",
    "One MAC. An odd number of cache lines, though four would hold it: at steps of four the lines\n"
    "every frame counts in would share a quarter of the cache's sets.",
    Member("__u8 mac[6]", "6s"),
    Member("__u16 kind", "H", "0, PINNED or CONTENDER"),
    Member("__u32 flood", "I", "number of the flood block + 1, 0: none"),
    Member("__u32 unused", "4x"),
    Member("struct side tx", SIDE.read, "with the head: two cache lines"),
    Member("__u64 gap", "8x"),
    Member("struct side rx", SIDE.read),
    Member("__u64 tail[11]", "88x"),
)
BUCKET: Final = Record(
    "bucket",
    "One cache line in which a MAC is found.",
    Member("__u64 cells[CELLS]", f"{CELLS}Q"),
)
SKETCH: Final = Record(
    "sketch",
    "How full one is. Its registers lie in a map of their own: a computed place in a value would\n"
    "be a pointer whose every path the verifier walks apart for those without CAP_PERFMON; an\n"
    "index is just a number.",
    Member("__u32 filled", "I", "registers that are not 0"),
    Member("__u32 gone", "I", "sum over the registers of 2^15 - 2^(15 - register)"),
)
VOTE: Final = Record(
    "vote",
    "The destination that most frames of a class went to, by majority vote.",
    Member("__u64 who", "6sH", "MAC | IP version << 48; 0: nobody"),
    Member("__u64 ip[2]", "16s"),
    Member("__u32 score", "I"),
    Member("__u32 hits", "I"),
    Member("__u32 port", "I"),
    Member("__u32 port_score", "I"),
)
FLOOD: Final = Record(
    "flood",
    "Where one MAC's SYNs and echo requests went.",
    Member("struct vote syn", VOTE.read),
    Member("struct vote echo", VOTE.read),
    Member("__u64 last_source[2]", "16x"),
    Member("struct sketch sketches[SKETCHES]", len(SKETCHES) * SKETCH.read),
    Member("__u64 tail", "8x"),
)
SHARE: Final = Record(
    "share",
    "What a CPU keeps beside its rows.",
    Member("__u32 rows", "I", "taken so far of the open ones"),
    Member("__u32 floods", "I"),
    Member("__u32 unknown_floods", "I"),
    Member("__u32 promoted", "I", "reserved rows taken so far"),
    Member("__u64 draw", "Q", "where MACs contend, anew in each window: see contend()"),
    Member("struct side overflow_tx", SIDE.read),
    Member("struct side overflow_rx", SIDE.read),
    Member("struct side unlinked", SIDE.read),
    Member("struct sketch overflown", SKETCH.read, "sources that found no row"),
    Member("__u64 flood_sums[2]", "3I4x", "of all rows: SYNs and SYN-ACKs, echo requests"),
    Member("__u32 rings_at", "I", "SYNs and echo requests from which the bell is rung, or NEVER"),
    Member("__u32 more", "4x"),
)
CAUGHT: Final = Record(
    "caught",
    "What lies in front of a frame in the ring.",
    Member("__u32 length", "I", "of the frame, of which all is here that finds room"),
    Member("__u32 tag", "I", "the control information of the tag that was taken out, or NO_TAG"),
)
RECORDS: Final = (CONTROL, SIDE, ROW, BUCKET, SKETCH, VOTE, FLOOD, SHARE, CAUGHT)
"""In the order in which C must declare them."""

# --- maps ---------------------------------------------------------------------------------------

MAPS: Final = {
    "buckets": (BUCKET.size, ""),
    "contenders": (
        CELL_BYTES, "MAC << 16 | votes ahead, or PROMOTED | row; as many as buckets have cells"
    ),
    "rows": (ROW.size, "the open ones, then the reserved ones"),
    "floods": (FLOOD.size, ""),
    "registers": (REGISTER_WORD, "of the sketches of the flood blocks, then of the share's"),
    "shares": (SHARE.size, ""),
}  # fmt: skip
"""Bytes of an entry of each map, and what it holds; ``control`` has one entry and no look-up."""
RING_MAPS: Final = {
    "bell": "rung where a flood may begin; what lies in it means nothing",
    "ring": "frames for the inventory, each behind a struct caught",
    "missed": "frames that found no room in it, by CPU",
}
"""Maps of an interface that has no socket to take frames; not by epoch."""


def class_names(returned: int) -> list[str]:
    """Return the classes that the program ``socket/classify`` returns as bits, in their order."""
    found = {name for name, (word, half) in PLACES.items() if returned >> (word + WORDS * half) & 1}
    return [name for name in CLASSES if name in found]
