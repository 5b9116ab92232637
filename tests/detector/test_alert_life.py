"""The life of alerts: when they are refreshed, close, and who they are."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detector.floods import KEY, flood, quiet
from tests.detector.windows import (
    START,
    Detector,
    at,
    syns,
    window,
)

from monitorpi_common.messages import (
    Alert,
    Tombstone,
)
from monitorpi_common.service import Presence, Tick
from monitorpi_common.topics import Topic


def test_an_alert_is_refreshed_each_ten_seconds_and_closes_after_the_quiet_time() -> None:
    """An open alert speaks at its opening, every ten seconds, and once when it is quiet."""
    detector = Detector()

    flood(detector, 0, 30)
    quiet(detector, 30, 60)

    states = [(alert.state, int((alert.at - START).total_seconds())) for alert in detector.alerts]
    opened = [("open", second) for second in (1, 11, 21, 31, 41)]
    assert [*opened, ("closed", 45)] == states
    assert detector.alerts[-1].close_reason == "quiet"
    assert len({alert.id for alert in detector.alerts}) == 1


def test_the_identity_is_that_of_site_key_and_opening() -> None:
    """Two detectors that see the same attack give it the same id, another site another one."""
    ids = []
    for site in ("lab", "lab", "home"):
        detector = Detector(site=site)
        flood(detector, 0, 2)
        ids.append(detector.alerts[0].id)

    assert ids[0] == ids[1] != ids[2]
    assert uuid.UUID(ids[0]).version == 5
    assert detector.alerts[0].key == KEY


def test_an_alert_that_opens_again_within_the_quiet_time_is_the_same() -> None:
    """Re-opened within the quiet time an alert keeps id and opening, later it is a new one."""
    detector = Detector()

    flood(detector, 0, 5)
    quiet(detector, 5, 25)
    flood(detector, 25, 28)
    quiet(detector, 28, 70)
    flood(detector, 70, 72)

    ids = list(dict.fromkeys(alert.id for alert in detector.alerts))
    assert len(ids) == 2
    again = next(one for one in detector.alerts if one.state == "open" and one.at >= at(25))
    assert again.opened_at == at(1)


def test_a_level_between_close_and_raise_keeps_an_alert_open() -> None:
    """An open alert stays while the value is above the close level, though it would not raise."""
    detector = Detector()

    flood(detector, 0, 3)
    flood(detector, 3, 60, count=55)
    assert KEY in detector.open()
    flood(detector, 60, 90, count=40)

    assert detector.open() == {}


def test_a_live_tick_closes_what_no_window_speaks_of() -> None:
    """With the sensor silent a tick moves time to three seconds ago and closes as sensor-lost."""
    detector = Detector()
    flood(detector, 0, 3)

    for second in range(3, 20):
        detector.take(Tick(at(second), float(second), clock_synced=True))

    last = detector.alerts[-1]
    assert (last.state, last.close_reason) == ("closed", "sensor-lost")
    assert last.closed_at is not None
    assert at(12) < last.closed_at < at(17)


def test_a_tick_never_outruns_the_windows() -> None:
    """Ticks with the time of the windows close nothing that goes on."""
    detector = Detector()

    for second in range(60):
        detector.take(
            window(second, syns(500)), Tick(at(second + 1.2), second + 1.2, clock_synced=True)
        )

    assert {alert.state for alert in detector.alerts} == {"open"}


def test_a_lost_sensor_closes_its_alerts() -> None:
    """When capture goes offline nobody looks any more: its alerts close as sensor-lost."""
    detector = Detector()
    flood(detector, 0, 3)

    published = detector.take(Presence(Topic("lab", "capture", "status", "main"), online=False))

    assert [(one.state, one.close_reason) for one in published] == [("closed", "sensor-lost")]


def test_only_the_last_sensor_to_go_takes_the_alerts_with_it() -> None:
    """Beside a second capture that is still there, the first one's end closes nothing at once."""
    main, other = (Topic("lab", "capture", "status", name) for name in ("main", "drill"))
    detector = Detector()
    detector.take(Presence(main, online=True), Presence(other, online=True))
    flood(detector, 0, 3)

    assert detector.take(Presence(other, online=False)) == []
    assert [one.close_reason for one in detector.take(Presence(main, online=False))] == [
        "sensor-lost"
    ]


def test_losses_in_the_sensor_add_up() -> None:
    """An alert tells how many frames the sensor lost while it was open."""
    detector = Detector()

    detector.take(*[window(second, syns(1000), kernel_drops=5) for second in range(11)])

    assert detector.alerts[-1].evidence.kernel_drops == 5 * 11


@pytest.mark.parametrize("step_s", [0, 4, -30, -1000, 40_000_000])
def test_alerts_go_on_in_a_new_epoch_of_a_living_sensor(step_s: int) -> None:
    """Counters that are reset, or a clock that is set, end no flood: one alert, till it is over."""
    detector = Detector()
    ticks = [Tick(at(n + step_s * (n >= 5)), float(n), clock_synced=True) for n in range(40)]
    for n in range(10):
        epoch, second = ("e1", n) if n < 5 else ("e2", n + step_s)
        last = window(n, syns(1000)).model_copy(
            update={"epoch": epoch, "start": at(second), "end": at(second + 1)}
        )
        detector.take(ticks[n], last)

    assert [alert.state for alert in detector.alerts] == ["open"] * len(detector.alerts)
    for n in range(10, 40):
        calm = window(n).model_copy(
            update={"epoch": "e2", "start": at(n + step_s), "end": at(n + step_s + 1)}
        )
        detector.take(ticks[n], calm)

    assert detector.alerts[-1].close_reason == "quiet"
    assert len({alert.id for alert in detector.alerts}) == 1
    assert detector.alerts[-1].closed_at == at(25 + step_s)


@pytest.mark.parametrize("late_s", [4, 13, 60])
def test_windows_that_come_late_make_one_flood_one_alert(late_s: int) -> None:
    """Beside ticks of a clock far ahead of the windows, a flood opens once and closes quietly."""
    detector = Detector()
    for n in range(40):
        flooded = [syns(1000)] if n < 10 else []
        late = float(n + late_s)
        detector.take(window(n, *flooded), Tick(at(n + late_s), late, clock_synced=True))

    assert len({alert.id for alert in detector.alerts}) == 1
    assert detector.alerts[-1].close_reason == "quiet"


def test_a_broker_that_is_frozen_for_a_minute_makes_one_flood_one_alert() -> None:
    """No window for sixty seconds, then all of them at once, and the flood goes on."""
    detector = Detector()
    for n in range(10):
        detector.take(window(n, syns(1000)), Tick(at(n + 1), n + 1.0, clock_synced=True))

    for n in range(10, 70):
        trouble = "Keep alive timeout" if n > 20 else None
        detector.take(Tick(at(n + 1), n + 1.0, clock_synced=True, broker=trouble))
    detector.take(*[window(n, syns(1000)) for n in range(10, 70)])
    for n in range(70, 130):
        rows = [syns(1000)] if n < 80 else []
        detector.take(window(n, *rows), Tick(at(n + 1), n + 1.0, clock_synced=True))

    reported = [alert for alert in detector.alerts if alert.key == KEY]
    assert len({alert.id for alert in reported}) == 1
    assert [alert.state for alert in reported].count("closed") == 1
    assert reported[-1].close_reason == "quiet"


def test_a_pause_of_our_own_loses_no_sensor() -> None:
    """A detector that was stopped for a minute reads what waited before it calls a sensor lost."""
    detector = Detector()
    flood(detector, 0, 10)

    detector.take(Tick(at(10), 10.0, clock_synced=True), Tick(at(70), 70.0, clock_synced=True))
    flood(detector, 10, 70)

    assert {alert.state for alert in detector.alerts} == {"open"}


def test_closed_alerts_are_bounded() -> None:
    """Attackers that change their MAC for ever leave at most 512 closed alerts on the broker."""
    detector = Detector(rules={"syn-flood": {"quiet_s": 1}})

    for second in range(0, 1400, 2):
        mac = f"04:00:00:09:{second >> 8:02x}:{second & 255:02x}"
        detector.take(window(second, syns(1000, mac)), window(second + 1))

    gone = {one.id for one in detector.published if isinstance(one, Tombstone)}
    assert len({one.key for one in detector.alerts} - gone) <= 512 + 32


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.integers(1, 8),
            st.integers(0, 40),
            st.sampled_from([0.01, 1.0]),
        ),
        max_size=40,
    )
)
def test_whatever_comes_alerts_follow_their_life(steps: list[tuple[int, int, int, float]]) -> None:
    """Every alert opens before it closes, closes at most once per opening, and ends in silence."""
    detector = Detector()
    second = 0
    for count, sources, pause, length_s in steps:
        rows = [syns(count, f"04:00:00:00:04:{n:02x}") for n in range(sources)] if count else []
        detector.take(window(second, *rows, length_s=length_s))
        second += 1 + pause
    for more in range(60):
        detector.take(window(second + more))

    state: dict[str, str] = {}
    for alert in detector.alerts:
        assert Alert.model_validate_json(alert.encode()) is not None
        assert alert.state == "open" or state.get(alert.key) == "open"
        assert alert.opened_at <= alert.at
        state[alert.key] = alert.state
    assert "open" not in state.values()
