"""One window's counts -> the payload of a traffic message. Pure, and fast: no model per row.

The JSON of each listed device is made from a plain dict by pydantic's own serialiser and put
behind the head of the message; a test validates the result as :class:`Traffic`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from monitorpi_capture.frame.text import ip_text, mac_text
from monitorpi_capture.items import BYTES, COLUMN, FIRST_CLASS, PACKETS, WIDTH, counts_by_name
from monitorpi_common.messages import Traffic, Wire, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitorpi_capture.count.copyevidence import CopyShares
    from monitorpi_capture.items import MacCounts, TopPeer, WindowCounts

MAX_PAYLOAD: Final = 256 * 1024
"""Bytes of one message; the broker's limit is set above it."""
_HEAD_ROOM: Final = 4 * 1024
"""The head of a message: two dozen counts twice, names and times."""
_LEVEL_COLUMNS: Final = tuple(
    COLUMN[name] for name in ("syn", "icmp_echo", "arp", "dhcp", "igmp", "broadcast")
)
_GROUP: Final = 0x01


Payload = bytes  # inside the class ``bytes`` is a field


class Snapshot(Traffic):
    """A traffic message that was encoded when it was made."""

    payload: Payload

    def encode(self) -> Payload:
        """Return the JSON that was made with the message, at most :data:`MAX_PAYLOAD` bytes."""
        return self.payload


class WireSnapshot(Wire):
    """A message of the wire that was encoded when it was made."""

    payload: Payload

    def encode(self) -> Payload:
        """Return the payload."""
        return self.payload


def rfc3339(at_s: float) -> str:
    """Return seconds since 1970 as the bus writes times."""
    return timestamp(datetime.fromtimestamp(at_s, UTC))


def sum_of(many: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of several counts, column by column."""
    total = [0] * WIDTH
    columns = list(zip(*(counts for counts in many if counts), strict=True))
    return [sum(column) for column in columns] if columns else total


def ordered(rows: Iterable[MacCounts], level: float) -> list[MacCounts]:
    """Return the rows as they are listed.

    First those that sent more than ``level`` of a class that floods are made of, the most first;
    then the busiest by bytes.
    """
    floods = itemgetter(*_LEVEL_COLUMNS)

    def rank(row: MacCounts) -> tuple[int, int, bytes]:
        tx, rx = row.tx, row.rx
        flood = 0
        if tx:
            flood = max(floods(tx))
            if flood <= level:
                flood = 0
        size = (tx[BYTES] if tx else 0) + (rx[BYTES] if rx else 0)
        return -flood, -size, row.mac

    return sorted(rows, key=rank)


def device_json(row: MacCounts, role: str, copies: CopyShares | None = None) -> bytes:
    """Return one listed device as JSON; what is empty is left out."""
    device: dict[str, Any] = {"mac": mac_text(row.mac), "role": role}
    if row.tx:
        device["tx"] = counts_by_name(row.tx)
    if row.rx:
        device["rx"] = counts_by_name(row.rx)
    if row.spread is not None:
        device["spread"] = row.spread._asdict()
        if row.syn_target is not None and max(row.spread.dst_ips, row.spread.dst_ports) > 1:
            target = row.syn_target
            device["spread"] |= {"a_host": ip_text(target.ip), "a_port": target.port}
    if row.syn_peer is not None or row.echo_peer is not None:
        device["top_peer"] = {
            name: _peer(peer)
            for name, peer in (("syn", row.syn_peer), ("icmp_echo", row.echo_peer))
            if peer is not None
        }
    if copies is not None:
        device["copies"] = copies._asdict()
    return to_json(device)


def _peer(peer: TopPeer) -> dict[str, Any]:
    shown: dict[str, Any] = {"packets": peer.packets}
    if not peer.mac[0] & _GROUP:
        shown["mac"] = mac_text(peer.mac)
    if peer.ip is not None:
        shown["ip"] = ip_text(peer.ip)
    if peer.port is not None:
        shown["port"] = peer.port
    return shown


def listed(
    window: WindowCounts,
    level_per_s: float,
    most: int,
    role: Callable[[bytes], str],
    copies: Mapping[bytes, CopyShares] = MappingProxyType({}),
) -> tuple[list[bytes], dict[str, Any]]:
    """Return the JSON of each device to list, and what the others add up to.

    Args:
        window: the counts.
        level_per_s: the reporting level, frames/s.
        most: how many devices at most; the payload's limit may leave less.
        role: returns the role of a MAC.
        copies: how often the port shows the frames of a MAC.

    """
    rows = ordered(window.rows, level_per_s * window.length_s)
    pieces: list[bytes] = []
    room = MAX_PAYLOAD - _HEAD_ROOM
    for row in rows[:most]:
        piece = device_json(row, role(row.mac), copies.get(row.mac))
        room -= len(piece) + 1
        if room < 0:
            break
        pieces.append(piece)
    rest = rows[len(pieces) :]
    counts = sum_of([window.overflow_tx, *(row.tx for row in rest)])
    senders = sum(1 for row in window.rows if row.tx)
    omitted = {
        "devices": len(rest) + max(window.source_macs - senders, 0),
        "packets": counts[PACKETS],
        "bytes": counts[BYTES],
        "classes": counts_by_name(counts, first=FIRST_CLASS),
    }
    return pieces, omitted


def snapshots(
    head: dict[str, Any], omitted: dict[str, Any], devices: Sequence[bytes], *, has_times: bool
) -> tuple[WireSnapshot, Snapshot]:
    """Return the messages of a window: of the wire alone, and with its devices."""
    wire = to_json(head)
    rest = b"" if has_times else b',"has_times":false'
    rest += b',"omitted":' + to_json(omitted) + b',"devices":[' + b",".join(devices) + b"]}"
    small: dict[str, Any] = {"payload": wire}
    whole: dict[str, Any] = {"payload": wire[:-1] + rest}
    return WireSnapshot.model_construct(None, **small), Snapshot.model_construct(None, **whole)
