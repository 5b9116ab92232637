"""A flood that begins within a window, with real frames: what is published before the window."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.capture.ebpf_rig import counting, rows
from tests.capture.livewire import SENDER, TARGET, Wire, frame
from tests.conftest import wait_for

from monitorpi_capture.items import FloodSums, flood_sums
from monitorpi_common.messages import Alert, Onset, Publication, Traffic
from monitorpi_common.service import Received
from monitorpi_common.topics import Topic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings
from monitorpi_dev.sender import Sender, source

if TYPE_CHECKING:
    from monitorpi_lab.namespace import Namespace

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

IPV4 = "45000028000000004006000001010101c0000202"
SYN = IPV4 + "9c400050" + "00" * 8 + "5002" + "00" * 6
PING = "4500001c00000000400100000101010102020202" + "0800" + "00" * 6


@pytest.mark.parametrize("engine", ["socket", "ebpf", "tcx"])
@pytest.mark.parametrize(("body", "name"), [(SYN, "syn"), (PING, "icmp_echo")])
def test_an_onset_is_published_beside_windows_that_stay_whole(
    wire: Wire, engine: str, body: str, name: str
) -> None:
    """It shows who floods whom; the windows count each frame once, as if nobody had looked."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]', MONITORPI_CAPTURE__ENGINE=engine)
    wait_for(sensor.windows)

    wire.send((3000, frame("0800", body)), pause_s=0.02)
    wait_for(lambda: sensor.total()["packets"] >= 3000)
    sensor.stop()

    onsets = [one for one in sensor.poll() if "/onset/" in one["topic"]]
    assert onsets
    for one in onsets:
        onset = Onset.model_validate(one["payload"])
        sent = next(row for row in onset.devices if row.mac == SENDER)
        assert 0 < sent.tx[name] <= 3000
        assert sent.top_peer[name].mac == TARGET
        assert onset.rise_s <= onset.window_s + 0.001
    assert sensor.total()[name] == 3000
    windows = sensor.windows()
    assert [window.seq for window in windows] == list(range(len(windows)))
    for before, after in pairwise(windows):
        assert before.end == after.start


@pytest.mark.parametrize("engine", ["socket", "ebpf", "tcx"])
def test_the_detector_raises_before_the_window_is_over(wire: Wire, engine: str) -> None:
    """What capture said of real frames, but for what its windows hold: looks alone raise."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]', MONITORPI_CAPTURE__ENGINE=engine)
    wait_for(sensor.windows)

    wire.send((6000, frame("0800", SYN)), pause_s=0.02)
    wait_for(lambda: sensor.total()["packets"] >= 6000)
    sensor.stop()

    detector = DetectorCore("lab", DetectorSettings())
    raised: list[Alert] = []
    for one in sensor.poll():
        topic = Topic.parse(one["topic"])
        kinds: dict[str, type[Traffic | Onset]] = {"traffic": Traffic, "onset": Onset}
        if topic.kind in kinds:
            message = kinds[topic.kind].model_validate(one["payload"])
            if isinstance(message, Traffic):
                message = message.model_copy(update={"devices": [], "counts": {}})
            raised += [
                said.message
                for said in detector.handle(Received(topic, message))
                if isinstance(said, Publication) and isinstance(said.message, Alert)
            ]
    assert {alert.key for alert in raised} == {f"syn-flood-{SENDER.replace(':', '')}"}
    assert raised[0].evidence.value >= 175


def test_the_kernels_running_window_is_read_and_goes_on(
    namespace: Namespace, sender: Sender
) -> None:
    """Sums and rows of the running window are those it is closed with."""
    with counting(namespace) as engine:
        namespace.call(sender.send, 5000, macs=20)
        (sums,) = namespace.call(engine.sums).values()
        looked = namespace.call(engine.peek, next(iter(namespace.call(engine.sums))))
        namespace.call(sender.send, 1000, macs=20)
        (window,) = namespace.call(engine.close_windows)
        (after,) = namespace.call(engine.sums).values()

    assert flood_sums(looked.wire) == sums
    assert rows(looked)[source(3)].tx[0] == 250
    assert rows(window)[source(3)].tx[0] == 300
    assert window.wire[0] == 6000
    assert after == FloodSums()
