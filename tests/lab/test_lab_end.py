"""The end of a lab: it leaves nothing, and says what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.conftest import is_running
from tests.lab.labs import wait_until

from monitorpi_lab import namespace
from monitorpi_lab.lan import Lab, LabError

pytestmark = pytest.mark.lab

# --- the end of a lab ----------------------------------------------------------------------------

OWNER = """
import subprocess, sys, time
from pathlib import Path
from monitorpi_lab.lan import Lab
from monitorpi_lab.namespace import scratch
with Lab(2) as lab, scratch() as folder:
    direct = lab.hosts[0].popen(["sleep", "600"])
    shell = lab.hosts[1].popen(["sh", "-c", "sleep 601 & echo $!; wait"],
                               stdout=subprocess.PIPE, text=True)
    networks = [Path(host.namespace.path).stat().st_ino for host in (*lab.hosts, lab.sensor)]
    print(direct.pid, shell.pid, shell.stdout.readline().strip(), *networks, flush=True)
    print(folder, flush=True)
    if sys.argv[1] == "wait":
        time.sleep(600)
    if sys.argv[1] == "raise":
        raise RuntimeError("a bug")
"""


def start_owner(how: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a process that owns a lab; returns it, two programs, one below them, and networks."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    return owner, [int(pid) for pid in owner.stdout.readline().split()]


def existing(networks: list[int]) -> set[str]:
    """Return which of these network namespaces a process is still in."""
    wanted = {f"net:[{network}]" for network in networks}
    found = set()
    for link in Path("/proc").glob("[0-9]*/task/*/ns/net"):
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found & wanted


@pytest.mark.parametrize("how", ["end", "raise"])
def test_a_lab_that_ends_takes_its_programs_along(privileged: None, how: str) -> None:
    """After the end, and after an exception, no program the lab started runs on."""
    del privileged
    owner, (direct, shell, _, *_) = start_owner(how)
    owner.communicate(timeout=20)

    assert wait_until(lambda: not is_running(direct) and not is_running(shell))


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_lab_leaves_nothing_after_the_next_start(
    privileged: None, signal_number: int
) -> None:
    """After kill -9 the kernel ends what the lab started, the next start what that had started."""
    del privileged
    owner, (direct, shell, below, *networks) = start_owner("wait")
    folder = Path(owner.stdout.readline().strip()) if owner.stdout else Path()
    assert len(existing(networks)) == 3
    assert folder.is_dir()
    owner.send_signal(signal_number)
    owner.communicate(timeout=20)

    assert wait_until(lambda: not is_running(direct) and not is_running(shell))
    with Lab(1):
        pass

    assert wait_until(lambda: not is_running(below))
    assert wait_until(lambda: not existing(networks))
    assert not folder.exists()


def test_what_belongs_to_a_running_lab_is_not_reaped(lab: Lab) -> None:
    """Reaping spares the programs of a lab whose owner lives."""
    program = lab.hosts[0].popen(["sleep", "60"])

    namespace.reap()

    assert program.poll() is None
    program.kill()


def test_a_failure_while_building_leaves_nothing(
    privileged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that is missing half way ends in one sentence, with no namespace left."""
    del privileged
    before = set(threading.enumerate())
    monkeypatch.setattr(namespace, "_which", lambda name: None if name == "tc" else name)

    with pytest.raises(LabError, match="tc is not installed: apt-get install iproute2"), Lab(2):
        pass

    assert wait_until(lambda: set(threading.enumerate()) <= before)


def test_without_root_the_remedy_is_said() -> None:
    """A user without privileges is told to use sudo, in one line and without a traceback."""
    program = [sys.executable, "-m", "monitorpi_lab.shell", "true"]
    if os.geteuid() == 0:
        program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program]
        if (
            subprocess.run(
                [*program[:5], "-c", "import monitorpi_cli"], check=False, capture_output=True
            ).returncode
            != 0
        ):
            pytest.skip("an ordinary user cannot read this checkout or its Python")

    said = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (
        said.returncode,
        said.stderr,
    ) == (3, "monitorpi lab: network namespaces need root: run it with sudo\n")


def test_the_command_runs_a_program_beside_a_busy_lan(privileged: None) -> None:
    """What runs on the sensor sees the hosts' traffic at the mirror port; its exit code counts."""
    del privileged
    look = (
        "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); "
        "s.bind(('mirror0', 0)); s.settimeout(30); raise SystemExit(len(s.recv(2048)) > 13 and 7)"
    )
    program = [sys.executable, "-m", "monitorpi_cli", "lab", sys.executable, "-c", look]

    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert done.returncode == 7, done.stderr
    assert "nas      198.18.0.2" in done.stderr


@pytest.mark.parametrize("hosts", [0, 251])
def test_a_lab_of_an_impossible_size_is_refused(hosts: int) -> None:
    """The documentation MAC addresses allow 250 hosts; anything else is said to be wrong."""
    with pytest.raises(LabError, match="1 to 250 hosts"):
        Lab(hosts)
