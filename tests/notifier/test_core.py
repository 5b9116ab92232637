"""What the notifier tells whom: read as a list of what happened and what was reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.notifier.rig import Rig, T


def test_an_alert_is_told_when_it_opens_and_when_it_closes() -> None:
    """Once each, however often it is refreshed."""
    rig = Rig()

    for state in ("open", "open", "open", "closed", "closed"):
        rig.alert(state=state)
        rig.tick(10)

    assert rig.reported() == ["opened syn-flood-b827eb123456", "closed syn-flood-b827eb123456"]


def test_a_severity_that_rises_is_told_once() -> None:
    """One that falls is not told, nor one that rises to what was reported before."""
    rig = Rig()

    for severity in ("warning", "critical", "warning", "critical"):
        rig.alert(severity=severity)
        rig.tick(10)

    assert rig.reported() == ["opened syn-flood-b827eb123456", "raised syn-flood-b827eb123456"]


def test_an_alert_that_opens_anew_is_told_anew() -> None:
    """The same topic, another alert; or the same one again after it had closed."""
    rig = Rig()
    rig.alert()
    rig.alert(state="closed", opened_at=T)
    rig.tick(60)

    rig.alert(opened_at=T)

    assert rig.reported()[-1] == "opened syn-flood-b827eb123456"
    assert len(rig.reported()) == 3


def test_a_restart_tells_nothing_twice() -> None:
    """What was reported stands on disk with the change itself."""
    rig = Rig()
    rig.alert()

    again = Rig(rig.box)
    again.alert(opened_at=T)
    again.tick(5)
    again.alert(state="closed", opened_at=T)

    assert again.reported() == ["opened syn-flood-b827eb123456", "closed syn-flood-b827eb123456"]


def test_what_came_and_went_without_us_is_told() -> None:
    """An alert that opened and closed while no notifier was there is told as over."""
    rig = Rig()
    rig.tick(60)

    late = Rig(rig.box)
    late.at = T + timedelta(hours=1)
    late.tick()
    late.alert(state="closed", opened_at=T + timedelta(minutes=30))

    assert late.reported() == ["closed syn-flood-b827eb123456"]


def test_what_came_and_went_without_us_is_told_though_an_earlier_one_was() -> None:
    """Of the same key: that one was another alert, and told to others."""
    rig = Rig()
    rig.alert(id="8f3e0b8e-3c0b-5d0a-9a55-000000000009")
    rig.alert(id="8f3e0b8e-3c0b-5d0a-9a55-000000000009", state="closed")
    key = "syn-flood-b827eb123456"
    rig.box.reported[key] = replace(rig.box.reported[key], destinations=frozenset())
    rig.tick(60)
    rig.box.changes.clear()

    late = Rig(rig.box)
    late.at = T + timedelta(hours=1)
    late.tick()
    late.alert(state="closed", opened_at=T + timedelta(minutes=30))

    assert late.reported() == [f"closed {key}"]


def test_what_closed_before_our_first_start_is_history() -> None:
    """Retained closed alerts of the last day are nobody's news."""
    rig = Rig()

    rig.alert(state="closed", opened_at=T - timedelta(hours=3))

    assert rig.reported() == []


def test_a_full_disk_delays_and_loses_nothing() -> None:
    """The next refresh of the alert tells it."""
    rig = Rig()
    rig.box.is_full = True
    rig.alert()
    rig.box.is_full = False
    rig.tick(10)

    rig.alert(opened_at=T)

    assert rig.reported() == ["opened syn-flood-b827eb123456"]


# --- whom, and when -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "is_reported"),
    [
        ({}, True),
        ({"least": "critical"}, True),
        ({"rules": ["*-flood"]}, True),
        ({"rules": ["!syn-*"]}, False),
        ({"rules": ["device-*", "arp-*"]}, False),
        ({"devices": ["B8-27-EB-12-34-56"]}, True),
        ({"devices": ["02:00:00:00:00:01"]}, False),
        ({"hours": ["mon-fri 07:00-18:00"]}, True),
        ({"hours": ["sat,sun 00:00-24:00"]}, False),
    ],
)
def test_a_destination_chooses_what_it_is_told(choice: dict[str, Any], is_reported: bool) -> None:
    """Rules, severities, devices, hours."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", **choice}})

    rig.alert(severity="critical")

    assert bool(rig.reported()) is is_reported


def test_below_the_least_severity_nothing_is_told_until_it_rises() -> None:
    """Then it is told as opened: the reader has not heard of it."""
    rig = Rig()
    rig.alert(severity="info")
    rig.tick(10)

    rig.alert(severity="critical")

    assert rig.reported() == ["opened syn-flood-b827eb123456"]


def test_maintenance_tells_what_lasts_after_it() -> None:
    """What comes and goes meanwhile is not told."""
    rig = Rig(maintenance=[{"when": "mon 11:00-12:30", "rules": ["syn-flood"]}])
    rig.alert("syn-flood-aa", opened_at=T)
    rig.alert("syn-flood-bb", opened_at=T)
    rig.alert("icmp-flood-cc", rule="icmp-flood")
    rig.alert("syn-flood-bb", state="closed", opened_at=T)
    assert rig.reported() == ["opened icmp-flood-cc"]

    rig.tick(31 * 60)
    rig.alert("syn-flood-aa", opened_at=T)

    assert rig.reported() == ["opened icmp-flood-cc", "opened syn-flood-aa"]


def test_quiet_hours_hold_what_is_not_critical() -> None:
    """It waits for their end; what is critical does not."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", "quiet": ["11:00-13:00"]}})

    rig.alert("syn-flood-aa", severity="warning")
    rig.alert("syn-flood-bb", severity="critical")

    due = {one.key: one.due_s - T.timestamp() for one in rig.box.changes}
    assert due == {"syn-flood-aa": 3600, "syn-flood-bb": 0}
    assert rig.box.changes[0].held


def test_an_alert_that_gets_worse_in_quiet_hours_is_told_at_once() -> None:
    """The word that waited is replaced."""
    rig = Rig(destinations={"phone": {"url": "json://localhost", "quiet": ["11:00-13:00"]}})
    rig.alert(severity="warning")
    rig.tick(60)

    rig.alert(severity="critical", opened_at=T)

    assert rig.reported() == ["opened syn-flood-b827eb123456"]
    assert rig.box.changes[0].due_s == rig.at.timestamp()
