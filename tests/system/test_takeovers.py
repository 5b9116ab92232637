"""Several processes of one service: who works, who stands by, what becomes of what was begun."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Broker, Subscriber, wait_for
from tests.contract.test_detector import KEY, OWN, send_window
from tests.system.replicas import Replicas

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEEPALIVE_S = 10
TAKEOVER_S = 1.5 * KEEPALIVE_S + 7
"""A broker gives up on a client after 1.5 keepalives, and Mosquitto looks each six seconds."""
KILLED_S = 5.0
QUIET_S = 4


class Wire:
    """A window each second, with a flood in it or nothing."""

    def __init__(self, broker: Broker) -> None:
        self.syns = 0
        self._broker = broker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        number = 0
        while not self._over.wait(1.0):
            send_window(self._broker, number, self.syns)
            number += 1

    def stop(self) -> None:
        """Send no more."""
        self._over.set()
        self._thread.join()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    """Send windows for the time of one test."""
    one = Wire(broker)
    yield one
    one.stop()


@pytest.fixture
def replicas(broker: Broker, tmp_path: Path, processes: list[subprocess.Popen[Any]]) -> Replicas:
    """Return what starts processes of services, with one folder for each service's state."""
    rules = json.dumps({"syn-flood": {"quiet_s": QUIET_S}})
    return Replicas(broker, tmp_path, processes, {"MONITORPI_DETECTOR__RULES": rules})


def told(seen: Subscriber) -> list[tuple[str, str]]:
    """Return the id and state of the attacker's alert, each change once, in order."""
    found = [
        (alert["id"], alert["state"])
        for alert in (json.loads(text) for text in seen.of(f"alert/{KEY}") if text)
    ]
    return [one for place, one in enumerate(found) if place == 0 or found[place - 1] != one]


@pytest.mark.calm
@pytest.mark.parametrize(("how", "within_s"), [("killed", KILLED_S), ("frozen", TAKEOVER_S)])
def test_a_flood_is_one_story_whoever_tells_it(
    broker: Broker,
    subscribe: Callable[..., Subscriber],
    replicas: Replicas,
    wire: Wire,
    how: str,
    within_s: float,
) -> None:
    """The detector goes in the middle of a flood: the other takes over, and tells its end once."""
    seen = subscribe(broker.port, f"{OWN}/#")
    first = replicas.start("detector")
    wait_for(lambda: seen.of("status/main") == ["online"], 15)
    second = replicas.start("detector")
    wait_for(lambda: "standing by" in replicas.log("detector"), 15)
    wire.syns = 1000
    wait_for(lambda: [state for _, state in told(seen)] == ["open"], 15)

    first.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    wait_for(lambda: seen.of("status/main") == ["online", "offline", "online"], within_s)
    number = len(seen.of(f"alert/{KEY}"))
    wait_for(lambda: len(seen.of(f"alert/{KEY}")) > number, 25, "the open alert, said again")
    if how == "frozen":
        first.send_signal(signal.SIGCONT)
        assert first.wait(30) == 3
    wire.syns = 0
    wait_for(lambda: told(seen)[-1][1] == "closed", 30)
    time.sleep(QUIET_S)  # whoever had more to say of it would

    assert [state for _, state in told(seen)] == ["open", "closed"]
    assert len({id_ for id_, _ in told(seen)}) == 1
    assert second.poll() is None
    assert seen.of("status/main") == ["online", "offline", "online"]


def test_probers_find_names_of_their_own(
    broker: Broker, subscribe: Callable[..., Subscriber], replicas: Replicas
) -> None:
    """Of three that were told nothing each has one, and a new one takes that of who went."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/prober/status/+")

    def said(name: str) -> list[str]:
        return [text for topic, text, _ in seen.poll() if topic.endswith(f"/{name}")]

    started = []
    for name in ("main", "main-2", "main-3"):
        started.append(replicas.start("prober"))
        wait_for(lambda name=name: said(name) == ["online"], 15, name)

    started[1].kill()
    wait_for(lambda: said("main-2")[-1] == "offline", 15)
    replicas.start("prober")

    wait_for(lambda: said("main-2") == ["online", "offline", "online"], 15)
    assert said("main") == said("main-3") == ["online"]


def test_probers_that_start_at_once_find_different_names(
    broker: Broker, subscribe: Callable[..., Subscriber], replicas: Replicas
) -> None:
    """As replicas of a container do: nobody waits, nobody is thrown off."""
    seen = subscribe(broker.port, "monitorpi/v1/lab/prober/status/+")
    for _ in range(3):
        replicas.start("prober")

    wait_for(lambda: len(seen.poll()) >= 3, 30, "three names")

    assert sorted(topic.rpartition("/")[2] for topic, *_ in seen.poll()) == [
        "main", "main-2", "main-3",
    ]  # fmt: skip
    assert "already connected" not in (broker.folder / "mosquitto.log").read_text()
