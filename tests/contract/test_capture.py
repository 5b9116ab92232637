"""The capture service as a black box: any program that passes these can take its place.

Given is only the environment; seen is only what is on the bus. It counts on loopback, where the
bus itself makes the traffic.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.conftest import publish, wait_for
from tests.contract import contender

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
OWN = "monitorpi/v1/lab/capture"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="packet sockets need root here")


@pytest.fixture
def start(
    broker: Any, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the service on loopback, given nothing but its environment."""

    def run(**settings: str) -> subprocess.Popen[bytes]:
        environment = broker.environment(
            MONITORPI_CAPTURE__INTERFACES='["lo"]', MONITORPI_STATE_DIR=str(tmp_path), **settings
        )
        with (tmp_path / "log").open("ab") as log:
            process = contender.start("capture", environment, stderr=log)
        processes.append(process)
        return process

    return run


def command(broker: Any, id_: str, name: str, **args: Any) -> None:
    """Send the service an order."""
    order = {"name": name, "args": args, "at": "2026-01-02T03:04:05Z"}
    publish(broker, f"{OWN}/command/{id_}", json.dumps(order))


def test_its_life(broker: Any, subscribe: Any, start: Any) -> None:
    """Online, valid messages on its own topics only, each second, and offline when stopped."""
    seen = subscribe(broker.port)
    process = start()
    wait_for(lambda: "online" in seen.of("capture/status/main"), 10)
    wait_for(lambda: len(seen.of("traffic/lo")) >= 3)
    wait_for(lambda: seen.of("health/main"))

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0
    wait_for(lambda: seen.of("capture/status/main")[-1] == "offline")
    for topic, payload, _ in seen.poll():
        assert topic.startswith(f"{OWN}/")
        kind = topic.split("/")[4]
        if kind != "status":
            schema = json.loads((ROOT / "contracts" / f"{kind}.schema.json").read_text())
            jsonschema.validate(json.loads(payload), schema)
    wires = {one["seq"]: one for one in map(json.loads, seen.of("wire/lo"))}
    whole = next(w for w in map(json.loads, seen.of("traffic/lo")) if w["seq"] in wires)
    assert wires[whole["seq"]] == {
        name: value for name, value in whole.items() if name not in ("devices", "omitted")
    }
    windows = [json.loads(payload) for payload in seen.of("traffic/lo")]
    assert [one["seq"] for one in windows] == list(range(len(windows)))
    assert len({one["epoch"] for one in windows}) == 1
    for before, after in pairwise(windows):
        assert before["end"] == after["start"]
        assert after["totals"]["packets"] == before["totals"]["packets"] + after["packets"]
    assert sum(one["packets"] for one in windows) > 0
    assert windows[0]["engine"] in {"socket", "ebpf", "tcx"}


def test_a_kill_is_seen_as_offline(broker: Any, subscribe: Any, start: Any) -> None:
    """The last will speaks when the process cannot."""
    contender.killed_is_offline("capture", start, subscribe(broker.port))


def test_a_broker_restart_is_survived(broker: Any, subscribe: Any, start: Any) -> None:
    """The service stays, comes back online, and its numbers show what was lost meanwhile."""
    process = start()
    first = subscribe(broker.port)
    wait_for(lambda: len(first.of("traffic/lo")) >= 2)

    broker.kill()
    broker.start()
    seen = subscribe(broker.port)
    wait_for(lambda: "online" in seen.of("capture/status/main"), 40)
    before = json.loads(first.of("traffic/lo")[-1])
    wait_for(
        lambda: any(f'"seq":{before["seq"] + 3},' in text for text in seen.of("traffic/lo")), 40
    )

    assert process.poll() is None
    after = json.loads(seen.of("traffic/lo")[-1])
    assert after["epoch"] == before["epoch"]
    assert after["seq"] > before["seq"]
    assert after["totals"]["packets"] >= before["totals"]["packets"]


def test_garbage_is_survived(broker: Any, subscribe: Any, start: Any) -> None:
    """Whatever is sent as a command is answered or counted; the service counts on."""
    seen = subscribe(broker.port)
    process = start()
    wait_for(lambda: "online" in seen.of("capture/status/main"), 10)

    for garbage in (
        "",
        "{",
        "[]",
        '{"name": 5}',
        "\x01\x02",
        '{"name":"watch","args":{"seconds":-1},"at":"2026-01-02T03:04:05Z"}',
    ):
        answers = len(seen.of("result/x"))
        publish(broker, f"{OWN}/command/x", garbage)
        publish(broker, f"{OWN}/device/b827eb123456", garbage)
        wait_for(lambda before=answers: len(seen.of("result/x")) > before, 10, repr(garbage))
    count = len(seen.of("traffic/lo"))
    wait_for(lambda: len(seen.of("traffic/lo")) > count + 1)

    assert process.poll() is None
    assert not any(json.loads(text)["ok"] for text in seen.of("result/x"))


def test_reset_begins_an_epoch(broker: Any, subscribe: Any, start: Any) -> None:
    """The order is confirmed and the totals begin anew."""
    seen = subscribe(broker.port)
    start()
    wait_for(lambda: len(seen.of("traffic/lo")) >= 2)

    command(broker, "r1", "reset")
    wait_for(lambda: seen.of("result/r1"))
    wait_for(lambda: len({json.loads(text)["epoch"] for text in seen.of("traffic/lo")}) == 2)

    assert json.loads(seen.of("result/r1")[0])["ok"]
    epochs = [json.loads(text)["epoch"] for text in seen.of("traffic/lo")]
    fresh = json.loads(seen.of("traffic/lo")[epochs.index(epochs[-1])])
    assert fresh["seq"] == 0
    assert fresh["totals"]["packets"] == fresh["packets"]


def test_packet_lines_flow_only_while_watched(broker: Any, subscribe: Any, start: Any) -> None:
    """No line before; at most ten a second during the lease; none behind it; headers only."""
    seen = subscribe(broker.port)
    start()
    wait_for(lambda: len(seen.of("traffic/lo")) >= 2)
    assert seen.of("packet/lo") == []

    secret = "a word nobody else sends"
    command(broker, "w1", "watch", seconds=2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for _ in range(20):
                sock.sendto(secret.encode(), ("127.0.0.1", 9))
            time.sleep(0.01)
    lines = [json.loads(text) for text in seen.of("packet/lo")]

    assert json.loads(seen.of("result/w1")[0])["ok"]
    assert 5 <= len(lines) <= 22
    assert any("127.0.0.1" in (line["ip_src"] or "") for line in lines)
    assert not any(secret in json.dumps(line) for line in lines)


def test_a_watch_can_ask_for_one_class(broker: Any, subscribe: Any, start: Any) -> None:
    """Only frames of the class asked for become lines; an unknown class is refused."""
    seen = subscribe(broker.port)
    start()
    wait_for(lambda: len(seen.of("traffic/lo")) >= 1)

    command(broker, "w1", "watch", **{"seconds": 3, "class": "dns"})
    command(broker, "w2", "watch", **{"class": "nothing"})
    wait_for(lambda: seen.of("result/w2"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            sock.sendto(b"x", ("127.0.0.1", 53))
            time.sleep(0.01)
    lines = [json.loads(text)["line"] for text in seen.of("packet/lo")]

    assert not json.loads(seen.of("result/w2")[0])["ok"]
    assert lines
    assert all(" dns" in line for line in lines)


def test_it_remembers_its_devices_over_a_restart(broker: Any, subscribe: Any, start: Any) -> None:
    """What stands retained under its own name is taken back, and told absent in time."""
    device = json.loads((ROOT / "contracts/examples/capture.device.json").read_text())["payload"]
    lately = datetime.now(UTC) - timedelta(minutes=1)
    device |= {"mac": "b8:27:eb:12:34:56", "present": True, "last_seen": lately.isoformat()}
    publish(broker, f"{OWN}/device/b827eb123456", json.dumps(device), "-r")
    seen = subscribe(broker.port)

    start(MONITORPI_CAPTURE__ABSENT_AFTER_S="10")
    wait_for(lambda: len(seen.of("device/b827eb123456")) >= 2)
    told = json.loads(seen.of("device/b827eb123456")[-1])

    assert not told["present"]
    assert told["first_seen"] == device["first_seen"]
    assert told["hostname"] == device["hostname"]


@pytest.mark.ours
@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"MONITORPI_CAPTURE__INTERFACES": '["nosuch0"]'}, 3, "there is no interface 'nosuch0'"),
        ({"MONITORPI_CAPTURE__INTERFACES": "lo,nosuch0"}, 3, "there is no interface 'nosuch0'"),
        ({"MONITORPI_CAPTURE__INTERFACES": '["'}, 2, "MONITORPI_CAPTURE__INTERFACES"),
        ({"MONITORPI_CAPTURE__INTERFACES": '["a b"]'}, 2, "capture.interfaces.0"),
        ({"MONITORPI_CAPTURE__ENGINE": "magic"}, 2, "capture.engine"),
        ({"MONITORPI_CAPTURE__LISTED_DEVICES": "0"}, 2, "capture.listed_devices"),
        ({"MONITORPI_CAPTURE__PINNED_MACS": '["nonsense"]'}, 2, "capture.pinned_macs.0"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    broker: Any, settings: dict[str, str], code: int, text: str
) -> None:
    """The line names the setting; exit code 2 for configuration, 3 for what is missing."""
    environment = broker.environment(MONITORPI_CAPTURE__INTERFACES='["lo"]') | settings
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_capture"],
        env=environment, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert done.returncode == code
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- capture files --------------------------------------------------------------------------------


def pcap(*frames: tuple[float, bytes]) -> bytes:
    """Return a pcap file of Ethernet frames."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    return head + b"".join(
        struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(data), len(data)) + data
        for at, data in frames
    )


def replay(file: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the service over a capture, its bus a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "monitorpi_capture", "--read", file, "--bus", "-"],
        input=data, capture_output=True, timeout=60, check=False,
        env=os.environ | {"MONITORPI_SITE": "lab"},
    )  # fmt: skip


ARP = bytes.fromhex("ffffffffffff0200000000010806") + bytes(46)


@pytest.mark.ours
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_capture_file_becomes_json_lines(tmp_path: Path, way: str) -> None:
    """By name or through standard input: valid messages in the file's own time, exit code 0."""
    data = pcap((100.25, ARP), (101.5, ARP), (101.75, ARP))
    file = tmp_path / "any.name"
    file.write_bytes(data)

    done = replay(str(file)) if way == "file" else replay("-", data)

    assert done.returncode == 0
    assert done.stderr == b""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    schema = json.loads((ROOT / "contracts/traffic.schema.json").read_text())
    for line in lines:
        assert line["topic"] == f"{OWN}/traffic/file"
        jsonschema.validate(line["payload"], schema)
    first, last = (line["payload"] for line in lines)
    assert (first["start"], first["end"], first["window_s"]) == (
        "1970-01-01T00:01:40.000Z", "1970-01-01T00:01:41.000Z", 1.0,
    )  # fmt: skip
    assert (last["window_s"], last["packets"], last["totals"]["arp"]) == (0.75, 2, 3)


@pytest.mark.ours
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty: give a pcap or pcapng file"),
        (b"GIF89a garbage", "is no capture file"),
        (pcap((1, ARP))[:12], "ends within its header"),
    ],
)
def test_a_file_that_is_none_is_exit_code_three(tmp_path: Path, data: bytes, text: str) -> None:
    """One line says what is wrong with which file."""
    file = tmp_path / "x.pcap"
    file.write_bytes(data)

    done = replay(str(file))

    assert done.returncode == 3
    assert text in done.stderr.decode()
    assert str(file) in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.ours
def test_a_missing_file_is_exit_code_three() -> None:
    """The line names the file."""
    done = replay("/nonexistent.pcap")

    assert done.returncode == 3
    assert b"/nonexistent.pcap cannot be read" in done.stderr


@pytest.mark.ours
def test_a_cut_file_counts_up_to_the_cut(tmp_path: Path) -> None:
    """A capture that was being written counts; that its end is missing is reported, and exit 3."""
    file = tmp_path / "x.pcap"
    file.write_bytes(pcap((1, ARP), (1.5, ARP))[:-10])

    done = replay(str(file))

    assert done.returncode == 3
    assert json.loads(done.stdout)["payload"]["packets"] == 1
    assert b"ends within a frame" in done.stderr


@pytest.mark.ours
def test_frames_of_a_pipe_are_told_as_they_come() -> None:
    """``tcpdump -w - | monitorpi-capture --read -`` does not wait for a full buffer."""
    with subprocess.Popen(
        [sys.executable, "-m", "monitorpi_capture", "--read", "-", "--bus", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"MONITORPI_SITE": "lab"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pcap((1, ARP), (2, ARP)))
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=15)

    assert first["payload"]["packets"] == 1
    assert code == 0


@pytest.mark.ours
def test_no_public_capture_breaks_it(captures: Path) -> None:
    """The malformed public captures and odd formats are read to their end without a traceback."""
    for file in [*captures.glob("malformed-*"), *captures.glob("other-*")]:
        done = replay(str(file))

        assert done.returncode == 0, file.name
        assert b"Traceback" not in done.stderr, file.name
        assert done.stdout, file.name
