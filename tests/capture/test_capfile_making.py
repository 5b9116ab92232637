"""What a pcapng file tells of its making is said: a filter, frames that were lost."""

from __future__ import annotations

import struct

import pytest
from tests.capture.capstreams import block, enhanced, interface, opened, section


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Return an option."""
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def statistics(number: int, *options: bytes, order: str = "<") -> bytes:
    """Return the statistics of an interface."""
    return block(5, struct.pack(f"{order}III", number, 0, 0) + b"".join(options), order)


def notes(data: bytes) -> list[str]:
    """Return what is said of a file whose frames all count."""
    frames, file = opened(data)
    assert (len(frames), file.failure) == (1, None)
    return [note.removeprefix("x.pcap ") for note in file.notes]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\0tcp port 80", "the filter 'tcp port 80'"),
        (b"\0not arp\0", "the filter 'not arp'"),
        (b"\0\x1b[31m\xff", "the filter '\\x1b[31m\ufffd'"),
        (b"\0" + b"x" * 100, f"the filter '{'x' * 80}'..."),
        (b"\1" + bytes(64), "a filter of 8 instructions"),
        (b"\7abc", "a filter"),
        (b"", None), (b"\0", None), (b"\0  ", None), (b"\1", None),
    ],
)  # fmt: skip
def test_a_filter_is_told(order: str, value: bytes, says: str | None) -> None:
    """No alert of what was never let in is no good news."""
    data = section(order) + interface(order=order, options=option(11, value, order))

    found = notes(data + enhanced(1, order=order))

    text = f"was captured with {says}: what that kept out is in no count, and raises no alert"
    assert found == ([] if says is None else [text])


def test_one_filter_of_several_interfaces_is_told_once() -> None:
    """And each other one, too."""
    same, other = option(11, b"\0ip"), option(11, b"\0arp")
    data = section() + interface(options=same) + interface(options=same) + interface(options=other)

    found = notes(data + enhanced(1))

    assert [note.split("'")[1] for note in found] == ["ip", "arp"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_frames_that_were_lost_are_told(order: str) -> None:
    """The last statistics of each interface count; of the card's and the system's drops the sum."""

    def dropped(code: int, count: int) -> bytes:
        return option(code, struct.pack(f"{order}Q", count), order)

    data = (
        section(order) + interface(order=order) + interface(order=order) + enhanced(1, order=order)
        + statistics(0, dropped(5, 10), order=order)
        + statistics(0, dropped(5, 1200), dropped(7, 34), dropped(4, 99), order=order)
        + statistics(1, dropped(5, 0), order=order)
        + statistics(9, dropped(5, 5), order=order)
        + block(5, b"1234", order)
    )  # fmt: skip

    assert notes(data) == ["lost 1,234 frames of interface 0 when it was made: counts are too low"]


def test_each_section_tells_of_its_own_interfaces() -> None:
    """What is reported of a section is not forgotten when the next one begins."""
    lost = option(5, struct.pack("<Q", 7))
    one = section() + interface() + enhanced(1) + statistics(0, lost)

    found = notes(one + section() + interface() + interface() + statistics(1, lost))

    assert [note.split(" when")[0] for note in found] == [
        "lost 7 frames of interface 0", "lost 7 frames of interface 1",
    ]  # fmt: skip
