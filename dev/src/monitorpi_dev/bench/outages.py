"""``bench outages``: what a centre of three sites has after links, servers and its store were away.

Links are cut (each for as long, one after the other, so that for a while all are), then a server of
NATS that does not lead the stream is killed, then the one that leads, a few times, then
VictoriaMetrics; sites send all the while. In the end what they have sent is held against what is at
the centre.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitorpi_dev.bench import outages_verdict as verdict
from monitorpi_dev.bench.outages_programs import OutagesError
from monitorpi_dev.bench.outages_stream import leader, rows_of
from monitorpi_dev.bench.outages_world import CLOCKS_S, MACHINES, SERVERS, SitesWorld
from monitorpi_lab.lan import Lab, LabError
from monitorpi_lab.namespace import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CUT_S: Final = 600.0
AWAY_S: Final = 60.0
LEADERS: Final = 3
SEEN_CUT_S: Final = 60.0
"""A bridge of Mosquitto is missed after one and a half keepalives, and a look each few seconds."""
_LOOK_S: Final = 1.0
_LIMIT_S: Final = 300.0
_KEPT_S: Final = 40.0
"""What a site says of its watch expires after a minute."""


@dataclass(slots=True)
class Absence:
    """Of a link, a server or the store."""

    what: str
    began_s: float
    ended_s: float = 0.0
    waiting: int = 0
    """Rows in the outbox, or of the store, when it came back."""
    caught_up_s: float | None = None
    """Until nothing of before waited any more."""
    level: str | None = None
    """What ``sites`` showed of the site meanwhile."""


@dataclass(slots=True)
class Run:
    """The outages of a run, one after the other."""

    world: SitesWorld
    cut_s: float
    away_s: float
    leaders: int
    absences: list[Absence] = field(default_factory=list)

    def all(self) -> None:
        """Let all of them happen."""
        self._links()
        self._server("a server that does not lead", lambda one, lead: one != lead)
        for _ in range(self.leaders):
            self._server("the server that leads", lambda one, lead: one == lead)
        self._store()

    def _links(self) -> None:
        """Cut one link after the other, each for as long."""
        steps: list[tuple[float, str, str]] = [(self.cut_s * 0.95, "look", "")]
        for number, site in enumerate(CLOCKS_S):
            since_s = number * self.cut_s / 4
            steps += [(since_s, "cut", site), (since_s + self.cut_s, "mend", site)]
        began_s, open_ = time.time(), {}
        for at_s, step, site in sorted(steps):
            self._wait_until(began_s + at_s)
            match step:
                case "cut":
                    open_[site] = Absence(f"the link of {site}", time.time())
                    self.absences.append(open_[site])
                    self.world.cut(site)
                case "mend":
                    open_[site].waiting = self.world.backlog(site).rows
                    self.world.mend(site)
                    open_[site].ended_s = time.time()
                case _ if self.cut_s >= SEEN_CUT_S:
                    for one, level in self.world.levels().items():
                        open_[one].level = level
        self._catch_up()

    def _server(self, what: str, is_chosen: Callable[[str, str], bool]) -> None:
        lead = leader(self.world)
        name = next(one for one in SERVERS if is_chosen(one, lead))
        self.world.programs.kill(name)
        outage = Absence(what, time.time())
        self.absences.append(outage)
        self._wait_until(outage.began_s + self.away_s)
        outage.waiting = sum(self.world.backlog(site).rows for site in CLOCKS_S)
        self.world.start_server(name)
        outage.ended_s = time.time()
        self._catch_up()

    def _store(self) -> None:
        self.world.programs.kill("VictoriaMetrics")
        outage = Absence("VictoriaMetrics", time.time())
        self.absences.append(outage)
        self._wait_until(outage.began_s + self.away_s)
        self.world.start_store()
        outage.ended_s = time.time()
        rows = rows_of(self.world)
        outage.waiting = sum(row.arrived_s > outage.began_s for row in rows)

        def is_there() -> bool:
            return not [
                one
                for one in verdict.store_differences(rows, self.world.series())
                if "not sent" not in one
            ]

        outage.caught_up_s = self.wait_for(is_there) and time.time() - outage.ended_s

    def _wait_until(self, at_s: float) -> None:
        """Let time pass, and see who catches up meanwhile."""
        while (left_s := at_s - time.time()) > 0:
            self._look()
            time.sleep(min(left_s, _LOOK_S))

    def _look(self) -> bool:
        """Note who has caught up; False: somebody has not."""
        for one in self.absences:
            if one.ended_s and one.caught_up_s is None and one.what != "VictoriaMetrics":
                sites = [site for site in CLOCKS_S if site in one.what] or list(CLOCKS_S)
                if all(self._is_through(site, one.ended_s) for site in sites):
                    one.caught_up_s = time.time() - one.ended_s
        return all(one.caught_up_s is not None for one in self.absences)

    def _is_through(self, site: str, at_s: float) -> bool:
        oldest = self.world.backlog(site).oldest
        return oldest is None or oldest >= at_s + CLOCKS_S[site]

    def _catch_up(self) -> None:
        self.wait_for(self._look)

    def wait_for(self, is_so: Callable[[], bool], limit_s: float = _LIMIT_S) -> bool:
        """Wait until something is so, for a bounded time."""
        ends_s = time.time() + limit_s
        while not is_so():
            self.world.programs.check()
            if time.time() > ends_s:
                return False
            time.sleep(_LOOK_S)
        return True

    def finish(self) -> dict[str, Any]:
        """Let all sites fall silent; hold what they have sent against what is there."""
        world, wrong = self.world, verdict.Differences()
        truths = {site: world.end_site(site) for site in CLOCKS_S}
        self.wait_for(lambda: not _unkept(truths, world), _KEPT_S)  # before its watch expires
        wrong.add(*_unkept(truths, world))
        self.wait_for(lambda: not _uncounted(truths, rows_of(world)), _KEPT_S)
        rows = rows_of(world)
        self.wait_for(lambda: not verdict.store_differences(rows, world.series()), _KEPT_S)
        wrong.add(*_uncounted(truths, rows))
        received: dict[str, list[str]] = {}
        for _, _, topic, text in world.received():
            received.setdefault(topic, []).append(text)
        for site, truth in truths.items():
            rollups: dict[str, list[str]] = {}
            for _, _, topic, text in world.received(f"received in {site}"):
                rollups.setdefault(topic, []).append(text)
            wrong.add(*verdict.order_differences(truth["stories"] | rollups, received))
        wrong.add(*verdict.doubled(rows))
        series = world.series()
        wrong.add(*verdict.store_differences(rows, series))
        wrong.add(
            *(
                f"{one.what}: `sites` says {one.level} of it"
                for one in self.absences
                if one.level not in (None, "unconnected")
            )
        )
        return {
            "cut_s": self.cut_s, "away_s": self.away_s,
            "absences": [asdict(one) for one in self.absences],
            "frames": sum(sum(truth["counts"].values()) for truth in truths.values()),
            "messages": sum(truth["messages"] for truth in truths.values()),
            "rows": len(rows), "samples": sum(map(len, series.values())),
            "alert_words": sum(
                len(words) for truth in truths.values() for words in truth["stories"].values()
            ),
            "states": sum(len(truth["states"]) for truth in truths.values()),
            "sent_again": sum(world.backlog(site).again for site in CLOCKS_S),
            "stored_again": world.stored_again(), "overtaken": verdict.overtaken(rows),
            "wrong": wrong.number, "differences": wrong.named,
        }  # fmt: skip


def _unkept(truths: dict[str, dict[str, Any]], world: SitesWorld) -> list[str]:
    there = world.kept()
    return [
        one
        for truth in truths.values()
        for one in verdict.retained_differences(truth["states"], there)
    ]


def _uncounted(truths: dict[str, dict[str, Any]], rows: list[verdict.StreamRow]) -> list[str]:
    return [
        one
        for site, truth in truths.items()
        for one in verdict.count_differences(site, truth["counts"], rows)
    ]


def measure(cut_s: float, away_s: float, leaders: int, seed: int) -> dict[str, Any]:
    """Make the sites and their centre, let outages happen; return what came of it.

    Raises:
        LabError, OutagesError: something that is needed is not there.

    """
    with scratch() as folder, ExitStack() as stack:
        folder.chmod(0o755)  # Mosquitto's own account reads below it
        world = SitesWorld(stack.enter_context(Lab(MACHINES)), folder, seed)
        world.start()
        run = Run(world, cut_s, away_s, leaders)
        run.wait_for(lambda: {name[0] for name in world.series()} == set(CLOCKS_S))
        run.all()
        return run.finish()


def main(argv: Sequence[str]) -> int:
    """Measure, and print what was away and what of it is missing."""
    parser = argparse.ArgumentParser(prog="./monitorpi bench outages")
    parser.add_argument("--cut", type=float, default=CUT_S, help="seconds of each link (600)")
    parser.add_argument("--away", type=float, default=AWAY_S, help="seconds of each server (60)")
    parser.add_argument("--leaders", type=int, default=LEADERS, help="killed after another (3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args(argv)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of how nats-py ends TLS
    try:
        found = measure(options.cut, options.away, options.leaders, options.seed)
    except (LabError, OutagesError) as error:
        print(f"monitorpi bench outages: {error}", file=sys.stderr)
        return 3
    print(json.dumps(found) if options.json else _text(found))
    return 1 if found["wrong"] else 0


def _text(found: dict[str, Any]) -> str:
    lines = [f"{'away':<32}{'s':>6}{'rows waited':>13}{'caught up after s':>19}  sites"]
    for one in found["absences"]:
        caught = "never" if one["caught_up_s"] is None else f"{one['caught_up_s']:.0f}"
        away_s = one["ended_s"] - one["began_s"]
        row = f"{one['what']:<32}{away_s:>6.0f}{one['waiting']:>13}{caught:>19}"
        lines.append(f"{row}  {one['level'] or ''}".rstrip())
    again = f"{found['sent_again']} rows sent again, {found['stored_again']} messages stored again"
    words = f"{found['alert_words']} words of alerts and {found['states']} last states"
    lines += [
        f"{found['frames']:,} frames in {found['rows']:,} rows, {found['samples']:,} samples",
        f"{found['messages']:,} messages at the sites; {words} at the centre",
        f"{again}, {found['overtaken']} rows behind newer ones",
        f"{found['wrong']} differences", *found["differences"],
    ]  # fmt: skip
    return "\n".join(lines)
