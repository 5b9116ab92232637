"""ICMP flood: echo requests to few destinations, or other ICMP that nobody asked for.

Echo requests count whether answered or not. Echo requests to many hosts, a few each, are
monitoring or a sweep and not a flood. Other ICMP (echo replies, unreachable, redirects ...) counts
as far as nothing explains it: replies follow requests, errors follow other packets, and errors
that come with the traffic they complain of are a small part of what their sender sends.
Precedents of the floor: FireHOL 100/s, ntopng 250/s; the weakest floods in public captures have
62/s, benign ones stay below 13/s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DeviceWindow, Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.hosts.inventory import other_icmp
from monitorpi_detector.rule import FLOOD_AT_ONCE, Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.crowd import FloodKind, of_made_up, of_sources, of_unlisted
from monitorpi_detector.rules.words import to_whom
from monitorpi_detector.views.window import WindowView, toward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import Tally

_CLASS: Final = "icmp_echo"
_ONE_DESTINATION: Final = 0.2
"""Share of the floor one destination must get (10/s); monitoring sends one host 1 or 2 a second."""
_MAINLY: Final = 0.5
"""Share of a sender's frames that unexplained ICMP must be: errors only accompany a load."""
_UNCLEAR: Final = 3.0
"""Times the floor for ICMP that is no request and has no sender: its causes cannot be seen."""
_PIECES: Final = 45
"""Fragments of the largest packet on Ethernet: a ping of 65,535 bytes is one request."""
_UNIT: Final = "ICMP/s"
_KIND: Final = FloodKind(_CLASS, "ICMP flood", _UNIT, _CLASS)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders, victims of many senders, and last what nobody explains."""
    explained = 0.0
    grouped: set[str] = set()
    for finding, members in _victims(view, limits):
        explained += finding.value
        grouped |= members
        yield finding
    passed_on: dict[str, float] = {}
    senders = _senders(view, limits)
    # hosts first: what they send through a router is counted once, at the host
    for row in sorted(senders, key=lambda row: view.forwards(row.mac)):
        if row.mac in grouped:
            continue
        echo, other = _echo(view, row, limits(row.mac)), unasked(view, row)
        explained += view.rate(max(0.0, row.tx.get(_CLASS, 0)) + other)
        forwards = view.forwards(row.mac)
        count = max(0.0, echo + other - (passed_on.get(row.mac, 0.0) if forwards else 0.0))
        peer = row.top_peer.get(_CLASS) if echo >= other else _reached(view)
        if not forwards and peer is not None and peer.mac is not None:
            passed_on[peer.mac] = passed_on.get(peer.mac, 0.0) + count
        if count > 0:
            yield _finding(view, row, limits(row.mac), count, peer)
    yield from _wire(view, limits(None), explained)


def _senders(view: WindowView, limits: LimitsOf) -> list[DeviceWindow]:
    return [row for row, _ in view.senders("icmp", limits.least)]


def _echo(view: WindowView, row: DeviceWindow, limits: Limits) -> float:
    """Return the echo requests of this window beyond our own, if one destination gets many."""
    count = max(0.0, row.tx.get(_CLASS, 0) - view.own_echo(row.mac))
    one = view.rate(view.per_destination(row, _CLASS))
    return count if one >= _ONE_DESTINATION * limits.floor else 0.0


def unasked(view: WindowView, row: DeviceWindow) -> float:
    """Return the ICMP beside echo requests that nothing the sender was sent explains."""
    pings = row.tx.get(_CLASS, 0) + row.rx.get(_CLASS, 0)
    other = _whole(row.tx, pings)
    asked = view.inventory.asked(row.mac, view.now_s) + _may_be_answered(row.rx)
    if view.received("packets"):
        # a request to everybody is nobody's in particular, and all may answer it
        asked += max(0, view.traffic.counts.get(_CLASS, 0) - view.received(_CLASS))
    else:
        # the link layer names no destinations (Linux cooked): what others sent may be for it
        asked += _may_be_answered(view.sent_by_others(row))
    if view.traffic.sees_replies is False or other < _MAINLY * row.tx.get("packets", 0):
        return 0.0
    return max(0.0, float(other - asked))


def _whole(tally: Tally, pings: int) -> int:
    """Return the ICMP beside echo requests, without the later fragments of large pings."""
    return max(0, other_icmp(tally) - min(tally.get("fragment", 0), _PIECES * pings))


def _may_be_answered(tally: Tally) -> int:
    """Return the packets that ICMP may answer: requests, and whatever is not ICMP (RFC 792)."""
    known = sum(tally.get(name, 0) for name in ("tcp", "udp"))
    ip = sum(tally.get(name, 0) for name in ("ipv4", "ipv6"))
    others = max(0, ip - known - tally.get("icmp", 0))
    return tally.get(_CLASS, 0) + known + others


def _reached(view: WindowView) -> Peer | None:
    """Return who got most ICMP."""
    row = max(view.rows.values(), key=lambda row: row.rx.get("icmp", 0), default=None)
    if row is None or not row.rx.get("icmp"):
        return None
    return Peer(mac=row.mac, ip=view.inventory.ip(row.mac), packets=row.rx["icmp"])


def _threshold(view: WindowView, mac: str | None, limits: Limits) -> tuple[float, float | None]:
    usual = view.usual(mac, _CLASS)
    return max(limits.floor, limits.factor * (usual or 0.0)), usual


def _finding(
    view: WindowView, row: DeviceWindow, limits: Limits, count: float, peer: Peer | None
) -> Finding:
    threshold, usual = _threshold(view, row.mac, limits)
    forwards = view.forwards(row.mac)
    whence = f"beyond the router {row.mac}" if forwards else row.mac
    return Finding(
        subject=mac_id(row.mac),
        value=view.rate(count),
        threshold=threshold,
        text=f"ICMP flood from {whence}{to_whom(peer)}",
        unit=_UNIT,
        baseline=usual,
        sources=(view.source(row, row.tx.get("icmp", 0)),),
        victims=() if peer is None else (peer,),
        spread=row.spread,
        spoofed=view.forged(row),
        beyond_router=forwards,
        # whether what it answers would be seen here is not known yet
        must_last=_announces(row)
        or (view.traffic.sees_replies is None and peer is not row.top_peer.get(_CLASS)),
    )


def _announces(row: DeviceWindow) -> bool:
    """Return whether a sender's ICMP goes to everybody and asks nothing.

    Who takes over two hundred IPv6 addresses advertises each to all nodes, a few times at once
    (RFC 4861, 7.2.6; keepalived's ``garp_master_repeat``).
    """
    other = other_icmp(row.tx)
    return not row.tx.get(_CLASS) and 0 < other <= row.tx.get("multicast", 0)


def _victims(view: WindowView, limits: LimitsOf) -> Iterator[tuple[Finding, set[str]]]:
    """Many sources, one destination: the victim is the subject."""
    for group in view.groups(_CLASS):
        mac = group.victim.mac or ""
        rows = group.sources
        count = sum(max(0.0, toward(row, _CLASS) - view.own_echo(row.mac)) for row in rows)
        threshold, usual = _threshold(view, None, limits(mac))
        if view.rate(count) < threshold * limits(mac).close_ratio:
            continue
        finding = of_sources(
            _KIND, view, rows, group.victim,
            value=view.rate(count), threshold=threshold, baseline=usual,
        )  # fmt: skip
        yield finding, {row.mac for row in rows}


def _wire(view: WindowView, limits: Limits, explained: float) -> Iterator[Finding]:
    """What no source explains: frames without MACs, or each from a MAC of its own.

    ICMP other than requests has many causes that cannot be seen here: it must be three times more.
    """
    value = view.rate(view.traffic.counts.get(_CLASS, 0))
    spread = view.traffic.spread
    if spread is not None and value < _ONE_DESTINATION * limits.floor * spread.dst_ips:
        value = 0.0  # to many hosts, a few each
    unasked_for = view.rate(_unasked_on_wire(view))
    to_nobody = unasked_for > value
    value = max(value, unasked_for)
    if value < limits.floor * limits.close_ratio or explained >= value / 2:
        yield from of_unlisted(_KIND, view, limits, view.omitted(_CLASS))
        return
    threshold = max(
        limits.floor * (_UNCLEAR if to_nobody else view.floor_times(_CLASS)),
        limits.factor * (view.usual(None, _CLASS) or 0.0),
    )
    victim = max(view.rows.values(), key=lambda row: row.rx.get(_CLASS, 0), default=None)
    taken = view.rate(victim.rx.get(_CLASS, 0)) if victim is not None else 0.0
    if victim is not None and not to_nobody:
        if taken < value / 2 or not view.invented(value, limits.floor):
            yield from of_unlisted(_KIND, view, limits, view.omitted(_CLASS))
            return
        peer = Peer(
            mac=victim.mac, ip=view.inventory.ip(victim.mac), packets=victim.rx.get(_CLASS, 0)
        )
        yield of_made_up(_KIND, view, peer, value=taken, threshold=threshold)
    elif not view.rows or view.traffic.new_macs >= limits.floor / 2:
        yield Finding(
            subject=view.wire_subject, value=value, threshold=threshold,
            text=f"ICMP flood on {view.traffic.interface} that no single MAC address explains",
            unit=_UNIT,
        )  # fmt: skip
    else:
        yield from of_unlisted(_KIND, view, limits, view.omitted(_CLASS))


def _unasked_on_wire(view: WindowView) -> float:
    """Return the ICMP beside echo requests that nothing on the wire explains."""
    counts = view.traffic.counts
    other = _whole(counts, 2 * counts.get(_CLASS, 0))
    if other < _MAINLY * view.traffic.packets:
        return 0.0
    return max(0.0, float(other - _may_be_answered(counts)))


RULE: Final = Rule(
    name="icmp-flood", title="ICMP flood", unit=_UNIT, judge=judge,
    defaults=Limits(floor=50.0, raise_at_once=FLOOD_AT_ONCE),
)  # fmt: skip
