"""The counts of each device are read while somebody looks: they are most of what is to be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from monitorpi_common.examples import AT, example
from monitorpi_common.messages import Device, Traffic, Wire
from monitorpi_common.service import Follow, Received, Tick
from monitorpi_common.topics import Topic, mac_id
from monitorpi_dashboard.core import FOLLOWS_S, MAX_INTERFACES, DashboardCore, Sight
from monitorpi_dashboard.items import PictureWanted

LARGE = Follow(("monitorpi/v1/lab/capture/traffic/+", "monitorpi/v1/lab/prober/probe/+"))
NOTHING = Follow(())
WINDOW = example(Traffic)
DEVICE = example(Device)


class World:
    """A core, what it follows, and whether somebody looks."""

    def __init__(self, *, follows_always: bool = False) -> None:
        self.looked = False
        self.second = 0
        self.seq = 100
        self.said: list[Any] = []
        self.sights: list[Sight] = []
        self.core = DashboardCore(
            "lab", self.sights.append, lambda: self.looked, follows_always=follows_always
        )
        self.hand(Received(Topic("lab", "capture", "device", mac_id(DEVICE.mac)), DEVICE))

    def hand(self, item: object) -> None:
        """Hand an item to the core."""
        self.said += self.core.handle(item)

    def wire(self) -> None:
        """Let the counts of the wire come."""
        self.seq += 1
        fields = {name: getattr(WINDOW, name) for name in Wire.model_fields}
        wire = Wire.model_construct(**fields | {"seq": self.seq})
        self.hand(Received(Topic("lab", "capture", "wire", "eth0"), wire))

    def traffic(self) -> None:
        """Let the counts of the same window come, with those of its devices; read where wanted."""
        topic = Topic("lab", "capture", "traffic", "eth0")
        if not self.core.wants(topic):
            return
        window = WINDOW.model_copy(update={"seq": self.seq})
        self.hand(Received(topic, window))

    def pass_by(self, seconds: float = 1) -> None:
        """Let time pass."""
        for _ in range(round(seconds)):
            self.second += 1
            at = AT + timedelta(seconds=self.second)
            self.hand(Tick(at, float(self.second), clock_synced=True))

    def picture(self) -> Any:
        """Return the picture as somebody asks for it."""
        self.hand(PictureWanted())
        return self.sights[-1].picture

    def device(self) -> Any:
        """Return what is told of the device."""
        return self.picture()["devices"][mac_id(DEVICE.mac)]


def test_nobody_looks_and_the_large_windows_stay_where_they_are() -> None:
    """The smaller ones tell of the wire; what was followed before there was one is left."""
    world = World()

    world.wire()
    world.pass_by(3)

    assert world.said == [NOTHING]
    assert [sight.picture for sight in world.sights] == [None] * 3


def test_a_capture_that_sends_no_small_windows_is_read_by_its_large_ones() -> None:
    """Else nobody would watch while nobody looks."""
    world = World()

    world.pass_by()
    world.traffic()
    world.pass_by(3)

    assert world.said == [LARGE]
    assert world.picture()["interfaces"]["eth0"]["windows"] == 1


def test_whoever_looks_has_rates_of_devices_with_the_next_window() -> None:
    """They are followed until a while after the last page has gone."""
    world = World()
    world.wire()
    world.pass_by()
    world.looked = True

    assert world.device()["tx"] == {}
    world.wire()
    world.traffic()
    assert world.device()["tx"]["packets"] == 1010
    world.looked = False
    world.pass_by(FOLLOWS_S - 1)
    assert world.said == [NOTHING, LARGE]
    world.pass_by(2)
    assert world.said == [NOTHING, LARGE, NOTHING]


def test_rates_of_the_past_are_not_shown() -> None:
    """Neither those of before, nor those that were under way when the last page had gone."""
    world = World()
    world.wire()
    world.pass_by()
    world.picture()
    world.traffic()
    world.pass_by(FOLLOWS_S + 1)
    world.traffic()

    assert world.said[-1] == NOTHING
    assert world.device()["tx"] == {}


def test_a_window_counts_once_whichever_of_its_messages_comes_first() -> None:
    """Its two messages overtake each other; its two minutes and losses do not notice."""
    world = World()
    for n in range(4):
        world.wire()
        if n != 2:
            world.traffic()
    world.pass_by()

    wire = world.picture()["interfaces"]["eth0"]
    assert (wire["windows"], wire["lost_windows"]) == (4, 0)


def test_metrics_of_devices_are_asked_for_by_whom_nobody_sees() -> None:
    """Where they are wanted, the large windows are read all the time; a scrape alone asks not."""
    always, plain = World(follows_always=True), World()
    for world in (always, plain):
        world.wire()
        world.pass_by()
        world.hand(PictureWanted(with_rates=False))
        world.pass_by()

    assert (always.said, plain.said) == ([LARGE], [NOTHING])


def test_rates_of_devices_are_told_every_other_second() -> None:
    """In between a window is not read, a device the same object; the wire is told each second."""
    world = World()
    world.looked = True
    world.wire()
    world.traffic()
    told = []
    for _ in range(4):
        world.pass_by()
        world.wire()
        world.traffic()
        picture = world.sights[-1].picture
        assert picture is not None
        told.append((picture["devices"][mac_id(DEVICE.mac)], picture["interfaces"]["eth0"]))

    assert [told[n][0] is told[n + 1][0] for n in range(3)] == [True, False, True]
    assert [one["windows"] for _, one in told] == [1, 2, 3, 4]


def test_windows_on_made_up_topics_are_not_remembered_for_ever() -> None:
    """Whoever has capture's account could name as many as he likes."""
    world = World()
    world.looked = True
    world.wire()
    world.pass_by()

    for number in range(MAX_INTERFACES + 5):
        topic = Topic("lab", "capture", "traffic", f"eth0-{number}")
        world.hand(Received(topic, WINDOW.model_copy(update={"seq": number})))

    assert len(world.core._read_at) == MAX_INTERFACES


def test_of_the_large_windows_every_other_is_worth_reading_and_all_else_always() -> None:
    """Of each interface by itself; where nothing smaller tells of the wire, each of them."""
    world = World()
    world.looked = True

    def wanted() -> list[str]:
        return [
            f"{kind} {id_}" for kind in ("traffic", "wire", "alert") for id_ in ("eth0", "eth1")
            if world.core.wants(Topic("lab", "capture", kind, id_))
        ]  # fmt: skip

    world.pass_by()
    world.traffic()
    assert len(wanted()) == 6
    world.wire()
    assert wanted() == ["traffic eth1", "wire eth0", "wire eth1", "alert eth0", "alert eth1"]
    world.pass_by()
    assert len(wanted()) == 5

    world.pass_by()

    assert len(wanted()) == 6
