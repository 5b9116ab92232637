"""Whether this account can use what ``up`` kept before: as with sudo, or from a backup. I/O."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.state import BROKER, ELSEWHERE, LOCK, SECRETS, Unwritable
from monitorpi_common.messages import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SERVICES: Final = frozenset(service.value for service in Service)
_USED: Final = os.R_OK | os.W_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class KeptPath:
    """Something ``up`` uses in the state folder."""

    path: Path
    is_closed: bool = True
    """``up`` closes it to other accounts each time, which its owner alone can do."""
    may_be_file: bool = False
    """It is made anew where it is no folder."""
    is_file: bool = False
    """It is nothing but a file."""
    need: int = _USED
    """What this account must be allowed (``os.access``)."""


def try_to_use(folder: Path, *, has_broker: bool) -> Unwritable | None:
    """Return what ``up`` keeps below the state folder and this account cannot use; None: nothing.

    Args:
        folder: the state folder.
        has_broker: whether a broker of its own is run, with accounts.

    """
    return next(filter(None, map(_unusable, _kept(folder, has_broker=has_broker))), None)


def _kept(folder: Path, *, has_broker: bool) -> Iterator[KeptPath]:
    yield KeptPath(folder / LOCK, may_be_file=True, is_file=True, need=os.R_OK | os.W_OK)
    yield from (KeptPath(folder / service.value, is_closed=False) for service in Service)
    if not has_broker:
        return
    yield KeptPath(folder / BROKER, may_be_file=True)
    secrets = folder / SECRETS
    yield KeptPath(secrets)
    with suppress(OSError):
        for home in sorted(secrets.iterdir()):
            if home.name not in _SERVICES:
                yield KeptPath(home)
                for file in sorted(home.iterdir()):
                    yield KeptPath(file, is_closed=False, may_be_file=True, need=os.R_OK)
            elif _is_read(home):
                yield KeptPath(home)


def _unusable(kept: KeptPath) -> Unwritable | None:
    path = kept.path
    try:
        if not kept.may_be_file and os.path.lexists(path) and not path.is_dir():
            return Unwritable(f"{path} is no folder", "move it away", is_full=False)
        if kept.is_file and os.path.lexists(path) and not path.is_file():
            return Unwritable(f"{path} is no ordinary file", "move it away", is_full=False)
        owner = path.stat().st_uid
    except OSError:
        return None  # not there; or below a folder that was named before
    may = os.access(path, kept.need, effective_ids=True)
    if owner == os.geteuid() or os.geteuid() == 0:
        if kept.is_closed or may:
            return None
        return Unwritable(f"{path} may not be changed", f"chmod u+rwX {path}", is_full=False)
    if may and not kept.is_closed:
        return None
    name = _name(path, owner)
    how = "with sudo" if owner == 0 else f"as {name}"
    return Unwritable(f"{path} belongs to {name}", f"run {how}, or {ELSEWHERE}", is_full=False)


def _is_read(folder: Path) -> bool:
    """Return whether a service can read a folder of secrets; that it cannot is its mistake."""
    try:
        return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK, effective_ids=True)
    except OSError:
        return False


def _name(path: Path, owner: int) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return f"uid {owner}"
