"""The kernel's filter for discovery frames (those that say who a device is), in classic BPF.

ARP, DHCP, mDNS and neighbour discovery, behind up to two VLAN tags that stand in the data (the
stack takes out one more, see ADR 0011). Classic BPF reads at fixed places: there is one block for
each number of tags, and a frame without any runs the first alone. Neighbour discovery must have
hop limit 255 (RFC 4861), which also lets a frame through whose message is behind extension
headers without following them: little else has both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from monitorpi_capture.linux.packetsocket import ACCEPT, REJECT, Instruction

LDH: Final = 0x28
LDB: Final = 0x30
LDH_X: Final = 0x48
LDX_IHL: Final = 0xB1
JEQ: Final = 0x15
JGE: Final = 0x35
JGT: Final = 0x25
JSET: Final = 0x45

_YES: Final = "accept"
_NO: Final = "reject"
_NEXT: Final = ""
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_TAG_SIZE: Final = 4
_MAX_TAGS: Final = 2
_DHCP_PORTS: Final = (67, 68)
_DHCPV6_PORTS: Final = (546, 547)
_MDNS_PORT: Final = 5353
_EXTENSIONS: Final = (0, 43, 60)
"""Headers that may stand before ICMPv6; in fragments neighbour discovery is void (RFC 6980)."""


class _Line(NamedTuple):
    """One instruction; jumps go to labels, or to the next line."""

    code: int
    constant: int
    true: str = _NEXT
    false: str = _NEXT
    label: str = _NEXT


def _any_of(values: tuple[int, ...], true: str, false: str) -> list[_Line]:
    """Return the jumps for a value that may be one of several."""
    lines = [_Line(JEQ, value, true) for value in values]
    lines[-1] = lines[-1]._replace(false=false)
    return lines


def _block(tags: int) -> list[_Line]:
    """Return the lines for frames with so many tags before their EtherType."""
    at = tags * _TAG_SIZE
    ipv6, extended, icmpv6 = f"ipv6 {tags}", f"extended {tags}", f"icmpv6 {tags}"
    deeper = tags < _MAX_TAGS
    return [
        _Line(LDH, 12 + at, label=f"type {tags}"),
        _Line(JEQ, 0x0806, _YES),
        _Line(JEQ, 0x86DD, ipv6),
        _Line(JEQ, 0x0800, _NEXT, f"tag {tags}" if deeper else _NO),
        _Line(LDB, 23 + at),
        _Line(JEQ, 17, _NEXT, _NO),
        _Line(LDH, 20 + at),
        _Line(JSET, 0x1FFF, _NO),  # a later fragment has no ports
        _Line(LDX_IHL, 14 + at),
        _Line(LDH_X, 16 + at),
        *_any_of((*_DHCP_PORTS, _MDNS_PORT), _YES, _NO),
        _Line(LDB, 20 + at, label=ipv6),
        _Line(JEQ, 58, icmpv6),
        _Line(JEQ, 17, _NEXT, extended),
        _Line(LDH, 56 + at),
        *_any_of((_MDNS_PORT, *_DHCPV6_PORTS), _YES, _NO),
        _Line(LDB, 54 + at, label=icmpv6),
        _Line(JGE, 133, _NEXT, _NO),  # router solicitation
        _Line(JGT, 136, _NO),  # to neighbour advertisement
        _Line(LDB, 21 + at),
        _Line(JEQ, 255, _YES, _NO),
        *_labelled(extended, _any_of(_EXTENSIONS, f"far {tags}", _NO)),
        _Line(LDB, 21 + at, label=f"far {tags}"),
        _Line(JEQ, 255, _YES, _NO),
        *(_labelled(f"tag {tags}", _any_of(_TAGS, f"type {tags + 1}", _NO)) if deeper else ()),
    ]


def _labelled(label: str, lines: list[_Line]) -> list[_Line]:
    return [lines[0]._replace(label=label), *lines[1:]]


def _assembled(lines: list[_Line]) -> tuple[Instruction, ...]:
    """Return the program: lines with jumps as distances, then accept and reject."""
    places = {line.label: place for place, line in enumerate(lines) if line.label}
    places |= {_YES: len(lines), _NO: len(lines) + 1}
    program = [
        (
            line.code,
            places.get(line.true, place + 1) - place - 1,
            places.get(line.false, place + 1) - place - 1,
            line.constant,
        )
        for place, line in enumerate(lines)
    ]
    return (*program, ACCEPT, REJECT)


DISCOVERY: Final = _assembled([line for tags in range(_MAX_TAGS + 1) for line in _block(tags)])
"""The filter; at most 255 instructions, as far as a jump can go."""
