"""The bus over MQTT 5. It owns paho's and the broker's traps; only :mod:`.dial` imports it, too.

Theory of operation. paho runs in one thread of ours; its callbacks do nothing but leave items in
the inbox, because an exception in a callback would kill that thread while the client still calls
itself connected. Everything else happens in the main thread:

- *state* (retained) is kept here by topic, the newest only; it is sent, and sent again after each
  connection with what is left of its expiry, so a broker that lost its memory learns it anew;
- *streams* wait in a bounded queue that drops the oldest and counts it; what has outlived its
  expiry while waiting is dropped too;
- at most ``MAX_INFLIGHT`` messages are with paho at once, so its own queues stay empty and a
  broker's limit of queued messages is never hit by a burst of ours;
- a message above the broker's maximum packet size is refused here: paho would re-send it for ever;
- a broker queues 1,000 messages of quality of service 1 for a subscription, retained ones too, and
  drops the rest: state is subscribed to with 0, which is written to the connection at once;
- why a connection failed, which paho keeps to itself, is looked up where its callback runs;
- a refusal by the broker's access rules shows only as the reason code of the acknowledgement;
- whoever connects under another's client id throws it off, whatever its account (:mod:`.clientid`):
  whom the broker may have given up asks first who has its name by now (:mod:`.vacancy`).
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from monitorpi_common.backoff import BROKER
from monitorpi_common.bus import (
    Acknowledged,
    BusEvent,
    Connected,
    ConnectionFailed,
    ConnectionRefused,
    Counters,
    Disconnected,
    NetworkDied,
    Raw,
    Report,
    Subscribed,
    SubscriptionRefused,
    disconnected,
    refused,
)
from monitorpi_common.clientid import client_id
from monitorpi_common.dial import client_of, password_of
from monitorpi_common.endpoint import unreachable
from monitorpi_common.messages import OFFLINE_EXPIRY_S, STATUS, Delivery, Status
from monitorpi_common.patience import BrokerPatience
from monitorpi_common.sendqueue import MAX_INFLIGHT, Outgoing, SendQueue
from monitorpi_common.settings import BrokerSettings, authority
from monitorpi_common.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from monitorpi_common.inbox import Inbox
    from monitorpi_common.log import Log
    from monitorpi_common.topics import Topic

MAX_PACKET_BYTES: Final = 512 * 1024  # twice the largest window: more is not of the contract
SESSION_EXPIRY_S: Final = 300  # MQTT 5 forgets a session at once unless set otherwise
_CLOSE_S: Final = 3.0
_HEADER_BYTES: Final = 64  # fixed header, lengths and properties around topic and payload
_FAILURE: Final = 0x80  # MQTT 5: reason codes from here on are failures


class MqttBus:
    """The bus over a broker. All methods belong to the main thread."""

    live = True

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        status: Topic | None,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        before_return: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare a connection.

        Args:
            settings: where the broker is and who we are there.
            name: for people who read the broker's log; the client id begins with it.
            status: our topic for the last will; None: a connection of its own without one.
            log: for what goes wrong.
            clock: seconds, for expiries.
            before_return: called before we come back to who may have given us up; may raise.

        """
        self._before_return = before_return
        self._patience = BrokerPatience(settings.keepalive_s, clock())
        self.counters = Counters()
        self.connected = False
        self._explained = False
        """Why this attempt to connect ends was said."""
        self._connections = 0
        self._log = log
        self._clock = clock
        self._status = str(status) if status is not None else None
        self._settings = settings
        self._address = authority(settings.host, settings.port)
        self._max_packet: int | None = None
        self._queue = SendQueue(self._clock)
        self._thread: threading.Thread | None = None
        self._inbox: Inbox | None = None
        self._subscriptions = Subscriptions()
        self._client = self._make_client(name)

    def _make_client(self, name: str) -> mqtt.Client:
        # without a status there may be several at a time, and none takes over from another
        key = password_of(self._settings) if self._status is not None else secrets.token_hex()
        client = client_of(self._settings, client_id(name, key), comes_back=True)
        if self._status is not None:
            will = _properties(PacketTypes.WILLMESSAGE)
            will.MessageExpiryInterval = OFFLINE_EXPIRY_S
            client.will_set(self._status, Status.OFFLINE.value, qos=1, retain=True, properties=will)
        client.reconnect_delay_set(round(BROKER.first_s), round(BROKER.most_s))
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(2 * MAX_INFLIGHT)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    # --- callbacks, in the network thread: enqueue and nothing else ------------------------

    def _on_pre_connect(self, _client: mqtt.Client, _data: Any) -> None:
        self._patience.heard(self._clock())
        if self._connections and self._patience.is_over:
            self._before_return()

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._inbox is not None and reason.is_failure:
            self._inbox.put(ConnectionRefused(str(reason)))
        elif self._inbox is not None:
            self._patience.connected(self._clock())
            self._inbox.put(Connected(getattr(properties, "MaximumPacketSize", None)))

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles what it does not hand over
        if self._inbox is not None and error is not None:
            self._inbox.put(ConnectionFailed(error.with_traceback(None)))

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._patience.heard(self._clock(), str(reason))
        if self._inbox is not None:
            self._inbox.put(Disconnected(str(reason)))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: MQTTMessage) -> None:
        self._patience.heard(self._clock())
        expiry = getattr(message.properties, "MessageExpiryInterval", None)
        raw = Raw(message.topic, bytes(message.payload), message.retain, expiry)
        if self._inbox is not None and not self._inbox.offer(raw):
            self.counters.dropped += 1

    def _on_publish(
        self, _client: mqtt.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._patience.heard(self._clock())
        if self._inbox is not None:
            self._inbox.put(Acknowledged(mid, str(reason), reason.value >= _FAILURE))

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        if self._inbox is None:
            return
        for reason in reasons:
            if reason.is_failure:
                self._inbox.put(SubscriptionRefused(str(reason)))
        self._inbox.put(Subscribed())

    # --- the main thread --------------------------------------------------------------------

    def open(self, inbox: Inbox, subscriptions: Sequence[str]) -> None:
        """Begin to connect; returns at once, the broker may be away."""
        self._inbox = inbox
        self._subscriptions = Subscriptions(subscriptions)
        connect = _properties(PacketTypes.CONNECT)
        connect.SessionExpiryInterval = SESSION_EXPIRY_S
        connect.MaximumPacketSize = MAX_PACKET_BYTES
        self._client.connect_async(
            self._settings.host, self._settings.port,
            keepalive=self._settings.keepalive_s,
            clean_start=mqtt.MQTT_CLEAN_START_FIRST_ONLY, properties=connect,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._client.loop_forever(retry_first_connection=True)
        except BaseException as error:  # noqa: BLE001 - whatever ended it, the main thread must know
            if self._inbox is not None:
                self._inbox.put(NetworkDied(error))

    @property
    def alive(self) -> bool:
        """The network thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def depth(self) -> int:
        """Messages waiting here or unacknowledged."""
        return len(self._queue)

    def event(self, item: BusEvent) -> Report | None:
        """Take one of the bus's items from the inbox; what is returned is for people.

        Raises:
            BaseException: whatever killed the network thread.

        """
        match item:
            case Connected():
                self._connected(item)
                return Report(f"connected to the broker at {self._address}")
            case Disconnected():
                return self._disconnected(item)
            case ConnectionFailed(error):
                self._explained = True
                tls = self._settings.tls_ca is not None
                why = unreachable(error, self._settings.host, tls=tls)
                return Report(f"no connection to the broker at {self._address}: {why}", failed=True)
            case ConnectionRefused(reason):
                self._explained = True
                return refused(self._address, reason)
            case SubscriptionRefused(reason):
                text = f"the broker refused a subscription ({reason}): check its access rules"
                return Report(text, failed=True)
            case Acknowledged():
                self._acknowledged(item)
            case NetworkDied(error):
                raise error
        return None

    def _connected(self, item: Connected) -> None:
        self.connected = True
        self._explained = False
        self._connections += 1
        self._max_packet = item.max_packet_bytes
        self._subscribe(self._subscriptions.wanted(), self._subscriptions.unwanted())
        self._queue.connected()
        self._report_status(Status.ONLINE, None)
        self._pump()

    def follow(self, filters: Sequence[str]) -> None:
        """Read these topics too, and no longer those of before."""
        change = self._subscriptions.follow(filters)
        if self.connected:
            self._subscribe(*change)

    def _subscribe(self, begins: list[tuple[str, int]], ends: list[str]) -> None:
        if ends:
            self._client.unsubscribe(ends)
        if begins:
            self._client.subscribe([(one, SubscribeOptions(qos=qos)) for one, qos in begins])

    def _report_status(self, status: Status, expires_at: float | None) -> None:
        """Put our status behind everything that waits."""
        if self._status is not None:
            text = status.value.encode()
            self._queue.put_last(
                Outgoing(self._status, text, STATUS.qos, STATUS.retain, expires_at)
            )

    def _disconnected(self, item: Disconnected) -> Report | None:
        was_connected, self.connected = self.connected, False
        self._queue.disconnected()
        explained, self._explained = self._explained, False
        if explained:
            return None
        tls = self._settings.tls_ca is not None
        return disconnected(self._address, item.reason, was_connected=was_connected, tls=tls)

    def _acknowledged(self, item: Acknowledged) -> None:
        outgoing = self._queue.acknowledged(item.mid)
        if outgoing is not None and item.failed:
            self.counters.refused += 1
            self._log.warning("refused by the broker", topic=outgoing.topic, reason=item.reason)
        elif outgoing is not None:
            self.counters.published += 1
        self._pump()

    def publish(
        self, topic: Topic | str, payload: bytes, delivery: Delivery, expiry_s: int | None
    ) -> None:
        """Send, or keep until it can be sent; the newest state of a topic replaces an older one."""
        name = str(topic)
        expires_at = None if expiry_s is None else self._clock() + expiry_s
        outgoing = Outgoing(name, payload, delivery.qos, delivery.retain, expires_at)
        if not self._queue.put(outgoing):
            self.counters.dropped += 1
        self._pump()

    def adopt(self, raw: Raw, delivery: Delivery) -> bool:
        """Take a retained message of an earlier process of our name as our own state.

        So a broker that loses its memory after our restart learns that state anew too. Only what
        the first connection shows is taken: later it could be something we have just taken back.
        """
        if self._connections != 1 or raw.topic in self._queue:
            return False
        expires_at = None if raw.expiry_s is None else self._clock() + raw.expiry_s
        self._queue.adopt(
            Outgoing(raw.topic, raw.payload, delivery.qos, delivery.retain, expires_at)
        )
        return True

    def _pump(self) -> None:
        """Hand to paho as much as may be under way at once, state before streams."""
        while self.connected and (outgoing := self._queue.next()) is not None:
            if not self._send(outgoing):
                return

    def _send(self, outgoing: Outgoing) -> bool:
        """Hand one message to paho; False: not now, it was put back."""
        size = len(outgoing.topic.encode()) + len(outgoing.payload) + _HEADER_BYTES
        if self._max_packet is not None and size > self._max_packet:
            self.counters.refused += 1
            self._queue.forget(outgoing.topic)
            self._log.warning(
                "larger than the broker accepts", topic=outgoing.topic, bytes=size,
                limit=self._max_packet,
            )  # fmt: skip
            return True
        properties = _properties(PacketTypes.PUBLISH)
        if outgoing.expires_at is not None:
            left = outgoing.expires_at - self._clock()
            if left < 1:
                self._queue.forget(outgoing.topic)
                self.counters.dropped += 0 if outgoing.retain else 1
                return True
            properties.MessageExpiryInterval = int(left)
        info = self._client.publish(
            outgoing.topic, outgoing.payload, outgoing.qos, outgoing.retain, properties
        )
        kept = info.rc == mqtt.MQTT_ERR_SUCCESS or (
            info.rc == mqtt.MQTT_ERR_NO_CONN and outgoing.qos > 0
        )
        if kept:
            self._queue.sent(info.mid, outgoing)
        else:
            self._queue.put_back(outgoing)
        return kept

    def flush(self) -> None:
        """Do nothing: all that may be sent is sent."""

    def close(self) -> None:
        """Send what waits and ``offline``, then disconnect so that the will is not needed."""
        if self.connected and self._inbox is not None:
            self._report_status(Status.OFFLINE, self._clock() + OFFLINE_EXPIRY_S)
            self._pump()
            self._drain(self._inbox, self._clock() + _CLOSE_S)
        self._client.disconnect()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _drain(self, inbox: Inbox, deadline: float) -> None:
        """Wait until everything is acknowledged, or the deadline has passed."""
        while self.depth and self.connected and (left := deadline - self._clock()) > 0:
            item = inbox.take(min(left, 0.1))
            if isinstance(item, Acknowledged | Disconnected):
                self.event(item)


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call] # paho leaves this one untyped
