"""Bounds, times and shares of the bridge's parts: the figures that hold, in one place.

Each has its reason beside it in the code, and several are told of in the documentation. Most are
held by what they do as well; the others only show after hours, or where much comes at once.
"""

from __future__ import annotations

from typing import Final

import pytest
from tests.figures import assert_unchanged

FIGURES: Final[dict[str, dict[str, float]]] = {
    "addresses": {
        "RESOLVE_S": 10.0, "SHORT_TRY_S": 2.0, "LONG_TRY_S": 10.0, "MOST_ADDRESSES": 6,
        "FORGOTTEN_S": 600.0,
    },
    "core": {
        "LATE_S": 2.0, "MAX_STATUS_BYTES": 255, "MAX_UNWRITTEN": 1000, "MAX_ALERTS": 512,
        "MOST_TEXTS": 64, "TEXT_EVERY_S": 300.0,
    },
    "mapping": {
        "DAY_S": 86_400, "YEAR_DAYS": 365,
    },
    "paths": {
        "_MAX_VALUES": 4096, "MOST_VALUE": 1e+18,
    },
    "rows": {
        "_MAX_SOURCES": 256, "MAX_OPEN": 4320, "SKEW_S": 10, "NO_ROOM_S": 3600,
    },
    "search": {
        "PROOF": 3.0, "FAILURE": 0.25, "_UNCHECKED": 2, "_MOST_PASSED_OVER": 8,
    },
    "settings": {
        "PACING_S": 16.0, "NATS_PORT": 4222, "INTERVAL_S": 20, "WRITE_S": 80,
    },
    "sinks.destination": {
        "FORBIDDEN_S": 60.0, "FORBIDDEN_MOST_S": 3600.0, "LARGEST_S": 3600.0,
    },
    "sinks.dialects": {
        "_MOST_WORDS": 200,
    },
    "sinks.guarded": {
        "_STANDBY_LOOK_S": 1.0,
    },
    "sinks.influx": {
        "BATCH_ROWS": 5000, "DAY_S": 86400.0, "RETENTION_DAYS": 31.0, "AHEAD_S": 172800.0,
        "LOOK_S": 3600.0,
    },
    "sinks.jetstream": {
        "BATCH_ROWS": 500, "ANSWER_S": 10.0, "LOOK_S": 60.0, "DUPLICATES_S": 600.0,
        "EARLIER_S": 3600.0, "_DAY_S": 86400.0, "_UNAVAILABLE": 503,
    },
    "sinks.mqtt": {
        "BATCH_ROWS": 500, "NOBODY": 16, "_FAILURE": 128,
    },
    "sinks.natsdial": {
        "CONNECT_S": 6.0, "CLOSE_S": 0.5, "MOST_SAID": 300,
    },
    "sinks.outbox": {
        "KEEP_STORED": 1000, "MAX_ROWS": 400_000,
    },
    "sinks.quota": {
        "PROOF_S": 3600.0, "STEP_S": 60.0,
    },
    "sinks.rowtable": {
        "_NEVER": 9_223_372_036_854_775_807,
    },
    "sinks.thingspeak": {
        "BULK_ROWS": 960, "MAX_RESULTS": 8000, "_QUERIES": 1000, "LEAST_RESULTS": 7001, "_OK": 200,
    },
    "sinks.uploader": {
        "AWAY_MOST_S": 60.0, "THIN_ABOVE": 960, "_THIN_ROWS": 2000, "QUOTA_PAUSE_S": 3600.0,
        "PATIENCE_S": 150.0, "TRIM_S": 3600.0, "IDLE_S": 1.0, "_MOST_TEXTS": 64,
    },
    "sources.talkback": {
        "OLDEST_S": 120.0, "MOST_TEXT": 255, "REFUSED_MOST_S": 3600.0, "_OK": 200,
        "_NOT_FOUND": 404, "_BROKEN": 500,
    },
    "thinning": {
        "FRESH_S": 3600, "WEEK_S": 604_800, "BUCKET_S": 300, "OLD_BUCKET_S": 900,
        "MOST_OF_A_BUCKET": 3,
    },
    "web": {
        "TIMEOUT_S": 20.0, "MOST_S": 60.0, "MOST_BYTES": 4_194_304, "MOST_PATIENCE_S": 3600.0,
        "SHORT_BYTES": 65_536,
    },
}  # fmt: skip


@pytest.mark.parametrize("part", FIGURES)
def test_a_figure_changes_on_purpose_only(part: str) -> None:
    """Here, and where it is told of."""
    assert_unchanged("monitorpi_cloud_bridge", part, FIGURES[part])
