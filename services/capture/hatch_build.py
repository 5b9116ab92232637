# ruff: noqa: INP001 - a build hook is a file beside pyproject.toml, in no package
"""Compiles the kernel's part of capture when a wheel is built: its users need no compiler."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_OPTIONAL = "MONITORPI_WITHOUT_EBPF"
"""Set in the environment: build without the object; the installation counts with sockets."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc, type-arg]  # hatchling ships no types
    """Puts ``bpf/count.bpf.o`` into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together; an editable install takes what there is."""
        package = Path(self.root, "src", "monitorpi_capture")
        spec = importlib.util.spec_from_file_location("ebpf_build", package / "ebpf_build.py")
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{package / 'ebpf_build.py'} is missing")
        step = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(step)
        if version == "editable" or os.environ.get(_OPTIONAL):
            status = step.main()
            if status:
                print("capture will count with plain sockets", file=sys.stderr)  # noqa: T201
        else:
            step.build()
        if step.OBJECT.exists():
            build_data["artifacts"] += ["src/monitorpi_capture/bpf/count.bpf.*"]
