"""Who hears what in a lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(reached: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll until the condition holds or the deadline passes; returns whether it holds."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
