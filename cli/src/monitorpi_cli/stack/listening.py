"""What of ours listens on this machine, and whether an address is one of it. I/O."""

from __future__ import annotations

import errno
import socket
from itertools import combinations
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitorpi_common.settings import BrokerSettings

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_EVERY: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


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


def is_own(settings: BrokerSettings) -> bool:
    """Return whether `up` runs the broker itself.

    One elsewhere or with TLS is somebody else's, and so is one that asks for a user who is not of
    our making; ``broker.own`` says it where that is not enough.
    """
    if settings.own is not None:
        return settings.own
    named = {"username", "password"} & settings.model_fields_set
    return settings.host in LOOPBACK and settings.tls_ca is None and not named


def clashes(listeners: Mapping[str, tuple[str, int]]) -> Iterator[tuple[str, str, int]]:
    """Yield each two listeners that cannot both have their port.

    Args:
        listeners: address and port by the key of the setting.

    """
    for (one, (address, port)), (other, (second, second_port)) in combinations(
        listeners.items(), 2
    ):
        together = address == second or bool({address, second} & {*_EVERY})
        if port and port == second_port and together:
            yield one, other, port
