"""A client of paho and its broker at once, whose words and time are ours."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitorpi_common.endpoint import Keys
from monitorpi_common.handover import Handover
from monitorpi_common.settings import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = Keys.of_broker("rows.mqtt")
GRANTED, NOBODY, DENIED = 0, 0x10, 0x87


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


def ours(**more: Any) -> Handover:
    """Return a handover to nowhere."""
    return Handover(BrokerSettings(host="pi", port=7, keepalive_s=9, **more), "bridge", KEYS)


ROWS = [("rows", b"1"), ("rows", b"2")]
