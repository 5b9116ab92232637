"""What is known of devices by hand: who forwards, who is a host, what is ours, what is usual."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, PI, ROUTER, VICTIM, answer, at, device, plain, probe
from tests.detector.windows import window as built

from monitorpi_common.messages import DeviceWindow, ProbeSource, Spread
from monitorpi_detector.hosts import inventory as module
from monitorpi_detector.hosts.inventory import (
    HostInventory,
    other_icmp,
    other_tcp,
    passes_connections,
)
from monitorpi_detector.views.handshakes import Handshakes, handshakes

NOW = at(0).timestamp()


def seen(*rows: DeviceWindow, second: float = 0.0, busy: float = 50.0, into: HostInventory | None
         = None, **more: Any) -> HostInventory:  # fmt: skip
    """Return what is known after a window."""
    one = into or HostInventory()
    one.see_window(built(int(second), *rows, **more), NOW + second, busy)
    return one


def row(mac: str = ATTACKER, *, rx: dict[str, int] | None = None, sources: int = 1, **tx: int
        ) -> DeviceWindow:  # fmt: skip
    """Return a row with a spread of source addresses."""
    return DeviceWindow(mac=mac, tx=tx, rx=rx or {}, spread=Spread(src_ips=sources))


# --- who forwards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "tx", "rx", "own", "passes"),
    [
        (8, {"syn": 10, "fin": 5}, {"syn_ack": 5}, 1, True),
        (7, {"syn": 10, "fin": 5}, {"syn_ack": 5}, 1, False),
        (8, {"syn": 10, "fin": 4}, {"syn_ack": 5}, 1, False),
        (8, {"syn": 10, "fin": 5}, {"syn_ack": 4}, 1, False),
        (8, {"syn": 0, "fin": 5}, {"syn_ack": 5}, 1, False),
        (8, {"syn": 10, "fin": 5}, {"syn_ack": 5}, 0, True),
        (8, {"syn": 10, "fin": 5}, {"syn_ack": 5}, 2, False),
        (9, {"syn": 10, "fin": 5}, {"syn_ack": 5}, 2, True),
        (8, {}, {}, 1, False),
    ],
)
def test_whose_connections_end_in_order(
    sources: int, tx: dict[str, int], rx: dict[str, int], own: int, passes: bool
) -> None:
    """Of eight addresses that are not its own, half of them ended and half of them answered."""
    assert passes_connections(row(sources=sources, rx=rx, **tx), own) is passes


def test_who_passed_connections_forwards_for_an_hour() -> None:
    """Whoever capture calls a router always does; a host never was one."""
    one = seen(row(ROUTER, sources=8, syn=10, fin=5, rx={"syn_ack": 5}), plain(VICTIM, packets=1))
    assert one.forwards(ROUTER)
    assert not one.is_host(ROUTER, NOW + 9999)
    assert not one.forwards(VICTIM)
    assert not one.forwards("nobody")

    seen(second=3599, into=one)
    assert one.forwards(ROUTER)
    seen(second=3600, into=one)
    assert not one.forwards(ROUTER)
    assert one.is_host(ROUTER, NOW + 3600)
    one.see_device(device(ROUTER, 3600, role="router"))
    assert one.forwards(ROUTER)


@pytest.mark.parametrize(("seconds", "is_host"), [(59.9, False), (60.0, True)])
def test_a_host_is_known_after_a_minute(seconds: float, is_host: bool) -> None:
    """In which it did not forward."""
    one = seen(plain(VICTIM, packets=1))

    assert one.is_host(VICTIM, NOW + seconds) is is_host
    assert not one.is_host("nobody", NOW + seconds)


def test_what_capture_says_of_a_device_is_known() -> None:
    """Role and addresses; a window without a role changes none; what comes late is no later."""
    one = seen(plain(VICTIM, packets=1), second=100)
    one.see_device(device(VICTIM, 50, "192.0.2.7", "192.0.2.8", role="host", dhcp_server=True))
    known = one.get(VICTIM)
    assert known is not None
    assert (known.role, known.ips, known.serves_dhcp) == ("host", ("192.0.2.7", "192.0.2.8"), True)
    assert known.sent_at_s == NOW + 100
    assert (one.ip(VICTIM), one.ip("nobody"), len(one)) == ("192.0.2.7", None, 1)

    seen(plain(VICTIM, arp=5), second=200, into=one)
    assert (known.role, known.sent_at_s) == ("host", NOW + 100)
    one.see_device(device(VICTIM, 150))
    assert (known.sent_at_s, one.ip(VICTIM)) == (NOW + 150, None)


@pytest.mark.parametrize(
    ("arp", "length_s", "is_fast"), [(100, 1.0, True), (99, 1.0, False), (199, 2.0, False),
                                     (200, 2.0, True), (100, 0.5, True)],
)  # fmt: skip
def test_much_arp_may_be_a_storm(arp: int, length_s: float, is_fast: bool) -> None:
    """A hundred a second; a part of a window is a whole one."""
    known = seen(plain(VICTIM, arp=arp), length_s=length_s).get(VICTIM)

    assert known is not None
    assert (known.arp_fast_s > -math.inf) is is_fast


# --- ours -----------------------------------------------------------------------------------------


def source(mac: str | None = PI, echo: float = 10.0, arp: float = 5.0) -> ProbeSource:
    """Return what a prober says it sends."""
    return ProbeSource(mac=mac, ip="198.18.0.3", echo_per_s=echo, arp_per_s=arp)


def test_what_probers_announce_adds_up_while_it_holds() -> None:
    """Two minutes each; the targets are the most of any round."""
    one = HostInventory()
    assert one.own(PI, NOW) is None
    one.see_probe("a", probe(0, answer(), answer(sent=0), source=source()), NOW)
    one.see_probe("a", probe(1, source=source(echo=20.0)), NOW + 1)
    one.see_probe("b", probe(1, answer(), answer(), source=source()), NOW + 60)

    both = one.own(PI, NOW + 120)
    assert both is not None
    assert (both.echo_per_s, both.arp_per_s, both.until_s, both.targets) == (
        30.0, 10.0, NOW + 180, 3)  # fmt: skip
    left = one.own(PI, NOW + 121)
    assert left is not None
    assert (left.echo_per_s, left.targets) == (10.0, 2)
    assert one.own(PI, NOW + 180) is None
    assert one.own_macs == [PI]
    one.see_probe("c", probe(300, source=source(None)), NOW + 300)
    assert one.own_macs == []


def test_announcements_are_bounded() -> None:
    """Thirty-two; one that is known goes on."""
    one = HostInventory()
    macs = [f"02:00:00:00:00:{n:02x}" for n in range(40)]
    for mac in macs:
        one.see_probe("a", probe(0, source=source(mac)), NOW)
    assert one.own_macs == macs[:32]

    one.see_probe("a", probe(1, source=source(macs[0], echo=77.0)), NOW + 1)

    own = one.own(macs[0], NOW + 1)
    assert own is not None
    assert own.echo_per_s == 77.0


def test_a_round_is_known_of_its_devices() -> None:
    """Of those that were seen."""
    one = seen(plain(VICTIM, packets=1))
    told = answer(mac=VICTIM)

    one.see_probe("a", probe(0, told, answer(mac=None)), NOW + 7)

    known = one.get(VICTIM)
    assert known is not None
    assert (known.probe, known.probed_until_s) == (told, NOW + 7)


# --- what is waited for, and what is usual --------------------------------------------------------


def test_what_was_asked_may_be_answered_a_few_seconds_later() -> None:
    """Three quarters of it a window later; what answers it is no more waited for."""
    one = seen(row(VICTIM, rx={"icmp_echo": 10, "udp": 20, "syn": 30, "tcp": 99}))
    assert one.asked(VICTIM, NOW + 5) == 60
    assert one.asked(VICTIM, NOW + 5.1) == 0
    assert one.asked("nobody", NOW) == 0
    assert seen(row(VICTIM, rx={"tcp": 99})).asked(VICTIM, NOW) == 0

    seen(row(VICTIM, icmp=30, icmp_echo=5, igmp=5, rx={"udp": 4}), second=5, into=one)
    assert one.asked(VICTIM, NOW + 5) == pytest.approx(0.75 * 60 + 4 - 20)
    seen(row(VICTIM, icmp=999), second=6, into=one)
    assert one.asked(VICTIM, NOW + 6) == 0
    seen(row(VICTIM, rx={"udp": 8}), second=12, into=one)
    assert one.asked(VICTIM, NOW + 12) == 8


def test_answers_are_remembered_as_they_were() -> None:
    """Over some ten seconds with any; silence leaves them."""
    one = seen(row(VICTIM, syn=40, rx={"syn_ack": 40}), length_s=2.0)
    known = one.get(VICTIM)
    assert known is not None
    assert (known.answered, known.answered_at_s, known.syn_acked_s) == (
        pytest.approx(2.0),
        NOW,
        -math.inf,
    )

    seen(row(VICTIM, syn_ack=5), second=1, into=one)
    assert (known.answered, known.answered_at_s, known.syn_acked_s) == (
        pytest.approx(2.0), NOW, NOW + 1)  # fmt: skip
    seen(row(VICTIM, rx={"syn_ack": 22}), second=2, into=one)
    assert (known.answered, known.answered_at_s) == (pytest.approx(4.0), NOW + 2)


@pytest.mark.parametrize(("syn", "tx", "rx"), [(49, 10.0, 20.0), (50, 0.0, 20.0)])
def test_a_busy_window_is_no_example_of_the_usual(syn: int, tx: float, rx: float) -> None:
    """In the direction of its SYNs."""
    one = seen(row(VICTIM, tcp=100 + syn, syn=syn, rx={"tcp": 200}))
    other = seen(row(VICTIM, tcp=100, rx={"tcp": 200 + syn, "syn": syn}))

    known, mirrored = one.get(VICTIM), other.get(VICTIM)
    assert known is not None
    assert mirrored is not None
    assert (known.other_tx, known.other_rx) == pytest.approx((tx, rx))
    assert (mirrored.other_tx, mirrored.other_rx) == pytest.approx((10.0, 2 * tx))
    seen(row(VICTIM, packets=1), second=1, into=one)
    assert (known.other_tx, known.other_rx) == pytest.approx((0.9 * tx, 0.9 * rx))


@pytest.mark.parametrize(
    ("tally", "icmp", "tcp"),
    [
        ({}, 0, 0), ({"icmp": 10}, 10, 0), ({"icmp": 10, "icmp_echo": 3, "igmp": 2}, 5, 0),
        ({"icmp": 1, "icmp_echo": 3}, 0, 0), ({"igmp": 3}, 0, 0),
        ({"tcp": 10, "syn": 1, "syn_ack": 2, "rst": 3}, 0, 4), ({"tcp": 1, "syn": 3}, 0, 0),
    ],
)  # fmt: skip
def test_what_is_beside_requests_and_connections(
    tally: dict[str, int], icmp: int, tcp: int
) -> None:
    """Never less than nothing."""
    assert (other_icmp(tally), other_tcp(tally)) == (icmp, tcp)


def test_as_many_are_known_as_there_can_be_devices() -> None:
    """No more."""
    assert module.MAX_DEVICES == 4096


# --- handshakes -----------------------------------------------------------------------------------


def asked(sent: dict[str, int], back: dict[str, int], **more: Any) -> Handshakes:
    """Return what became of connections in a window of a second."""
    values = {"span_s": 1.0, "sees_replies": True, "usual_other": 0.0} | more
    return handshakes(sent, back, **values)


@pytest.mark.parametrize(
    ("sent", "back", "more", "completed"),
    [
        # answered, and each carried on
        ({"syn": 10, "tcp": 30}, {"syn_ack": 10, "tcp": 30}, {}, 10),
        ({"syn": 10, "tcp": 15}, {"syn_ack": 10}, {}, 5),
        ({"syn": 10, "tcp": 30}, {"syn_ack": 4}, {}, 4),
        ({"syn": 10, "tcp": 10}, {"syn_ack": 10}, {}, 0),
        # what was usual before carries none of these
        ({"syn": 10, "tcp": 20}, {"syn_ack": 10}, {"usual_other": 6.0}, 4),
        ({"syn": 10, "tcp": 20}, {"syn_ack": 10}, {"usual_other": 12.5}, 0),
        ({"syn": 10, "tcp": 20}, {"syn_ack": 10}, {"usual_other": 12.6}, 10),
        ({"syn": 10, "tcp": 20}, {"syn_ack": 10}, {"usual_other": 3.0, "span_s": 2.0}, 4),
        # FINs end connections, as far as they are frames of their own
        ({"syn": 10, "tcp": 10, "fin": 9}, {"syn_ack": 10}, {}, 0),
        ({"syn": 10, "tcp": 12, "fin": 2}, {"syn_ack": 10, "tcp": 15, "fin": 3}, {}, 5),
        # many at once must also be seen to end
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {}, 0),
        ({"syn": 999, "tcp": 9000}, {"syn_ack": 999}, {}, 999),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {"is_over": False}, 1000),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {"span_s": 2.0}, 1000),
        ({"syn": 1000, "tcp": 9000, "fin": 300}, {"syn_ack": 1000}, {}, 600),
        # a SYN-ACK that is sent again, and a reset of who asked
        ({"syn": 10, "tcp": 30}, {"syn_ack": 14}, {}, 10),
        ({"syn": 10, "tcp": 30}, {"syn_ack": 18}, {}, 10),
        ({"syn": 10, "tcp": 15, "rst": 3}, {"syn_ack": 10}, {}, 2),
        ({"syn": 10, "tcp": 40, "rst": 3}, {"syn_ack": 10}, {}, 10),
        ({"syn": 10, "tcp": 19, "rst": 8}, {"syn_ack": 10}, {}, 1),
        # replies that are not seen
        ({"syn": 10, "tcp": 20}, {}, {"sees_replies": None}, 5),
        ({"syn": 10, "tcp": 20}, {}, {"sees_replies": False}, 5),
        ({"syn": 10, "tcp": 20}, {}, {}, 0),
        ({"syn": 10, "tcp": 20}, {"syn_ack": 3}, {"sees_replies": None}, 3),
        ({"syn": 10, "tcp": 30}, {"syn_ack": 10}, {"forged": True}, 0),
        ({}, {}, {}, 0),
    ],
)  # fmt: skip
def test_how_many_connections_came_to_life(
    sent: dict[str, int], back: dict[str, int], more: dict[str, Any], completed: float
) -> None:
    """As many as were answered and carried something, or ended."""
    found = asked(sent, back, **more)

    assert found.completed == completed
    assert found.open == sent.get("syn", 0) - completed


@pytest.mark.parametrize(
    ("sent", "back", "more", "unended"),
    [
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {}, 1000),
        ({"syn": 1000, "tcp": 1600}, {"syn_ack": 1000}, {}, 600),
        ({"syn": 1000, "tcp": 9000, "fin": 300}, {"syn_ack": 1000}, {}, 400),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 700}, {}, 700),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1300}, {}, 1000),
        ({"syn": 1000, "tcp": 9000, "rst": 100}, {"syn_ack": 1000}, {}, 900),
        ({"syn": 1000, "tcp": 9000, "rst": 1100}, {"syn_ack": 1000}, {}, 0),
        ({"syn": 1000, "tcp": 2200}, {}, {"sees_replies": False}, 600),
        ({"syn": 5199, "tcp": 90_000}, {"syn_ack": 5199}, {}, 5199),
        ({"syn": 5200, "tcp": 90_000}, {"syn_ack": 5200}, {}, 0),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {"forged": True}, 0),
        # too few to have to end, and a window that runs
        ({"syn": 999, "tcp": 9000}, {"syn_ack": 999}, {}, 0),
        ({"syn": 1000, "tcp": 9000}, {"syn_ack": 1000}, {"is_over": False}, 0),
    ],
)  # fmt: skip
def test_how_many_connections_may_yet_be_seen_to_end(
    sent: dict[str, int], back: dict[str, int], more: dict[str, Any], unended: float
) -> None:
    """Those of a burst that were answered and carried something, and nobody reset."""
    found = asked(sent, back, **more)

    assert found.unended == unended
    assert found.may_end(found.open) == unended
    assert found.may_end(found.open - unended) == 0


@pytest.mark.parametrize(
    ("syn", "syn_ack", "sees", "answered", "ratio"),
    [(10, 5, True, 5, 0.5), (10, 20, True, 20, 1.0), (10, 0, True, 0, 0.0), (0, 0, True, 0, None),
     (10, 0, None, None, None), (10, 0, False, None, None), (10, 1, False, 1, 0.1)],
)  # fmt: skip
def test_what_was_answered_is_known_where_it_is_seen(
    syn: int, syn_ack: int, sees: bool | None, answered: int | None, ratio: float | None
) -> None:
    """One SYN-ACK shows that it is."""
    found = asked({"syn": syn}, {"syn_ack": syn_ack}, sees_replies=sees)

    assert (found.answered, found.answered_ratio) == (answered, ratio)


def test_who_finds_no_place_is_simply_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was here before stays; windows and notices of the other change nothing."""
    monkeypatch.setattr(module, "MAX_DEVICES", 1)
    table = HostInventory()
    for second in (0, 61):
        table.see_device(device(ATTACKER, second, "192.0.2.1"))

    table.see_device(device(VICTIM, 62, "192.0.2.2"))
    seen(plain(VICTIM, packets=1), plain(ATTACKER, packets=1), second=62, into=table)

    assert (len(table), table.get(VICTIM), table.ip(ATTACKER)) == (1, None, "192.0.2.1")
    assert not table.is_host(VICTIM, 1e12)
