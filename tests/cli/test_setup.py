"""``./monitorpi`` sets itself up: after a move, with another Python, without the Internet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

NOBODY = 65534
QUICK = {"UV_COMPILE_BYTECODE": "false"}
"""What is installed anew in a test is hardly used: compiling it takes far longer than the rest."""
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "UV_OFFLINE": "1",
    "UV_NO_CACHE": "1",
    "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
}


def copy_of_the_checkout(folder: Path) -> Path:
    """Copy what a clone would have, with what is not yet committed."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run(
    folder: Path, *arguments: str, user: int | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call the script as a person would, without what the tests' own start has set."""
    kept = {name: value for name, value in os.environ.items() if name != "MONITORPI_ROOT"}
    return subprocess.run(
        [folder / "monitorpi", *arguments],
        cwd=folder, env=kept | environment, capture_output=True, text=True, check=False,
        user=user, timeout=280,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a checkout that has been set up once, in a folder whose name has a space."""
    folder = copy_of_the_checkout(tmp_path_factory.mktemp("set up") / "first place")
    assert run(folder, "ping", "--count", "1", "127.0.0.1").returncode == 0
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def works(done: subprocess.CompletedProcess[str]) -> bool:
    """Return whether a ping to ourselves was answered."""
    return done.returncode == 0 and "127.0.0.1" in done.stdout


@pytest.mark.parametrize("words", [["help"], [], ["--help"], ["up", "--help"], ["test", "-h"]])
def test_help_installs_nothing(tmp_path: Path, words: list[str]) -> None:
    """Who asks for help gets it at once, from a fresh clone."""
    folder = copy_of_the_checkout(tmp_path / "fresh")

    done = run(folder, *words)

    assert done.returncode == 0
    assert "usage: ./monitorpi COMMAND" in done.stdout
    assert not (folder / ".venv").exists()


def test_a_link_to_the_script_leads_to_its_folder(tmp_path: Path) -> None:
    """As in /usr/local/bin, also through a second link: nothing is set up beside the link."""
    (tmp_path / "monitorpi").symlink_to(ROOT / "monitorpi")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "monitorpi").symlink_to("../monitorpi")

    done = run(tmp_path / "bin", "ping", "--count", "1", "127.0.0.1")

    assert works(done)
    assert [one.name for one in (tmp_path / "bin").iterdir()] == ["monitorpi"]


def test_what_is_up_to_date_is_not_touched(checkout: Path) -> None:
    """A second start sets nothing up."""
    done = run(checkout, "ping", "--count", "1", "127.0.0.1")

    assert works(done)
    assert done.stderr == ""


def test_no_installer_with_known_faults_stays(checkout: Path) -> None:
    """What the system's Python puts into a new environment is gone; ours is of one version."""
    [packages] = (checkout / ".venv" / "lib").glob("python3*/site-packages")
    names = {path.name.split("-")[0] for path in packages.iterdir()}
    pinned = re.search(r"uv_version=(\S+)", (ROOT / "monitorpi").read_text())

    assert names & {"pip", "setuptools"} == set()
    assert pinned is not None
    assert f"ARG UV_VERSION={pinned[1]}\n" in (ROOT / "Dockerfile").read_text()
    assert (packages / f"uv-{pinned[1]}.dist-info").exists()


def test_the_help_of_one_command_needs_no_other_packages(checkout: Path) -> None:
    """Its options are told by the environment that is there."""
    done = run(checkout, "up", "--help")

    assert done.returncode == 0
    assert "--interface" in done.stdout


def test_the_help_of_every_command_installs_nothing(checkout: Path, tmp_path: Path) -> None:
    """Neither Debian's packages nor Python's, though both are to be renewed."""
    place = Path(shutil.copytree(checkout, tmp_path / "stale", symlinks=True))
    (place / "uv.lock").write_text((place / "uv.lock").read_text() + "\n# changed\n")
    help_ = run(place, "help").stdout
    commands = re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)  ", help_, re.MULTILINE)
    assert {"up", "test", "bench capture", "lab", "thingspeak"} <= set(commands)
    nothing = {"DPKG_ADMINDIR": str(tmp_path / "no packages"), "APT_CONFIG": "/dev/full"}

    for command in commands:
        done = run(place, *command.split(), "--help", **OFFLINE, **nothing)

        if command != "mutate":  # its options are told once it has been installed
            assert (command, done.returncode) == (command, 0), done.stderr
        assert "Traceback" not in done.stderr
        assert "installing" not in done.stderr
        assert "setting up" not in done.stderr


def test_a_moved_folder_is_followed(checkout: Path, tmp_path: Path) -> None:
    """Without the Internet: everything that is needed has moved along."""
    place = tmp_path / "another place & name"
    shutil.copytree(checkout, place, symlinks=True)

    done = run(place, "ping", "--count", "1", "127.0.0.1", **OFFLINE)

    assert works(done)
    assert "this folder was" in done.stderr
    assert str(checkout) not in (place / ".venv" / "pyvenv.cfg").read_text()
    assert works(run(place, "ping", "--count", "1", "127.0.0.1", **OFFLINE))


def test_packages_of_another_python_are_installed_anew(checkout: Path, tmp_path: Path) -> None:
    """As after an upgrade of the system: the old packages are for a Python that has gone."""
    place = tmp_path / "upgraded"
    shutil.copytree(checkout, place, symlinks=True)
    (lib,) = (place / ".venv" / "lib").iterdir()
    lib.rename(lib.with_name("python3.9"))

    done = run(place, "ping", "--count", "1", "127.0.0.1", **QUICK)

    assert works(done)
    assert [one.name for one in (place / ".venv" / "lib").iterdir()] == [lib.name]


@pytest.mark.parametrize("gone", ["pydantic", "impl_monitorpi_common.pth", "pydantic/_internal"])
def test_a_half_deleted_environment_is_made_anew(checkout: Path, tmp_path: Path, gone: str) -> None:
    """A package that is gone, or a part of one, while what is written of it is still there."""
    place = tmp_path / "half"
    shutil.copytree(checkout, place, symlinks=True)
    [packages] = (place / ".venv" / "lib").glob("python3*/site-packages")
    [lost] = packages.glob(f"*{gone}") if gone.endswith(".pth") else [packages / gone]
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()

    done = run(place, "ping", "--count", "1", "127.0.0.1", **QUICK)

    assert works(done)
    assert done.returncode == 0
    assert lost.exists()


def test_without_the_internet_what_is_there_goes_on(checkout: Path, tmp_path: Path) -> None:
    """A new lock file cannot be followed: that is said, and the old packages serve."""
    place = tmp_path / "offline"
    shutil.copytree(checkout, place, symlinks=True)
    (place / "uv.lock").write_text("a lock file that cannot be read")

    done = run(place, "ping", "--count", "1", "127.0.0.1", **OFFLINE)

    assert works(done)
    assert "going on with those there are" in done.stderr


def test_without_the_internet_a_first_start_is_one_line(tmp_path: Path) -> None:
    """What failed, and what to look at."""
    folder = copy_of_the_checkout(tmp_path / "fresh")

    done = run(folder, "ping", "127.0.0.1", **OFFLINE)

    assert done.returncode == 3
    (_, line) = done.stderr.splitlines()
    assert line.startswith("monitorpi: the Python packages could not be installed; is the Internet")


def test_a_set_up_of_roots_is_not_for_others_to_renew(checkout: Path, tmp_path: Path) -> None:
    """Started with sudo first and without later: whose it is, and what to do."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    place = Path(shutil.copytree(checkout, tmp_path / "roots", symlinks=True))
    (place / "uv.lock").write_text((place / "uv.lock").read_text() + "\n# changed\n")
    for folder in (place, *place.parents[:-2]):
        folder.chmod(0o755)

    done = run(place, "ping", "127.0.0.1", user=NOBODY)

    assert done.returncode == 3
    assert done.stderr.strip().endswith("belongs to root: run this once with sudo")
