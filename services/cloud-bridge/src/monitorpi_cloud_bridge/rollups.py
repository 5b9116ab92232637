"""Rollups on the own bus: the mapping's channels by the minute, for a centre of sites. Pure.

They are made as rows are, of the same mapping, and published once. Nothing of them is remembered:
a restart leaves out what the minute held before it. What none may lose goes by the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitorpi_common.messages import Publication, Rollup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitorpi_cloud_bridge.rows import ChannelRow, RowBuilder


@dataclass(slots=True)
class RollupPublisher:
    """Publishes the rows of a builder of its own."""

    builder: RowBuilder
    labels: Mapping[tuple[str, int], str]
    """What fields are called, by channel and number."""

    def finished(self, until_s: float) -> Iterator[Publication]:
        """Publish the rollups whose interval ended at or before a moment."""
        for row in self.builder.finished(until_s):
            yield Publication(row.channel, self._rollup(row))

    def _rollup(self, row: ChannelRow) -> Rollup:
        values = {
            self.labels.get((row.channel, number)) or f"field{number}": value
            for number, value in sorted(row.values.items())
        }
        return Rollup(
            at=datetime.fromtimestamp(row.second, UTC), interval_s=self.builder.interval_s,
            values=values,
        )  # fmt: skip
