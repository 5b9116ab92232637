"""Every file that a service keeps, damaged in every way: it starts, or says in one line why not."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from argparse import Namespace
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.disks import fill, make_disk, mounted

from monitorpi_cloud_bridge import __main__ as cloud_bridge
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.log import Log
from monitorpi_common.record import HEAD
from monitorpi_common.recordfile import RecordFile
from monitorpi_common.retained import Write
from monitorpi_common.service import Context, ResourceError
from monitorpi_detector import __main__ as detector
from monitorpi_detector.settings import DetectorSettings
from monitorpi_history import __main__ as history
from monitorpi_history.settings import HistorySettings
from monitorpi_history.sources.web import WebServer
from monitorpi_home_assistant import __main__ as home_assistant
from monitorpi_home_assistant.settings import HomeAssistantSettings
from monitorpi_home_assistant.sinks.announced import Announced
from monitorpi_notifier import __main__ as notifier
from monitorpi_notifier.settings import NotifierSettings

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
"""What a refused start leaves open ends with its process."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICES: Final[dict[str, tuple[Any, Any, str]]] = {
    "detector": (detector, DetectorSettings(), "detector-main.json"),
    "home-assistant": (home_assistant, HomeAssistantSettings(), "announced.json"),
    "history": (history, HistorySettings(port=0), "history.sqlite"),
    "notifier": (
        notifier,
        NotifierSettings.model_validate({"destinations": {"me": {"url": "json://127.0.0.1"}}}),
        "outbox.sqlite",
    ),
    "cloud-bridge": (
        cloud_bridge,
        CloudBridgeSettings.model_validate(
            {"channels": {"traffic": 1}, "write_keys": {"traffic": "K"}}
        ),
        "outbox.sqlite",
    ),
}


def _sqlite(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE other (x)")
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()


DAMAGES: Final[dict[str, Callable[[Path, bytes], object]]] = {
    "empty": lambda path, _: path.write_bytes(b""),
    "cut in half": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
    "zeros": lambda path, whole: path.write_bytes(bytes(max(len(whole), 8192))),
    "zeros behind": lambda path, whole: path.write_bytes(whole + bytes(8192)),
    "one byte": lambda path, whole: path.write_bytes(whole[:-1] + b"\xff"),
    "a text": lambda path, _: path.write_bytes(b"not what was written\n"),
    "a deep text": lambda path, _: path.write_bytes(b"[" * 200_000),
    "another kind": lambda path, _: path.write_bytes(b'{"version": 1}'),
    "a number": lambda path, _: path.write_bytes(b"7"),
    "a later version": lambda path, _: path.write_bytes(json.dumps({"version": 99}).encode()),
    "another database": lambda path, _: _sqlite(path, 0),
    "a later database": lambda path, _: _sqlite(path, 99),
    "a folder": lambda path, _: path.mkdir(),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a link to nowhere": lambda path, _: path.symlink_to("/nowhere/at/all"),
    "a link to itself": lambda path, _: path.symlink_to(path),
}


@pytest.fixture(autouse=True)
def _known_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise, asked by a process of its own at each start, has no part in this."""
    monkeypatch.setattr(notifier, "check", lambda urls: dict.fromkeys(urls, "NotifyJSON"))


def start(service: str, folder: Path) -> None:
    """Put a service together as its process does, and take it apart."""
    module, settings, _ = SERVICES[service]
    context = Context("lab", "main", "e", settings, Namespace(), folder, True, True, Log("damaged"))
    assembly = module.assemble(context)
    for source in assembly.sources:
        if isinstance(source, WebServer):
            source.stop()
            source.run(lambda _: None)  # returns at once, and leaves its port
    for end in assembly.on_close:
        end()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("service", SERVICES)
def test_a_damaged_file_ends_nothing_without_a_word(
    service: str, damage: str, tmp_path: Path
) -> None:
    """It starts, or is refused in one line that names the file and what to do."""
    path = tmp_path / SERVICES[service][2]
    start(service, tmp_path)
    whole = path.read_bytes() if path.exists() else b"{}"
    for one in tmp_path.glob(f"{path.name}*"):
        one.unlink()
    DAMAGES[damage](path, whole)

    refusal = str(path)
    try:
        start(service, tmp_path)
    except ResourceError as error:
        refusal = str(error)

    assert str(path) in refusal
    assert "\n" not in refusal


SOON: Final = '{"key": "x", "alert_id": "x", "state": "open", "severity": "info", "at_s": Infinity}'
BESIDE: Final = (
    "outbox.lock", "outbox.sqlite-wal", "posting-me.lock", "history.sqlite-wal",
    "detector-main.json.part", "detector-main.json.old", "announced.json.part",
)  # fmt: skip
"""What services put beside their files."""


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("service", SERVICES)
def test_a_pipe_or_folder_beside_the_file_is_not_waited_for(
    service: str, name: str, kind: Callable[[Path], None], tmp_path: Path
) -> None:
    """It starts, or is refused in one line that names the file and what to do."""
    kind(tmp_path / name)

    refusal = str(tmp_path)
    try:
        start(service, tmp_path)
    except ResourceError as error:
        refusal = str(error)

    assert str(tmp_path) in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize("service", ["notifier", "cloud-bridge"])
def test_a_later_outbox_is_left_as_it_is(service: str, tmp_path: Path) -> None:
    """The line says which form it has, and what to do."""
    path = tmp_path / SERVICES[service][2]
    _sqlite(path, 99)
    before = path.read_bytes()

    with pytest.raises(ResourceError) as refused:
        start(service, tmp_path)

    assert str(refused.value) == (
        f"{path} was written by a newer MonitorPi (form 99, this one knows 1): run the newer one, "
        "or move the file away to begin anew"
    )
    assert path.read_bytes() == before


@contextmanager
def without_room(state: str, folder: Path) -> Iterator[Path]:
    """Lend a disk of its own that is full, or read-only."""
    with mounted(make_disk(folder / "disk", 8), folder / "mnt") as disk:
        if state == "full":
            fill(disk)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk


@pytest.mark.parametrize("service", ["notifier", "cloud-bridge"])
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_without_room_is_told_with_its_remedy(
    service: str, state: str, tmp_path: Path
) -> None:
    """Nobody is told to move the outbox away where the disk is at fault."""
    with without_room(state, tmp_path) as folder, pytest.raises(ResourceError) as refused:
        start(service, folder)

    assert str(folder / "outbox.sqlite") in str(refused.value)
    remedy = "make room on its disk" if state == "full" else "mounted read-only, look at dmesg"
    assert str(refused.value).endswith(remedy)


@pytest.mark.parametrize("service", ["detector", "home-assistant", "history"])
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_without_room_keeps_nobody_from_watching(
    service: str, state: str, tmp_path: Path
) -> None:
    """What only remembers starts all the same."""
    with without_room(state, tmp_path) as folder:
        start(service, folder)


def test_what_a_later_detector_learned_is_kept_with_its_copy(tmp_path: Path) -> None:
    """Both files of it: they can be put back."""
    for name in ("detector-main.json", "detector-main.json.old"):
        (tmp_path / name).write_text(json.dumps({"version": 9, "file": name}))

    start("detector", tmp_path)

    for name in ("detector-main.json", "detector-main.json.old"):
        kept = json.loads((tmp_path / f"{name}.later").read_text())
        assert kept == {"version": 9, "file": name}


@pytest.mark.parametrize(
    "topic", ["homeassistant/#", "homeassistant/light/bulb/config", "\ud800", "", 7, None, ["x"]]
)
def test_what_was_never_announced_is_not_taken_back(topic: object, tmp_path: Path) -> None:
    """A file of others' topics, or of none, erases nothing at the broker."""
    ours = "homeassistant/device/monitorpi-lab/config"
    (tmp_path / "announced.json").write_text(json.dumps([topic, ours]))

    assert Announced(tmp_path, Log("damaged")).read() == {ours}


@pytest.mark.parametrize("damage", DAMAGES)
def test_retained_state_damaged_in_any_way_is_begun_anew(damage: str, tmp_path: Path) -> None:
    """What was retained is gone then; the service starts, and says so where something was there."""
    path = tmp_path / "capture-main.retained"
    DAMAGES[damage](path, b"")

    found = RecordFile(path, Log("damaged")).read()

    assert found.records == {}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", ["", ".part", ".damaged", ".later"])
def test_retained_state_is_written_whatever_lies_there(
    damage: str, suffix: str, tmp_path: Path
) -> None:
    """Where a folder is in the way, a line says so; nothing waits."""
    path = tmp_path / "capture-main.retained"
    DAMAGES[damage](tmp_path / f"capture-main.retained{suffix}", b"")
    file = RecordFile(path, Log("damaged"))
    file.read()

    file.write_now(Write(HEAD, whole=True))

    is_hindered = damage == "a folder" and suffix in ("", ".part")
    assert (file.error == "Is a directory") is is_hindered


def test_retained_state_of_a_later_version_is_kept_apart(tmp_path: Path) -> None:
    """What is damaged afterwards does not take its place."""
    path = tmp_path / "capture-main.retained"
    path.write_bytes(b"monitorpi-state 2\nwhat only the next one knows\n")
    RecordFile(path, Log("damaged")).read()
    path.write_bytes(b"damaged")

    RecordFile(path, Log("damaged")).read()

    later = tmp_path / "capture-main.retained.later"
    assert later.read_bytes().startswith(b"monitorpi-state 2\n")
    assert (tmp_path / "capture-main.retained.damaged").read_bytes() == b"damaged"


@pytest.mark.parametrize(
    "damage", [b"{", b"\xff", b"", b"7", b"[" * 100_000, b"{}", b'{"key": 1}', SOON.encode()]
)
def test_a_row_damaged_within_keeps_the_notifier_from_nothing(
    damage: bytes, tmp_path: Path
) -> None:
    """What was told and what waits: the sound ones are read, also at the next start."""
    file = tmp_path / "outbox.sqlite"
    start("notifier", tmp_path)
    with closing(sqlite3.connect(file)) as db:
        spoilt = damage.decode("latin-1").encode() if damage != b"\xff" else damage
        text = "CAST(? AS TEXT)"
        columns = [row[1] for row in db.execute("PRAGMA table_info(told)")]
        values = ", ".join(text if one == "content" else "1" for one in columns)
        db.execute(f"INSERT INTO told VALUES ({values})", (spoilt,))  # noqa: S608 - our own words
        db.execute(f"UPDATE memory SET value = {text}", (spoilt,))  # noqa: S608
        db.commit()

    start("notifier", tmp_path)
    start("notifier", tmp_path)
