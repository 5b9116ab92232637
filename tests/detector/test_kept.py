"""What a detector keeps over a restart: all of it comes back, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from annotated_types import Ge, Le, MaxLen
from pydantic import ValidationError
from tests.detector.windows import ATTACKER, ROUTER, VICTIM, Detector, at, window

from monitorpi_common.service import Tick
from monitorpi_detector.items import Kept, Override
from monitorpi_detector.rule import LimitsChange

FULL = Kept(
    since=at(-5000),
    watched_s=4000.5,
    overrides=[
        Override(rule="icmp-flood", change=LimitsChange(floor=5000.0)),
        Override(rule="syn-flood", mac=ATTACKER, change=LimitsChange(quiet_s=60.0)),
    ],
    silences={"syn-flood-04000000000a": at(9000)},
    macs=[ATTACKER, VICTIM],
    dhcp_servers=[ROUTER],
    dhcp_said={ROUTER: [("router", "192.0.2.1")]},
    routers=[ROUTER],
    routers_said={ROUTER: [("vlan", "")]},
    shared=[f"{ATTACKER} {VICTIM}"],
    rounds_since_s=17.5,
    stays={"192.0.2.7": (900.0, 3999.5, [(100.0, 50.0)])},
    told={"192.0.2.7": [3000.0]},
    usual={"high-loss-192-0-2-7": (0.5, 3000.0)},
    rates={ATTACKER: {"icmp_echo": (20.0, 3600.0)}},
    probes={"192.0.2.7": {"rtt_ms": (2.0, 3600.0)}},
)


def test_a_detector_that_only_starts_and_ends_keeps_what_it_was_given() -> None:
    """Every part of it."""
    unset = {name for name in Kept.model_fields if not getattr(FULL, name)}
    assert unset == {"was_up"}  # as earlier versions wrote it
    detector = Detector(kept=FULL)

    list(detector.core.close())

    assert detector.kept == [FULL]


def test_targets_of_earlier_versions_are_kept_as_those_of_now() -> None:
    """That they were there is known, for a day at least."""
    detector = Detector(kept=Kept(was_up=["192.0.2.9"]))

    list(detector.core.close())

    assert detector.kept[0].stays == {"192.0.2.9": (86_400.0, 0.0, [])}


@pytest.mark.parametrize(("second", "times"), [(599, 0), (600, 1), (1199, 1), (1201, 2)])
def test_what_is_learned_is_handed_on_after_some_time(second: int, times: int) -> None:
    """By the windows' own."""
    detector = Detector(save_s=600)
    detector.take(window(0))

    for now in sorted({600, 1200, second} & set(range(second + 1))):
        detector.take(window(now))

    assert len(detector.kept) == times


@pytest.mark.parametrize(
    ("items", "watched_s"),
    [
        ([window(0), window(10)], 10.0),
        ([window(0), Tick(at(1), 1.0, clock_synced=True), Tick(at(60), 60.0, clock_synced=True)],
         0.0),
    ],
)  # fmt: skip
def test_seconds_watched_are_those_of_windows(items: list[Any], watched_s: float) -> None:
    """Ticks watch nothing."""
    detector = Detector()
    detector.take(*items)

    list(detector.core.close())

    assert detector.kept[-1].watched_s == watched_s
    assert detector.kept[-1].since == at(1)


def test_what_a_file_may_hold_is_bounded() -> None:
    """Each table; a file that holds more is damaged there."""
    bounds = {
        name: bound.max_length
        for name, field in Kept.model_fields.items()
        for bound in field.metadata
        if isinstance(bound, MaxLen)
    }
    limits = {
        name: (type(bound), getattr(bound, "ge", getattr(bound, "le", None)))
        for name, field in Kept.model_fields.items()
        for bound in field.metadata
        if isinstance(bound, Ge | Le) and name != "version"
    }

    assert bounds == {
        "overrides": 1024, "silences": 256, "macs": 8192, "dhcp_servers": 64, "dhcp_said": 128,
        "routers": 64, "routers_said": 128, "shared": 1024, "was_up": 8192, "stays": 8192,
        "told": 8192, "usual": 8192, "rates": 8192, "probes": 8192,
    }  # fmt: skip
    assert limits == {"watched_s": (Ge, 0)}


@pytest.mark.parametrize(("name", "most"), [("dhcp_said", 768), ("routers_said", 768), ("told", 8)])
def test_what_is_said_of_one_device_is_bounded(name: str, most: int) -> None:
    """Its list, too."""
    entry: Any = 1.0 if name == "told" else ("router", "x")

    assert len(getattr(Kept.model_validate({name: {"a": [entry] * most}}), name)["a"]) == most
    with pytest.raises(ValidationError):
        Kept.model_validate({name: {"a": [entry] * (most + 1)}})
    with pytest.raises(ValidationError):
        Kept.model_validate({"rounds_since_s": -0.1})
    assert Kept.model_validate({"rounds_since_s": 0.0}).rounds_since_s == 0.0
