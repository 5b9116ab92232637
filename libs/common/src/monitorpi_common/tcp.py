"""What our TCP connections have in common."""

from __future__ import annotations

import socket
from typing import Any


def send_at_once(_client: object, _data: object, sock: Any) -> None:
    """Let no message wait up to 40 ms for the acknowledgement of the one before (Nagle).

    Called by paho with each socket it opens.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
