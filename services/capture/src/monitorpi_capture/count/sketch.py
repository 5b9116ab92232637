"""Counting distinct things and finding the most frequent one, in bounded memory. Pure."""

from __future__ import annotations

import math
from typing import Final

from monitorpi_capture.items import SynTarget, TopPeer

_EXACT: Final = 32
"""Distinct items kept as they are; a larger set would take more memory than the sketch."""
_INDEX_BITS: Final = 11
_REGISTERS: Final = 1 << _INDEX_BITS
"""2,048 registers of a byte: standard error 1.04 / sqrt(2048) = 2.3 % (Flajolet et al. 2007)."""
_ALPHA: Final = 0.7213 / (1 + 1.079 / _REGISTERS)
_WORD: Final = (1 << 64) - 1


def _mixed(item: bytes) -> int:
    """Spread the bits of an item over 64 (the finaliser of MurmurHash3)."""
    word = int.from_bytes(item, "big")
    word = (word ^ word >> 64) & _WORD
    word = (word ^ word >> 33) * 0xFF51AFD7ED558CCD & _WORD
    word = (word ^ word >> 33) * 0xC4CEB9FE1A85EC53 & _WORD
    return word ^ word >> 33


class Distinct:
    """How many different items were added: exact up to 32, then a HyperLogLog estimate."""

    __slots__ = ("_last", "_registers", "_seen")

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._seen: set[bytes] | None = None
        """Made with the second item: most senders have one address."""
        self._registers: bytearray | None = None

    def add(self, item: bytes) -> None:
        """Count an item of at most 16 bytes."""
        last = self._last
        if item == last:
            return
        self._last = item
        if self._registers is not None:
            self._register(self._registers, item)
        elif self._seen is not None:
            self._seen.add(item)
            if len(self._seen) > _EXACT:
                self._registers = bytearray(_REGISTERS)
                for one in self._seen:
                    self._register(self._registers, one)
                self._seen = None
        elif last is not None:
            self._seen = {last, item}

    @staticmethod
    def _register(registers: bytearray, item: bytes) -> None:
        word = _mixed(item)
        index = word & (_REGISTERS - 1)
        rank = 65 - _INDEX_BITS - (word >> _INDEX_BITS).bit_length()
        registers[index] = max(registers[index], rank)

    def count(self) -> int:
        """Return how many, within a few percent."""
        if self._registers is None:
            return len(self._seen) if self._seen is not None else int(self._last is not None)
        empty = self._registers.count(0)
        if empty:
            linear = _REGISTERS * math.log(_REGISTERS / empty)
            if linear < 2.5 * _REGISTERS:
                return round(linear)
        total = sum(2.0**-rank for rank in self._registers)
        return round(_ALPHA * _REGISTERS * _REGISTERS / total)


class Frequent:
    """Who sent most, in bounded memory (Misra and Gries 1982; merged as Agarwal et al. 2012).

    With ``most`` counters kept, an item's votes are at most ``all / most`` too few, never too many.
    """

    __slots__ = ("_most", "_votes")

    def __init__(self, most: int) -> None:
        self._most = most
        self._votes: dict[bytes, int] = {}

    def add(self, item: bytes, count: int = 1) -> int:
        """Count an item and return its votes."""
        votes = self._votes[item] = self._votes.get(item, 0) + count
        if len(self._votes) > 2 * self._most:
            self._outvote()
            return self._votes.get(item, 0)
        return votes

    def _outvote(self) -> None:
        """Take from all what the strongest of those has that find no place."""
        least = sorted(self._votes.values(), reverse=True)[self._most]
        self._votes = {item: votes - least for item, votes in self._votes.items() if votes > least}

    def votes(self, item: bytes) -> int:
        """Return how often an item was counted, at least."""
        return self._votes.get(item, 0)

    def over(self, least: int) -> dict[bytes, int]:
        """Return the items with at least so many votes."""
        return {item: votes for item, votes in self._votes.items() if votes >= least}


class Vote:
    """The destination that got more than half of the frames, if one did (Boyer and Moore 1981)."""

    __slots__ = ("_hits", "_port", "_port_score", "_score", "_winner")

    def __init__(self) -> None:
        self._winner: tuple[bytes, bytes] | None = None
        self._score = 0
        self._hits = 0
        self._port = 0
        self._port_score = 0

    def add(self, mac: bytes, ip: bytes, port: int, frames: int = 1) -> None:
        """Count frames to one destination."""
        if (mac, ip) == self._winner:
            self._score += frames
            self._hits += frames
            self._vote_port(port, frames)
        elif self._score >= frames:
            self._score -= frames
        else:
            self._winner = (mac, ip)
            self._score = frames - self._score
            self._hits = self._port_score = frames
            self._port = port

    def _vote_port(self, port: int, frames: int) -> None:
        if port == self._port:
            self._port_score += frames
        elif self._port_score >= frames:
            self._port_score -= frames
        else:
            self._port = port
            self._port_score = frames - self._port_score

    def any_target(self) -> SynTarget | None:
        """Return the candidate the vote happened to end with, won or not."""
        return None if self._winner is None else SynTarget(self._winner[1], self._port)

    def winner(self, *, with_port: bool) -> TopPeer | None:
        """Return who won, with at least how many frames it got."""
        if self._winner is None or not self._score:
            return None
        mac, ip = self._winner
        port = self._port if with_port and self._port_score else None
        return TopPeer(mac, ip, port, self._hits)
