"""Services start from bytecode that ``up`` has written for them."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.stack import bytecode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the one module of a service's package, not compiled yet."""
    package = tmp_path / "monitorpi_some_service"
    package.mkdir()
    module = package / "core.py"
    module.write_text("ANSWER = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bytecode, "SHARED", ())
    (package / "__init__.py").write_text("")
    return module


def compiled(source: Path) -> Path:
    """Where its bytecode would be."""
    return source.parent / importlib.util.cache_from_source(str(source))


def test_it_is_written_whatever_the_environment_says(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Python itself has been told to write none."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    bytecode.write_bytecode(["some-service"])

    assert compiled(source).stat().st_size > 0


def test_only_what_has_changed_is_written_anew(source: Path) -> None:
    """A card is not worn by starts."""
    bytecode.write_bytecode(["some-service"])
    first = compiled(source).stat().st_mtime_ns
    bytecode.write_bytecode(["some-service"])
    assert compiled(source).stat().st_mtime_ns == first

    os.utime(source, (1, 1))
    bytecode.write_bytecode(["some-service"])

    assert compiled(source).stat().st_mtime_ns > first


def test_what_cannot_be_compiled_or_is_not_there_stops_nothing(source: Path) -> None:
    """A start that would have worked without it works."""
    source.write_text("def (\n")
    os.utime(source, (1, 1))

    bytecode.write_bytecode(["some-service", "no-such-service"])

    assert not compiled(source).exists()
