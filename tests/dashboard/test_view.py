"""The page's core: one bounded picture of whatever the bus says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Result,
    Sent,
    Service,
    Traffic,
    timestamp,
)
from monitorpi_common.service import Follow, Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import Topic, mac_id
from monitorpi_dashboard import core as view_module
from monitorpi_dashboard.core import DashboardCore, Sight
from monitorpi_dashboard.devices import MAX_DEVICES
from monitorpi_dashboard.items import CommandRequested


class Page:
    """A core and the pictures it handed out, with lists where they have tables."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.core = DashboardCore("lab", self._take)

    def _take(self, sight: Sight) -> None:
        assert sight.picture is not None
        picture = json.loads(to_json(sight.picture, inf_nan_mode="null"))
        tables = ("services", "interfaces", "devices", "strangers", "targets", "alerts")
        self.documents.append(picture | {name: [*picture[name].values()] for name in tables})

    def show(self, *items: object, at: datetime = AT, boot_s: float = 0.0) -> dict[str, Any]:
        """Hand in items, tick once, and return the picture."""
        for item in (*items, Tick(at, boot_s, clock_synced=True)):
            assert [one for one in self.core.handle(item) if not isinstance(one, Follow)] == []
        return self.documents[-1]


def every_example() -> list[Received]:
    """Return all messages of the contract's examples, as received."""
    return [Received(topic, message) for topic, message in EXAMPLES]


def test_everything_the_bus_says_is_in_the_picture() -> None:
    """Counts, devices, targets, alerts, services: each finds its place."""
    picture = Page().show(
        *every_example(), Presence(Topic("lab", "detector", "status", "main"), True)
    )

    assert [one["name"] for one in picture["interfaces"]] == ["eth0"]
    assert picture["interfaces"][0]["classes"]["syn"] == 1012
    assert picture["devices"][0]["tx"]["packets"] == 1010  # of 1012: three digits are read
    assert picture["devices"][0]["mostly"][0] == ["syn", 1000]
    assert picture["targets"][0]["state"] == "up"
    assert picture["alerts"][0]["rule"] == "syn-flood"
    assert picture["services"][0]["online"] is True
    assert picture["services"][0]["health"]["version"] == "0.1.0"


def test_what_is_no_number_in_json_stops_no_page() -> None:
    """A service of somebody else's may say NaN in its details; a browser reads none of it then."""
    topic, health = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Health))
    odd = Health.model_validate_json(
        health.model_copy(update={"detail": {}}).encode()[: -len(b"{}}")]
        + b'{"x":[NaN,-Infinity]}}'
    )

    picture = Page().show(Received(topic, odd))

    assert picture["services"][0]["health"]["detail"] == {"x": [None, None]}


def test_what_is_taken_back_is_gone() -> None:
    """Tombstones remove devices, targets and alerts."""
    gone = [TombstoneReceived(topic) for topic, _ in EXAMPLES]

    picture = Page().show(*every_example(), *gone)

    assert (picture["devices"], picture["targets"], picture["alerts"]) == ([], [], [])


def test_a_capture_that_is_not_coming_back_leaves_no_interface_behind() -> None:
    """A drill's: its counts are in no total any more, and its silence blinds nobody."""
    topic, window = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Traffic))
    drill = window.model_copy(update={"interface": "drill0"})
    health = next(one for _, one in EXAMPLES if isinstance(one, Health))
    of = {name: Topic("lab", "capture", "health", name) for name in ("main", "drill")}
    status = Topic("lab", "capture", "status", "drill")
    page = Page()
    page.show()
    both = page.show(
        Received(topic, window),
        Received(topic, drill),
        Received(of["main"], health.model_copy(update={"detail": {"interfaces": ["eth0"]}})),
        Received(of["drill"], health.model_copy(update={"detail": {"interfaces": ["drill0"]}})),
        Presence(status, True),
    )

    after = page.show(Presence(status, False), Presence(status, False, taken_back=True))

    assert {one["name"] for one in both["interfaces"]} == {"eth0", "drill0"}
    assert [one["name"] for one in after["interfaces"]] == ["eth0"]
    assert [one["name"] for one in after["services"] if one["name"] == "capture/drill"] == []


def test_silence_is_told() -> None:
    """Without windows the page says for how long there were none."""
    page = Page()

    assert page.show()["silent_s"] is None
    assert page.show(*every_example(), at=AT + timedelta(seconds=12))["silent_s"] == 12.0


@pytest.mark.parametrize("step_s", [-3600.0, 86_400.0])
def test_silence_does_not_depend_on_the_clock(step_s: float) -> None:
    """The clock is set ahead or back while there are no windows: they are as long ago as ever."""
    page = Page()
    page.show(*every_example(), at=AT + timedelta(seconds=2), boot_s=2.0)

    shown = page.show(at=AT + timedelta(seconds=5 + step_s), boot_s=5.0)

    assert shown["silent_s"] == 5.0


def test_a_class_seen_late_was_zero_before() -> None:
    """Histories of all classes have the length of the interface's, so that their times agree."""
    traffic = example(Traffic)
    assert isinstance(traffic, Traffic)
    topic = Topic("lab", "capture", "traffic", "eth0")
    calm = [Received(topic, traffic.model_copy(update={"seq": n, "counts": {}})) for n in range(3)]

    picture = Page().show(*calm, Received(topic, traffic.model_copy(update={"seq": 3})))

    assert picture["interfaces"][0]["two_minutes"]["classes"]["syn"] == [0, 0, 0, 1012]


def test_rates_of_a_device_are_those_of_all_interfaces() -> None:
    """The window of one interface does not hide what another one counted."""
    traffic = example(Traffic)
    assert isinstance(traffic, Traffic)
    quiet = traffic.model_copy(update={"interface": "eth1", "devices": ()})
    both = traffic.model_copy(update={"interface": "eth2"})
    windows = [
        Received(Topic("lab", "capture", "traffic", one.interface), one)
        for one in (traffic, both, quiet)
    ]

    picture = Page().show(*every_example(), *windows)

    assert picture["devices"][0]["mostly"][0] == ["syn", 2000]


def test_a_device_was_seen_when_it_last_sent() -> None:
    """Not when capture last told of its name: that is up to a minute earlier."""
    traffic = example(Traffic)
    assert isinstance(traffic, Traffic)
    later = traffic.model_copy(update={"seq": 43, "end": traffic.end + timedelta(seconds=20)})
    silent = later.model_copy(
        update={"seq": 44, "end": traffic.end + timedelta(seconds=21), "devices": ()}
    )
    topic = Topic("lab", "capture", "traffic", "eth0")

    picture = Page().show(*every_example(), Received(topic, later), Received(topic, silent))

    assert picture["devices"][0]["last_seen"] == timestamp(later.end)


def test_a_gap_in_the_sequence_is_counted() -> None:
    """Windows that never came are said, not hidden."""
    traffic = example(Traffic)
    assert isinstance(traffic, Traffic)
    topic = Topic("lab", "capture", "traffic", "eth0")

    picture = Page().show(
        Received(topic, traffic), Received(topic, traffic.model_copy(update={"seq": 45}))
    )

    assert picture["interfaces"][0]["lost_windows"] == 2


def test_memory_is_bounded() -> None:
    """However many devices, alerts and services somebody invents, the picture stays bounded."""
    device, alert = example(Device), example(Alert)
    assert isinstance(device, Device)
    assert isinstance(alert, Alert)
    page = Page()
    for number in range(MAX_DEVICES + 100):
        mac = ":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2))
        topic = Topic("lab", "capture", "device", mac_id(mac))
        list(page.core.handle(Received(topic, device.model_copy(update={"mac": mac}))))
    for number in range(view_module.MAX_ALERTS + 100):
        list(page.core.handle(Received(Topic("lab", "detector", "alert", f"a{number}"), alert)))
        status = Topic("lab", "detector", "status", f"s{number}")
        list(page.core.handle(Presence(status, online=True)))

    picture = page.show()

    assert len(picture["devices"]) == MAX_DEVICES
    assert len(picture["alerts"]) == view_module.MAX_ALERTS
    assert len(picture["services"]) == view_module.MAX_SERVICES


@given(st.lists(st.sampled_from([*EXAMPLES, None]), max_size=30))
def test_any_order_of_messages_gives_a_picture(order: list[Any]) -> None:
    """Messages come in any order, twice, and with ticks between."""
    page = Page()
    tick = Tick(datetime(2026, 1, 1, tzinfo=UTC), 0.0, clock_synced=False)

    page.show(*(tick if one is None else Received(*one) for one in order))

    assert page.documents


def test_deliveries_are_in_the_picture() -> None:
    """Who is notified of alerts and what was sent last; nothing where there is no notifier."""
    page = Page()
    assert page.show()["notifier"] is None
    health = example(Health).model_copy(
        update={"detail": {"destinations": {"phone": {"waiting": 2, "error": "refused"}}}}
    )

    shown = page.show(
        Received(Topic("lab", "notifier", "health", "main"), health),
        Received(Topic("lab", "notifier", "sent", "phone"), example(Sent)),
    )["notifier"]

    assert shown["destinations"]["phone"]["waiting"] == 2
    assert shown["sent"][0]["title"] == example(Sent).title


ORDER = CommandRequested("page-1", Service.DETECTOR, "acknowledge", {"key": "loop-wire-eth0"})


def test_an_order_becomes_a_command() -> None:
    """Of the service it is for, under the id its result comes back under; once time is known."""
    page = Page()
    assert list(page.core.handle(ORDER)) == []
    page.show()

    (command,) = page.core.handle(ORDER)

    assert (command.to, command.id, command.message.name) == (
        Service.DETECTOR, "page-1", "acknowledge",
    )  # fmt: skip
    assert command.message.args == {"key": "loop-wire-eth0"}


def test_a_result_is_handed_to_those_who_wait() -> None:
    """With the id of its command."""
    results: list[tuple[str, Result]] = []
    core = DashboardCore(
        "lab", lambda _: None, lambda: False, dict, lambda *one: results.append(one)
    )
    result = example(Result)

    core.handle(Received(Topic("lab", "detector", "result", "page-1"), result))

    assert results == [("page-1", result)]
