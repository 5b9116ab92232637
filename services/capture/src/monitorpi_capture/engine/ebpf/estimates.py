"""Sketches and votes of several CPUs put together: how many, and which most. Pure."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from monitorpi_capture.engine.ebpf.memory import SKETCH_REGISTERS
from monitorpi_capture.items import SynTarget, TopPeer

if TYPE_CHECKING:
    from collections.abc import Sequence

Bytes: TypeAlias = bytes | memoryview
Ballot: TypeAlias = tuple[Any, ...]
"""A vote as it is unpacked: MAC, IP version, address, score, hits, port, score of the port."""
Sketch: TypeAlias = tuple[Bytes, int, int]
"""Registers; how many are filled, and what is gone of the sum: see :func:`estimate`."""
_SCORE: Final = 3
"""Where a vote says how far it is ahead."""
_ALPHA: Final = 0.7213 / (1 + 1.079 / SKETCH_REGISTERS)
"""Flajolet et al. 2007, figure 3."""
_REGISTER_TOP: Final = 15


@lru_cache(maxsize=4096)
def estimate(filled: int, gone: int) -> int:
    """Return how many distinct items a sketch saw.

    HyperLogLog (Flajolet et al. 2007) with linear counting while registers are empty.

    Args:
        filled: registers that are not 0.
        gone: sum over the registers of ``2^15 - 2^(15 - register)``.

    """
    empty = SKETCH_REGISTERS - filled
    if empty:
        linear = SKETCH_REGISTERS * math.log(SKETCH_REGISTERS / empty)
        if linear < 2.5 * SKETCH_REGISTERS:
            return round(linear)
    total = SKETCH_REGISTERS - gone / (1 << _REGISTER_TOP)
    return round(_ALPHA * SKETCH_REGISTERS * SKETCH_REGISTERS / total)


def merged(sketches: Sequence[Sketch]) -> int:
    """Return the estimate of several CPUs' sketches together."""
    seen = [sketch for sketch in sketches if sketch[1]]
    if len(seen) <= 1:
        return estimate(*seen[0][1:]) if seen else 0
    if all(one[0] == seen[0][0] for one in seen):
        return estimate(*seen[0][1:])
    low = map(max, *((byte & 15 for byte in one[0]) for one in seen))
    high = map(max, *((byte >> 4 for byte in one[0]) for one in seen))
    registers = [*low, *high]
    filled = sum(1 for register in registers if register)
    gone = sum((1 << _REGISTER_TOP) - (1 << _REGISTER_TOP - register) for register in registers)
    return estimate(filled, gone)


def any_target(votes: Sequence[Ballot]) -> SynTarget | None:
    """Return what the first CPU's vote ended with, won or not; None without any SYN."""
    for _, version, address, _, hits, port, _ in votes:
        if hits:
            return SynTarget(_address(version, address), port)
    return None


def _address(version: int, address: bytes) -> bytes:
    return address[8:12] if version == 4 else address  # noqa: PLR2004 - the IP version


def winner(votes: Sequence[Ballot], *, with_port: bool) -> TopPeer | None:
    """Return whom the CPUs' votes together leave standing."""
    candidates = [vote for vote in votes if vote[_SCORE]]
    winner = candidates[0] if len(candidates) == 1 else _elected(candidates)
    if winner is None:
        return None
    mac, version, address, _, hits, port, port_score = winner
    return TopPeer(
        mac, _address(version, address), port if with_port and port_score else None, hits
    )


def _elected(candidates: Sequence[Ballot]) -> Ballot | None:
    """Return the candidate that is left when they are set against each other."""
    standing: dict[tuple[bytes, int, bytes], tuple[int, int, int, int]] = {}
    for mac, version, address, score, hits, port, port_score in candidates:
        who = (mac, version, address)
        if who in standing:
            old = standing[who]
            if old[2] == port:
                ports = (port, old[3] + port_score)
            else:
                ports = max((old[2:], (port, port_score)), key=operator.itemgetter(1))
                ports = (ports[0], abs(old[3] - port_score))
            standing[who] = (old[0] + score, old[1] + hits, *ports)
        else:
            standing[who] = (score, hits, port, port_score)
    best = max(standing, key=lambda who: standing[who][0], default=None)
    if best is None or 2 * standing[best][0] <= sum(entry[0] for entry in standing.values()):
        return None
    return (*best, *standing[best])
