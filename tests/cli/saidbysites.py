"""What sites say at a broker of several, as messages."""

from __future__ import annotations

import contextlib
import socket
import threading
from datetime import UTC, datetime
from typing import Any, Self

from monitorpi_cli.sites.overview import SitesOverview
from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, WatchState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def watch(site: str, state: str = "watching", at: datetime = NOW, **more: Any) -> tuple[str, bytes]:
    """Build a site's word on whether it watches."""
    word = example(WatchState).model_dump(mode="json") | {"state": state, "reasons": []} | more
    text = WatchState.model_validate(word | {"at": at, "since": at}).encode()
    return f"monitorpi/v1/{site}/detector/watch/main", text


def alert(site: str, number: int = 1, state: str = "open", **more: Any) -> tuple[str, bytes]:
    """Build an alert of a site."""
    key = f"syn-flood-0200000000{number:02x}"
    word = example(Alert).model_dump(mode="json") | {"key": key, "state": state} | more
    return f"monitorpi/v1/{site}/detector/alert/{key}", Alert.model_validate(word).encode()


def link(site: str, up: bytes) -> tuple[str, bytes]:
    """Build what the broker says of a site's connection."""
    return f"monitorpi-sites/{site}/link", up


def overview(*heard: tuple[str, bytes]) -> SitesOverview:
    """Hand in messages."""
    one = SitesOverview()
    for topic, payload in heard:
        one.take(topic, payload)
    return one


class CountingRelay:
    """Passes connections on to a port of this machine, and counts the bytes that go there."""

    def __init__(self, port: int) -> None:
        self.upwards = 0
        self._there = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._there))
            except OSError:
                return
            self._open += [here, there]
            for ends in ((here, there, True), (there, here, False)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_upwards: bool) -> None:
        try:
            while data := source.recv(65536):
                self.upwards += is_upwards * len(data)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
