"""Forty devices, a week, ten incidents: the simulated home put together and run.

Theory of operation. Real frames go through the code that classifies, counts and dissects them on a
Raspberry Pi (:mod:`.wire`), into the real cores of capture, prober and detector (:mod:`.stack`).
The home (:mod:`.home`, :mod:`.life`, :mod:`.machines`, :mod:`.events`, :mod:`.incidents`) is made
from one seed, and writes down what happened (:mod:`.truth`), by which the alerts are judged
(:mod:`.verdict`).
What is thinned stands in :mod:`.wire`: nothing in which a rule could have found anything.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from monitorpi_dev.week import events, incidents, life, machines
from monitorpi_dev.week.home import INTERNET, PI, PREFIX, ROUTER, SUBNET, Home, Thing, next_mac
from monitorpi_dev.week.pings import SimulatedPinger
from monitorpi_dev.week.stack import SimulatedStack, loud_levels
from monitorpi_dev.week.truth import Fact, Truth
from monitorpi_dev.week.verdict import Verdict, judge
from monitorpi_dev.week.wire import SimulatedWire
from monitorpi_prober.items import Exit
from monitorpi_prober.settings import TargetSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_dev.week.wire import Process

MONDAY: Final = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
DAY_S: Final = 86400.0
EVENTS: Final = 8
_PLAIN: Final = (
    # name, last byte, on Wi-Fi, round trip in ms, its spread, seconds between a cloud's turns
    ("switch", 2, False, 0.9, 0.3, 900),
    ("resolver", 11, False, 0.4, 0.1, 600),
    ("server", 12, False, 0.3, 0.1, 120),
    ("repeater", 4, True, 3, 2, 600),
    ("speaker-1", 43, True, 5, 6, 90),
    ("speaker-2", 44, True, 5, 6, 90),
    ("camera-1", 50, True, 4, 3, 60),
    ("camera-2", 51, True, 4, 3, 60),
    ("doorbell", 52, True, 6, 6, 90),
    ("thermostat", 53, True, 5, 4, 300),
    ("hub", 54, False, 1, 0.5, 120),
    ("plug-1", 55, True, 4, 4, 120),
    ("plug-2", 56, True, 4, 4, 120),
    ("plug-3", 57, True, 4, 4, 120),
    ("plug-4", 58, True, 4, 4, 120),
    ("fridge", 60, True, 6, 5, 240),
    ("inverter-meter", 63, False, 1, 0.5, 300),
)


@dataclass(slots=True)
class Week:
    """One simulated week (or less) of one home."""

    seed: int
    days: float = 7.0
    learning_s: float = DAY_S
    incidents: int = incidents.COUNT
    events: int = EVENTS
    """How many of those happen that an owner may hear of, or shall not."""
    truth: Truth = field(default_factory=Truth)
    home: Home = field(init=False)
    stack: SimulatedStack = field(init=False)

    def __post_init__(self) -> None:
        wire = SimulatedWire(MONDAY, self._take, loud_levels())
        wire.is_watched = lambda: self.stack.is_open
        self.home = Home(wire, self.seed, MONDAY)
        self._furnish()
        pi = self.home.things[PI]
        self.stack = SimulatedStack(
            Exit(pi.ip or "", pi.mac),
            [
                ipaddress.ip_network(SUBNET),
                ipaddress.ip_network(PREFIX),
                ipaddress.ip_network("fe80::/64"),
            ],
            [TargetSettings(address=INTERNET, name="Internet")],
            self.learning_s,
        )
        self.stack.boot(MONDAY)

    def _take(self, item: object) -> None:
        self.stack.take(item)

    def run(self) -> Verdict:
        """Let the week pass and judge it."""
        wire = self.home.wire
        pinger = SimulatedPinger(self.home, self.stack)
        wire.start(pinger.run())
        wire.start(pinger.sweeps(), 20.0)
        self._live()
        self._plan()
        ends = MONDAY + self.days * DAY_S
        wire.run(ends)
        return judge(self.stack.alerts.values(), self.truth, MONDAY, ends)

    # --- who lives there ----------------------------------------------------------------------

    def _furnish(self) -> None:
        home, ip = self.home, "192.168.1.{}".format
        fixed = home.fixed_mac
        home.add(Thing(ROUTER, fixed(), ip(1), rtt_ms=0.5, speaks6=True))
        home.add(Thing(PI, fixed(), ip(3), speaks6=True))
        for name, last, wifi, rtt, spread, _ in _PLAIN:
            home.add(Thing(name, fixed(), ip(last), wifi, rtt, spread))
        home.things["speaker-1"].speaks6 = home.things["speaker-2"].speaks6 = True
        card = fixed()
        home.add(Thing("nas", card, ip(10), sibling=next_mac(card), speaks6=True))
        home.add(Thing("printer", fixed(), ip(20), True, 8, 6))
        home.add(Thing("tv", fixed(), ip(21), True, 4, 3, speaks6=True))
        home.add(Thing("iptv", fixed(), ip(22), rtt_ms=1, spread_ms=0.5))
        home.add(Thing("console", fixed(), ip(23), rtt_ms=1, spread_ms=0.5))
        home.add(Thing("desktop", fixed(), ip(24), speaks6=True))
        home.add(Thing("work-laptop", fixed(), ip(25), True, 4, 3, speaks6=True))
        home.add(Thing("laptop", fixed(), ip(26), True, 4, 3, speaks6=True))
        for number in range(6):
            home.add(Thing(f"phone-{number + 1}", home.private_mac(), ip(30 + number), True, 12, 18,
                           0.02, speaks6=True))  # fmt: skip
        home.add(Thing("tablet", home.private_mac(), ip(36), True, 10, 14, 0.01, speaks6=True))
        for number in range(3):
            home.add(Thing(f"sensor-{number + 1}", fixed(), ip(40 + number), True, 40, 90,
                           (0.05, 0.15, 0.3)[number]))  # fmt: skip
        home.add(Thing("vacuum", fixed(), ip(59), True, 8, 9, 0.01))
        home.add(Thing("inverter", fixed(), ip(61), True, 8, 9, 0.01))
        home.add(Thing("car", fixed(), ip(62), True, 20, 25, 0.04))

    # --- how they live ------------------------------------------------------------------------

    def _live(self) -> None:
        home, truth, start = self.home, self.truth, self.home.wire.start
        things = home.things
        start(life.queries(home))
        start(life.advertises(home))
        start(machines.resolves(home, things["resolver"]))
        start(events.television_updates(home))
        start(events.microwave(home, truth))
        for thing in list(things.values()):
            start(life.claims(home, thing))
        for name, *_, mean_s in _PLAIN:
            start(life.chatter(home, things[name], float(mean_s)))
        for number in range(6):
            one = things[f"phone-{number + 1}"]
            leaves = (7.5, 8.0, 8.5, 7.0, 11.0, 30.0)[number]
            start(
                life.phone(home, truth, one, leaves=leaves, daily_mac=number in (1, 3)), number * 7
            )
            start(life.chatter(home, one, 200))
            start(life.new_temporary(home, one), number * 11)
        start(life.phone(home, truth, things["tablet"], leaves=30, daily_mac=False))
        for name, begins, ends, work in (
            ("desktop", 9.0, 23.0, False), ("laptop", 17.0, 23.5, False),
            ("work-laptop", 8.5, 17.5, True),
        ):  # fmt: skip
            start(life.computer(home, truth, things[name], starts=begins, ends=ends, workdays=work))
            start(life.chatter(home, things[name], 40))
            start(life.new_temporary(home, things[name]))
        start(life.television(home, truth, things["tv"], group=False))
        start(life.television(home, truth, things["iptv"], group=True))
        start(life.television(home, truth, things["console"], group=False))
        start(life.printer(home, truth, things["printer"]))
        for name, hours, why in (
            ("inverter", (7.0, 18.5), "no sun"), ("car", (18.0, 7.5), "away with its owner"),
            ("vacuum", (10.0, 21.0), "charged and asleep"),
        ):  # fmt: skip
            start(life.comes_and_goes(home, truth, things[name], on=hours, why=why))
        start(life.roams(home, things["phone-5"], things["repeater"]))
        start(machines.bonded(home, things["nas"]))
        start(machines.answers_broadcast(home, things["speaker-1"], things["tv"]))
        start(machines.answers_broadcast(home, things["speaker-2"], things["resolver"]))
        start(machines.containers(home, truth, things["server"]))
        start(machines.backup(home, things["server"], 2.0))
        start(machines.backup(home, things["laptop"], 22.0))
        start(
            machines.watches(
                home,
                things["server"],
                [things[name] for name in ("hub", "tv", "printer", "plug-1")],
            )
        )
        self._habits()

    def _habits(self) -> None:
        """Note what is so all week long."""
        week = {
            "sensor-1": "saves power", "sensor-2": "saves power", "sensor-3": "saves power",
            "nas": "two cards share its address", "speaker-1": "answers for .255",
            "speaker-2": "answers for .255", "phone-5": "roams to the repeater",
            "repeater": "a phone is behind it",
        }  # fmt: skip
        for name, why in week.items():
            self.truth.tell(
                Fact(f"{name}: {why}", "nothing", MONDAY, MONDAY + 7 * DAY_S,
                     self.home.things[name].names)
            )  # fmt: skip
        broadcast = frozenset({"192-168-1-255"})
        self.truth.tell(Fact("nobody has .255", "nothing", MONDAY, MONDAY + 7 * DAY_S, broadcast))

    # --- what happens -------------------------------------------------------------------------

    def _plan(self) -> None:
        """Give each event and incident its moment after the learning time, no two at once."""
        home, truth = self.home, self.truth
        acts: list[Callable[[], Process]] = [
            lambda: events.router_reboots(home, truth),
            lambda: events.power_fails(home, truth, self.stack),
            lambda: events.uplink_fails(home, truth),
            lambda: events.torrent(home, truth),
            lambda: events.speed_test(home, truth),
            lambda: events.leases_change(home, truth),
            lambda: events.guest(home, truth),
            lambda: events.admin_scans(home, truth),
        ]
        acts = home.dice("events").sample(acts, min(self.events, len(acts)))
        acts += [
            partial(incidents.happens, home, truth, one)
            for one in incidents.drawn(home)[: self.incidents]
        ]
        dice = home.dice("plan")
        dice.shuffle(acts)
        first_s = self.learning_s + 1800
        slot_s = (self.days * DAY_S - first_s - 2400) / len(acts)
        for number, act in enumerate(acts):
            after_s = first_s + slot_s * (number + dice.uniform(0, 0.6))
            home.wire.start(_later(act), after_s)


def _later(act: Callable[[], Process]) -> Process:
    """Begin a process when its moment has come: what it reads first is read then."""
    yield from act()
