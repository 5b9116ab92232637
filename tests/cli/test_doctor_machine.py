"""The doctor on folders and ports: each way they cannot be used, with its remedy."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.mounts import unmount

from monitorpi_cli.doctor import ports
from monitorpi_cli.doctor.machine import check_secrets, check_state
from monitorpi_cli.doctor.ports import check_broker_port, check_port
from monitorpi_cli.stack import broker
from monitorpi_common.messages import Service
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import BrokerSettings, CommonSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- the state folder -----------------------------------------------------------------------------


def test_a_state_folder_is_written_and_nothing_is_left(tmp_path: Path) -> None:
    """What was tried is gone."""
    found = check_state(tmp_path)

    assert (found.mark, found.topic) in (("ok", "state"), ("note", "state"))
    assert f"{tmp_path} can be written" in found.text
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_is_not_there_yet_is_looked_up(tmp_path: Path) -> None:
    """It would be made in the nearest folder there is; the doctor does not."""
    found = check_state(tmp_path / "not" / "yet")

    assert found.mark != "wrong"
    assert "can be made" in found.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/dev/null/state", "/dev/null is no folder"),
        ("/proc/state", "/proc"),
        ("/sys/state", "/sys"),
    ],
)
def test_an_impossible_state_folder_is_wrong(folder: str, why: str) -> None:
    """A file in the way, or a file system that takes no files."""
    found = check_state(Path(folder))

    assert found.mark == "wrong"
    assert f"{folder} cannot be written: {why}" in found.text
    assert "MONITORPI_STATE_DIR" in (found.remedy or "")


@pytest.mark.parametrize("dangling", [False, True])
def test_a_file_or_a_dead_link_in_its_place_is_wrong(tmp_path: Path, *, dangling: bool) -> None:
    """No folder can be made there."""
    place = tmp_path / "state"
    if dangling:
        place.symlink_to(tmp_path / "gone")
    else:
        place.write_text("")

    assert "is no folder" in check_state(place).text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full: make room on it"),
        (errno.EDQUOT, "is full: make room on it"),
        (errno.EROFS, "mounted read-only: look at dmesg"),
        (errno.EACCES, "may not be written: run with sudo"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_why_nothing_can_be_written_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """Each by name."""

    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)

    found = check_state(tmp_path)

    assert found.mark == "wrong"
    assert words in str(found)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system without a free block."""
    folder = tmp_path / "full"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root: a full file system is mounted")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    with (folder / "filler").open("wb", buffering=0) as stream, pytest.raises(OSError):  # noqa: PT011, PT012 - until it is full
        while True:
            stream.write(bytes(4096))
    yield folder
    unmount(folder)


def test_a_full_disk_is_wrong(full: Path) -> None:
    """A real one."""
    found = check_state(full / "monitorpi")

    assert found.mark == "wrong"
    assert "is full" in found.text


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "mark"), [(0o700, "ok"), (0o755, "wrong"), (0o710, "wrong")])
def test_secrets_that_others_may_read_are_wrong(tmp_path: Path, mode: int, mark: str) -> None:
    """The remedy is the command."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    secrets.chmod(mode)

    [found] = check_secrets(CommonSettings(state_dir=tmp_path))

    assert (found.mark, found.topic) == (mark, "secrets")
    assert mark == "ok" or found.remedy == f"chmod 700 {secrets}"


def test_secrets_that_are_not_made_yet_are_no_news(tmp_path: Path) -> None:
    """`up` makes them."""
    assert list(check_secrets(CommonSettings(state_dir=tmp_path))) == []


# --- ports ----------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """Listen on a port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def page(folder: Path, *lines: str) -> tuple[str, str]:
    """Return mark and words on a page with these settings."""
    file = folder / "monitorpi.toml"
    file.write_text("\n".join(["[dashboard]", *lines]))
    found = check_port(Service.DASHBOARD, file)
    return found.mark, str(found)


def test_a_page_port_that_somebody_else_has_is_wrong(tmp_path: Path, taken: int) -> None:
    """The process is named, so that it can be stopped."""
    mark, words = page(tmp_path, f"port = {taken}")

    assert mark == "wrong"
    assert f"port {taken} is taken by " in words
    assert f"(process {os.getpid()})" in words
    assert "dashboard.port" in words


def test_a_usual_page_port_that_is_taken_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` takes another."""
    monkeypatch.setattr(ports, "bind_error", lambda *_: errno.EADDRINUSE)

    mark, words = page(tmp_path)

    assert (mark, "`up` takes the next free one" in words) == ("note", True)


def test_a_history_port_that_somebody_else_has_is_wrong(tmp_path: Path, taken: int) -> None:
    """As with the page; without settings the usual one is tried."""
    file = tmp_path / "monitorpi.toml"
    file.write_text(f"[history]\nport = {taken}\n")

    found = check_port(Service.HISTORY, file)

    assert (found.mark, "history.port" in str(found)) == ("wrong", True)
    file.write_text("[history]\nport = 0\n")
    assert check_port(Service.HISTORY, file).mark == "ok"


@pytest.mark.parametrize(
    ("lines", "mark", "words"),
    [
        (['listen = "127.0.0.1"', "port = 0"], "ok", "any free port"),
        (['listen = "192.0.2.77"', "trust_proxy = true"], "wrong", "no address of this machine"),
        (['listen = "no-such-name.invalid"', "trust_proxy = true"], "wrong", "dashboard.listen"),
    ],
)
def test_where_the_page_would_listen_is_tried(
    tmp_path: Path, lines: list[str], mark: str, words: str
) -> None:
    """An address that is another machine's cannot be listened on."""
    found = page(tmp_path, *lines)

    assert found[0] == mark
    assert words in found[1]


def test_a_broker_port_that_somebody_else_has(taken: int) -> None:
    """Configured it is wrong."""
    found = check_broker_port(BrokerSettings(port=taken))

    assert found.mark == "wrong"
    assert "broker.port" in (found.remedy or "")


def test_a_broker_that_up_will_install_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks the doctor first has no Mosquitto yet."""

    def missing() -> str:
        raise ResourceError("Mosquitto is not installed")

    monkeypatch.setattr(broker, "program", missing)

    found = check_broker_port(BrokerSettings())

    assert (found.mark, "./monitorpi up does that" in str(found)) == ("note", True)
