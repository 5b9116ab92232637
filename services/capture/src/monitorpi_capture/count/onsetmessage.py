"""A look at a running window -> the payload of an onset message. Pure, and fast as for windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from monitorpi_capture.count.listing import device_json, ordered, rfc3339
from monitorpi_capture.items import BYTES, FIRST_CLASS, PACKETS, counts_by_name
from monitorpi_common.messages import Onset

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_capture.count.copyevidence import CopyReport
    from monitorpi_capture.items import OnsetCounts

MOST: Final = 64
"""MAC addresses in a message: it must be read quickly."""
_SHORTEST_S: Final = 0.0005

Payload = bytes  # inside the class ``bytes`` is a field


class OnsetSnapshot(Onset):
    """An onset message that was encoded when it was made."""

    payload: Payload

    def encode(self) -> Payload:
        """Return the payload."""
        return self.payload


def onset_message(
    onset: OnsetCounts,
    known: dict[str, Any],
    role: Callable[[bytes], str],
    copies: CopyReport,
) -> OnsetSnapshot:
    """Return the message of a look at a running window.

    Args:
        onset: the look.
        known: what the core knows of the window: epoch, number, clock, whether replies are seen.
        role: returns the role of a MAC.
        copies: how often the port shows frames, as the last window had it.

    """
    window = onset.window
    head = known | {
        "start": rfc3339(window.start.wall_s),
        "end": rfc3339(window.end.wall_s),
        "window_s": round(max(window.length_s, _SHORTEST_S), 6),
        "rise_s": round(max(onset.rise_s, _SHORTEST_S), 6),
        "before": {name: count for name, count in onset.before._asdict().items() if count},
        "late_syn": window.late_syn,
        "interface": window.interface,
        "engine": window.engine,
        "packets": window.wire[PACKETS],
        "bytes": window.wire[BYTES],
        "counts": counts_by_name(window.wire, FIRST_CLASS),
        **copies.fields,
    }
    rows = ordered(window.rows, 0.0)[:MOST]
    devices = [device_json(row, role(row.mac), copies.devices.get(row.mac)) for row in rows]
    payload = to_json(head)[:-1] + b',"devices":[' + b",".join(devices) + b"]}"
    values: dict[str, Any] = {"payload": payload}
    return OnsetSnapshot.model_construct(None, **values)
