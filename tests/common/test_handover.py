"""Messages that a broker answers for: a real Mosquitto, and one whose words and time are ours."""

from __future__ import annotations

import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from tests.conftest import Broker, wait_for

from monitorpi_common import handover
from monitorpi_common.clientid import client_id
from monitorpi_common.endpoint import Keys
from monitorpi_common.handover import Handover, NotConnectedError
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Subscriber

KEYS = Keys.of_broker("rows.mqtt")
GRANTED, NOBODY, DENIED = 0, 0x10, 0x87


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


@dataclass(frozen=True)
class Word:
    """A reason code, as paho hands it on."""

    value: int

    @property
    def is_failure(self) -> bool:
        """Refuse."""
        return self.value >= 0x80

    def __str__(self) -> str:
        return f"word {self.value:x}"


class Waiting(threading.Condition):
    """Lets the next thing happen in a second, where somebody waits; nothing more: time is up.

    Whoever waits goes on only where that is notified.
    """

    def __init__(self, world: ScriptedBroker) -> None:
        super().__init__()
        self.world = world
        self.is_notified = False

    def notify(self, n: int = 1) -> None:
        """Wake whoever waits."""
        del n
        self.is_notified = True

    def wait(self, timeout: float | None = None) -> bool:
        """Go on."""
        self.world.waited.append(timeout)
        if not self.world.script:
            return False
        self.world.now_s += 1
        self.is_notified = False
        self.world.script.popleft()()
        return self.is_notified


@dataclass
class ScriptedBroker:
    """The client of paho and its broker at once."""

    line: Any = None
    asked: int | None = 9
    fails: OSError | None = None
    now_s: float = 500.0
    script: deque[Callable[[], None]] = field(default_factory=deque)
    waited: list[float | None] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    on_connect: Any = None
    on_disconnect: Any = None
    on_publish: Any = None
    on_unsubscribe: Any = None

    def __call__(
        self, settings: BrokerSettings, id_: str, *, comes_back: bool, version: int
    ) -> ScriptedBroker:
        """Be the client that is asked for."""
        self.calls.append((settings.host, id_, comes_back, version))
        return self

    def connect(self, host: str, port: int, keepalive: int) -> None:
        """Reach the broker, or not."""
        self.calls.append((host, port, keepalive))
        if self.fails is not None:
            raise self.fails

    def publish(self, topic: str, payload: bytes, qos: int) -> ScriptedBroker:
        """Give each message a number."""
        self.calls.append((topic, payload, qos))
        self.mid = len([one for one in self.calls if one[0] == topic])
        return self

    def unsubscribe(self, topic: str) -> tuple[int, int | None]:
        """Number it, unless nobody is connected."""
        self.calls.append(("not", topic))
        return (0, self.asked) if self.asked else (4, None)

    def socket(self) -> Any:
        """Return the connection's own, while there is one."""
        return self.line

    def loop_start(self) -> None:
        """Note it."""
        self.calls.append("begins")

    def loop_stop(self) -> None:
        """Note it."""
        self.calls.append("ends")

    def disconnect(self) -> None:
        """Note it."""
        self.calls.append("goodbye")

    def answers(self, code: int) -> None:
        """Answer what asks to come in, once it is waited for."""
        self.script.append(lambda: self.on_connect(None, None, None, Word(code), None))

    def hangs_up(self, code: int = 0x8B) -> None:
        """End the connection."""
        self.script.append(lambda: self.on_disconnect(None, None, None, Word(code), None))

    def acknowledges(self, mid: int, code: int = GRANTED) -> None:
        """Answer for a message."""
        self.script.append(lambda: self.on_publish(None, None, mid, Word(code), None))

    def has_read(self, mid: int) -> None:
        """Answer that nothing is subscribed to any more."""
        self.script.append(lambda: self.on_unsubscribe(None, None, mid, [], None))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedBroker:
    """Stand in for paho, the broker and the clock."""
    one = ScriptedBroker()
    connection = handover._Connection
    monkeypatch.setattr(handover, "client_of", one)
    monkeypatch.setattr(handover, "_Connection", lambda client: connection(client, Waiting(one)))
    monkeypatch.setattr(handover.time, "monotonic", lambda: one.now_s)
    return one


def ours(**more: Any) -> Handover:
    """Return a handover to nowhere."""
    return Handover(BrokerSettings(host="pi", port=7, keepalive_s=9, **more), "bridge", KEYS)


ROWS = [("rows", b"1"), ("rows", b"2")]


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


def test_what_is_not_acknowledged_was_read_by_who_answers_behind_it(
    scripted: ScriptedBroker,
) -> None:
    """By the answer to what was asked behind it; paho's own word for such a message is none."""
    one = ours()
    scripted.answers(0)
    scripted.acknowledges(1)
    scripted.has_read(9)

    assert one.publish_unacknowledged("rows", b"1", "never") is None
    assert scripted.calls[-2:] == [("rows", b"1", 0), ("not", "never")]
    assert scripted.waited == [8.0, 10.0, 9.0]
    assert one._connection is not None
    assert one._connection.reasons == {}


@pytest.mark.parametrize(
    ("asked", "script", "doubt"),
    [
        (9, ["ends"], "it hung up (word 8b)"),
        (9, [], "no answer"),
        (9, ["other"], "no answer"),
        (None, ["ends"], "it hung up (word 8b)"),
    ],
)
def test_what_nobody_is_known_to_have_read_is_in_doubt(
    scripted: ScriptedBroker, asked: int | None, script: list[str], doubt: str
) -> None:
    """It may have been read for all that; nothing more comes of the connection."""
    one = ours()
    scripted.asked = asked
    scripted.answers(0)
    for step in script:
        if step == "ends":
            scripted.hangs_up()
        else:
            scripted.has_read(8)

    assert one.publish_unacknowledged("rows", b"1", "never") == doubt
    assert scripted.calls[-2:] == ["goodbye", "ends"]
    assert one._connection is None


def test_a_name_that_was_issued_is_the_client_id(
    broker: Broker, subscribe: Callable[..., Subscriber]
) -> None:
    """As it stands, and MQTT 3.1.1: nothing is kept of the session."""
    seen = subscribe(broker.port, "rows/#")
    settings = BrokerSettings(port=broker.port, username="device", password=SecretStr("x"))
    one = Handover(settings, "device", KEYS, is_issued=True)

    assert [one.publish_unacknowledged("rows/a", b"%d" % n, "rows/never") for n in (1, 2)] == [
        None, None
    ]  # fmt: skip
    wait_for(lambda: len(seen.of("rows/a")) == 2)
    one.close()

    assert seen.seen == [("rows/a", "1", False), ("rows/a", "2", False)]
    log = (broker.folder / "mosquitto.log").read_text()
    (entry,) = [line for line in log.splitlines() if "as device (" in line]
    assert "(p2, c1, " in entry


def test_threads_wait_for_each_other(scripted: ScriptedBroker) -> None:
    """One connection serves all: nobody takes what another one waits for."""
    one = ours()
    entered, leave = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        leave.wait(10)
        scripted.on_connect(None, None, None, Word(0), None)

    scripted.script.append(slow)
    scripted.acknowledges(1)
    first = threading.Thread(target=one.publish, args=(ROWS[:1],))
    first.start()
    assert entered.wait(10)
    others = [
        threading.Thread(target=one.close),
        threading.Thread(target=one.publish, args=([],)),
        threading.Thread(target=one.publish_unacknowledged, args=("rows", b"", "never")),
    ]
    for other in others:
        other.start()
    before = list(scripted.calls)
    for other in others:
        other.join(0.05)
        assert other.is_alive()
    assert scripted.calls == before
    for _ in range(8):
        scripted.answers(0)
    leave.set()
    for thread in (first, *others):
        thread.join(10)
        assert not thread.is_alive()


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
