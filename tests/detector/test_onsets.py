"""Looks at a running window: which raise, and what they leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import ATTACKER, ID, ROUTER, VICTIM, at, echoes, plain, syns, window
from tests.drive import drive, messages, received

from monitorpi_common.messages import Alert, DeviceWindow, Onset, Wire
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from collections.abc import Iterable


def onset(second: float, *rows: DeviceWindow, lasts_s: float = 0.3, **more: Any) -> Onset:
    """Build a look at the window that began ``lasts_s`` before a second."""
    counts: dict[str, int] = {}
    for row in rows:
        for name, count in row.tx.items():
            counts[name] = counts.get(name, 0) + count
    values: dict[str, Any] = {
        "epoch": "e1", "seq": int(second), "start": at(second - lasts_s), "end": at(second),
        "window_s": lasts_s, "rise_s": lasts_s, "clock_synced": True, "interface": "eth0",
        "engine": "ebpf", "packets": counts.pop("packets", 0), "bytes": counts.pop("bytes", 0),
        "counts": counts, "sees_replies": True, "devices": list(rows),
    }  # fmt: skip
    return Onset(**values | more)


def core() -> DetectorCore:
    """Return a detector that has seen a window, which ended at second 1."""
    detector = DetectorCore("lab", DetectorSettings())
    drive(detector, [received(window(0, plain(VICTIM, packets=1)), "eth0")])
    return detector


def alerts(detector: DetectorCore, items: Iterable[Onset | Wire]) -> list[Alert]:
    """Return the alerts that messages lead to, each time they are published."""
    said = messages(drive(detector, [received(item, "eth0") for item in items]))
    return [one for one in said if isinstance(one, Alert)]


def test_what_waited_in_vain_raises_with_the_rate_of_the_rise() -> None:
    """400 SYNs in 0.2 s of which 200 had time to be answered: 2,000/s, critical at once."""
    (alert,) = alerts(core(), [onset(1.3, syns(400), late_syn=200, rise_s=0.2)])

    assert (alert.key, alert.severity) == (f"syn-flood-{ID}", "critical")
    assert (alert.evidence.value, alert.evidence.window_s) == (2000, 0.2)
    assert alert.opened_at == at(1.3)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (onset(1.3, syns(400), late_syn=226), "174 had time to be answered"),
        (onset(1.3, syns(400), before={"syn": 226}), "174 came since the rise"),
        (onset(1.3, syns(400), sees_replies=False), "answers are not seen here"),
        (onset(1.3, syns(400, ports=300)), "a scan"),
        (onset(1.3, syns(400, hosts=300)), "a sweep"),
        (onset(1.3, syns(400), plain(VICTIM, packets=1), epoch="e0"), "another epoch"),
        (onset(1.3, syns(400), interface="eth1"), "an interface without windows"),
        (onset(0.9, syns(400)), "a window that is over"),
        (onset(7.0, syns(400)), "a clock that is not the windows'"),
        (onset(1.3, syns(400, rx={"syn_ack": 300, "tcp": 300}, tcp=1000)), "answered and used"),
        (onset(1.3, echoes(87)), "87 pings are 87 in a second"),
        (onset(1.3, echoes(400, hosts=300)), "pings to many hosts"),
        (onset(1.3, echoes(400), before={"icmp_echo": 313}), "87 came since the rise"),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_left_to_the_window(look: Onset, why: str) -> None:
    """Each of these may be harmless when the window is over, or is not this window's."""
    assert alerts(core(), [look]) == [], why


def test_a_destination_behind_a_router_may_take_longer_to_answer() -> None:
    """What goes to the Internet waits for the window."""
    detector = core()
    row = syns(400, peer=ROUTER, ip="203.0.113.5")
    router = plain(ROUTER, packets=1).model_copy(update={"role": "router"})

    assert alerts(detector, [onset(1.3, row, router)]) == []
    (alert,) = alerts(detector, [window(1, row, router)])
    assert alert.key == f"syn-flood-{ID}"


def test_more_than_any_burst_of_connections_is_not_waited_for() -> None:
    """5,200 SYNs without an answer raise though all of them are late; 5,100 do not."""
    assert not alerts(core(), [onset(1.05, syns(5100), late_syn=5100, lasts_s=0.05)])
    (alert,) = alerts(core(), [onset(1.05, syns(5200), late_syn=5200, lasts_s=0.05)])

    assert alert.evidence.value == pytest.approx(104_000)


def test_looks_teach_nothing_and_do_not_add_up() -> None:
    """A hundred looks at 174 SYNs are no two windows over the threshold, and no sum over time."""
    detector = core()

    assert not alerts(detector, [onset(1.1 + n / 1000, syns(174)) for n in range(100)])
    assert not alerts(detector, [window(1, syns(120)), window(2, syns(10)), window(3, syns(10))])


def test_the_window_goes_on_with_what_a_look_raised() -> None:
    """One alert, with the look's rate until a window half a second later says another."""
    detector = core()
    (opened,) = alerts(detector, [onset(1.3, syns(400), late_syn=200, rise_s=0.2)])

    assert alerts(detector, [window(1, syns(1700)), window(2, syns(2000))]) == []
    later = [window(n, plain(VICTIM, packets=1)) for n in range(3, 25)]
    closed = alerts(detector, later)[-1]

    assert (closed.state, closed.id, closed.opened_at) == ("closed", opened.id, opened.opened_at)
    assert closed.evidence.peak == 2000


def test_limits_of_a_device_hold_in_looks_too() -> None:
    """Who has a higher floor needs more of a look, as of a window."""
    quiet = DetectorCore(
        "lab",
        DetectorSettings.model_validate({"devices": {ATTACKER: {"syn-flood": {"floor": 900}}}}),
    )
    drive(quiet, [received(window(0, plain(VICTIM, packets=1)), "eth0")])

    assert not alerts(quiet, [onset(1.3, syns(1500))])
    assert alerts(quiet, [onset(1.4, syns(1600), lasts_s=0.4)])


@pytest.mark.parametrize(
    ("whose", "rows"),
    [
        (ATTACKER, [syns(400)]),
        (VICTIM, [syns(120, f"04:00:00:00:01:{n:02x}") for n in range(4)]),
    ],
)
def test_what_raises_at_once_is_of_the_sender_or_of_the_victim_of_many(
    whose: str, rows: list[DeviceWindow]
) -> None:
    """How far beyond the threshold: as the settings have it for that device, and no other's."""
    for mac, is_raised in ((whose, False), (ROUTER, True)):
        patient = {"devices": {mac: {"syn-flood": {"raise_at_once": 9.0}}}}
        detector = DetectorCore("lab", DetectorSettings.model_validate(patient))
        drive(detector, [received(window(0, plain(VICTIM, packets=1)), "eth0")])

        assert bool(alerts(detector, [onset(1.3, *rows)])) is is_raised


@pytest.mark.parametrize(
    ("rows", "beyond"),
    [
        ([syns(1500, tcp=4500, rx={"syn_ack": 1500, "tcp": 3000})], False),
        ([syns(1500, ROUTER, role="router", addresses=200, tcp=4500),
          plain(VICTIM, rx={"syn": 1500, "tcp": 4500}, syn_ack=1500, tcp=3000)], True),
    ],
)  # fmt: skip
def test_connections_need_not_have_ended_in_a_look(rows: list[DeviceWindow], beyond: bool) -> None:
    """1,500 that are answered and used: all may still be open, but not for two windows."""
    assert alerts(core(), [onset(1.3, *rows), window(1, *rows)]) == []
    (alert,) = alerts(core(), [window(1, *rows), window(2, *rows)])

    assert alert.evidence.beyond_router is beyond


def test_a_burst_cut_by_the_end_of_its_window_does_not_raise_at_once() -> None:
    """1,000 late SYNs whose answers are in the next window are nothing; twice over they are."""
    replies = syns(0, rx={"syn_ack": 1000, "tcp": 1000}, tcp=3000, fin=1000)
    cut = window(1, syns(1000), late_syn=1000)

    assert alerts(core(), [cut, window(2, replies)]) == []
    assert alerts(core(), [cut, window(2, syns(1000), late_syn=1000)])
    assert alerts(core(), [window(1, syns(1000), late_syn=120)])
