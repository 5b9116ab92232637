"""Echo requests and replies as bytes, held against scapy's own reading of them."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from monitorpi_prober import mdns, packets

TOKEN = b"\x01\x02\x03\x04\x05\x06\x07\x08"
NUMBERS = st.integers(1, 2**63)


def raw() -> packets.Format:
    """Build the format of a raw IPv4 socket."""
    return packets.Format(packets.V4, 0xBEEF, TOKEN)


def reply_to(request: bytes) -> bytes:
    """Answer a request as a host does, with an IP header before it as a raw socket sees it."""
    return b"\x45" + bytes(19) + b"\0" + request[1:]


@given(NUMBERS, st.integers(0, 0xFFFF), st.binary(min_size=8, max_size=8))
@example(0xFFFF, 0, bytes(8))
def test_checksum(number: int, identifier: int, token: bytes) -> None:
    """The checksum is the one scapy computes, for every number, identifier and token."""
    request = packets.Format(packets.V4, identifier, token).request(number)
    blank = ICMP(request)
    del blank.chksum

    assert bytes(blank) == request


@given(NUMBERS)
def test_a_reply_is_recognised(number: int) -> None:
    """What answers a request has its number."""
    one = raw()

    assert one.number_of(reply_to(one.request(number))) == number
    assert one.number_sent(bytes(34) + one.request(number)) == number


def test_foreign_replies_are_not_ours() -> None:
    """Another token, identifier, sequence number, code or type is not an answer to us."""
    one = raw()
    good = reply_to(one.request(77))

    for place in (20, 21, 25, 27, 28):
        forged = bytearray(good)
        forged[place] ^= 0x40
        assert one.number_of(bytes(forged)) is None


@given(st.binary(max_size=120))
def test_garbage_is_never_ours(data: bytes) -> None:
    """No bytes from the wire crash the reading, and none without our token are ours."""
    assert raw().number_of(data) is None
    assert raw().number_sent(data) is None
    packets.sequence_of(data)


@given(st.lists(st.tuples(st.integers(0, 41), st.integers(0, 40), st.binary(max_size=48))))
def test_garbage_in_ancillary_data(extra: list[tuple[int, int, bytes]]) -> None:
    """No ancillary data crashes the reading of stamps and errors."""
    packets.arrival_ns(extra)
    packets.departure_ns(extra)
    packets.icmp_error(extra, packets.V4)
    packets.icmp_error(extra, packets.V6)


def test_an_error_names_who_says_it() -> None:
    """An ICMP error carries the cause and the address of the router that reports it."""
    body = struct.pack("@IBBBBII", 113, 2, 3, 1, 0, 0, 0) + struct.pack("=HH", 2, 0) + b"\n\0\0\1"

    found = packets.icmp_error([(0, packets.IP_RECVERR, body)], packets.V4)

    assert found == (113, "10.0.0.1")
    assert packets.explain(*found) == "no route to host, says 10.0.0.1"


def test_the_latest_number_with_a_sequence() -> None:
    """A quoted sequence number means the newest request that had it."""
    assert packets.latest_with(0xFFFE, 0x20001) == 0x1FFFE
    assert packets.latest_with(1, 0x20001) == 0x20001


def test_mdns_answer() -> None:
    """A device's own name is read from its answer, with compressed names too."""
    query = mdns.question("192.0.2.7", 5)
    name = b"\x07printer\x05local\0"
    record = b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 120, len(name)) + name
    data = struct.pack("!6H", 5, 0x8400, 1, 1, 0, 0) + query[12:] + record

    assert mdns.answer(data, "192.0.2.7") == "printer"
    assert mdns.answer(data, "192.0.2.8") is None


def test_mdns_pointer_loop() -> None:
    """A name that points to itself is malformed, not an endless loop."""
    data = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c"

    assert mdns.answer(data, "192.0.2.7") is None


@given(st.binary(max_size=200))
def test_mdns_garbage(data: bytes) -> None:
    """No answer crashes the reading."""
    mdns.answer(data, "192.0.2.7")
    mdns.answer(struct.pack("!6H", 0, 0x8400, 1, 2, 0, 0) + data, "192.0.2.7")
