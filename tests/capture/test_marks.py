"""What people say of a device: its name, that it is known, pinned or ignored."""

from __future__ import annotations

from tests.capture.inventories import inventory, known, report, window
from tests.capture.windows import mac

from monitorpi_capture.inventory.admission import MAX_MARKED
from monitorpi_capture.inventory.feed import FORGET_S, RENEW_S
from monitorpi_capture.items import Sighting
from monitorpi_common.messages import Device, Tombstone

PRINTER = mac(1)


def test_a_name_that_people_give_goes_before_the_devices_own() -> None:
    """At once, whatever the device says later; taken back, its own is there again."""
    one = known(PRINTER)
    one.learn(Sighting(mac=PRINTER, at_s=12, interface="eth0", hostname="BRN30055C"))

    assert one.mark(PRINTER, {"name": "Printer, hall\n<b>"}) is None
    (named,) = report(one, 12)
    one.learn(Sighting(mac=PRINTER, at_s=20, interface="eth0", hostname="BRN-2"))
    (later,) = report(one, 30)
    one.mark(PRINTER, {"name": ""})
    (unnamed,) = report(one, 40)

    assert (named.hostname, named.marks.name) == ("Printer, hallb", "Printer, hallb")
    assert later.hostname == "Printer, hallb"
    assert (unnamed.hostname, unnamed.marks.name) == ("BRN-2", None)


def test_what_is_not_said_stays() -> None:
    """Each word stands for itself."""
    one = known(PRINTER)
    one.mark(PRINTER, {"known": True})
    one.mark(PRINTER, {"ignored": True, "name": "printer"})
    one.mark(PRINTER, {"ignored": False})

    (device,) = report(one, 12)
    assert device.marks.model_dump() == {
        "name": "printer", "known": True, "pinned": False, "ignored": False,
    }  # fmt: skip


def test_only_devices_are_spoken_of_and_not_too_many() -> None:
    """Each of them never leaves: there is a limit, and who is taken back makes room."""
    one = known(*(mac(n) for n in range(1, MAX_MARKED + 2)))

    assert one.mark(mac(9999), {"known": True}) == "there is no such device"
    for n in range(1, MAX_MARKED + 1):
        assert one.mark(mac(n), {"known": True}) is None
    assert "1024" in str(one.mark(mac(MAX_MARKED + 1), {"known": True}))
    assert one.mark(mac(7), {"pinned": True}) is None
    one.mark(mac(8), {"known": False})
    assert one.mark(mac(MAX_MARKED + 1), {"known": True}) is None
    assert MAX_MARKED == 1024


def test_a_device_of_which_something_was_said_is_not_forgotten() -> None:
    """However long it is away; its message is renewed before it expires."""
    one = known(PRINTER, mac(2))
    one.mark(PRINTER, {"name": "boat"})
    report(one, 12)

    said = list(one.publish(12 + RENEW_S))
    later = list(one.publish(13 + FORGET_S + RENEW_S))

    assert [each.id for each in said if not isinstance(each, Tombstone)][:1] == ["020000000001"]
    assert [each.id for each in later if isinstance(each, Tombstone)] == ["020000000002"]
    assert len(one) == 1
    assert (FORGET_S, RENEW_S) == (604_800.0, 86_400.0)


def test_a_device_is_forgotten_behind_its_week() -> None:
    """Not with its last second; who is pinned by the settings never is."""
    one = known(PRINTER)
    report(one, 12)
    last_s = one._devices[PRINTER].last_s

    assert not [each for each in one.publish(last_s + FORGET_S) if isinstance(each, Tombstone)]
    assert [type(each) for each in one.publish(last_s + FORGET_S + 0.1)] == [Tombstone]


def test_it_is_kept_over_a_restart() -> None:
    """By the retained message; the name its owner gave is not taken for the device's own."""
    before = known(PRINTER)
    before.mark(PRINTER, {"name": "printer", "pinned": True})
    (device,) = report(before, 12)
    after = inventory()

    after.restore(Device.model_validate_json(device.encode()))
    after.count(window(20, PRINTER))
    (restored,) = report(after, 80)
    after.mark(PRINTER, {"name": ""})
    (unnamed,) = report(after, 90)

    assert restored.marks == device.marks
    assert unnamed.hostname is None


def test_who_is_pinned_keeps_counters_of_its_own_first() -> None:
    """Before all who are merely there."""
    one = known(*(mac(n) for n in range(1, 9)))

    one.mark(mac(6), {"pinned": True})

    assert one.changed
    assert one.by_importance()[0] == mac(6)
