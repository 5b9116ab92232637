"""A wire between two network namespaces, and a sensor at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any

from monitorpi_common.messages import Traffic

SENDER = "02:00:00:00:00:01"
TARGET = "02:00:00:00:00:02"
SEND = """
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0))
pause = float(sys.argv[2])
for line in sys.stdin:
    count, data = line.split()
    frame = bytes.fromhex(data)
    for number in range(int(count)):
        sock.send(frame)
        if number % 50 == 49:
            time.sleep(pause)
"""


def written(stream: IO[str]) -> str:
    """Return what a child has written to a file so far, and leave the place where it writes alone.

    The child has the same open file: a seek of ours would have it write over what stands there.
    """
    return os.pread(stream.fileno(), 1 << 26, 0).decode()


@dataclass
class Wire:
    """A namespace with a sensor's interface, a cable, and its far end."""

    name: str
    sensors: list[Sensor] = field(default_factory=list)

    def ip(self, *arguments: str) -> None:
        """Configure something in the namespace."""
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, timeout=10)

    def plug(self, near: str = "eth0", far: str = "far0") -> None:
        """Make a cable with both ends up."""
        self.ip("link", "add", near, "type", "veth", "peer", "name", far)
        for end in (near, far):
            self.ip("link", "set", end, "up")

    def send(self, *frames: tuple[int, str], far: str = "far0", pause_s: float = 0.002) -> None:
        """Send frames (count, hexadecimal) into the far end."""
        subprocess.run(
            ["ip", "netns", "exec", self.name, sys.executable, "-c", SEND, far, str(pause_s)],
            input="".join(f"{count} {data}\n" for count, data in frames),
            text=True, check=True, timeout=30,
        )  # fmt: skip

    def start(self, **settings: str) -> Sensor:
        """Start the capture service in the namespace, its messages on a pipe."""
        said, log = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 - closed below
        run = ["ip", "netns", "exec", self.name, sys.executable, "-m", "monitorpi_capture"]
        ours = {"MONITORPI_SITE": "lab", "MONITORPI_CAPTURE__ENGINE": "socket"}
        process = subprocess.Popen(
            [*run, "--bus", "-"], stdout=said, stderr=log, env=os.environ | ours | settings
        )
        sensor = Sensor(process, said, log)
        self.sensors.append(sensor)
        return sensor


@dataclass
class Sensor:
    """A running capture service."""

    process: subprocess.Popen[bytes]
    said: IO[str]
    log: IO[str]

    def poll(self) -> list[dict[str, Any]]:
        """Return everything said so far, whole lines only."""
        lines = written(self.said).splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def windows(self, interface: str = "eth0") -> list[Traffic]:
        """Return the traffic messages of an interface, validated."""
        return [
            Traffic.model_validate(one["payload"])
            for one in self.poll()
            if one["topic"].endswith(f"/traffic/{interface}")
        ]

    def total(self, mac: str | None = None, side: str = "tx") -> Counter[str]:
        """Return all counts of one MAC, or of the wire, over all windows."""
        total: Counter[str] = Counter()
        for window in self.windows():
            if mac is None:
                total.update(window.counts | {"packets": window.packets, "bytes": window.bytes})
            for device in window.devices:
                if device.mac == mac:
                    total.update(getattr(device, side))
        return total

    def stop(self) -> tuple[int, str]:
        """Ask it to end and return exit code and log."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait until it ends by itself and return exit code and log."""
        code = self.process.wait(timeout=15)
        self.log.seek(0)
        return code, self.log.read()

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self.said.close()
        self.log.close()


def frame(ether_type: str, body: str, *, src: str = SENDER, dst: str = TARGET) -> str:
    """Return a frame of at least 60 bytes, hexadecimal."""
    return (dst + src).replace(":", "") + ether_type + body.ljust(92, "0")


ARP = "0001080006040001" + SENDER.replace(":", "") + "c0000201" + "00" * 10
