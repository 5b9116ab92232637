"""What a frame carries inside that capture does not look into. Pure.

Numbers: IEEE 802 EtherTypes and IANA's protocol and port numbers. PPPoE is not among them: capture
looks through it. Nor is encryption: there is no inside to see.
"""

from __future__ import annotations

from typing import Final

_TYPE_AT: Final = 12
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_TAG_BYTES: Final = 4
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_BY_TYPE: Final = {
    0x8847: "MPLS",
    0x8848: "MPLS",
    0x88E5: "MACsec (802.1AE)",
    0x88E7: "a provider's backbone (802.1ah)",
    0x8903: "FabricPath",
}
_BY_PROTOCOL: Final = {4: "IP in IP", 41: "IPv6 in IPv4 or IP in IPv6", 47: "GRE"}
_ERSPAN: Final = (0x88BE, 0x22EB)
_GRE: Final = 47
_UDP: Final = 17
_BY_PORT: Final = {4789: "VXLAN", 6081: "GENEVE"}


def hidden_in(frame: bytes) -> str | None:
    """Return what a frame from its addresses on stands inside; None: capture sees all there is.

    ``frame`` may be its first bytes only; 64 are enough.
    """
    at = _TYPE_AT
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in _TAGS:
        at += _TAG_BYTES
        kind = int.from_bytes(frame[at : at + 2], "big")
    packet = frame[at + 2 :]
    if kind == _IPV4 and len(packet) >= 20:  # noqa: PLR2004 - of a header without options
        if int.from_bytes(packet[6:8], "big") & 0x1FFF:
            return None  # a later fragment has no header behind its own
        return _hidden_by(packet[9], packet[(packet[0] & 0x0F) * 4 :])
    if kind == _IPV6 and len(packet) >= 40:  # noqa: PLR2004 - of a header without extensions
        return _hidden_by(packet[6], packet[40:])
    return _BY_TYPE.get(kind)


def _hidden_by(protocol: int, payload: bytes) -> str | None:
    if protocol == _GRE and int.from_bytes(payload[2:4], "big") in _ERSPAN:
        return "ERSPAN (a mirror sent through GRE)"
    if protocol == _UDP:
        return _BY_PORT.get(int.from_bytes(payload[2:4], "big"))
    return _BY_PROTOCOL.get(protocol)
