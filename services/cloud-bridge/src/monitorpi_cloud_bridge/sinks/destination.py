"""One channel of one cloud: how far rows have come there, and how long it is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.backoff import BackOff
from monitorpi_common.watchdog import Stint

if TYPE_CHECKING:
    from monitorpi_cloud_bridge.sinks.sink import Sink

FORBIDDEN_S: Final = 60.0
FORBIDDEN_MOST_S: Final = 3600.0
"""Between looks at a channel that refuses us: a proxy whose server restarts says 404 for a minute,
a wrong key is wrong until somebody comes."""
LARGEST_S: Final = 3600.0
"""How long a size that was too large is not tried again."""


@dataclass(slots=True)
class UploadDestination:
    """One channel of one cloud, and how it goes there."""

    name: str
    sink: Sink
    counts_for_quota: bool = True
    takes_text: bool = True
    """Texts of alerts go there, too."""
    next_call_s: float = 0.0
    pause_s: float = 0.0
    limit: int = 0
    """Rows a call takes, as far as is known."""
    grows_s: float = 0.0
    """When more than that is tried again."""
    stopped: bool = False
    """Refused as such: looked at again ever more seldom, at last each hour."""
    is_away: bool = False
    """Not reached by the call before."""
    last_answer: str = "none yet"
    stored_total: int = 0
    dead_lettered_total: int = 0
    thinned_total: int = 0
    thinned_to: int = -1
    """The second up to which the backlog was thinned."""
    dropped_total: int = 0
    stint: Stint = field(default_factory=Stint)
    """What its uploader is at."""

    def __post_init__(self) -> None:
        self.limit = self.sink.limits.rows

    def back_off(self, most_s: float, least_s: float = 0.0) -> None:
        """Wait twice as long as before."""
        first_s = max(self.sink.limits.pacing_s, least_s)
        self.pause_s = BackOff(first_s, most_s).longer(self.pause_s)

    def forbid(self) -> None:
        """Stop, but for a look now and then."""
        self.stopped = True
        self.back_off(FORBIDDEN_MOST_S, FORBIDDEN_S)

    def shrink(self, rows: int, now_s: float) -> None:
        """Take fewer rows at once for a while: with two, the newest and the oldest move on."""
        self.limit, self.grows_s = max(2, rows), now_s + LARGEST_S

    def taken(self, now_s: float) -> None:
        """Go on without pauses: the cloud takes rows."""
        self.pause_s, self.stopped = 0.0, False
        if now_s >= self.grows_s:
            self.limit = min(2 * self.limit, self.sink.limits.rows)
