"""A machine with nothing but Debian: set up, moved, upgraded to the next Debian, without Internet.

Each root is made by debootstrap and entered with namespaces of its own; the clone lies beside them
and is mounted into the one that runs. What a test leaves is what the next one finds, in this order,
as on a machine that grows older.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.cli.test_setup import copy_of_the_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

INCLUDED: Final = "python3,python3-venv,ca-certificates,iproute2,mosquitto,mosquitto-clients"
BEFORE, AFTER = "bookworm", "trixie"
SOMEBODY: Final = 1000
RUN_S: Final = 45
"""So long `up` runs, until somebody presses Ctrl-C."""
AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
OF_THIS_MACHINE: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", AUTHORITIES)
"""How the Internet is reached here."""
HANDED_ON: Final = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


class Machine:
    """Roots of two Debians and one clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        copy_of_the_checkout(self.shared / "clone")
        self.place = "clone"

    def _make(self, suite: str) -> None:
        root = self.folder / suite
        command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", suite, str(root)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout[-2000:]
        (root / "srv" / "shared").mkdir()
        for name in OF_THIS_MACHINE:
            if Path(name).exists():
                target = root / name[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, target)
        with (root / "etc" / "passwd").open("a") as accounts:
            accounts.write(f"somebody:x:{SOMEBODY}:{SOMEBODY}::/home/somebody:/bin/sh\n")
        home = root / "home" / "somebody"
        home.mkdir()
        os.chown(home, SOMEBODY, SOMEBODY)

    def run(
        self, suite: str, command: str, *, online: bool = False, user: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the clone, on one of the machines."""
        if not (self.folder / suite).exists():
            self._make(suite)
        root = shlex.quote(str(self.folder / suite))
        home = "/home/somebody" if user else "/root"
        enter = (
            f"mount --bind {shlex.quote(str(self.shared))} {root}/srv/shared && "
            f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
            f"mount -t tmpfs tmpfs {root}/run && ip link set lo up && "
            f"exec chroot --userspec={user}:{user} {root} env HOME={home} /bin/sh -c "
            f"{shlex.quote(f'cd /srv/shared/{shlex.quote(self.place)} && {command}')}"
        )
        handed = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if online else ["--net"])]
        return subprocess.run(
            ["unshare", *namespaces, "/bin/sh", "-c", enter],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **handed},
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip

    def up(self, suite: str, *, online: bool = False, user: int = 0) -> str:
        """Run the stack on loopback, press Ctrl-C, and return all that it said."""
        stop = f"timeout --preserve-status --signal=INT {RUN_S}"
        if online:  # set up first: how long that takes is the network's matter
            self.run(suite, "./monitorpi ping --count 1 127.0.0.1", online=True, user=user)
        done = self.run(suite, f"{stop} ./monitorpi up --interface lo", user=user)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "MonitorPi watches site" in said, said
        assert "monitorpi: stopped" in said, said
        assert "Traceback" not in said, said
        return said


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Begin with a fresh clone; a root is made when it is first entered."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes roots and enters them")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed: apt-get install debootstrap")
    folder = tmp_path_factory.mktemp("pristine")
    yield Machine(folder)
    shutil.rmtree(folder, ignore_errors=True)


def helps(machine: Machine, suite: str, user: int = 0) -> bool:
    """Tell whether help is told."""
    done = machine.run(suite, "./monitorpi help", user=user)
    return done.returncode == 0 and "usage: ./monitorpi COMMAND" in done.stdout


def test_help_comes_before_anything_is_installed(machine: Machine) -> None:
    """From a fresh clone, without the Internet; and a start says in one line what it lacks."""
    assert helps(machine, BEFORE)
    assert not (machine.shared / machine.place / ".venv").exists()

    done = machine.run(BEFORE, "./monitorpi up --interface lo")

    assert done.returncode == 3
    assert "is the Internet reached?" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_first_start_sets_up_and_runs(machine: Machine) -> None:
    """With the Internet once; from then on without."""
    machine.up(BEFORE, online=True)
    machine.up(BEFORE)
    assert helps(machine, BEFORE)


def test_a_clone_that_was_moved_runs_without_the_internet(machine: Machine) -> None:
    """Also into a folder whose name has a space."""
    (machine.shared / "clone").rename(machine.shared / "another place")
    machine.place = "another place"

    said = machine.up(BEFORE)

    assert "this folder was /srv/shared/clone before: following" in said
    assert helps(machine, BEFORE)


def test_roots_set_up_serves_others_and_is_not_theirs_to_renew(machine: Machine) -> None:
    """With sudo first and without later: it runs; what is to be renewed is said in one line."""
    assert helps(machine, BEFORE, SOMEBODY)
    done = machine.run(BEFORE, "./monitorpi doctor --seconds 1 --interface lo", user=SOMEBODY)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lock = machine.shared / machine.place / "uv.lock"
    lock.write_text(lock.read_text() + "\n")

    done = machine.run(BEFORE, "./monitorpi up --interface lo", user=SOMEBODY)

    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.endswith("belongs to root: run this once with sudo")
    assert "going on with those there are" in machine.up(BEFORE)  # root, without the Internet


def test_the_next_debian_replaces_its_python(machine: Machine) -> None:
    """Debian 12 to 13: help at once, one line without the Internet, all anew with it."""
    assert helps(machine, AFTER)
    done = machine.run(AFTER, "./monitorpi up --interface lo")
    assert done.returncode == 3
    assert "is the Internet reached?" in done.stderr.splitlines()[-1]

    machine.up(AFTER, online=True)

    machine.up(AFTER)
    assert helps(machine, AFTER)
