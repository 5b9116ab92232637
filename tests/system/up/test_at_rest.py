"""What a stack does while nothing happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.up.conftest import Start

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_a_running_stack_leaves_the_card_alone(up: Start) -> None:
    """Once all is known no file is written while nothing new happens: an SD card wears by writes.

    What may be written at most once a minute is not: the folder stays as it is for longer.
    """
    one = up()
    for name in ("capture", "detector", "prober", "dashboard"):
        one.online(name)
    wait_for(lambda: one.kept("capture") and one.kept("prober"), 60, "devices to be written")
    before, since = changes(one.state), time.monotonic()

    def is_quiet() -> bool:
        nonlocal before, since
        now = changes(one.state)
        if now != before:
            before, since = now, time.monotonic()
        return time.monotonic() - since > 75

    wait_for(is_quiet, 220, "75 s without a write")


def changes(folder: Path) -> dict[str, int]:
    """Return when each file and folder was last changed, in any way.

    Not those of the history, which writes what it counts: how much is measured by its own tests.
    """
    found = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "history")
    return {str(path.relative_to(folder)): path.stat().st_ctime_ns for path in found}
