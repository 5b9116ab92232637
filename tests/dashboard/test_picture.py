"""The numbers of the picture by hand: spans other than a second, silence, bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.dashboard.test_view import Page

from monitorpi_common.examples import AT, ATTACKER, example
from monitorpi_common.messages import Alert, Device, Health, Probe, Sent, Target, Traffic, timestamp
from monitorpi_common.service import Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import Topic, mac_id
from monitorpi_dashboard.core import DashboardCore
from monitorpi_dashboard.picture import rates_of

if TYPE_CHECKING:
    from collections.abc import Iterable

ETH0 = Topic("lab", "capture", "traffic", "eth0")


def window(seq: int = 1, interface: str = "eth0", **changes: Any) -> Received:
    """Return a window of two seconds with 10 frames of 1,000 bits, as received."""
    plain: dict[str, Any] = {
        "seq": seq, "interface": interface, "window_s": 2.0, "packets": 10, "bytes": 1250,
        "counts": {}, "devices": (),
    }  # fmt: skip
    traffic = example(Traffic).model_copy(update=plain | changes)
    return Received(Topic("lab", "capture", "traffic", interface), traffic)


def eth0(page: Page, windows: Iterable[Received]) -> Any:
    """Return what is shown of the interface after some windows."""
    return page.show(*windows)["interfaces"][0]


def test_rates_are_per_second_whatever_the_window_lasts() -> None:
    """Frames, bits and each class; a window at the end of a file or a stall is no second."""
    shown = eth0(Page(), [window(counts={"syn": 7}), window(2, window_s=4.0, counts={"syn": 7})])

    assert shown["two_minutes"] == {
        "packets": [5.0, 2.5], "bits": [5000, 2500], "classes": {"syn": [3.5, 1.8]},
    }  # fmt: skip
    assert (shown["packets"], shown["bits"], shown["classes"]) == (2.5, 2500, {"syn": 1.8})


def test_a_class_that_falls_silent_shows_nothing() -> None:
    """Not the rate it had last."""
    shown = eth0(Page(), [window(counts={"syn": 8}), window(2), window(3)])

    assert shown["classes"] == {"syn": 0.0}
    assert shown["two_minutes"]["classes"] == {"syn": [4.0, 0.0, 0.0]}


def test_two_minutes_of_windows_are_kept() -> None:
    """Of frames, bits and classes alike, so that their times agree."""
    shown = eth0(Page(), [window(seq, counts={"arp": seq}) for seq in range(1, 131)])

    kept = shown["two_minutes"]
    assert len(kept["packets"]) == len(kept["bits"]) == 120
    assert kept["classes"]["arp"] == [seq / 2 for seq in range(11, 131)]
    assert shown["windows"] == 130
    assert shown["lost_windows"] == 0


@pytest.mark.parametrize(
    ("seqs", "epochs", "lost"),
    [([1, 2, 3], "aaa", 0), ([1, 3], "aa", 1), ([1, 5, 9], "aaa", 6), ([1, 5], "ab", 0),
     ([5, 1], "aa", 0), ([3, 3], "aa", 0)],
)  # fmt: skip
def test_windows_that_never_came_are_counted(seqs: list[int], epochs: str, lost: int) -> None:
    """Within an epoch; a number that goes back or stands still is no loss."""
    pairs = zip(seqs, epochs, strict=True)

    assert eth0(Page(), [window(seq, epoch=epoch) for seq, epoch in pairs])["lost_windows"] == lost


def test_what_the_newest_window_says_is_shown() -> None:
    """With its totals and drops, as it says."""
    said = {"engine": "socket", "link_bps": 10, "sees_replies": False, "kernel_drops": 3,
            "source_macs": 9, "totals": {"packets": 99}}  # fmt: skip

    shown = eth0(Page(), [window(), window(2, **said)])

    assert {name: shown[name] for name in said} == said
    assert shown["name"] == "eth0"


def row(mac: str, tx: dict[str, int], rx: dict[str, int]) -> Any:
    """Return what a window says of a MAC."""
    one = example(Traffic).devices[0]
    return one.model_copy(update={"mac": mac, "tx": tx, "rx": rx})


def test_senders_that_are_no_devices_yet_are_shown_with_their_rates() -> None:
    """In the order of the windows; 64 at most; a device is none of them."""
    known = example(Device)
    macs = [f"02:00:00:00:00:{number:02x}" for number in range(70)]
    rows = [row(mac, {"packets": 5}, {"packets": 3}) for mac in (known.mac, *macs)]
    device = Received(Topic("lab", "capture", "device", mac_id(known.mac)), known)

    shown = Page().show(device, window(devices=tuple(rows)))

    assert [one["mac"] for one in shown["strangers"]] == macs[:64]
    assert shown["strangers"][0] == {
        "mac": macs[0], "tx": {"packets": 2.5}, "rx": {"packets": 1.5}, "mostly": [],
    }  # fmt: skip
    assert (shown["devices"][0]["tx"], shown["devices"][0]["rx"]) == (
        {"packets": 2.5}, {"packets": 1.5})  # fmt: skip


def test_a_device_that_only_receives_was_not_seen() -> None:
    """Whoever is flooded while switched off does not look alive; a late window takes nothing.

    A device that sends is seen now: it has no time of its own.
    """
    known = example(Device)
    device = Received(Topic("lab", "capture", "device", mac_id(known.mac)), known)
    later, before = known.last_seen + timedelta(seconds=9), known.last_seen - timedelta(seconds=9)
    silent, talks = row(known.mac, {}, {"packets": 9}), row(known.mac, {"packets": 1}, {})

    def seen(*windows: Received) -> str | None:
        shown = Page().show(device, *windows)["devices"][0]["last_seen"]
        return None if shown is None else str(shown)

    assert seen(window(devices=(silent,), end=later)) == timestamp(known.last_seen)
    assert seen(window(devices=(talks,), end=later)) is None
    nobody = window(2, end=later + timedelta(seconds=1))
    assert seen(window(devices=(talks,), end=later), nobody) == timestamp(later)
    assert seen(window(devices=(talks,), end=before), nobody) == timestamp(known.last_seen)


@pytest.mark.parametrize(("seconds", "shown"), [(-5.0, 0.0), (0.04, 0.0), (12.26, 12.3)])
def test_silence_is_since_the_end_of_the_newest_window(seconds: float, shown: float) -> None:
    """Never negative where clocks differ."""
    end = AT - timedelta(seconds=seconds)

    assert Page().show(window(end=end))["silent_s"] == shown


def test_the_watch_says_since_when() -> None:
    """The first picture begins it; it stands until the level changes."""
    page = Page()
    first = page.show()["watch"]
    second = page.show(at=AT + timedelta(seconds=9))["watch"]

    assert first["state"] == second["state"] == "blind"
    assert first["since"] == second["since"] == timestamp(AT)
    assert first["reasons"]


def test_the_level_is_handed_out_with_each_picture() -> None:
    """For whoever asks only that, and with what comes at each tick alone."""
    levels: list[str] = []
    core = DashboardCore(
        "lab", lambda sight: levels.append(sight.level), own_health=lambda: {"url": "x"}
    )
    core.handle(window())
    assert levels == []

    core.handle(Tick(AT, 0.0, clock_synced=True))

    assert levels == ["blind"]
    assert core.detail() == {"url": "x"}
    assert list(core.close()) == []


def test_probing_is_shown_once_there_was_a_round() -> None:
    """When it ended, what of a delay is our own, and what we send."""
    page = Page()
    assert page.show()["probing"] is None
    probe = example(Probe)

    shown = page.show(Received(Topic("lab", "prober", "probe", "main"), probe))["probing"]

    assert shown == {
        "round_end": timestamp(probe.round_end),
        "noise_floor_ms": probe.noise_floor_ms,
        "echo_per_s": probe.source.echo_per_s,
    }


def test_services_are_in_order_and_keep_their_health_when_they_go() -> None:
    """So that the page says what one was like that is away."""
    page = Page()
    status = {name: Topic("lab", name, "status", "main") for name in ("prober", "capture")}
    health = Received(Topic("lab", "prober", "health", "main"), example(Health))

    shown = page.show(
        health, *(Presence(one, online=True) for one in status.values()),
        Presence(status["prober"], online=False),
    )["services"]  # fmt: skip

    assert [(one["name"], one["online"]) for one in shown] == [
        ("capture/main", True), ("prober/main", False)]  # fmt: skip
    assert shown[0]["health"] is None
    assert shown[1]["health"]["version"] == example(Health).version
    left = page.show(Presence(status["prober"], online=False, taken_back=True))["services"]
    assert [one["name"] for one in left] == ["capture/main"]


@pytest.mark.parametrize(
    ("kind", "service", "limit", "place"),
    [
        (Device, "capture", 4096, "devices"),
        (Target, "prober", 4096, "targets"),
        (Alert, "detector", 512, "alerts"),
    ],
)
def test_of_each_kind_the_longest_unseen_leaves(
    kind: Any, service: str, limit: int, place: str
) -> None:
    """One more than there is room for, and who was heard of again stays."""
    page = Page()
    message = example(kind)
    field = {"device": "mac", "target": "name", "alert": "key"}[kind.KIND]

    def received(number: int) -> Received:
        named = message.model_copy(update={field: f"{number:012x}"})
        return Received(Topic("lab", service, kind.KIND, f"{number:012x}"), named)

    for number in (*range(limit), 0, limit):
        page.core.handle(received(number))
    shown = page.show()[place]

    names = [one[field] for one in shown]
    assert len(names) == limit
    assert names[-2:] == [f"{0:012x}", f"{limit:012x}"]
    assert f"{1:012x}" not in names
    gone = TombstoneReceived(Topic("lab", service, kind.KIND, f"{0:012x}"))
    assert len(page.show(gone)[place]) == limit - 1


def test_interfaces_services_and_deliveries_have_their_limits() -> None:
    """32, 64 and the newest 20; what is there goes on being updated."""
    page = Page()
    for number in range(40):
        page.core.handle(window(interface=f"eth{number}"))
    page.core.handle(window(2, interface="eth0", packets=100))
    for number in range(70):
        page.core.handle(Presence(Topic("lab", "detector", "status", f"s{number}"), online=True))
    for number in range(25):
        sent = example(Sent).model_copy(update={"title": str(number)})
        page.core.handle(Received(Topic("lab", "notifier", "sent", "x"), sent))

    shown = page.show()

    assert [one["name"] for one in shown["interfaces"]] == [f"eth{n}" for n in range(32)]
    assert shown["interfaces"][0]["two_minutes"]["packets"] == [5.0, 50.0]
    assert len(shown["services"]) == 64
    assert [one["title"] for one in shown["notifier"]["sent"]] == [str(n) for n in range(24, 4, -1)]
    assert "alerts" not in shown["notifier"]["sent"][0]
    assert shown["notifier"]["destinations"] == {}


@pytest.mark.parametrize("detail", [{}, {"destinations": None}, {"destinations": "x"}])
def test_a_notifier_that_says_nothing_of_its_destinations_has_none(detail: Any) -> None:
    """Any program may say anything there."""
    health = example(Health).model_copy(update={"detail": detail})

    shown = Page().show(Received(Topic("lab", "notifier", "health", "main"), health))

    assert shown["notifier"] == {"destinations": {}, "sent": []}


@pytest.mark.parametrize(
    ("closed_s", "at_s", "now_s", "shown"),
    [(None, 0, 86400, True), (None, 0, 86401, False), (None, 50, 86401, True),
     (10, 50, 86410, True), (10, 50, 86411, False)],
)  # fmt: skip
def test_an_alert_is_shown_as_long_as_the_broker_keeps_it(
    closed_s: int | None, at_s: int, now_s: int, shown: bool
) -> None:
    """A day after its closing, or after its last word where nobody closed it."""
    closed = None if closed_s is None else AT + timedelta(seconds=closed_s)
    update = {"closed_at": closed, "at": AT + timedelta(seconds=at_s)}
    alert = Received(
        Topic("lab", "detector", "alert", "x"), example(Alert).model_copy(update=update)
    )

    assert bool(Page().show(alert, at=AT + timedelta(seconds=now_s))["alerts"]) is shown


def test_the_site_and_the_time_are_said() -> None:
    """A page that is left open says of when it is."""
    shown = Page().show()

    assert (shown["site"], shown["at"]) == ("lab", timestamp(AT))
    assert ATTACKER not in str(shown)


def test_every_class_of_a_device_is_per_second_of_its_windows() -> None:
    """Of windows of two and of four seconds on two interfaces."""
    row = example(Traffic).devices[0].model_copy(update={"tx": {"syn": 8}, "rx": {"dns": 2}})

    rates = rates_of(row.mac, {"eth0": {row.mac: (2.0, row)}, "eth1": {row.mac: (4.0, row)}})

    assert rates == {"tx": {"syn": 6.0}, "rx": {"dns": 1.5}}
