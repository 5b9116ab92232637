"""Rogue DHCP server: a device that hands out addresses and is not one of the known servers.

DHCP and DHCPv6 alike. Who answers without an address to hand out (a PXE helper, answers to INFORM)
is no server; in DHCPv6 who tells of name servers is one. Neither is a relay that passes on what a
known server answers; a second server that says what the known ones say is a ``warning``, once. A
known server that begins to send clients
to another router, name server, route, proxy or boot server is reported once, with those before.
How servers become known: :mod:`monitorpi_detector.hosts.servers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.hosts.servers import UnknownServer
from monitorpi_detector.hosts.statements import option_of
from monitorpi_detector.rule import Finding, Limits, LimitsOf, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitorpi_detector.hosts.servers import Changed
    from monitorpi_detector.hosts.statements import Statement
    from monitorpi_detector.views.device import DeviceView


_WORDS: Final = {
    "router": "router",
    "dns": "name server",
    "dns-v6": "IPv6 name server",
    "domain": "domain",
    "domain-v6": "domain",
    "route": "route",
    "search": "search domain",
    "wins": "name server",
    "proxy": "proxy script",
    "boot": "boot server",
    "boot-next": "boot server",
    "boot-v6": "boot server",
}
_SHOWN: Final = 2
"""Values of one option that a sentence names."""


def judge(view: DeviceView, limits: LimitsOf) -> Iterator[Finding]:
    """Find servers nobody knows, and known ones that send clients elsewhere than before."""
    device, news = view.device, view.dhcp_news
    if news is None:
        return
    yield Finding(
        subject=mac_id(device.mac),
        value=1.0,
        threshold=limits(device.mac).floor,
        text=_unknown_server(device.mac, news)
        if isinstance(news, UnknownServer)
        else _changed(device.mac, news),
        unit="servers",
        sources=(Peer(mac=device.mac, ip=device.ips[0] if device.ips else None),),
        severity=news.severity if isinstance(news, UnknownServer) else "warning",
        decisive=True,
    )


def _unknown_server(mac: str, news: UnknownServer) -> str:
    known = ", ".join(news.known[:3]) or "none"
    if news.is_alike:
        return f"another DHCP server {mac} says what the known ones say (known: {known})"
    says = " and ".join(
        f"another {word}, {values}" for word, values in _by_option(sorted(news.statements)).items()
    )
    return (
        f"unknown DHCP server {mac}" + (f" tells of {says}" if says else "") + f" (known: {known})"
    )


def _changed(mac: str, news: Changed) -> str:
    before = _by_option(news.before)
    says = " and ".join(
        f"another {word}, {values} (before: {before.get(word, 'none')})"
        for word, values in _by_option(news.statements).items()
    )
    return f"DHCP server {mac} tells of {says}"


def _by_option(statements: Iterable[Statement]) -> dict[str, str]:
    """Return the first values of each option, by the word for it."""
    found: dict[str, list[str]] = {}
    for option, value in statements:
        name = option_of(option)
        found.setdefault(_WORDS.get(name, name), []).append(value)
    return {word: ", ".join(values[:_SHOWN]) for word, values in found.items()}


RULE: Final = Rule(
    name="rogue-dhcp", title="rogue DHCP server", unit="servers",
    defaults=Limits(floor=1.0, quiet_s=300.0), judge=judge, kind="notice",
)  # fmt: skip
