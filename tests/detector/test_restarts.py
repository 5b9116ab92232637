"""What was reported before a restart of the detector is not reported again after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.test_outages import GONE, lan, near, rounds
from tests.detector.windows import (
    ATTACKER,
    ROUTER,
    VICTIM,
    Detector,
    at,
    conflict,
    device,
    window,
)
from tests.drive import received

from monitorpi_detector.items import Kept
from monitorpi_detector.sinks.state_file import PAUSE_S, pause_s

if TYPE_CHECKING:
    from collections.abc import Iterable

NAS, ITS_OTHER_CARD = "24:5e:be:00:00:23", "24:5e:be:00:00:24"


def restarted(before: Detector, *, kept: bool = True, **settings: Any) -> Detector:
    """Return the next process: with what was kept, unless it was killed, and what is retained."""
    before.core.close()
    state = Kept.model_validate_json(before.kept[-1].model_dump_json()) if kept else None
    after = Detector(kept=state, **settings)
    last = {alert.key: alert for alert in before.alerts}
    after.take(*[received(alert, alert.key, retained=True) for alert in last.values()])
    after.published.clear()
    return after


def ids(*detectors: Detector) -> list[str]:
    """Return the key of each alert that was ever told, in order."""
    return list({a.id: a.key for detector in detectors for a in detector.alerts}.values())


def shares(second: int, **more: Any) -> Any:
    """Build the NAS's word for an address that both of its cards answer for."""
    reported = conflict(
        "198.18.0.21", NAS, ITS_OTHER_CARD, second, claims=second, relation="siblings",
        present=True, **more,
    )  # fmt: skip
    return device(NAS, second, "198.18.0.21", conflicts=[reported])


def days(*seconds: int, what: Any) -> Iterable[Any]:
    """Build windows and a device's words."""
    for second in seconds:
        yield window(second)
        yield what(second)


def test_two_cards_that_share_an_address_are_told_once_over_restarts() -> None:
    """A NAS whose cards answer in turn is a note once, not with each start of the detector."""
    before = Detector()
    before.take(*days(*range(100, 200, 10), what=shares), *[window(n) for n in range(200, 700)])

    after = restarted(before)
    after.take(*days(*range(1000, 1200, 10), what=shares))

    assert ids(before) == [f"arp-spoof-{ITS_OTHER_CARD.replace(':', '')}"]
    assert ids(after) == []


def test_the_same_two_cards_are_one_note_whichever_answered_first() -> None:
    """After a restart of capture the other card holds the address, and a new one is shared too."""

    def other(second: int) -> Any:
        reported = conflict(
            "2001:db8::21", ITS_OTHER_CARD, NAS, second, claims=second, relation="siblings",
            present=True,
        )  # fmt: skip
        return device(NAS, second, "2001:db8::21", conflicts=[reported])

    before = Detector()
    before.take(*days(*range(100, 200, 10), what=shares), *[window(n) for n in range(200, 700)])
    before.take(*days(*range(700, 800, 10), what=other))

    assert ids(before) == [f"arp-spoof-{ITS_OTHER_CARD.replace(':', '')}"]


def test_a_new_device_is_new_once_though_the_detector_was_killed() -> None:
    """A power failure minutes after it came: the file is older, its alert is not."""
    before = Detector(learning_s=0)
    before.take(window(0), device(ATTACKER, 1, "198.18.0.9"), *[window(n) for n in range(1, 400)])

    after = restarted(before, kept=False, learning_s=0)
    after.take(window(1000), device(ATTACKER, 1000, "198.18.0.9"))

    assert ids(before) == ["new-device-04000000000a"]
    assert ids(after) == []


def test_what_a_server_began_to_say_is_kept_within_a_minute() -> None:
    """It was reported, so a power failure must not make it news again."""
    published = Kept(dhcp_said={ROUTER: [("dns", "198.18.0.1")]})
    more = Kept(dhcp_said={ROUTER: [("dns", "198.18.0.1"), ("dns", "198.18.0.66")]})

    assert pause_s(published, more, 1_000_000) == PAUSE_S
    assert pause_s(published, Kept(shared=["a b"]), 1_000_000) == PAUSE_S


def test_who_comes_late_in_the_first_day_is_a_stranger_after_a_restart_too() -> None:
    """The first minute in which all are taken as known is not begun anew."""
    before = Detector()
    before.take(*days(0, 5, what=lambda s: device(ROUTER, s, "fe80::1", advertised_at=at(s))))

    after = restarted(before)
    after.take(*days(5000, 5005, what=lambda s: device(VICTIM, s, "fe80::6", advertised_at=at(s))))

    assert ids(before) == []
    assert ids(after) == ["rogue-ra-04000000000b"]


@pytest.mark.parametrize("step_s", [10, 30])
def test_an_outage_is_one_alert_over_a_restart(step_s: int) -> None:
    """Ten of thirty are away; a printer was asleep long before: the group stays what it was."""
    first, printer = lan(range(2, 12), since=30, until=70), lan((1,), since=18, until=999)

    def round_(n: int) -> list[Any]:
        return [*printer(n)[:1], *first(n)[1:]]

    before = Detector()
    before.take(*rounds(round_, count=45, step_s=step_s))
    after = restarted(before)
    after.take(*rounds(round_, first=46, count=50, step_s=step_s))

    assert [key for key in ids(before) if "group" in key] == ["group-down-198-18-0-10"]
    assert [one for one in ids(before, after) if one not in ids(before)] == []
    assert [key for key in after.open() if "group" in key] == []


def test_a_slow_target_that_goes_is_one_story_over_a_restart() -> None:
    """It lost packets, the detector started anew, it went: one alert is left open."""
    lossy = {"received": 4, "loss_ratio": 0.6}

    def round_(n: int) -> list[Any]:
        how = lossy if 800 <= n < 812 else GONE | {"state": "down"} if n >= 812 else {}
        return [near(1, origin="configured", **how), near(2), near(3)]

    before = Detector()
    before.take(*rounds(round_, count=808))
    after = restarted(before)
    after.take(*rounds(round_, first=808, count=8))

    assert list(before.open()) == ["high-loss-198-18-0-1"]
    assert list(after.open()) == ["device-down-198-18-0-1"]


def test_an_outage_keeps_its_name_when_its_first_member_came_back_meanwhile() -> None:
    """Ten of thirty were away; one of them is back when the detector is."""
    common, one = lan(range(2, 12), until=70), lan((10,), until=46)

    def round_(n: int) -> list[Any]:
        return [*common(n)[:9], one(n)[9], *common(n)[10:]]

    before = Detector()
    before.take(*rounds(round_, count=45))
    after = restarted(before)
    after.take(*rounds(round_, first=46, count=60))

    assert ids(before) == ["group-down-198-18-0-10"]
    assert set(ids(after)) == {"group-down-198-18-0-10"}
    assert set(ids(before, after)) == {"group-down-198-18-0-10"}
