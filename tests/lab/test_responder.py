"""The responder's socket."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

import pytest

from monitorpi_lab.namespace import Namespace
from monitorpi_lab.responder import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
FRAME = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x08\x00" + bytes(46)


@pytest.fixture
def cable(privileged: None) -> Iterator[Namespace]:
    """A namespace with two ends of a cable."""
    del privileged
    with contextlib.closing(Namespace("responder")) as one:
        one.run(["ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0"])
        for name in ("near0", "far0"):
            one.run(["ip", "link", "set", name, "up"])
        yield one


def test_moments_have_64_bits_on_every_machine(cable: Namespace) -> None:
    """Those of arrival and of sending: the older options give a long, 32 bits on small boards."""
    near, far = (cable.call(open_socket, name) for name in ("near0", "far0"))
    with near, far:
        near.send(FRAME)
        assert select.select([far], [], [], 5.0)[0]
        _, arrival, _, _ = far.recvmsg(2048, 256)
        _, sending, _, _ = near.recvmsg(2048, 256, socket.MSG_ERRQUEUE)

    assert (socket.SOL_SOCKET, 64, 16) in [(*kind, len(data)) for *kind, data in arrival]
    assert (socket.SOL_SOCKET, 65, 48) in [(*kind, len(data)) for *kind, data in sending]
