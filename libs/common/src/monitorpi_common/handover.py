"""Hands messages to a broker and waits until it has answered: the bus only keeps sending.

Nothing is queued and nothing is tried again here: whoever calls keeps what was not taken. After a
call that was not answered in full the connection is thrown away, so that no message of it is sent
again behind the caller's back.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.enums import MQTTProtocolVersion

from monitorpi_common.clientid import client_id
from monitorpi_common.dial import client_of, password_of
from monitorpi_common.endpoint import unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import paho.mqtt.client as mqtt
    from paho.mqtt.reasoncodes import ReasonCode

    from monitorpi_common.endpoint import Keys
    from monitorpi_common.settings import BrokerSettings

CONNECT_S: Final = 8.0
ANSWER_S: Final = 10.0
_NO_PACKET: Final = 0


class NotConnectedError(Exception):
    """Nothing was sent; the text says why.

    ``refused``: the broker answered, and does not let us in.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass
class _Connection:
    """One connection with what came back on it."""

    client: mqtt.Client
    answered: threading.Condition = field(default_factory=threading.Condition)
    connected: bool = False
    ended: str | None = None
    """Why it is over."""
    refused: bool = False
    reasons: dict[int, int] = field(default_factory=dict)
    """Reason codes of MQTT 5 by packet id; 0 for an answer that has none."""

    def close(self) -> None:
        self.client.disconnect()
        if isinstance(line := self.client.socket(), socket.socket):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # or paho waits for answers that do not come
        self.client.loop_stop()


class Handover:
    """A connection to a broker, made when it is needed. Threads wait for each other.

    Args:
        settings: the broker, and who we are there.
        name: for people who read the broker's log.
        keys: what the settings are called where a remedy names them.
        is_issued: the broker's owner issued the name: it is the client id as it stands, of MQTT
            3.1.1.

    """

    def __init__(
        self, settings: BrokerSettings, name: str, keys: Keys, *, is_issued: bool = False
    ) -> None:
        self._settings = settings
        self._name = name
        self._keys = keys
        self._is_issued = is_issued
        self._turn = threading.RLock()
        self._connection: _Connection | None = None
        self.hung_up: str | None = None
        """What the broker said when it ended the connection under the last call."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[int | None]:
        """Publish topics with payloads, retained by nobody, with quality of service 1.

        Returns: the broker's reason code for each (MQTT 5, 3.4.2.1); None: it has not answered.

        Raises:
            NotConnectedError: nothing was sent.

        """
        with self._turn:
            connection = self._connected()
            publish = connection.client.publish
            return self._answers(connection, [publish(*one, qos=1).mid for one in messages])

    def publish_unacknowledged(self, topic: str, payload: bytes, silent: str) -> str | None:
        """Publish with quality of service 0, and wait until the broker has read it.

        That is known by what it must answer behind it: that a topic is not subscribed to any more
        (MQTT 3.1.1, 3.10.4), which it never was.

        Args:
            topic: of the message.
            payload: of the message.
            silent: a topic that the account may subscribe to, and does not.

        Returns: None once it has; else why that is not known.

        Raises:
            NotConnectedError: nothing was sent.

        """
        with self._turn:
            connection = self._connected()
            connection.client.publish(topic, payload, qos=0)
            _, asked = connection.client.unsubscribe(silent)
            (answer,) = self._answers(connection, [asked or _NO_PACKET])
            return None if answer is not None else self.hung_up or "no answer"

    def _answers(self, connection: _Connection, ids: Sequence[int]) -> list[int | None]:
        """Wait for the answers to some packets."""
        deadline = time.monotonic() + ANSWER_S
        with connection.answered:
            while connection.ended is None and not connection.reasons.keys() >= set(ids):
                if not connection.answered.wait(deadline - time.monotonic()):
                    break
            found = [connection.reasons.get(mid) for mid in ids]
            connection.reasons.clear()
            self.hung_up = connection.ended
        if None in found or self.hung_up is not None:
            self.close()
        return found

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _connected(self) -> _Connection:
        """Return a connection that the broker has accepted.

        Raises:
            NotConnectedError: there is none.

        """
        if self._connection is not None and self._connection.ended is None:
            return self._connection
        self.close()
        connection = self._connection = self._begin()
        deadline = time.monotonic() + CONNECT_S
        with connection.answered:
            while not connection.connected and connection.ended is None:
                if not connection.answered.wait(deadline - time.monotonic()):
                    connection.ended = "it takes the connection and says nothing"
        if connection.ended is not None:
            self.close()
            raise NotConnectedError(connection.ended, refused=connection.refused)
        return connection

    def _begin(self) -> _Connection:
        """Connect.

        Raises:
            NotConnectedError: nobody is reached.

        """
        settings = self._settings
        id_, version = client_id(self._name, password_of(settings)), MQTTProtocolVersion.MQTTv5
        if self._is_issued:
            id_, version = self._name, MQTTProtocolVersion.MQTTv311
        client = client_of(settings, id_, comes_back=False, version=version)
        connection = _Connection(client)

        def on_connect(_c: Any, _d: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
            with connection.answered:
                connection.connected = not reason.is_failure
                connection.refused = reason.is_failure
                connection.ended = str(reason) if reason.is_failure else None
                connection.answered.notify()

        def on_disconnect(_c: Any, _d: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
            with connection.answered:
                connection.ended = connection.ended or f"it hung up ({reason})"
                connection.answered.notify()

        def on_publish(_c: Any, _d: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
            with connection.answered:
                connection.reasons[mid] = reason.value
                connection.answered.notify()

        def on_unsubscribe(_c: Any, _d: Any, mid: int, _r: Any, _p: Any) -> None:
            with connection.answered:
                connection.reasons[mid] = 0
                connection.answered.notify()

        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_publish, client.on_unsubscribe = on_publish, on_unsubscribe
        try:
            client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except OSError as error:
            tls = settings.tls_ca is not None
            why = unreachable(error, settings.host, tls=tls, keys=self._keys)
            raise NotConnectedError(why) from None
        client.loop_start()
        return connection
