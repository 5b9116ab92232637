"""What is a change: of devices and targets, from what is said of them again and again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.history.world import NOON, device, mac, probe

from monitorpi_common.messages import Target
from monitorpi_history import diary as module
from monitorpi_history.diary import Diary
from monitorpi_history.items import Batch, Change

NOON_MS = round(NOON.timestamp() * 1000)
PRINTER = "192.168.1.10"


def target(state: str, after_s: float = 0, name: str = "printer", address: str = PRINTER) -> Target:
    """Say how a target is since a moment."""
    return Target(
        address=address, name=name, state=state, since=NOON + timedelta(seconds=after_s),
        at=NOON, last=probe(NOON, 1).targets[0],
    )  # fmt: skip


def batch(diary: Diary) -> Batch:
    """Return what is to be written."""
    found = Batch()
    diary.add_to(found)
    return found


@pytest.mark.parametrize(
    ("more", "what", "before", "after"),
    [
        ({"present": False}, "gone", None, None),
        ({"ips": ["192.168.1.7", "fe80::1"]}, "moved", "192.168.1.1", "192.168.1.7 fe80::1"),
        ({"hostname": "lamp"}, "renamed", "host-1", "lamp"),
        ({"hostname": None}, "renamed", "host-1", None),
        ({"role": "router"}, "role", "unknown", "router"),
        ({"vendor": "Acme"}, "vendor", None, "Acme"),
    ],
)
def test_each_kind_of_change(
    more: dict[str, Any], what: Any, before: str | None, after: str | None
) -> None:
    """At the moment it was said; said again it is none."""
    diary = Diary([device()])

    for at_ms in (1, 2):
        diary.device(device(**more), at_ms)

    assert batch(diary).changes == [Change(1, mac(1), what, before, after)]
    assert batch(diary).devices == [device(**more)]


def test_addresses_in_another_order_are_the_same() -> None:
    """Nor is a later time a change."""
    diary = Diary([device(ips=["192.168.1.1", "fe80::1"])])

    diary.device(device(ips=["fe80::1", "192.168.1.1"], last_seen=NOON + timedelta(hours=1)), 1)

    assert not batch(diary)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "host-1, 192.168.1.1"),
        ({"hostname": None, "vendor": "Acme", "ips": []}, "Acme"),
        ({"hostname": None, "ips": []}, ""),
    ],
)
def test_a_device_is_new_since_it_was_seen_first(more: dict[str, Any], named: str) -> None:
    """With what is known of it."""
    diary = Diary()

    diary.device(device(**more), 5)

    assert batch(diary).changes == [Change(NOON_MS, mac(1), "new", None, named)]


def test_a_device_that_left_the_inventory_is_forgotten_once() -> None:
    """Its last state is kept; one that was never there is no news."""
    diary = Diary([device()])

    for _ in range(2):
        diary.device_gone(mac(1), 7)

    assert batch(diary).changes == [Change(7, mac(1), "forgotten", "host-1")]
    assert (batch(diary).devices, diary.known) == ([device()], {})


def test_a_target_changes_where_it_goes_or_comes() -> None:
    """When it did; flapping and unknown are neither, and what was before them counts."""
    diary = Diary()

    for after_s, state in enumerate(["unknown", "up", "up", "flapping", "down", "unknown", "up"]):
        diary.target(target(state, after_s))

    assert batch(diary).changes == [
        Change(NOON_MS + 4000, PRINTER, "down", "up", "down"),
        Change(NOON_MS + 6000, PRINTER, "up", "down", "up"),
    ]
    assert batch(diary).targets == {PRINTER: ("printer", "up")}


def test_a_restart_is_no_change_of_a_target() -> None:
    """A name is written where it is another one."""
    diary = Diary(states={PRINTER: "up"})

    diary.target(target("up"))
    diary.clear()
    diary.target(target("up"))
    assert not batch(diary)
    diary.target(target("up", name="new name"))

    assert (batch(diary).changes, batch(diary).targets) == ([], {PRINTER: ("new name", "up")})


def test_what_is_pending_stays_until_it_is_written() -> None:
    """A batch that could not be written is made again."""
    diary = Diary()
    diary.device(device(), 1)
    diary.target(target("up"))

    first, again = batch(diary), batch(diary)
    diary.clear()

    assert first == again
    assert not batch(diary)


def test_devices_targets_and_changes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond is counted; who is known goes on."""
    for name, most in (("MAX_DEVICES", 2), ("MAX_TARGETS", 2), ("MAX_PENDING", 3)):
        monkeypatch.setattr(module, name, most)
    diary = Diary()
    for serial in range(1, 4):
        diary.device(device(serial), 1)
        diary.target(target("up", address=f"192.168.1.{serial}"))
    assert (len(diary.known), len(batch(diary).targets), diary.refused) == (2, 2, 2)

    diary.device(device(1, hostname="a"), 2)
    diary.device(device(1, hostname="b", ips=[]), 3)  # two changes, and room for none

    assert (len(batch(diary).changes), diary.refused) == (3, 4)
    assert diary.known[mac(1)].hostname == "b"


def test_a_site_that_is_far_too_large_costs_so_much_and_no_more() -> None:
    """8,192 devices and changes that wait, 2,048 targets."""
    diary = Diary()
    one, printer = device(), target("up")
    for number in range(2049):
        diary.target(printer.model_copy(update={"address": str(number)}))
    assert (len(batch(diary).targets), diary.refused) == (2048, 1)

    for number in range(8193):
        diary.device(one.model_copy(update={"mac": str(number)}), 1)
    assert (len(diary.known), len(batch(diary).changes), diary.refused) == (8192, 8192, 2)
    diary.target(printer.model_copy(update={"address": "0", "state": "down"}))
    assert (len(batch(diary).changes), diary.refused) == (8192, 3)
