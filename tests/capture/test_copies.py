"""How often a frame is shown: copies of a mirror, and who may claim them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.shown_frames import EVERYBODY, PORT, datagram, mac, shown, spaced, talk

from monitorpi_capture.count.copies import CopyMeter, _is_evidence
from monitorpi_capture.count.copyevidence import MOST_GROUP, MOST_UNICAST
from monitorpi_capture.items import FrameSample, SampledFrame


def segment(source: int, target: int, number: int, flags: int, payload: int = 0) -> bytes:
    """Return a TCP frame."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40 + payload, number & 0xFFFF, 0, 64, 6, 0)
    head += bytes((198, 18, 0, source, 198, 18, 0, target))
    tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60000, 80, number, 0, 0x50, flags, 1, 0, 0)
    return mac(target) + mac(source) + b"\x08\x00" + head + tcp + b"x" * payload


# --- what a mirror does ---------------------------------------------------------------------------


def test_frames_shown_once_are_no_copies() -> None:
    """A mirror as it should be."""
    output = shown(talk(1, 2), talk(3, 4))

    assert (output.ratio, output.wire.any, output.devices) == (0.0, False, {})


@pytest.mark.parametrize(("times", "share"), [(2, 0.5), (3, 0.667)])
def test_both_directions_of_two_ports(times: int, share: float) -> None:
    """Each frame between mirrored ports comes two or three times, within microseconds."""
    output = shown(talk(1, 2, times=times, back=times))

    assert output.ratio == share
    assert (output.wire.unicast, output.wire.received) == (share, share)


def test_one_direction_may_be_shown_twice() -> None:
    """Requests come twice and answers once: who really asks twice is answered twice."""
    output = shown(talk(1, 2, times=2))

    assert output.devices[mac(1)].unicast == 0.5
    assert output.devices[mac(2)].unicast == 0.0


def test_two_of_many_ports_may_be_shown_twice() -> None:
    """What two devices send each other comes twice, everybody else's frames once."""
    output = shown(talk(1, 2, times=2, back=2), talk(3, 4), talk(5, 6), talk(7, 8))

    assert output.wire.unicast == 0.0
    assert output.devices[mac(1)].unicast == 0.5
    assert mac(3) not in output.devices


def test_a_broadcast_is_shown_at_each_port_it_leaves_by() -> None:
    """Kinds differ: frames between two devices twice, broadcasts as often as there are ports."""
    output = shown(
        *(
            spaced((datagram(one, EVERYBODY, n + one * 100) for n in range(9)), each_s=0.1, times=7)
            for one in (1, 2, 3)
        ),
        talk(1, 2, times=2, back=2),
    )

    assert (output.wire.unicast, output.wire.group) == (0.5, 0.857)


def test_broadcasts_may_be_single_where_the_rest_is_not() -> None:
    """Frames between mirrored ports come twice, what comes in from elsewhere once."""
    output = shown(
        talk(1, 2, times=2, back=2),
        *(spaced((datagram(one, EVERYBODY, n) for n in range(9)), each_s=0.1) for one in (1, 2, 3)),
    )

    assert (output.wire.unicast, output.wire.group) == (0.5, 0.0)


@pytest.mark.parametrize("tags", [b"\x81\x00\x00\x07", b"\x88\xa8\x00\x01\x81\x00\x00\x07"])
def test_a_copy_may_have_a_tag(tags: bytes) -> None:
    """A trunk port shows the same frame with its VLAN tag."""
    pairs = [
        [(at_s, data), (at_s + 3e-5, data[:12] + tags + data[12:])] for at_s, data in talk(1, 2)
    ]

    assert shown(*pairs).ratio == 0.5


def test_a_short_copy_may_have_a_tag_in_place_of_its_filling() -> None:
    """A frame of the least length is as long with a tag as without."""
    short = [(100 + n * 0.02, datagram(1, 2, n)[:50]) for n in range(30)]
    tagged = [
        (at_s + 3e-5, (data[:12] + b"\x81\x00\x00\x07" + data[12:]).ljust(60, b"\0"))
        for at_s, data in short
    ]
    plain = [(at_s, data.ljust(60, b"\0")) for at_s, data in short]

    assert shown(plain, tagged).ratio == 0.5


def test_a_routed_frame_is_no_copy() -> None:
    """On its second wire a packet has other MAC addresses and a TTL one less."""
    first = talk(1, 2)
    routed = [
        (at_s + 1e-4, mac(9) + mac(8) + data[12:22] + b"\x3f" + data[23:]) for at_s, data in first
    ]

    assert shown(first, routed).ratio == 0.0


def test_nothing_is_known_of_a_quiet_wire() -> None:
    """Five frames are no evidence."""
    assert shown(talk(1, 2, count=2, times=2)).ratio is None
    assert CopyMeter().report(PORT).ratio is None


def test_what_was_known_fades() -> None:
    """When the mirror is set right, copies are forgotten within some seconds."""
    meter = CopyMeter()
    assert shown(talk(1, 2, times=2, back=2), meter=meter).ratio == 0.5
    for second in range(1, 30):
        single = [(at_s + 2 * second, data) for at_s, data in talk(1, 2, count=20)]
        changed = [(at_s, data[:18] + bytes((second,)) + data[19:]) for at_s, data in single]
        output = shown(changed, meter=meter)

    assert output.ratio is not None
    assert output.ratio < 0.02


# --- what nature does -----------------------------------------------------------------------------


def test_equal_acknowledgements_are_no_copies() -> None:
    """A host that numbers no packets acknowledges twice with the same bytes."""
    acks = [segment(1, 2, n, 0x10) for n in range(60)]

    output = shown(spaced(acks, each_s=0.01, times=2), talk(3, 4))

    assert output.ratio == 0.0


def test_segments_that_may_have_been_merged_are_no_evidence() -> None:
    """Receive offload joins the copies of a stream in other ways than the stream."""
    large = [segment(1, 2, n, 0x18, 1200) for n in range(60)]

    assert shown(spaced(large, each_s=0.01), talk(3, 4, times=2, back=2)).ratio == 0.5


def test_a_frame_sent_again_is_no_copy() -> None:
    """Retries, gratuitous ARP sent twice a second apart, VRRP's hellos."""
    again = [spaced((datagram(1, EVERYBODY, 1) for _ in range(40)), each_s=0.03)]

    assert not shown(*again, talk(2, 3)).wire.any


def test_small_segments_are_evidence() -> None:
    """A connection's beginning and its short answers are shown as often as anything else."""
    small = [segment(1, 2, n, 0x18, 100) for n in range(60)]

    assert shown(spaced(small, each_s=0.01, times=2)).ratio == 0.5


@pytest.mark.parametrize(("payload", "ratio"), [(945, 0.5), (946, None)])
def test_a_segment_of_a_thousand_bytes_may_have_been_merged(
    payload: int, ratio: float | None
) -> None:
    """Up to there it is evidence, from there on none."""
    segments = [segment(1, 2, n, 0x18, payload) for n in range(60)]

    assert shown(spaced(segments, each_s=0.01, times=2)).ratio == ratio


@pytest.mark.parametrize(("length", "ratio"), [(1518, 0.5), (1519, None)])
def test_a_frame_larger_than_any_was_merged(length: int, ratio: float | None) -> None:
    """Whatever it carries: no wire had it so."""
    sent = [datagram(1, 2, n).ljust(length, b"x") for n in range(60)]

    assert shown(spaced(sent, each_s=0.01, times=2)).ratio == ratio


@pytest.mark.parametrize(("place", "ratio"), [(103, 0.0), (104, 0.5)])
def test_frames_are_compared_up_to_the_checksum_that_tells_them_apart(
    place: int, ratio: float
) -> None:
    """What differs behind the first 104 bytes differs before as well, where it is no copy."""

    def differing(number: int) -> list[tuple[float, bytes]]:
        data = datagram(1, 2, number).ljust(120, b"x")
        return [(100 + number * 0.02, data), (100 + number * 0.02 + 3e-5,
                data[:place] + b"y" + data[place + 1 :])]  # fmt: skip

    assert shown(*(differing(number) for number in range(40))).ratio == ratio


# --- who would be excused -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [150, 400, 2000, 20000])
def test_a_flood_of_equal_frames_is_not_excused(rate: int) -> None:
    """A tool with constant fields sends one frame again and again."""
    flood = spaced([datagram(1, 2, 7)] * rate, each_s=1 / rate)

    output = shown(flood, talk(3, 4), talk(5, 6))

    assert mac(1) not in output.devices
    assert output.wire.unicast == 0.0


def test_who_sends_each_frame_twice_is_not_excused() -> None:
    """Alone with copies among others without, and answered by nobody, it is the sender's doing."""
    twice = spaced((datagram(1, 2, n) for n in range(300)), each_s=0.003, times=2)

    output = shown(twice, talk(3, 4), talk(5, 6))

    assert output.devices.get(mac(1)) is None


def test_real_doubles_are_answered_twice() -> None:
    """Requests that were sent twice get two answers: no copies of a mirror."""
    there = spaced((datagram(1, 2, n) for n in range(40)), each_s=0.02, times=2)
    back = [(at_s + 1e-4, datagram(2, 1, number)) for number, (at_s, _) in enumerate(there)]

    assert shown(there, back, talk(3, 4)).devices.get(mac(1)) is None


@given(
    forged=st.integers(0, 20),
    times=st.integers(1, 30),
    kind=st.sampled_from(["unicast", "group"]),
    honest=st.integers(3, 8),
)
def test_an_attacker_gains_little_and_nobody_else_anything(
    forged: int, times: int, kind: str, honest: int
) -> None:
    """Whatever is sent twice under however many addresses, shares stay within their bounds.

    On a wire without copies nobody's own rate is lowered but the attacker's own, by 3 at most
    (broadcasts: by 8).
    """
    target = EVERYBODY if kind == "group" else mac(99)
    attack = [
        spaced((datagram(100 + one, target, n) for n in range(12)), each_s=0.05, times=times)
        for one in range(forged)
    ]
    others = [talk(2 * one + 1, 2 * one + 2, times=1) for one in range(honest)]

    output = shown(*attack, *others)

    for one in range(2 * honest):
        own = output.devices.get(mac(one + 1), output.wire)
        assert own.unicast == 0.0
    for shares in (*output.devices.values(), output.wire):
        assert shares.unicast <= 1 - 1 / MOST_UNICAST + 0.001
        assert shares.group <= 1 - 1 / MOST_GROUP + 0.001
    assert (MOST_GROUP, MOST_UNICAST) == (8.0, 3.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2), st.binary(max_size=140))))
def test_any_bytes_at_any_time_are_borne(frames: list[tuple[float, int, bytes]]) -> None:
    """Garbage, in any order of time, on three interfaces."""
    meter = CopyMeter()
    names = ("a", "b", "c")
    meter.take(
        FrameSample(names, [SampledFrame(at, port, len(data), data) for at, port, data in frames])
    )

    for name in names:
        output = meter.report(name)
        assert output.ratio is None or 0 <= output.ratio < 1
        assert all(0 <= share < 1 for one in output.devices.values() for share in one)


@pytest.mark.parametrize(
    ("kind", "protocol", "flags", "length", "is_evidence"),
    [
        (4, 6, 0x18, 999, True), (4, 6, 0x10, 999, False), (4, 6, 0x18, 1000, False),
        (4, 17, 0x10, 1000, True), (4, 17, 0x10, 1518, True), (4, 17, 0x10, 1519, False),
        (6, 6, 0x18, 999, True), (6, 6, 0x10, 999, False), (6, 6, 0x18, 1000, False),
        (6, 17, 0x10, 1000, True), (6, 17, 0x10, 1518, True), (6, 17, 0x10, 1519, False),
        (0, 6, 0x10, 1000, True),
    ],
)  # fmt: skip
def test_which_frames_are_evidence(
    kind: int, protocol: int, flags: int, length: int, is_evidence: bool
) -> None:
    """Of TCP those that were hardly merged and say more than that something came."""
    if kind == 4:
        network = bytes([0x46]) + bytes(8) + bytes([protocol]) + bytes(14)
    else:
        network = bytes([0x60]) + bytes(5) + bytes([protocol]) + bytes(33)
    ether_type = {4: b"\x08\x00", 6: b"\x86\xdd", 0: b"\x08\x06"}[kind]
    transport = bytes(13) + bytes([flags]) + bytes(30)
    data = bytes(12) + ether_type + network + transport

    assert _is_evidence(data, length) is is_evidence
    if protocol == 6 and kind and is_evidence:  # cut before its flags: nobody knows
        assert not _is_evidence(data[: data.index(transport) + 13], length)


def test_what_comes_again_is_remembered_of_groups_alone() -> None:
    """Who repeats a broadcast is no loop's work; a datagram that comes again is a program's."""
    meter = CopyMeter()
    for target in (EVERYBODY, 2):
        frame = datagram(1, target, 7)
        frames = [SampledFrame(100.0 + n, 0, len(frame), frame) for n in range(3)]
        meter.take(FrameSample((PORT,), frames))

    assert dict(meter._evidence[PORT].repeats) == {mac(1): 2}
    assert meter._evidence[PORT].group_frames == 3


def test_memory_is_bounded() -> None:
    """A hundred thousand senders fit."""
    meter = CopyMeter()
    for burst in range(20):
        sent = [datagram(0, 1, burst * 5000 + n) for n in range(5000)]
        frames = [
            SampledFrame(100 + burst + n / 5000, 0, 60, one[:6] + n.to_bytes(6, "big") + one[12:])
            for n, one in enumerate(sent)
        ]
        meter.take(FrameSample((PORT,), frames))
        meter.report(PORT)

    assert len(meter._seen) <= 4096
    assert all(len(evidence.unicast) <= 1024 for evidence in meter._evidence.values())
