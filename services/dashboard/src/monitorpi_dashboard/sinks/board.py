"""What everybody sees, handed from the core's thread to those of requests.

Theory of operation. While pages are open the core makes a picture each second; the first event of
a page is the whole of it, each further one a merge patch (RFC 7396) that is made and encoded once
for all. Who missed one gets the whole again. With no page open nothing is made until somebody asks:
then the core is asked for one picture.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from monitorpi_dashboard.changes import patch
from monitorpi_dashboard.items import PictureWanted
from monitorpi_dashboard.picture import rates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import WatchLevel
    from monitorpi_dashboard.core import Sight
    from monitorpi_dashboard.picture import Part

ASKED_S: Final = 2.0
"""A picture that was asked for comes within one turn of the core."""


class Board:
    """The newest picture, and a bell for those who wait for the next one."""

    def __init__(self) -> None:
        self.emit: Callable[[object], None] | None = None
        """Set while the page is served: how the core is asked."""
        self._sight: Sight | None = None
        self._picture: Part = {}
        self._number = 0
        """Of the newest picture."""
        self._patch = b""
        self._whole: tuple[int, bytes] = (0, b"{}")
        """The newest picture that was encoded, with its number."""
        self._viewers = 0
        self._changed = threading.Condition()
        self._closed = False

    # --- the core's side ----------------------------------------------------------------------

    def is_wanted(self) -> bool:
        """Return whether anybody looks."""
        return self._viewers > 0

    def put(self, sight: Sight) -> None:
        """Show what the core hands out."""
        event = b""
        if sight.picture is not None and self._viewers:
            changes = _json(patch(self._picture, sight.picture))
            event = b"event: patch\ndata: " + changes + b"\n\n"
        with self._changed:
            self._sight = sight
            if sight.picture is not None:
                self._picture, self._patch = sight.picture, event
                self._number += 1
                self._changed.notify_all()

    # --- requests -----------------------------------------------------------------------------

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Count as somebody who looks."""
        with self._changed:
            self._viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1

    def picture(self) -> Part:
        """Return the picture as it is now."""
        self._renew(with_rates=False)
        with self._changed:
            return self._picture

    def newest(self) -> bytes:
        """Return the picture as it is now, as JSON."""
        self._renew()
        with self._changed:
            return self._encoded()

    def _renew(self, *, with_rates: bool = True) -> None:
        """Have the core make a picture, unless it makes one each second.

        It is asked without the lock: where much waits for the core, asking waits too, and the core
        needs the lock to go on.
        """
        if (self._viewers > 1 and self._number) or self.emit is None or self._closed:
            return
        number = self._number
        self.emit(PictureWanted(with_rates))
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._closed, ASKED_S)

    def _encoded(self) -> bytes:
        if self._whole[0] != self._number:
            self._whole = (self._number, _json(self._picture))
        return self._whole[1]

    def after(self, number: int, timeout_s: float) -> tuple[int, bytes | None]:
        """Wait for a picture newer than the given one; returns its number and what to send.

        None: none came, or the end has.
        """
        if number == 0:
            self._renew()
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._closed, timeout_s)
            if self._closed or self._number <= number:
                return number, None
            if number and self._number == number + 1 and self._patch:
                return self._number, self._patch
            return self._number, b"event: whole\ndata: " + self._encoded() + b"\n\n"

    def glance(self) -> bytes:
        """Return what stands in the title of a page that nobody looks at."""
        open_alerts = self._sight.open_alerts if self._sight else 0
        return b'{"state":"%b","open":%d}' % (self.level.encode(), open_alerts)

    def rates(self, mac: str) -> dict[str, Any]:
        """Return every class that a MAC sends and is sent now."""
        return rates_of(mac, self._sight.rows if self._sight else {})

    @property
    def level(self) -> WatchLevel:
        """Whether anybody watches."""
        return self._sight.level if self._sight else "blind"

    @property
    def history_url(self) -> str | None:
        """Where a history that runs says it answers."""
        return self._sight.history_url if self._sight else None

    @property
    def closed(self) -> bool:
        """Nothing more will be shown."""
        return self._closed

    def close(self) -> None:
        """Let everybody go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _json(part: Part) -> bytes:
    """Write JSON; what is no number in JSON would stop a page."""
    return to_json(part, inf_nan_mode="null")
