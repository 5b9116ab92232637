"""Tells systemd, where it has started us, that we are ready and alive (sd_notify(3)). I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final

_VARIABLE: Final = "NOTIFY_SOCKET"
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"
BEAT_S: Final = 10.0
"""Between two signs of life; the unit waits for several of them."""


def notify(state: str) -> None:
    """Send a state, if anybody has asked for it."""
    address = os.environ.get(_VARIABLE)
    if not address:
        return
    if address.startswith("@"):  # no file: a name of Linux's own (unix(7), abstract)
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.sendall(state.encode())


async def beat() -> None:
    """Send signs of life until cancelled: they stop where our loop hangs."""
    while True:
        notify(_ALIVE)
        await asyncio.sleep(BEAT_S)
