"""Who is missed, and who comes and goes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import VICTIM, Detector, answer, at, device, plain, probe, window
from tests.drive import received

from monitorpi_common.messages import Target
from monitorpi_detector.items import Kept

if TYPE_CHECKING:
    from collections.abc import Callable


PRIVATE = "06:00:00:00:00:01"
KEY = "device-down-198-18-0-11"
OTHERS = [answer(address=f"198.18.0.{k}", mac=f"04:00:00:00:01:{k:02x}") for k in (20, 21, 22)]


def follow(
    behaviour: Callable[[int], tuple[int, float]], *, hours: float,
    detector: Detector | None = None, start: int = 0, step_s: int = 10, **more: Any,
) -> Detector:  # fmt: skip
    """Show rounds of one device; ``behaviour`` gives replies of ten and ms by the second."""
    detector = detector or Detector()
    silent = 0
    for second in range(start + step_s, start + int(hours * 3600), step_s):
        got, ms = behaviour(second)
        silent = 0 if got else silent + 1
        target = answer(
            received=got, loss_ratio=(10 - got) / 10, rtt_p50_ms=ms if got else None,
            jitter_ms=ms / 2 if got else None, state="down" if silent >= 3 else "up", **more,
        )  # fmt: skip
        detector.take(probe(second, target, *OTHERS))
    return detector


def opened(detector: Detector) -> list[str]:
    """Return the key of each alert that opened, in order."""
    return list({alert.id: alert.key for alert in detector.alerts}.values())


@pytest.mark.parametrize("mac", [PRIVATE, "52:54:00:12:34:56", VICTIM])
def test_a_server_is_missed_whatever_its_mac_looks_like(mac: str) -> None:
    """There for ten minutes from the beginning and gone: a virtual machine is told of too."""
    detector = follow(lambda s: (10 if s < 600 else 0, 0.5), hours=0.25, mac=mac)

    assert opened(detector) == [KEY]


def test_a_visitor_is_not_missed_unless_the_operator_named_it() -> None:
    """Here for an hour on the second day, then gone: a guest; a configured target is reported."""
    visit: Callable[[int], tuple[int, float]] = lambda s: (10 if 90_000 < s < 93_600 else 0, 0.5)  # noqa: E731

    guest = follow(visit, hours=27, step_s=60, mac=PRIVATE)
    named = follow(visit, hours=27, step_s=60, mac=PRIVATE, origin="configured")

    assert opened(guest) == []
    assert opened(named) == [KEY]


def test_a_prober_that_knows_a_target_for_long_is_believed() -> None:
    """A detector that starts beside a running prober misses what that has known for days."""
    detector = Detector()
    known = Target(
        name="nas", address="198.18.0.11", mac=PRIVATE, state="up", since=at(-200_000), at=at(0),
        last=answer(),
    )  # fmt: skip
    detector.take(received(known, "198-18-0-11"))

    follow(lambda _: (0, 0.0), hours=0.1, detector=detector, mac=PRIVATE)

    assert opened(detector) == [KEY]


def sleeper(seed: int) -> Callable[[int], tuple[int, float]]:
    """Awake for one to four minutes, asleep for up to forty; loses replies when it turns over."""
    rng = random.Random(seed)  # noqa: S311 - noise
    turns = {"until": 3600.0, "awake": 1.0}

    def behave(second: int) -> tuple[int, float]:
        if second >= turns["until"]:
            turns["awake"] = 1.0 - turns["awake"]
            turns["until"] = second + rng.uniform(*((60, 240) if turns["awake"] else (300, 2400)))
            return rng.randint(1, 8), 90.0
        return (rng.randint(5, 10), rng.uniform(2, 250)) if turns["awake"] else (0, 0.0)

    return behave


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mac", [PRIVATE, VICTIM])
def test_a_phone_that_sleeps_is_told_of_twice_a_night_at_most(seed: int, mac: str) -> None:
    """Down, loss, delay and jitter of it together, on the first night it is known."""
    detector = follow(sleeper(seed), hours=12, mac=mac)

    assert len(opened(detector)) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_a_phone_that_dozes_is_told_of_twice_a_night_at_most(seed: int) -> None:
    """Minutes of fast answers and minutes of slow and lost ones."""
    rng = random.Random(seed)  # noqa: S311 - noise
    slow = [rng.random() < 0.4 for _ in range(13 * 12)]

    detector = follow(
        lambda s: (rng.randint(4, 9), rng.uniform(80, 400)) if slow[s // 300] else (10, 4.0),
        hours=12,
    )

    assert len(opened(detector)) <= 2
    held_back = detector.core.detail()["held_back_total"]
    assert isinstance(held_back, int)
    assert held_back > 0


def test_a_laptop_that_is_closed_at_night_is_known_after_three_nights() -> None:
    """Then only being away for twice as long as ever is news."""

    def behave(second: int) -> tuple[int, float]:
        day, hour = divmod(second / 3600 + 12, 24)
        return (0, 0.0) if day >= 7 or hour >= 22 or hour < 8 else (10, 2.0)

    detector = follow(behave, hours=24 * 8, step_s=60)

    opening = [alert for alert in detector.alerts if alert.opened_at == alert.at]
    hours = [round((one.at - at(0)).total_seconds() / 3600) for one in opening]
    assert hours == [10, 34, 58, 174]


def severities(detector: Detector) -> list[str]:
    """Return the severity with which each alert on the device ended."""
    return list({alert.id: alert.severity for alert in detector.alerts}.values())


def nightly(second: int) -> tuple[int, float]:
    """Be off at night, and for good after the sixth evening."""
    day, hour = divmod(second / 3600 + 12, 24)
    return (0, 0.0) if day >= 6 or hour >= 22 or hour < 8 else (10, 2.0)


def test_nobody_is_called_for_what_comes_back_by_itself() -> None:
    """Nights are notes: in the first day nobody's are known, later this one was away before."""
    detector = follow(nightly, hours=24 * 8, step_s=60)

    assert set(severities(detector)) == {"info"}


def test_the_operator_is_called_for_what_he_named() -> None:
    """However often it goes."""
    detector = follow(nightly, hours=24 * 8, step_s=60, origin="configured")

    assert "info" not in severities(detector)


def test_a_server_that_fails_after_days_calls() -> None:
    """It was never away."""
    detector = follow(lambda s: (10 if s < 2 * 86_400 else 0, 0.5), hours=49, step_s=60)

    assert severities(detector) == ["warning"]


def test_what_is_away_for_much_longer_than_after_its_update_calls() -> None:
    """Five minutes for an update last week excuse no failure: a note first, then a warning."""

    def behave(second: int) -> tuple[int, float]:
        away = 90_000 <= second < 90_300 or second >= 180_000
        return (0, 0.0) if away else (10, 0.5)

    detector = follow(behave, hours=51, step_s=30)

    last = [alert for alert in detector.alerts if alert.state == "open"][-1]
    assert last.severity == "warning"
    notes = [one.at for one in detector.alerts if one.severity == "info"]
    assert notes
    assert (max(notes) - at(180_000)).total_seconds() < 700


@pytest.mark.parametrize("seconds", [15, 25, 60, 95])
def test_a_host_that_restarts_is_one_story(seconds: int) -> None:
    """Replies lost in the rounds it goes and comes are no loss of the line."""

    def behave(second: int) -> tuple[int, float]:
        gone = 1804 <= second < 1804 + seconds
        lost = min(10, max(0, second - 1804)) if second < 1815 else 10 * gone
        back = second - (1804 + seconds)
        return (min(10, back), 1.0) if 0 <= back < 10 else (10 - lost, 1.0)

    detector = follow(behave, hours=1)

    assert opened(detector) == ([KEY] if seconds > 30 else [])


def test_who_sends_frames_is_not_down() -> None:
    """A firewall that begins to drop pings: it answers no pings; gone from the wire it is down."""
    detector = Detector()

    def show(first: int, last: int, *, answers: bool, sends: bool) -> None:
        for second in range(first, last):
            row = plain(VICTIM, rx={"packets": 200}, **({"packets": 1} if sends else {}))
            detector.take(window(second, row))
            if second % 10 == 9:
                state = "up" if answers or second < first + 20 else "down"
                target = answer(received=10 * answers, state=state)
                detector.take(probe(second + 1, target, *OTHERS))

    show(0, 200, answers=True, sends=True)
    show(200, 500, answers=False, sends=True)
    assert list(detector.open()) == ["answers-no-pings-198-18-0-11"]
    alert = detector.open()["answers-no-pings-198-18-0-11"]
    assert alert.severity == "info"
    assert "answers no pings, but it sends frames" in alert.summary
    show(500, 900, answers=False, sends=False)

    assert list(detector.open()) == [KEY]


@pytest.mark.parametrize("last", [205, 216, 235])
def test_who_falls_asleep_is_down_and_no_more(last: int) -> None:
    """Its last frames come some seconds after its last answer: one alert, within 70 s."""
    detector = Detector()
    for second in range(500):
        row = plain(VICTIM, rx={"packets": 200}, **({"packets": 9} if second < last else {}))
        detector.take(window(second, row))
        if second % 10 == 9:
            up = second < 200
            target = answer(received=10 * up, state="up" if second < 225 else "down")
            detector.take(probe(second + 1, target, *OTHERS))

    assert opened(detector) == [KEY]
    assert detector.alerts[0].opened_at <= at(270)


def test_who_only_receives_is_down_at_once() -> None:
    """What others send to a dead device is no sign of its life."""
    detector = Detector()
    for second in range(300):
        row = plain(VICTIM, rx={"packets": 200}, **({"packets": 9} if second < 200 else {}))
        detector.take(window(second, row))
        if second % 60 == 0:
            detector.take(device(VICTIM, min(second, 199), "198.18.0.11"))
        if second % 10 == 9:
            up = second < 200
            target = answer(received=10 * up, state="up" if second < 225 else "down")
            detector.take(probe(second + 1, target, *OTHERS))

    assert opened(detector) == [KEY]
    assert detector.alerts[0].opened_at == at(230)


def test_habits_survive_a_restart() -> None:
    """Absences, what was reported this night and what is usual are kept."""
    kept: list[Kept] = []
    first = Detector(keep=kept.append)
    follow(sleeper(1), hours=6, detector=first)
    list(first.core.close())
    assert opened(first) != []

    again = Detector(kept=Kept.model_validate_json(kept[-1].model_dump_json()))
    follow(sleeper(1), hours=6, detector=again, start=6 * 3600)

    assert len(opened(first)) + len(opened(again)) <= 2


def test_what_earlier_versions_kept_is_missed() -> None:
    """A target that was up before the update is expected."""
    detector = Detector(kept=Kept(was_up=["198.18.0.11"], watched_s=90_000.0))

    follow(lambda _: (0, 0.0), hours=0.2, detector=detector)

    assert opened(detector) == [KEY]


def restarted(named: str, *, opened_before: bool) -> tuple[Detector, list[str]]:
    """Return a detector that starts with everything silent, as after a power failure."""
    detector = Detector(kept=Kept(was_up=["198.18.0.11"], watched_s=90_000.0))
    if opened_before:
        before = Detector(kept=Kept(was_up=["198.18.0.11"], watched_s=90_000.0))
        follow(lambda _: (0, 0.0), hours=0.5, detector=before)
        [alert] = before.open().values()
        detector.take(received(alert, KEY, retained=True))
    opened_at: list[str] = []
    for n in range(2 * 360):
        target = answer(received=0, loss_ratio=1.0, state="down", origin=named)
        for alert in detector.take(probe(10 * n + 10, target)):
            if alert.state == "open" and not opened_at:
                opened_at.append(f"{10 * n + 10} {alert.rule}")
    return detector, opened_at


@pytest.mark.parametrize(
    ("origin", "opened_at"), [("announced", "610 device-down"), ("configured", "190 device-down")]
)
def test_what_is_silent_since_our_own_start_may_be_starting(origin: str, opened_at: str) -> None:
    """A NAS takes five minutes after a power failure; one that stays away is told of then."""
    detector, found = restarted(origin, opened_before=False)

    assert [opened_at] == found
    assert list(detector.open()) == [KEY]


def test_an_alert_from_before_a_restart_goes_on() -> None:
    """It neither closes nor opens anew because a service was restarted."""
    detector, _ = restarted("announced", opened_before=True)

    assert {"open"} == {alert.state for alert in detector.alerts}
    assert len({alert.id for alert in detector.alerts}) == 1
