"""From frames to alerts: who may serve addresses, and what clients are sent to."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.windows import Detector, device, window
from tests.detector.wire import T0, Wire

from monitorpi_detector.items import Kept

ROUTER, PC, PHONE, EVIL = (f"04:00:00:00:00:{n}" for n in ("01", "10", "20", "66"))
EVIL_ID, ROUTER_ID = (mac.replace(":", "") for mac in (EVIL, ROUTER))
GATEWAY, DNS, FORGED = "198.18.0.1", "198.18.0.53", "198.18.0.66"


def lan(until: int) -> Wire:
    """Return a wire with a router, a PC and a host that may serve."""
    wire = Wire()
    wire.lives(ROUTER, GATEWAY, until, each=10)
    wire.lives(PC, "198.18.0.10", until)
    wire.lives(EVIL, FORGED, until)
    return wire


def serve(wire: Wire, server: str, begin: int, until: int, *more: tuple[Any, ...]) -> None:
    """Have a server answer a client each ten seconds, and tell of the router."""
    for second in range(begin, until, 10):
        client = f"04:00:00:00:70:{second % 7:02x}"
        wire.dhcp(second + 0.1, server, client, f"198.18.0.{100 + second % 7}", more=more)


# --- strangers ------------------------------------------------------------------------------------


def test_the_right_router_with_a_name_server_of_its_own_is_a_stranger() -> None:
    """In the first day too, and whoever the router is: it answers for every name."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400, ("name_server", DNS))
    serve(wire, EVIL, 200, 400, ("name_server", FORGED))
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}
    assert wire.after(f"rogue-dhcp-{EVIL_ID}") <= 207
    assert f"another name server, {FORGED}" in wire.first[f"rogue-dhcp-{EVIL_ID}"].summary


@pytest.mark.parametrize(
    ("mine", "others"),
    [
        ((252, b"http://198.18.0.1/wpad.dat"), (252, b"http://198.18.0.66/wpad.dat")),
        ((121, bytes([0, 198, 18, 0, 1])), (121, bytes([1, 0, 198, 18, 0, 66]))),
        ((66, b"boot.home"), (66, b"198.18.0.66")),
    ],
    ids=["proxy", "route", "boot server"],
)
def test_any_option_that_contradicts_makes_a_stranger(
    mine: tuple[int, bytes], others: tuple[int, bytes]
) -> None:
    """The same router, the same name server, and something else that clients are sent to."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400, ("name_server", DNS), mine)
    serve(wire, EVIL, 200, 400, ("name_server", DNS), others)
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


def test_a_pair_that_shares_one_of_two_name_servers_is_none() -> None:
    """Each tells of itself first: they agree."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400, ("name_server", DNS, "198.18.0.54"))
    serve(wire, PC, 200, 400, ("name_server", "198.18.0.54", DNS))
    wire.run()

    assert wire.reported("rogue-dhcp") == {}


# --- what a known one says ------------------------------------------------------------------------


def test_a_known_server_that_changes_its_name_server_is_told_once() -> None:
    """The alert names the old and the new one; what is new is known from then on."""
    wire = lan(1500)
    serve(wire, ROUTER, 0, 300, ("name_server", DNS))
    serve(wire, ROUTER, 300, 1500, ("name_server", FORGED))
    wire.run(learning_s=200)

    assert wire.reported("rogue-dhcp") == {ROUTER_ID: "warning"}
    alert = wire.last[f"rogue-dhcp-{ROUTER_ID}"]
    assert f"another name server, {FORGED} (before: {DNS})" in alert.summary
    assert alert.state == "closed"
    assert wire.after(alert.key) <= 310
    assert len({one.id for one in wire.alerts if one.rule == "rogue-dhcp"}) == 1


def test_what_a_known_server_says_in_the_first_day_is_learned() -> None:
    """Whatever it is, and however often it changes."""
    wire = lan(600)
    serve(wire, ROUTER, 0, 300, ("name_server", DNS))
    serve(wire, ROUTER, 300, 600, ("name_server", FORGED))
    wire.run()

    assert wire.reported("rogue-dhcp") == {}


def test_a_route_that_was_never_there_is_a_change() -> None:
    """Every client asks for routes: one that begins to come draws traffic away."""
    wire = lan(600)
    serve(wire, ROUTER, 0, 300, ("name_server", DNS))
    serve(wire, ROUTER, 300, 600, ("name_server", DNS), (121, bytes([1, 0, 198, 18, 0, 66])))
    wire.run(learning_s=200)

    summary = wire.first[f"rogue-dhcp-{ROUTER_ID}"].summary
    assert "another route, 0.0.0.0/1 via 198.18.0.66 (before: none)" in summary


def test_the_first_client_that_asks_for_a_proxy_is_no_change() -> None:
    """Some clients ask for more than others: a first value says nothing, another one does."""
    wire = lan(900)
    serve(wire, ROUTER, 0, 300, ("name_server", DNS))
    serve(wire, ROUTER, 300, 600, ("name_server", DNS), (252, b"http://wpad.home/wpad.dat"))
    serve(wire, ROUTER, 600, 900, ("name_server", DNS), (252, b"http://198.18.0.66/"))
    wire.run(learning_s=200)

    assert 600 <= wire.after(f"rogue-dhcp-{ROUTER_ID}") <= 610


def test_what_servers_say_is_kept_over_a_restart() -> None:
    """A process that starts after the change knows what was said before it."""
    kept: list[Kept] = []
    first = Detector(learning_s=5, keep=kept.append)
    published: dict[str, Any] = {"dhcp_server": True, "dhcp_options": {"dns": [DNS]}}
    first.take(
        window(0), device(ROUTER, 0, **published), window(10), device(ROUTER, 10, **published)
    )
    list(first.core.close())
    read = Kept.model_validate_json(kept[-1].model_dump_json())

    then = Detector(learning_s=5, kept=read)
    changed = device(ROUTER, 20, dhcp_server=True, dhcp_options={"dns": [FORGED, DNS]})
    reported = then.take(window(20), changed)

    assert [f"{FORGED} (before: {DNS})" in alert.summary for alert in reported] == [True]


# --- DHCPv6 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "severity"), [({}, "warning"), ({"learning_s": 100}, "critical")]
)
def test_a_stateless_dhcpv6_server_is_told_as_a_stateful_one(
    options: dict[str, Any], severity: str
) -> None:
    """It hands out no address, but name servers, which hosts prefer to those of DHCP."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    for second in range(200, 400, 10):
        wire.stateless(second, EVIL, PC)
    wire.run(**options)

    assert wire.reported("rogue-dhcp") == {EVIL_ID: severity}
    assert wire.after(f"rogue-dhcp-{EVIL_ID}") <= 207


def test_the_router_that_the_known_server_names_may_serve_ipv6() -> None:
    """A name server of the house hands out addresses, the router's box answers for IPv6."""
    wire = lan(400)
    serve(wire, PC, 0, 400, ("name_server", "198.18.0.10"))
    for second in range(200, 400, 10):
        wire.stateless(second, ROUTER, PHONE)
    wire.run()

    assert wire.reported("rogue-dhcp") == {}


def test_who_claims_the_routers_address_may_not() -> None:
    """An address that is disputed is no way in."""
    wire = lan(400)
    serve(wire, PC, 0, 400)
    for second in range(190, 400, 10):
        wire.answer(second - 1, EVIL, GATEWAY, PC)
        wire.stateless(second, EVIL, PHONE)
    wire.run()

    assert wire.reported("rogue-dhcp") == {EVIL_ID: "warning"}


@pytest.mark.parametrize("relays", [1, 3])
def test_a_dhcpv6_relay_is_no_server(relays: int) -> None:
    """What a server sends to a relay passes routers and other relays, which serve nobody."""
    wire = lan(400)
    serve(wire, ROUTER, 0, 400)
    for second in range(200, 400, 10):
        wire.stateless(second, PC, EVIL, relays=relays)
    wire.run(learning_s=100)

    assert wire.reported("rogue-dhcp") == {}
    assert not wire.devices[PC].dhcp_server


def test_devices_tell_what_clients_are_sent_to() -> None:
    """The latest value first, each option by its name."""
    wire = lan(200)
    serve(wire, ROUTER, 0, 100, ("name_server", DNS), ("domain", b"home"))
    serve(wire, ROUTER, 100, 200, ("name_server", FORGED))
    wire.run()

    assert wire.devices[ROUTER].dhcp_options == {
        "server": [GATEWAY],
        "dns": [FORGED, DNS],
        "domain": ["home"],
    }
    assert wire.devices[ROUTER].first_seen.timestamp() >= T0
