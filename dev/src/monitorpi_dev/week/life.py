"""Everyday life in the simulated home: who comes and goes, sleeps, talks and prints.

Each process is a generator that changes the home and yields the seconds until it goes on. None of
this is worth an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_dev.week.home import chance
from monitorpi_dev.week.streams import FAR, HOUR, MIN, browse, multicast, stream
from monitorpi_dev.week.truth import Fact
from monitorpi_dev.week.wire import every
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home, Thing
    from monitorpi_dev.week.truth import Truth
    from monitorpi_dev.week.wire import Process

_FAR_TAIL_S: Final = 400.0


def idle(truth: Truth, home: Home, thing: Thing, why: str) -> Fact:
    """Note that a device does not answer from now on, as everybody in the home knows."""
    now = home.wire.now
    return truth.tell(
        Fact(f"{thing.name}: {why}", "nothing", now, now + 86400.0 * 7, thing.names,
             tail_s=_FAR_TAIL_S)
    )  # fmt: skip


# --- what everything does -------------------------------------------------------------------------


def claims(home: Home, thing: Thing) -> Process:
    """Answer the Pi's ARP, about once a minute."""
    yield home.dice(f"claims {thing.name}").uniform(0, 60)
    for delay in every(60, 0.4, home.dice(f"claims {thing.name}")):
        if thing.awake:
            home.claim(thing)
        yield delay


def chatter(home: Home, thing: Thing, mean_s: float) -> Process:
    """Ask a name, keep a connection to a cloud alive, tell the LAN one's name now and then."""
    dice = home.dice(f"chatter {thing.name}")
    resolver = home.things["resolver"]
    while True:
        yield dice.expovariate(1 / mean_s)
        if not thing.awake or thing.ip is None or resolver.ip is None:
            continue
        mac, ip = thing.wire_mac, thing.ip
        router = home.router.mac
        far = dice.choice(FAR)
        if chance(dice, 0.5):
            question = frames.udp((mac, resolver.mac), (ip, resolver.ip), (40001, 53), bytes(30))
            answer = frames.udp((resolver.mac, mac), (resolver.ip, ip), (53, 40001), bytes(60))
            home.send(thing, question, answer)
        tries = 1 if home.uplink and home.router_up else 3
        home.send(
            thing, discovery.tcp((mac, router), (ip, far), (40000, 443), discovery.SYN), times=tries
        )
        if tries == 1:
            both = discovery.SYN | discovery.ACK
            home.send(thing, discovery.tcp((router, mac), (far, ip), (443, 40000), both))
            home.send(
                thing, discovery.tcp((mac, router), (ip, far), (40000, 443)), times=3, size=200
            )
            home.send(
                thing, discovery.tcp((router, mac), (far, ip), (443, 40000)), times=3, size=900
            )
        if chance(dice, 0.1):
            home.send(thing, discovery.mdns_announcement(mac, ip, thing.name))


def new_temporary(home: Home, thing: Thing) -> Process:
    """Make a temporary IPv6 address each day; the last one ends two days later."""
    dice = home.dice(f"temporary {thing.name}")
    while True:
        thing.temporary.append(home.temporary_address())
        mac = thing.wire_mac
        home.send(thing, discovery.neighbour_solicitation(mac, "::", thing.temporary[-1]))
        del thing.temporary[:-2]
        yield dice.uniform(0.9, 1.0) * 86400


def queries(home: Home) -> Process:
    """Ask who listens to which group, each 125 s (RFC 2236, 8.2); everybody answers within 10 s."""
    dice = home.dice("queries")
    router = home.router
    while True:
        if home.router_up and home.wire.powered:
            home.wire.send(discovery.igmp_query(router.mac, router.ip or ""))
            listeners = [one for one in home.things.values() if one.awake and one.ip]
            for one in listeners:
                home.wire.start(_report(home, one, dice.randint(1, 3)), dice.uniform(0.1, 10))
        yield 125.0


def _report(home: Home, thing: Thing, groups: int) -> Process:
    for number in range(groups):
        if thing.ip:
            home.send(thing, frames.igmp_report(thing.wire_mac, thing.ip, f"239.255.255.{number}"))
        if thing.speaks6:
            home.send(
                thing,
                discovery.mld_report(thing.wire_mac, thing.addresses6[0], f"ff02::{number + 2}"),
            )
    yield 0.0


def advertises(home: Home) -> Process:
    """Advertise the router, each few minutes."""
    router = home.router
    for delay in every(300, 0.3, home.dice("advertises")):
        if home.router_up and home.wire.powered:
            own = discovery.link_local(router.mac)
            home.wire.send(discovery.router_advertisement(router.mac, own, "2001:db8:1::/64"))
        yield delay


# --- people's devices -----------------------------------------------------------------------------


def phone(home: Home, truth: Truth, thing: Thing, *, leaves: float, daily_mac: bool) -> Process:
    """Live with somebody: awake for moments, asleep for long, away by day."""
    dice = home.dice(f"phone {thing.name}")
    home.join(thing)
    gone_until = -1.0
    while True:
        hour, weekday = home.hour(), home.is_workday()
        if weekday and leaves <= hour < leaves + 0.5 and gone_until < home.wire.now:
            fact = idle(truth, home, thing, "away with its owner")
            thing.on = False
            yield dice.uniform(6.5, 9.5) * HOUR
            fact.until = home.wire.now
            thing.on, thing.awake = True, True
            gone_until = home.wire.now + 12 * HOUR
            if daily_mac:
                thing.mac = home.private_mac()
                truth.tell(
                    Fact(f"{thing.name}: a new private MAC address", "nothing", home.wire.now,
                         home.wire.now + 7 * 86400.0, thing.names)
                )  # fmt: skip
            home.join(thing, anew=daily_mac)
        thing.awake, thing.dozes = True, chance(dice, 0.3)
        night = home.is_night()
        if not night and chance(dice, 0.4):
            home.wire.start(browse(home, thing, dice.uniform(1, 8)))
        yield dice.uniform(20, 90) if night else dice.uniform(40, 900)
        fact = idle(truth, home, thing, "asleep")
        thing.awake, thing.dozes = False, False
        yield dice.uniform(300, 2400) if night else dice.uniform(60, 1500)
        fact.until = home.wire.now
        thing.awake = True
        if home.is_reachable(thing) and thing.ip:
            home.claim(thing)


def computer(
    home: Home, truth: Truth, thing: Thing, *, starts: float, ends: float, workdays: bool = False
) -> Process:
    """Run from morning to night, with pauses in which it sleeps."""
    dice = home.dice(f"computer {thing.name}")
    fact = idle(truth, home, thing, "switched off")
    thing.on = False
    while True:
        yield home.until(starts) + dice.uniform(0, 2400)
        if workdays and not home.is_workday():
            continue
        fact.until = home.wire.now
        thing.on = thing.awake = True
        home.join(thing)
        while home.hour() < ends and home.hour() >= starts:
            home.wire.start(browse(home, thing, dice.uniform(10, 40)))
            yield dice.uniform(1200, 7200)
            if chance(dice, 0.4):
                nap = idle(truth, home, thing, "asleep")
                thing.on = False
                yield dice.uniform(600, 3600)
                nap.until = home.wire.now
                thing.on = True
                home.join(thing)
        fact = idle(truth, home, thing, "switched off")
        thing.on = False


def television(home: Home, truth: Truth, thing: Thing, *, group: bool) -> Process:
    """Be off all day and on in the evening; off, it answers nothing."""
    dice = home.dice(f"tv {thing.name}")
    fact = idle(truth, home, thing, "on standby")
    thing.awake = False
    while True:
        yield home.until(18.5) + dice.uniform(0, 5400)
        fact.until = home.wire.now
        thing.awake = True
        home.join(thing)
        hours = dice.uniform(1.5, 3.5)
        if group:
            home.wire.start(multicast(home, thing, 1150, hours * HOUR))
        else:
            home.wire.start(stream(home, thing, home.router, FAR[1], 900, hours * HOUR, 4000))
        yield hours * HOUR
        fact = idle(truth, home, thing, "on standby")
        thing.awake = False


def printer(home: Home, truth: Truth, thing: Thing) -> Process:
    """Sleep, and wake up for a few pages."""
    dice = home.dice("printer")
    while True:
        yield dice.uniform(600, 900)
        fact = idle(truth, home, thing, "asleep")
        thing.awake = False
        yield dice.uniform(2, 9) * HOUR
        fact.until = home.wire.now
        thing.awake = True
        home.claim(thing)
        home.send(
            thing, discovery.mdns_announcement(thing.mac, thing.ip or "", thing.name), times=3
        )


def comes_and_goes(
    home: Home, truth: Truth, thing: Thing, *, on: tuple[float, float], why: str
) -> Process:
    """Be there for some hours of each day."""
    dice = home.dice(f"goes {thing.name}")
    while True:
        fact = idle(truth, home, thing, why)
        thing.on = False
        yield home.until(on[0]) + dice.uniform(0, 1500)
        fact.until = home.wire.now
        thing.on = thing.awake = True
        home.join(thing)
        yield home.until(on[1]) + dice.uniform(0, 1500)


def roams(home: Home, thing: Thing, repeater: Thing) -> Process:
    """Walk to where the repeater is the nearest, and back."""
    dice = home.dice("roams")
    while True:
        yield dice.uniform(1, 5) * HOUR
        thing.behind = repeater
        home.claim(thing)
        home.send(thing, frames.arp_request(repeater.mac, thing.ip or "", thing.ip or ""))
        yield dice.uniform(5, 60) * MIN
        thing.behind = None
        home.claim(thing)
        home.send(thing, frames.arp_request(thing.mac, thing.ip or "", thing.ip or ""))
