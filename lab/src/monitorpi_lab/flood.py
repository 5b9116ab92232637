"""A flood of a given kind and rate, for the lab alone.

Theory of operation. A pool of frames is built beforehand, so that sending costs one system call a
frame. Time is cut into ticks of 5 ms; at each tick as many frames go out as are due since the
start. After a stall of the machine the schedule moves on instead of catching up in a burst, which
would be another flood than the one asked for. Every flood is bounded in time and in number, and
none is sent on an interface that the lab did not make: see :func:`require_lab`.
"""

from __future__ import annotations

import errno
import json
import random
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from monitorpi_lab import frames
from monitorpi_lab.namespace import LabError, safe_alias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitorpi_lab.lan import Host

Kind = Literal["syn", "icmp_echo", "arp", "broadcast", "dhcp", "igmp"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

MAX_RATE: Final = 200_000
"""Frames per second; a Python sender reaches 100,000 to 400,000 on one core."""
MAX_SECONDS: Final = 600.0
TICK_S: Final = 0.005
_MAX_LATE_S: Final = 0.05
_POOL: Final = 4096  # different frames; after them the flood repeats itself
_PACKET_QDISC_BYPASS: Final = 20  # linux/if_packet.h; Python has no name for it
_SOL_PACKET: Final = 263
_DISCARD_PORT: Final = 9  # RFC 863: nobody answers


@dataclass(frozen=True)
class Flood:
    """What to send.

    ``source_mac``, ``source_ip``: an address, or ``random`` for a new one in each frame. ``port``
    and ``source_port``: a number, or 0 for a random one in each frame. The victim's addresses are
    not used by arp, broadcast, dhcp and igmp. ``count`` 0: as many as the time allows.
    """

    kind: Kind
    rate: float
    """Frames per second."""
    seconds: float
    source_mac: str
    source_ip: str
    victim_mac: str = frames.BROADCAST_MAC
    victim_ip: str = "255.255.255.255"
    port: int = 80
    source_port: int = 0
    count: int = 0
    interface: str = "eth0"
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LabError(f"no flood is called {self.kind!r}; there are {', '.join(KINDS)}")
        if not 0 < self.rate <= MAX_RATE:
            raise LabError(f"a flood has more than 0 and at most {MAX_RATE} frames/s")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise LabError(f"a flood lasts more than 0 and at most {MAX_SECONDS:g} s")

    @property
    def total(self) -> int:
        """Frames it is to send."""
        by_time = round(self.rate * self.seconds)
        return min(by_time, self.count) if self.count else by_time


@dataclass(frozen=True)
class FloodSent:
    """What a flood really put on the wire; times are Unix time in seconds."""

    frames: int
    refused: int
    """Frames the kernel did not take (its queue was full); they were not on the wire."""
    first_s: float
    last_s: float

    @property
    def rate(self) -> float:
        """Frames per second from the first to the last."""
        return (self.frames - 1) / max(self.last_s - self.first_s, TICK_S)


# --- the frames ----------------------------------------------------------------------------------


def pool(flood: Flood) -> list[bytes]:
    """Build the different frames of a flood, the same ones for the same seed."""
    dice = random.Random(flood.seed)  # noqa: S311 - repeatable on purpose
    number = min(_POOL, flood.total)
    return [_frame(flood, dice, index) for index in range(number)]


def _frame(flood: Flood, dice: random.Random, index: int) -> bytes:
    mac = _random_mac(dice) if flood.source_mac == "random" else flood.source_mac
    ip = _random_ip(dice) if flood.source_ip == "random" else flood.source_ip
    macs, ips = (mac, flood.victim_mac), (ip, flood.victim_ip)
    ports = (
        flood.source_port or dice.randrange(1024, 65536),
        flood.port or dice.randrange(1, 65536),
    )
    match flood.kind:
        case "syn":
            return frames.tcp_syn(macs, ips, ports, dice.getrandbits(32))
        case "icmp_echo":
            return frames.icmp_echo(macs, ips, flood.seed & 0xFFFF, index & 0xFFFF)
        case "arp":
            return frames.arp_request(mac, ip, f"198.18.{index >> 8 & 3}.{index & 0xFF}")
        case "broadcast":
            to_all = ((mac, frames.BROADCAST_MAC), (ip, "255.255.255.255"))
            return frames.udp(*to_all, (ports[0], _DISCARD_PORT), bytes(18))
        case "dhcp":
            return frames.dhcp_discover(mac, mac, dice.getrandbits(32))
        case "igmp":
            return frames.igmp_report(mac, ip, f"239.1.{dice.randrange(256)}.{index & 0xFF}")


def _random_mac(dice: random.Random) -> str:
    """Return a unicast address of the locally administered range, as attack tools use."""
    return ":".join(f"{byte:02x}" for byte in b"\x02" + dice.randbytes(5))


def _random_ip(dice: random.Random) -> str:
    """Return a unicast address outside the loopback network."""
    first = dice.choice([*range(1, 127), *range(128, 224)])
    return f"{first}.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


# --- sending -------------------------------------------------------------------------------------


def require_lab(interface: str) -> None:
    """Refuse an interface that is not of a lab's network namespace.

    The lab's are veth pairs with an alias that names the namespace they were made for.

    Raises:
        LabError: it is not the lab's.

    """
    refusal = LabError(f"{interface} here is not the lab's: a flood is sent in the lab only")
    shown = subprocess.run(
        ["ip", "-json", "-details", "link", "show", "dev", interface],
        capture_output=True,
        check=False,
    )
    if shown.returncode != 0:
        raise refusal
    link = json.loads(shown.stdout)[0]
    kind = link.get("linkinfo", {}).get("info_kind")
    if kind != "veth" or link.get("ifalias") != safe_alias():
        raise refusal


def send(flood: Flood) -> Iterator[FloodSent]:
    """Send a flood from the calling thread's namespace; yields after the first and last frames.

    Raises:
        LabError: not in the lab, or not privileged.

    """
    require_lab(flood.interface)
    left = islice(cycle(pool(flood)), flood.total)
    with _open(flood.interface) as wire:
        start = time.monotonic()
        first_s = time.time()
        sent = _send_some(wire, islice(left, 1))
        refused = 1 - sent
        yield FloodSent(sent, refused, first_s, time.time())
        tick = 0
        while (done := sent + refused) < flood.total:
            tick += 1
            start = _await(start, tick)
            due = min(flood.total, int(tick * TICK_S * flood.rate) + 1) - done
            taken = _send_some(wire, islice(left, due))
            sent += taken
            refused += due - taken
        yield FloodSent(sent, refused, first_s, time.time())


def _await(start: float, tick: int) -> float:
    """Sleep until a tick; returns the start, moved by what the machine stalled too long."""
    ahead = start + tick * TICK_S - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)
    return start + max(0.0, -ahead - _MAX_LATE_S)


def _send_some(wire: socket.socket, due: Iterable[bytes]) -> int:
    """Send frames and return how many the kernel took."""
    taken = 0
    for frame in due:
        try:
            wire.send(frame)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            continue
        taken += 1
    return taken


def _open(interface: str) -> socket.socket:
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise LabError("a packet socket needs root: run it with sudo") from None
    wire.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    wire.bind((interface, 0))
    return wire


# --- a flood from a host of the lab --------------------------------------------------------------


class RunningFlood:
    """A flood that a host of the lab sends, in a process of its own."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None  # noqa: S101 - it is started with a pipe
        self._program = program
        self._output = program.stdout

    def first_frame_s(self) -> float:
        """Wait for the first frame and return when it went out, in Unix time."""
        return self._read().first_s

    def wait(self) -> FloodSent:
        """Wait for the end and return what was sent."""
        last = self._read()
        for line in self._output:
            last = FloodSent(**json.loads(line))
        self._end()
        return last

    def stop(self) -> None:
        """End it early."""
        self._program.kill()
        self._end()

    def _end(self) -> None:
        self._program.wait()
        self._output.close()

    def _read(self) -> FloodSent:
        line = self._output.readline()
        if not line:
            raise LabError(f"the flood was not sent (exit code {self._program.wait()})")
        return FloodSent(**json.loads(line))


def flood_between(attacker: Host, victim: Host, kind: Kind, rate: float, **more: Any) -> Flood:
    """Describe a flood from one host to another; ``more`` overrides any field of it."""
    ends = {
        "source_mac": attacker.mac,
        "source_ip": attacker.ip,
        "victim_mac": victim.mac,
        "victim_ip": victim.ip,
        "interface": attacker.interface,
    }
    return Flood(kind=kind, rate=rate, **{"seconds": 5.0, **ends, **more})


def start(host: Host, flood: Flood) -> RunningFlood:
    """Start a flood on a host; it ends with the lab at the latest."""
    command = [sys.executable, "-P", "-m", "monitorpi_lab.flood", json.dumps(asdict(flood))]
    return RunningFlood(host.popen(command, stdout=subprocess.PIPE, text=True))


def main(argv: Sequence[str]) -> int:
    """Send the flood described by one JSON object; prints a line after the first and last frame."""
    try:
        for sent in send(Flood(**json.loads(argv[0]))):
            print(json.dumps(asdict(sent)), flush=True)
    except (LabError, IndexError, TypeError, ValueError) as error:
        print(f"flood: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
