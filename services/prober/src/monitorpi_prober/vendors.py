"""Who made a network card, from the IEEE's registry as netaddr carries it."""

from __future__ import annotations

from functools import lru_cache

from monitorpi_prober.targets import is_randomised


@lru_cache(maxsize=4096)
def vendor_of(mac: str) -> str | None:
    """Return the registered organisation of a MAC address; None for an unknown or made-up one."""
    if is_randomised(mac):
        return None
    from netaddr import EUI, NotRegisteredError  # noqa: PLC0415 - the registry takes 10 MB and is not always needed

    try:
        name: str = EUI(mac).oui.registration().org
    except (NotRegisteredError, ValueError):
        return None
    return name.strip()[:64] or None
