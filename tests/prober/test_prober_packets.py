"""Echo requests and replies as bytes, held against scapy's own reading of them."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from monitorpi_prober.sources import mdns, packets

TOKEN = b"\x01\x02\x03\x04\x05\x06\x07\x08"
NUMBERS = st.integers(1, 2**63)


def raw() -> packets.Format:
    """Build the format of a raw IPv4 socket."""
    return packets.Format(packets.V4, 0xBEEF, TOKEN)


def reply_to(request: bytes, code: int = 0, payload: bytes | None = None) -> bytes:
    """Answer a request as a host does, with an IP header before it as a raw socket sees it."""
    data = request[8:] if payload is None else payload
    reply = ICMP(type=0, code=code, id=int.from_bytes(request[4:6], "big"))
    reply.seq = int.from_bytes(request[6:8], "big")
    return b"\x45" + bytes(19) + bytes(reply / data)


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


@pytest.mark.parametrize("place", range(20, 84))
def test_a_reply_with_one_wrong_bit_is_not_sound(place: int) -> None:
    """Type, code, checksum, identifier, sequence number and all data count."""
    one = raw()
    forged = bytearray(reply_to(one.request(77)))

    forged[place] ^= 0x40

    assert one.number_of(bytes(forged)) is None


@pytest.mark.parametrize(
    ("code", "payload", "flaw"),
    [
        (3, None, "answers with code 3 instead of 0"),
        (0, b"", "answers, but without the data that was sent"),
        (0, b"x" * 56, "answers, but not with what was sent"),
        (0, TOKEN + (77).to_bytes(8, "big"), "answers, but not with what was sent"),
        (0, TOKEN + (77).to_bytes(8, "big") + b"\1" * 40, "answers, but not with what was sent"),
        (0, TOKEN + (77).to_bytes(8, "big") + bytes(41), "answers, but not with what was sent"),
        (0, bytes(56), "answers, but not with what was sent"),
        (3, TOKEN + (77).to_bytes(8, "big") + bytes(41), "answers, but not with what was sent"),
        (3, TOKEN + (77).to_bytes(8, "big") + b"\1" * 40, "answers, but not with what was sent"),
        (3, bytes(56), "answers, but not with what was sent"),
        (0, TOKEN + (78).to_bytes(8, "big") + bytes(40), "answers with another sequence number"),
    ],
)
def test_a_reply_that_is_not_sound_is_no_silence(
    code: int, payload: bytes | None, flaw: str
) -> None:
    """What a host answers instead is told in words, with the request it belongs to."""
    one = raw()

    found = one.examine(reply_to(one.request(77), code, payload))

    assert found is not None
    assert (found.sequence, found.flaw) == (77, flaw)


def test_a_damaged_reply_says_nothing() -> None:
    """With a wrong checksum no field can be relied on."""
    one = raw()
    data = bytearray(reply_to(one.request(77)))
    data[22] ^= 1

    assert one.examine(bytes(data)) == packets.Unsound(77, None, None)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", 0), (b"\1", 0x100), (b"\1\2", 0x102), (b"\1\2\3", 0x402)]
)
def test_a_sum_is_of_whole_words(data: bytes, words: int) -> None:
    """An odd byte has a zero behind it (RFC 1071)."""
    assert packets._sum(data) == words


def test_replies_to_others_are_not_examined() -> None:
    """Another identifier, and what is no echo reply, is nobody's answer to us."""
    one, other = raw(), packets.Format(packets.V4, 0x1234, TOKEN)

    assert one.examine(reply_to(other.request(77))) is None
    assert one.examine(b"\x45" + bytes(19) + one.request(77)) is None


@given(st.binary(max_size=120))
def test_garbage_is_never_ours(data: bytes) -> None:
    """No bytes from the wire crash the reading, and none without our token are ours."""
    assert raw().number_of(data) is None
    assert raw().number_sent(data) is None
    raw().examine(data)
    packets.quoted_request(data)


@given(st.lists(st.tuples(st.integers(0, 41), st.integers(0, 66), st.binary(max_size=48))))
def test_garbage_in_ancillary_data(extra: list[tuple[int, int, bytes]]) -> None:
    """No ancillary data crashes the reading of stamps and errors."""
    packets.arrival_ns(extra)
    packets.read_queued(extra, packets.V4)
    packets.read_queued(extra, packets.V6)


def extended(kind: int, code: int, origin: int = 2, errno: int = 113) -> bytes:
    """Build the extended error of ip(7), from 10.0.0.1."""
    body = struct.pack("@IBBBBII", errno, origin, kind, code, 0, 0, 0)
    return body + struct.pack("=HH", 2, 0) + b"\n\0\0\1"


@pytest.mark.parametrize("stamped", [False, True])
def test_an_error_names_who_says_it(stamped: bool) -> None:
    """An ICMP error carries cause and address, also where the kernel stamped it besides."""
    stamp = [(socket.SOL_SOCKET, packets.SO_TIMESTAMPING, struct.pack("@6q", 5, 7, 0, 0, 0, 0))]
    error = [(0, packets.IP_RECVERR, extended(3, 1))]

    found = packets.read_queued([*stamp * stamped, *error], packets.V4)

    assert found == packets.IcmpError(113, 3, 1, "10.0.0.1")
    assert packets.explain(found, packets.V4) == "no route to host, says 10.0.0.1"


@pytest.mark.parametrize(("old", "layout"), [(False, "=qq"), (True, "@ll")])
def test_moments_have_the_size_that_was_asked_for(old: bool, layout: str) -> None:
    """64 bits on every machine; before Linux 5.1 a long: 32 on small boards. Cut off, none."""
    arrival, sending = packets.SO_TIMESTAMPNS, packets.SO_TIMESTAMPING
    if old:
        arrival, sending = packets.BEFORE_LINUX_5_1[arrival], packets.BEFORE_LINUX_5_1[sending]
    assert (arrival, sending) == ((35, 37) if old else (64, 65))
    moment = struct.pack(layout, 5, 7)
    for data, ns in (
        (moment, 5_000_000_007),
        (moment + moment, 5_000_000_007),
        (moment[:-1], None),
    ):
        assert packets.arrival_ns([(socket.SOL_SOCKET, arrival, data)]) == ns
        assert packets.read_queued([(socket.SOL_SOCKET, sending, data)], packets.V4) == ns
        assert packets.arrival_ns([(0, arrival, data)]) is None


def test_a_stamp_of_sending_is_no_error() -> None:
    """The kernel marks it as such beside the stamp."""
    extra = [
        (socket.SOL_SOCKET, packets.SO_TIMESTAMPING, struct.pack("@6q", 5, 7, 0, 0, 0, 0)),
        (0, packets.IP_RECVERR, extended(0, 0, origin=4, errno=42)),
    ]

    assert packets.read_queued(extra, packets.V4) == 5_000_000_007


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        (3, 13, "forbidden by a filter, says 10.0.0.1"),
        (3, 10, "forbidden by a filter, says 10.0.0.1"),
        (11, 0, "the way is too long (time to live exceeded), perhaps a loop, says 10.0.0.1"),
        (3, 3, "it takes no echo requests, says 10.0.0.1"),
    ],
)
def test_errors_in_words(kind: int, code: int, words: str) -> None:
    """Type and code say more than the kernel's number, which is the same for all of these."""
    found = packets.read_queued([(0, packets.IP_RECVERR, extended(kind, code))], packets.V4)

    assert isinstance(found, packets.IcmpError)
    assert packets.explain(found, packets.V4) == words


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


def test_mdns_questions_and_long_labels() -> None:
    """What is no answer names nobody; a label has 63 letters at most (RFC 1035)."""

    def named(label: bytes, flags: int) -> str | None:
        query = mdns.question("192.0.2.7", 5)
        name = bytes([len(label)]) + label + b"\x05local\0"
        record = b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 120, len(name)) + name
        data = struct.pack("!6H", 5, flags, 1, 1, 0, 0) + query[12:] + record
        return mdns.answer(data, "192.0.2.7")

    assert named(b"x" * 63, 0x8400) == "x" * 63
    assert named(b"x" * 64, 0x8400) is None
    assert named(b"printer", 0x0400) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [("printer.local", "printer"), ("a\x1b[2Jb", "a[2Jb"), (" .a. ", "a"), ("\x00", None),
     (".local", "local"), ("", None), ("x.local.local", "x.local")],
)  # fmt: skip
def test_of_a_name_what_can_be_shown_is(name: str, shown: str | None) -> None:
    """Whatever a device calls itself, nothing moves the cursor."""
    assert mdns._clean(name) == shown


def test_mdns_names_in_pieces() -> None:
    """A piece may end in a pointer, too: what comes behind a name is behind its first pointer."""
    query = mdns.question("192.0.2.7", 5)
    name = b"\x07printer\x05local\0"
    pointer = b"\xc0" + bytes([len(query) + 12])  # to the pointer that is what this one says
    other = pointer + struct.pack("!HHIH", 16, 1, 120, 2) + b"\xc0\x0c"
    own = b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 120, len(name)) + name
    head = struct.pack("!6H", 5, 0x8400, 1, 2, 0, 0)

    assert mdns.answer(head + query[12:] + other + own, "192.0.2.7") == "printer"


def test_mdns_pointer_loop() -> None:
    """A name that points to itself is malformed, not an endless loop."""
    data = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c"

    assert mdns.answer(data, "192.0.2.7") is None


@given(st.binary(max_size=200))
def test_mdns_garbage(data: bytes) -> None:
    """No answer crashes the reading."""
    mdns.answer(data, "192.0.2.7")
    mdns.answer(struct.pack("!6H", 0, 0x8400, 1, 2, 0, 0) + data, "192.0.2.7")
