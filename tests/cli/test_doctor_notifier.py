"""The doctor at those who get alerts: their addresses and servers; no secret is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.notifier.counterparts import WebHook

from monitorpi_cli.doctor.command import check_service
from monitorpi_cli.stack.broker import free_port
from monitorpi_common import settings
from monitorpi_common.messages import Service

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "tk-5a9c0f1e7d"


def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None) -> list[str]:
    """Look with one destination; returns mark and text of each finding."""
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "default.toml")
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "state" / "secrets" / "notifier"
    folder.mkdir(parents=True)
    if url is not None:
        (folder / "notifier__destinations__desk__url").write_text(url)
    found = [f"{one.mark} {one}" for one in check_service(Service.NOTIFIER, None)]
    assert SECRET not in "".join(found)
    return found


def test_without_a_destination_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off is not wrong."""
    assert look(tmp_path, monkeypatch, None) == []


def test_a_server_that_is_reached_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connected to, and nothing sent."""
    with WebHook() as web:
        found = look(tmp_path, monkeypatch, f"json://127.0.0.1:{web.port}/hook")

    assert found[0].startswith("ok notifier: desk is told by JSON, and its server is reached")
    assert web.calls == 0


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"mailto://{SECRET}", "Apprise does not take the address of 'desk'"),
        (f"json://u:{SECRET}@127.0.0.1:PORT/", "the server of desk (JSON) is not reached"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, text: str
) -> None:
    """By the destination's name, without its address."""
    found = look(tmp_path, monkeypatch, url.replace("PORT", str(free_port())))

    assert found[0].startswith("wrong")
    assert text in found[0]
