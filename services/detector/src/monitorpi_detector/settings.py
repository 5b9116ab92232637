"""Settings of the detector, and which limits hold for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, field_validator, model_validator

from monitorpi_common.messages import WrittenMac
from monitorpi_common.settings import Section
from monitorpi_common.topics import normal_mac
from monitorpi_detector.rule import Change, Limits, LimitsOf
from monitorpi_detector.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_OVERRIDES: Final = 1024
"""Limits changed at run time, one per rule and device."""


class DetectorSettings(Section):
    """Which rules run, and with which limits."""

    rules: dict[str, Change] = Field(default_factory=dict)
    """Changes to a rule for every device, by the rule's name: `[detector.rules.syn-flood]`."""
    devices: dict[WrittenMac, dict[str, Change]] = Field(default_factory=dict)
    """Changes for one device, by MAC address and rule."""
    ignore: list[WrittenMac] = Field(default_factory=list, max_length=1024)
    """MAC addresses that are never told of, as source or subject."""
    dhcp_servers: list[WrittenMac] = Field(default_factory=list, max_length=64)
    """The MAC addresses that may serve DHCP; empty: those seen in the learning time."""
    routers: list[WrittenMac] = Field(default_factory=list, max_length=64)
    """The MAC addresses that may advertise themselves as IPv6 routers; empty: those seen in the
    learning time."""
    together: list[Annotated[list[WrittenMac], Field(min_length=2, max_length=16)]] = Field(
        default_factory=list, max_length=256
    )
    """MAC addresses that may hold one address by turns: the ports of one machine, a pair that
    fails over, a sleep proxy and those it answers for: `[["04:...:0a", "04:...:0b"]]`."""
    learning_s: Annotated[float, Field(ge=0, le=30 * 86400)] = 86400.0
    """Seconds of watching in which every device, DHCP server and router is taken as known."""
    save_s: Annotated[float, Field(ge=10, le=86400)] = 600.0
    """Seconds between two writes of what was learned; an SD card wears."""

    @field_validator("rules")
    @classmethod
    def _known_rules(cls, rules: dict[str, Change]) -> dict[str, Change]:
        _check_names(rules)
        return rules

    @field_validator("devices", mode="before")
    @classmethod
    def _each_device_once(cls, devices: object) -> object:
        if isinstance(devices, dict):
            macs = [normal_mac(mac) for mac in devices]
            twice = next((mac for mac in macs if macs.count(mac) > 1), None)
            if twice is not None:
                raise ValueError(f"{twice} stands there twice: put its rules together")
        return devices

    @field_validator("devices")
    @classmethod
    def _known_device_rules(
        cls, devices: dict[str, dict[str, Change]]
    ) -> dict[str, dict[str, Change]]:
        for rules in devices.values():
            _check_names(rules)
        return devices

    @model_validator(mode="after")
    def _limits_can_be(self) -> DetectorSettings:
        LimitsTable(self)
        return self


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if name not in RULES:
            raise ValueError(f"there is no rule {name!r}; known: {', '.join(RULES)}")


class LimitsError(ValueError):
    """Limits that cannot be used; the text says why."""


class LimitsTable:
    """The limits of every rule and device: defaults, configuration, then what was set at run time.

    Later ones win, and what is said of one device wins over what is said of all.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._configured: dict[tuple[str, str | None], Change] = {
            (rule, None): change for rule, change in settings.rules.items()
        }
        for device, rules in settings.devices.items():
            self._configured |= {(rule, device): change for rule, change in rules.items()}
        self.overrides: dict[tuple[str, str | None], Change] = {}
        self._known: dict[tuple[str, str | None], Limits] = {}
        self._of_rule: dict[str, LimitsOf] = {}
        for rule, mac in self._configured:
            _check(rule, self.of(rule, mac))

    def of(self, rule: str, mac: str | None) -> Limits:
        """Return the limits of a rule for a device."""
        special = (rule, mac) in self._configured or (rule, mac) in self.overrides
        name = (rule, mac if special else None)
        known = self._known.get(name)
        if known is None:
            known = RULES[rule].defaults
            for key in dict.fromkeys(((rule, None), name)):
                for table in (self._configured, self.overrides):
                    if key in table:
                        known = known.changed(table[key])
            self._known[name] = known
        return known

    def has_devices(self, rule: str) -> bool:
        """Tell whether some device has limits of its own for a rule."""
        tables = (self._configured, self.overrides)
        return any(name == rule and mac for table in tables for name, mac in table)

    def of_rule(self, rule: str) -> LimitsOf:
        """Return the limits of one rule as a function of the device."""
        known = self._of_rule.get(rule)
        if known is None:
            macs = {mac for table in (self._configured, self.overrides) for name, mac in table
                    if name == rule}  # fmt: skip
            levels = [self.of(rule, mac) for mac in (None, *sorted(mac for mac in macs if mac))]
            least = min(one.floor * one.close_ratio for one in levels)
            known = LimitsOf(lambda mac: self.of(rule, mac), least)
            self._of_rule[rule] = known
        return known

    def change(self, rule: str, mac: str | None, change: Change) -> Limits:
        """Change limits at run time.

        Raises:
            LimitsError: no such rule, too many changes, or limits that contradict each other.

        """
        if rule not in RULES:
            raise LimitsError(f"there is no rule {rule!r}; known: {', '.join(RULES)}")
        if (rule, mac) not in self.overrides and len(self.overrides) >= MAX_OVERRIDES:
            raise LimitsError(f"{MAX_OVERRIDES} limits are changed already: use the configuration")
        before = self.overrides.get((rule, mac), Change())
        _check(rule, self.of(rule, mac).changed(change))
        given = {name: value for name, value in change if value is not None}
        self.overrides[rule, mac] = before.model_copy(update=given)
        self._forget()
        return self.of(rule, mac)

    def _forget(self) -> None:
        """Work everything out anew."""
        self._known.clear()
        self._of_rule.clear()

    def restore(self, rule: str, mac: str | None, change: Change) -> None:
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
