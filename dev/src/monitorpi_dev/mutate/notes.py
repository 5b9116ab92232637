"""A plugin of pytest: how long each test takes, which fail, and which start programs of ours."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LOWEST: Final = ("monitorpi_common", "monitorpi_host")
"""Packages of ours that import none of the others: they may stay when another is changed."""
_OURS: Final = "monitorpi"


class _Notes:
    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.starters: set[str] = set()
        self.failed: set[str] = set()
        self._now = ""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self._now and _OURS in str(arguments[1]):
            self.starters.add(self._now)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Know which test runs."""
        self._now = item.nodeid
        try:
            return (yield)
        finally:
            self._now = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what set-up, test and clearing away took."""
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to write to."""
    parser.addoption("--notes", help="where to write the notes, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.pluginmanager.register(_Notes(), "monitorpi-notes")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what was seen, and what had been imported by then."""
    notes: Any = config.pluginmanager.get_plugin("monitorpi-notes")
    libraries = {
        name
        for name, module in sys.modules.items()
        if getattr(module, "__spec__", None) is not None
        and (name.startswith(LOWEST) or not name.startswith((_OURS, "tests")))
    }
    found = {
        "seconds": dict(notes.seconds),
        "starters": sorted(notes.starters),
        "failed": sorted(notes.failed),
        "libraries": sorted(libraries),
    }
    Path(config.getoption("--notes")).write_text(json.dumps(found), encoding="utf-8")
