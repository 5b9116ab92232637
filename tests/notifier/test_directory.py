"""Who is who, for messages; and that nobody watches, as an alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.notifier.made import AT, MACS, alert, device, directory, target

from monitorpi_common.messages import Alert, Peer, WatchReason
from monitorpi_notifier.blindness import Blindness
from monitorpi_notifier.directory import Card, macs_of


@pytest.mark.parametrize(
    ("card", "short", "long"),
    [
        (Card(MACS[0], "nas", "V", ("192.0.2.1", "fe80::1")), "nas",
         f"nas (V), 192.0.2.1, fe80::1, {MACS[0]}"),
        (Card(MACS[0], None, "V", ("192.0.2.1",)), "192.0.2.1", f"(V), 192.0.2.1, {MACS[0]}"),
        (Card(MACS[0], None, None, ()), MACS[0], MACS[0]),
        (Card(None, None, None, ()), "?", ""),
    ],
)  # fmt: skip
def test_a_device_is_written_as_far_as_it_is_known(card: Card, short: str, long: str) -> None:
    """Name, else address, else MAC."""
    assert (card.short, card.long) == (short, long)


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([device(hostname="by-dhcp"), target()], "by-dhcp"),
        ([device(), target()], "printer"),
        ([target()], "printer"),
        ([target(name="192.0.2.1")], None),
        ([target(mac=None)], None),
        ([target(), device(hostname="by-dhcp")], "by-dhcp"),
    ],
)
def test_a_device_has_the_name_people_gave_its_target(messages: list[Any], name: str) -> None:
    """Where it has none of its own; an address is no name."""
    assert directory(*messages).device(MACS[0]).name == name


def test_a_target_alone_makes_a_device_only_by_name_and_mac() -> None:
    """An address that nobody named is no device."""
    assert len(directory(target())) == 1
    assert len(directory(target(mac=None))) == 0
    assert len(directory(target(name="192.0.2.1"))) == 0


def test_two_addresses_are_told_and_devices_are_bounded() -> None:
    """4,096 of them; who came first leaves; who is updated takes no new place."""
    found = directory(device(ips=["192.0.2.1", "192.0.2.2", "192.0.2.3"]))
    assert found.device(MACS[0]).addresses == ("192.0.2.1", "192.0.2.2")
    assert len(found) == 1
    for number in range(4096):
        found.receive("x", device(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"))
    assert len(found) == 4096
    assert found.device(MACS[0]).addresses == ()
    found.receive("x", device("02:00:00:00:00:00", hostname="h"))
    assert found.device("02:00:00:00:00:01") == Card("02:00:00:00:00:01", None, None, ())
    assert found.device("02:00:00:00:00:00").name == "h"
    found.forget("020000000000")
    assert len(found) == 4095


def test_an_address_is_found_and_forgotten() -> None:
    """By its id or as a name."""
    found = directory(target())
    assert found.at("192.0.2.1") == Card(MACS[0], "printer", None, ("192.0.2.1",))
    assert found.at("192.0.2.2") is None
    assert found.at("printer.lan") is None
    found.forget("192-0-2-1")
    assert found.at("192.0.2.1") is None


@pytest.mark.parametrize(
    ("messages", "changes", "card"),
    [
        ([target(), device(vendor="V")], {"subject": "192-0-2-1"},
         Card(MACS[0], "printer", "V", ("192.0.2.1",))),
        ([target(name="192.0.2.1", vendor="T"), device(hostname="h", vendor="V")],
         {"subject": "192-0-2-1"}, Card(MACS[0], "h", "T", ("192.0.2.1",))),
        ([target(mac=None)], {"subject": "192-0-2-1"},
         Card(None, "printer", None, ("192.0.2.1",))),
        ([device(ips=["192.0.2.7"])],
         {"evidence": {"sources": [Peer(mac=MACS[0], ip="192.0.2.9")]}},
         Card(MACS[0], None, None, ("192.0.2.7",))),
        ([], {"evidence": {"sources": [Peer(mac=MACS[0], ip="192.0.2.9")]}},
         Card(MACS[0], None, None, ("192.0.2.9",))),
        ([], {"evidence": {"sources": [Peer(mac=MACS[0])]}}, Card(MACS[0], None, None, ())),
        ([], {"subject": "victim-b827eb000001",
              "evidence": {"sources": [Peer(mac=MACS[1])], "victims": [Peer(mac=MACS[0])]}},
         Card(MACS[0], None, None, ())),
        ([device()], {}, None),
        ([device()], {"evidence": {"sources": [Peer(ip="192.0.2.1")]}}, None),
    ],
)  # fmt: skip
def test_whom_an_alert_is_about(
    messages: list[Any], changes: dict[str, Any], card: Card | None
) -> None:
    """By its subject: a target's address, or the MAC of somebody in the evidence."""
    one = alert(**changes)

    assert directory(*messages).subject(one) == card
    peers = (*one.evidence.sources, *one.evidence.victims)
    assert macs_of(one) == {peer.mac for peer in peers if peer.mac}


def test_a_blind_watch_is_an_alert_after_twenty_seconds() -> None:
    """Once, with the reasons and what to do; over as soon as somebody watches again."""
    one = Blindness()
    reasons = [WatchReason(what="x", text="No window.", remedy="look at it"),
               *[WatchReason(what="y", text="z" * 250)] * 3]  # fmt: skip

    def judge(level: Any, seconds: float) -> Alert | None:
        return one.judge(level, reasons, AT + timedelta(seconds=seconds), 1000.0 + seconds)

    assert judge("watching", 0) is None
    assert judge("blind", 1) is None
    assert judge("partly", 10) is None
    assert judge("blind", 11) is None
    assert judge("blind", 30.9) is None
    opened = judge("blind", 31)
    assert judge("blind", 99) is None
    closed = judge("watching", 100)
    assert judge("watching", 101) is None

    assert opened is not None
    assert closed is not None
    assert opened.summary.startswith("Nobody watches the network. No window. Look at it. zzz")
    assert len(opened.summary) == 400
    assert (opened.opened_at, opened.severity, opened.state, opened.evidence.value) == (
        AT + timedelta(seconds=11), "critical", "open", 20.0)  # fmt: skip
    assert (closed.id, closed.state, closed.closed_at, closed.close_reason) == (
        opened.id, "closed", AT + timedelta(seconds=100), "quiet")  # fmt: skip
    assert judge("blind", 200) is None
    again = judge("blind", 220)
    assert again is not None
    assert again.id != opened.id
