"""Settings of the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from monitorpi_common.messages import WrittenMac
from monitorpi_common.settings import Section
from monitorpi_common.topics import normal_mac
from monitorpi_detector.limits import LimitsTable
from monitorpi_detector.rule import LimitsChange
from monitorpi_detector.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable


class DetectorSettings(Section):
    """Which rules run, and with which limits."""

    rules: dict[str, LimitsChange] = Field(default_factory=dict)
    """Changes to a rule for every device, by the rule's name: `[detector.rules.syn-flood]`."""
    devices: dict[WrittenMac, dict[str, LimitsChange]] = Field(default_factory=dict)
    """Changes for one device, by MAC address and rule."""
    ignore: list[WrittenMac] = Field(default_factory=list, max_length=1024)
    """MAC addresses that are never reported, as source or subject."""
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
    def _known_rules(cls, rules: dict[str, LimitsChange]) -> dict[str, LimitsChange]:
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
        cls, devices: dict[str, dict[str, LimitsChange]]
    ) -> dict[str, dict[str, LimitsChange]]:
        for rules in devices.values():
            _check_names(rules)
        return devices

    @model_validator(mode="after")
    def _limits_can_be(self) -> DetectorSettings:
        LimitsTable(self.rules, self.devices)
        return self


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if name not in RULES:
            raise ValueError(f"there is no rule {name!r}; known: {', '.join(RULES)}")
