"""Every file that a service keeps, damaged in every way: it starts, or says in one line why not."""

from __future__ import annotations

import json
import sqlite3
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from monitorpi_cloud_bridge import __main__ as cloud_bridge
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_common.log import Log
from monitorpi_common.recordfile import RecordFile
from monitorpi_common.service import Context, ResourceError
from monitorpi_detector import __main__ as detector
from monitorpi_detector.settings import DetectorSettings
from monitorpi_history import __main__ as history
from monitorpi_history.settings import HistorySettings
from monitorpi_history.sources.web import WebServer
from monitorpi_home_assistant import __main__ as home_assistant
from monitorpi_home_assistant.settings import HomeAssistantSettings
from monitorpi_notifier import __main__ as notifier
from monitorpi_notifier.settings import NotifierSettings

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
"""What a refused start leaves open ends with its process."""

if TYPE_CHECKING:
    from collections.abc import Callable
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
    context = Context(
        "lab", "main", "e", settings, Namespace(), folder, True, False, Log("damaged")
    )
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


@pytest.mark.parametrize("damage", DAMAGES)
def test_retained_state_damaged_in_any_way_is_begun_anew(damage: str, tmp_path: Path) -> None:
    """What was retained is gone then; the service starts, and says so where something was there."""
    path = tmp_path / "capture-main.retained"
    DAMAGES[damage](path, b"")

    found = RecordFile(path, Log("damaged")).read()

    assert found.records == {}


@pytest.mark.parametrize("damage", [b"{", b"\xff", b"", b"7", b"[" * 100_000])
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
