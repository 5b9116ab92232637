"""The board, metrics and rates, number by number: who asks the core, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dashboard.test_metrics import picture, samples

from monitorpi_common.examples import example
from monitorpi_common.messages import Traffic
from monitorpi_dashboard.core import Sight
from monitorpi_dashboard.items import PictureWanted
from monitorpi_dashboard.picture import flows, per_second
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.metrics import Metrics

# --- the board ------------------------------------------------------------------------------------


class Asked:
    """A board whose core answers at once, with a picture that has its number."""

    def __init__(self) -> None:
        self.board = Board()
        self.wanted: list[object] = []
        self.board.emit = self._answer

    def _answer(self, item: object) -> None:
        self.wanted.append(item)
        self.show(len(self.wanted))

    def show(self, number: int) -> None:
        """Hand out a picture."""
        self.board.put(Sight("watching", 2, None, {}, {"n": number}))


def test_whoever_looks_alone_has_a_picture_of_now() -> None:
    """The one before may be old: only beside others is one made each second."""
    one = Asked()
    assert one.board.newest() == b'{"n":1}'
    with one.board.viewer():
        assert one.board.newest() == b'{"n":2}'
        with one.board.viewer():
            assert one.board.newest() == b'{"n":2}'
        assert one.board.newest() == b'{"n":3}'
    assert one.board.picture() == {"n": 4}

    assert one.wanted == [PictureWanted(with_rates=True)] * 3 + [PictureWanted(with_rates=False)]


def test_the_first_of_two_who_look_has_a_picture_too() -> None:
    """Though none was made yet."""
    one = Asked()
    with one.board.viewer(), one.board.viewer():
        assert one.board.newest() == b'{"n":1}'


def test_a_page_that_has_each_picture_is_sent_changes() -> None:
    """Who has none, or missed one, the whole; who has the newest, nothing."""
    one = Asked()
    with one.board.viewer():
        assert one.board.after(0, 0) == (1, b'event: whole\ndata: {"n":1}\n\n')
        one.show(7)
        assert one.board.after(1, 0) == (2, b'event: patch\ndata: {"n":7}\n\n')
        assert one.board.after(2, 0) == (2, None)
        one.show(8)
        one.show(9)
        assert one.board.after(2, 0) == (4, b'event: whole\ndata: {"n":9}\n\n')
        assert one.board.after(3, 0) == (4, b'event: patch\ndata: {"n":9}\n\n')
        one.board.close()
        assert one.board.after(3, 0) == (3, None)
    assert len(one.wanted) == 1


def test_a_board_without_a_core_shows_what_it_has() -> None:
    """Before the page is served, and when it has closed."""
    board = Board()
    assert (board.newest(), board.picture(), board.level) == (b"{}", {}, "blind")
    assert board.glance() == b'{"state":"blind","open":0}'
    assert (board.rates("x"), board.history_url) == ({"tx": {}, "rx": {}}, None)
    assert not board.is_wanted()
    board.put(Sight("partly", 3, "http://x", {}, None))

    assert board.glance() == b'{"state":"partly","open":3}'
    assert (board.newest(), board.history_url) == (b"{}", "http://x")
    with board.viewer():
        assert board.is_wanted()
    assert not board.is_wanted()


# --- metrics --------------------------------------------------------------------------------------


def told(document: dict[str, Any], devices: int = 0) -> dict[Any, float]:
    """Return every sample of a picture, by name and labels."""
    return samples(Metrics(lambda: document, lambda _: {"tx": {}, "rx": {}}, devices).text())


def values(found: dict[Any, float], name: str) -> list[float]:
    """Return the values of a family."""
    return [value for (one, _), value in found.items() if one == f"monitorpi_{name}"]


@pytest.mark.parametrize(
    ("state", "up"), [("up", [1.0]), ("flapping", [1.0]), ("down", [0.0]), ("unknown", [])]
)
def test_a_target_is_up_unless_it_is_down(state: str, up: list[float]) -> None:
    """Of one that was never judged nothing is said."""
    document = picture()
    for one in document["targets"].values():
        one["state"] = state

    assert values(told(document), "target_up") == up


def test_what_was_not_measured_is_not_told() -> None:
    """No number is made of none; each statistic is in seconds."""
    document = picture()
    (target,) = document["targets"].values()
    times = {f"rtt_{name}_ms": 2.0 for name in ("min", "avg", "p50", "p95", "max")}
    target["last"] |= times | {"jitter_ms": 4.0, "mos": 4.5, "loss_ratio": 0.25}
    found = told(document)
    assert values(found, "target_round_trip_seconds") == [0.002] * 5
    assert values(found, "target_jitter_seconds") == [0.004]
    assert (values(found, "target_mos"), values(found, "target_loss_ratio")) == ([4.5], [0.25])

    target["last"] |= dict.fromkeys([*times, "jitter_ms", "mos", "loss_ratio"])
    found = told(document)
    for name in ("target_round_trip_seconds", "target_jitter_seconds", "target_mos",
                 "target_loss_ratio"):  # fmt: skip
        assert values(found, name) == []


def test_alerts_devices_and_levels_are_counted() -> None:
    """Open ones alone; those that are there and those that are not; one level of three."""
    document = picture()
    (alert,) = document["alerts"].values()
    document["alerts"] = {
        "a": alert, "b": alert | {"state": "closed"}, "c": alert | {"interface": None, "rule": "x"},
    }  # fmt: skip
    (device,) = document["devices"].values()
    document["devices"] = {str(n): device | {"present": n > 0} for n in range(3)}
    document["watch"]["state"] = "partly"
    document["silent_s"] = 7.5
    found = told(document)

    assert (values(found, "alerts_open"), values(found, "alert_open")) == ([2.0], [1.0, 1.0])
    labels = [dict(of) for name, of in found if name == "monitorpi_alert_open"]
    assert [one["interface"] for one in labels] == [alert["interface"], ""]
    assert values(found, "devices") == [2.0, 1.0]
    assert values(found, "watch_state") == [0.0, 1.0, 0.0]
    assert values(found, "silent_seconds") == [7.5]
    document["silent_s"] = None
    assert values(told(document), "silent_seconds") == []


def test_a_service_without_health_is_up_and_nothing_more() -> None:
    """And one that is away is 0, with what it said last."""
    document = picture()
    healthy = next(one for one in document["services"].values() if one["health"])
    document["services"] = {
        "a": healthy | {"name": "prober/main", "online": False},
        "b": {"name": "capture/x", "online": True, "health": None},
    }
    found = told(document)

    assert values(found, "service_up") == [0.0, 1.0]
    assert len(values(found, "service_resident_memory_bytes")) == 1
    assert values(found, "service_resident_memory_bytes") == [healthy["health"]["rss_bytes"]]
    assert values(found, "service_start_time_seconds")[0] > 1e9
    for key in ("published", "received", "rejected", "refused", "queue_dropped"):
        assert values(found, f"service_messages_{key}_total") == [healthy["health"][f"{key}_total"]]


def test_what_a_device_does_is_told_by_class_where_it_is_not_nothing() -> None:
    """Frames and bytes of both ways always, of a device without a name too."""
    document = picture()
    (device,) = document["devices"].values()
    device |= {"mac": "02:00:00:00:00:01", "hostname": None}
    rates = {"tx": {"packets": 5.0, "bytes": 300.0, "syn": 3.0, "arp": 0.0}, "rx": {"dns": 2.0}}

    found = samples(Metrics(lambda: document, lambda _: rates, 1).text())

    assert {
        (name, of["direction"], of.get("class"), value)
        for (name, labels), value in found.items()
        if "device_" in name and (of := dict(labels))["name"] == ""
    } == {
        ("monitorpi_device_frames_per_second", "tx", None, 5.0),
        ("monitorpi_device_frames_per_second", "rx", None, 0.0),
        ("monitorpi_device_bytes_per_second", "tx", None, 300.0),
        ("monitorpi_device_bytes_per_second", "rx", None, 0.0),
        ("monitorpi_device_class_frames_per_second", "tx", "syn", 3.0),
        ("monitorpi_device_class_frames_per_second", "rx", "dns", 2.0),
    }


# --- rates ----------------------------------------------------------------------------------------


def sent(tx: dict[str, int], rx: dict[str, int]) -> Any:
    """Return a device's row."""
    return example(Traffic).devices[0].model_copy(update={"tx": tx, "rx": rx})


def test_the_three_classes_a_device_sends_most_are_told() -> None:
    """To two digits, of all interfaces; what everything is made of is none of them."""
    tx = {"packets": 9999, "bytes": 10_000, "ipv4": 900, "tcp": 900, "udp": 800, "ipv6": 700,
          "dns": 1, "arp": 30, "syn": 250, "mdns": 2}  # fmt: skip

    found = flows([(2.0, sent(tx, {"packets": 3})), (1.0, sent({"arp": 140, "packets": 1}, {}))])

    assert found == {
        "tx": {"packets": 5000.0, "bytes": 5000.0}, "rx": {"packets": 1.5},
        "mostly": [["arp", 160.0], ["syn", 120.0], ["mdns", 1.0]],
    }  # fmt: skip
    assert per_second([({"syn": 2, "arp": 0}, 4.0), ({"syn": 1}, 2.0)]) == {"syn": 1.0, "arp": 0.0}
    assert per_second([({"dns": 1}, 3.0)]) == {"dns": 0.3}
