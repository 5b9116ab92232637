"""Where the checkout is that this command line runs from."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Return the folder that holds `./monitorpi`; called without it, the current one."""
    return Path(os.environ.get("MONITORPI_ROOT", Path.cwd()))
