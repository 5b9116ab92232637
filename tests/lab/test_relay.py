from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.stack.broker import free_port
from monitorpi_lab.relay import LOOPBACK, Relay

if TYPE_CHECKING:
    from monitorpi_lab.lan import Lab

pytestmark = pytest.mark.lab


def listening() -> socket.socket:
    """Open a server on a free port of the machine's loopback."""
    return socket.create_server((LOOPBACK, 0))


def connect(lab: Lab, port: int) -> socket.socket:
    """Connect from the sensor's namespace to its own loopback."""
    connection = lab.sensor.call(socket.create_connection, (LOOPBACK, port))
    connection.settimeout(5)
    return connection


def test_bytes_pass_both_ways(lab: Lab) -> None:
    """Five megabytes go out and come back unchanged, through a port that is outside."""
    sent = bytes(range(256)) * 20_000
    with listening() as server:
        port = server.getsockname()[1]
        with Relay(lab.sensor.namespace, port), connect(lab, port) as inside:
            outside, _ = server.accept()
            with outside:
                writer = threading.Thread(target=inside.sendall, args=(sent,))
                writer.start()
                got = bytearray()
                while len(got) < len(sent):
                    got += outside.recv(65536)
                writer.join()
                outside.sendall(b"thanks")

                assert inside.recv(6) == b"thanks"
    assert bytes(got) == sent


def test_a_server_that_is_away_looks_away(lab: Lab) -> None:
    """With nobody listening outside, the connection is closed at once; later it works."""
    port = free_port()
    with Relay(lab.sensor.namespace, port):
        with connect(lab, port) as refused:
            assert refused.recv(1) == b""

        with socket.create_server((LOOPBACK, port)) as back, connect(lab, port) as inside:
            outside, _ = back.accept()
            with outside:
                inside.sendall(b"x")

                assert outside.recv(1) == b"x"


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_the_end_of_one_side_is_the_end_of_the_other(lab: Lab, side: str) -> None:
    """When either side hangs up, the other notices."""
    with listening() as server, Relay(lab.sensor.namespace, server.getsockname()[1]):
        inside = connect(lab, server.getsockname()[1])
        outside, _ = server.accept()
        outside.settimeout(5)
        with inside, outside:
            ends, notices = (inside, outside) if side == "inside" else (outside, inside)
            ends.close()

            assert notices.recv(1) == b""


def test_ending_the_relay_ends_its_connections(lab: Lab) -> None:
    """A connection does not outlive the relay."""
    with listening() as server:
        with Relay(lab.sensor.namespace, server.getsockname()[1]):
            inside = connect(lab, server.getsockname()[1])
            outside, _ = server.accept()
            outside.settimeout(5)
        with inside, outside:
            assert (inside.recv(1), outside.recv(1)) == (b"", b"")
