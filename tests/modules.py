"""For tests of programs: start one as ``python -m`` does, in this process."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from unittest.mock import patch

from monitorpi_common import __version__


def is_program(package: str) -> bool:
    """Return whether ``python -m package --version`` says which version it is, and ends well."""
    path = f"{package}.__main__"
    said = io.StringIO()
    before = sys.modules.pop(path, None)
    try:
        with patch.object(sys, "argv", [path, "--version"]), contextlib.redirect_stdout(said):
            runpy.run_module(package, run_name="__main__")
    except SystemExit as ended:
        return (ended.code, said.getvalue()) == (0, f"{__version__}\n")
    finally:
        if before is not None:
            sys.modules[path] = before
    return False
