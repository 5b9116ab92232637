"""The kernel's table of neighbours, routes and addresses, as it tells of them (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

import pytest

from monitorpi_prober.sources import neighbours as module
from monitorpi_prober.sources.neighbours import Hop, Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

DONE, ERROR, NEW_NEIGHBOUR, NEW_ADDRESS, NEW_ROUTE = 3, 2, 28, 20, 24
GROUPS = (3, 5, 7, 9, 11)
"""RTNLGRP_NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE (linux/rtnetlink.h)."""


def message(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """Write a message of the kernel, padded to four bytes."""
    size = 16 + len(body)
    head = struct.pack("=IHHII", size if length is None else length, kind, 0, 0, 0)
    return head + body + bytes(-size % 4)


def attribute(kind: int, value: bytes, length: int | None = None) -> bytes:
    """Write an attribute, padded to four bytes."""
    size = 4 + len(value)
    return struct.pack("=HH", size if length is None else length, kind) + value + bytes(-size % 4)


class Kernel:
    """A routing socket with what it is going to say."""

    def __init__(self, *said: bytes | Exception) -> None:
        self.said = [*said]
        self.asked: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        """Take a question."""
        self.asked.append(data)

    def recv(self, _: int) -> bytes:
        """Say the next."""
        if not self.said:
            raise BlockingIOError
        found = self.said.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End."""
        self.closed = True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def listening(*said: bytes | Exception) -> Neighbours:
    """Return a table that is told these."""
    return Neighbours(cast("socket.socket", Kernel(*said)))


# --- this machine's -------------------------------------------------------------------------------


def test_this_machines_own_table_is_read() -> None:
    """Where there is a routing socket; loopback is ours, and needs no neighbour."""
    one = Neighbours()
    one.open()
    try:
        assert one.sock is not None
        assert one.fileno() == one.sock.fileno()
        assert one.sock.getsockname()[1] == sum(1 << (group - 1) for group in GROUPS)
        assert not one.sock.getblocking()
        assert "127.0.0.1" in one.own
        assert one.routes_changed
        assert one.hops(["127.0.0.1"]) == {}
        assert not one.routes_changed
    finally:
        one.close()
    assert (one.sock, one.fileno(), one.poll(), one.hops(["192.0.2.1"])) == (None, None, False, {})
    one.close()


@pytest.mark.parametrize("where", ["socket", "bind"])
def test_where_no_routing_socket_is_allowed_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """And nothing is held back."""
    kernel = Kernel()

    def refused(*_: Any) -> Any:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    kernel.bind = refused  # type: ignore[attr-defined]
    made = refused if where == "socket" else lambda *_: kernel
    monkeypatch.setattr(module.socket, "socket", made)
    one = Neighbours()

    one.open()

    assert (one.sock, one.usable, one.routes_changed) == (None, set(), False)
    assert kernel.closed is (where == "bind")


def test_there_is_room_for_all_changes_of_a_large_lan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of them, in the groups that tell of neighbours, addresses and routes."""
    options: list[Any] = []

    class Told(Kernel):
        def bind(self, where: tuple[int, int]) -> None:
            options.append(where)

        def setsockopt(self, *option: int) -> None:
            options.append(option)

        def setblocking(self, flag: bool) -> None:
            options.append(flag)

    monkeypatch.setattr(module.socket, "socket", lambda *_: Told())
    monkeypatch.setattr(Neighbours, "_read_all", lambda _: options.append("read"))

    Neighbours().open()

    assert options == [(0, 0x554), (socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20), False, "read"]


# --- what changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "routes", "own"),
    [(24, True, False), (25, True, False), (20, True, True), (21, True, True), (26, False, False),
     (28, False, False), (16, False, False)],
)  # fmt: skip
def test_routes_and_addresses_that_change(
    monkeypatch: pytest.MonkeyPatch, kind: int, routes: bool, own: bool
) -> None:
    """Come or go: ways are looked up anew, and what our own addresses are."""
    monkeypatch.setattr(module, "_own_addresses", lambda: iter(["192.0.2.9"]))
    one = listening(message(kind, bytes(8)))

    assert one.poll()

    assert (one.routes_changed, bool(one.own)) == (routes, own)


def test_what_was_lost_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says when it could not tell of all changes."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, 2, 2, 0, 1)
    there = message(NEW_NEIGHBOUR, body + attribute(1, b"\xc0\0\2\1"))
    asked = Kernel(there + message(DONE))
    monkeypatch.setattr(module, "_question", lambda: asked)
    monkeypatch.setattr(module, "_own_addresses", lambda: iter(["192.0.2.9"]))
    one = listening(OSError(errno.ENOBUFS, "lost"), there)
    one.usable = {(7, b"old")}

    assert one.poll()

    assert one.usable == {(2, b"\xc0\0\2\1")}
    assert (one.own, one.routes_changed, asked.closed) == (frozenset({"192.0.2.9"}), True, True)
    kind, flags = struct.unpack_from("=HH", asked.asked[0], 4)
    assert (kind, flags) == (30, 0x301)
    assert asked.asked[0][16:] == bytes(12)


@pytest.mark.parametrize(
    ("state", "is_usable"),
    [(0x00, False), (0x01, False), (0x02, True), (0x04, True), (0x08, True), (0x10, True),
     (0x20, False), (0x40, True), (0x80, True), (0x21, False)],
)  # fmt: skip
def test_which_neighbours_can_be_sent_to_at_once(state: int, is_usable: bool) -> None:
    """Not one that is asked for, nor one that did not answer (linux/neighbour.h)."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, 2, state, 0, 1) + attribute(1, b"\xc0\0\2\1")
    one = listening(message(NEW_NEIGHBOUR, body))

    assert one.poll()

    assert bool(one.usable) is is_usable


def test_a_message_that_is_cut_says_nothing() -> None:
    """Nor one without an address."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, 2, 2, 0, 1)
    one = listening(message(NEW_NEIGHBOUR, body[:8]), message(NEW_NEIGHBOUR, body))

    assert one.poll()

    assert one.usable == set()


# --- questions ------------------------------------------------------------------------------------


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    """Have the kernel answer questions."""

    def answer(*said: bytes | Exception) -> Kernel:
        kernel = Kernel(*said)
        monkeypatch.setattr(module, "_question", lambda: kernel)
        monkeypatch.setattr(module, "has_no_arp", lambda _: False)
        return kernel

    return answer


def route(out: int = 2) -> bytes:
    """Write a route through an interface, to an address that is near."""
    head = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 1, 0)
    return message(NEW_ROUTE, head + attribute(4, struct.pack("=i", out)))


def test_a_way_is_asked_for_by_address_and_interface(answers: Callable[..., Kernel]) -> None:
    """By that of a zone before that of the settings; an interface that is none has no way."""
    kernel = answers(route(), route(3), route(4))
    one = listening()
    one.routes_changed = True
    index = struct.pack("=i", socket.if_nametoindex("lo"))

    found = one.hops(["fe80::9%nosuch0", "192.0.2.1", "fe80::1%lo"])

    near = socket.inet_pton(socket.AF_INET6, "fe80::1")
    assert found == {"192.0.2.1": Hop((2, b"\xc0\0\2\1")), "fe80::1%lo": Hop((3, near))}
    assert not one.routes_changed
    four, six = kernel.asked
    assert four == struct.pack("=IHHII", 36, 26, 1, 1, 0) + struct.pack(
        "=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 0, 0) + attribute(1, b"\xc0\0\2\1")  # fmt: skip
    assert six[16:18] == bytes((socket.AF_INET6, 128))
    assert six[28:] == attribute(1, near) + attribute(4, index)
    assert one.hops(["192.0.2.1"], "lo") == {"192.0.2.1": Hop((4, b"\xc0\0\2\1"))}
    assert kernel.asked[2].endswith(attribute(4, index))
    assert one.hops(["192.0.2.1"], "nosuch0") == {}


def test_what_the_kernel_refuses_leaves_the_others(answers: Callable[..., Kernel]) -> None:
    """No route, or no answer at all."""
    other = bytearray(route())
    other[4] = 25  # a route that went
    answers(message(ERROR, bytes(20)), TimeoutError(), bytes(other), route())

    found = listening().hops([f"192.0.2.{n}" for n in range(4)])

    assert list(found) == ["192.0.2.3"]


def test_whether_a_link_has_arp_is_looked_up_once(
    answers: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each link."""
    asked: list[int] = []
    answers(route(), route(3), route(), route(3))
    monkeypatch.setattr(module, "has_no_arp", lambda index: bool(asked.append(index) or index == 2))

    found = listening().hops([f"192.0.2.{n}" for n in range(4)])

    assert (asked, list(found)) == ([2, 3], ["192.0.2.1", "192.0.2.3"])


def test_a_long_answer_comes_in_parts(answers: Callable[..., Kernel]) -> None:
    """Up to its end, or to an error; what comes with that still counts."""

    def address(family: int, *attributes: bytes) -> bytes:
        return message(
            NEW_ADDRESS, struct.pack("=BBBBi", family, 24, 0, 0, 2) + b"".join(attributes)
        )

    local, of = attribute(2, b"\xc0\0\2\1"), attribute(1, b"\xc0\0\2\2")
    six = attribute(1, socket.inet_pton(socket.AF_INET6, "fd00::1"))
    kernel = answers(
        address(2, of, local) + address(socket.AF_INET6, six), address(2, of) + address(2)
        + message(NEW_ROUTE, bytes(12)) + message(NEW_ADDRESS, b"\2") + address(17, of)
        + message(DONE) + address(2, attribute(2, b"\1\1\1\1")),
        address(2, attribute(2, b"\2\2\2\2")),
    )  # fmt: skip

    assert list(module._own_addresses()) == ["192.0.2.1", "fd00::1", "192.0.2.2"]
    assert struct.unpack_from("=HH", kernel.asked[0], 4) == (22, 0x301)
    assert kernel.asked[0][16:] == bytes(8)


def test_an_answer_without_parts_is_one_packet() -> None:
    """Nothing more is waited for."""
    kernel = Kernel(message(NEW_ROUTE) + message(NEW_ROUTE), message(NEW_ROUTE))

    assert len(module._ask(cast("socket.socket", kernel), 26, b"")) == 2
    assert len(kernel.said) == 1


# --- bytes ----------------------------------------------------------------------------------------


def test_messages_and_attributes_are_padded_to_four_bytes() -> None:
    """Their kinds may carry flags; what is left of one that is cut short is none."""
    two = message(7, b"abcde") + message(8, b"f") + b"\0" * 15
    assert list(module._messages(two)) == [(7, b"abcde"), (8, b"f")]
    pair = attribute(1, b"abcde") + attribute(0xC002, b"f") + b"\0" * 3
    assert list(module._attributes(bytes(8) + pair, 8)) == [(1, b"abcde"), (2, b"f")]
    assert module._attribute(1, b"abcde") == attribute(1, b"abcde")


@pytest.mark.parametrize("length", [0, 3])
def test_a_length_that_cannot_be_ends_the_reading(length: int) -> None:
    """It would never end else."""
    assert list(module._messages(message(7) + message(8, length=length) + message(9))) == [(7, b"")]
    data = attribute(7, b"") + attribute(8, b"", length) + attribute(9, b"")
    assert list(module._attributes(data, 0)) == [(7, b"")]
    assert list(module._messages(message(7, length=16))) == [(7, b"")]
    assert list(module._attributes(attribute(7, b"", 4), 0)) == [(7, b"")]


def test_an_answer_is_waited_for_a_second() -> None:
    """The kernel answers at once."""
    with module._question() as sock:
        assert sock.gettimeout() == 1.0
