"""The contract: every message MonitorPi puts on the bus, with how it is delivered.

Theory of operation. A message class is a frozen pydantic model that names the service that
writes it, the kind level of its topic and its delivery. A core makes messages and hands them
out as :class:`Publication`; site and service of the topic are added by the shell, so that a core
cannot write under another service's name. JSON Schemas, the AsyncAPI document, the topic table of
the docs and the examples are generated from this file, and a test fails when they drift.

Units stand in the names (``_ms``, ``_s``, ``_bytes``, ``_bps``, ``_ratio``), ``_total`` marks a
counter, times are UTC RFC 3339 with milliseconds. Within version 1 only additions are made, and a
reader ignores what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
)

from monitorpi_common import topics

if TYPE_CHECKING:
    from collections.abc import Mapping

# --- words ------------------------------------------------------------------------------------

CLASSES: Final = (
    "broadcast",
    "multicast",
    "arp",
    "icmp",
    "icmp_echo",
    "igmp",
    "dhcp",
    "dns",
    "mdns",
    "syn",
    "syn_ack",
    "rst",
    "fin",
    "http",
    "https",
    "tcp",
    "udp",
    "ipv4",
    "ipv6",
    "vlan",
    "fragment",
    "malformed",
)
"""The count classes, in the order of the docs. They overlap: an ARP request is also broadcast."""

_YEARS: Final = (1969, 2199)
"""What a machine's clock can say, and capture files (32 bits from 1970 on; a window of its first
second begins before): no reckoning with two such times leaves the calendar."""
_MAX_TALLY = 64  # keys in a foreign count table: three times the classes there are


class Service(StrEnum):
    """The services that write to the bus, by the name in their topics."""

    CAPTURE = "capture"
    PROBER = "prober"
    DETECTOR = "detector"
    CLOUD_BRIDGE = "cloud-bridge"
    HISTORY = "history"
    DASHBOARD = "dashboard"
    NOTIFIER = "notifier"
    HOME_ASSISTANT = "home-assistant"


class Status(StrEnum):
    """The whole payload of a status topic; ``offline`` is the last will."""

    ONLINE = "online"
    OFFLINE = "offline"


# --- field types ------------------------------------------------------------------------------


def timestamp(at: datetime) -> str:
    """Write a time as UTC RFC 3339 with milliseconds: ``2026-01-02T03:04:05.678Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_of(seconds: float) -> str:
    """Write seconds since 1970 in the same way."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _has_room(at: datetime) -> datetime:
    """Refuse a time that no clock shows."""
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError(f"not between the years {_YEARS[0]} and {_YEARS[1]}")
    return at


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_has_room),
    PlainSerializer(timestamp, return_type=str, when_used="json-unless-none"),
]
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
WrittenMac = Annotated[Mac, BeforeValidator(topics.normal_mac)]
"""A MAC address as people write it, in settings and commands."""
Ip = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]{2,45}(%[\w.-]{1,15})?$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?$")]
Vlan = Annotated[list[Annotated[int, Field(ge=1, le=4095)]], Field(max_length=4)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Quantity = Annotated[float, Field(ge=0, le=1e30, allow_inf_nan=False)]
Short = Annotated[str, StringConstraints(max_length=255)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Tally = Annotated[dict[ClassName, Count], Field(max_length=_MAX_TALLY)]
"""Counts by name; a name that is absent counts 0. Beside the classes: ``packets``, ``bytes``."""


def _empty() -> Any:
    """Return the default of a table that many parts of a message have.

    As ``{}`` it would be copied for each of them, by Python, at a quarter of what reading costs.
    """
    return Field(default_factory=dict, json_schema_extra={"default": {}})


# --- delivery ---------------------------------------------------------------------------------

DeliveryKind = Literal["state", "stream", "status", "request"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message travels: MQTT quality of service, retained or not, and when it expires.

    ``state`` is retained and re-published at each connection, ``stream`` is neither, ``status``
    is the last will's topic, ``request`` is a command or its result.
    """

    kind: DeliveryKind
    qos: Literal[0, 1]
    retain: bool
    expiry_s: int | None
    rate: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the service that writes a retained message keeps it on disk, too.

    So it outlives a broker that keeps nothing: see :mod:`monitorpi_common.retained`.
    """

    stamp: str
    """The field that tells which of two is newer."""
    fleeting: Mapping[str, Any]
    """What changes all the time and is worth no write of its own (as pydantic's ``exclude``)."""
    at_once: bool = False
    """A change is written within a minute, not within ten."""


class Part(BaseModel):
    """A piece of a message: frozen, and blind to keys it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        ser_json_inf_nan="null",
        defer_build=True,
    )


class Message(Part):
    """A message with a topic of its own."""

    SERVICE: ClassVar[Service | None]
    """The only service that writes it; None: any service writes it under its own name."""
    KIND: ClassVar[str]
    ID: ClassVar[str]
    """What the last level of the topic holds, for the docs."""
    DELIVERY: ClassVar[Delivery]
    KEPT: ClassVar[Keeping | None] = None
    """None: the broker alone has it."""

    def encode(self) -> bytes:
        """Return the payload: JSON, UTF-8."""
        return self.__pydantic_serializer__.to_json(self)

    @property
    def expiry_s(self) -> int | None:
        """Seconds after which the broker forgets this message; None: never."""
        return self.DELIVERY.expiry_s


@dataclass(frozen=True, slots=True)
class Publication:
    """A message on its way out, under ``{own service}/{KIND}/{id}``.

    ``to`` names another service only for a command.
    """

    id: str
    message: Message
    to: Service | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A retained message outside our own tree, as others' conventions want it; empty: taken back.

    The broker's access rules have to allow its topic to the service.
    """

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Takes a retained message back: an empty payload on its topic."""

    id: str
    message_type: type[Message]


# --- capture ----------------------------------------------------------------------------------

Role = Literal["host", "router", "unknown"]


class Peer(Part):
    """One end of a conversation, as far as it is known."""

    mac: Mac | None = None
    ip: Ip | None = None
    port: Port | None = None
    packets: Count | None = None


class Spread(Part):
    """Distinct addresses and ports in the SYNs and echo requests one MAC address sent in a window.

    Estimates are allowed (within 10 %); a sender of neither has zeros.
    """

    src_ips: Count = 0
    dst_ips: Count = 0
    dst_ports: Count = 0
    a_host: Ip | None = None
    """One destination of several of its SYNs, as it happened: a sample for who looks for scans."""
    a_port: Port | None = None
    """The port of that SYN."""


class Copies(Part):
    """What share of the frames counted are copies of others, as far as a sample tells.

    A mirror of both directions shows a frame where it came in and where it went out. The counts
    stay as they are: a count of ``n`` were ``n * (1 - share)`` frames.
    """

    unicast: Ratio = 0
    """Of the frames sent to one receiver."""
    group: Ratio = 0
    """Of the broadcasts and multicasts sent."""
    received: Ratio = 0
    """Of the frames received."""
    elsewhere: Ratio = 0
    """Of what is left, the share to take off where windows of several interfaces are added up: a
    frame that k interfaces show counts 1/k on each."""


class Repeats(Part):
    """Broadcasts and multicasts that had been on the wire before, as a loop of cables makes them.

    Copies that a mirror makes within milliseconds are not among them.
    """

    ratio: Ratio
    """Their share of all broadcasts and multicasts, as far as a sample tells."""
    senders: Count
    """How many MAC addresses with equal shares they would be from: one that sends most is one."""


class DeviceWindow(Part):
    """What one MAC address sent (``tx``) and was sent (``rx``) in one window."""

    mac: Mac
    role: Role = "unknown"
    tx: Tally = _empty()
    rx: Tally = _empty()
    spread: Spread = Spread()
    top_peer: Annotated[dict[ClassName, Peer], Field(max_length=8)] = _empty()
    """By flood class: the destination that got most of it (a majority vote, not a sort)."""
    copies: Copies | None = None
    """Where it is not as with the wire: see ``copies`` there."""


class Omitted(Part):
    """What a window counted for MAC addresses that it does not list."""

    devices: Count = 0
    packets: Count = 0
    bytes: Count = 0
    classes: Tally = {}


class Wire(Message):
    """The counts of one interface in one window, of the wire alone: about 1 kB.

    The same window as in ``capture/traffic``, which has each MAC address as well and is up to 100
    times as large. Read this one for rates, totals and losses of the LAN, and that one only for who
    it was. A capture file has none.
    """

    SERVICE = Service.CAPTURE
    KIND = "wire"
    ID = "interface"
    DELIVERY = Delivery("stream", 1, retain=False, expiry_s=60, rate="1 s")

    epoch: Slug
    """Made at start and anew when the clock steps or counters are reset."""
    seq: Count
    """Counts the messages of this interface in this epoch: a gap is a lost message."""
    start: Timestamp
    """When the first frame of the window could have come."""
    end: Timestamp
    """When the window was closed."""
    window_s: Annotated[float, Field(ge=0.0005, le=3600)]
    """Length of the window; less than usual where a file ends."""
    clock_synced: bool
    """The wall clock could be trusted."""
    interface: Short
    """As the operating system calls it."""
    link_bps: Count | None = None
    """Speed of the link; null where it is not known."""
    has_link: bool | None = None
    """False: the interface has no carrier, as without a cable, and nothing can be seen."""
    engine: Short
    """How frames were counted: `tcx` or `ebpf` (in the kernel), `socket` or `file`."""
    packets: Count
    """Frames seen on the wire."""
    bytes: Count
    """Their bytes, without preamble and checksum."""
    kernel_drops: Count = 0
    """Frames lost below or in the sensor in this window, as far as the kernel tells."""
    losses: Tally = {}
    """Frames lost, by place: ``socket``, ``rx_missed`` and ``softnet`` make up ``kernel_drops``.
    ``rx_dropped`` stands beside them: the kernel also counts there what it discarded after the
    sensor had seen it, and once more what softnet counts."""
    counts: Tally
    """Frames per class on the wire."""
    totals: Tally
    """The same classes, ``packets`` and ``bytes`` since the epoch began."""
    sees_replies: bool | None = None
    """Both directions of unicast conversations are on this port; None: not yet known."""
    spread: Spread | None = None
    """Of the SYNs and echo requests that have no MAC addresses, such as a tunnel's; None: none."""
    source_macs: Count = 0
    """Distinct source MAC addresses in this window (an estimate beyond what is listed)."""
    new_macs: Count = 0
    """Of those, the ones not seen before in this epoch."""
    copies_ratio: Ratio | None = None
    """Share of the frames that are copies which the mirror port shows of others, estimated from a
    sample; None: not known."""
    copies: Copies | None = None
    """The same by kind, for the wire and for devices that have none of their own; None: nothing to
    take off."""
    repeats: Repeats | None = None
    """Broadcasts and multicasts that come again and again; None: none were sampled."""
    late_syn: Count = 0
    """SYNs of the window's last tenth of a second: their answers may be in the next one."""


class Traffic(Wire):
    """The counts of one interface in one window, of the wire and of each MAC address."""

    KIND = "traffic"

    has_times: bool = True
    """False: nobody knows when these frames came, as of a capture file without times. They count,
    and no rate can be made of them."""
    devices: Annotated[list[DeviceWindow], Field(max_length=4096)] = []
    """Those that send most of what floods are made of, then the busiest."""
    omitted: Omitted = Omitted()
    """Everything of the devices not listed."""


class Onset(Message):
    """A look at a window that still runs, because a flood may have begun in it.

    Nothing is taken out of the window: whoever adds up windows leaves these alone. An onset brings
    one, and up to three more within 0.15 s; a capture file has none.
    """

    SERVICE = Service.CAPTURE
    KIND = "onset"
    ID = "interface"
    DELIVERY = Delivery("stream", 1, retain=False, expiry_s=10, rate="a few at a flood's onset")

    epoch: Slug
    seq: Count
    """Of the window that runs."""
    start: Timestamp
    """When the window began; the one before it where the rise began in that."""
    end: Timestamp
    """When it was looked at."""
    window_s: Annotated[float, Field(ge=0.0005, le=3600)]
    """Seconds from start to end: what `counts` and `devices` are of."""
    rise_s: Annotated[float, Field(ge=0.0005, le=3600)]
    """Of these, the last ones in which the rise came: the length to reckon its rate by."""
    before: Tally = {}
    """SYNs, SYN-ACKs and echo requests of the wire from start until the rise."""
    late_syn: Count = 0
    """SYNs of the last tenth of a second: whoever got them has had no time to answer."""
    clock_synced: bool
    interface: Short
    engine: Short
    packets: Count
    bytes: Count
    counts: Tally
    """Frames per class on the wire so far."""
    sees_replies: bool | None = None
    copies_ratio: Ratio | None = None
    copies: Copies | None = None
    repeats: Repeats | None = None
    devices: Annotated[list[DeviceWindow], Field(max_length=64)] = []
    """Those that sent most of what floods are made of, then the busiest."""


class Packet(Message):
    """One line about one frame, while somebody watches. Headers only, never payload bytes."""

    SERVICE = Service.CAPTURE
    KIND = "packet"
    ID = "interface"
    DELIVERY = Delivery("stream", 0, retain=False, expiry_s=10, rate="at most 10/s while watched")

    epoch: Slug
    seq: Count
    at: Timestamp
    line: Short
    mac_src: Mac | None = None
    mac_dst: Mac | None = None
    ip_src: Ip | None = None
    ip_dst: Ip | None = None
    length: Count


class Load(Part):
    """How busy a device's link is, averaged over the last seconds."""

    tx_bps: Quantity = 0
    rx_bps: Quantity = 0
    tx_frames_per_s: Quantity = 0
    rx_frames_per_s: Quantity = 0
    utilisation_ratio: Quantity | None = None
    """The busier direction over the link's speed; None where the speed is not known."""


class DeviceTotals(Part):
    """What a device sent and was sent since it was first seen in this epoch."""

    tx: Tally = {}
    rx: Tally = {}


class HeldAddress(Part):
    """One address a device holds, and how that is known."""

    ip: Ip
    vlan: Vlan = []
    """VLAN ids, outermost first; empty: untagged."""
    since: Timestamp
    claimed_at: Timestamp
    """When the device said so last."""
    how: Short = "arp"
    """By which protocol: `arp`, `nd`, `ra`, `mdns`; `dhcp`, `dhcpv6`: a server named it."""
    router: bool = False
    """Hosts send to it as to a router's: a DHCP server named it, or others' traffic shows it."""
    temporary: bool = False
    """An IPv6 address with a random end (RFC 8981, RFC 7217): it may end any day."""


class AddressConflict(Part):
    """One address that a device claimed though another one held it, within ten minutes."""

    ip: Ip
    vlan: Vlan = []
    holder: Mac
    """Who held it before."""
    claimant: Mac
    claims: Count
    """Times the claimant took it, or claimed it again after its holder had."""
    since: Timestamp
    last: Timestamp
    present: bool = True
    """The holder was here when it was claimed first."""
    router: bool = False
    """It is a router's address."""
    in_turns: bool = False
    """The two never sent at one time: the holder sleeps while the claimant answers."""
    relation: Short = "strangers"
    """`strangers`; `siblings`: the MACs follow each other, as those of one machine do; `virtual`:
    the holder is a virtual router (VRRP, CARP, HSRP, GLBP) and the claimant not of its group;
    `proxy`: the claimant answers for this address and others when asked, and speaks from none."""

    @property
    def is_shared(self) -> bool:
        """Two that hold an address by turns without harm, as far as MACs and times tell."""
        return self.relation in ("siblings", "proxy") or self.in_turns


class DhcpNetwork(Part):
    """What a DHCP server sends the clients of one VLAN to."""

    vlan: Vlan = []
    routers: Annotated[list[Ip], Field(max_length=4)] = []
    options: Annotated[
        dict[Slug, Annotated[list[Short], Field(max_length=8)]], Field(max_length=16)
    ] = {}
    """As `dhcp_options` of the device."""


class Marks(Part):
    """What people say of a device (capture's command ``mark``)."""

    name: Short | None = None
    """Stands in ``hostname``, whatever the device calls itself."""
    known: bool = False
    """It belongs here: it is no new device."""
    pinned: bool = False
    """It stands first, and always keeps counters of its own."""
    ignored: bool = False
    """It is left out of lists. Alerts on it are raised all the same."""


class Device(Message):
    """One device of the LAN, by MAC address."""

    SERVICE = Service.CAPTURE
    KIND = "device"
    ID = "mac"
    DELIVERY = Delivery(
        "state", 1, retain=True, expiry_s=7 * 86400, rate="on change, else at most 1 per 60 s"
    )
    KEPT = Keeping(
        "last_seen",
        {
            "last_seen": True,
            "totals": True,
            "load": True,
            "conflicts": True,
            "dhcp_at": True,
            "advertised_at": True,
            "asked_in_vain": True,
            "asked_at": True,
            "denied": True,
            "denied_at": True,
            "addresses": {"__all__": {"claimed_at", "how"}},
        },
    )

    mac: Mac
    role: Role = "unknown"
    """`router`: other devices reach addresses beyond this wire through it."""
    ips: Annotated[list[Ip], Field(max_length=16)] = []
    """From ARP, NDP and DHCP only: addresses in plain traffic may be forged or routed."""
    addresses: Annotated[list[HeldAddress], Field(max_length=16)] = []
    """The same, with VLAN and time."""
    conflicts: Annotated[list[AddressConflict], Field(max_length=16)] = []
    """Addresses it claimed though another one held them, or that others claimed of it."""
    hostname: Short | None = None
    """As people named it, else as it calls itself."""
    marks: Marks = Marks()
    vendor: Short | None = None
    randomised: bool = False
    """The locally administered bit is set, as phones with private addresses do."""
    dhcp_server: bool = False
    """It was seen to hand out addresses by DHCP or DHCPv6, or to tell clients of name servers and
    their like by DHCPv6."""
    dhcp_routers: Annotated[list[Ip], Field(max_length=4)] = []
    """The routers it told DHCP clients of."""
    dhcp_vlans: Annotated[list[Vlan], Field(max_length=8)] = []
    """The VLANs in which it did, the ids of each outermost first; none for frames without a tag."""
    dhcp_options: Annotated[
        dict[Slug, Annotated[list[Short], Field(max_length=8)]], Field(max_length=16)
    ] = {}
    """What else it sent DHCP clients to, by option: `dns`, `domain`, `search`, `wins`, `route`,
    `proxy`, `boot`, `boot-next`, and of DHCPv6 `dns-v6`, `domain-v6`, `boot-v6`; which server
    answered (`server`, of DHCPv6 its DUID: `server-v6`) and through which relay (`relay`)."""
    dhcp_networks: Annotated[list[DhcpNetwork], Field(max_length=8)] = []
    """The same by VLAN, the latest first."""
    dhcp_at: Timestamp | None = None
    """When it handed out an address last."""
    asked_in_vain: Count = 0
    """Different addresses that nobody holds which it asked for by ARP or neighbour discovery within
    an hour."""
    asked_at: Timestamp | None = None
    """When it asked for another one of them last."""
    denied: Count = 0
    """Different addresses that it kept from others within ten minutes: they asked whether anybody
    has them (duplicate address detection), and it said so though nobody had held them."""
    denied_at: Timestamp | None = None
    """When it did so last."""
    advertised_at: Timestamp | None = None
    """When it advertised itself as an IPv6 router last; null: it does not, or not any more."""
    advertised_vlans: Annotated[list[Vlan], Field(max_length=8)] = []
    """The VLANs in which it does, the latest first; none for frames without a tag."""
    interface: Short | None = None
    first_seen: Timestamp
    last_seen: Timestamp
    present: bool
    totals: DeviceTotals = DeviceTotals()
    load: Load = Load()


# --- prober -----------------------------------------------------------------------------------

TargetState = Literal["up", "down", "flapping", "unknown"]


class ProbeSource(Part):
    """What the prober itself puts on the wire, so that nobody alarms on it."""

    mac: Mac | None = None
    ip: Ip | None = None
    echo_per_s: Quantity = 0
    arp_per_s: Quantity = 0


class ProbeResult(Part):
    """One target in one round. Times are round-trip; fewer than two replies give no spread."""

    name: Short
    address: Short
    mac: Mac | None = None
    origin: Slug | None = None
    """Why it is probed: ``configured``, ``pinned``, ``announced`` by capture, ``discovered``."""
    state: TargetState = "unknown"
    sent: Count = 0
    """Requests that were handed to the wire."""
    received: Count = 0
    """Sound replies within the time limit."""
    unsent: Count = 0
    """Requests of the round that never left this machine: held back because nobody answers ARP (or
    neighbour discovery) for the address, or refused by the kernel. Neither sent nor lost."""
    late: Count = 0
    """Replies after the time limit: neither received nor lost."""
    altered: Count = 0
    """Answers other than a sound reply (other data, another code, from another address): neither
    received nor lost."""
    loss_ratio: Ratio | None = None
    """Share of ``sent`` that nothing came back for; null for a target that does not answer."""
    rtt_min_ms: Quantity | None = None
    rtt_avg_ms: Quantity | None = None
    rtt_p50_ms: Quantity | None = None
    rtt_p95_ms: Quantity | None = None
    rtt_max_ms: Quantity | None = None
    mdev_ms: Quantity | None = None
    jitter_ms: Quantity | None = None
    jitter_rfc3550_ms: Quantity | None = None
    pdv_p95_ms: Quantity | None = None
    mos: Annotated[float, Field(ge=1, le=5)] | None = None
    error: Short | None = None
    """What is wrong, in words."""
    cause: Slug | None = None
    """The same for programs: ``no-network`` (this machine has no route), ``no-neighbour`` (nobody
    answers ARP or neighbour discovery), ``unreachable`` (a router says so), ``no-reply``,
    ``unsent`` (this machine could not send), ``late``, ``altered``, ``other-address``,
    ``no-address`` (the name does not resolve), ``duplicate``."""


_LONG_ROUND: Final = 256
"""Targets of a round beyond which nulls and zeros are left out: a thousand lines with all of them
are as much as a broker takes at once."""


class Probe(Message):
    """All targets of one round of one prober."""

    SERVICE = Service.PROBER
    KIND = "probe"
    ID = "instance"
    DELIVERY = Delivery("stream", 1, retain=False, expiry_s=120, rate="per round (10 s)")

    epoch: Slug
    seq: Count
    round_start: Timestamp
    round_end: Timestamp
    clock_synced: bool
    noise_floor_ms: Quantity | None = None
    """What the prober measures on loopback: times below it mean nothing."""
    rate_limited: bool = False
    """The limit on the rate allows fewer requests per target than configured (see ``sent``)."""
    source: ProbeSource
    sources: Annotated[list[ProbeSource], Field(max_length=16)] = []
    """Every interface the prober sends from, ``source`` first, where there are several."""
    targets: Annotated[list[ProbeResult], Field(max_length=4096)] = []

    def encode(self) -> bytes:
        """Return the payload; a long list says only what is not as by default."""
        return self.__pydantic_serializer__.to_json(
            self, exclude_defaults=len(self.targets) > _LONG_ROUND
        )


class Target(Message):
    """The last result of one target and how long it has been in its state."""

    SERVICE = Service.PROBER
    KIND = "target"
    ID = "address"
    DELIVERY = Delivery(
        "state", 1, retain=True, expiry_s=7 * 86400, rate="on change, else at most 1 per 60 s"
    )
    KEPT = Keeping("at", {"at": True, "last": True})

    name: Short
    address: Short
    mac: Mac | None = None
    vendor: Short | None = None
    randomised: bool = False
    """The MAC address was made up by the device, as phones with private addresses do."""
    state: TargetState
    since: Timestamp
    at: Timestamp
    last: ProbeResult


# --- detector ---------------------------------------------------------------------------------

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""The mildest first."""
CloseReason = Literal["quiet", "sensor-lost", "silenced", "replaced", "usual"]


class Evidence(Part):
    """What an alert rests on. A field that was not measured, or cannot be, is null."""

    value: Quantity
    """The measured value in the rule's unit, of the window that raised or last kept the alert."""
    unit: Short = "frames/s"
    threshold: Quantity
    baseline: Quantity | None = None
    window_s: Quantity
    peak: Quantity
    sources: Annotated[list[Peer], Field(max_length=32)] = []
    victims: Annotated[list[Peer], Field(max_length=32)] = []
    spread: Spread | None = None
    answered_ratio: Ratio | None = None
    """SYN-ACKs over SYNs of the attack, where both directions are visible."""
    spoofed: bool | None = None
    beyond_router: bool | None = None
    sees_replies: bool | None = None
    kernel_drops: Count = 0
    copies_ratio: Ratio | None = None
    """Share of the frames on the wire that were copies and left out of ``value``."""
    victim_rtt_ms: Quantity | None = None
    victim_jitter_ms: Quantity | None = None
    victim_loss_ratio: Ratio | None = None


class Alert(Message):
    """One attack or fault, from its opening to its close, always on the same topic."""

    SERVICE = Service.DETECTOR
    KIND = "alert"
    ID = "rule-subject"
    DELIVERY = Delivery(
        "state", 1, retain=True, expiry_s=86400, rate="on opening, each 10 s while open, on closing"
    )
    KEPT = Keeping("at", {"at": True, "summary": True, "evidence": True}, at_once=True)

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]
    """UUIDv5 of site, key and opened_at: the same attack read twice has the same id."""
    key: Slug
    """``{rule}-{subject}``, the last level of the topic."""
    rule: Slug
    severity: Severity
    state: Literal["open", "closed"]
    subject: Slug
    """The attacker's MAC as an id, ``victim-{mac}`` or ``wire-{interface}``."""
    interface: Short | None = None
    opened_at: Timestamp
    at: Timestamp
    closed_at: Timestamp | None = None
    close_reason: CloseReason | None = None
    acknowledged: bool = False
    caused_by: Slug | None = None
    """The key of the open alert this one is a side effect of."""
    summary: Annotated[str, StringConstraints(max_length=400)]
    evidence: Evidence


WatchLevel = Literal["watching", "partly", "blind"]


class WatchReason(Part):
    """One thing that keeps the watch from being whole, and what to do about it."""

    what: ClassName
    """``broker``, ``service``, ``interface``, ``judging``, ``clock``, ``losses``, ``direction``,
    ``state`` (it cannot be kept over a restart) or ``copies``; copies are told and corrected, and
    leave the watch whole."""
    service: Short | None = None
    interface: Short | None = None
    text: Short
    """One sentence."""
    remedy: Short | None = None


class WatchState(Message):
    """Whether anybody watches, as the detector concludes; readers conclude alone without it."""

    SERVICE = Service.DETECTOR
    KIND = "watch"
    ID = "instance"
    DELIVERY = Delivery("state", 1, retain=True, expiry_s=60, rate="on change, else each 3 s")

    state: WatchLevel
    """``watching``: all that is expected is there; ``partly``: a part is not seen; ``blind``."""
    since: Timestamp
    at: Timestamp
    judged_until: Timestamp | None = None
    """End of the newest window that was judged; null: none yet."""
    reasons: Annotated[list[WatchReason], Field(max_length=32)] = []


# --- notifier ---------------------------------------------------------------------------------


class SentAlert(Part):
    """An alert that a message tells of, and what of it."""

    key: Slug
    id: Short
    what: Slug
    """`opened`, `raised` or `closed`."""


class Sent(Message):
    """One try to send a message to people. No address and no secret is in it."""

    SERVICE = Service.NOTIFIER
    KIND = "sent"
    ID = "destination"
    DELIVERY = Delivery("stream", 0, retain=False, expiry_s=86400, rate="per try")

    at: Timestamp
    """When the answer came."""
    destination: Slug
    """As it is called in the settings."""
    what: Slug
    """`opened`, `raised`, `closed`, `summary` of several, `digest` or `test`."""
    ok: bool
    """The service at the destination took it."""
    tries: Count
    """This one included, since one was taken last."""
    title: Short
    error: Short | None = None
    """Why it was not taken; it is tried again."""
    changes: Count
    """How many the message tells of."""
    waited_s: Quantity
    """From the opening of the first of its alerts to the answer."""
    alerts: Annotated[list[SentAlert], Field(max_length=32)] = []
    """The first alerts it tells of."""


# --- cloud-bridge -----------------------------------------------------------------------------


class Rollup(Message):
    """The values of one mapping channel over a minute: what a broker of several sites is told."""

    SERVICE = Service.CLOUD_BRIDGE
    KIND = "rollup"
    ID = "channel"
    DELIVERY = Delivery("stream", 1, retain=False, expiry_s=86400, rate="60 s")

    at: Timestamp
    """End of the interval, a multiple of its length."""
    interval_s: Quantity
    """`at` and the topic tell one rollup from another: what comes twice is the same."""
    values: Annotated[
        dict[Short, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=8)
    ]
    """By the label of the field; what nothing was said of is left out."""


# --- home-assistant ---------------------------------------------------------------------------


class Rates(Message):
    """What the wire carries, one value per interval: for programs that keep each they are sent."""

    SERVICE = Service.HOME_ASSISTANT
    KIND = "rates"
    ID = "interface"
    DELIVERY = Delivery("stream", 0, retain=False, expiry_s=300, rate="10 s")

    at: Timestamp
    interface: Short
    interval_s: Quantity
    """Seconds of windows that it is made of."""
    frames_per_s: Quantity
    bps: Quantity
    utilisation_ratio: Quantity | None = None
    """Of the link; null where its speed is not known."""
    lost_ratio: Ratio
    """Share of the frames that the sensor lost."""
    classes: Annotated[dict[ClassName, Quantity], Field(max_length=_MAX_TALLY)]
    """Frames per second by class, those with none too."""


class RuleState(Message):
    """Whether any alert of a rule is open: it stays on while one of two closes."""

    SERVICE = Service.HOME_ASSISTANT
    KIND = "rule"
    ID = "rule"
    DELIVERY = Delivery("state", 1, retain=True, expiry_s=86400, rate="on change, else each 6 h")

    at: Timestamp
    rule: Slug
    """`any`: all rules together."""
    state: Literal["ON", "OFF"]
    open: Count
    severity: Severity | None = None
    """The worst of them."""
    summary: Annotated[str, StringConstraints(max_length=400)] | None = None
    """Of the newest."""
    keys: Annotated[list[Slug], Field(max_length=32)] = []


class AlertEvent(Message):
    """That an alert opened or closed, once."""

    SERVICE = Service.HOME_ASSISTANT
    KIND = "event"
    ID = "always alert"
    DELIVERY = Delivery("stream", 1, retain=False, expiry_s=60, rate="on change")

    event_type: Literal["opened", "closed"]
    at: Timestamp
    rule: Slug
    severity: Severity
    key: Slug
    summary: Annotated[str, StringConstraints(max_length=400)]


# --- every service ----------------------------------------------------------------------------


class Health(Message):
    """What a service says of itself: its pulse, too."""

    SERVICE = None
    KIND = "health"
    ID = "instance"
    DELIVERY = Delivery("state", 0, retain=True, expiry_s=180, rate="3 s")

    at: Timestamp
    version: Short
    started_at: Timestamp
    uptime_s: Quantity
    published_total: Count
    received_total: Count
    rejected_total: Count
    """Messages received that are not of the contract."""
    refused_total: Count
    """Messages of ours that the broker refused or that were too large for it."""
    queue_depth: Count
    queue_dropped_total: Count
    rss_bytes: Count
    clock_synced: bool
    detail: dict[str, JsonValue] = {}


class Command(Message):
    """An order to a service. A retained command is refused: it would be obeyed at each restart."""

    SERVICE = None
    KIND = "command"
    ID = "any id; the result has the same"
    DELIVERY = Delivery("request", 1, retain=False, expiry_s=60, rate="-")

    name: Slug | Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    args: Annotated[dict[str, JsonValue], Field(max_length=16)] = {}
    at: Timestamp


class Result(Message):
    """What became of a command, under the command's id."""

    SERVICE = None
    KIND = "result"
    ID = "the command's id"
    DELIVERY = Delivery("request", 1, retain=False, expiry_s=60, rate="-")

    name: Short
    at: Timestamp
    ok: bool
    error: Short | None = None


# --- commands ---------------------------------------------------------------------------------


class Args(BaseModel):
    """The arguments of a command: unknown ones are refused, an operator's typo must not pass."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        defer_build=True,
    )


class Watch(Args):
    """Show packet lines for a while."""

    seconds: Annotated[int, Field(ge=1, le=600)] = 60
    mac: WrittenMac | None = None
    class_: Annotated[ClassName | None, Field(alias="class")] = None


class Reset(Args):
    """Start a new epoch: totals begin at zero."""


class Mark(Args):
    """Say something of a device; what is not given stays. Kept over restarts."""

    mac: WrittenMac
    name: Annotated[str, StringConstraints(max_length=63)] | None = None
    """What it is called from now on; empty: as it calls itself."""
    known: bool | None = None
    pinned: bool | None = None
    ignored: bool | None = None


class ProbeNow(Args):
    """Probe one address, or all, without waiting for the round."""

    address: Ip | None = None


class Announce(Args):
    """Publish for a while what another program of this machine is about to send, as our own."""

    seconds: Annotated[float, Field(gt=0, le=600)]
    echo_per_s: Annotated[float, Field(ge=0, le=1000)] = 0
    arp_per_s: Annotated[float, Field(ge=0, le=100)] = 0
    mac: Mac
    ip: Ip


class Silence(Args):
    """Close an alert and keep it shut for a while."""

    key: Slug
    minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)]


class Acknowledge(Args):
    """Mark an open alert as seen by a person."""

    key: Slug


class SetThreshold(Args):
    """Change one rule while it runs; what is not given stays. Kept over restarts."""

    rule: Slug
    mac: WrittenMac | None = None
    """Only for this device; None: for every device."""
    reset: bool = False
    """First forget what was changed of it while the detector runs: what is configured holds."""
    enabled: bool | None = None
    floor: Annotated[float, Field(gt=0, le=1e9)] | None = None
    factor: Annotated[float, Field(ge=1, le=1e6)] | None = None
    raise_m: Annotated[int, Field(ge=1, le=60)] | None = None
    raise_n: Annotated[int, Field(ge=1, le=60)] | None = None
    raise_at_once: Annotated[float, Field(ge=1, le=1e6)] | None = None
    close_ratio: Ratio | None = None
    quiet_s: Annotated[float, Field(gt=0, le=86400)] | None = None
    usual_after_s: Annotated[float, Field(ge=60, le=30 * 86400)] | None = None


class UploadNow(Args):
    """Send what is due without waiting for the interval (the cloud's own limits still hold)."""


class NotifyTest(Args):
    """Send a test message."""

    destination: Slug | None = None
    """Its name in the settings; null: to every one."""


class AcknowledgeAll(Args):
    """Mark every open alert as seen by a person."""


class SilenceAll(Args):
    """Close every open alert and keep it shut for a while."""

    minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 60


COMMANDS: Final[dict[Service, dict[str, type[Args]]]] = {
    Service.CAPTURE: {"watch": Watch, "reset": Reset, "mark": Mark},
    Service.PROBER: {"probe_now": ProbeNow, "announce": Announce},
    Service.DETECTOR: {
        "silence": Silence,
        "acknowledge": Acknowledge,
        "set_threshold": SetThreshold,
    },
    Service.CLOUD_BRIDGE: {"upload_now": UploadNow},
    Service.HISTORY: {},
    Service.DASHBOARD: {},
    Service.NOTIFIER: {"test": NotifyTest},
    Service.HOME_ASSISTANT: {"acknowledge": AcknowledgeAll, "silence": SilenceAll},
}
"""The commands each service obeys, with their arguments."""

OWNED: Final[tuple[type[Message], ...]] = (
    Wire,
    Traffic,
    Onset,
    Packet,
    Device,
    Probe,
    Target,
    Alert,
    WatchState,
    Sent,
    Rollup,
    Rates,
    RuleState,
    AlertEvent,
)
"""The messages that exactly one service writes."""

SHARED: Final[tuple[type[Message], ...]] = (Health, Command, Result)
"""The messages every service may write under its own name (commands: under the addressee's)."""

FOREIGN: Final = Delivery("state", 1, retain=True, expiry_s=None, rate="on change")
"""Of what stands outside our tree."""
STATUS: Final = Delivery("status", 1, retain=True, expiry_s=None, rate="on change")
OFFLINE_EXPIRY_S: Final = 7 * 86400


def message_type(service: str, kind: str) -> type[Message] | None:
    """Return the class of the messages on ``{service}/{kind}/+``; None: not of the contract."""
    for candidate in OWNED:
        if kind == candidate.KIND:
            return candidate if service == candidate.SERVICE else None
    return next((candidate for candidate in SHARED if kind == candidate.KIND), None)
