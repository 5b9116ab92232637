"""Which interfaces are counted on: a choice where none is configured; what each needs. I/O."""

from __future__ import annotations

import json
import re

from monitorpi_common.service import ResourceError
from monitorpi_host.interfaces import (
    has_ethernet_header,
    has_link,
    index_of,
    is_ethernet,
    is_real,
    is_wired,
    names,
)


def choose() -> str:
    """Return the interface to count on when none is configured.

    The first wired one that is up: a real port if there is one, else what a container or a virtual
    machine calls its Ethernet (``eth*``, ``en*``).

    Raises:
        ResourceError: there is none.

    """
    wired = [name for name in names() if is_wired(name) and has_link(name)]
    real = [name for name in wired if is_real(name)]
    named = [name for name in wired if re.match(r"(eth|en)[a-z0-9]*\d", name)]
    if real or named:
        return (real or named)[0]
    there = [name for name in names() if is_ethernet(name)]
    example = json.dumps(there[:1] or ["eth0"])
    raise ResourceError(
        f"no wired interface is up (there are: {', '.join(there) or 'none'}): plug the mirror port "
        f"in, or name the interface to count on, as capture.interfaces = {example}; with "
        f"containers, as MONITORPI_INTERFACES={example} in .env"
    )


def require(wanted: tuple[str, ...]) -> None:
    """Check that interfaces can be counted on.

    Raises:
        ResourceError: one is missing or has no Ethernet header.

    """
    for name in wanted:
        if index_of(name) is None:
            there = ", ".join(names()) or "none"
            raise ResourceError(
                f"there is no interface {name!r}: plug it in, or set capture.interfaces to one of "
                f"those there are: {there}"
            )
        if not has_ethernet_header(name):
            raise ResourceError(
                f"interface {name!r} carries no Ethernet frames: set capture.interfaces to one "
                "that does"
            )
