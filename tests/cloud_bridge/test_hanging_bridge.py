"""A bridge that hangs with the lock on its outbox: it ends, and the one that stands by goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.bridgeprocess import LABELS, Wire
from tests.conftest import wait_for

from monitorpi_cloud_bridge import addresses, web
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.sinks import jetstream, natsdial
from monitorpi_cloud_bridge.sinks.clouds import destinations_of
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_cloud_bridge.sinks.quota import YearlyQuota
from monitorpi_cloud_bridge.sinks.uploader import Uploader
from monitorpi_cloud_bridge.sinks.uploaders import Uploaders
from monitorpi_common import watchdog
from monitorpi_common.log import Log
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


@pytest.mark.parametrize(
    ("step_s", "is_stuck"),
    [
        (None, False),
        (2 * (web.MOST_S + addresses.RESOLVE_S), False),  # a look and a call over HTTP
        (2 * 8 * natsdial.CONNECT_S + jetstream.LOOK_S + jetstream.ANSWER_S, False),
        (599.0, False),
        (601.0, True),
    ],
)
def test_a_step_is_stuck_after_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step_s: float | None, *, is_stuck: bool
) -> None:
    """The slowest servers do not make it so; one destination of several is enough."""
    now_s = [1000.0]
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    settings = CloudBridgeSettings.model_validate({"mqtt": {"host": "192.0.2.1", "tls": False}})
    quota, outbox = YearlyQuota(0), RowOutbox(tmp_path / "outbox.sqlite")
    each = [Uploader(outbox, one, quota, Log("test")) for one in destinations_of(settings, "lab")]
    both = Uploaders(each, quota)
    if step_s is not None:
        each[1].destination.stint.__enter__()
        now_s[0] += step_s

    assert both.are_stuck() is is_stuck
    each[1].destination.stint.__exit__()
    assert not both.are_stuck()
    outbox.close()
