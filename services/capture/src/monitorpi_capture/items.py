"""The seam: what sources and engines hand the core. Pure.

Theory of operation. An *engine* counts frames (in the kernel, from a packet socket, from a file)
and hands over one :class:`WindowCounts` per interface and window. Everything behind it is the same
for all engines: totals, epochs, listing, device inventory, publishing (``core.py``).

Rules both sides keep:

- Counts are plain sequences of ints in the order of :data:`COLUMNS` (``packets``, ``bytes``, then
  :data:`~monitorpi_common.messages.CLASSES`), because a window may have 4,096 rows and is read,
  encoded and published in under 50 ms: no object per number, no dict per row. A sequence may be a
  tuple, a list or an ``array``; all are :data:`WIDTH` long, or empty for "all zero".
- A frame is classified as ``docs/counting.md`` says; ``classify.py`` is the reference.
- ``rows``: a frame counts for the row of its source MAC (``tx``) and, when the destination is an
  individual address (group bit clear), for the row of the destination MAC (``rx``). A group
  address as *destination* has no row; as a (forged) *source* it has one.
- A frame whose source found no row is added to ``overflow_tx``, one whose individual destination
  found none to ``overflow_rx``. So always, for frames with a link layer::

      wire = sum(row.tx) + overflow_tx + unlinked

  ``unlinked`` counts frames that have no source MAC at all (raw IP in files). A frame too short
  for an Ethernet header (under 14 bytes) is malformed and unlinked.
- Rows without any count (pinned, but silent) are not handed over.
- MAC and IP addresses are raw bytes (6; 4 or 16). Text is made only for what is published.
- Spread and top peers look at SYNs (``syn``) and echo requests (``icmp_echo``) only, the frames
  the row's MAC *sent*. Spread numbers are distinct counts, exact or estimated within 10 %;
  ``dst_ports`` looks at SYNs alone.
- A top peer is the destination (MAC, IP) that got the most frames of its class, by majority vote;
  ``packets`` is a lower bound (those counted while it was the candidate). ``port`` is the
  candidate's port where one port has the majority, else None. A candidate is handed over when its
  vote is still positive at the end of the window; none is handed over when no one won.
- Times: windows are paced by the boot-time clock and stamped with the wall clock at the moment
  the window was closed. ``start`` of a window is the ``end`` of the one before.
- Whether replies are visible is learned from the rows by the core (a MAC that sent SYNs and was
  sent SYN-ACKs); engines hand over nothing for it.
- Losses an engine itself knows of (a full socket buffer) go into ``losses`` under its own name
  (``socket``). Losses below the tap (``rx_missed``, ``rx_dropped``, ``softnet``) and ``link_bps``
  are filled in by the live source for every engine: engines leave them alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from monitorpi_common.messages import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS: Final = ("packets", "bytes", *CLASSES)
"""What the numbers of a row mean, in order."""
PACKETS: Final = 0
BYTES: Final = 1
FIRST_CLASS: Final = 2
WIDTH: Final = len(COLUMNS)
COLUMN: Final[dict[str, int]] = {name: index for index, name in enumerate(COLUMNS)}
"""The index of each column by its name."""

CLASS_BIT: Final[dict[str, int]] = {name: 1 << index for index, name in enumerate(CLASSES)}
"""A frame's classes as a bit mask: bit ``i`` is ``CLASSES[i]``, so column ``FIRST_CLASS + i``."""

MAX_ROWS: Final = 4096
"""Rows per interface and window by default: what a window message may list at most."""

CONFIRM_S: Final = 10.0
"""Between two windows a MAC must be seen in before it is a device (the contract's rule 5): what a
source leaves out as nothing new must be later than that."""


def counts_by_name(counts: Sequence[int], first: int = 0) -> dict[str, int]:
    """Return the counts that are not zero, by name."""
    if first:
        counts = counts[first:]
    return dict(zip(compress(COLUMNS[first:], counts), filter(None, counts), strict=True))


class SpreadCounts(NamedTuple):
    """Distinct addresses and ports in the SYNs and echo requests one MAC sent in a window."""

    src_ips: int
    dst_ips: int
    dst_ports: int


class TopPeer(NamedTuple):
    """The destination that got the most frames of one flood class from one MAC."""

    mac: bytes
    ip: bytes | None
    port: int | None
    packets: int


class SynTarget(NamedTuple):
    """One destination of a MAC's SYNs, whatever it got: what a vote happened to end with."""

    ip: bytes
    port: int


class MacCounts(NamedTuple):
    """What one MAC address sent and was sent in one window."""

    mac: bytes
    tx: Sequence[int]
    rx: Sequence[int]
    spread: SpreadCounts | None = None
    """None: it sent neither SYNs nor echo requests."""
    syn_peer: TopPeer | None = None
    echo_peer: TopPeer | None = None
    syn_target: SynTarget | None = None
    """One of the destinations of its SYNs; None: it sent none."""


class FloodSums(NamedTuple):
    """What floods are made of, and what answers it: frames of a window on the wire."""

    syn: int = 0
    syn_ack: int = 0
    icmp_echo: int = 0


def flood_sums(counts: Sequence[int]) -> FloodSums:
    """Return the sums that counts in the order of :data:`COLUMNS` hold."""
    return FloodSums(*(counts[COLUMN[name]] for name in FloodSums._fields))


class Instant(NamedTuple):
    """One moment on both clocks, in seconds."""

    wall_s: float
    """Since 1970, UTC; may step."""
    boot_s: float | None
    """Since boot, suspension included; None where time comes from a file."""


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Everything one engine counted on one interface in one window."""

    interface: str
    engine: str
    """``ebpf``, ``socket`` or ``file``."""
    start: Instant
    end: Instant
    length_s: float
    """By the boot-time clock (a file: by the frames' own timestamps); > 0."""
    wire: Sequence[int]
    """Every frame seen."""
    rows: Sequence[MacCounts] = ()
    overflow_tx: Sequence[int] = ()
    """Frames whose source MAC found no row."""
    overflow_rx: Sequence[int] = ()
    """Frames whose destination MAC (an individual one) found no row."""
    spread: SpreadCounts | None = None
    """Of the SYNs and echo requests without MAC addresses; None: there were none."""
    source_macs: int = 0
    """Distinct source MACs of the window, an estimate where there were more than rows; 0: as many
    as rows that sent something."""
    losses: Mapping[str, int] = field(default_factory=dict)
    """Frames lost in this window, by place: ``socket``, ``rx_missed``, ``softnet`` ..."""
    has_times: bool = True
    """False: the file does not say when these frames came; the length means nothing."""
    last_s: Mapping[bytes, float] = field(default_factory=dict)
    """Of a window of many seconds that hold nothing new: when each source MAC sent last."""
    link_bps: int | None = None
    has_link: bool | None = None
    """False: no carrier, as without a cable; None: not known, as of a file."""
    late_syn: int = 0
    """SYNs that came so late in the window that their answers may be in the next."""
    merged: int = 0
    """Frames that were counted once but may have been several on the wire (receive offload that
    the engine could not look into)."""


@dataclass(frozen=True, slots=True)
class OnsetCounts:
    """A look at a running window: it goes on, and all of this will be in it as well."""

    window: WindowCounts
    """Until now; ``late_syn`` holds for this moment."""
    rise_s: float
    """Seconds in which the rise came, up to now."""
    before: FloodSums
    """Of the wire, in this window before the rise."""


How = Literal["arp", "nd", "ra", "dhcp", "dhcpv6", "mdns"]
"""The protocol a frame spoke."""


class Sighting(NamedTuple):
    """What one ARP, NDP, DHCP, DHCPv6 or mDNS frame says about one device."""

    mac: bytes
    """The device it is about; of a server's answer the client (``chaddr``), of a claim the MAC it
    names: neither need be on this wire at all."""
    at_s: float
    interface: str
    how: How = "arp"
    vlan: tuple[int, ...] = ()
    """VLAN ids of the frame's tags, outermost first; ``()``: untagged, or a priority tag alone."""
    sender: bytes | None = None
    """The MAC address the frame came from, where that is not ``mac``; None: ``mac`` sent it."""
    ips: tuple[str, ...] = ()
    """Addresses that are said to be at ``mac``: its own claim, or ``sender``'s for it."""
    asks: str | None = None
    """An address that the frame's sender looks for (an ARP request), not one of ``ips``."""
    tries: str | None = None
    """An address the frame's sender asks for before it takes it: duplicate address detection (an
    ARP probe, RFC 5227; a neighbour solicitation from ``::``, RFC 4862)."""
    named: tuple[str, ...] = ()
    """Addresses a server's answer gives to ``mac``: a name, proved by no frame of its own."""
    ended: tuple[str, ...] = ()
    """Addresses ``mac`` gives up (RELEASE) or refuses (DECLINE)."""
    hostname: str | None = None
    is_router: bool = False
    """A router advertisement with a lifetime, valid as RFC 4861 says (6.1.2: hop limit 255 ...)."""
    ends_router: bool = False
    """A valid router advertisement with lifetime 0: no default router any more."""
    serves_dhcp: bool = False
    """It handed out an address (DHCP: yiaddr is one; DHCPv6: an IA address), or, in DHCPv6, what
    clients need beside one."""
    directions: tuple[tuple[str, str], ...] = ()
    """What else a server sends its clients to, by the name of the option: name servers ("dns"),
    routes, proxies (:mod:`monitorpi_capture.frame.dissect.dhcpoptions`)."""
    router_ips: tuple[str, ...] = ()
    """Addresses of routers the frame names (DHCP option 3), also where a server is meant."""
    subnets: tuple[str, ...] = ()
    """Networks on this link that the frame names, as ``192.168.1.0/24`` (DHCP option 1, on-link
    prefixes of a router advertisement)."""


SNAPPED: Final = 128
"""Bytes of a frame that are sampled."""


class SampledFrame(NamedTuple):
    """One frame that was looked at."""

    at_s: float
    port: int
    """Index of the interface in its sample."""
    length: int
    """Bytes on the wire, without a tag that was taken out."""
    data: bytes
    """The first :data:`SNAPPED` bytes."""


@dataclass(frozen=True, slots=True)
class FrameSample:
    """Frames of some interfaces, in the order of time."""

    interfaces: Sequence[str]
    frames: Sequence[SampledFrame]
    joint: tuple[float, float] = (0.0, float("inf"))
    """From when to when all interfaces were looked at: only then another one's silence counts."""


@dataclass(frozen=True, slots=True)
class PacketLine:
    """One frame's headers as a line of text, for who watches."""

    interface: str
    at_s: float
    line: str
    mac_src: str
    mac_dst: str
    ip_src: str | None
    ip_dst: str | None
    length: int


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What the live source reports of its engine, for the health message."""

    engine: str
    refused: Mapping[str, str]
    """Better engines that could not be used, each with the reason."""
    interfaces: Sequence[str]
    away: Mapping[str, str]
    """Those that cannot be counted now, each with the reason."""


@dataclass(frozen=True, slots=True)
class ListenerReport:
    """How many frames the inventory could not look at, since the start."""

    dropped_total: int
    undissected_total: int


class Caught(NamedTuple):
    """One frame as a packet socket handed it over."""

    data: bytes
    length: int
    """Its length; more than ``data`` has where it did not fit."""
    tag: int | None
    """The control information of the VLAN tag that the stack took out, if it did."""


class Feed(Protocol):
    """The discovery frames of one interface, beside their counts. Used by a thread of its own."""

    @property
    def name(self) -> str:
        """The interface."""
        ...

    def receive(self) -> Caught | None:
        """Return a frame that waits, None where none does."""
        ...

    def dropped(self) -> int:
        """Return how many frames found no room since the last call: counted, but not read."""
        ...


class EngineRefusedError(Exception):
    """This engine cannot work here; the text gives the reason and the remedy. Another one may."""


class Engine(Protocol):
    """Counts frames on several live interfaces. Used by one thread, but for :meth:`stop`.

    Life: ``open`` once, then ``count_until`` and ``close_windows`` in turns, then ``close``.
    Interfaces may vanish and come back at any time: that is no error after ``open``. While one is
    away ``close_windows`` returns nothing for it and :attr:`away` names it.
    """

    @property
    def name(self) -> str:
        """What settings and messages call it."""
        ...

    @property
    def away(self) -> Mapping[str, str]:
        """The interfaces that cannot be counted now, each with the reason in a few words."""
        ...

    @property
    def feeds(self) -> Sequence[Feed]:
        """What each interface shows of discovery frames, from :meth:`open` to :meth:`close`."""
        ...

    def open(self) -> None:
        """Start counting on every interface.

        Raises:
            EngineRefusedError: the engine does not work on this machine, or a permission is
                missing (the text names it, e.g. CAP_NET_RAW).
            ResourceError: an interface is missing (the text names those there are).

        """
        ...

    @property
    def has_bell(self) -> bool:
        """It ends :meth:`count_until` sooner where a flood may begin."""
        ...

    def count_until(self, boot_s: float, rings_after: Mapping[str, int] | None = None) -> None:
        """Count until the boot-time clock shows this, or :meth:`stop` was called.

        With a bell also until a processor saw so many SYNs and echo requests, by interface.
        """
        ...

    def close_windows(self) -> Sequence[WindowCounts]:
        """Close the windows of all interfaces: no frame is lost or counted twice."""
        ...

    def sums(self) -> Mapping[str, FloodSums]:
        """Return what the running windows of all interfaces hold so far: cheap, twenty a second."""
        ...

    def peek(self, name: str) -> WindowCounts:
        """Return the running window of an interface, with rows that may be some frames apart."""
        ...

    def pin(self, macs: Sequence[bytes]) -> None:
        """Pin the rows of these MACs: they keep them when unknown senders fill the table.

        Called between windows whenever the known devices change; best first.
        """
        ...

    def stop(self) -> None:
        """Make ``count_until`` return soon. Called from another thread."""
        ...

    def close(self) -> None:
        """Give sockets, maps and programs back to the kernel; may be called twice."""
        ...
