"""A TCP connection to a name that may have several addresses. I/O.

One of them may swallow what is sent to it, or be out of this machine's reach: a name that has an
IPv6 address the provider broke, a broker that listens on IPv4 only. Each gets a short try while
another is left, the one that was reached last comes first, and where none can be reached the
failure that tells most is said: the last one is often no more than "no route".
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from monitorpi_common.tcp import send_at_once

if TYPE_CHECKING:
    from monitorpi_common.settings import BrokerSettings

SHORT_TRY_S: Final = 1.5
"""To connect, where another address is left: two SYNs and their answers on a slow LAN."""
MOST_ADDRESSES: Final = 6
_MOST_PRECISE_FIRST: Final = (ConnectionRefusedError, ConnectionResetError, TimeoutError)
"""What somebody there, or nobody, answered; everything else is about this machine's routes."""


class Dialler:
    """Connects, and remembers which address answered."""

    def __init__(self) -> None:
        self._reached: object = None

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Connect to the first address that can be reached.

        Args:
            host: name or address.
            port: TCP port.
            timeout_s: for the last address; also left to the socket for what follows.

        Raises:
            OSError: none can, or the name has none.

        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:MOST_ADDRESSES]
        found.sort(key=lambda one: one[4] != self._reached)
        errors: list[OSError] = []
        for number, (family, kind, protocol, _, address) in enumerate(found, start=1):
            connection = socket.socket(family, kind, protocol)
            try:
                is_last = number == len(found)
                connection.settimeout(timeout_s if is_last else min(timeout_s, SHORT_TRY_S))
                connection.connect(address)
            except OSError as error:
                connection.close()
                errors.append(error)
                continue
            connection.settimeout(timeout_s)
            self._reached = address
            return connection
        self._reached = None
        raise min(errors, key=_vagueness)


class DiallingClient(mqtt.Client):
    """The client of MQTT, its connection made as above."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._dialler = Dialler()

    def _create_socket_connection(self) -> socket.socket:
        return self._dialler.connect(self._host, self._port, self._connect_timeout)


def client_of(
    settings: BrokerSettings, id_: str, *, comes_back: bool,
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
) -> DiallingClient:  # fmt: skip
    """Return a client of MQTT that is who the settings say.

    Args:
        settings: the broker, and who we are there.
        id_: the client id.
        comes_back: it connects again by itself.
        version: of the protocol.

    """
    client = DiallingClient(
        CallbackAPIVersion.VERSION2, client_id=id_, protocol=version,
        reconnect_on_failure=comes_back,
    )  # fmt: skip
    if settings.username is not None:
        client.username_pw_set(settings.username, password_of(settings))
    if settings.tls_ca is not None:
        client.tls_set(ca_certs=str(settings.tls_ca), cert_reqs=ssl.CERT_REQUIRED)
    client.on_socket_open = send_at_once
    return client


def password_of(settings: BrokerSettings) -> str | None:
    """Return the password as it is sent: files end with a line break."""
    return settings.password.get_secret_value().strip() if settings.password else None


def _vagueness(error: OSError) -> int:
    return next(
        (n for n, kind in enumerate(_MOST_PRECISE_FIRST) if isinstance(error, kind)),
        len(_MOST_PRECISE_FIRST),
    )
