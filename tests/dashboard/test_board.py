"""What goes over the wire: a whole picture, then what changed; nothing while nobody looks."""

from __future__ import annotations

import json
import threading
import zlib
from contextlib import ExitStack
from datetime import timedelta
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import wait_for

from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.messages import Health, Traffic
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.topics import Topic
from monitorpi_dashboard.changes import GROWS, patch
from monitorpi_dashboard.core import DashboardCore
from monitorpi_dashboard.items import PictureWanted
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF = st.one_of(st.booleans(), st.integers(0, 3), st.lists(st.integers(0, 1), max_size=2))
INNER = st.dictionaries(st.sampled_from("ab"), LEAF, max_size=2)
PARTS = st.dictionaries(st.sampled_from("abc"), st.one_of(LEAF, INNER), max_size=3)


def merged(target: Any, change: Any) -> Any:
    """Apply a merge patch, word for word as RFC 7396 has it."""
    if not isinstance(change, dict):
        return change
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


@given(PARTS, PARTS)
def test_a_patch_makes_one_picture_of_the_other(before: Any, after: Any) -> None:
    """Whatever they are; and a picture that is the same makes none."""
    assert merged(before, patch(before, after)) == after
    assert patch(after, json.loads(json.dumps(after))) == {}


def test_what_a_page_makes_itself_is_sent_once() -> None:
    """The two minutes of an interface: with the whole, and with an interface that is new."""
    old, new = ({"eth0": {"windows": n, GROWS: list(range(n))}} for n in (1, 2))

    assert patch(old, new) == {"eth0": {"windows": 2}}
    assert patch({}, new) == new


class Bus:
    """A core and a board, joined as the service joins them."""

    def __init__(self) -> None:
        self.board = Board()
        self.core = DashboardCore("lab", self.board.put, self.board.is_wanted)
        self.seconds = 0
        self.board.emit = self.hand
        for topic, message in EXAMPLES:
            self.hand(Received(topic, message))
        self.tick()

    def hand(self, *items: object) -> None:
        """Hand items to the core."""
        for item in items:
            list(self.core.handle(item))

    def tick(self) -> None:
        """Let a second pass."""
        self.seconds += 1
        at = AT + timedelta(seconds=self.seconds)
        self.hand(Tick(at, float(self.seconds), clock_synced=True))

    def window(self, seq: int) -> None:
        """Let a window come."""
        window = example(Traffic).model_copy(update={"seq": seq, "packets": 5})
        self.hand(Received(Topic("lab", "capture", "traffic", "eth0"), window))


def event(sent: bytes | None) -> tuple[str, Any]:
    """Return the kind of an event and what it holds."""
    assert sent is not None
    kind, _, data = sent.decode().partition("\n")
    return kind, json.loads(data.removeprefix("data: "))


def test_a_page_gets_the_whole_and_then_what_changed() -> None:
    """And the whole again where it missed one."""
    bus = Bus()
    with bus.board.viewer():
        number, first = bus.board.after(0, 0)
        whole = event(first)
        bus.window(43)
        bus.tick()
        number, second = bus.board.after(number, 0)
        rated = event(second)
        bus.window(44)
        bus.tick()
        number, third = bus.board.after(number, 0)
        change = event(third)
        bus.tick()
        bus.tick()
        _, fourth = bus.board.after(number, 0)

    assert whole[0] == "event: whole"
    assert whole[1]["devices"]["b827eb123456"]["tx"] == {}
    assert rated[0] == change[0] == "event: patch"
    assert rated[1]["devices"]["b827eb123456"]["tx"]["packets"] == 1010
    assert set(change[1]) == {"at", "silent_s", "interfaces"}
    assert change[1]["interfaces"] == {"eth0": {"windows": 3}}
    assert event(fourth)[0] == "event: whole"


def test_nothing_is_made_while_nobody_looks() -> None:
    """But for who asks; and what stands in a title is always known."""
    bus = Bus()
    made: list[object] = []
    bus.board.emit = lambda item: (made.append(item), bus.hand(item))[0]
    bus.tick()
    assert bus.board._picture == {}
    assert bus.board.glance() == b'{"state":"blind","open":1}'

    assert json.loads(bus.board.newest())["site"] == "lab"
    assert made == [PictureWanted()]
    number = bus.board._number
    bus.tick()
    assert bus.board._number == number


def test_whoever_asks_for_a_picture_holds_nobody_up() -> None:
    """Where the core is asked through a full inbox, it goes on meanwhile, and so comes the picture.

    The core hands out another sight before there is room for the question.
    """
    bus = Bus()
    bus.tick()
    held = []

    def emit(item: object) -> None:
        core = threading.Thread(target=bus.hand, args=(item,))
        core.start()
        core.join(5)
        held.append(core.is_alive())

    bus.board.emit = emit

    assert json.loads(bus.board.newest())["site"] == "lab"
    assert held == [False]


def test_a_history_that_runs_is_known_by_its_health() -> None:
    """As long as it is online."""
    bus = Bus()
    health = example(Health).model_copy(update={"detail": {"url": "http://127.0.0.1:8083"}})
    status = Topic("lab", "history", "status", "main")
    bus.hand(Received(Topic("lab", "history", "health", "main"), health), Presence(status, True))
    bus.tick()
    assert bus.board.history_url == "http://127.0.0.1:8083"

    bus.hand(Presence(status, False))
    bus.tick()
    assert bus.board.history_url is None


def events(answer: Any) -> Iterator[bytes]:
    """Unpack a stream as a browser does: what has come so far is read so far."""
    unpack, held = zlib.decompressobj(16 + zlib.MAX_WBITS), b""
    while piece := answer.read1(65536):
        held += unpack.decompress(piece)
        while b"\n\n" in held:
            one, _, held = held.partition(b"\n\n")
            yield one


def test_streams_are_packed_and_end_with_the_page() -> None:
    """Each event is sent whole at once, however it is packed."""
    bus = Bus()
    server = PageServer(bus.board, "127.0.0.1", 0, None)
    server.open()
    lock = threading.Lock()

    def emit(item: object) -> None:
        with lock:
            bus.hand(item)

    thread = threading.Thread(target=server.run, args=(emit,))
    thread.start()
    with ExitStack() as last:
        last.callback(thread.join)
        last.callback(server.stop)
        wait_for(lambda: bus.board.emit == emit, 10)
        one = HTTPConnection("127.0.0.1", server.port, timeout=10)
        last.callback(one.close)
        one.request("GET", "/api/stream", headers={"Accept-Encoding": "gzip, br"})
        answer = one.getresponse()
        sent = events(answer)

        assert answer.getheader("Content-Encoding") == "gzip"
        assert answer.getheader("X-Accel-Buffering") == "no"
        kind, whole = event(next(sent))
        assert (kind, whole["site"]) == ("event: whole", "lab")
        with lock:
            bus.tick()
        kind, change = event(next(sent))
        assert kind == "event: patch"
        assert set(change) >= {"at"}
