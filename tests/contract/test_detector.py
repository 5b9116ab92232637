"""The detector as a black box: any program that passes these can take its place.

Given is only the environment; seen is only what is on the bus. Windows are published as capture
would, with the broker's own client.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.conftest import publish, wait_for
from tests.contract import contender

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SITE = "monitorpi/v1/lab"
OWN = f"{SITE}/detector"
ATTACKER, VICTIM = "04:00:00:00:00:0a", "04:00:00:00:00:0b"
KEY = "syn-flood-04000000000a"
QUIET_S = 4
"""Shorter than usual, and longer than a restart takes."""


@pytest.fixture
def start(
    broker: Any, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the service, given nothing but its environment."""

    def run() -> subprocess.Popen[bytes]:
        environment = broker.environment(
            MONITORPI_STATE_DIR=str(tmp_path),
            MONITORPI_DETECTOR__RULES=f'{{"syn-flood": {{"quiet_s": {QUIET_S}}}}}',
        )
        with (tmp_path / "log").open("ab") as log:
            process = contender.start("detector", environment, stderr=log)
        processes.append(process)
        return process

    return run


def send_window(broker: Any, number: int, syns: int) -> None:
    """Publish a window that ends now."""
    end = datetime.now(UTC)
    tally = {"packets": syns, "bytes": 60 * syns, "tcp": syns, "syn": syns}
    row = {
        "mac": ATTACKER, "tx": tally, "rx": {},
        "spread": {"src_ips": 1, "dst_ips": 1, "dst_ports": 1},
        "top_peer": {"syn": {"mac": VICTIM, "ip": "198.18.0.2", "port": 80, "packets": syns}},
    }  # fmt: skip
    window = {
        "epoch": "e1", "seq": number, "start": (end - timedelta(seconds=1)).isoformat(),
        "end": end.isoformat(), "window_s": 1.0, "clock_synced": True, "interface": "eth0",
        "engine": "socket", "packets": syns, "bytes": 60 * syns,
        "counts": {"tcp": syns, "syn": syns}, "totals": {}, "devices": [row] if syns else [],
    }  # fmt: skip
    publish(broker, f"{SITE}/capture/traffic/eth0", json.dumps(window))


def order(broker: Any, id_: str, name: str, **args: Any) -> None:
    """Send the service an order."""
    text = json.dumps({"name": name, "args": args, "at": "2026-01-02T03:04:05Z"})
    publish(broker, f"{OWN}/command/{id_}", text)


def states(seen: Any) -> list[tuple[str, str | None]]:
    """Return the states of the attacker's alert, in the order they came."""
    alerts = [json.loads(text) for text in seen.of(f"alert/{KEY}") if text]
    return [(alert["state"], alert.get("close_reason")) for alert in alerts]


def test_a_flood_from_its_first_window_to_its_end(broker: Any, subscribe: Any, start: Any) -> None:
    """Online in 10 s; one alert opens on the MAC, is acknowledged, silenced; offline, exit 0."""
    seen = subscribe(broker.port, f"{OWN}/#")
    process = start()
    wait_for(lambda: "online" in seen.of("status/main"), 10)

    send_window(broker, 0, 1000)
    wait_for(lambda: states(seen) == [("open", None)])
    order(broker, "a", "acknowledge", key=KEY)
    wait_for(lambda: seen.of("result/a"))
    order(broker, "b", "silence", key=KEY, minutes=1)
    wait_for(lambda: ("closed", "silenced") in states(seen))
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0
    wait_for(lambda: seen.of("status/main")[-1] == "offline")
    for topic, payload, _ in seen.poll():
        assert topic.startswith(f"{OWN}/")
        kind = topic.split("/")[4]
        if kind in ("alert", "health", "result"):
            schema = json.loads((ROOT / "contracts" / f"{kind}.schema.json").read_text())
            jsonschema.validate(json.loads(payload), schema)


def test_an_open_alert_outlives_a_kill(broker: Any, subscribe: Any, start: Any) -> None:
    """After kill -9 the next process takes the open alert up and closes it when time has passed."""
    seen = subscribe(broker.port, f"{OWN}/#")
    first = start()
    wait_for(lambda: "online" in seen.of("status/main"), 10)
    send_window(broker, 0, 1000)
    wait_for(lambda: states(seen))

    first.kill()
    wait_for(lambda: seen.of("status/main")[-1] == "offline")
    start()
    wait_for(lambda: seen.of("status/main")[-1] == "online", 10)
    number = 1

    def closed() -> bool:
        nonlocal number
        number += 1
        send_window(broker, number, 0)
        time.sleep(0.3)
        return states(seen)[-1][0] == "closed"

    wait_for(closed, 40)
    ids = {json.loads(text)["id"] for text in seen.of(f"alert/{KEY}") if text}
    assert len(ids) == 1


def test_a_stream_of_orders_makes_nobody_deaf(broker: Any, subscribe: Any, start: Any) -> None:
    """1,500 orders a second for six seconds: a flood meanwhile is reported within two seconds."""
    seen = subscribe(broker.port)
    start()
    wait_for(lambda: "online" in seen.of(f"{OWN}/status/"), 10, "online")
    send_window(broker, 1, 0)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    orders = [("silence", {"key": "arp-storm-040000000001", "minutes": 5}),
              ("set_threshold", {"rule": "arp-storm", "floor": 500})]  # fmt: skip
    ended = threading.Event()

    def give_orders() -> None:
        for number in range(6 * 100):  # fifteen each hundredth of a second
            for name, args in orders[:1] * 8 + orders[1:] * 7:
                at = datetime.now(UTC).isoformat()
                text = json.dumps({"name": name, "args": args, "at": at})
                client.publish(f"{OWN}/command/x{number}", text)
            if ended.wait(0.01):
                return

    thread = threading.Thread(target=give_orders)
    thread.start()
    wait_for(lambda: len(seen.of("/result/")) >= 20, 10, "some orders to be obeyed")

    for number in (2, 3):
        send_window(broker, number, 1000)
    begun = time.monotonic()
    wait_for(lambda: states(seen)[:1] == [("open", None)], 10, "the alert")
    took = time.monotonic() - begun

    ended.set()
    thread.join()
    client.disconnect()
    client.loop_stop()
    assert took < 2


def test_garbage_is_counted_and_survived(broker: Any, subscribe: Any, start: Any) -> None:
    """Whatever stands on the topics it reads, the detector lives and still finds a flood."""
    seen = subscribe(broker.port, f"{OWN}/#")
    process = start()
    wait_for(lambda: "online" in seen.of("status/main"), 10)

    for garbage in ("{", "[]", '{"epoch": 5}'):
        for kind in ("traffic/eth0", "device/x", "status/main"):
            publish(broker, f"{SITE}/capture/{kind}", garbage)
        publish(broker, f"{SITE}/prober/probe/main", garbage)
    order(broker, "c", "set_threshold", rule="no-such-rule", floor=1)
    send_window(broker, 0, 1000)

    wait_for(lambda: states(seen))
    assert process.poll() is None
    result = json.loads(wait_for(lambda: seen.of("result/c"))[0])
    assert not result["ok"]
    assert result["error"]
    wait_for(lambda: seen.of("health/main"))
    # four topics three times, and the order
    wait_for(lambda: json.loads(seen.of("health/main")[-1])["rejected_total"] == 4 * 3 + 1)
