"""What ``up`` tells systemd: that it is ready, lives, and stops."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.stack.notify import READY, beat, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_reaches_whoever_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    """At a file or at a name of Linux's own."""
    name = f"@{tmp_path}" if abstract else str(tmp_path / "socket")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0") if abstract else name)
        sock.settimeout(5)

        notify(READY)

        assert sock.recv(64) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/no/such/socket"])
def test_nobody_needs_to_have_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Nor to be there any more."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify(READY)


def test_signs_of_life_come_from_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))

    async def live() -> None:
        task = asyncio.create_task(beat())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(5)

        asyncio.run(live())

        assert sock.recv(64) == b"WATCHDOG=1"
