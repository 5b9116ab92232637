"""Settings of the notifier: where alerts go, which, and when."""

from __future__ import annotations

import difflib
import zoneinfo
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator

from monitorpi_common.messages import Severity, WrittenMac
from monitorpi_common.rule_titles import rule_names
from monitorpi_common.settings import Section
from monitorpi_common.written import AddressOrMac, WebAddress
from monitorpi_notifier import spans


def _span(text: str) -> str:
    spans.parse(text)
    return text


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError("no time zone: write one such as 'Europe/Berlin'") from None
    return name


def _rules(pattern: str) -> str:
    """Refuse what no rule's name fits: nobody would ever be told."""
    known = rule_names()
    if not any(fnmatchcase(rule, pattern.removeprefix("!")) for rule in known):
        close = difflib.get_close_matches(pattern.removeprefix("!"), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "docs/alerts.md lists them"
        raise ValueError(f"there is no such rule; {hint}")
    return pattern


RulePattern = Annotated[str, AfterValidator(_rules)]
Span = Annotated[str, AfterValidator(_span)]
"""A span of local time, as :mod:`monitorpi_notifier.spans` reads it."""
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Choice(Section):
    """Which alerts are meant: all that fit every line."""

    rules: list[RulePattern] = Field(default_factory=lambda: ["*"])
    """Rules, as in docs/alerts.md; `*` stands for any letters, `!` before one leaves it out."""
    devices: list[WrittenMac] = Field(default_factory=list)
    """MAC addresses; an alert on none of them does not fit. Empty: any."""

    def fits(self, rule: str, macs: frozenset[str]) -> bool:
        """Tell whether an alert of a rule, about some MAC addresses, is meant."""
        if self.devices and macs.isdisjoint(self.devices):
            return False
        out = [one.removeprefix("!") for one in self.rules if one.startswith("!")]
        wanted = [one for one in self.rules if not one.startswith("!")] or ["*"]
        return any(fnmatchcase(rule, one) for one in wanted) and not any(
            fnmatchcase(rule, one) for one in out
        )


class Destination(Choice):
    """Someone who is told."""

    url: SecretStr
    """Where to, as Apprise writes it (`mailto://...`, `ntfy://...`, `tgram://...`). It holds
    passwords: better a file `notifier__destinations__NAME__url` in the secrets directory."""
    least: Severity = "warning"
    """What is less severe is not sent."""
    hours: list[Span] = Field(default_factory=list)
    """Local time in which it is sent at all, such as `mon-fri 07:00-18:00`; empty: always."""
    quiet: list[Span] = Field(default_factory=list)
    """Local time in which it waits, such as `22:00-07:00`: sent as one summary afterwards."""
    quiet_least: Severity = "critical"
    """What is sent in quiet hours all the same."""
    closes: bool = True
    """Send also that an alert is over."""
    digest: bool = True
    """Send the digest, if there is one."""

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: SecretStr) -> SecretStr:
        scheme, mark, rest = url.get_secret_value().strip().partition("://")
        if not mark or not scheme or not rest:
            raise ValueError("no Apprise URL: write it as in docs/notifier.md")
        return url


class Maintenance(Choice):
    """Work that is planned: what happens meanwhile is not sent, and what lasts is sent after."""

    when: Span
    """Local time: once (`2026-12-01 22:00 - 2026-12-02 02:00`) or weekly (`sun 02:00-04:00`)."""


class NotifierSettings(Section):
    """Whom to tell of alerts; nobody until a destination is given."""

    destinations: dict[
        Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")], Destination
    ] = Field(default_factory=dict)
    """By name: who is told. A secret `notifier__destinations__NAME__url` alone is one."""
    maintenance: list[Maintenance] = Field(default_factory=list)
    """Planned work."""
    most_per_minute: Annotated[int, Field(ge=2, le=60)] = 6
    """Messages to one destination; what is more goes into summaries."""
    digest_at: TimeOfDay | None = None
    """Local time of the daily digest, such as `07:30`; by default there is none."""
    behind: dict[AddressOrMac, list[AddressOrMac]] = Field(default_factory=dict)
    """What hangs on what: by the address or MAC address of a router, switch or access point, the
    addresses or MAC addresses behind it. While it is down they are not sent each."""
    page: WebAddress | None = None
    """Address of the page, for the link in a message; by default this machine's name."""
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    """By default the machine's own."""
    back_off_most_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Longest pause between two tries at a destination that cannot be reached."""

    @property
    def missing(self) -> str | None:
        """Somebody to tell."""
        if self.destinations:
            return None
        return "notifier.destinations: missing; give a secret notifier__destinations__NAME__url"
