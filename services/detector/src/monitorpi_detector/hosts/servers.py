"""Who may hand out addresses, and who may advertise itself as a router. Pure.

Theory of operation. The configuration names those that may, or they are learned in the first day
of watching. What is there from the start is taken as known: nobody can tell by who answers first
which one of several is right, so all that are seen within :data:`START_S` of the first are
learned, as a redundant pair is that answers the same client. One that appears later is learned too
if it says what the known ones say (the same router for clients: a pair that shares the clients
between them). Else it is a stranger, in the first day as well, then as a ``warning``: in a network
that has a server, a second one that says something else is worth a look on any day. Strangers are
not learned; a line of the configuration makes them known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitorpi_common.messages import Severity

MAX_SERVERS: Final = 64
START_S: Final = 60.0
"""Within so long of the first one nobody is late: clients ask again at least so often at boot."""
NEWS_S: Final = 60.0
"""What is older when it is first heard of was news to the process before us."""
_MAX_SEEN: Final = 4096


@dataclass(frozen=True, slots=True)
class Stranger:
    """One that is not known, and beside whom it appeared."""

    severity: Severity
    known: tuple[str, ...]
    says: frozenset[str] = frozenset()
    """What it says otherwise than the known ones, where that is how it is known as a stranger."""


class Servers:
    """The known servers of one kind."""

    def __init__(self, configured: Iterable[str], learned: Iterable[str]) -> None:
        self._configured = frozenset(configured)
        self._learned = dict.fromkeys(learned)
        self._first_s: float | None = None
        self._said: dict[str, frozenset[str]] = {}
        self._seen: Bounded[float] = Bounded(_MAX_SEEN)

    @property
    def learned(self) -> list[str]:
        """Those learned so far, to be kept."""
        return list(self._learned)

    def see(
        self, mac: str, serves_s: float | None, now_s: float, says: Iterable[str], *, learns: bool
    ) -> Stranger | None:
        """Take that one serves; return it if it is a stranger and this is news.

        Args:
            mac: the server.
            serves_s: when it did so last; None: it does not say.
            now_s: the time of the message that tells of it.
            says: what it tells its clients, by which one may be told from another.
            learns: the first day is not over.

        """
        at_s = now_s if serves_s is None else serves_s
        stranger = self._judge(mac, at_s, frozenset(says), learns=learns)
        before_s = self._seen.get(mac)
        self._seen.put(mac, at_s, at_s)
        if serves_s is not None and (
            now_s - at_s > NEWS_S if before_s is None else before_s >= serves_s
        ):
            return None
        return stranger

    def _judge(
        self, mac: str, at_s: float, says: frozenset[str], *, learns: bool
    ) -> Stranger | None:
        if self._configured:
            known = tuple(sorted(self._configured))
            return None if mac in self._configured else Stranger("critical", known)
        if mac in self._learned:
            self._said[mac] = says
            return None
        known = tuple(self._learned)
        if not learns:
            return Stranger("critical" if known else "warning", known)
        said = frozenset().union(*self._said.values())
        differs = says - said if says and said and not says & said else frozenset()
        if self._first_s is None:
            self._first_s = at_s
        late = bool(known) and at_s - self._first_s > START_S and not says & said
        if differs or late:
            return Stranger("warning", known, differs)
        if len(self._learned) < MAX_SERVERS:
            self._learned[mac] = None
            self._said[mac] = says
        return None
