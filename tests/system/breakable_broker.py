"""A broker that can be anything else than what was configured."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.common.test_unreachable import authority, signed

if TYPE_CHECKING:
    from pathlib import Path

    from monitorpi_lab.lan import Lab

BROKER_PORT: Final = 8883


@dataclass
class TlsBroker:
    """A Mosquitto in the sensor's namespace that can be anything else than what was configured."""

    lab: Lab
    folder: Path
    ca: tuple[str, str] = field(init=False)
    program: subprocess.Popen[Any] | None = None
    listener: socket.socket | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "mosquitto.log"

    def __post_init__(self) -> None:
        self.ca = authority(self.folder, "ours")
        self.good = self._certificate("good", self.ca, "127.0.0.1", "2")
        self.other = authority(self.folder, "theirs")
        self._passwords("theirs")

    def _certificate(
        self, name: str, by: tuple[str, str], address: str, days: str
    ) -> tuple[str, str]:
        folder = self.folder / name
        folder.mkdir()
        return signed(folder, by, address, days)

    def _passwords(self, password: str) -> None:
        file = self.folder / "passwords"
        file.write_text(f"somebody:{password}\n")
        subprocess.run(["mosquitto_passwd", "-U", file], check=True, capture_output=True)

    def start(self, pair: tuple[str, str] | None = None, *, tls: bool = True) -> None:
        """Start it, as configured by default."""
        cert, key = pair or self.good
        secure = [f"certfile {cert}", f"keyfile {key}"] if tls else []
        lines = [
            f"listener {BROKER_PORT} 127.0.0.1", *secure, "user root", "persistence false",
            f"password_file {self.folder / 'passwords'}", "max_queued_messages 10000",
        ]  # fmt: skip
        conf = self.folder / "mosquitto.conf"
        conf.write_text("\n".join([*lines, ""]))
        with self.log.open("ab") as log:
            self.program = self.lab.sensor.popen(["mosquitto", "-c", str(conf)], stderr=log)

    def stop(self) -> None:
        """Kill it, whatever it is."""
        if self.program is not None:
            self.program.send_signal(signal.SIGCONT)
            self.program.kill()
            self.program.wait()
            self.program = None
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)  # who accepts there holds the port
            self.listener.close()
            self.listener = None

    def again(self) -> None:
        """Put the right one in its place."""
        self.stop()
        self._passwords("theirs")
        self.start()

    def freeze(self) -> None:
        """Connections stay open, nothing answers."""
        assert self.program is not None
        self.program.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.program is not None
        self.program.send_signal(signal.SIGCONT)

    def expire(self) -> None:
        """Let its certificate be one of yesterday."""
        self.stop()
        self.start(self._anew("expired", self.ca, "127.0.0.1", "-1"))

    def rename(self) -> None:
        """Let its certificate be for another address."""
        self.stop()
        self.start(self._anew("renamed", self.ca, "192.0.2.1", "2"))

    def usurp(self) -> None:
        """Let its certificate be by another authority."""
        self.stop()
        self.start(self._anew("usurped", self.other, "127.0.0.1", "2"))

    def _anew(self, name: str, by: tuple[str, str], address: str, days: str) -> tuple[str, str]:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return self._certificate(name, by, address, days)

    def undress(self) -> None:
        """Let it speak no TLS."""
        self.stop()
        self.start(tls=False)

    def change_password(self) -> None:
        """Let the account have another password."""
        self.stop()
        self._passwords("another")
        self.start()

    def age(self) -> None:
        """Put a broker in its place that speaks no MQTT 5: it says so with MQTT 3.1.1's code."""
        self.stop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.good)
        listener = self.lab.sensor.call(_listen)
        self.listener = listener

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(connection, True) as one:
                    one.recv(4096)
                    one.sendall(bytes((0x20, 2, 0, 1)))

        threading.Thread(target=serve, daemon=True).start()


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", BROKER_PORT))
