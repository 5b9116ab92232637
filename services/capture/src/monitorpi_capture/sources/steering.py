"""What the core may ask of the live sources. I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_capture.sources.live import LiveSource
    from monitorpi_capture.sources.watcher import Watcher
    from monitorpi_common.messages import Watch


@dataclass(frozen=True)
class Steered:
    """The live sources as the core steers them."""

    source: LiveSource
    watcher: Watcher

    def watch(self, order: Watch) -> None:
        """Show packet lines for a while."""
        self.watcher.watch(order)

    def pin(self, macs: Sequence[bytes]) -> None:
        """Keep counters for these MACs."""
        self.source.pin(macs)
