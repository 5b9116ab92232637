"""A row as a message of its own: JSON with an id that tells a reader whether it has it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitorpi_cloud_bridge.items import OutboxRow


@dataclass(frozen=True, slots=True)
class RowForm:
    """How the rows of one mapping channel are written as messages."""

    identity: str
    """Begins each row's id, such as ``site/channel``."""
    labels: Mapping[str, str]
    """Names of the fields (``field1`` -> ``syn``)."""

    def id(self, second: int) -> str:
        """Return the id of the row of a second."""
        return f"{self.identity}/{second}"

    def line(self, row: OutboxRow) -> bytes:
        """Return a row as one line: numbers as numbers, texts as they are."""
        values: dict[str, object] = {
            self.labels.get(name, name): text if name == "status" else float(text)
            for name, text in row.fields.items()
        }
        head = {"id": self.id(row.second), "second": row.second}
        return json.dumps({**head, "values": values}, ensure_ascii=False).encode()

    def lines(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return rows as lines, in their order."""
        return b"\n".join(map(self.line, rows))
