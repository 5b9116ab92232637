"""Everyday life in the simulated home: who comes and goes, sleeps, streams, backs up and prints.

Each process is a generator that changes the home and yields the seconds until it goes on. None of
this is worth an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_dev.week.home import PI, Thing, chance
from monitorpi_dev.week.truth import Fact
from monitorpi_dev.week.wire import FrameStream, every
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from monitorpi_dev.week.home import Home
    from monitorpi_dev.week.truth import Truth
    from monitorpi_dev.week.wire import Process

FAR: Final = ("151.101.1.140", "142.250.74.78", "52.95.120.4", "104.16.3.9", "23.212.5.1")
"""Servers of the Internet; nothing is ever sent there."""
MIN: Final = 60.0
HOUR: Final = 3600.0
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
            home.say(thing, question, answer)
        tries = 1 if home.uplink and home.router_up else 3
        home.say(
            thing, discovery.tcp((mac, router), (ip, far), (40000, 443), discovery.SYN), times=tries
        )
        if tries == 1:
            both = discovery.SYN | discovery.ACK
            home.say(thing, discovery.tcp((router, mac), (far, ip), (443, 40000), both))
            home.say(
                thing, discovery.tcp((mac, router), (ip, far), (40000, 443)), times=3, size=200
            )
            home.say(
                thing, discovery.tcp((router, mac), (far, ip), (443, 40000)), times=3, size=900
            )
        if chance(dice, 0.1):
            home.say(thing, discovery.mdns_announcement(mac, ip, thing.name))


def new_temporary(home: Home, thing: Thing) -> Process:
    """Make a temporary IPv6 address each day; the last one ends two days later."""
    dice = home.dice(f"temporary {thing.name}")
    while True:
        thing.temporary.append(home.temporary_address())
        mac = thing.wire_mac
        home.say(thing, discovery.neighbour_solicitation(mac, "::", thing.temporary[-1]))
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
            home.say(thing, frames.igmp_report(thing.wire_mac, thing.ip, f"239.255.255.{number}"))
        if thing.speaks6:
            home.say(
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


# --- streams --------------------------------------------------------------------------------------


def stream(
    home: Home, thing: Thing, peer: Thing, far: str, per_s: float, seconds: float, burst: int
) -> Process:
    """Carry data to or from somewhere for a while: bursts at its begin and within, all the rest."""
    dice = home.dice(f"stream {thing.name}")
    name = f"{thing.name} {peer.name} {far}"
    ip, there = thing.ip or "", far
    down = discovery.tcp((peer.mac, thing.wire_mac), (there, ip), (443, 40002), discovery.ACK, 1400)
    up = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443))
    syn = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443), discovery.SYN)
    both = discovery.tcp(
        (peer.mac, thing.wire_mac), (there, ip), (443, 40002), discovery.SYN | discovery.ACK
    )
    fin = discovery.tcp((thing.wire_mac, peer.mac), (ip, there), (40002, 443), discovery.FIN | 0x10)
    left = seconds
    while left > 0 and thing.awake and home.is_reachable(thing):
        for _ in range(3):
            opens = dice.randint(1, 6)
            home.say(thing, syn, both, fin, times=opens)
            home.say(thing, down, times=burst)
            home.say(thing, up, times=burst // 2)
            yield 1.0
        home.wire.streams[name] = FrameStream((down, down, up), per_s / 3)
        pause = min(left, dice.uniform(300, 900))
        left -= pause + 3
        yield pause
        home.wire.streams.pop(name, None)
    home.wire.streams.pop(name, None)


def multicast(home: Home, thing: Thing, per_s: float, seconds: float) -> Process:
    """Send a television programme to a group: the router sends, the box listens."""
    router = home.router
    group = "239.35.1.7"
    macs = (router.mac, frames.multicast_mac(group))
    frame = frames.udp(macs, ("203.0.113.9", group), (5000, 5000), bytes(1316))
    home.say(thing, frames.igmp_report(thing.mac, thing.ip or "", group))
    left = seconds
    while left > 0 and home.router_up and home.wire.powered:
        for _ in range(5):
            home.wire.send(frame, times=int(per_s * home.dice("iptv").uniform(0.9, 1.5)))
            yield 1.0
        home.wire.streams["iptv"] = FrameStream((frame,), per_s)
        pause = min(left, 900.0)
        left -= pause + 5
        yield pause
        home.wire.streams.pop("iptv", None)


def browse(home: Home, thing: Thing, minutes: float) -> Process:
    """Look at pages: each a burst of connections and names."""
    dice = home.dice(f"browse {thing.name}")
    resolver, router = home.things["resolver"], home.router
    left = minutes * MIN
    while left > 0 and thing.awake and home.is_reachable(thing) and thing.ip:
        mac, ip = thing.wire_mac, thing.ip
        for number in range(dice.randint(3, 25)):
            far = dice.choice(FAR)
            ports = (41000 + number, 443)
            works = home.uplink and home.router_up
            home.say(
                thing,
                frames.udp((mac, resolver.mac), (ip, resolver.ip or ""), (40001, 53), bytes(30)),
            )
            home.say(thing, discovery.tcp((mac, router.mac), (ip, far), ports, discovery.SYN))
            if works:
                back = (far, ip), (ports[1], ports[0])
                home.say(
                    thing, discovery.tcp((router.mac, mac), *back, discovery.SYN | discovery.ACK)
                )
                home.say(thing, discovery.tcp((router.mac, mac), *back, size=1400), times=20)
                home.say(thing, discovery.tcp((mac, router.mac), (ip, far), ports), times=8)
        pause = dice.uniform(60, 500)
        left -= pause
        yield pause


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
        home.say(thing, discovery.mdns_announcement(thing.mac, thing.ip or "", thing.name), times=3)


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
        home.say(thing, frames.arp_request(repeater.mac, thing.ip or "", thing.ip or ""))
        yield dice.uniform(5, 60) * MIN
        thing.behind = None
        home.claim(thing)
        home.say(thing, frames.arp_request(thing.mac, thing.ip or "", thing.ip or ""))


# --- machines -------------------------------------------------------------------------------------


def bonded(home: Home, thing: Thing) -> Process:
    """Answer each client from one of two cards (Linux bonding, balance-alb)."""
    dice = home.dice("bonded")
    clients = [one for one in home.things.values() if one.ip and one.name not in (thing.name, PI)]
    while True:
        yield dice.uniform(20, 180)
        client = dice.choice(clients)
        mac = thing.mac if hash_of(client.name) % 2 else thing.sibling or thing.mac
        if client.ip and thing.ip:
            macs, ips = (mac, client.wire_mac), (thing.ip, client.ip)
            home.say(thing, discovery.arp_reply(macs, ips))
            home.say(client, discovery.tcp(macs[::-1], ips[::-1], (50000, 445)), times=3)
            home.say(thing, discovery.tcp(macs, ips, (445, 50000)), times=3)


def hash_of(text: str) -> int:
    """Return a number that is the same in every run."""
    return sum(text.encode())


def answers_broadcast(home: Home, thing: Thing, asks: Thing) -> Process:
    """Answer ARP for the subnet's broadcast address, as some speakers do."""
    for delay in every(600, 0.5, home.dice(f"broadcast {thing.name}")):
        yield delay
        if asks.ip and thing.ip:
            home.say(asks, frames.arp_request(asks.wire_mac, asks.ip, "192.168.1.255"))
            answer = discovery.arp_reply((thing.mac, asks.wire_mac), ("192.168.1.255", asks.ip))
            home.say(thing, answer)


def resolves(home: Home, thing: Thing) -> Process:
    """Answer names all day, in bursts when pages are opened."""
    dice = home.dice("resolves")
    router = home.router
    ask = frames.udp((thing.mac, router.mac), (thing.ip or "", FAR[3]), (40053, 53), bytes(40))
    answer = frames.udp((router.mac, thing.mac), (FAR[3], thing.ip or ""), (53, 40053), bytes(120))
    while True:
        yield dice.expovariate(1 / 900)
        for _ in range(dice.randint(1, 6)):
            home.say(thing, ask, times=dice.randint(10, 110))
            if home.uplink and home.router_up:
                home.say(thing, answer, times=dice.randint(10, 110))
            yield 1.0


def containers(home: Home, truth: Truth, host: Thing) -> Process:
    """Start a container with a MAC address and an address of its own, and end it."""
    dice = home.dice("containers")
    slots: dict[int, Thing] = {}
    while True:
        yield dice.uniform(2, 7) * HOUR
        number = dice.randrange(4)
        if number in slots or not home.is_reachable(host):
            continue
        ip = f"192.168.1.{200 + number}"
        mac = f"02:42:c0:a8:01:{200 + number:02x}"
        thing = slots[number] = home.add(Thing(f"ci-{number}", mac, ip))
        home.wire.start(claims(home, thing))
        home.say(thing, frames.arp_request(mac, ip, ip))
        yield dice.uniform(10, 60) * MIN
        idle(truth, home, thing, "a container that has ended")
        thing.on = False
        del slots[number]
        del home.things[thing.name]


def backup(home: Home, source: Thing, hour: float) -> Process:
    """Copy everything to the NAS each night."""
    dice = home.dice(f"backup {source.name}")
    nas = home.things["nas"]
    while True:
        yield home.until(hour) + dice.uniform(0, 600)
        if home.is_reachable(source) and home.is_reachable(nas):
            home.wire.start(
                stream(home, source, nas, nas.ip or "", 6000, dice.uniform(600, 2400), 9000)
            )
        yield HOUR


def watches(home: Home, host: Thing, targets: list[Thing]) -> Process:
    """Ping some devices, as home automation does."""
    while True:
        yield 30.0
        for one in targets:
            if host.ip and one.ip and home.is_reachable(host):
                home.say(host, frames.icmp_echo((host.mac, one.wire_mac), (host.ip, one.ip), 9, 1))
                if one.awake and home.is_reachable(one):
                    home.say(
                        one, discovery.echo_reply((one.wire_mac, host.mac), (one.ip, host.ip), 9)
                    )
