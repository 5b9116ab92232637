from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_common.messages import Alert, Evidence
from monitorpi_lab.demo import steps
from monitorpi_lab.demo.alert_check import AlertCheck
from monitorpi_lab.demo.steps import schedule

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


def finished() -> AlertCheck:
    """Return a check that has seen a demo go well."""
    check = AlertCheck()
    for number, (rule, start) in enumerate((("syn-flood", 100.0), ("icmp-flood", 130.0))):
        check.flood_started(rule, BAD, start)
        check.alert(alert(rule=rule, number=number), start + 1.25)
        check.flood_ended(rule, start + 8)
        check.alert(alert("closed", rule=rule, number=number), start + 15)
    return check


def test_a_demo_that_goes_well_has_no_failures() -> None:
    """Both alerts opened on the attacker and closed: the result says how long each took."""
    check = finished()
    check.messages.update(traffic=60, alert=4)

    assert check.failures(schedule(60)) == []
    assert check.result(cloud_rows=9) == {
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
    check = AlertCheck()
    check.alert(alert(), 90.0)

    assert (check.result(0)["alerts_before"], check.result(0)["alerts_on_others"]) == (1, 0)
    assert "an alert nobody caused: syn-flood-00005e005304: too many SYNs" in (
        check.failures(schedule(60))
    )


@pytest.mark.parametrize(
    "wrong", [alert(mac=OTHER), alert(rule="surge"), alert(subject="wire-mirror0")]
)
def test_an_alert_on_somebody_or_something_else_is_a_false_one(wrong: Alert) -> None:
    """Another MAC, another rule, or the wire instead of the attacker: the demo has failed."""
    check = AlertCheck()
    check.flood_started("syn-flood", BAD, 100.0)
    check.alert(wrong, 101.0)

    assert check.result(0)["alerts_on_others"] == 1
    assert "no syn-flood alert opened on 00:00:5e:00:53:04" in check.failures(schedule(60))


def test_a_side_effect_of_a_flood_is_no_false_alert() -> None:
    """An alert that the detector itself links to the flood's alert is shown, not counted."""
    check = AlertCheck()
    check.flood_started("syn-flood", BAD, 100.0)
    check.alert(alert(), 101.0)

    transition = check.alert(
        alert(mac=OTHER, rule="surge", number=2, caused_by="syn-flood-00005e005304"), 103.0
    )

    assert transition is not None
    assert transition.what == "followed"
    assert check.result(0)["alerts_on_others"] == 0


def test_repetitions_are_not_news() -> None:
    """A refresh, and what a broker that lost its memory receives again, change nothing."""
    check = AlertCheck()
    check.flood_started("syn-flood", BAD, 100.0)

    changes = [check.alert(alert(), 101.0), check.alert(alert(), 111.0)]

    assert [change.what if change else None for change in changes] == ["opened", None]
    assert check.result(0)["floods"][0]["seconds_to_alert"] == 1.0


def test_an_alert_that_stays_open_is_a_failure() -> None:
    """Opening is not enough."""
    check = finished()
    check.floods[1].closed_s = None

    assert check.failures(schedule(60)) == [f"the icmp-flood alert on {BAD} did not close"]


def test_an_alert_that_opens_anew_must_close_anew() -> None:
    """The delay is the first opening's, the end the last closing's."""
    check = finished()
    check.alert(alert("open", number=9), 120.0)
    assert check.failures(schedule(60)) == [f"the syn-flood alert on {BAD} did not close"]

    check.alert(alert("closed", number=9), 125.0)

    assert check.failures(schedule(60), undisturbed=False) == []
    assert check.failures(schedule(60)) == ["the syn-flood alert opened 2 times for one flood"]
    assert check.result(0)["floods"][0]["seconds_to_alert"] == 1.25
    assert check.result(0)["floods"][0]["seconds_to_close"] == 17.0


def test_a_flood_that_was_never_sent_is_a_failure() -> None:
    """A demo that stops half way has not gone well."""
    assert AlertCheck().failures(schedule(60)) == [
        "the syn-flood was never sent",
        "the icmp-flood was never sent",
    ]


@given(st.floats(steps.MINIMUM_S, 3600))
def test_every_schedule_leaves_each_alert_time_to_close(seconds: float) -> None:
    """However long the demo: quiet before, and after each flood what its close needs."""
    first, second = schedule(seconds)

    assert first.at_s >= steps.LEAD_S
    assert second.at_s >= first.at_s + first.seconds + steps.SETTLE_S - 1e-6
    assert seconds >= second.at_s + second.seconds + steps.SETTLE_S - 1e-6


def test_a_demo_too_short_is_refused_with_the_minimum() -> None:
    """The error names the least number of seconds."""
    with pytest.raises(ValueError, match=f"give at least {steps.MINIMUM_S:g}"):
        schedule(steps.MINIMUM_S - 1)
