"""What a target says that answers oddly, late, through somebody else, or not at all."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitorpi_cli.ping import measure
from monitorpi_dev.bench.prober import ProberBench
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import ProbeResult

pytestmark = pytest.mark.lab

TARGET: Final = "198.18.3.1"
CALM: Final = {
    "loss": 0,
    "duplicate": 0,
    "wrong_sequence": 0,
    "reorder": 0,
    "spread_ms": 0,
    "jitter_ms": 0,
}
SOCKETS: Final = {"raw": "1 0", "unprivileged": "0 2147483647"}
"""What ``ping_group_range`` makes of it."""


@pytest.fixture(scope="module")
def bench() -> Iterator[ProberBench]:
    """Two namespaces with a cable between them."""
    try:
        one = ProberBench()
    except LabError as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield one
    one.close()


@contextlib.contextmanager
def sockets(space: Namespace, kind: str) -> Iterator[None]:
    """Let a namespace's programs have one kind of ICMP socket."""
    space.run(["sysctl", "-qw", f"net.ipv4.ping_group_range={SOCKETS[kind]}"])
    try:
        yield
    finally:
        space.run(["sysctl", "-qw", f"net.ipv4.ping_group_range={SOCKETS['raw']}"])


def asked(space: Namespace, *addresses: str, count: int = 3) -> list[ProbeResult]:
    """Measure one round of some addresses, in their order."""
    return space.call(measure, addresses, count, 1.0, None).targets


def answering(bench: ProberBench, kind: str, **behaviour: Any) -> ProbeResult:
    """Measure one round while the responder behaves in some way."""
    command = [sys.executable, "-m", "monitorpi_lab.responder", "far0", "--behaviour"]
    responder = bench.far.popen(
        [*command, json.dumps(CALM | behaviour)], stdout=subprocess.PIPE, text=True
    )
    assert responder.stdout is not None
    responder.stdout.readline()
    try:
        with sockets(bench.near, kind):
            [row] = asked(bench.near, TARGET)
    finally:
        responder.terminate()
        responder.communicate(timeout=10)
    return row


@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize(
    ("behaviour", "cause", "error"),
    [
        ({"flaw": "empty"}, "altered", "answers, but without the data that was sent"),
        ({"flaw": "short"}, "altered", "answers, but not with what was sent"),
        ({"flaw": "other data"}, "altered", "answers, but not with what was sent"),
        ({"flaw": "code"}, "altered", "answers with code 3 instead of 0"),
        ({"flaw": "sequence"}, "altered", "answers with another sequence number"),
        ({"impostor": 1.0}, "other-address", "answered by 198.18.3.2"),
    ],
)
def test_who_answers_oddly_is_up(
    bench: ProberBench, kind: str, behaviour: dict[str, Any], cause: str, error: str
) -> None:
    """Its times are worth nothing, but nothing is lost, and it says why, on either socket."""
    row = answering(bench, kind, **behaviour)

    assert (row.state, row.sent, row.received, row.altered) == ("up", 3, 0, 3)
    assert (row.loss_ratio, row.rtt_avg_ms) == (0.0, None)
    assert (row.cause, row.error) == (cause, error)


@pytest.mark.parametrize("kind", SOCKETS)
def test_who_answers_late_is_up(bench: ProberBench, kind: str) -> None:
    """A reply after the time limit is no loss, and no time."""
    row = answering(bench, kind, late=1.0, late_ms=1200.0)

    assert (row.state, row.sent, row.received, row.late) == ("up", 3, 0, 3)
    assert (row.loss_ratio, row.rtt_avg_ms, row.cause) == (0.0, None, "late")
    assert row.error == "answers late, after 1.2 s: the limit is 1 s"


@pytest.mark.parametrize("kind", SOCKETS)
def test_a_wrong_checksum_is_no_answer(bench: ProberBench, kind: str) -> None:
    """The kernel hands it to nobody's unprivileged socket: so it counts nowhere."""
    row = answering(bench, kind, flaw="checksum")

    assert (row.state, row.sent, row.received, row.altered) == ("unknown", 3, 0, 0)
    assert (row.cause, row.loss_ratio) == ("no-reply", None)


@pytest.mark.parametrize("kind", SOCKETS)
def test_who_answers_soundly_has_nothing_to_say(bench: ProberBench, kind: str) -> None:
    """The measure of all others."""
    row = answering(bench, kind)

    assert (row.sent, row.received, row.late, row.altered, row.unsent) == (3, 3, 0, 0, 0)
    assert (row.error, row.cause) == (None, None)


# --- who is not there -------------------------------------------------------------------------


@dataclass
class Cabled:
    """The prober's machine, and a router at the other end of its cable."""

    near: Namespace
    router: Namespace
    hosts: list[Namespace] = field(default_factory=list)


@pytest.fixture(scope="module")
def cabled() -> Iterator[Cabled]:
    """Two namespaces: 198.18.9.1, and a router 198.18.9.5 that knows what it cannot reach."""
    try:
        near, router = Namespace("near"), Namespace("router")
    except LabError as error:
        pytest.skip(f"no network namespaces here: {error}")
    try:
        holder = router.popen(["sleep", "infinity"])
        near.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"])
        near.run(["ip", "link", "set", "far0", "netns", str(holder.pid)])
        for words in (
            "ip link set lo up",
            "ip link set eth0 up",
            "ip address add 198.18.9.1/24 dev eth0",
            "ip address add fd00::1/64 dev eth0 nodad",
            "ip address add fe80::1/64 dev eth0 nodad",
            "ip route add 203.0.113.0/24 via 198.18.9.5",
            "ip route add 192.0.2.0/24 via 198.18.9.66",
        ):
            near.run(words.split())
        for words in (
            "ip link set lo up",
            "ip link set far0 up",
            "ip address add 198.18.9.5/24 dev far0",
            "ip address add fd00::5/64 dev far0 nodad",
            "ip address add fe80::5/64 dev far0 nodad",
            "ip route add unreachable 203.0.113.0/25",
            "ip route add prohibit 203.0.113.128/25",
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0",
        ):
            router.run(words.split())
        yield Cabled(near, router)
    finally:
        near.close()
        router.close()


@pytest.mark.parametrize("kind", SOCKETS)
def test_who_is_not_there_says_why(cabled: Cabled, kind: str) -> None:
    """A router that says no, a neighbour that is silent, a router that is: each in its words."""
    expected = {
        "203.0.113.9": ("unreachable", "no route to host, says 198.18.9.5"),
        "203.0.113.200": ("unreachable", "forbidden by a filter, says 198.18.9.5"),
        "198.18.9.77": ("no-neighbour", "nobody answers ARP for this address"),
        "fd00::77": ("no-neighbour", "nobody answers neighbour discovery for this address"),
        "192.0.2.1": ("no-neighbour", "the router to it, 198.18.9.66, does not answer ARP"),
        "100.64.0.1": ("no-network", "network is unreachable"),
        "fe80::1%nosuch": ("no-network", "this machine has no interface nosuch"),
        "fe80::77%eth0": ("no-neighbour", "nobody answers neighbour discovery for this address"),
        "198.18.9.5": (None, None),
        "fd00::5": (None, None),
        "fe80::5%eth0": (None, None),
    }

    with sockets(cabled.near, kind):
        rows = {row.address: row for row in asked(cabled.near, *expected)}

    assert {address: (row.cause, row.error) for address, row in rows.items()} == expected
    for row in rows.values():
        assert row.sent + row.unsent == 3
        was_sent = row.cause in (None, "unreachable")
        assert (row.sent, row.unsent) == ((3, 0) if was_sent else (0, 3)), row.address
        assert row.loss_ratio == (0.0 if row.cause is None else None)


def test_silent_addresses_take_nothing_from_the_living(cabled: Cabled) -> None:
    """Also where a process may not enlarge its buffers, as in a container; ten of ten arrive."""
    silent = [f"198.18.9.{n}" for n in range(100, 140)]
    command = [sys.executable, "-m", "monitorpi_cli.ping", "--json", "198.18.9.5", *silent]
    bounds = ["setpriv", "--bounding-set", "-net_admin,-sys_admin", "--"]

    done = cabled.near.run([*bounds, *command], check=False, timeout_s=60)

    living, *others = json.loads(done.stdout)["targets"]
    assert (living["sent"], living["received"], living["loss_ratio"]) == (10, 10, 0)
    assert {(row["sent"], row["unsent"], row["loss_ratio"]) for row in others} == {(0, 10, None)}


def test_a_hundred_that_come_up_at_once_are_all_found(cabled: Cabled) -> None:
    """Nothing is lost on them nor on those that were there, though each is asked for by ARP."""
    cabled.router.run(["ip", "address", "add", "198.18.9.128/25", "dev", "far0"])
    addresses = ["198.18.9.5", *(f"198.18.9.{n}" for n in range(130, 230))]
    for address in addresses[1:]:
        cabled.router.run(["ip", "address", "add", f"{address}/32", "dev", "far0"])

    rows = asked(cabled.near, *addresses)

    assert {(row.sent, row.received, row.unsent, row.error) for row in rows} == {(3, 3, 0, None)}
