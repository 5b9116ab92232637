"""Topics of the form ``monitorpi/v1/{site}/{service}/{kind}/{id}`` and the alphabet of their ids.

Every topic has exactly six levels and every level after the version is made of ``[a-z0-9-]``.
That alphabet maps one to one to NATS subjects, Homie ids and Home Assistant entity ids.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

ROOT = "monitorpi"
VERSION = "v1"
ANY = "+"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")
_MAC_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        r"[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}",
        r"[0-9a-f]{4}(\.[0-9a-f]{4}){2}",
        r"[0-9a-f]{6}[:-]?[0-9a-f]{6}",
    )
)
"""Pairs, as on most labels; in fours, as Cisco; in sixes, as HP; without anything between."""
_NOT_SLUG = re.compile(r"[^a-z0-9]")


class TopicError(ValueError):
    """A topic, or a part of one, that is not of MonitorPi's form."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One concrete topic: who (site, service) says what (kind) about which thing (id)."""

    site: str
    service: str
    kind: str
    id: str

    def __post_init__(self) -> None:
        for level in (self.site, self.service, self.kind, self.id):
            if not is_slug(level):
                raise TopicError(f"{level!r} is not an id: use a-z, 0-9 and inner hyphens only")

    def __str__(self) -> str:
        return f"{ROOT}/{VERSION}/{self.site}/{self.service}/{self.kind}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read a topic as received.

        Raises:
            TopicError: it is not a version 1 MonitorPi topic.

        """
        levels = text.split("/")
        if len(levels) != 6 or levels[0] != ROOT or levels[1] != VERSION:  # noqa: PLR2004 - the form's six levels
            raise TopicError(f"{text[:200]!r} is not {ROOT}/{VERSION}/site/service/kind/id")
        return cls(*levels[2:])


def pattern(site: str, service: str = ANY, kind: str = ANY, id: str = ANY) -> str:  # noqa: A002 - the level's name
    """Return the subscription filter for the given levels; those not given match anything."""
    return f"{ROOT}/{VERSION}/{site}/{service}/{kind}/{id}"


def matches(filter_: str, topic: str) -> bool:
    """Return whether a filter as made by :func:`pattern` covers the topic."""
    wanted, levels = filter_.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(
        want in (ANY, level) for want, level in zip(wanted, levels, strict=True)
    )


def is_slug(text: str) -> bool:
    """Return whether the text can stand as one level of a topic."""
    return _SLUG.fullmatch(text) is not None


def slug(text: str) -> str:
    """Lower the text and turn every other character into a hyphen: ``eth0.100`` -> ``eth0-100``.

    Hyphens at the ends go; what leaves nothing becomes ``x``.
    """
    return _NOT_SLUG.sub("-", text.lower())[:128].strip("-") or "x"


def normal_mac(written: object) -> object:
    """Return a MAC address as messages have it, from any way labels and tools print it.

    ``B8-27-EB-12-34-56``, ``b827.eb12.3456`` and ``b827eb123456`` -> ``b8:27:eb:12:34:56``;
    what is no text is returned as it is.

    Raises:
        ValueError: the text is no MAC address.

    """
    if not isinstance(written, str):
        return written
    text = written.strip().lower()
    if not any(form.fullmatch(text) for form in _MAC_FORMS):
        raise ValueError("no MAC address: write it as b8:27:eb:12:34:56")
    return mac_from_id(re.sub(r"[^0-9a-f]", "", text))


def mac_id(mac: str) -> str:
    """Return the id of a MAC address: ``b8:27:eb:12:34:56`` -> ``b827eb123456``."""
    return mac.replace(":", "").lower()


def mac_from_id(id_: str) -> str:
    """Return the MAC address of an id made by :func:`mac_id`.

    Raises:
        TopicError: the id is not 12 hex digits.

    """
    if re.fullmatch(r"[0-9a-f]{12}", id_) is None:
        raise TopicError(f"{id_!r} is not the id of a MAC address (12 lowercase hex digits)")
    return ":".join(id_[i : i + 2] for i in range(0, 12, 2))


@lru_cache(maxsize=8192)
def address_id(address: str, interface: str | None = None) -> str:
    """Return the id of an IP address.

    IPv4 ``192.168.1.10`` -> ``192-168-1-10``; IPv6 -> its 32 hex digits, with ``-{interface}``
    behind a link-local one, since the same link-local address can stand on two links.

    Raises:
        ValueError: not an IP address.

    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip).replace(".", "-")
    digits = f"{int(ip):032x}"
    zone = interface or ip.scope_id
    return f"{digits}-{slug(zone)}" if ip.is_link_local and zone else digits
