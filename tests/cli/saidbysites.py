"""What sites say at a broker of several, as messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from monitorpi_cli.sites.overview import SitesOverview
from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, WatchState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def watch(site: str, state: str = "watching", at: datetime = NOW, **more: Any) -> tuple[str, bytes]:
    """Build a site's word on whether it watches."""
    word = example(WatchState).model_dump(mode="json") | {"state": state, "reasons": []} | more
    text = WatchState.model_validate(word | {"at": at, "since": at}).encode()
    return f"monitorpi/v1/{site}/detector/watch/main", text


def alert(site: str, number: int = 1, state: str = "open", **more: Any) -> tuple[str, bytes]:
    """Build an alert of a site."""
    key = f"syn-flood-0200000000{number:02x}"
    word = example(Alert).model_dump(mode="json") | {"key": key, "state": state} | more
    return f"monitorpi/v1/{site}/detector/alert/{key}", Alert.model_validate(word).encode()


def link(site: str, up: bytes) -> tuple[str, bytes]:
    """Build what the broker says of a site's connection."""
    return f"monitorpi-sites/{site}/link", up


def overview(*heard: tuple[str, bytes]) -> SitesOverview:
    """Hand in messages."""
    one = SitesOverview()
    for topic, payload in heard:
        one.take(topic, payload)
    return one
