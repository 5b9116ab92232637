"""The life of alerts: when they open, keep, close, and who they are."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detector.windows import (
    ATTACKER,
    START,
    VICTIM,
    Detector,
    at,
    device,
    echoes,
    plain,
    probe,
    syns,
    window,
)
from tests.drive import received

from monitorpi_common.messages import (
    Acknowledge,
    Alert,
    Copies,
    ProbeResult,
    SetThreshold,
    Silence,
    Tombstone,
)
from monitorpi_common.service import CommandReceived, CommandRefusedError, Presence, Tick
from monitorpi_common.topics import Topic

KEY = "syn-flood-04000000000a"


def flood(
    detector: Detector, first: int, last: int, count: int = 1000, *, epoch: str = "e1"
) -> None:
    """Hand in windows of a flood, from one second to another."""
    for second in range(first, last):
        detector.take(window(second, syns(count), epoch=epoch))


def quiet(detector: Detector, first: int, last: int) -> None:
    """Hand in windows in which nothing happens."""
    for second in range(first, last):
        detector.take(window(second))


@pytest.mark.parametrize(
    ("counts", "opens_after"),
    [
        ([99, 99], None),
        ([100, 100], 2),
        ([100, 0, 100], 3),
        ([100, 0, 0, 100], None),
        ([174], None),
        ([175], 1),
        ([20, 200], 2),
        ([0, 150, 150], 3),
    ],
)
def test_one_strong_window_or_two_of_three_raise(
    counts: list[int], opens_after: int | None
) -> None:
    """A flood near twice the floor opens at once, else when two of three windows reach it."""
    detector = Detector()
    opened = None

    for second, count in enumerate(counts):
        if detector.take(window(second, *([syns(count)] if count else []))):
            opened = opened or second + 1

    assert opens_after == opened


def test_a_partial_window_uses_its_counts() -> None:
    """A window of 50 ms with 20 echo requests is 20, not 400 a second; 500 of them are a flood."""
    detector = Detector()

    weak = detector.take(window(0, echoes(20), length_s=0.05))
    strong = detector.take(window(1, echoes(500), length_s=0.25))

    assert weak == []
    assert [alert.evidence.value for alert in strong] == [500.0]


def test_a_long_window_is_a_rate() -> None:
    """A window of ten seconds with 490 SYNs is 49 a second: below every level that raises."""
    detector = Detector()

    assert detector.take(*[window(10 * n, syns(490), length_s=10.0) for n in range(3)]) == []


def test_what_stays_below_the_threshold_adds_up() -> None:
    """A flood that hides at nine tenths of the threshold is found by the sum over time (CUSUM)."""
    detector = Detector()

    flood(detector, 0, 30, count=90)

    assert KEY in detector.open()
    assert at(5) < detector.open()[KEY].opened_at < at(12)


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

    said = detector.take(Presence(Topic("lab", "capture", "status", "main"), online=False))

    assert [(one.state, one.close_reason) for one in said] == [("closed", "sensor-lost")]


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

    told = [alert for alert in detector.alerts if alert.key == KEY]
    assert len({alert.id for alert in told}) == 1
    assert [alert.state for alert in told].count("closed") == 1
    assert told[-1].close_reason == "quiet"


def test_a_pause_of_our_own_loses_no_sensor() -> None:
    """A detector that was stopped for a minute reads what waited before it calls a sensor lost."""
    detector = Detector()
    flood(detector, 0, 10)

    detector.take(Tick(at(10), 10.0, clock_synced=True), Tick(at(70), 70.0, clock_synced=True))
    flood(detector, 10, 70)

    assert {alert.state for alert in detector.alerts} == {"open"}


def test_a_window_that_is_delivered_twice_counts_once() -> None:
    """Quality of service 1 may repeat a message: two of three windows must be two windows."""
    detector = Detector()

    assert detector.take(*[window(0, syns(150))] * 3) == []


def test_two_interfaces_that_see_one_attacker_tell_of_it_once() -> None:
    """A flood that two interfaces both show is one alert with one rate, until both are quiet."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(5):
        detector.take(
            window(second, syns(500), copies=both),
            window(second, syns(480), interface="eth1", copies=both),
        )
    for second in range(5, 40):
        detector.take(window(second), window(second, syns(480), interface="eth1"))

    assert {KEY} == set(detector.open())
    assert detector.open()[KEY].evidence.peak == 500
    assert len({one.id for one in detector.alerts}) == 1


def test_the_interface_that_sees_more_is_believed() -> None:
    """Of one moment an alert tells the higher rate, whichever interface comes last."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(40):
        rows = [[syns(500)], [syns(480)]] if second < 5 else [[], []]
        detector.take(
            window(second, *rows[0], copies=both),
            window(second, *rows[1], interface="eth1", copies=both),
        )

    assert (detector.alerts[-1].state, detector.alerts[-1].evidence.value) == ("closed", 500)


def test_halves_on_two_interfaces_add_up() -> None:
    """Half a flood on each of two mirror ports is a flood, told once, of the whole rate."""
    detector = Detector()
    for second in range(5):
        detector.take(window(second, syns(80)), window(second, syns(70), interface="eth1"))

    assert {KEY} == set(detector.open())
    assert detector.open()[KEY].evidence.value == 150


def test_what_two_interfaces_both_show_does_not_add_up() -> None:
    """Half a flood that two taps both show is half a flood."""
    detector = Detector()
    both = Copies(elsewhere=0.5)
    for second in range(5):
        detector.take(
            window(second, syns(80), copies=both),
            window(second, syns(80), interface="eth1", copies=both),
        )

    assert detector.alerts == []


def test_three_sources_of_one_victim_are_one_attack() -> None:
    """Three or more sources with the same busiest destination make the victim the subject."""
    detector = Detector()
    macs = [f"04:00:00:00:01:{n:02x}" for n in range(50)]

    said = detector.take(window(0, *[syns(20, mac) for mac in macs]))

    assert [one.key for one in said] == ["syn-flood-victim-04000000000b"]
    assert len(said[0].evidence.sources) == 32
    assert said[0].evidence.victims[0].mac == VICTIM


def test_a_victims_alert_replaces_the_first_attackers() -> None:
    """When more sources join, the attacker's alert closes as replaced by the victim's."""
    detector = Detector()
    macs = [ATTACKER, *[f"04:00:00:00:01:{n:02x}" for n in range(5)]]
    flood(detector, 0, 3)
    for second in range(3, 8):
        detector.take(window(second, *[syns(1000, mac) for mac in macs]))

    assert {"syn-flood-victim-04000000000b"} == set(detector.open())
    assert "replaced" in {one.close_reason for one in detector.alerts}


def test_what_a_device_explains_is_not_told_of_the_wire() -> None:
    """Only what no source explains has the wire as its subject."""
    with_source = Detector().take(window(0, syns(1000)))
    nobody = Detector().take(window(0, counts={"syn": 1000, "tcp": 1000}))

    assert [one.key for one in with_source] == [KEY]
    assert [one.key for one in nobody] == ["syn-flood-wire-eth0"]


def test_at_most_32_alerts_are_open_and_one_counts_the_rest() -> None:
    """Beyond 32 open alerts of a rule a summary alert counts the further subjects."""
    detector = Detector()
    rows = [
        syns(1000, f"04:00:00:00:02:{n:02x}", peer=f"04:00:00:00:03:{n:02x}", ip=f"198.18.3.{n}")
        for n in range(50)
    ]

    for second in range(12):
        detector.take(window(second, *rows))

    keys = detector.open()
    assert len(keys) == 33
    assert keys["syn-flood-others"].evidence.value == 18
    quiet(detector, 12, 40)
    assert detector.open() == {}


def test_closed_alerts_are_bounded() -> None:
    """Attackers that change their MAC for ever leave at most 512 closed alerts on the broker."""
    detector = Detector(rules={"syn-flood": {"quiet_s": 1}})

    for second in range(0, 1400, 2):
        mac = f"04:00:00:09:{second >> 8:02x}:{second & 255:02x}"
        detector.take(window(second, syns(1000, mac)), window(second + 1))

    gone = {one.id for one in detector.said if isinstance(one, Tombstone)}
    assert len({one.key for one in detector.alerts} - gone) <= 512 + 32


def test_severity_rises_with_the_excess() -> None:
    """A flood at three times its threshold is a warning, at ten times critical; it never falls."""
    detector = Detector()

    flood(detector, 0, 2, count=300)
    flood(detector, 2, 4, count=1500)
    flood(detector, 4, 20, count=150)

    assert [one.severity for one in detector.alerts] == ["warning", "critical", "critical"]
    assert detector.alerts[-1].evidence.peak == 1500


# --- restarts -------------------------------------------------------------------------------------


def test_a_restarted_detector_goes_on_with_an_open_alert() -> None:
    """The next process takes up what is retained as open: same id, closed when it is quiet."""
    before = Detector()
    flood(before, 0, 3)
    retained = before.alerts[-1]
    after = Detector()

    after.take(received(retained, retained.key, retained=True))
    flood(after, 10, 25)
    quiet(after, 25, 50)

    assert {retained.id} == {one.id for one in after.alerts}
    assert (after.alerts[-1].state, after.alerts[-1].close_reason) == ("closed", "quiet")


def test_a_restarted_detector_closes_what_is_over() -> None:
    """An alert left open by a process that died is closed after its quiet time."""
    before = Detector()
    flood(before, 0, 3)
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    quiet(after, 100, 120)

    closed = [(one.state, one.close_reason) for one in after.alerts if one.state == "closed"]
    assert closed == [("closed", "quiet")]


def test_an_alert_of_a_later_clock_closes_after_its_quiet_time() -> None:
    """A Pi without a clock starts in the past: what is restored holds no longer for that."""
    before = Detector()
    flood(before, 7200, 7203)
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    quiet(after, 0, 60)

    closed = [one for one in after.alerts if one.state == "closed"]
    assert [(one.id, one.close_reason) for one in closed] == [(before.alerts[-1].id, "quiet")]


def test_a_restored_alert_keeps_its_opening_when_the_clock_is_set() -> None:
    """What another clock had stamped does not move with this one's step."""
    before = Detector()
    flood(before, 7200, 7203)
    opened_at = before.alerts[-1].opened_at
    after = Detector()
    after.take(received(before.alerts[-1], KEY, retained=True))

    flood(after, 0, 5)
    for second in range(9000, 9005):
        after.take(window(second, syns(1000), epoch="set"))
    for second in range(9005, 9060):
        after.take(window(second, epoch="set"))

    assert {one.id for one in after.alerts} == {before.alerts[-1].id}
    assert (after.alerts[-1].state, after.alerts[-1].opened_at) == ("closed", opened_at)


def test_own_words_that_come_back_change_nothing() -> None:
    """The detector is sent its own alerts: they are no news."""
    detector = Detector()
    flood(detector, 0, 2)
    said = len(detector.alerts)

    for alert in list(detector.alerts):
        detector.take(received(alert, alert.key), received(alert, alert.key, retained=True))

    assert said == len(detector.alerts)


# --- orders ---------------------------------------------------------------------------------------


def test_a_silenced_alert_closes_and_stays_shut() -> None:
    """``silence`` closes an alert and keeps it shut for its minutes, then it may open again."""
    detector = Detector()
    flood(detector, 0, 3)

    said = detector.take(CommandReceived("silence", Silence(key=KEY, minutes=1), "1"))
    flood(detector, 3, 60)
    assert detector.open() == {}
    flood(detector, 60, 70)

    assert said[-1].close_reason == "silenced"
    assert KEY in detector.open()


def test_a_silence_begins_now_though_no_window_has_come_for_long() -> None:
    """Asked for while capture is away it lasts its minutes from the order on."""
    detector = Detector()
    detector.take(window(0), Tick(at(3600), 3600.0, clock_synced=True))

    detector.take(CommandReceived("silence", Silence(key=KEY, minutes=30), "1"))
    detector.take(*[window(second, syns(1000), epoch="e2") for second in range(3601, 3605)])

    assert detector.open() == {}


def test_an_acknowledged_alert_says_so() -> None:
    """``acknowledge`` marks an open alert; an unknown one is refused by name."""
    detector = Detector()
    flood(detector, 0, 3)

    assert detector.take(CommandReceived("acknowledge", Acknowledge(key=KEY), "1"))[-1].acknowledged
    flood(detector, 3, 20)
    assert detector.alerts[-1].acknowledged
    with pytest.raises(CommandRefusedError, match="no open alert has the key 'nothing'"):
        detector.take(CommandReceived("acknowledge", Acknowledge(key="nothing"), "2"))


def test_what_was_acknowledged_stays_so_when_it_opens_again() -> None:
    """Within the quiet time it is the same alert, which a person has seen."""
    detector = Detector()
    flood(detector, 0, 3)
    detector.take(CommandReceived("acknowledge", Acknowledge(key=KEY), "1"))
    quiet(detector, 3, 20)
    assert detector.open() == {}

    flood(detector, 20, 22)

    assert detector.open()[KEY].acknowledged


def test_a_threshold_set_at_run_time_holds() -> None:
    """``set_threshold`` changes a rule for all or for one device; what cannot be is refused."""
    detector = Detector()
    detector.take(window(0))

    detector.take(CommandReceived("set_threshold", SetThreshold(rule="syn-flood", floor=5000), "1"))
    flood(detector, 1, 5)
    assert detector.open() == {}
    order = SetThreshold(rule="syn-flood", mac=ATTACKER, floor=50)
    detector.take(CommandReceived("set_threshold", order, "2"))
    flood(detector, 5, 8)

    assert KEY in detector.open()
    with pytest.raises(CommandRefusedError, match="there is no rule 'sin-flood'"):
        detector.take(
            CommandReceived("set_threshold", SetThreshold(rule="sin-flood", floor=1), "3")
        )
    with pytest.raises(CommandRefusedError, match="raise_m 5 of raise_n 3"):
        detector.take(
            CommandReceived("set_threshold", SetThreshold(rule="syn-flood", raise_m=5), "4")
        )


def test_a_rule_that_is_switched_off_closes_its_alerts() -> None:
    """Switched off, a rule says nothing more and leaves nothing open."""
    detector = Detector()
    flood(detector, 0, 3)

    detector.take(
        CommandReceived("set_threshold", SetThreshold(rule="syn-flood", enabled=False), "1")
    )
    flood(detector, 3, 10)

    assert detector.open() == {}


# --- side effects ---------------------------------------------------------------------------------


def test_side_effects_of_a_flood_are_linked() -> None:
    """A surge at the victim of an open flood names the flood as its cause and is only info."""
    detector = Detector()
    for second in range(5):
        victim = plain(VICTIM, rx={"syn": 9000, "tcp": 9000}, packets=9000, rst=9000, tcp=9000)
        detector.take(window(second, syns(9000), victim))

    surge = detector.open()["surge-rst-04000000000b"]
    assert (surge.caused_by, surge.severity) == (KEY, "info")
    assert len(detector.open()) == 2


def test_an_effect_that_is_told_of_first_is_linked_when_its_flood_is() -> None:
    """A device that is down a moment before its flood is known is told of anew, with its cause."""
    detector = Detector()
    up = ProbeResult(
        name="x", address="198.18.0.11", mac=VICTIM, origin="configured", state="up", sent=1,
        received=1,
    )  # fmt: skip
    detector.take(probe(1, up), window(0), probe(3, up.model_copy(update={"state": "down"})))
    before = detector.open()["device-down-198-18-0-11"]

    detector.take(window(4, syns(1000)))

    after = detector.open()["device-down-198-18-0-11"]
    assert (before.severity, before.caused_by) == ("warning", None)
    assert (after.severity, after.caused_by) == ("info", KEY)


def test_a_flood_is_not_told_twice_of_its_source() -> None:
    """The frames of a flood, counted under another name too, open no second alert."""
    detector = Detector()

    for second in range(10):
        detector.take(window(second, echoes(100_000)))

    assert list(detector.open()) == ["icmp-flood-04000000000a"]


@settings(max_examples=50, deadline=None)
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


def test_every_alert_says_over_which_time_it_measured() -> None:
    """The one sentence names source, destination, rate, interval and threshold."""
    detector = Detector()
    detector.take(device(ATTACKER, 0, "198.18.0.10"))

    said = detector.take(window(0, syns(1000), kernel_drops=7))

    assert said[0].summary == (
        "SYN flood from 04:00:00:00:00:0a to 198.18.0.11 port 80 (04:00:00:00:00:0b): 1000 SYN/s "
        "over 1 s (threshold 100), 0% answered; 7 frames lost in the sensor"
    )
    assert said[0].evidence.sources[0].ip == "198.18.0.10"
    assert said[0].opened_at == START + timedelta(seconds=1)
