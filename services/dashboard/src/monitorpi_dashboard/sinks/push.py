"""A dead man's switch: an address that is fetched each minute while somebody watches.

Whoever is asked raises the alarm when the calls stay away: an Uptime Kuma push monitor,
healthchecks.io or the like. So a Pi without power, which tells nobody anything, is noticed.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.log import Log
    from monitorpi_common.messages import WatchLevel

PERIOD_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_MAX_ANSWER: Final = 4096


class Push:
    """A source that emits nothing: it calls while the level is ``watching``."""

    def __init__(
        self, url: str, level: Callable[[], WatchLevel], log: Log, period_s: float = PERIOD_S
    ) -> None:
        """Prepare the calls.

        Args:
            url: what is fetched; it is a secret, and never logged.
            level: returns whether somebody watches.
            log: for calls that fail.
            period_s: seconds from one call to the next.

        """
        self._url = url
        self._level = level
        self._log = log
        self._period_s = period_s
        self._stopped = threading.Event()
        self.done_total = 0
        self.failed_total = 0

    def run(self, emit: Callable[[object], None]) -> None:
        """Call until stopped."""
        del emit
        while not self._stopped.wait(self._period_s):
            if self._level() == "watching":
                self._call()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()

    def _call(self) -> None:
        request = urllib.request.Request(self._url, headers={"User-Agent": "MonitorPi"})  # noqa: S310 - the settings take http and https only
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - same
                answer.read(_MAX_ANSWER)
        except urllib.error.HTTPError as error:
            self._failed(f"status {error.code}")
            error.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            self._failed(type(reason).__name__)
        else:
            self.done_total += 1

    def _failed(self, reason: str) -> None:
        self.failed_total += 1
        self._log.warning("the dead man's switch was not reached", reason=reason)
