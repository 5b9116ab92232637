"""ThingSpeak's broker: a real Mosquitto that lets one device in, and the double behind it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.conftest import Broker, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Subscriber

    from monitorpi_thingspeak_double import Double

DEVICE, PASSWORD = "Fz0EBiYQNy8LDhkcHSUlOjc", "x9/secret"


@dataclass
class DeviceBroker:
    """Devices publish to it; what it is sent goes to the double, as single updates do."""

    folder: Path
    certificate: tuple[str, str]
    subscribe: Callable[..., Subscriber]
    double: Double
    channels: tuple[str, ...] = ("traffic",)
    taken: int = 0
    broker: Broker = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.numbers = {
            name: self.double.cloud.add_channel(name, [f"value {n}" for n in range(1, 9)])
            for name in self.channels
        }
        passwords, rules = self.folder / "passwords", self.folder / "acl"
        passwords.write_text(f"{DEVICE}:{PASSWORD}\nservice:inside\n")
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
        writes = "".join(
            f"topic write channels/{one.id}/publish\n" for one in self.numbers.values()
        )
        rules.write_text(f"user {DEVICE}\n{writes}user service\ntopic read channels/#\n")
        certificate, key = self.certificate
        self.broker = Broker(
            self.folder,
            settings=f"certfile {certificate}\nkeyfile {key}\nallow_anonymous false\n"
            f"password_file {passwords}\nacl_file {rules}",
        )
        self.begin()

    def begin(self) -> None:
        """Start, with the double listening."""
        self.broker.start()
        account = ("-u", "service", "-P", "inside")
        there = ("-h", "127.0.0.1", "--cafile", self.certificate[0])
        try:
            self.seen = self.subscribe(self.broker.port, "channels/+/publish", *account, *there)
        except BaseException:
            self.broker.kill()
            raise
        self.taken = 0

    def update(self) -> None:
        """Let the double take what came since."""
        messages = self.seen.poll()
        for topic, payload, _ in messages[self.taken :]:
            number = int(topic.split("/")[1])
            key = self.double.cloud.channels[number].write_key
            self.double.cloud.update(key, dict(parse_qsl(payload, strict_parsing=True)))
        self.taken = len(messages)

    def connections(self) -> list[str]:
        """Return the log's lines about the device."""
        log = (self.folder / "mosquitto.log").read_text()
        return [line for line in log.splitlines() if f"as {DEVICE} " in line]

    def wait_for_messages(self, number: int) -> None:
        """Wait until so many came."""
        wait_for(lambda: len(self.seen.poll()) >= number)
