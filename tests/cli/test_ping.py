"""``./monitorpi ping``: one round as a table or as the message, whatever it is asked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitorpi_cli import ping
from monitorpi_common.messages import Device, Load, Probe

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAC = "b8:27:eb:00:00:07"
LISTED = ("127.0.0.1", "no.invalid", "127.0.0.1", "::1", "neither.invalid")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    command = [str(Path(sys.executable).parent / "monitorpi"), "ping", "--count", "3", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(autouse=True)
def may_ping() -> None:
    """Skip, and say why, where this process may open no ICMP socket."""
    if os.geteuid() != 0:
        pytest.skip("needs root, or a ping_group_range with our group")


def test_each_address_has_a_clear_line() -> None:
    """Duplicates, unknown names and IPv6 each have a line that says what is the matter."""
    done = run(*LISTED)

    lines = done.stdout.splitlines()
    assert lines[0].split() == ["target", "sent", "lost", "avg", "p95", "max", "jitter", "mos"]
    assert lines[1].split()[:3] == ["127.0.0.1", "3", "0"]
    assert "the host name no.invalid does not resolve" in lines[2]
    assert "not probed twice: it is the same target as 127.0.0.1" in lines[3]
    assert "neither.invalid does not resolve" in lines[5]
    last = r"times in ms, round trip; differences below \d+\.\d{3} ms are this machine's own"
    assert re.fullmatch(last, lines[-1])
    assert (done.returncode, done.stderr) == (1, "")


def test_json_is_the_message_of_the_prober() -> None:
    """``--json`` prints a message of the contract, and 0 says that all answered."""
    done = run("127.0.0.1", "--json")

    probe = Probe.model_validate(json.loads(done.stdout))
    [target] = probe.targets
    assert (target.sent, target.received, target.state) == (3, 3, "up")
    assert done.returncode == 0


def test_the_load_of_a_known_device_stands_beside_its_times() -> None:
    """What capture publishes of a device is joined by its MAC address."""
    load = Load(
        tx_bps=1_500_000, rx_bps=900, tx_frames_per_s=140, rx_frames_per_s=2, utilisation_ratio=0.15
    )
    device = Device(
        mac=MAC, ips=["127.0.0.1"], first_seen=NOW, last_seen=NOW, present=True, load=load
    )

    # an address nobody announced has no load
    probe = ping.measure(["127.0.0.1", "127.0.0.2"], 1, 1.0, None, [])
    told = [target.model_copy(update={"mac": MAC}) for target in probe.targets[:1]]
    table = ping.table(
        probe.model_copy(update={"targets": [*told, *probe.targets[1:]]}), [device]
    ).splitlines()

    assert table[0].split()[-5:] == ["sends", "fr/s", "receives", "fr/s", "use"]
    assert table[1].split()[-7:] == ["1.5", "Mbit/s", "140", "900", "bit/s", "2", "15%"]
    assert table[2].split()[-5:] == ["-"] * 5


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    """A source that is no interface of this machine ends with 3 and one sentence."""
    done = run("127.0.0.1", "--source", "wlan9")

    assert done.returncode == 3
    assert "there is no interface 'wlan9'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "address",
    ["", "a" * 300, "10.0.0.300", "10.0.0.0/24", "http://a", "10.0.0.1:80", "224.0.0.1", "::"],
)
def test_what_is_no_address_of_one_host_is_refused_in_a_sentence(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent, and the last line says which and why."""
    with pytest.raises(SystemExit) as ended:
        ping.main(["127.0.0.1", address])

    assert ended.value.code == 2
    assert f"argument ADDRESS: {address[:80]!r}: " in capsys.readouterr().err.splitlines()[-1]
