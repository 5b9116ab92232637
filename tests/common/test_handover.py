"""Messages that a broker answers for: a real Mosquitto, and one whose words and time are ours."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from tests.common.scriptedbroker import DENIED, GRANTED, KEYS, NOBODY, ROWS, Word, ours
from tests.conftest import wait_for

from monitorpi_common.clientid import client_id
from monitorpi_common.handover import Handover, NotConnectedError
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.common.scriptedbroker import ScriptedBroker
    from tests.conftest import Broker, Subscriber


def test_a_broker_answers_for_each_message(
    broker: Broker, subscribe: Callable[..., Subscriber]
) -> None:
    """With who we are, on one connection; it ends with the broker, and comes with it again."""
    seen = subscribe(broker.port, "rows/#")
    settings = BrokerSettings(
        port=broker.port, username="berlin", password=SecretStr("x"), keepalive_s=37
    )
    one = Handover(settings, "bridge", KEYS)

    assert one.publish([]) == []
    assert one.publish([("rows/a", b"1"), ("else", b"2")]) == [GRANTED, NOBODY]
    assert one.publish([("rows/b", b"3")]) == [GRANTED]
    wait_for(lambda: seen.of("rows/b"))
    log = (broker.folder / "mosquitto.log").read_text()
    (entry,) = [line for line in log.splitlines() if client_id("bridge", "x") in line]
    assert "u'berlin'" in entry
    assert "k37" in entry

    broker.kill()
    with pytest.raises(NotConnectedError, match=r"check rows\.mqtt\.host") as raised:
        wait_for(lambda: one.publish([]) is None)
    assert raised.value.refused is False
    broker.start()
    assert one.publish([("else", b"4")]) == [NOBODY]
    one.close()
    one.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("paho")]


# --- word by word -----------------------------------------------------------------------------


def test_all_that_is_answered_is_told(scripted: ScriptedBroker) -> None:
    """In the order of the messages; the connection stays for the next ones."""
    one = ours()
    scripted.answers(0)
    scripted.acknowledges(2, DENIED)
    scripted.acknowledges(1, NOBODY)

    assert one.publish(ROWS) == [NOBODY, DENIED]
    assert one.hung_up is None
    assert one._connection is not None
    assert one._connection.reasons == {}
    scripted.acknowledges(3)
    assert one.publish(ROWS[:1]) == [GRANTED]
    assert scripted.waited == [8.0, 10.0, 9.0, 10.0]
    assert scripted.calls == [
        ("pi", "bridge", False, 5), ("pi", 7, 9), "begins",
        ("rows", b"1", 1), ("rows", b"2", 1), ("rows", b"1", 1),
    ]  # fmt: skip


def test_what_is_not_answered_for_is_not_known(scripted: ScriptedBroker) -> None:
    """After ten seconds, however many other answers; then nothing more comes of the connection."""
    one = ours()
    scripted.answers(0)
    scripted.acknowledges(1)
    scripted.acknowledges(7)

    assert one.publish(ROWS) == [GRANTED, None]
    assert one.hung_up is None
    assert scripted.waited == [8.0, 10.0, 9.0, 8.0]
    assert scripted.calls[-2:] == ["goodbye", "ends"]
    scripted.answers(0)
    assert one.publish([]) == []
    assert scripted.calls[-1] == "begins"


def test_a_broker_that_hangs_up_is_noticed(scripted: ScriptedBroker) -> None:
    """While it is waited for, and between two calls; behind its last answer too."""
    one = ours()
    scripted.answers(0)
    scripted.acknowledges(1)
    scripted.hangs_up()

    assert one.publish(ROWS) == [GRANTED, None]
    assert one.hung_up == "it hung up (word 8b)"
    assert scripted.calls[-1] == "ends"

    scripted.answers(0)
    one.publish([])
    assert one.hung_up is None
    scripted.hangs_up()
    scripted.script.popleft()()
    scripted.answers(0)
    assert one.publish([]) == []
    assert scripted.calls[-5:] == [
        "goodbye",
        "ends",
        ("pi", "bridge", False, 5),
        ("pi", 7, 9),
        "begins",
    ]

    def answers_and_hangs_up() -> None:
        scripted.on_publish(None, None, 3, Word(0), None)
        scripted.on_disconnect(None, None, None, Word(0x8B), None)

    scripted.script.append(answers_and_hangs_up)
    assert one.publish(ROWS[:1]) == [GRANTED]
    assert one.hung_up is not None
    assert scripted.calls[-1] == "ends"


@pytest.mark.parametrize(
    ("script", "text", "refused", "waited"),
    [
        ([], "it takes the connection and says nothing", False, [8.0]),
        (["other"], "it takes the connection and says nothing", False, [8.0, 7.0]),
        ([0x87], "word 87", True, [8.0]),
        (["ends"], "it hung up (word 8b)", False, [8.0]),
        (["refuses and ends"], "word 87", True, [8.0]),
    ],
)
def test_why_nothing_was_sent(
    scripted: ScriptedBroker, script: list[Any], text: str, refused: bool, waited: list[float]
) -> None:
    """A broker that does not let us in, and one that does not answer within eight seconds."""
    for step in script:
        match step:
            case int():
                scripted.answers(step)
            case "other":
                scripted.acknowledges(1)
            case "ends":
                scripted.hangs_up()
            case _:
                scripted.script.append(
                    lambda: (
                        scripted.on_connect(None, None, None, Word(0x87), None),
                        scripted.on_disconnect(None, None, None, Word(0x8B), None),
                    )
                )

    with pytest.raises(NotConnectedError) as raised:
        ours().publish(ROWS)

    assert (str(raised.value), raised.value.refused) == (text, refused)
    assert scripted.waited == waited
    assert scripted.calls[-3:] == ["begins", "goodbye", "ends"]


@pytest.mark.parametrize(
    ("error", "tls_ca", "text"),
    [
        (ConnectionRefusedError(), None,
         "nobody listens there: start the broker, or check rows.mqtt.host and rows.mqtt.port"),
        (ConnectionResetError(), None,
         "it hung up: check rows.mqtt.port, and whether it wants TLS"),
        (ConnectionResetError(), "ca.pem",
         "it hung up during the TLS handshake: check rows.mqtt.port, and whether it wants less"),
    ],
)  # fmt: skip
def test_why_nobody_is_reached(
    scripted: ScriptedBroker, error: OSError, tls_ca: str | None, text: str
) -> None:
    """With the names that the settings have."""
    scripted.fails = error
    settings = BrokerSettings().model_copy(update={"tls_ca": tls_ca})

    with pytest.raises(NotConnectedError) as raised:
        Handover(settings, "bridge", KEYS).publish(ROWS)

    assert (str(raised.value), raised.value.refused) == (text, False)


def test_what_still_waits_on_a_line_is_cut_off(scripted: ScriptedBroker) -> None:
    """Else paho would wait for it; a line that is gone already is none."""
    ends = socket.socketpair()
    for scripted.line in (*ends[:1], *ends[:1]):
        one = ours()
        scripted.answers(0)
        one.publish([])
        one.close()
        ends[1].settimeout(5)
        assert ends[1].recv(1) == b""
        ends[0].close()

    assert scripted.calls[-2:] == ["goodbye", "ends"]
    ends[1].close()
