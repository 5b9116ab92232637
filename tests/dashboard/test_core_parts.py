"""Parts of the core and of the board by hand: whom the page asks, what it is told, its waits."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from monitorpi_common.examples import AT, example
from monitorpi_common.messages import Alert, Device, Health, Probe, Sent, Target, timestamp
from monitorpi_common.service import Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import Topic, mac_id
from monitorpi_dashboard import devices
from monitorpi_dashboard.core import DashboardCore, Sight
from monitorpi_dashboard.items import PictureWanted
from monitorpi_dashboard.sinks.board import Board


class Shown:
    """A core, and what it handed out last."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []
        self.core = DashboardCore("lab", self.sights.append)

    def after(self, *items: object) -> Sight:
        """Hand in items and a tick; return what is seen."""
        for item in (*items, Tick(AT, 1.0, clock_synced=True)):
            list(self.core.handle(item))
        return self.sights[-1]

    def picture(self, *items: object) -> dict[str, Any]:
        """Return the picture after some items."""
        found = self.after(*items).picture
        assert found is not None
        return found


def health(service: str, **detail: Any) -> Received:
    """Return what a service says of itself."""
    one = example(Health).model_copy(update={"detail": detail})
    return Received(Topic("lab", service, "health", "main"), one)


def online(service: str, *, is_there: bool = True) -> Presence:
    """Return that a service is connected, or is not."""
    return Presence(Topic("lab", service, "status", "main"), online=is_there)


SENT = Received(Topic("lab", "notifier", "sent", "x"), example(Sent))


@pytest.mark.parametrize(
    ("items", "destinations"),
    [
        ((), None),
        ((health("history", destinations={"a": 1}),), None),
        ((health("notifier", destinations={"a": 1}),), {"a": 1}),
        ((health("notifier", destinations={"a": 1}), health("history", destinations={"b": 1})),
         {"a": 1}),
        ((health("notifier", destinations=[1]),), {}), ((health("notifier"),), {}),
        ((online("notifier"),), {}), ((SENT,), {}),
    ],
)  # fmt: skip
def test_who_is_notified_is_what_a_notifier_says(
    items: tuple[object, ...], destinations: dict[str, Any] | None
) -> None:
    """Nobody else's word counts; without one there is no such part."""
    found = Shown().picture(*items)["notifier"]

    assert (found and found["destinations"]) == destinations
    if found is not None:
        sent = SENT.message.model_dump(mode="json", exclude={"alerts"})
        assert found["sent"] == [sent] * (SENT in items)


def test_the_twenty_newest_messages_to_people_are_shown() -> None:
    """The newest first."""
    found = Shown().picture(*[
        Received(SENT.topic, example(Sent).model_copy(update={"at": AT.replace(minute=n)}))
        for n in range(25)
    ])["notifier"]["sent"]  # fmt: skip

    assert [one["at"][14:16] for one in found] == [f"{n:02}" for n in range(24, 4, -1)]


@pytest.mark.parametrize(
    ("items", "url"),
    [
        ((), None),
        ((health("history", url="http://x"),), None),
        ((online("history"),), None),
        ((online("history"), health("history", url="http://x")), "http://x"),
        ((online("history"), health("history", url="")), None),
        ((online("history"), health("history")), None),
        ((online("history"), health("history", url="http://x"), online("history", is_there=False)),
         None),
        ((online("detector"), health("detector", url="http://y")), None),
    ],
)  # fmt: skip
def test_the_past_is_asked_where_a_history_that_runs_says(
    items: tuple[object, ...], url: str | None
) -> None:
    """And nowhere else."""
    assert Shown().after(*items).history_url == url


def test_what_is_taken_back_is_no_longer_shown() -> None:
    """Each kind by its own topic; other words of the same id stay."""
    kinds = {"devices": Device, "targets": Target, "alerts": Alert}
    topics = {
        name: Topic("lab", (kind.SERVICE or "").value, kind.KIND, "x")  # type: ignore[union-attr]
        for name, kind in kinds.items()
    }
    one = Shown()
    fresh = example(Alert).model_copy(update={"at": AT, "closed_at": None, "state": "open"})
    messages = {"devices": example(Device), "targets": example(Target), "alerts": fresh}
    found = one.picture(*[Received(topics[name], messages[name]) for name in kinds])
    assert [list(found[name]) for name in kinds] == [["x"]] * 3
    assert one.sights[-1].open_alerts == 1

    for gone, name in enumerate(kinds, 1):
        found = one.picture(TombstoneReceived(topics[name]))
        assert [len(found[other]) for other in kinds] == [0] * gone + [1] * (3 - gone)
    one.picture(TombstoneReceived(Topic("lab", "detector", "watch", "x")))
    assert one.sights[-1].open_alerts == 0


def test_the_newest_round_is_shown() -> None:
    """When it ended, how exact it is, and what it sends."""
    one = Shown()
    assert one.picture()["probing"] is None
    probe = example(Probe)

    found = one.picture(Received(Topic("lab", "prober", "probe", "main"), probe))["probing"]

    assert found == {
        "round_end": timestamp(probe.round_end), "noise_floor_ms": probe.noise_floor_ms,
        "echo_per_s": probe.source.echo_per_s,
    }  # fmt: skip


def test_services_are_bounded_and_shown_by_name() -> None:
    """Sixty-four; one more is not shown, and whoever leaves makes room."""
    one = Shown()
    names = [f"s{n:02}" for n in range(65)]

    found = one.picture(*[
        Presence(Topic("lab", "prober", "status", name), online=True) for name in reversed(names)
    ])  # fmt: skip
    assert list(found["services"]) == [f"prober/{name}" for name in names[1:]]
    assert found["services"]["prober/s01"] == {
        "name": "prober/s01", "online": True, "health": None}  # fmt: skip

    gone = Presence(Topic("lab", "prober", "status", "s07"), online=False, taken_back=True)
    found = one.picture(gone, Presence(Topic("lab", "prober", "status", "s00"), online=True))
    assert list(found["services"]) == [f"prober/{name}" for name in names if name != "s07"]


def test_what_was_made_of_devices_that_left_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of ever new devices takes no more memory than one of those there are."""
    monkeypatch.setattr(devices, "MAX_DEVICES", 2)
    shelf = devices.DeviceShelf()
    for n in range(5):
        mac = f"02:00:00:00:00:0{n}"
        shelf.announce(mac_id(mac), example(Device).model_copy(update={"mac": mac}))
        shelf.parts()

    assert set(shelf._announced) == set(shelf._parts) == {"020000000003", "020000000004"}
    shelf.forget("020000000003")
    assert set(shelf._announced) == set(shelf.parts()) == {"020000000004"}


# --- the board ------------------------------------------------------------------------------------


def sight(number: int = 1, **more: Any) -> Sight:
    """Return what a core hands out."""
    values: dict[str, Any] = {"level": "partly", "open_alerts": 3, "history_url": "http://x",
                              "rows": {}, "picture": {"n": number}}  # fmt: skip
    return Sight(**values | more)


def test_a_board_before_anything_was_handed_out() -> None:
    """Is blind, and says so."""
    one = Board()

    assert (one.level, one.history_url, one.closed) == ("blind", None, False)
    assert one.rates("02:00:00:00:00:01") == {"tx": {}, "rx": {}}
    assert json.loads(one.glance()) == {"state": "blind", "open": 0}
    assert (one.newest(), one.picture()) == (b"{}", {})
    one.put(sight())
    assert (one.level, one.history_url) == ("partly", "http://x")
    assert json.loads(one.glance()) == {"state": "partly", "open": 3}


@pytest.mark.parametrize("asks", ["newest", "picture", "after"])
def test_whoever_asks_waits_for_the_picture_that_is_made_for_him(asks: str) -> None:
    """By the core, in a thread of its own; only a page's look reads the counts of devices."""
    one, waits = Board(), threading.Event()
    wait_for, asked = one._changed.wait_for, list[object]()

    def waiting(*words: Any) -> Any:
        waits.set()
        return wait_for(*words)

    one._changed.wait_for = waiting  # type: ignore[method-assign] # to know when it is waited

    def core() -> None:
        waits.wait(10)
        one.put(sight(7))

    def emit(item: object) -> None:
        asked.append(item)
        threads.append(threading.Thread(target=core))
        threads[-1].start()

    threads: list[threading.Thread] = []
    one.emit = emit

    found: Any = one.after(0, 1.0) if asks == "after" else getattr(one, asks)()

    for thread in threads:
        thread.join()
    assert asked == [PictureWanted(asks != "picture")]
    whole = (1, b'event: whole\ndata: {"n":7}\n\n')
    assert found == {"newest": b'{"n":7}', "picture": {"n": 7}, "after": whole}[asks]


@pytest.mark.parametrize(("viewers", "pictures", "asked"), [(0, 1, 1), (1, 1, 1), (2, 0, 1),
                                                            (2, 1, 0)])  # fmt: skip
def test_where_others_look_a_picture_is_made_each_second_anyway(
    viewers: int, pictures: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for one then; once closed nobody asks at all."""
    monkeypatch.setattr("monitorpi_dashboard.sinks.board.ASKED_S", 0.01)
    one, items = Board(), list[object]()
    one.emit, one._viewers = items.append, viewers
    for _ in range(pictures):
        one.put(sight())

    one.newest()
    assert len(items) == asked
    one.close()
    one.newest()
    assert (len(items), one.closed) == (asked, True)


def test_a_page_is_told_what_changed_if_it_missed_nothing() -> None:
    """Else the whole; nothing where nothing came or the end has."""
    one = Board()
    one.put(sight(1))
    with one.viewer():
        assert one.is_wanted()
        one.put(sight(2))
        one.put(sight(2, picture=None))
        assert one.after(1, 0.0) == (2, b'event: patch\ndata: {"n":2}\n\n')
        one.put(sight(3))
        assert one.after(1, 0.0) == (3, b'event: whole\ndata: {"n":3}\n\n')
        assert one.after(3, 0.0) == (3, None)
        one.close()
        assert one.after(1, 0.0) == (1, None)
    assert not one.is_wanted()


def test_what_is_no_number_is_none_in_json() -> None:
    """A browser would read no picture with it."""
    one = Board()
    one.put(sight(picture={"a": float("nan"), "b": float("inf")}))

    assert one.newest() == b'{"a":null,"b":null}'
