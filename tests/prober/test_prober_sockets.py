"""ICMP sockets as they are opened, on loopback: what one hears, and what it says it cannot."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from icmplib import ICMPSocketError, SocketAddressError, SocketPermissionError

from monitorpi_common.service import ResourceError
from monitorpi_prober.sources import packets, sockets, wire
from monitorpi_prober.sources.exits import Place
from monitorpi_prober.sources.packets import V4, V6
from monitorpi_prober.sources.sockets import Link, open_link
from monitorpi_prober.sources.wire import EchoWire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = b"\1\2\3\4\5\6\7\x08"


@contextlib.contextmanager
def opened(family: packets.Family = V4) -> Iterator[Link]:
    """Open a socket, or skip where that is not allowed; it is closed afterwards."""
    try:
        link = open_link(family, TOKEN, None, None)
    except (ResourceError, OSError) as error:
        pytest.skip(str(error))
    with link.sock:
        while heard(link):  # what somebody else was answered before there was a filter
            pass
        yield link


def heard(link: Link) -> bytes | None:
    """Return the next packet that is there; None: there is none."""
    try:
        return link.sock.recv(512)
    except BlockingIOError:
        return None


# --- what is heard --------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "to"), [(V4, "127.0.0.1"), (V6, "::1")])
def test_a_socket_hears_the_replies_to_its_own_requests(family: packets.Family, to: str) -> None:
    """Neither requests, nor replies to another; with the kernel's stamp of both moments."""
    with opened(family) as one, opened(family) as other:
        try:
            one.sock.sendto(one.format.request(77), (to, 0))
        except OSError as error:
            pytest.skip(str(error))

        assert select.select([one.sock], [], [], 5.0)[0]
        data, extra, _, _ = one.sock.recvmsg(512, 256)
        sent, stamps, _, _ = one.sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)

        assert one.format.number_of(data) == 77
        assert packets.arrival_ns(extra) is not None
        assert one.format.number_sent(sent) == 77
        assert isinstance(packets.read_queued(stamps, family), int)
        assert (heard(one), heard(other)) == (None, None)
        assert one.format.identifier is None or one.format.identifier != other.format.identifier
        assert one.stamps
        assert one.sock.getsockopt(family.level, family.recverr) == 1
        assert not one.sock.getblocking()


def test_a_socket_sends_from_where_it_is_told() -> None:
    """By the address, or through the interface; there is room for a second of replies."""
    with opened():
        pass  # or skip
    from_address = open_link(V4, TOKEN, "127.0.0.5", None)
    through = open_link(V4, TOKEN, None, "lo")
    with from_address.sock, through.sock:
        assert from_address.sock.getsockname()[0] == "127.0.0.5"
        assert (
            through.sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")
            == b"lo"
        )
        usual = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with usual:
            most = usual.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert through.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= most


# --- what cannot be opened ------------------------------------------------------------------------


def refusing(*refusals: type[Exception] | None) -> Callable[..., Any]:
    """Return a kind of socket that is refused in these ways, one after the other."""
    left = [*refusals]

    class Owner:
        def __init__(self, address: str | None, *, privileged: bool) -> None:
            self.asked = (address, privileged)
            refusal = left.pop(0)
            if refusal is SocketAddressError:
                raise refusal(address)
            if refusal is SocketPermissionError:
                raise refusal(privileged)
            if refusal is not None:
                raise refusal("no such protocol")
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def close(self) -> None:
            self.sock.close()

    return Owner


@pytest.mark.parametrize(
    ("refusals", "text"),
    [
        (
            [SocketPermissionError] * 2,
            "no ICMP socket may be opened: run as root, give CAP_NET_RAW",
        ),
        ([SocketAddressError], "cannot send from 192.0.2.9: prober.source must be an address"),
        ([SocketPermissionError, SocketAddressError], "cannot send from 192.0.2.9: "),
        ([ICMPSocketError], "no ICMP socket for IPv4: no such protocol"),
    ],
)
def test_why_no_socket_is_opened(
    monkeypatch: pytest.MonkeyPatch, refusals: list[type[Exception]], text: str
) -> None:
    """With what to do about it."""
    monkeypatch.setattr(sockets, "ICMPv4Socket", refusing(*refusals))

    with pytest.raises(ResourceError) as caught:
        open_link(V4, TOKEN, "192.0.2.9", None)

    assert str(caught.value).startswith(text)


def test_an_interface_that_may_not_be_sent_from_is_refused() -> None:
    """By its name, with the kernel's reason."""
    with opened():
        pass  # or skip
    with pytest.raises(ResourceError, match=r"cannot send from interface nosuch0 \(No such device"):
        open_link(V4, TOKEN, None, "nosuch0")


@pytest.mark.parametrize(
    ("refusals", "stamped", "is_raw"),
    [([None], True, False), ([SocketPermissionError, None], True, True), ([None], False, False)],
)
def test_an_unprivileged_socket_is_preferred(
    monkeypatch: pytest.MonkeyPatch, refusals: list[Any], stamped: bool, is_raw: bool
) -> None:
    """A raw one has an identifier, and a filter for it; either may have no stamps of sending."""
    filtered: list[int] = []
    monkeypatch.setattr(sockets, "ICMPv4Socket", refusing(*refusals))
    monkeypatch.setattr(sockets, "_filter", lambda _sock, _family, one: filtered.append(one))
    if not stamped:
        monkeypatch.setattr(packets, "SO_TIMESTAMPING", 9999)
        monkeypatch.setattr(packets, "BEFORE_LINUX_5_1", {64: 35, 9999: 9998})

    link = open_link(V4, TOKEN, None, None)

    with link.sock:
        assert link.stamps is stamped
        assert (link.format.identifier is not None) is is_raw
        assert filtered == ([link.format.identifier] if is_raw else [])
        assert not link.is_used


def test_a_kernel_without_times_of_64_bits_stamps_in_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The moments of sending and of arrival are known there too."""
    for option in ("SO_TIMESTAMPNS", "SO_TIMESTAMPING"):
        known = getattr(packets, option)
        monkeypatch.setitem(packets.BEFORE_LINUX_5_1, 9900 + known, packets.BEFORE_LINUX_5_1[known])
        monkeypatch.setattr(packets, option, 9900 + known)
    with opened() as link:
        began = time.time_ns()
        link.sock.sendto(link.format.request(77), ("127.0.0.1", 0))
        assert select.select([link.sock], [], [], 5.0)[0]
        _, extra, _, _ = link.sock.recvmsg(512, 256)
        _, stamps, _, _ = link.sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)

        assert {35, 37} <= {kind for _, kind, _ in stamps}
        left, came = packets.read_queued(stamps, V4), packets.arrival_ns(extra)
        assert isinstance(left, int)
        assert came is not None
        assert began <= left <= came <= time.time_ns()


class Options:
    """A socket that notes its options."""

    def __init__(self) -> None:
        self.set: dict[tuple[int, int], bytes] = {}

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        """Take an option."""
        self.set[level, name] = value


@pytest.mark.parametrize(
    ("family", "name", "passes"),
    [(V4, (255, 1), 0), (V6, (socket.IPPROTO_ICMPV6, 1), 129)],
)
def test_a_raw_socket_is_handed_echo_replies_alone(
    family: packets.Family, name: tuple[int, int], passes: int
) -> None:
    """A bit for each type that is kept from it (linux/icmp.h, linux/icmpv6.h)."""
    sock = Options()

    sockets._filter(sock, family, 0xBEEF)  # type: ignore[arg-type]

    bits = int.from_bytes(sock.set[name], "little")
    types = 32 if family is V4 else 256
    assert len(sock.set[name]) == types // 8
    assert bits == (1 << types) - 1 - (1 << passes)


@pytest.mark.parametrize(
    ("has_ip_header", "load"),
    [(True, [(0xB1, 0, 0, 0), (0x48, 0, 0, 4)]), (False, [(0x28, 0, 0, 4)])],
)
def test_the_filter_reads_the_identifier_behind_the_header(
    has_ip_header: bool, load: list[tuple[int, int, int, int]]
) -> None:
    """All of what has it passes, and nothing else (bpf_common.h)."""
    program = sockets._only_identifier(0xBEEF, has_ip_header=has_ip_header)

    assert program == [
        *load, (0x15, 0, 1, 0xBEEF), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)
    ]  # fmt: skip


def test_a_second_of_replies_has_room() -> None:
    """A megabyte; stamps are expected where nothing is said."""
    assert sockets._RECEIVE_BUFFER == 1 << 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert Link(sock, packets.Format(V4, None, TOKEN)).stamps


# --- all sockets ----------------------------------------------------------------------------------


class Opened:
    """Links that are opened for an :class:`EchoWire`, and which."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, has_v6: bool = True) -> None:
        self.asked: list[tuple[int, str | None, str | None]] = []
        self.tokens: set[bytes] = set()
        self.has_v6 = has_v6
        self.pipes: list[int] = []
        self.wire = EchoWire()
        monkeypatch.setattr(wire, "open_link", self.open)
        monkeypatch.setattr(type(self.wire.neighbours), "open", lambda _: self.done("opened"))
        monkeypatch.setattr(type(self.wire.neighbours), "close", lambda _: self.done("closed"))
        self.neighbours: list[str] = []

    def done(self, what: str) -> None:
        """Note what was done with the table of neighbours."""
        self.neighbours.append(what)

    def open(self, family: packets.Family, token: bytes, address: str | None,
             interface: str | None) -> Link:  # fmt: skip
        """Open a link."""
        self.asked.append((family.version, address, interface))
        self.tokens.add(token)
        if family is V6 and not self.has_v6:
            raise ResourceError("no IPv6")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return Link(sock, packets.Format(family, None, token))


@pytest.mark.parametrize(
    ("place", "has_v6", "asked"),
    [
        (Place(), True, [(4, None, None), (6, None, None)] * 2),
        (Place(), False, [(4, None, None), (6, None, None)] * 2),
        (Place("192.0.2.9"), True, [(4, "192.0.2.9", None), (6, None, None)] * 2),
        (Place("192.0.2.9", "eth9"), True,
         [(4, "192.0.2.9", "eth9"), (6, None, "eth9")] * 2 + [(4, None, None)]),
        (Place(None, "eth9"), False,
         [(4, None, "eth9"), (6, None, "eth9")] * 2 + [(4, None, None)]),
    ],
)  # fmt: skip
def test_two_sockets_of_each_version_are_opened(
    monkeypatch: pytest.MonkeyPatch, place: Place, has_v6: bool, asked: list[Any]
) -> None:
    """And one for loopback where the others leave by an interface; all are watched and closed."""
    one = Opened(monkeypatch, has_v6=has_v6)
    one.wire.links[6] = one.wire.quiet_links[6] = Link(
        socket.socket(), packets.Format(V6, 1, TOKEN)
    )
    old = one.wire.links[6].sock

    one.wire.open(place)

    versions = [4, 6] if has_v6 else [4]
    assert one.asked == asked
    assert (sorted(one.wire.links), sorted(one.wire.quiet_links)) == (versions, versions)
    assert len(one.tokens) == 1
    assert len(one.tokens.pop()) == 8
    has_own = place.interface is not None
    assert (one.wire.noise is one.wire.links[4]) is not has_own
    watched = one.wire.by_fileno()
    assert len(watched) == 2 * len(versions) + has_own
    assert all(link.sock.fileno() == number for number, link in watched.items())
    assert one.wire.noise in watched.values()
    assert one.neighbours == ["opened"]
    one.wire.close()
    assert {link.sock.fileno() for link in watched.values()} == {-1}
    assert (one.wire.by_fileno(), one.neighbours) == ({}, ["opened", "closed"])
    old.close()


def test_without_ipv4_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """That says why."""

    def refused(*_: Any) -> Link:
        raise ResourceError("no ICMP socket may be opened")

    monkeypatch.setattr(wire, "open_link", refused)

    with pytest.raises(ResourceError):
        EchoWire().open(Place())
