"""Wait on a testbed's bus for a message, and take in the others meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.messages import Message
    from monitorpi_lab.demo.testbed import Testbed


async def received_in_time(
    testbed: Testbed,
    take: Callable[[float, Message], None],
    wanted: Callable[[Message], bool],
    seconds: float,
) -> Message | None:
    """Take messages, each with its time of arrival, until one is wanted; None: none came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        received = testbed.viewer.next()
        if received is None:
            await asyncio.sleep(0.01)
            continue
        message = received.message()
        if message is None:
            continue
        take(received.at_s, message)
        if wanted(message):
            return message
    return None
