"""The engine on real sockets, against a responder in a network namespace that knows the truth."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_common.log import Log
from monitorpi_dev.bench.prober import ProberBench, addresses
from monitorpi_host import interfaces
from monitorpi_lab.namespace import LabError, Namespace
from monitorpi_lab.responder import Behaviour, fate
from monitorpi_prober.flights import ReplyCounts
from monitorpi_prober.items import Exit, RoundDone
from monitorpi_prober.schedule import ProbeGroup, ProbePlan, ProbeTarget
from monitorpi_prober.settings import ProberSettings
from monitorpi_prober.sources import sweep
from monitorpi_prober.sources.discovery import Discovery, Refusal, sweepable
from monitorpi_prober.sources.exits import exits_of
from monitorpi_prober.sources.once import one_round
from monitorpi_prober.sources.pinger import Pinger

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.calm]

CALM = {
    "loss": 0,
    "duplicate": 0,
    "wrong_sequence": 0,
    "reorder": 0,
    "spread_ms": 0,
    "jitter_ms": 0,
}
TIMEOUT_S = 1.0
"""Longer than a busy machine stands still, so that only what is programmed is lost or late."""


@pytest.fixture(scope="module")
def bench() -> Iterator[ProberBench]:
    """Two namespaces with a cable between them."""
    try:
        one = ProberBench()
    except LabError as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield one
    one.close()


def group(*ips: str, probes: int = 20, seconds: float = 1.0) -> ProbeGroup:
    """Build a group of some addresses."""
    return ProbeGroup(seconds, probes, tuple(ProbeTarget(ip, ip, ip, ip) for ip in ips), seconds)


@contextlib.contextmanager
def responding(bench: ProberBench, **behaviour: Any) -> Iterator[dict[str, list[float | None]]]:
    """Let the responder behave in some way; its truth is there afterwards."""
    told = json.dumps(CALM | behaviour)
    responder = bench.far.popen(
        [sys.executable, "-m", "monitorpi_lab.responder", "far0", "--behaviour", told],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert responder.stdout is not None
    responder.stdout.readline()
    truth: dict[str, list[float | None]] = {}
    try:
        yield truth
    finally:
        responder.terminate()
        truth |= json.loads(responder.communicate(timeout=10)[0])


def measure(
    bench: ProberBench, *ips: str, probes: int = 20, seconds: float = 1.0, **behaviour: Any
) -> tuple[RoundDone, dict[str, list[float | None]], ReplyCounts]:
    """Let the responder behave in some way for one round; returns it, the truth and the tally."""
    pinger = Pinger()
    with responding(bench, **behaviour) as truth:
        done = bench.near.call(
            one_round, pinger, group(*ips, probes=probes, seconds=seconds), TIMEOUT_S
        )
    return done, truth, pinger.tally


def answered(done: RoundDone) -> list[list[bool]]:
    """Return which requests were answered, per target."""
    return [[time is not None for time in echoes.times_ms] for echoes in done.echoes]


def test_loss_duplicates_and_wrong_sequence_numbers(bench: ProberBench) -> None:
    """Exactly the requests that were answered count, however often and wrongly besides."""
    ips = addresses(20)
    behaviour = {"loss": 0.3, "duplicate": 0.5, "wrong_sequence": 0.5, "jitter_ms": 30.0}

    done, truth, tally = measure(bench, *ips, **behaviour)

    program = Behaviour(**(CALM | behaviour))
    expected = [[not fate(program, ip, n).lost for n in range(20)] for ip in ips]
    assert answered(done) == expected
    assert [[held is not None for held in truth[ip]] for ip in ips] == expected
    assert tally.duplicate > 50
    assert tally.foreign > 50


def test_overtaken_replies_are_credited_to_their_own_requests(bench: ProberBench) -> None:
    """A reply that comes after those to later requests has its own time, in its own place."""
    ips = addresses(10)

    done, truth, tally = measure(bench, *ips, reorder=0.3, reorder_ms=120.0)

    program = Behaviour(**(CALM | {"reorder": 0.3}))
    assert sum(fate(program, ip, n).overtaken for ip in ips for n in range(20)) > 30
    for echoes in done.echoes:
        assert echoes.times_ms == pytest.approx(truth[echoes.key], abs=10)
    assert tally == ReplyCounts()


def test_late_replies_do_not_count(bench: ProberBench) -> None:
    """What comes after the time limit is lost, and known as late."""
    done, _, tally = measure(bench, *addresses(10), late=0.5, late_ms=1400.0)

    program = Behaviour(**(CALM | {"late": 0.5}))
    expected = [[not fate(program, ip, n).late for n in range(20)] for ip in addresses(10)]
    assert answered(done) == expected
    assert tally.late > 20


def test_a_standstill_loses_no_reply(bench: ProberBench) -> None:
    """Replies that came in time count, though the process stood still beyond the time limit."""
    timeout_s, pinger, done = TIMEOUT_S / 2, Pinger(), []

    def take(item: object) -> None:
        if not isinstance(item, RoundDone):
            return
        done.append(item)
        if len(done) == 1:
            time.sleep(3 * timeout_s)  # the standstill, while requests of the other are under way
        else:
            pinger.stop()

    pinger.follow(ProbePlan((), timeout_s))
    pinger.hurry(group("198.18.0.1", probes=1, seconds=0.01))
    pinger.hurry(group(*addresses(20), probes=5, seconds=0.5))
    with responding(bench, delay_ms=50.0):
        bench.near.call(pinger.run, take)

    assert all(map(all, answered(done[1])))


def test_who_answers_for_another_is_noticed(bench: ProberBench) -> None:
    """A reply from an address that was not asked is no reply, and the target says whose it was."""
    done, _, tally = measure(bench, "198.18.3.1", probes=5, impostor=1.0)

    assert answered(done) == [[False] * 5]
    assert done.echoes[0].error == "answered by 198.18.3.2"
    assert tally.impostor == 5


def test_requests_are_evenly_spaced(bench: ProberBench) -> None:
    """A round's requests are spread over it, never sent at once."""
    started = time.monotonic()
    done, _, _ = measure(bench, *addresses(20), probes=5, seconds=2.0)

    assert time.monotonic() - started >= 1.9
    assert (done.end - done.start).total_seconds() >= 1.9


def test_trouble_with_one_delays_no_other(bench: ProberBench) -> None:
    """No route, a silent neighbour and a missing address each have a clear state."""
    ips = ("198.18.0.1", "203.0.113.9", "198.19.0.77", "2001:db8::1")

    done, _, _ = measure(bench, *ips, probes=10)

    errors = [echoes.error for echoes in done.echoes]
    assert answered(done)[0] == [True] * 10
    assert not any(map(any, answered(done)[1:]))
    assert errors[0] is None
    assert errors[1] == "network is unreachable"
    assert errors[3] in ("network is unreachable", "cannot assign requested address")


def test_unprivileged_sockets_and_ipv6(bench: ProberBench) -> None:
    """Where the system allows everybody to ping, no raw socket is used; IPv6 works alike."""
    bench.near.run(["sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"])
    bench.near.run(["ip", "-6", "address", "add", "fd00::1/128", "dev", "lo"])
    try:
        done, _, tally = measure(bench, "198.18.0.1", "fd00::1", "127.0.0.1", probes=5)
    finally:
        bench.near.run(["sysctl", "-qw", "net.ipv4.ping_group_range=1 0"])

    assert answered(done) == [[True] * 5] * 3
    assert tally.foreign == 0


def test_raw_sockets_and_ipv6(bench: ProberBench) -> None:
    """With raw sockets IPv6 targets are probed like the others."""
    done, _, _ = measure(bench, "198.18.0.1", "::1", probes=5)

    assert answered(done) == [[True] * 5] * 2


def test_source_is_announced(bench: ProberBench) -> None:
    """The MAC and the address that requests leave from are found by the routing table."""
    plan = ProbePlan((group(*addresses(20), probes=10, seconds=10.0),))
    mac = bench.near.call(lambda: Path("/sys/class/net/eth0/address").read_text()).strip()

    exits = bench.near.call(exits_of, plan, None)

    assert exits == dict.fromkeys(addresses(20), Exit("198.19.0.2", mac))


def test_subnets_are_those_that_need_no_router() -> None:
    """Also the one of an IPv6 address that DHCP gave; a VPN that takes all traffic is none."""
    try:
        space = Namespace("subnets")
    except LabError as error:
        pytest.skip(f"no network namespaces here: {error}")
    try:
        space.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"])
        for words in (
            "link set eth0 up",
            "link set far0 up",
            "address add 198.18.9.1/28 dev eth0",
            "route add 203.0.113.0/24 via 198.18.9.2",
            "route add default via 198.18.9.2",
            "route add unreachable 192.0.2.0/24",
            "route add 128.0.0.0/1 dev eth0",
            "-6 address add 2001:db8:1::5/128 dev eth0 nodad",
            "-6 route add 2001:db8:1::/64 dev eth0",
            "-6 route add 2001:db8:2::/64 via 2001:db8:1::1",
            "-6 route add unreachable 2001:db8:3::/64",
            "-6 route add default via 2001:db8:1::1",
            "-6 route add 2000::/3 dev eth0",
            "-6 route add 2001:db8:4::/48 dev eth0",
        ):
            space.run(["ip", *words.split()])

        code = "from monitorpi_host.routes import attached_networks; print(*attached_networks())"
        found = set(space.run([sys.executable, "-c", code]).stdout.split())
    finally:
        space.close()

    public = {one for one in found if ipaddress.ip_network(one).prefixlen < 128}
    assert public - {"fe80::/64", "ff00::/8"} == {"198.18.9.0/28", "2001:db8:1::/64"}


def test_source_interface(bench: ProberBench) -> None:
    """Sending from a named interface works; an unknown one is refused with the known ones."""
    done = bench.near.call(one_round, Pinger("lo"), group("127.0.0.1", probes=3), TIMEOUT_S)
    assert answered(done) == [[True] * 3]

    with pytest.raises(Exception, match=r"there is no interface 'wlan9'.*eth0"):
        bench.near.call(one_round, Pinger("wlan9"), group("127.0.0.1"), TIMEOUT_S)


# --- discovery ------------------------------------------------------------------------------


def test_a_sweep_finds_neighbours() -> None:
    """Hosts that answer ARP are found with their MAC, nothing else is."""
    try:
        one, two = Namespace("sweeper"), Namespace("neighbour")
    except LabError as error:
        pytest.skip(f"no network namespaces here: {error}")
    try:
        holder = two.popen(["sleep", "infinity"])
        one.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"])
        one.run(["ip", "link", "set", "far0", "netns", str(holder.pid)])
        for space, name, ips in (
            (one, "eth0", ["198.18.9.1/28"]),
            (two, "far0", ["198.18.9.5/28", "198.18.9.6/28"]),
        ):
            for ip in ips:
                space.run(["ip", "address", "add", ip, "dev", name])
            space.run(["ip", "link", "set", name, "up"])
        mac = two.call(lambda: Path("/sys/class/net/far0/address").read_text()).strip()
        settings = ProberSettings(discover=True, discover_rate=100, max_arp_rate=200)
        discovery = Discovery(settings, Log("prober"))
        near = [i for i in one.call(lambda: list(interfaces.attached())) if i.name == "eth0"]

        found = one.call(discovery._sweep, near[0])

        assert {(s.address, s.mac) for s in found} == {("198.18.9.5", mac), ("198.18.9.6", mac)}
    finally:
        one.close()
        two.close()


def test_a_sweep_ends_with_its_prober() -> None:
    """Where the prober is killed nobody goes on asking beside the next one's announced sweep."""
    code = (
        "import subprocess\n"
        "from monitorpi_prober.sources.discovery import sweep_command\n"
        "from monitorpi_host.interfaces import Interface\n"
        "lo = Interface('lo', '02:00:00:00:00:01', '198.18.0.1', 22, True, False, True)\n"
        "with subprocess.Popen(sweep_command(lo, 1)) as one: print(one.pid, flush=True)"
    )

    def listens() -> bool:
        try:
            return any("socket:" in str(fd.readlink()) for fd in (child / "fd").iterdir())
        except OSError:
            return False  # it closed a file while we looked

    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as prober:
        try:
            assert prober.stdout is not None
            child = Path("/proc") / prober.stdout.readline().strip()
            wait_for(listens, what="the sweep to listen")
        finally:
            prober.kill()

    wait_for(lambda: not child.exists(), what="the sweep to end")


def test_what_is_swept() -> None:
    """Mirror ports, interfaces without an address and large subnets are not swept."""

    def interface(name: str, ip: str | None, prefix: int = 24) -> interfaces.Interface:
        return interfaces.Interface(
            name, "02:00:00:00:00:01", ip, prefix if ip else None, True, False, True
        )

    near = [
        interface("eth0", None),
        interface("eth1", "198.18.1.1"),
        interface("eth2", "198.18.2.1"),
        interface("eth3", "10.0.0.1", 8),
    ]
    chosen = list(sweepable(near, ProberSettings(listen_only=["eth2"])))

    assert [i.name for i in chosen if isinstance(i, interfaces.Interface)] == ["eth1"]
    [refused] = [i for i in chosen if isinstance(i, Refusal)]
    assert refused.interface == "eth3"
    assert "raise prober.discover_max_addresses (1024)" in refused.reason


@pytest.mark.parametrize(
    "frame", [b"", b"\0" * 14, b"\xff" * 60, b"\0" * 12 + b"\x08\x06" + b"\xff" * 28]
)
def test_foreign_frames_are_no_answers(frame: bytes) -> None:
    """A sweep reads nothing into frames that are no ARP replies."""
    assert sweep.reply(frame, ipaddress.IPv4Network("198.18.0.0/24")) is None
