"""A Debian that has nothing yet: one command, no compiler, and the kernel counts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.lab, pytest.mark.alone]
MOST_DOWNLOADED_MB = 150
"""Debian's packages and lists and Python's packages together; clang alone would be 163."""


@pytest.fixture
def fresh_root() -> Any:
    """Return the script as a module."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a Debian of its own")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed: ./monitorpi soak installs it")
    spec = importlib.util.spec_from_file_location("fresh_root", ROOT / "scripts" / "fresh_root.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its types up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_demo_needs_no_compiler(fresh_root: Any, tmp_path: Path, suite: str) -> None:
    """Both floods are found, by the kernel's own counting, and little is downloaded."""
    run = fresh_root.try_demo(fresh_root.make_root(suite, tmp_path))

    assert run.exit_code == 0, run.output
    assert run.engine in fresh_root.IN_KERNEL
    assert "clang" not in run.output
    assert run.downloaded_mb < MOST_DOWNLOADED_MB
