"""Which limits of a rule hold for whom. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import CLASSES
from monitorpi_detector.rule import Limits, LimitsChange, LimitsOf
from monitorpi_detector.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

MAX_OVERRIDES: Final = 1024
"""Limits changed at run time, one per rule and device."""
_JUDGED_BY: Final = {
    "syn": "syn-flood",
    "icmp_echo": "icmp-flood",
    "arp": "arp-storm",
    "broadcast": "broadcast-storm",
    "dhcp": "dhcp-starvation",
    "igmp": "igmp-storm",
}
"""The rules that judge a class of one device; the others are judged by their surges."""


def _surge(name: str) -> str:
    return f"surge-{name.replace('_', '-')}"


_JUDGE_OF: Final = {name: _JUDGED_BY.get(name) or _surge(name) for name in CLASSES}
"""The rule whose floor a class of one device is held against."""
RULES_BY_CLASS: Final = {
    name: tuple(
        rule
        for rule in (
            *({"syn": ("port-scan", "host-sweep"), "icmp": ("icmp-flood",)}.get(name, ())),
            _JUDGED_BY.get(name, ""),
            _surge(name),
        )
        if rule in RULES
    )
    for name in CLASSES
}
"""The rules that look at the senders of a class."""


class LimitsError(ValueError):
    """Limits that cannot be used; the text says why."""


class LimitsTable:
    """The limits of every rule and device: defaults, configuration, then what was set at run time.

    Later ones win, and what is given for one device wins over what is given for all.
    """

    def __init__(
        self, rules: Mapping[str, LimitsChange], devices: Mapping[str, Mapping[str, LimitsChange]]
    ) -> None:
        """Start with what is configured.

        Args:
            rules: changes for every device, by rule.
            devices: changes for one device, by MAC address and rule.

        Raises:
            LimitsError: limits that contradict each other.

        """
        self._configured: dict[tuple[str, str | None], LimitsChange] = {
            (rule, None): change for rule, change in rules.items()
        }
        for device, changes in devices.items():
            self._configured |= {(rule, device): change for rule, change in changes.items()}
        self.overrides: dict[tuple[str, str | None], LimitsChange] = {}
        self._known: dict[tuple[str, str | None], Limits] = {}
        self._of_rule: dict[str, LimitsOf] = {}
        self._own = self._with_own()
        for rule, mac in self._configured:
            _check(rule, self.of(rule, mac))

    def of(self, rule: str, mac: str | None) -> Limits:
        """Return the limits of a rule for a device."""
        name = (rule, mac if mac in self._own else None)
        known = self._known.get(name)
        if known is None:
            known = RULES[rule].defaults
            for key in dict.fromkeys(((rule, None), name)):
                for table in (self._configured, self.overrides):
                    if key in table:
                        known = known.changed(table[key])
            self._known[name] = known
        return known

    def _with_own(self) -> frozenset[str | None]:
        """Return the devices that have limits of their own for some rule."""
        return frozenset(mac for table in (self._configured, self.overrides) for _, mac in table)

    def speaks(self, rule: str, value: float) -> bool:
        """Return whether a rule is on and a value reaches its floor."""
        limits = self.of(rule, None)
        return limits.enabled and value >= limits.floor

    def has_devices(self, rule: str) -> bool:
        """Return whether some device has limits of its own for a rule."""
        tables = (self._configured, self.overrides)
        return any(name == rule and mac for table in tables for name, mac in table)

    def of_rule(self, rule: str) -> LimitsOf:
        """Return the limits of one rule as a function of the device."""
        known = self._of_rule.get(rule)
        if known is None:
            macs = {mac for table in (self._configured, self.overrides) for name, mac in table
                    if name == rule}  # fmt: skip
            levels = [self.of(rule, mac) for mac in (None, *sorted(mac for mac in macs if mac))]
            least = min(
                (one.floor * one.close_ratio for one in levels if one.enabled), default=math.inf
            )
            known = LimitsOf(lambda mac: self.of(rule, mac), least)
            self._of_rule[rule] = known
        return known

    def floor_of(self, name: str, mac: str) -> float | None:
        """Return the floor, frames/s, of the rule that judges a class of one device's frames."""
        rule = _JUDGE_OF.get(name)
        return None if rule is None else self.of(rule, mac).floor

    def levels(self) -> dict[str, float]:
        """Return, by class, the frames/s of one MAC from which some rule looks at it."""
        return {
            name: min(self.of_rule(rule).least for rule in rules)
            for name, rules in RULES_BY_CLASS.items()
        }

    def change(
        self, rule: str, mac: str | None, change: LimitsChange, *, reset: bool = False
    ) -> Limits:
        """Change limits at run time, or go back to those that are configured.

        Args:
            rule: whose.
            mac: of one device alone; None: of all.
            change: what is not given stays as it was.
            reset: what was changed before is forgotten first.

        Raises:
            LimitsError: no such rule, too many changes, or limits that contradict each other.

        """
        if rule not in RULES:
            raise LimitsError(f"there is no rule {rule!r}; known: {', '.join(RULES)}")
        given = {name: value for name, value in change if value is not None}
        before = self.overrides.get((rule, mac))
        base = LimitsChange() if reset or before is None else before
        if given and before is None and len(self.overrides) >= MAX_OVERRIDES:
            raise LimitsError(f"{MAX_OVERRIDES} limits are changed already: use the configuration")
        self._put(rule, mac, base.model_copy(update=given))
        try:
            _check(rule, self.of(rule, mac))
        except LimitsError:
            self._put(rule, mac, before or LimitsChange())
            raise
        return self.of(rule, mac)

    def configured_floors(self) -> dict[str, float]:
        """Return the floor of each rule, and of each device with its own, without changes.

        Named by the rule, or the rule and the MAC address; what was changed at run time is
        beside it in ``overrides``.
        """
        floors = {rule: one.defaults.floor for rule, one in RULES.items()}
        for (rule, mac), change in self._configured.items():
            if change.floor is not None:
                floors[f"{rule} {mac}" if mac else rule] = change.floor
        return floors

    def changed(self, most: int) -> dict[str, JsonValue]:
        """Return what was changed at run time, the first of it, named as the floors are."""
        return {
            f"{rule} {mac}" if mac else rule: {
                name: value for name, value in change if value is not None
            }
            for (rule, mac), change in list(self.overrides.items())[:most]
        }

    def _put(self, rule: str, mac: str | None, change: LimitsChange) -> None:
        """Take a change in place of what was changed before; one of nothing is none."""
        if change == LimitsChange():
            self.overrides.pop((rule, mac), None)
        else:
            self.overrides[rule, mac] = change
        self._forget()

    def _forget(self) -> None:
        """Work everything out anew."""
        self._known.clear()
        self._of_rule.clear()
        self._own = self._with_own()

    def restore(self, rule: str, mac: str | None, change: LimitsChange) -> None:
        """Take back a change of the process before us; unknown rules are forgotten."""
        if rule in RULES and len(self.overrides) < MAX_OVERRIDES:
            self.overrides[rule, mac] = change
            self._forget()


def _check(rule: str, limits: Limits) -> None:
    if limits.raise_m > limits.raise_n:
        raise LimitsError(
            f"{rule}: raise_m {limits.raise_m} of raise_n {limits.raise_n} windows can never be: "
            "make raise_m at most raise_n"
        )
