"""The demo's cloud: the double of ThingSpeak on this machine, and what has reached it."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

from monitorpi_lab.demo.row_check import FIELDS
from monitorpi_thingspeak_double.channels import Switches
from monitorpi_thingspeak_double.server import Double

if TYPE_CHECKING:
    from monitorpi_lab.demo.row_check import Row

INTERVAL_S: Final = 5
"""Seconds of traffic per row; the real service's limits do not hold for its double."""
PACING_S: Final = 2.0
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Stored:
    """One row as the cloud shows it: the second it was made for, and its eight values."""

    second: int
    values: Row


class LocalCloud:
    """A running double with one channel, from entering to leaving the ``with`` block."""

    def __init__(self) -> None:
        self._double = Double(Switches(bulk_interval_s=PACING_S / 2))
        labels = [" and ".join(classes) for classes in FIELDS]
        self._channel = self._double.cloud.add_channel("traffic", labels)

    def __enter__(self) -> Self:
        self._double.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._double.__exit__()

    @property
    def settings(self) -> str:
        """The bridge's table in the configuration."""
        return (
            f'url = "{self._double.url}"\n'
            f"channels = {{ traffic = {self._channel.id} }}\n"
            f'write_keys = {{ traffic = "{self._channel.write_key}" }}\n'
            f"interval_s = {INTERVAL_S}\n"
            f"write_s = {INTERVAL_S}\n"
            f"pacing_s = {PACING_S}"
        )

    @property
    def address(self) -> str:
        """Where a browser finds the rows."""
        path = f"/channels/{self._channel.id}/feeds.json?results=8000"
        return f"{self._double.url}{path}&api_key={self._channel.read_key}"

    def rows(self) -> list[Stored]:
        """Read all rows of counts back, by HTTP as anybody would; texts of alerts are left out."""
        with urllib.request.urlopen(self.address, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - an address of ours
            feeds = json.loads(answer.read())["feeds"]
        return [_stored(feed) for feed in feeds if feed.get("field1") is not None]


def _stored(feed: dict[str, str | None]) -> Stored:
    second = int(datetime.fromisoformat(str(feed["created_at"])).timestamp())
    names = (f"field{number}" for number in range(1, len(FIELDS) + 1))
    return Stored(second, tuple(int(feed.get(name) or 0) for name in names))
