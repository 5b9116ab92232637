"""Whether an address to listen on is one of this machine. I/O."""

from __future__ import annotations

import errno
import socket


def bind_error(listen: str, port: int) -> int | None:
    """Return why a port cannot be taken as a number of errno; None: it can."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listen or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno
    return None


def is_foreign(listen: str) -> bool:
    """Return whether an address is none of this machine, whatever the port."""
    return bind_error(listen, 0) == errno.EADDRNOTAVAIL
