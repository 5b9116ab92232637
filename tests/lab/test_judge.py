from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.messages import Alert, Evidence
from monitorpi_lab.demo import judge
from monitorpi_lab.demo.judge import Judge, schedule

BAD, OTHER = "00:00:5e:00:53:04", "00:00:5e:00:53:02"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def alert(state: str = "open", mac: str = BAD, number: int = 0, **changes: Any) -> Alert:
    """Build an alert of a SYN flood by the bad host."""
    subject = mac.replace(":", "")
    rule = changes.get("rule", "syn-flood")
    base = {
        "id": f"{number:036d}",
        "key": f"{rule}-{subject}",
        "rule": rule,
        "severity": "critical",
        "state": state,
        "subject": subject,
        "opened_at": AT,
        "at": AT,
        "summary": "too many SYNs",
        "evidence": Evidence(value=500, threshold=100, window_s=1, peak=500),
    }
    return Alert.model_validate({**base, **changes})


def finished() -> Judge:
    """Return a judge that has seen a demo go well."""
    told = Judge()
    for number, (rule, start) in enumerate((("syn-flood", 100.0), ("icmp-flood", 130.0))):
        told.flood_started(rule, BAD, start)
        told.alert(alert(rule=rule, number=number), start + 1.25)
        told.flood_ended(rule, start + 8)
        told.alert(alert("closed", rule=rule, number=number), start + 15)
    return told


def test_a_demo_that_goes_well_has_nothing_to_complain_of() -> None:
    """Both alerts opened on the attacker and closed: the result says how long each took."""
    told = finished()
    told.messages.update(traffic=60, alert=4)

    assert told.complaints(schedule(60)) == []
    assert told.result(cloud_rows=9) == {
        "floods": [
            {
                "rule": rule,
                "attacker_mac": BAD,
                "alert_mac": BAD,
                "seconds_to_alert": 1.25,
                "seconds_to_close": 7.0,
            }
            for rule in ("syn-flood", "icmp-flood")
        ],
        "alerts_before": 0,
        "alerts_on_others": 0,
        "cloud_rows": 9,
        "messages": {"alert": 4, "traffic": 60},
    }


def test_an_alert_before_any_flood_is_a_false_one() -> None:
    """It is counted apart, and the demo has failed."""
    told = Judge()
    told.alert(alert(), 90.0)

    assert (told.result(0)["alerts_before"], told.result(0)["alerts_on_others"]) == (1, 0)
    assert "an alert nobody caused: syn-flood-00005e005304: too many SYNs" in (
        told.complaints(schedule(60))
    )


@pytest.mark.parametrize(
    "wrong", [alert(mac=OTHER), alert(rule="surge"), alert(subject="wire-mirror0")]
)
def test_an_alert_on_somebody_or_something_else_is_a_false_one(wrong: Alert) -> None:
    """Another MAC, another rule, or the wire instead of the attacker: the demo has failed."""
    told = Judge()
    told.flood_started("syn-flood", BAD, 100.0)
    told.alert(wrong, 101.0)

    assert told.result(0)["alerts_on_others"] == 1
    assert "no syn-flood alert opened on 00:00:5e:00:53:04" in told.complaints(schedule(60))


def test_a_side_effect_of_a_flood_is_no_false_alert() -> None:
    """An alert that the detector itself links to the flood's alert is told, not counted."""
    told = Judge()
    told.flood_started("syn-flood", BAD, 100.0)
    told.alert(alert(), 101.0)

    turn = told.alert(
        alert(mac=OTHER, rule="surge", number=2, caused_by="syn-flood-00005e005304"), 103.0
    )

    assert turn is not None
    assert turn.what == "followed"
    assert told.result(0)["alerts_on_others"] == 0


def test_repetitions_are_not_news() -> None:
    """A refresh, and what a broker that lost its memory is told again, turn nothing."""
    told = Judge()
    told.flood_started("syn-flood", BAD, 100.0)

    turns = [told.alert(alert(), 101.0), told.alert(alert(), 111.0)]

    assert [turn.what if turn else None for turn in turns] == ["opened", None]
    assert told.result(0)["floods"][0]["seconds_to_alert"] == 1.0


def test_an_alert_that_stays_open_is_a_complaint() -> None:
    """Opening is not enough."""
    told = finished()
    told.floods[1].closed_s = None

    assert told.complaints(schedule(60)) == [f"the icmp-flood alert on {BAD} did not close"]


def test_an_alert_that_opens_anew_must_close_anew() -> None:
    """The delay is the first opening's, the end the last closing's."""
    told = finished()
    told.alert(alert("open", number=9), 120.0)
    assert told.complaints(schedule(60)) == [f"the syn-flood alert on {BAD} did not close"]

    told.alert(alert("closed", number=9), 125.0)

    assert told.complaints(schedule(60), undisturbed=False) == []
    assert told.complaints(schedule(60)) == ["the syn-flood alert opened 2 times for one flood"]
    assert told.result(0)["floods"][0]["seconds_to_alert"] == 1.25
    assert told.result(0)["floods"][0]["seconds_to_close"] == 17.0


def test_a_flood_that_was_never_sent_is_a_complaint() -> None:
    """A demo that stops half way has not gone well."""
    assert Judge().complaints(schedule(60)) == [
        "the syn-flood was never sent",
        "the icmp-flood was never sent",
    ]


@given(st.floats(judge.MINIMUM_S, 3600))
def test_every_schedule_leaves_each_alert_time_to_close(seconds: float) -> None:
    """However long the demo: quiet before, and after each flood what its close needs."""
    first, second = schedule(seconds)

    assert first.at_s >= judge.LEAD_S
    assert second.at_s >= first.at_s + first.seconds + judge.SETTLE_S - 1e-6
    assert seconds >= second.at_s + second.seconds + judge.SETTLE_S - 1e-6


def test_a_demo_too_short_is_refused_with_the_minimum() -> None:
    """The error names the least number of seconds."""
    with pytest.raises(ValueError, match=f"give at least {judge.MINIMUM_S:g}"):
        schedule(judge.MINIMUM_S - 1)
