"""From frames to alerts: relays and second servers that come after the first day."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.windows import Detector, device, window
from tests.detector.wire import Wire

from monitorpi_detector.items import Kept

ONE, OTHER, PC, EVIL = (f"04:00:00:00:00:{n}" for n in ("02", "03", "10", "66"))
OTHER_ID, EVIL_ID = (mac.replace(":", "") for mac in (OTHER, EVIL))
GATEWAY, DNS, SERVER, FORGED = "198.18.0.1", "198.18.0.53", "10.20.0.5", "198.18.0.66"
SAME = ("name_server", DNS)


def lan(until: int) -> Wire:
    """Return a wire with two relays, a PC and a stranger."""
    wire = Wire()
    for mac, ip in ((ONE, "198.18.0.2"), (OTHER, "198.18.0.3"), (PC, "198.18.0.10")):
        wire.lives(mac, ip, until)
    wire.lives(EVIL, FORGED, until)
    return wire


def serve(
    wire: Wire, mac: str, begin: int, until: int, *more: tuple[Any, ...], **said: Any
) -> None:
    """Have somebody answer a client each ten seconds."""
    for second in range(begin, until, 10):
        client = f"04:00:00:00:70:{second % 7:02x}"
        wire.dhcp(
            second + 0.1, mac, client, f"198.18.0.{100 + second % 7}", more=more or (SAME,), **said
        )


def relay(wire: Wire, mac: str, begin: int, until: int, *more: tuple[Any, ...]) -> None:
    """Have a relay pass on what the server in another network says."""
    own = {ONE: "198.18.0.2", OTHER: "198.18.0.3"}.get(mac, FORGED)
    serve(wire, mac, begin, until, *more, itself=SERVER, relay=own)


# --- relays ---------------------------------------------------------------------------------------


def test_a_second_relay_of_the_same_server_is_no_news() -> None:
    """The other router of a pair takes over: it serves nobody by itself."""
    wire = lan(600)
    relay(wire, ONE, 0, 300)
    relay(wire, OTHER, 300, 600)
    wire.run(learning_s=100)

    assert wire.devices[OTHER].dhcp_server
    assert wire.reported("rogue-dhcp") == {}


def test_a_second_dhcpv6_relay_of_the_same_server_is_no_news() -> None:
    """Its answers bear the name (DUID) of the server that is known."""
    wire = lan(600)
    for second in range(0, 600, 10):
        by = ONE if second < 300 else OTHER
        wire.dhcpv6(second, by, PC, "2001:db8::10", itself=SERVER_MAC, dns="2001:db8::53")
    wire.run(learning_s=100)

    assert wire.devices[OTHER].dhcp_server
    assert wire.reported("rogue-dhcp") == {}


SERVER_MAC = "04:00:00:00:00:05"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"router": FORGED}, id="another router"),
        pytest.param({"more": (("name_server", FORGED),)}, id="another name server"),
        pytest.param({"more": (("name_server", DNS, FORGED),)}, id="one name server more"),
        pytest.param(
            {"more": (SAME, (121, bytes([1, 0, 198, 18, 0, 66])))}, id="a route beside the router"
        ),
        pytest.param({"more": (SAME, (33, bytes([10, 0, 0, 0, 198, 18, 0, 66])))}, id="an old one"),
        pytest.param({"more": (SAME, (119, b"\x04evil\x00"))}, id="a search domain"),
        pytest.param({"more": (SAME, (252, b"http://198.18.0.66/"))}, id="a proxy"),
        pytest.param({"boots": FORGED}, id="a boot server"),
        pytest.param({"itself": FORGED, "more": ()}, id="no name server, another server"),
        pytest.param({"router": None}, id="no router"),
    ],
)
def test_who_looks_like_a_relay_and_says_anything_else_is_critical(said: dict[str, Any]) -> None:
    """Whatever of it would lead a client elsewhere."""
    wire = lan(600)
    relay(wire, ONE, 0, 600)
    said = {"more": (SAME,), "itself": SERVER, "relay": FORGED} | said
    for second in range(300, 600, 10):
        wire.dhcp(second, EVIL, PC, "198.18.0.10", **said)
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "critical"}


def test_a_relay_that_begins_to_say_something_else_is_critical() -> None:
    """To be silent first is no way to be known."""
    wire = lan(900)
    relay(wire, ONE, 0, 900)
    relay(wire, EVIL, 300, 600)
    relay(wire, EVIL, 600, 900, ("name_server", FORGED))
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "critical"}
    assert 600 <= wire.after(f"rogue-dhcp-{EVIL_ID}") <= 610


def test_where_the_server_answers_by_itself_nobody_relays_for_it() -> None:
    """Who does is another server: told, once."""
    wire = lan(900)
    serve(wire, ONE, 0, 900)
    serve(wire, EVIL, 300, 900, relay=FORGED)
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


# --- a second server ------------------------------------------------------------------------------


def test_a_second_server_that_says_the_same_is_told_once() -> None:
    """A failover pair, or a router of the same make plugged in by its LAN port."""
    wire = lan(1500)
    serve(wire, ONE, 0, 1500)
    for begin in (300, 1200):
        serve(wire, OTHER, begin, begin + 200, itself="198.18.0.3")
    wire.run(learning_s=100)

    key = f"rogue-dhcp-{OTHER_ID}"
    assert wire.reported("rogue-dhcp") == {OTHER_ID: "warning"}
    assert "says what the known ones say" in wire.first[key].summary
    assert wire.last[key].state == "closed"
    assert len({one.id for one in wire.alerts if one.rule == "rogue-dhcp"}) == 1


def test_a_second_server_that_changes_what_it_says_is_critical() -> None:
    """It was told of, but nobody said that it may."""
    wire = lan(1500)
    serve(wire, ONE, 0, 1500)
    serve(wire, OTHER, 300, 400, itself="198.18.0.3")
    serve(wire, OTHER, 1200, 1500, ("name_server", FORGED), itself="198.18.0.3")
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {OTHER_ID: "critical"}
    assert f"another name server, {FORGED}" in wire.last[f"rogue-dhcp-{OTHER_ID}"].summary


def test_what_was_told_is_not_told_again_after_a_restart() -> None:
    """Nor is a message of before the restart news."""
    kept: list[Kept] = []
    first = Detector(learning_s=5, keep=kept.append)
    same = {"router": ["198.18.0.1"], "dns": [DNS]}
    one: dict[str, Any] = {"dhcp_server": True, "dhcp_options": {"server": ["198.18.0.2"], **same}}
    other: dict[str, Any] = {
        "dhcp_server": True,
        "dhcp_options": {"server": ["198.18.0.3"], **same},
    }
    told = first.take(window(0), device(ONE, 0, **one), window(10), device(OTHER, 10, **other))
    list(first.core.close())
    then = Detector(learning_s=5, kept=Kept.model_validate_json(kept[-1].model_dump_json()))

    again = then.take(window(400), device(OTHER, 400, **other), window(410))

    assert [alert.severity for alert in told if alert.rule == "rogue-dhcp"] == ["warning"]
    assert [alert for alert in again if alert.rule == "rogue-dhcp" and alert.state == "open"] == []


def test_where_servers_are_configured_nobody_else_is_one() -> None:
    """A relay of the same server neither."""
    wire = lan(600)
    relay(wire, ONE, 0, 600)
    relay(wire, OTHER, 300, 600)
    wire.run(learning_s=100, dhcp_servers=[ONE])

    assert wire.reported("rogue-dhcp") == {OTHER_ID: "critical"}
