"""Who may hand out addresses, and who may advertise itself as a router. Pure.

Theory of operation. The configuration names those that may, or they are learned in the first day
of watching, each VLAN apart. What is there from the start is taken as known: nobody can tell by who
answers first which one of several is right, so the first one of a VLAN is learned, and all that are
seen within :data:`START_S` of it (routers: :data:`ADVERTISES_S`), as a redundant pair is that
answers the same client. One that appears later is learned too if it says what the known ones say (a
pair that shares the clients between them), or if it is the router that they name.
Else it is unknown, in the first day as well, then as a ``warning``: in a network that has a server,
a second one that says something else is worth a look on any day. One that contradicts the known
ones in any option is unknown whatever else it says: the right router with a name server of its own
is how answers are forged. Unknown ones are not learned; a line of the configuration makes them
known. Who is known in one VLAN and comes into that of others is judged there as one that appears.

After the first day nobody is learned. A *relay* that passes on what a known server answers, in
place of another one that does, is none of those meant here as long as it says what that says; a
second server that says the same sends nobody astray, but is told of once, as a ``warning``. With
the first word of its own either is a stranger.

What a known server tells its clients is learned in the first day too. What it says for the first
time later is a *change*, reported once: the owner's doing, a router that was taken over, or
somebody who sends from its MAC address.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.bounded import Bounded
from monitorpi_detector.hosts.statements import (
    VLAN,
    contradictions,
    in_vlan,
    is_alike,
    may_meet,
    only_relays,
    option_of,
    sends,
    where,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitorpi_common.messages import Severity
    from monitorpi_detector.hosts.statements import Statement

MAX_SERVERS: Final = 64
START_S: Final = 60.0
"""Within so long of the first one nobody is late: clients ask again at least so often at boot."""
ADVERTISES_S: Final = 1800.0
"""A router advertises itself at least so often (RFC 4861, 6.2.1: MaxRtrAdvInterval)."""
NEWS_S: Final = 60.0
"""What is older when it is first heard of was news to the process before us."""
MAX_VALUES: Final = 64
"""Values of one option that are remembered of one server: what it tells of beyond them is no
news."""
MAX_STATEMENTS: Final = 768
"""Statements that are remembered of one server: seven each of a hundred VLANs."""
_MAX_SEEN: Final = 4096
_ASKED_BY_ALL: Final = frozenset({"router", "dns", "domain", "route"})
"""Options that every client asks for. The first value of another one, such as a proxy, comes with
the first client that asks for it, any day."""


@dataclass(frozen=True, slots=True)
class UnknownServer:
    """One that is not known, and beside whom it appeared."""

    severity: Severity
    known: tuple[str, ...]
    statements: frozenset[Statement] = frozenset()
    """What it says otherwise than the known ones, where that is how it was found."""
    is_alike: bool = False
    """It says what the known ones say."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A known server that says what it did not say before."""

    statements: tuple[Statement, ...]
    before: tuple[Statement, ...]
    """What it said of the same options."""


class Servers:
    """The known servers of one kind."""

    def __init__(
        self,
        configured: Iterable[str],
        learned: Iterable[str],
        statements: Mapping[str, Iterable[Statement]] | None = None,
        start_s: float = START_S,
    ) -> None:
        """Start with what is known.

        Args:
            configured: those that may serve; where there are any, nobody else may.
            learned: those learned before a restart.
            statements: what the known ones told their clients then.
            start_s: within so long of the first one nobody is late.

        """
        self._configured = frozenset(configured)
        self._learned = dict.fromkeys(learned)
        self._start_s = start_s
        self._statements: dict[str, dict[Statement, None]] = {
            mac: dict.fromkeys(stated) for mac, stated in (statements or {}).items()
        }
        self._first_s: dict[str, float] = {
            vlan: -math.inf
            for mac in self._learned
            for vlan in where(self._statements.get(mac, ()))
        }
        """When the first one of a VLAN served; of those learned before a restart: long ago."""
        self._seen: Bounded[float] = Bounded(_MAX_SEEN)

    @property
    def learned(self) -> list[str]:
        """Those learned so far, to be kept."""
        return list(self._learned)

    def knows(self, mac: str) -> bool:
        """Return whether one may serve."""
        return mac in (self._configured or self._learned)

    @property
    def statements(self) -> dict[str, list[Statement]]:
        """What the known ones told their clients, and those like them, to be kept."""
        return {mac: list(stated) for mac, stated in self._statements.items() if stated}

    def see(
        self,
        mac: str,
        serves_s: float | None,
        now_s: float,
        statements: Iterable[Statement],
        *,
        learns: bool,
        holds: Iterable[str] = (),
    ) -> UnknownServer | Changed | None:
        """Take that one serves; return what is news of it: unknown, or says something new.

        Args:
            mac: the server.
            serves_s: when it did so last; None: it does not say.
            now_s: the time of the message that tells of it.
            statements: what it tells its clients, by which one may be told from another.
            learns: the first day is not over.
            holds: the addresses that are its own.

        """
        at_s = now_s if serves_s is None else serves_s
        stated = dict.fromkeys(statements)
        if self.knows(mac):
            intruder = self._intruder(mac, at_s, stated, frozenset(holds), learns=learns)
            if intruder is None:
                return self._compare(mac, at_s, stated, learns=learns)
            self._seen.put(mac, at_s, at_s)
            return intruder
        unknown = self._judge(mac, at_s, stated, frozenset(holds), learns=learns)
        before_s = self._seen.get(mac)
        self._seen.put(mac, at_s, at_s)
        if serves_s is not None and (
            now_s - at_s > NEWS_S if before_s is None else before_s >= serves_s
        ):
            return None
        if unknown is not None and unknown.is_alike and len(self._statements) < 2 * MAX_SERVERS:
            self._statements[mac] = dict.fromkeys(list(stated)[:MAX_STATEMENTS])
        return unknown

    def _intruder(
        self,
        mac: str,
        at_s: float,
        statements: dict[Statement, None],
        holds: frozenset[str],
        *,
        learns: bool,
    ) -> UnknownServer | None:
        """Return that a learned one is none: it comes into a VLAN and is unlike the one there.

        Else a VLAN that nobody serves would be the way to be known everywhere.
        """
        before = self._statements.get(mac, {})
        came = {one for one in statements if one[0] == VLAN and one not in before}
        if self._configured or not before or not came:
            return None
        there = tuple(
            other for other in self._learned
            if other != mac and not came.isdisjoint(self._statements.get(other, ()))
        )  # fmt: skip
        unlike = self._unlike(there, sends(statements) | came, at_s, holds)
        if unlike is None:
            return None
        del self._learned[mac], self._statements[mac]
        return UnknownServer("warning" if learns else "critical", there, unlike)

    def _compare(
        self, mac: str, at_s: float, statements: dict[Statement, None], *, learns: bool
    ) -> Changed | None:
        """Learn what a known server says; return it if it is new after the first day."""
        before = self._statements.get(mac)
        self._remember(mac, at_s, statements)
        if before is None or learns:
            return None
        counts = Counter(option for option, _ in sends(before))
        asked = {in_vlan(option, vlan) for option in _ASKED_BY_ALL for vlan in where(before)}
        news = {*counts} | asked
        new = [
            one for one in statements
            if one not in before and one[0] in news and counts[one[0]] < MAX_VALUES
        ]  # fmt: skip
        if not new or len(before) >= MAX_STATEMENTS:
            return None
        about = {option for option, _ in new}
        return Changed(tuple(new), tuple(one for one in before if one[0] in about))

    def _remember(self, mac: str, at_s: float, statements: Iterable[Statement]) -> None:
        """Remember what a known one says, as far as there is room, and where somebody serves."""
        before = self._statements.get(mac, {})
        counts = Counter(option for option, _ in before)
        kept = self._statements[mac] = dict(before)
        for one in statements:
            has_room = counts[one[0]] < MAX_VALUES or one[0] == VLAN
            if one not in kept and has_room and len(kept) < MAX_STATEMENTS:
                kept[one] = None
                counts[one[0]] += 1
        for vlan in where(kept):
            self._first_s.setdefault(vlan, at_s)

    def _judge(
        self,
        mac: str,
        at_s: float,
        statements: dict[Statement, None],
        holds: frozenset[str],
        *,
        learns: bool,
    ) -> UnknownServer | None:
        if self._configured:
            return UnknownServer("critical", tuple(sorted(self._configured)))
        known = tuple(self._learned)
        if not learns:
            return self._late(mac, known, set(statements))
        beside = [mac for mac in known if may_meet(self._statements.get(mac, ()), statements)]
        unlike = self._unlike(beside, set(statements), at_s, holds)
        if unlike is not None:
            return UnknownServer("warning", known, unlike)
        if len(self._learned) < MAX_SERVERS:
            self._learned[mac] = None
            self._remember(mac, at_s, statements)
        return None

    def _late(
        self, mac: str, known: tuple[str, ...], statements: set[Statement]
    ) -> UnknownServer | None:
        """Judge one that comes after the first day."""
        theirs = {one for other in known for one in self._statements.get(other, ())}
        if not known or not is_alike(statements, theirs):
            self._statements.pop(mac, None)
            options = {name for name, _ in theirs}
            differs = frozenset(one for one in sends(statements) - theirs if one[0] in options)
            return UnknownServer("critical" if known else "warning", known, differs)
        if mac in self._statements or only_relays(statements, theirs):
            return None
        return UnknownServer("warning", known, is_alike=True)

    def _unlike(
        self, beside: Sequence[str], statements: set[Statement], at_s: float, holds: frozenset[str]
    ) -> frozenset[Statement] | None:
        """Return what one says otherwise than those it serves beside; None: it is like them."""
        theirs = sends(one for mac in beside for one in self._statements.get(mac, ()))
        own = sends(statements)
        differs = contradictions(own, theirs)
        untold_s = self._first_s.get("", math.inf)
        first_s = min(self._first_s.get(vlan, untold_s) for vlan in where(statements))
        late = bool(beside) and at_s - first_s > self._start_s
        is_named = any(option_of(name) == "router" and ip in holds for name, ip in theirs)
        is_unlike = bool(differs) or (late and not is_named and theirs.isdisjoint(own))
        return differs if is_unlike else None
