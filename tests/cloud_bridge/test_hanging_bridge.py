"""A bridge that hangs with the lock on its outbox: it ends, and the one that stands by goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.bridgeprocess import LABELS, Wire
from tests.conftest import wait_for

from monitorpi_thingspeak_double import Double, Switches

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

HANGS = """
import threading
from monitorpi_common import watchdog
from monitorpi_cloud_bridge.__main__ import main
from monitorpi_cloud_bridge.sinks import outbox, uploader, uploaders
watchdog.HANG_S, watchdog.BEAT_S, uploaders.STUCK_S = 3.0, 0.1, 1.0

def hang(*_, **__):
    threading.Event().wait()

{what} = hang
raise SystemExit(main())
"""


@pytest.mark.parametrize("what", ["outbox.RowOutbox.add", "uploader.Uploader._serve"])
def test_one_that_hangs_leaves_its_outbox_to_the_next(
    what: str,
    wire: Wire,
    bridge_process: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """In its loop, or in the thread that uploads; where it hung is printed."""
    with Double(Switches(bulk_interval_s=0.2)) as double:
        channel = double.cloud.add_channel("traffic", LABELS)
        hanging = bridge_process(double, channel, HANGS.format(what=what))
        wait_for(lambda: b"connected" in (tmp_path / "log").read_bytes(), 30, "the first")
        bridge_process(double, channel)
        wire.start()

        wait_for(lambda: len(channel.rows) >= 3, 60, "rows of the second")
        wire.stop()

    assert hanging.returncode == 1 or hanging.wait(1) == 1
    assert b"Timeout" in (tmp_path / "log").read_bytes()
