"""Settings of the prober."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from monitorpi_common.endpoint import ENDPOINT, host_name
from monitorpi_common.messages import WrittenMac
from monitorpi_common.settings import Section
from monitorpi_common.written import AddressOrMac, InterfaceName, SourceName


def one_host(written: str) -> str:
    """Return an address or name that one host may answer at; whether the name exists shows later.

    Raises:
        ValueError: none can; the text says why.

    """
    address = written.strip()
    if "://" in address or ENDPOINT.match(address):
        raise ValueError("give the host alone: an IP address or a host name")
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        if not address or "/" in address:
            raise ValueError("no address of one host: write each by itself") from None
        return host_name(address)
    if ip.is_multicast or ip.is_unspecified or address == "255.255.255.255":
        raise ValueError("no address of one host: groups and all addresses are not probed")
    return address


class TargetSettings(Section):
    """One address to probe, whether capture has seen it or not."""

    address: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(one_host)]
    """IP address or host name."""
    name: Annotated[str, Field(max_length=255)] | None = None
    """What to call it; by default the address."""
    mac: WrittenMac | None = None
    """Its MAC address, where capture cannot see it."""
    interval_s: Annotated[float, Field(ge=1, le=3600)] | None = None
    """Length of its own rounds; by default those of all."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, given: object) -> object:
        text = given if isinstance(given, str) else None
        if text is not None:
            raise ValueError(f"write it as {{ address = {text[:64]!r} }}")
        return given


SWEEP_SHARE: Final = 0.65
"""Of the limit on ARP requests; the rest is for targets that do not answer meanwhile."""


class ProberSettings(Section):
    """What is probed, how often and how hard."""

    targets: Annotated[list[TargetSettings], Field(max_length=4096)] = Field(default_factory=list)
    """Addresses to probe besides the devices that capture announces."""
    announced: bool = True
    """Probe the devices that capture announces."""
    discover: bool = True
    """Look for devices with ARP requests to every address of the attached subnets."""
    discover_every_min: Annotated[float, Field(ge=1, le=10_080)] = 30.0
    """Minutes from one such sweep to the next; the first is at the start."""
    discover_max_addresses: Annotated[int, Field(ge=1, le=65_536)] = 1024
    """A larger subnet is not swept."""
    discover_rate: Annotated[float, Field(gt=0, le=1000)] = 20.0
    """ARP requests per second of a sweep; at most 0.65 of `max_arp_rate`."""
    max_arp_rate: Annotated[float, Field(ge=1, le=1000)] = 20.0
    """ARP requests per second at most, those of sweeps and those the kernel sends for addresses
    that do not answer together. A LAN of silent addresses is asked more slowly."""
    listen_only: list[InterfaceName] = Field(default_factory=list)
    """Interfaces that are never sent from: mirror ports."""
    ignore: list[AddressOrMac] = Field(default_factory=list)
    """Addresses and MAC addresses that are left alone, though they were seen."""
    pin: list[AddressOrMac] = Field(default_factory=list)
    """Addresses and MAC addresses that stay targets though capture forgets them."""
    look_up_names: bool = True
    """Ask DNS and mDNS for the names of devices."""
    interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Length of a round."""
    probes: Annotated[int, Field(ge=1, le=100)] = 10
    """Echo requests per target and round; fewer where the rate would pass `max_rate`."""
    max_rate: Annotated[float, Field(gt=0, le=10_000)] = 250.0
    """Echo requests per second to all targets that answer together; those that do not are asked at
    most 10 times a second, within what is left, or once a second."""
    timeout_s: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How long a reply may take."""
    down_after: Annotated[int, Field(ge=1, le=100)] = 3
    """Rounds in a row without any reply after which a target is down."""
    up_after: Annotated[int, Field(ge=1, le=100)] = 1
    """Rounds in a row with a reply after which a target is up again."""
    flap_changes: Annotated[int, Field(ge=2, le=64)] = 4
    """Changes between up and down within `flap_rounds` that make a target flapping."""
    flap_rounds: Annotated[int, Field(ge=2, le=10_000)] = 60
    """Rounds over which changes are counted."""
    max_targets: Annotated[int, Field(ge=1, le=4096)] = 1024
    """Targets at most; configured ones first, then those that have answered for longest, then the
    devices seen most recently."""
    source: SourceName | None = None
    """Own address or interface to send from, for a machine whose wired port only listens."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.flap_changes >= self.flap_rounds:
            raise ValueError(
                f"flap_changes: {self.flap_changes} changes in {self.flap_rounds} rounds can never "
                "be: make it less than flap_rounds"
            )
        return self

    @property
    def sweep_rate(self) -> float:
        """ARP requests per second of a sweep, within the limit."""
        return min(self.discover_rate, SWEEP_SHARE * self.max_arp_rate)
