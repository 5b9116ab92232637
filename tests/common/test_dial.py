"""A broker whose name has several addresses, of which some lead nowhere."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from tests.common.test_unreachable import first_failure
from tests.conftest import wait_for

from monitorpi_cli.stack.broker import free_port
from monitorpi_common.bus import Connected
from monitorpi_common.dial import SHORT_TRY_S, Dialler
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Broker

NOWHERE_V6 = (socket.AF_INET6, "2001:db8::1")
"""No route leads there (RFC 3849)."""


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the resolver know one name, with these addresses in this order."""

    def name(*addresses: tuple[socket.AddressFamily, str]) -> None:
        def resolve(host: str, port: int, *_: object, **__: object) -> list[object]:
            assert host == "broker.test"
            return [
                (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
                for family, address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return name


@pytest.fixture
def swallowing() -> Iterator[Callable[[int], str]]:
    """Occupy a port of another loopback address so that it answers no SYN; return the address."""
    with ExitStack() as stack:

        def start(port: int) -> str:
            listener = stack.enter_context(closing(socket.socket()))
            listener.bind(("127.0.0.9", port))
            listener.listen(0)
            for _ in range(4):  # the queue is full then, and the kernel drops what comes
                waiting = stack.enter_context(closing(socket.socket()))
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.9", port))
            return "127.0.0.9"

        yield start


@pytest.mark.parametrize("order", [1, -1])
def test_the_address_that_answers_is_found(
    named: Callable[..., None], swallowing: Callable[[int], str], broker: Broker, order: int
) -> None:
    """Whichever comes first in the resolver's answer; the dead one costs a moment."""
    dead = (socket.AF_INET, swallowing(broker.port))
    named(*[dead, (socket.AF_INET, "127.0.0.1")][::order])
    inbox = Inbox()
    settings = BrokerSettings(host="broker.test", port=broker.port)
    bus = MqttBus(settings, "test", None, Log("test"))
    began = time.monotonic()
    bus.open(inbox, [])
    try:
        wait_for(lambda: isinstance(inbox.take(0.05), Connected), 4.5, "a connection")
    finally:
        bus.close()

    assert time.monotonic() - began < 2 * SHORT_TRY_S + 1.5
    assert SHORT_TRY_S == 1.5


def test_the_address_that_answered_comes_first(
    named: Callable[..., None], swallowing: Callable[[int], str]
) -> None:
    """A connection that breaks is made again without the way through the dead one."""
    dialler = Dialler()
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        named((socket.AF_INET, swallowing(port)), (socket.AF_INET, "127.0.0.1"))
        dialler.connect("broker.test", port, 5.0).close()
        began = time.monotonic()

        with dialler.connect("broker.test", port, 5.0) as line:
            assert line.gettimeout() == 5.0  # what follows has all of it, not a short try's

    assert time.monotonic() - began < SHORT_TRY_S / 2


@pytest.mark.parametrize("order", [1, -1])
def test_what_tells_most_is_said(named: Callable[..., None], order: int) -> None:
    """Nobody listens at the one; that there is no route to the other is no news."""
    named(*[(socket.AF_INET, "127.0.0.1"), NOWHERE_V6][::order])

    text = first_failure(host="broker.test", port=free_port())

    assert "nobody listens there: start the broker" in text
