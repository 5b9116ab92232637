"""What servers tell their clients, as statements that can be held against each other. Pure.

A statement is an option's name and one value. Some say where clients are sent (routers, name
servers, routes, proxies ...): servers that serve side by side must agree on these. Others say who
speaks: in which VLAN, which server it is (option 54, the DUID of DHCPv6), by which relay its answer
came (``giaddr``). In those two servers differ by nature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DhcpNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.messages import Device

VLAN: Final = "vlan"
"""In which VLAN one serves: servers of different ones do not contradict each other."""
SERVER: Final = "server"
SERVER_V6: Final = "server-v6"
RELAY: Final = "relay"
_WHO: Final = frozenset({VLAN, SERVER, SERVER_V6, RELAY})
_NEEDED: Final = {SERVER: ("router", "dns"), SERVER_V6: ("dns-v6",)}
"""Where clients must be sent by who speaks for a server, as far as the known ones send them
anywhere: who leaves it out sends them nowhere."""
Statement = tuple[str, str]
"""What a server tells its clients: an option's name and one value. Behind the name stands the VLAN
in which it says so, as in ``router@10``; nothing for frames without a tag."""


def vlans_of(vlans: Iterable[Iterable[int]]) -> list[Statement]:
    """Return in which VLANs a device serves."""
    return [(VLAN, _name(vlan)) for vlan in vlans]


def statements_of(device: Device) -> list[Statement]:
    """Return what a device tells DHCP clients, the latest of each option first."""
    found = vlans_of(device.dhcp_vlans)
    networks = device.dhcp_networks or [
        DhcpNetwork(routers=device.dhcp_routers, options=device.dhcp_options)
    ]
    for network in networks:
        vlan = _name(network.vlan)
        said = {"router": network.routers, **network.options}
        found += [(in_vlan(name, vlan), value) for name, values in said.items() for value in values]
    return found


def in_vlan(option: str, vlan: str) -> str:
    """Return the name of an option in a VLAN."""
    return f"{option}@{vlan}" if vlan else option


def option_of(name: str) -> str:
    """Return the name of an option, whichever VLAN it is said in."""
    return name.partition("@")[0]


def _vlan(name: str) -> str:
    return name.partition("@")[2]


def _name(vlan: Iterable[int]) -> str:
    return ".".join(map(str, vlan))


def where(statements: Iterable[Statement]) -> list[str]:
    """Return the VLANs in which one serves; the one without a tag where it does not say."""
    return [value for option, value in statements if option == VLAN] or [""]


def may_meet(one: Iterable[Statement], other: Iterable[Statement]) -> bool:
    """Tell whether two serve in one VLAN, as far as they say in which."""
    vlans = [{value for option, value in stated if option == VLAN} for stated in (one, other)]
    return not all(vlans) or not vlans[0].isdisjoint(vlans[1])


def contradictions(statements: set[Statement], theirs: set[Statement]) -> frozenset[Statement]:
    """Return what one says of options of which others say something else altogether."""
    others = {option for option, _ in theirs}
    agreed = {option for option, _ in theirs.intersection(statements)}
    return frozenset(one for one in statements if one[0] in others - agreed)


def sends(statements: Iterable[Statement]) -> set[Statement]:
    """Return what is said of where clients are sent, without who says it."""
    return {one for one in statements if option_of(one[0]) not in _WHO}


def is_alike(statements: set[Statement], theirs: set[Statement]) -> bool:
    """Return whether one says what the known ones say, nothing else and nothing that matters less.

    Args:
        statements: of one server.
        theirs: of the known ones.

    """
    own, known = {name for name, _ in statements}, {name for name, _ in theirs}
    speaks = {name for name in own if option_of(name) in _NEEDED}
    needed = {in_vlan(one, _vlan(name)) for name in speaks for one in _NEEDED[option_of(name)]}
    return (
        bool(speaks) and speaks <= known and needed & known <= own and sends(statements) <= theirs
    )


def only_relays(statements: set[Statement], theirs: set[Statement]) -> bool:
    """Return whether one passes on what a known server answers, as a known relay does.

    Answers of DHCP name their relay; where the known one answers by itself there is nothing to
    relay. Those of DHCPv6 name the server alone, whoever sends them.
    """
    servers = {one for one in statements if option_of(one[0]) in _NEEDED}
    relayed = {name for name, _ in statements} & {name for name, _ in theirs}
    return servers <= theirs and all(
        in_vlan(RELAY, _vlan(name)) in relayed for name, _ in servers if option_of(name) == SERVER
    )
