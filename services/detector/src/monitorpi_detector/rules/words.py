"""How findings speak of MACs and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitorpi_common.messages import Peer


def to_whom(peer: Peer | None) -> str:
    """Write the destination as far as it is known, with a leading `` to ``."""
    if peer is None:
        return ""
    words = [word for word in (peer.ip, peer.mac) if word is not None]
    if not words:
        return ""
    port = "" if peer.port is None else f" port {peer.port}"
    return f" to {words[0]}{port}" + (f" ({words[1]})" if len(words) > 1 else "")
