"""The link types of capture files: which are read, and what the others are called.

Numbers and names: the registry of draft-ietf-opsawg-pcaplinktype.
"""

from __future__ import annotations

from typing import Final

LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_PPP: Final = 9
LINK_PPP_HDLC: Final = 50
LINK_RAW: Final = 101
LINK_WIFI: Final = 105
LINK_LOOP: Final = 108
LINK_SLL: Final = 113
LINK_RADIOTAP: Final = 127
LINK_IPV4: Final = 228
LINK_IPV6: Final = 229
LINK_SLL2: Final = 276
SUPPORTED: Final = {
    LINK_NULL: "BSD loopback",
    LINK_ETHERNET: "Ethernet",
    LINK_PPP: "PPP",
    LINK_PPP_HDLC: "PPP in HDLC framing",
    LINK_RAW: "raw IP",
    LINK_WIFI: "802.11",
    LINK_LOOP: "OpenBSD loopback",
    LINK_SLL: "Linux cooked",
    LINK_RADIOTAP: "802.11 with radiotap",
    LINK_IPV4: "raw IPv4",
    LINK_IPV6: "raw IPv6",
    LINK_SLL2: "Linux cooked v2",
}
_ON_DISK: Final = {12: LINK_RAW, 14: LINK_RAW}
"""Values some systems wrote for raw IP (their DLT_RAW instead of the registry's number)."""
_OTHERS: Final = {
    3: "AX.25",
    6: "Token Ring",
    7: "ARCNET",
    8: "SLIP",
    10: "FDDI",
    51: "PPPoE without Ethernet",
    100: "ATM (RFC 1483)",
    104: "Cisco HDLC",
    107: "Frame Relay",
    114: "LocalTalk",
    117: "OpenBSD pflog",
    119: "802.11 with a Prism header",
    122: "IP over Fibre Channel",
    123: "SunATM",
    129: "ARCNET of Linux",
    138: "IP over IEEE 1394",
    139: "MTP2 with a pseudo-header",
    140: "MTP2",
    141: "MTP3",
    142: "SCCP",
    143: "DOCSIS",
    144: "IrDA of Linux",
    163: "802.11 with an AVS header",
    165: "BACnet MS/TP",
    166: "PPP of pppd",
    177: "LAPD of Linux",
    186: "USB of FreeBSD",
    187: "Bluetooth HCI",
    189: "USB of Linux",
    192: "PPI",
    195: "IEEE 802.15.4 with FCS",
    197: "ERF",
    201: "Bluetooth HCI with a pseudo-header",
    203: "LAPD",
    215: "IEEE 802.15.4 of a PHY other than ASK",
    220: "USB of Linux, memory-mapped",
    224: "Fibre Channel",
    226: "Solaris IPNET",
    227: "CAN",
    230: "IEEE 802.15.4 without FCS",
    231: "D-Bus",
    239: "NFLOG",
    240: "netANALYZER",
    242: "IP over InfiniBand",
    243: "MPEG-2 transport stream",
    247: "InfiniBand",
    248: "SCTP",
    249: "USB of Windows",
    251: "Bluetooth LE",
    252: "Wireshark's exported PDUs",
    253: "netlink",
    254: "Bluetooth monitor of Linux",
    256: "Bluetooth LE with a pseudo-header",
    258: "Apple PKTAP",
    259: "Ethernet PON",
    266: "USB of macOS",
    271: "vsock",
    272: "Nordic Bluetooth LE",
    274: "Ethernet with preamble",
    283: "IEEE 802.15.4 with TAP",
    288: "USB 2.0",
}
_OWN: Final = range(147, 163)
"""LINKTYPE_USER0 to USER15: whatever two parties agreed on."""


def of_disk(number: int) -> int:
    """Return the registry's number for what a file says."""
    return _ON_DISK.get(number, number)


def described(link: int) -> str:
    """Return a link type by number and, where it is known, by name."""
    name = SUPPORTED.get(link) or _OTHERS.get(link) or ("private use" if link in _OWN else None)
    return f"{link} ({name})" if name else f"{link}"


def understood() -> str:
    """Return what can be read, for people."""
    return ", ".join(f"{name} ({number})" for number, name in SUPPORTED.items())
