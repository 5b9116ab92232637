"""The stack that ``up`` runs on this machine, found by who wants to talk to its broker."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from monitorpi_cli.stack.listening import LOOPBACK
from monitorpi_cli.stack.state import BROKER, state_dir
from monitorpi_common.settings import BrokerSettings, NoSection, load

if TYPE_CHECKING:
    from pathlib import Path


class NoStackError(Exception):
    """No stack runs here, or not for this user; the text names the remedy."""


@dataclass(frozen=True)
class Running:
    """A stack that runs on this machine."""

    port: int
    secrets: Path
    site: str

    def password(self, user: str) -> str:
        """Return the password of one of the broker's users."""
        return (self.secrets / user / "broker__password").read_text(encoding="utf-8-sig").strip()

    def account(self, user: str) -> BrokerSettings:
        """Return how one of the broker's users connects."""
        password = SecretStr(self.password(user))
        return BrokerSettings(port=self.port, username=user, password=password)


def find_running(config: Path | None) -> Running:
    """Find the stack that ``up`` runs here with these settings.

    Raises:
        NoStackError: there is none.
        ConfigurationError: the settings are wrong.

    """
    common = load(None, NoSection, file=config).common
    folder = state_dir(common)
    if not _is_locked(folder / "lock"):
        as_root = "" if os.geteuid() == 0 else ", or run this with sudo if it was"
        raise NoStackError(
            f"no stack runs with the state directory {folder}: start ./monitorpi up first{as_root}"
        )
    try:
        written = (folder / BROKER / "mosquitto.conf").read_text(encoding="utf-8")
    except OSError as error:
        raise NoStackError(f"{error.filename}: {error.strerror}: run it with sudo") from None
    port = re.findall(r"^listener (\d+) 127\.0\.0\.1$", written, re.MULTILINE)
    if not port or common.broker.host not in LOOPBACK:
        raise NoStackError("the stack's broker is not on this machine: run this where it is")
    return Running(int(port[0]), folder / "secrets", common.site)


def _is_locked(file: Path) -> bool:
    """Return whether a running stack holds the lock of its state directory."""
    try:
        with file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True  # or not for us to look at: what is read next says so
    except OSError:
        return False
    return False
