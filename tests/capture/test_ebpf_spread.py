"""What the kernel tells of a flood: how many addresses and ports, and who got most of it."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitorpi_capture.count.sketch import Vote
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_dev.sender import INTERFACE
from monitorpi_lab.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_capture.items import MacCounts

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
]

ATTACKER = b"\x02\0\0\0\0\x01"
VICTIM = b"\x02\0\0\0\xff\x01"


class Kernel:
    """The counting program, run over frames at hand."""

    def __init__(self, salt: int) -> None:
        self._space = Namespace("ebpf-spread")
        self._space.run(["ip", "link", "set", INTERFACE, "up"])
        self._engine = EbpfEngine([INTERFACE], 256)
        # the estimates hang on the secret: always the same one, always the same estimates
        self._engine._geometry = replace(self._engine._geometry, salt=salt)
        self._space.call(self._engine.open)
        self._run = system.TestRun(self._engine.programs[INTERFACE])

    def count(self, *frames: bytes) -> MacCounts:
        """Count frames of the attacker and return its row."""
        self._space.call(lambda: [self._run.run(frame) for frame in frames])
        (window,) = self._space.call(self._engine.close_windows)
        (row,) = (row for row in window.rows if row.mac == ATTACKER)
        return row

    def close(self) -> None:
        """Give everything back."""
        self._space.call(self._engine.close)
        self._space.close()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """Return the program, with a secret that is known."""
    made = Kernel(salt=0x5EED)
    yield made
    made.close()


def frame(
    source: int, target: int, port: int = 80, *, version: int = 4, echo: bool = False
) -> bytes:
    """Return a SYN or an echo request between numbered addresses."""
    head = VICTIM + ATTACKER
    if echo:
        kind, body = (1, b"\x08\0") if version == 4 else (58, b"\x80\0")
        body = body.ljust(20, b"\0")
    else:
        kind, body = 6, struct.pack("!HHIIBBHHH", 1024, port, 0, 0, 0x50, 2, 0, 0, 0)
    if version == 4:
        ends = struct.pack("!II", 0x0A000000 + source, 0x0B000000 + target)
        return (
            head + struct.pack("!HBBHHHBBH", 0x0800, 0x45, 0, 40, 0, 0, 64, kind, 0) + ends + body
        )
    ends = struct.pack("!QQQQ", 0xFD00 << 48, source, target << 32, 1)
    return head + struct.pack("!HIHBB", 0x86DD, 6 << 28, 20, kind, 64) + ends + body


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("many", [1, 2, 10, 100, 1_000, 10_000])
def test_estimates_are_within_ten_percent(kernel: Kernel, many: int, version: int) -> None:
    """Sources, targets and ports are counted apart, whatever the others do."""
    numbers = range(many)
    sources = kernel.count(*(frame(n, 1, version=version) for n in numbers)).spread
    targets = kernel.count(*(frame(1, n, version=version) for n in numbers)).spread
    ports = kernel.count(*(frame(1, 1, n, version=version) for n in numbers)).spread

    assert sources is not None
    assert targets is not None
    assert ports is not None
    about: object = pytest.approx(many, rel=0.1)
    assert (about, 1, 1) == (sources.src_ips, sources.dst_ips, sources.dst_ports)
    assert (1, about, 1) == (targets.src_ips, targets.dst_ips, targets.dst_ports)
    assert (1, 1, about) == (ports.src_ips, ports.dst_ips, ports.dst_ports)


def test_the_error_is_that_of_the_sketch() -> None:
    """Over many secrets the estimate's standard error is the 3.3 % of 1,024 registers."""
    many, errors = 4_000, []
    frames = [frame(number, 1, echo=True) for number in range(many)]
    for salt in range(25):
        one = Kernel(salt * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
        spread = one.count(*frames).spread
        one.close()
        assert spread is not None
        errors.append(spread.src_ips / many - 1)

    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.045
    assert abs(sum(errors) / len(errors)) < 0.02


def test_echo_requests_have_no_ports(kernel: Kernel) -> None:
    """Pings spread over addresses only, of both versions together."""
    row = kernel.count(*(frame(n, n, version=v, echo=True) for n in range(20) for v in (4, 6)))

    assert row.spread is not None
    assert row.spread.dst_ports == 0
    assert row.spread.src_ips == pytest.approx(40, abs=2)
    assert row.spread.dst_ips == pytest.approx(40, abs=2)
    assert row.syn_peer is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    aims=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([22, 80]), st.sampled_from([4, 6])),
        min_size=1,
        max_size=60,
    )
)
def test_votes_are_those_of_the_reference(kernel: Kernel, aims: list[tuple[int, int, int]]) -> None:
    """Whatever the order of the frames, kernel and reference name the same peer and port."""
    vote = Vote()
    for target, port, version in aims:
        data = frame(1, target, port, version=version)
        vote.add(VICTIM, data[30:34] if version == 4 else data[38:54], port)

    row = kernel.count(*(frame(1, target, port, version=v) for target, port, v in aims))

    assert vote.winner(with_port=True) == row.syn_peer


def test_no_peer_where_none_has_more_than_half(kernel: Kernel) -> None:
    """Two targets by turns: neither won, so neither is named."""
    row = kernel.count(*(frame(1, number % 2) for number in range(100)))

    assert row.syn_peer is None
