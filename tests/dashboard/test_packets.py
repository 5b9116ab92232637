"""Lines about single frames: numbered, bounded, and only while somebody watches."""

from __future__ import annotations

import json
from typing import Any

from monitorpi_common.examples import AT, example
from monitorpi_common.messages import Packet
from monitorpi_common.service import Follow, Received, Tick
from monitorpi_common.topics import Topic
from monitorpi_dashboard.core import DashboardCore
from monitorpi_dashboard.sinks.packets import ASKED_S, KEPT, PacketLines

LINE = example(Packet)
TOPIC = Topic("lab", "capture", "packet", "eth0")
PACKETS = "monitorpi/v1/lab/capture/packet/+"


class Watched:
    """Lines with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.lines = PacketLines(lambda: self.now_s)

    def put(self, times: int) -> None:
        """Let lines come."""
        for _ in range(times):
            self.lines.put("eth0", LINE)

    def after(self, number: int) -> Any:
        """Ask as a page does."""
        return json.loads(self.lines.after(number))


def test_a_page_is_told_what_came_after_its_last_line() -> None:
    """With its number, so that the next question goes on there."""
    one = Watched()
    one.put(2)

    first = one.after(0)
    one.put(1)
    second = one.after(first["number"])

    assert [line["number"] for line in first["lines"]] == [1, 2]
    assert [line["number"] for line in second["lines"]] == [3]
    assert second["lines"][0] == {
        "number": 3, "interface": "eth0", "at": "2026-01-02T03:04:06.000Z", "line": LINE.line,
        "mac_src": LINE.mac_src, "mac_dst": LINE.mac_dst, "ip_src": LINE.ip_src,
        "ip_dst": LINE.ip_dst, "length": LINE.length,
    }  # fmt: skip
    assert one.after(3) == {"number": 3, "missed": 0, "lines": []}


def test_what_left_before_it_was_asked_for_is_said() -> None:
    """The newest stay; whoever begins misses nothing."""
    one = Watched()
    one.put(KEPT + 7)

    assert len(one.after(0)["lines"]) == KEPT
    assert one.after(0)["missed"] == 0
    assert one.after(3)["missed"] == 4


def test_a_page_older_than_the_server_begins_anew() -> None:
    """Its number is ahead of all there are."""
    one = Watched()
    one.put(2)

    assert [line["number"] for line in one.after(900)["lines"]] == [1, 2]


def test_lines_are_read_from_the_bus_while_somebody_asks() -> None:
    """Followed within a second, and left a while after the last question."""
    one = Watched()
    core = DashboardCore("lab", lambda _: None, lambda: False, packets=one.lines)
    followed: list[bool] = []

    def pass_by() -> None:
        for said in core.handle(Tick(AT, 0.0, clock_synced=True)):
            assert isinstance(said, Follow)
            followed.append(PACKETS in said.filters)

    pass_by()
    one.after(0)
    pass_by()
    list(core.handle(Received(TOPIC, LINE)))
    one.now_s += ASKED_S
    pass_by()

    assert followed == [False, True, False]
    assert one.after(0)["number"] == 1
