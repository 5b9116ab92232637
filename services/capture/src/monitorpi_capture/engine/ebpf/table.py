"""The maps of one interface: made, read and cleared where they lie. I/O."""

from __future__ import annotations

import contextlib
import secrets
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.count.contenders import Guests, most_pinned
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.geometry import pin_rows
from monitorpi_capture.engine.ebpf.memory import (
    EPOCHS,
    FLOOD,
    MAPS,
    NEVER,
    ROW,
    SHARE,
    SKETCH_BYTES,
    SKETCHES,
)
from monitorpi_capture.engine.ebpf.parts import LayoutPart, Share, share_of
from monitorpi_capture.engine.ebpf.reading import Reading, reading
from monitorpi_capture.engine.ebpf.ring import Bell
from monitorpi_capture.items import FloodSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitorpi_capture.engine.ebpf.geometry import Geometry


_DRAW_AT: Final = SHARE.offsets()["draw"]
_DRAW: Final = slice(_DRAW_AT, _DRAW_AT + 8)
"""Where a share says in which cells MACs contend."""
_SUMS_AT: Final = SHARE.offsets()["flood_sums"]
_SUMS: Final = Struct("<3I")
"""SYNs, SYN-ACKs and echo requests, as :class:`FloodSums` has them."""
_RINGS_AT: Final = SHARE.offsets()["rings_at"]
_LIMIT: Final = Struct("<I")


class _Used(NamedTuple):
    """What is taken in a part: open rows, reserved rows, flood blocks, cells of contenders."""

    rows: int
    promoted: int
    floods: int
    is_contended: bool

    def promoted_at(self, geometry: Geometry) -> slice:
        """Return where the reserved rows that are taken lie among all rows, in bytes."""
        end = geometry.rows + self.promoted
        return slice(geometry.rows * ROW.size, end * ROW.size)


_NOTHING_USED: Final = _Used(0, 0, 0, is_contended=False)


class Table:
    """The maps of one interface: two epochs, of which one is live and the other ours."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._known: Sequence[bytes] = ()
        self._guests = Guests(geometry.reserve)
        self._pinned = pin_rows(geometry, ())
        self._stale = {0, 1}
        self._used = {epoch: [_NOTHING_USED] * geometry.parts for epoch in range(EPOCHS)}
        """What is taken in each part of an epoch."""
        self._maps: dict[str, system.ArrayMap] = {}
        count = EPOCHS * geometry.parts
        with contextlib.ExitStack() as undone:
            for name, entries in geometry.entries.items():
                size, _ = MAPS[name]
                self._maps[name] = system.create_array(name, size, count * entries)
                undone.callback(self._maps[name].close)
            self.bell = Bell()
            undone.callback(self.bell.close)
            shares = self._maps["shares"]
            self._shares = undone.enter_context(shares.mapped(0, shares.size))
            """Mapped for good: a page or a few, read many times a second."""
            self._open = undone.pop_all()

    @property
    def descriptors(self) -> dict[str, int]:
        """The file descriptors of the maps by name."""
        return {name: array.fd for name, array in self._maps.items()} | {"bell": self.bell.fd}

    def pin(self, macs: Sequence[bytes]) -> None:
        """Take the known MACs; they have rows from the next window on."""
        self._known = macs[: most_pinned(self._geometry.rows)]
        self._place()

    def _place(self) -> None:
        self._pinned = pin_rows(self._geometry, self._known, self._guests.macs)
        self._stale = {0, 1}

    def prepare(self, epoch: int) -> None:
        """Make an epoch ready that is not the live one."""
        if epoch in self._stale:
            with self._mapped(epoch) as parts:
                self._clear(epoch, parts)

    def take(self, epoch: int) -> Reading:
        """Return what a quiet epoch counted, and clear it."""
        with self._mapped(epoch) as parts:
            result = self._read(epoch, parts)
            known = frozenset(self._known)
            if self._guests.learn(result.rows, result.refused, known, overflown=result.overflown):
                self._place()
            self._clear(epoch, parts)
        return result

    def sums(self, epoch: int) -> FloodSums:
        """Return the flood sums of an epoch that may be live: each CPU keeps its own."""
        of_each = [_SUMS.unpack_from(self._shares, at + _SUMS_AT) for at in self._places(epoch)]
        return FloodSums(*map(sum, zip(*of_each, strict=True)))

    def ring_after(self, epoch: int, frames: int) -> None:
        """Let the bell be rung, once by each CPU, after so many more SYNs and echo requests."""
        self.bell.silence()
        for at in self._places(epoch):
            syn, _, icmp_echo = _SUMS.unpack_from(self._shares, at + _SUMS_AT)
            _LIMIT.pack_into(self._shares, at + _RINGS_AT, min(syn + icmp_echo + frames, NEVER))

    def _places(self, epoch: int) -> range:
        """Return where the shares of an epoch lie."""
        size = self._geometry.parts * SHARE.size
        return range(epoch * size, (epoch + 1) * size, SHARE.size)

    def peek(self, epoch: int) -> Reading:
        """Return what a live epoch has counted so far.

        Rows are copied first: whatever they name beside them was there before.
        """
        found = []
        with self._mapped(epoch) as parts:
            for part in parts:
                used = self._used_of(share_of(part["shares"]))
                rows = bytes(part["rows"][: used.rows * ROW.size])
                promoted = bytes(part["rows"][used.promoted_at(self._geometry)])
                share = share_of(part["shares"])
                floods = bytes(part["floods"][: self._used_of(share).floods * FLOOD.size])
                registers, contenders = bytes(part["registers"]), bytes(part["contenders"])
                found.append(LayoutPart(share, rows, promoted, floods, registers, contenders))
        return reading(found, self._geometry.rows, self._pinned.macs)

    def _used_of(self, share: Share) -> _Used:
        geometry = self._geometry
        return _Used(
            min(share.rows, geometry.rows),
            min(share.promoted, geometry.reserve),
            min(share.floods, geometry.floods),
            share.is_contended,
        )

    @contextlib.contextmanager
    def _mapped(self, epoch: int) -> Iterator[list[dict[str, memoryview]]]:
        """Lend the parts of an epoch, each by the names of the maps."""
        count = self._geometry.parts
        with contextlib.ExitStack() as stack:
            parts: list[dict[str, memoryview]] = [{} for _ in range(count)]
            for name, array in self._maps.items():
                size = array.size // (EPOCHS * count)
                whole = stack.enter_context(array.mapped(epoch * count * size, count * size))
                for number, part in enumerate(parts):
                    part[name] = stack.enter_context(whole[number * size : (number + 1) * size])
            yield parts

    def _read(self, epoch: int, parts: Sequence[Mapping[str, memoryview]]) -> Reading:
        geometry, found = self._geometry, []
        for number, part in enumerate(parts):
            share = share_of(part["shares"])
            used = self._used[epoch][number] = self._used_of(share)
            found.append(
                LayoutPart(
                    share,
                    part["rows"][: used.rows * ROW.size],
                    part["rows"][used.promoted_at(geometry)],
                    part["floods"][: used.floods * FLOOD.size],
                    part["registers"],
                    part["contenders"],
                )
            )
        # this epoch may have begun with other pinned rows: those of now say who stays on surplus
        return reading(found, geometry.rows, self._pinned.macs)

    def _clear(self, epoch: int, parts: Sequence[Mapping[str, memoryview]]) -> None:
        """Make each part what it is before its window."""
        pinned = self._pinned
        for part, used in zip(parts, self._used[epoch], strict=True):
            rows, floods = used.rows, used.floods
            system.clear(part["rows"][: rows * ROW.size])
            part["rows"][: len(pinned.rows)] = pinned.rows
            if used.is_contended:
                system.clear(part["rows"][used.promoted_at(self._geometry)])
                system.clear(part["contenders"])
            system.clear(part["floods"][: floods * FLOOD.size])
            sketches = floods * len(SKETCHES)
            system.clear(part["registers"][: sketches * SKETCH_BYTES])
            system.clear(part["registers"][-SKETCH_BYTES:])
            part["buckets"][:] = pinned.buckets
            part["shares"][:] = pinned.share
            part["shares"][_DRAW] = secrets.token_bytes(8)
        self._used[epoch] = [_NOTHING_USED._replace(rows=len(pinned.macs))] * len(parts)
        self._stale.discard(epoch)

    def close(self) -> None:
        """Close the maps: the kernel frees them with the program that uses them."""
        self._open.close()
        self._maps.clear()
