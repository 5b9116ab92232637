"""Figures of a package's parts (limits, times, shares) that are told of in more places than one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def assert_unchanged(package: str, part: str, figures: Mapping[str, float]) -> None:
    """Hold the figures of a module against those that are written down."""
    module = importlib.import_module(f"{package}.{part}")

    assert {name: getattr(module, name) for name in figures} == figures
