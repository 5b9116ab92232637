"""``./monitorpi`` installs Debian's packages: beside others who do, and what fails is one line.

apt-get and dpkg are real; their lists and locks, and what is installed, are of the test's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.conftest import ROOT
from tests.disks import fill, make_disk, mounted
from tests.mounts import unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(120)

NAMES: Final = ("mosquitto", "mosquitto-clients")
NOBODY: Final = 65534
POLICY: Final = Path("/usr/sbin/policy-rc.d")
WITHOUT_POLICY: Final = (
    f"mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay overlay -o "
    f"lowerdir={POLICY.parent},upperdir=/mnt/upper,workdir=/mnt/work {POLICY.parent} "
    f'&& rm -f {POLICY} && "$@" && test ! -e {POLICY}'
)
"""Runs a command where no policy keeps services from being started, and none may be left."""


class Debian:
    """What apt-get and dpkg take for this machine's packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = folder / "policy seen"
        for name in (
            "dpkg/info",
            "dpkg/updates",
            "lists/partial",
            "cache/archives/partial",
            "empty",
        ):
            (folder / name).mkdir(parents=True)
        for name in ("dpkg/status", "dpkg/available"):
            (folder / name).touch()
        self.sources(f"deb [trusted=yes] file:{folder}/pool ./")
        (folder / "apt.conf").write_text(
            f'Dir::State::status "{folder}/dpkg/status"; Dir::State::lists "{folder}/lists";\n'
            f'Dir::Cache "{folder}/cache"; Dir::Etc::sourcelist "{folder}/sources.list";\n'
            f'Dir::Etc::sourceparts "{folder}/empty"; Dir::Log "{folder}";\n'
            'APT::Sandbox::User "root"; Acquire::Retries "0"; DPkg::Path "";\n'
        )
        self.offer(*NAMES)

    def sources(self, line: str) -> None:
        """Say where packages come from."""
        (self.folder / "sources.list").write_text(line + "\n")

    def offer(self, *names: str) -> None:
        """Make packages with nothing in them; each tells whether it was kept from being started."""
        pool = self.folder / "pool"
        pool.mkdir(exist_ok=True)
        entries = []
        for name in names:
            control = (
                f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\n"
                "Description: nothing\n"
            )
            script = self.folder / "made" / name / "DEBIAN"
            script.mkdir(parents=True)
            (script / "control").write_text(control)
            (script / "postinst").write_text(
                f"#!/bin/sh\n{POLICY} {name} start\necho $? >>'{self.policy}'\n"
            )
            (script / "postinst").chmod(0o755)
            package = pool / f"{name}.deb"
            build = ["dpkg-deb", "--build", "--root-owner-group", str(script.parent), str(package)]
            subprocess.run(build, check=True, capture_output=True)
            content = package.read_bytes()
            entries.append(
                f"{control}Filename: ./{package.name}\nSize: {len(content)}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
            )
        (pool / "Packages").write_text("\n".join(entries))

    def installed(self) -> set[str]:
        """Return the packages that are installed."""
        said = (self.folder / "dpkg" / "status").read_text().split("\n\n")
        return {
            one.split("\n")[0].removeprefix("Package: ")
            for one in said
            if "Status: install ok installed" in one
        }

    def start(
        self, *before: str, user: int | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Begin to set up what the service at boot needs."""
        kept = {name: value for name, value in os.environ.items() if name != "MONITORPI_ROOT"}
        ours = {"APT_CONFIG": f"{self.folder}/apt.conf", "DPKG_ADMINDIR": f"{self.folder}/dpkg"}
        return subprocess.Popen(
            [*before, ROOT / "monitorpi", "prepare"], env=kept | ours | environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=user,
        )  # fmt: skip

    def run(self, *before: str, **environment: str) -> tuple[int, list[str]]:
        """Set up; returns the exit code and all lines that were said."""
        begun = self.start(*before, **environment)
        said, errors = begun.communicate(timeout=100)
        return begun.returncode, [*said.splitlines(), *errors.splitlines()]


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    """Return a Debian without a broker."""
    if os.geteuid() != 0:
        pytest.skip("needs root: apt-get installs")
    return Debian(tmp_path)


@contextmanager
def held(file: Path) -> Iterator[int]:
    """Hold a lock as apt-get and dpkg do; gives our process id."""
    with file.open("w") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        yield os.getpid()


LOCKS: Final = ("lists/lock", "cache/archives/lock", "dpkg/lock-frontend", "dpkg/lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_others_who_install_are_waited_for(debian: Debian, lock: str) -> None:
    """As at a boot: the upgrades of the night are under way. It says once whom it waits for."""
    with held(debian.folder / lock) as pid:
        begun = debian.start()
        assert begun.stderr is not None
        first, second = begun.stderr.readline(), begun.stderr.readline()
        assert debian.installed() == set()
    said, errors = begun.communicate(timeout=60)

    assert begun.returncode == 0, errors
    assert first == "monitorpi: installing for the broker: mosquitto mosquitto-clients\n"
    assert (
        f"(process {pid}) keeps Debian's packages locked: waiting for it, at most 300 s" in second
    )
    assert (said, errors) == ("", "")
    assert debian.installed() == set(NAMES)


@pytest.mark.parametrize("lock", LOCKS)
def test_who_never_ends_is_waited_for_a_bounded_while(debian: Debian, lock: str) -> None:
    """One line says whose lock it is and what to do; none of apt-get's own words."""
    with held(debian.folder / lock) as pid:
        code, (_, waits, gives_up) = debian.run(MONITORPI_PATIENCE_S="2")

    assert code == 3
    assert "waiting for it, at most 2 s" in waits
    assert f"(process {pid}) has kept Debian's packages locked for 2 s" in gives_up
    assert gives_up.endswith("run this again once it has ended")


def test_a_start_between_two_packages_is_kept_off_while_we_install(debian: Debian) -> None:
    """The policy that keeps services from being started is there then, and gone afterwards."""
    code, said = debian.run("unshare", "--mount", "sh", "-c", WITHOUT_POLICY, "sh")

    assert (code, said[1:]) == (0, [])
    assert debian.policy.read_text().split() == ["101", "101"]


def test_while_others_install_their_services_may_start(debian: Debian) -> None:
    """No policy of ours is there before the packages are ours to change."""
    looks = (
        f"{WITHOUT_POLICY.removesuffix(f'&& test ! -e {POLICY}')}; ls {POLICY} 2>/dev/null; true"
    )
    wait = f"until grep -qs waiting '{debian.folder}/said'; do sleep 0.1; done"
    both = looks.replace(
        '"$@"', f"{{ \"$@\" 2>'{debian.folder}/said' & {wait}; ls {POLICY} 2>/dev/null; kill $!; }}"
    )
    with held(debian.folder / "dpkg" / "lock-frontend"):
        _, said = debian.run("unshare", "--mount", "sh", "-c", both, "sh")

    assert said == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("none", "is the Internet reached? (E: Unable to locate package mosquitto)"),
        ("away", "is the Internet reached? (E: Failed to fetch"),
        ("interrupted", "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"),
        ("full", "the disk is full: make room (E: Failed to fetch"),
    ],
)
def test_what_cannot_be_installed_is_one_line(debian: Debian, spoil: str, says: str) -> None:
    """What it is, and what helps."""
    match spoil:
        case "none":
            debian.sources("")
        case "away":
            (debian.folder / "pool" / "mosquitto.deb").unlink()
        case "interrupted":
            (debian.folder / "dpkg" / "updates" / "0001").write_text("Package: mosquitto\n")
        case "full":
            archives = debian.folder / "cache" / "archives"
            mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(archives)]
            subprocess.run(mount, check=True)
            (archives / "partial").mkdir()
            (archives / "lock").touch()
            fill(archives)
            debian.sources(f"deb [trusted=yes] copy:{debian.folder}/pool ./")
    try:
        code, (_, line) = debian.run()
    finally:
        if spoil == "full":
            unmount(archives)

    assert code == 3
    assert line.startswith("monitorpi: these packages could not be installed: mosquitto")
    assert says in line


def test_a_sudo_that_refuses_is_one_line(debian: Debian, tmp_path: Path) -> None:
    """Who may not install is told what whoever may has to run."""
    refusing = tmp_path / "sudo"
    refusing.write_text("#!/bin/sh\necho 'somebody is not in the sudoers file.' >&2\nexit 1\n")
    refusing.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)

    begun = debian.start(user=NOBODY, PATH=f"{tmp_path}:{os.environ['PATH']}")
    _, errors = begun.communicate(timeout=60)

    assert begun.returncode == 3
    assert errors.splitlines()[-1] == (
        "monitorpi: sudo does not let you install mosquitto mosquitto-clients; "
        "run as root: apt-get update && apt-get install mosquitto mosquitto-clients"
    )


def run(**environment: str) -> tuple[int, list[str]]:
    """Ask for something that needs Python's packages; returns the exit code and what was said."""
    kept = {name: value for name, value in os.environ.items() if name != "MONITORPI_ROOT"}
    done = subprocess.run(
        [ROOT / "monitorpi", "ping", "127.0.0.1"], env=kept | environment, text=True,
        capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


def test_a_full_disk_for_pythons_packages_is_said(tmp_path: Path) -> None:
    """It is not the Internet that is asked for."""
    with mounted(make_disk(tmp_path / "disk", 24), tmp_path / "place") as place:
        fill(place)

        code, said = run(MONITORPI_VENV=f"{place}/venv")

    assert code == 3
    assert "the disk is full: make room" in said[-1]
    assert all(line.startswith("monitorpi: ") for line in said)


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Root's own folder is nothing to be run with sudo for."""
    disk = make_disk(tmp_path / "disk", 24)
    with mounted(disk, tmp_path / "place") as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)

        code, (line,) = run(MONITORPI_VENV=f"{place}/venv")

    assert code == 3
    assert line.endswith(f"{place} cannot be written: make its file system writable")


def test_a_full_tmp_is_said(debian: Debian) -> None:
    """There is nowhere to keep what apt-get says."""
    code, said = debian.run(TMPDIR=f"{debian.folder}/nowhere")

    assert code == 3
    assert (
        said[-1] == f"monitorpi: nothing can be written to {debian.folder}/nowhere: make room there"
    )
