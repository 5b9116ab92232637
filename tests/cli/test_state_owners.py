"""Whose the state is: what this account cannot use is said before anything starts, by both."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.doctor.machine import check_secrets, check_settings
from monitorpi_cli.stack.plan import make_plan
from monitorpi_cli.stack.state import open_to_others, state_dir
from monitorpi_common import settings
from monitorpi_common.settings import CommonSettings, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOBODY = 65_534
OPTIONS = argparse.Namespace(config=None, site=None, interface=None, scale=None)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a state folder that an ordinary account used."""
    if os.geteuid() != 0:
        pytest.skip("needs root: files of several accounts")
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "default.toml")
    for parent in (tmp_path, *tmp_path.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)
    folder = tmp_path / "state"
    for part in ("capture", "secrets/viewer", "secrets/capture", "broker"):
        (folder / part).mkdir(parents=True, mode=0o700)
    (folder / "secrets/viewer/broker__password").write_text("x")
    (folder / "secrets/viewer/broker__password").chmod(0o600)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(folder))
    assert list(check_settings(None)) == []  # all is loaded that an account may not load itself
    return folder


@contextmanager
def nobody() -> Iterator[None]:
    """Be an ordinary account."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def give(name: str, mode: int | None = None) -> Callable[[Path], None]:
    """Return what gives a part of the state to root."""

    def apply(folder: Path) -> None:
        os.chown(folder / name, 0, 0)
        if mode is not None:
            (folder / name).chmod(mode)

    return apply


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (give("secrets", 0o755), "secrets belongs to root: run with sudo, or set another one"),
        (give("secrets", 0o700), "secrets belongs to root: run with sudo"),
        (give("secrets/viewer", 0o755), "viewer belongs to root: run with sudo"),
        (give("secrets/viewer/broker__password"), "broker__password belongs to root"),
        (give("secrets/capture", 0o755), "secrets/capture belongs to root"),
        (give("broker", 0o755), "broker belongs to root"),
        (give("capture", 0o755), "capture belongs to root"),
        (lambda folder: os.chown(folder / "capture", 4_242_424, 0), "belongs to uid 4242424: run"),
        (lambda folder: (folder / "capture").chmod(0o500), "capture may not be changed: chmod u+"),
    ],
)
def test_up_and_doctor_say_what_is_somebody_elses(
    state: Path, change: Callable[[Path], None], says: str
) -> None:
    """One line, the same from both, and nothing starts."""
    change(state)

    with nobody():
        found = [str(one) for one in check_settings(None)]
        with pytest.raises(ConfigurationError) as caught:
            make_plan(OPTIONS)

    (line,) = caught.value.lines
    assert found == [f"settings: {line}"]
    assert line.startswith(f"MONITORPI_STATE_DIR: state_dir: {state} cannot be used: {state}/")
    assert says in line


@pytest.mark.parametrize("name", ["capture", "secrets", "secrets/viewer"])
@pytest.mark.parametrize("target", [None, "/nowhere/x", "/etc/hostname"])
def test_what_is_no_folder_is_said_by_both(state: Path, name: str, target: str | None) -> None:
    """A file, a link to one or to nothing stands where a folder would be made."""
    place = state / name
    place.rename(state.parent / "away")
    if target is None:
        place.write_text("x")
    else:
        place.symlink_to(target)

    found = [str(one) for one in check_settings(None)]
    with pytest.raises(ConfigurationError) as caught:
        make_plan(OPTIONS)

    (line,) = caught.value.lines
    assert f"{place} is no folder: move it away" in line
    assert found == [f"settings: {line}"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_where_the_lock_would_be_is_said_by_both(
    state: Path, make: Callable[[Path], None]
) -> None:
    """A folder, or a named pipe: a slip of the shell, a bind mount of a container."""
    place = state / "lock"
    place.unlink(missing_ok=True)
    make(place)

    found = [str(one) for one in check_settings(None)]
    with pytest.raises(ConfigurationError) as caught:
        make_plan(OPTIONS)

    (line,) = caught.value.lines
    assert f"{place} is no ordinary file: move it away" in line
    assert found == [f"settings: {line}"]


def test_secrets_that_a_service_cannot_read_are_its_own_mistake(state: Path) -> None:
    """One line, not two."""
    give("secrets/capture", 0o700)(state)

    with nobody():
        (found,) = [str(one) for one in check_settings(None)]

    assert found.startswith(f"settings: secrets directory {state}/secrets/capture: cannot be read")


def test_its_owner_and_root_may_use_it(state: Path) -> None:
    """Folders of its own that are closed to itself are opened by each start."""
    (state / "secrets").chmod(0o500)

    with nobody():
        assert list(check_settings(None)) == []
    assert list(check_settings(None)) == []


def test_a_password_that_root_made_readable_is_used(state: Path) -> None:
    """It need not be written."""
    give("secrets/viewer/broker__password", 0o644)(state)

    with nobody():
        assert list(check_settings(None)) == []


def test_with_a_broker_elsewhere_its_accounts_do_not_matter(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of another time."""
    give("secrets", 0o700)(state)
    monkeypatch.setenv("MONITORPI_BROKER__HOST", "192.0.2.1")

    with nobody():
        assert list(check_settings(None)) == []


def test_a_password_that_mosquitto_cannot_take_is_said_by_both(state: Path) -> None:
    """Its file has a colon between name and password."""
    file = state / "secrets/viewer/broker__password"
    file.write_text("a:b")

    found = [str(one) for one in check_settings(None)]
    with pytest.raises(ConfigurationError) as caught:
        make_plan(OPTIONS)

    (line,) = caught.value.lines
    assert line.startswith(f"secret {file}: a password of the own broker can hold no ':'")
    assert found == [f"settings: {line}"]


def test_open_secrets_are_said_by_both(tmp_path: Path) -> None:
    """In the same words: doctor with the remedy, ``up`` closes them."""
    secrets = tmp_path / "secrets"
    assert open_to_others(secrets) is None
    secrets.mkdir(mode=0o700)
    assert open_to_others(secrets) is None
    secrets.chmod(0o750)

    (found,) = check_secrets(CommonSettings(state_dir=tmp_path))

    assert found.text == open_to_others(secrets)
    assert found.text == f"{secrets} is open to other accounts of this machine"


def test_an_account_without_a_home_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container that is run with a number."""
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "default.toml")
    for name in ("MONITORPI_STATE_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 4_242_424)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)

    with pytest.raises(ConfigurationError) as caught:
        make_plan(OPTIONS)

    (line,) = caught.value.lines
    assert line == "this account has no home: set another one (state_dir, MONITORPI_STATE_DIR)"
    assert [str(one) for one in check_settings(None)] == [f"settings: {line}"]


def test_a_folder_of_state_that_is_relative_is_not_heeded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """XDG says so: it would be another one wherever ``up`` is called from."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert state_dir(CommonSettings()) == tmp_path / ".local/state/monitorpi"
