"""A LAN of many devices at one end of a cable, for ``bench footprint``.

Each device has a MAC and an IPv4 address of its own. Once a second it sends one frame of each of
:data:`KINDS`; the gateway answers two of them. All answer ARP and echo requests, without loss.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Final

from monitorpi_lab import frames
from monitorpi_lab.responder import answer

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = 21
"""Of the network: 2,046 addresses, more than discovery sweeps by default."""
SENSOR_IP: Final = "198.18.7.254"
_GATEWAY: Final = 0
_STEPS: Final = 50
"""Portions of a second in which frames are sent, so that no second begins with a burst."""
_ARP: Final = b"\x08\x06"
_ARP_ENDS: Final = 42
"""Behind it a frame is filled up to the shortest that may be sent."""
_IPV4: Final = b"\x08\x00"
_ECHO_REQUEST: Final = b"\x08"
_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
_RECEIVE_BUFFER: Final = 1 << 22


def mac(number: int) -> str:
    """Return a device's MAC address."""
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def ip(number: int) -> str:
    """Return a device's IPv4 address."""
    return f"198.18.{(number + 1) >> 8}.{(number + 1) & 255}"


def spoken(number: int) -> list[bytes]:
    """Return the frames that belong to one device and one second: its own and the answers."""
    out, back = (mac(number), mac(_GATEWAY)), (mac(_GATEWAY), mac(number))
    there, here = (ip(number), ip(_GATEWAY)), (ip(_GATEWAY), ip(number))
    port = 20_000 + number
    query, reply = bytes(30), bytes(60)
    return [
        frames.udp(out, there, (port, 53), query),
        frames.udp(back, here, (53, port), reply),
        frames.ipv4_frame(out, there, 6, _segment(port, 443)),
        frames.ipv4_frame(back, here, 6, _segment(443, port)),
        frames.udp(out, there, (123, 123), bytes(48)),
        frames.arp_request(mac(number), ip(number), ip(_GATEWAY)),
    ]


KINDS: Final = ("dns", "https", "ntp", "arp")


def _segment(source: int, destination: int) -> bytes:
    """Return a TCP segment of a running connection."""
    return struct.pack("!HHIIBBHHH", source, destination, 1, 1, 5 << 4, 0x10, 64_240, 0, 0)


class Crowd:
    """All devices, on one interface."""

    def __init__(self, interface: str, devices: int) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._sock.bind((interface, 3))
        self._sock.setsockopt(*_IGNORE_OUTGOING, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._macs = {frames.ip_bytes(ip(n)): frames.mac_bytes(mac(n)) for n in range(devices)}
        self._serial = 0
        said = [frame for number in range(devices) for frame in spoken(number)]
        self._portions = [said[step::_STEPS] for step in range(_STEPS)]

    def run(self) -> None:
        """Speak and answer until we are ended."""
        due, step = time.monotonic(), 0
        while True:
            while (left := due - time.monotonic()) > 0:
                if select.select([self._sock], [], [], left)[0]:
                    self._answer(self._sock.recv(2048))
            for frame in self._portions[step]:
                self._sock.send(self._once(frame))
            step = (step + 1) % _STEPS
            due += 1 / _STEPS

    def _once(self, frame: bytes) -> bytes:
        """Return a frame as it is sent but once: broadcasts that come again would be of a loop."""
        if frame[12:14] != _ARP:
            return frame
        self._serial += 1
        return frame[:_ARP_ENDS] + self._serial.to_bytes(8, "big") + frame[_ARP_ENDS + 8 :]

    def _answer(self, frame: bytes) -> None:
        """Answer a question that is for one of the devices."""
        if frame[12:14] == _ARP and frame[20:22] == b"\0\1":
            own = self._macs.get(frame[38:42])
            if own is not None:
                body = frame[14:20] + b"\0\2" + own + frame[38:42] + frame[22:32]
                self._sock.send((frame[6:12] + own + _ARP + body).ljust(60, b"\0"))
        elif frame[12:14] == _IPV4 and frame[23] == 1 and frame[34:35] == _ECHO_REQUEST:
            asked = frame[30:34]
            if frame[0:6] == self._macs.get(asked):
                self._sock.send(answer(frame, asked))


def main(argv: Sequence[str]) -> int:
    """Be the devices: interface and number."""
    crowd = Crowd(argv[0], int(argv[1]))
    print("ready", flush=True)
    crowd.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
