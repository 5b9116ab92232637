"""One ARP sweep of one subnet, as a program: ``python -m monitorpi_prober.sources.sweep eth0 ...``.

It is a process of its own so that scapy's half second and 50 MB are gone when the sweep is, and so
that nothing it does disturbs the timing of the probes. It ends with the prober, also where that is
killed: the next one sweeps anew, and announces one sweep and not two. Prints a line ``ADDRESS MAC``
for each answer. Exit code 0, or 3 where no packet socket may be opened.
"""

from __future__ import annotations

import argparse
import ipaddress
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LISTEN_S: Final = 1.5
"""After the last request; a sleeping phone takes about a second to answer."""
_REPLY: Final = 2
_ETH_P_ARP: Final = 0x0806


def requests(
    network: ipaddress.IPv4Network, own_mac: str, own_ip: str
) -> Iterator[tuple[str, bytes]]:
    """Build an ARP request for each address of a subnet but our own."""
    from scapy.layers.l2 import ARP, Ether  # noqa: PLC0415 - see above

    for address in network.hosts():
        if str(address) == own_ip:
            continue
        frame = Ether(src=own_mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op="who-has", hwsrc=own_mac, psrc=own_ip, pdst=str(address)
        )
        yield str(address), bytes(frame)


def reply(frame: bytes, network: ipaddress.IPv4Network) -> tuple[str, str] | None:
    """Return (address, MAC) of an ARP reply from the subnet; None: it is none, or malformed."""
    from scapy.layers.l2 import ARP, Ether  # noqa: PLC0415 - see above

    try:
        arp = Ether(frame).getlayer(ARP)
        if arp is None or arp.op != _REPLY:
            return None
        address = ipaddress.IPv4Address(arp.psrc)
        mac = str(arp.hwsrc).lower()
    except Exception:  # noqa: BLE001 - a dissector fed with foreign bytes may fail in any way
        return None
    if address not in network or int(mac[:2], 16) & 1:
        return None
    return str(address), mac


def sweep(
    sock: Any, network: ipaddress.IPv4Network, own: tuple[str, str], rate: float
) -> dict[str, str]:
    """Ask for every address at an even pace and return who answered, as {address: MAC}."""
    found: dict[str, str] = {}
    due = time.monotonic()
    for _, frame in requests(network, *own):
        _listen(sock, network, due, found)
        sock.send(frame)
        due = max(due + 1 / rate, time.monotonic())
    _listen(sock, network, time.monotonic() + LISTEN_S, found)
    return found


def _listen(sock: Any, network: ipaddress.IPv4Network, until: float, found: dict[str, str]) -> None:
    while (left := until - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return
        answer = reply(sock.recv(2048), network)
        if answer is not None and len(found) < network.num_addresses:
            found.setdefault(*answer)


def main(argv: Sequence[str] | None = None) -> int:
    """Sweep one subnet and print who answered."""
    import socket  # noqa: PLC0415 - a name used by nothing else here

    parser = argparse.ArgumentParser(prog="monitorpi-sweep")
    parser.add_argument("interface")
    parser.add_argument("network", type=ipaddress.IPv4Network)
    parser.add_argument("mac")
    parser.add_argument("ip")
    parser.add_argument("rate", type=float)
    options = parser.parse_args(argv)
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
        sock.bind((options.interface, _ETH_P_ARP))
    except OSError as error:
        print(f"no packet socket on {options.interface}: {error.strerror}", file=sys.stderr)  # noqa: T201 - for the parent
        return 3
    with sock:
        found = sweep(sock, options.network, (options.mac, options.ip), options.rate)
    for address, mac in found.items():
        print(address, mac)  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
