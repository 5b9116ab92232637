"""A device that tells its name by multicast DNS: ``python mdns_device.py ADDRESS NAME``.

Written with scapy's DNS, so that our own reading is not held against our own writing.
"""

from __future__ import annotations

import socket
import sys

from scapy.layers.dns import DNS, DNSQR, DNSRR

GROUP = "224.0.0.251"
PORT = 5353
PTR = 12


def main(address: str, name: str) -> None:
    """Answer reverse questions for one address, from that address."""
    asked = f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa."
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ears,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        for sock in (ears, mouth):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mouth.bind((address, PORT))
        ears.bind((GROUP, PORT))
        group = socket.inet_aton(GROUP) + socket.inet_aton(address)
        ears.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            data, sender = ears.recvfrom(9000)
            query = DNS(data)
            if query.qd and query.qd[0].qtype == PTR and query.qd[0].qname.decode() == asked:
                told = DNSRR(rrname=asked, type="PTR", ttl=10, rdata=f"{name}.local.")
                question = DNSQR(qname=asked, qtype="PTR")
                reply = DNS(id=query.id, qr=1, aa=1, rd=0, qd=question, an=told)
                mouth.sendto(bytes(reply), sender)


if __name__ == "__main__":
    main(*sys.argv[1:])
