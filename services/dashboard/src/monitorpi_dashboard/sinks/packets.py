"""Lines about single frames, for those who watch them: the newest, numbered.

A page asks for what came after the last line it has. While somebody asks, the lines are read from
the bus; that capture sends any is ordered by the page itself, which says of whom.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Packet
    from monitorpi_dashboard.picture import Part

KEPT: Final = 500
"""Lines: a minute of them and less, as capture sends ten a second at most."""
ASKED_S: Final = 10.0
"""Whoever watches asks each second."""


class PacketLines:
    """Keeps the newest lines while somebody watches."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lines: deque[tuple[int, str, Packet]] = deque(maxlen=KEPT)
        self._number = 0
        self._asked_s: float | None = None
        self._guard = threading.Lock()

    def is_wanted(self) -> bool:
        """Return whether anybody watches."""
        return self._asked_s is not None and self._now() - self._asked_s < ASKED_S

    def put(self, interface: str, packet: Packet) -> None:
        """Keep a line; the oldest leaves."""
        with self._guard:
            self._number += 1
            self._lines.append((self._number, interface, packet))

    def after(self, number: int) -> bytes:
        """Return the lines behind a number, as JSON; with one that is ahead of us, all there are.

        ``missed`` says how many of them have left.
        """
        self._asked_s = self._now()
        with self._guard:
            last, kept = self._number, list(self._lines)
        number = number if number <= last else 0
        lines = [_part(*one) for one in kept if one[0] > number]
        missed = last - number - len(lines) if number else 0
        return to_json({"number": last, "missed": missed, "lines": lines})


def _part(number: int, interface: str, packet: Packet) -> Part:
    fields = {"at", "line", "mac_src", "mac_dst", "ip_src", "ip_dst", "length"}
    shown: Part = packet.model_dump(mode="json", include=fields)
    return {"number": number, "interface": interface} | shown
