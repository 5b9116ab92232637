"""A pipe as a bus: line by line, without a process."""

from __future__ import annotations

import io
import json

from monitorpi_common.bus import InputEnded, Raw
from monitorpi_common.inbox import Inbox
from monitorpi_common.messages import Alert
from monitorpi_common.stdio import Line, StdioBus


class Sink(io.BytesIO):
    """Counts how often it lets out what it holds."""

    flushed = 0

    def flush(self) -> None:
        """Count it."""
        self.flushed += 1


def test_a_pipe_passes_on_and_adds_its_own() -> None:
    """What it is not subscribed to is passed on, too; what is no message is counted."""
    sink, inbox = Sink(), Inbox()
    bus = StdioBus(None, sink)
    bus.open(inbox, ["monitorpi/v1/+/capture/device/+"])
    topic = "monitorpi/v1/lab/capture/device/x"
    lines = [
        json.dumps({"topic": topic, "payload": {"a": 1}}),
        json.dumps({"topic": topic, "payload": "text"}),
        json.dumps({"topic": topic, "payload": None}),
        json.dumps({"topic": "other", "payload": 1}),
        "[]", '{"topic":1,"payload":1}', '{"topic":"x"}', "{",
        json.dumps({"topic": topic, "payload": "half"}).replace("half", "\\ud800"),
    ]  # fmt: skip

    found = [bus.accept(Line(line.encode() + b"\r\n")) for line in lines]

    assert [one and one.payload for one in found[:4]] == [b'{"a":1}', b"text", b"", None]
    assert found[4:] == [None] * 5
    assert bus.counters.rejected == 5
    bus.publish("own", b"{}", Alert.DELIVERY, 5)
    bus.publish("gone", b"", Alert.DELIVERY, None)
    assert sink.getvalue().decode().splitlines() == [
        *lines[:4], '{"topic":"own","payload":{}}', '{"topic":"gone","payload":null}']  # fmt: skip
    assert (bus.counters.published, bus.depth, bus.alive, bus.live) == (2, 0, True, False)
    assert bus.adopt(Raw("x", b""), Alert.DELIVERY) is False
    assert len(inbox) == 0
    assert bus.accept(Line(b'{"topic":"other","payload":1}')) is None
    bus.follow(["other"])
    assert bus.accept(Line(b'{"topic":"other","payload":1}')) == Raw("other", b"1")
    assert bus.accept(Line(lines[0].encode())) is not None
    assert sink.flushed == 0
    bus.flush()
    bus.close()
    assert sink.flushed == 2


def test_a_pipe_is_read_to_its_end() -> None:
    """Line by line, a very long one in pieces; then the loop learns of it."""
    inbox = Inbox()
    bus = StdioBus(io.BytesIO(b"a\n" + b"b" * (1024 * 1024 + 1) + b"\nc"), io.BytesIO())
    bus.open(inbox, [])
    items = [inbox.take(10.0) for _ in range(5)]

    assert [len(one.text) for one in items[:4] if isinstance(one, Line)] == [2, 1024 * 1024, 2, 1]
    assert isinstance(items[4], InputEnded)
