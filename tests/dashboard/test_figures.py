"""Bounds, times and shares of the page's parts: the figures that hold, in one place.

Each has its reason beside it in the code, and several are told of in the documentation. Most are
held by what they do as well; the others only show after hours, or where much comes at once.
"""

from __future__ import annotations

from typing import Final

import pytest
from tests.figures import assert_unchanged

FIGURES: Final[dict[str, dict[str, float]]] = {
    "core": {
        "MAX_TARGETS": 4096, "MAX_ALERTS": 512, "MAX_SERVICES": 64, "MAX_INTERFACES": 32,
        "MAX_SENT": 20, "RATES_S": 2, "FOLLOWS_S": 30.0,
    },
    "devices": {
        "MAX_DEVICES": 4096, "MAX_UNKNOWN": 64,
    },
    "picture": {
        "HISTORY": 120, "MOSTLY": 3,
    },
    "sinks.board": {
        "ASKED_S": 2.0,
    },
    "sinks.commands": {
        "WAITING": 8, "RESULT_S": 5.0,
    },
    "sinks.connections": {
        "MAX_CONNECTIONS": 64, "MAX_HEAD": 16_384, "_LEAVING_S": 1.0,
    },
    "sinks.door": {
        "GUESS_S": 0.5, "GUESSES": 10, "AGAIN_S": 6.0, "MAX_GUESSERS": 1024, "_V6_SITE": 64,
    },
    "sinks.packets": {
        "KEPT": 500, "ASKED_S": 10.0,
    },
    "sinks.packing": {
        "_GZIP": 29, "_MEMORY": 7, "_LEVEL": 5,
    },
    "sinks.past": {
        "QUERIES": 4, "_TIMEOUT_S": 30.0,
    },
    "sinks.push": {
        "PERIOD_S": 60.0, "_TIMEOUT_S": 10.0, "_MAX_ANSWER": 4096,
    },
    "sinks.web": {
        "MAX_STREAMS": 32, "_MAX_BODY": 1024, "KEEP_ALIVE_S": 15.0, "_SEND_TIMEOUT_S": 10.0,
        "_STOPS_S": 0.5, "_PIECE": 65_536,
    },
}  # fmt: skip


@pytest.mark.parametrize("part", FIGURES)
def test_a_figure_changes_on_purpose_only(part: str) -> None:
    """Here, and where it is told of."""
    assert_unchanged("monitorpi_dashboard", part, FIGURES[part])
