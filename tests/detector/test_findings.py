"""What rules about devices find, by hand: subject, value, threshold and words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.detector.finders import NOW, found
from tests.detector.windows import ATTACKER, ID, VICTIM, at, conflict
from tests.detector.windows import device as seen_device

from monitorpi_common.messages import Peer
from monitorpi_detector.hosts.servers import Changed, UnknownServer
from monitorpi_detector.rules.words import to_whom
from monitorpi_detector.views.device import DeviceView

SAID = frozenset({("router", "r2"), ("dns", "d1"), ("dns", "d2"), ("dns", "d3")})
SAYS = (
    f"unknown DHCP server {ATTACKER} tells of another name server, d1, d2 and another router, r2 "
    "(known: a)"
)
PROXY = (
    f"{ATTACKER} answers for others (proxy ARP), 192.0.2.1 in VLAN 10 that {VICTIM} holds "
    "among them"
)


# --- devices --------------------------------------------------------------------------------------


def device(**more: Any) -> DeviceView:
    """Return the view of a notice about a device."""
    view = {name: more.pop(name) for name in ("learned", "is_new", "conflicts", "dhcp_news",
                                              "unknown_router") if name in more}  # fmt: skip
    known = {"learned": True, "is_new": False} | view
    return DeviceView(seen_device(ATTACKER, 0, *more.pop("ips", ()), **more), NOW, **known)


@pytest.mark.parametrize(
    ("age_s", "is_news"), [(None, False), (0.0, True), (60.0, True), (60.1, False)]
)
def test_whoever_denies_addresses_does_so_now(age_s: float | None, is_news: bool) -> None:
    """What is older was news before."""
    denied_at = None if age_s is None else at(0) - timedelta(seconds=age_s)

    one = found("address-denial", device(denied=4, denied_at=denied_at, ips=["192.0.2.7"]))

    assert bool(one) is is_news
    for finding in one:
        assert (finding.subject, finding.value, finding.threshold) == (ID, 4.0, 3.0)
        assert (finding.severity, finding.decisive) == ("critical", True)
        assert finding.sources == (Peer(mac=ATTACKER, ip="192.0.2.7"),)
        assert "so that no newcomer gets one" in finding.text


@pytest.mark.parametrize(
    ("known", "words"),
    [((), "(known: none)"), (("a",), "(known: a)"), (("a", "b", "c", "d"), "(known: a, b, c)")],
)
def test_an_unknown_router_is_told_with_the_known_ones(known: tuple[str, ...], words: str) -> None:
    """Three of them; a known one is not told of."""
    assert found("rogue-ra", device()) == []

    (one,) = found("rogue-ra", device(unknown_router=UnknownServer("warning", known)))

    assert one.text.endswith(words)
    assert (one.subject, one.value, one.threshold, one.severity) == (ID, 1.0, 1.0, "warning")
    assert (one.decisive, one.sources) == (True, (Peer(mac=ATTACKER),))


@pytest.mark.parametrize(
    ("news", "severity", "text"),
    [
        (UnknownServer("critical", ()), "critical",
         f"unknown DHCP server {ATTACKER} (known: none)"),
        (UnknownServer("critical", ("a", "b", "c", "d")), "critical",
         f"unknown DHCP server {ATTACKER} (known: a, b, c)"),
        (UnknownServer("warning", ("a",), is_alike=True), "warning",
         f"another DHCP server {ATTACKER} says what the known ones say (known: a)"),
        (UnknownServer("critical", ("a",), SAID), "critical", SAYS),
        (Changed((("router", "new"),), (("router", "old"),)), "warning",
         f"DHCP server {ATTACKER} tells of another router, new (before: old)"),
        (Changed((("wins", "w"),), ()), "warning",
         f"DHCP server {ATTACKER} tells of another name server, w (before: none)"),
        (Changed((("odd", "o"),), ()), "warning",
         f"DHCP server {ATTACKER} tells of another odd, o (before: none)"),
    ],
)  # fmt: skip
def test_a_server_of_addresses_is_told_with_what_it_says(
    news: Any, severity: str, text: str
) -> None:
    """And with what was said before."""
    assert found("rogue-dhcp", device()) == []

    (one,) = found("rogue-dhcp", device(dhcp_news=news, ips=["192.0.2.7"]))

    assert (one.text, one.severity, one.value, one.decisive) == (text, severity, 1.0, True)
    assert one.sources == (Peer(mac=ATTACKER, ip="192.0.2.7"),)


@pytest.mark.parametrize(
    ("more", "value", "severity", "text"),
    [
        ({}, 3.0, "warning",
         f"{ATTACKER} claims the address 192.0.2.1 that {VICTIM} holds"),
        ({"router": True}, 6.0, "critical",
         f"{ATTACKER} claims the address 192.0.2.1 of the router that {VICTIM} holds"),
        ({"router": True, "present": False}, 6.0, "warning",
         f"{ATTACKER} claims the address 192.0.2.1 of the router that {VICTIM} holds"),
        ({"router": True, "relation": "siblings"}, 6.0, "warning",
         f"{ATTACKER} claims the address 192.0.2.1 of the router that {VICTIM} holds"),
        ({"relation": "siblings"}, 3.0, "info",
         f"{ATTACKER} claims the address 192.0.2.1 that {VICTIM} holds"),
        ({"in_turns": True}, 3.0, "info",
         f"{ATTACKER} claims the address 192.0.2.1 that {VICTIM} holds"),
        ({"relation": "proxy", "vlan": [10]}, 3.0, "info", PROXY),
    ],
)  # fmt: skip
def test_a_claim_is_told_with_whose_address_it_is(
    more: dict[str, Any], value: float, severity: str, text: str
) -> None:
    """That of a router weighs twice."""
    one = conflict("192.0.2.1", VICTIM, ATTACKER, 0, 3, **{"present": True} | more)

    (finding,) = found("arp-spoof", device(conflicts=(one,)))

    assert (finding.value, finding.threshold, finding.severity) == (value, 2.0, severity)
    assert (finding.text, finding.subject, finding.decisive) == (text, ID, True)
    assert finding.sources == (Peer(mac=ATTACKER, ip="192.0.2.1"),)
    assert finding.victims == (Peer(mac=VICTIM, ip="192.0.2.1"),)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"is_new": False}, None), ({"learned": False}, None), ({"marks": {"known": True}}, None),
        ({}, f"new device {ATTACKER}"), ({"hostname": "tv"}, f"new device {ATTACKER} (tv)"),
        ({"hostname": "tv", "vendor": "Acme"}, f"new device {ATTACKER} (tv, Acme)"),
        ({"randomised": True}, f"new device {ATTACKER} (private address)"),
    ],
)  # fmt: skip
def test_a_new_device_is_told_with_what_it_says_of_itself(
    more: dict[str, Any], text: str | None
) -> None:
    """Once the others are known, unless people know it."""
    one = found("new-device", device(**{"is_new": True} | more))

    assert [finding.text for finding in one] == ([] if text is None else [text])
    for finding in one:
        assert (finding.value, finding.severity, finding.decisive) == (1.0, "info", True)


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (None, ""), (Peer(packets=1), ""), (Peer(mac=VICTIM), f" to {VICTIM}"),
        (Peer(ip="192.0.2.1"), " to 192.0.2.1"),
        (Peer(ip="192.0.2.1", mac=VICTIM, port=80), f" to 192.0.2.1 port 80 ({VICTIM})"),
        (Peer(mac=VICTIM, port=0), f" to {VICTIM} port 0"),
    ],
)  # fmt: skip
def test_a_destination_in_words(peer: Peer | None, words: str) -> None:
    """As far as it is known."""
    assert to_whom(peer) == words
