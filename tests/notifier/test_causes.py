"""Side effects and their causes: reported together, once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.drive import received
from tests.notifier.rig import SAMPLE, Rig, T

from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, Target
from monitorpi_notifier.core import AFTER_S, HOLD_S


def down(rig: Rig, address: str, **more: Any) -> Alert:
    """Let a target go down."""
    key = f"device-down-{address.replace('.', '-')}"
    evidence = {**SAMPLE.evidence.model_dump(), "sources": [], "unit": "devices"}
    victims = more.pop("victims", [])
    return rig.alert(
        key, rule="device-down", severity=more.pop("severity", "warning"),
        evidence={**evidence, "victims": victims}, **more,
    )  # fmt: skip


# --- causes -------------------------------------------------------------------------------------


def test_a_side_effect_waits_for_its_cause_and_is_told_with_it() -> None:
    """The devices of a group that went are not a message each."""
    rig = Rig()
    down(rig, "192.168.1.20")
    rig.tick(5)
    rig.alert("group-down-192-168-1-20", rule="group-down", severity="warning")
    down(rig, "192.168.1.20", caused_by="group-down-192-168-1-20")
    down(rig, "192.168.1.21", caused_by="group-down-192-168-1-20")

    assert rig.reported() == ["opened group-down-192-168-1-20"]


def test_a_side_effect_without_a_cause_is_told_after_a_moment() -> None:
    """So long as the detector takes to link it."""
    rig = Rig()

    down(rig, "192.168.1.20")

    assert [one.due_s for one in rig.box.changes] == [T.timestamp() + HOLD_S]


def test_a_device_that_is_back_before_it_was_told_is_not_told() -> None:
    """Nobody is called for what was over at once."""
    rig = Rig()
    down(rig, "192.168.1.20")
    rig.tick(5)

    down(rig, "192.168.1.20", state="closed", opened_at=T)

    assert rig.reported() == []


def test_what_outlasts_its_cause_is_told_a_while_after_it() -> None:
    """A NAS that does not come back after the power failure."""
    rig = Rig()
    rig.alert("group-down-x", rule="group-down")
    down(rig, "192.168.1.20", caused_by="group-down-x")
    rig.tick(60)

    rig.alert("group-down-x", rule="group-down", state="closed", opened_at=T)

    last = rig.box.changes[-1]
    assert (last.what, last.key) == ("opened", "device-down-192-168-1-20")
    assert last.due_s == rig.at.timestamp() + AFTER_S
    down(rig, "192.168.1.20", state="closed", opened_at=T)
    assert rig.reported() == ["opened group-down-x", "closed group-down-x"]


def test_what_hangs_behind_a_switch_is_told_with_it() -> None:
    """As the settings say; the message names what it carries."""
    rig = Rig(behind={"192.168.1.2": ["192.168.1.20", "192.168.1.21"]})
    for address in ("192.168.1.2", "192.168.1.20", "192.168.1.21", "192.168.1.99"):
        name = f"host-{address.rsplit('.', 1)[1]}"
        target = example(Target).model_copy(update={"address": address, "name": name, "mac": None})
        list(rig.core.handle(received(target, address.replace(".", "-"))))

    rig.alert("syn-flood-192-168-1-2", victims=[], subject="192-168-1-2")
    for address in ("192.168.1.99", "192.168.1.2", "192.168.1.20", "192.168.1.21"):
        down(rig, address)

    assert set(rig.reported()) == {
        "opened syn-flood-192-168-1-2", "opened device-down-192-168-1-2",
        "opened device-down-192-168-1-99",
    }  # fmt: skip
    switch = next(one for one in rig.box.changes if one.key == "device-down-192-168-1-2")
    assert "With it: host-20, host-21" in switch.body


@pytest.mark.parametrize("outlasts", [False, True])
def test_a_side_effect_that_was_taken_back_is_known_to_nobody(outlasts: bool) -> None:
    """Its end is no news, and it is told by itself once its cause is over."""
    rig = Rig()
    down(rig, "192.168.1.20")
    rig.tick(5)
    rig.alert("group-down-x", rule="group-down")
    down(rig, "192.168.1.20", caused_by="group-down-x")

    if outlasts:
        rig.alert("group-down-x", rule="group-down", state="closed")
    down(rig, "192.168.1.20", state="open" if outlasts else "closed", severity="critical")

    more = ["closed group-down-x", "opened device-down-192-168-1-20"] if outlasts else []
    assert rig.reported() == ["opened group-down-x", *more]


def test_what_is_told_after_its_cause_is_told_as_it_is_by_then() -> None:
    """It got worse meanwhile."""
    rig = Rig()
    rig.alert("group-down-x", rule="group-down")
    for severity in ("warning", "critical"):
        down(rig, "192.168.1.20", caused_by="group-down-x", severity=severity)
    rig.alert("group-down-x", rule="group-down", state="closed")

    assert [(one.what, one.severity) for one in rig.box.changes[2:]] == [("opened", "critical")]


# --- one is told, another one waits ---------------------------------------------------------------


def apart() -> Rig:
    """Return a core with a desk that is told at once and a phone that has quiet hours."""
    url = "json://localhost"
    return Rig(destinations={"desk": {"url": url}, "phone": {"url": url, "quiet": ["11:00-13:00"]}})


def send(rig: Rig) -> None:
    """Send what is due."""
    rig.box.changes = [one for one in rig.box.changes if one.due_s > rig.at.timestamp()]


def test_whoever_was_told_is_told_of_the_end_though_others_wait() -> None:
    """They are told that it was, once they may be."""
    rig = apart()
    key = rig.alert(severity="warning").key
    send(rig)
    rig.tick(60)

    rig.alert(severity="warning", state="closed")

    assert (rig.reported("desk"), rig.reported("phone")) == ([f"closed {key}"], [f"closed {key}"])
    assert [one.held for one in rig.box.changes] == [False, True]


def test_whoever_was_told_is_told_that_it_got_worse_though_others_wait() -> None:
    """To them it is new."""
    rig = apart()
    key = rig.alert(severity="warning").key
    send(rig)
    rig.tick(60)

    rig.alert(severity="critical")

    assert (rig.reported("desk"), rig.reported("phone")) == ([f"raised {key}"], [f"opened {key}"])


def test_whoever_was_told_of_a_cause_is_not_told_again_for_what_it_carries() -> None:
    """Where it waits it names it; a side effect is taken back where it waits alone."""
    rig = apart()
    down(rig, "192.168.1.20")
    rig.tick(13)
    send(rig)
    rig.alert("group-down-x", rule="group-down", severity="warning")
    send(rig)

    down(rig, "192.168.1.20", caused_by="group-down-x")

    assert (rig.reported("desk"), rig.reported("phone")) == ([], ["opened group-down-x"])
    (waits,) = rig.box.changes
    assert "With it: 192-168-1-20" in waits.body
    assert waits.due_s == T.timestamp() + 3600
    rig.tick(60)
    rig.alert("group-down-x", rule="group-down", state="closed", severity="warning")
    down(rig, "192.168.1.20", state="closed")
    assert rig.reported("desk") == ["closed group-down-x", "closed device-down-192-168-1-20"]
    assert rig.reported("phone") == ["closed group-down-x"]
