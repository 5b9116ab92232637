"""A row as a message of its own: JSON with an id that tells a reader whether it has it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitorpi_cloud_bridge.items import OutboxRow


def row_id(identity: str, second: int) -> str:
    """Return the id of the row of a second; ``identity`` is such as ``site/channel``."""
    return f"{identity}/{second}"


def row_json(row: OutboxRow, identity: str, labels: Mapping[str, str]) -> bytes:
    """Return a row as one line: numbers as numbers, texts as they are.

    Args:
        row: what is sent.
        identity: begins its id.
        labels: names of the fields (``field1`` -> ``syn``).

    """
    values: dict[str, object] = {
        labels.get(name, name): text if name == "status" else float(text)
        for name, text in row.fields.items()
    }
    head = {"id": row_id(identity, row.second), "second": row.second}
    return json.dumps({**head, "values": values}, ensure_ascii=False).encode()
