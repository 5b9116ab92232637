"""A message does not wait for the acknowledgement of the one before it."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import Final

from tests.conftest import wait_for

from monitorpi_cli.stack.broker import configuration
from monitorpi_common.bus import Connected
from monitorpi_common.inbox import Inbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Delivery
from monitorpi_common.mqtt import MqttBus
from monitorpi_common.settings import BrokerSettings

ACCEPTED: Final = b"\x20\x03\x00\x00\x00"  # CONNACK of MQTT 5
_QUICKACK: Final = 12  # linux/tcp.h
DELAY_S: Final = 0.008
"""Linux acknowledges 40 ms later where nothing is sent back; our own polling takes 20 of them."""


def test_the_second_of_two_messages_comes_at_once() -> None:
    """Of several pairs one at least comes without the delay; held back, each would have it."""
    arrived: list[tuple[float, bytes]] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def read() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(ACCEPTED)
            while True:
                connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 0)
                text = connection.recv(4096)
                if not text:
                    return
                arrived.append((time.monotonic(), text))

    threading.Thread(target=read, daemon=True).start()
    inbox = Inbox()
    settings = BrokerSettings(port=listener.getsockname()[1])
    bus = MqttBus(settings, "monitorpi-lab-detector-main", None, Log("test"))
    bus.open(inbox, [])

    def came(said: bytes) -> bool:
        return any(said in text for _, text in arrived)

    def is_connected() -> bool:
        item = inbox.take(0.05)
        if isinstance(item, Connected):
            bus.event(item)
        return bus.connected

    wait_for(is_connected)
    waits = []
    stream = Delivery("stream", 0, retain=False, expiry_s=None, rate="")
    for pair in range(10):
        for which in ("first", "second"):
            began, said = time.monotonic(), f"{which} of {pair}".encode()
            bus.publish(f"of/{which}", said, stream, None)
            wait_for(partial(came, said))
        waits.append(arrived[-1][0] - began)
    bus.close()
    listener.close()

    assert min(waits) < DELAY_S


def test_the_broker_is_told_the_same() -> None:
    """Alerts leave it as they come."""
    assert "set_tcp_nodelay true" in configuration([], "/x", "root").splitlines()
