"""What an engine hands the inventory beside its counts: never at their expense."""

from __future__ import annotations

import os
import shutil
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.capture.livewire import ARP, frame
from tests.conftest import wait_for

from monitorpi_capture.engine.choice import BEST_FIRST
from monitorpi_capture.items import COLUMN, PACKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_capture.items import Engine, WindowCounts
    from monitorpi_lab.namespace import Namespace

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

ASKED = bytes.fromhex(frame("0806", ARP))
OTHER = bytes.fromhex(frame("88b5", "00"))


def send(interface: str, *frames: bytes) -> None:
    """Send frames in the calling thread's namespace, one after the other."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for one in frames:
            sock.send(one)


def plug(namespace: Namespace) -> None:
    """Make a cable from va to vb."""
    namespace.run(["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"])
    for name in ("va", "vb"):
        namespace.run(["ip", "link", "set", name, "up"])


def closed(namespace: Namespace, engine: Engine) -> Sequence[WindowCounts]:
    """Let the engine count for a moment, and close its windows."""
    engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 0.2)
    return namespace.call(engine.close_windows)


@pytest.mark.parametrize("name", BEST_FIRST)
def test_a_reader_that_sleeps_costs_no_count(namespace: Namespace, name: str) -> None:
    """Of 2,000 ARP frames that nobody reads all count; a bounded number waits, the rest is told."""
    plug(namespace)
    engine = BEST_FIRST[name](["vb"], 64)
    namespace.call(engine.open)
    (feed,) = engine.feeds

    namespace.call(send, "va", *[ASKED, OTHER] * 2_000)
    windows: list[WindowCounts] = []
    wait_for(
        lambda: (
            windows.extend(closed(namespace, engine))
            or sum(one.wire[PACKETS] for one in windows) >= 4_000
        )
    )
    time.sleep(1.0 if name == "socket" else 0.0)  # its small socket says it once a second
    dropped = namespace.call(feed.dropped)
    waiting = list(iter(feed.receive, None))
    namespace.call(engine.close)

    assert (feed.name, sum(one.losses.get("socket", 0) for one in windows)) == ("vb", 0)
    assert sum(one.wire[COLUMN["arp"]] for one in windows) == 2_000
    assert {(one.data, one.length, one.tag) for one in waiting} == {(ASKED, len(ASKED), None)}
    assert 50 < len(waiting) < 1_000
    assert len(waiting) + dropped == 2_000


def test_a_feed_goes_on_with_its_interface(namespace: Namespace) -> None:
    """While it is away nothing waits; when it is back its frames are handed over again."""
    plug(namespace)
    engine = BEST_FIRST["ebpf"](["vb"], 64)
    namespace.call(engine.open)
    (feed,) = engine.feeds
    namespace.call(send, "va", ASKED)
    before = feed.receive()

    namespace.run(["ip", "link", "del", "va"])
    closed(namespace, engine)
    away = (feed.receive(), feed.dropped())
    plug(namespace)
    closed(namespace, engine)
    namespace.call(send, "va", OTHER, ASKED)
    after = [feed.receive(), feed.receive()]
    namespace.call(engine.close)

    assert before == after[0] == (ASKED, len(ASKED), None)
    assert away == (None, 0)
    assert [after[1], feed.receive(), feed.dropped()] == [None, None, 0]
