"""The bus word by word: who it is, what its callbacks leave, what it says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import paho.mqtt.client as paho
import pytest
from pydantic import SecretStr
from tests.common.pahoworld import STATUS, Wire

from monitorpi_common import dial
from monitorpi_common.bus import (
    Acknowledged,
    Connected,
    ConnectionFailed,
    ConnectionRefused,
    Disconnected,
    NetworkDied,
    Raw,
    Report,
    Subscribed,
    SubscriptionRefused,
)
from monitorpi_common.clientid import client_id
from monitorpi_common.inbox import Inbox
from monitorpi_common.settings import BrokerSettings

# --- the client -----------------------------------------------------------------------------------


def test_a_client_is_who_the_settings_say() -> None:
    """A name needs no password; a file's line break is no part of one."""
    for user, password, sent in (("u", " p\n", b"p"), ("u", None, None), (None, "p", None)):
        secret = None if password is None else SecretStr(password)
        one = dial.client_of(BrokerSettings(username=user, password=secret), "id", comes_back=True)
        assert (one._username, one._password) == (user and user.encode(), sent)
        assert (one._client_id, one.protocol, one._reconnect_on_failure) == (b"id", 5, True)
        assert one.on_socket_open is dial.send_at_once
        assert one._ssl is False
    assert dial.client_of(BrokerSettings(), "id", comes_back=False)._reconnect_on_failure is False


def test_a_client_has_a_will_and_bounds(wire: Wire) -> None:
    """As the contract says; a connection beside a service's own has no will, and its own id."""
    wire.bus(password=SecretStr("p"))
    asked = wire.client.asked

    assert asked["id"] == client_id("name", "p")
    assert asked["comes_back"] is True
    assert asked["will"] == (str(STATUS), "offline", 7 * 86400, {"qos": 1, "retain": True})
    assert asked["reconnect_delay_set"] == ((1, 4), {})
    assert asked["max_inflight_messages_set"] == ((20,), {})
    assert asked["max_queued_messages_set"] == ((40,), {})
    asked.clear()
    wire.bus(None)
    assert "will" not in asked
    assert asked["id"].startswith("name-")


def test_it_is_opened_once_and_tries_for_ever(wire: Wire) -> None:
    """The session outlives a short cut; what ends the network's thread reaches the main one."""
    bus = wire.bus()
    assert bus.alive is False
    wire.client.fails = ValueError("x")
    bus.open(wire.inbox, ["a", "a"])

    died = wire.inbox.take(5.0)

    assert isinstance(died, NetworkDied)
    with pytest.raises(ValueError, match="x"):
        bus.event(died)
    assert wire.client.asked["retries"] is True
    (host, port), how = wire.client.asked["connect_async"]
    connect = how.pop("properties")
    assert (host, port) == ("pi", 1883)
    assert how == {"keepalive": 9, "clean_start": paho.MQTT_CLEAN_START_FIRST_ONLY}
    assert (connect.SessionExpiryInterval, connect.MaximumPacketSize) == (300, 524_288)
    assert bus._thread is not None
    assert bus._thread.daemon


# --- what the network's thread leaves -------------------------------------------------------------


def word(text: str, value: int = 0) -> Any:
    """Return a reason code."""

    class Reason:
        is_failure = value >= 0x80

        def __str__(self) -> str:
            return text

    Reason.value = value  # type: ignore[attr-defined] # of paho's form
    return Reason()


def test_each_callback_leaves_one_item(wire: Wire) -> None:
    """And nothing before there is an inbox."""
    bus = wire.bus()
    message = SimpleNamespace(
        topic="t", payload=bytearray(b"p"), retain=True,
        properties=SimpleNamespace(MessageExpiryInterval=7),
    )  # fmt: skip
    plain = SimpleNamespace(topic="t", payload=b"", retain=False, properties=None)
    limits = SimpleNamespace(MaximumPacketSize=99)
    for is_open in (False, True):
        if is_open:
            bus._inbox = wire.inbox = Inbox(11)
        bus._on_connect(None, None, None, word("no", 0x80), None)
        bus._on_connect(None, None, None, word("yes"), limits)
        bus._on_connect(None, None, None, word("yes"), None)
        bus._on_disconnect(None, None, None, word("gone"), None)
        bus._on_message(None, None, message)
        bus._on_message(None, None, plain)
        bus._on_publish(None, None, 5, word("denied", 0x80), None)
        bus._on_publish(None, None, 6, word("unread", 0x7F), None)
        bus._on_subscribe(None, None, 1, [word("granted"), word("denied", 0x87)], None)
        try:
            raise OSError("x")
        except OSError:
            bus._on_connect_fail(None, None)
        bus._on_connect_fail(None, None)
        bus._on_message(None, None, plain)

    found = wire.taken()
    assert found[:-1] == [
        ConnectionRefused("no"), Connected(99), Connected(None), Disconnected("gone"),
        Raw("t", b"p", True, 7), Raw("t", b"", False, None),
        Acknowledged(5, "denied", True), Acknowledged(6, "unread", False),
        SubscriptionRefused("denied"), Subscribed(),
    ]  # fmt: skip
    assert isinstance(found[-1], ConnectionFailed)
    assert str(found[-1].error) == "x"
    assert found[-1].error.__traceback__ is None
    assert bus.counters.dropped == 1


@pytest.mark.parametrize(
    ("sign", "silent_s", "asks"),
    [
        ("message", 9.0, False), ("message", 9.1, True), ("publish", 9.1, True),
        ("disconnect", 9.1, True), ("taken over", 0.0, True), ("connect", 9.1, False),
        (None, 9.0, False), (None, 9.1, True),
    ],
)  # fmt: skip
def test_whom_a_broker_may_have_given_up_asks_before_it_returns(
    wire: Wire, sign: str | None, silent_s: float, asks: bool
) -> None:
    """After more than a keepalive without a sign of life; at the first connection nobody asks."""
    bus = wire.bus()
    wire.now_s = 1000.0
    bus._on_pre_connect(None, None)
    assert wire.returned == 0
    bus.event(Connected())
    bus._inbox = wire.inbox
    bus._on_connect(None, None, None, word("yes"), None)

    wire.now_s += silent_s
    plain = SimpleNamespace(topic="t", payload=b"", retain=False, properties=None)
    match sign:
        case "message":
            bus._on_message(None, None, plain)
        case "publish":
            bus._on_publish(None, None, 1, word("x"), None)
        case "disconnect":
            bus._on_disconnect(None, None, None, word("x"), None)
        case "taken over":
            bus._on_disconnect(None, None, None, word("Session taken over", 0x8E), None)
        case "connect":
            bus._on_connect(None, None, None, word("x"), None)
    bus._on_pre_connect(None, None)

    assert wire.returned == int(asks)


# --- what is said of it ---------------------------------------------------------------------------


def test_what_becomes_of_a_connection_is_said_once(wire: Wire) -> None:
    """How it ended is no news where it was said why it did not come about."""
    bus = wire.bus()
    failed = ConnectionFailed(ConnectionResetError())

    def said(item: Any) -> tuple[str, bool] | None:
        report = bus.event(item)
        return None if report is None else (report.text, report.failed)

    text = "no connection to the broker at pi:1883: it hung up: check broker.port, and whether it"
    never = "it does not answer as a broker does (x): check broker.port, whether it wants TLS"
    assert said(failed) == (f"{text} wants TLS", True)
    assert said(Disconnected("x")) is None
    assert (said(Disconnected("x")) or ("",))[0].count(never) == 1
    assert said(ConnectionRefused("Banned")) == (
        "the broker at pi:1883 refused us (Banned): it has banned this client or address",
        True,
    )
    assert said(Disconnected("x")) is None
    said(ConnectionRefused("Banned"))
    assert said(Connected()) == ("connected to the broker at pi:1883", False)
    assert bus.connected
    assert said(Disconnected("x")) == ("connection lost to the broker at pi:1883 (x)", True)
    assert not bus.connected
    assert said(SubscriptionRefused("no")) == (
        "the broker refused a subscription (no): check its access rules",
        True,
    )
    assert said(Subscribed()) is None


def test_what_is_said_of_a_connection_with_tls(wire: Wire) -> None:
    """It may want less, or a certificate of ours."""
    bus = wire.bus()
    bus._settings = bus._settings.model_copy(update={"tls_ca": "ca.pem"})
    reports = [bus.event(Disconnected("x")), bus.event(ConnectionFailed(EOFError()))]

    assert [isinstance(one, Report) for one in reports] == [True, True]
    assert "a certificate of its clients" in str(reports[0])
    assert "hung up during the TLS handshake" in str(reports[1])
