"""SYN flood: connections asked for and never used, at one destination.

The value is not the count of SYNs (a download opens hundreds of connections) but the SYNs beyond
the connections that came to life: see :func:`~.window.handshakes`. A scan, whose
SYNs go to many ports or many hosts, is left to its own rule. Precedents of the floor: OpenWrt
25/s, FireHOL and FortiWeb 100/s; benign captures stay below 40 SYN/s, web benchmarks apart.
Sums over time as well (non-parametric CUSUM; Wang, Zhang, Shin, INFOCOM 2002), so that a flood
that hides just below the threshold is found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DeviceWindow, Peer
from monitorpi_common.topics import mac_id
from monitorpi_detector.rule import FLOOD_AT_ONCE, Finding, Limits, LimitsOf, Rule
from monitorpi_detector.rules.crowd import FloodKind, of_made_up, of_sources, of_unlisted
from monitorpi_detector.rules.words import to_whom
from monitorpi_detector.views.handshakes import Handshakes, handshakes
from monitorpi_detector.views.window import STRONG_SOURCE, WindowView, toward

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASS: Final = "syn"
_ONE_DESTINATION: Final = 0.2
"""Share of the floor that one destination must get: less is many small things, not a flood."""
_SCANS_BELOW: Final = 5000.0
"""SYN/s from which even a scan is a flood; scans in public captures reach 2,412/s."""
_SCAN_SHARE: Final = 0.25
"""Distinct ports or hosts per SYN from which it is a scan (a scanner tries each up to 3 times)."""
_SCAN_LEAST: Final = 10
_DECOYS: Final = 16
"""A scanner may add decoy source addresses, but a handful: each costs it a share of its rate."""
_ALIKE: Final = 2.0
"""Times the mean that the busiest of many hosts gets at most where all are tried alike."""
_UNIT: Final = "SYN/s"
_KIND: Final = FloodKind(_CLASS, "SYN flood", _UNIT, "half_open")


def is_scan(view: WindowView, row: DeviceWindow, floor: float) -> bool:
    """Return whether a sender's SYNs look for open ports or hosts rather than for one victim.

    A hundred ports of fifteen hosts are a scan as a hundred ports of one are: of hosts that are
    tried alike, what one of them gets is held against the ports.
    """
    sent, hosts = float(row.tx.get(_CLASS, 0)), row.spread.dst_ips
    if view.rate(sent) >= _SCANS_BELOW or row.spread.src_ips > _DECOYS:
        return False
    busiest = view.per_destination(row, _CLASS)
    if hosts >= max(_SCAN_LEAST, _SCAN_SHARE * sent):
        return view.rate(busiest) < _ONE_DESTINATION * floor
    if hosts > 1 and busiest * hosts <= _ALIKE * sent:
        return row.spread.dst_ports >= max(_SCAN_LEAST / hosts, _SCAN_SHARE * busiest)
    return row.spread.dst_ports >= max(_SCAN_LEAST, _SCAN_SHARE * sent)


def judge(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    """Find senders, victims of many senders, and last what nobody explains."""
    late = view.rate(view.traffic.late_syn)
    for finding in _found(view, limits):
        yield replace(finding, late=min(late + finding.late, finding.value))


def _found(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    explained = 0.0
    grouped: set[str] = set()
    for finding, members in _victims(view, limits):
        explained += finding.value
        grouped |= members
        yield finding
    through: dict[str, float] = {}
    for row, _ in view.senders(_CLASS, limits.least / 2):
        if row.mac in grouped or view.forwards(row.mac):
            continue
        opened = view.opened_by(row)
        explained += view.rate(opened.open)
        scan = is_scan(view, row, limits(row.mac).floor)
        if not scan and not _concentrated(view, row, limits(row.mac)):
            continue
        peer = row.top_peer.get(_CLASS)
        if peer is not None and peer.mac is not None:
            # of what a scan tries only the busiest destination's is known to take this way
            passed_on = min(opened.open, float(toward(row, _CLASS))) if scan else opened.open
            through[peer.mac] = through.get(peer.mac, 0.0) + passed_on
        if scan:
            continue
        yield _finding(view, row, limits(row.mac), opened)
    for finding in _routers(view, limits, through):
        explained += finding.value
        yield finding
    yield from _wire(view, limits(None), explained)


def _concentrated(view: WindowView, row: DeviceWindow, limits: Limits) -> bool:
    return view.rate(view.per_destination(row, _CLASS)) >= _ONE_DESTINATION * limits.floor


def _threshold(view: WindowView, mac: str | None, limits: Limits) -> tuple[float, float | None]:
    """Return the threshold for a device and the baseline it rests on."""
    usual = view.usual(mac, "half_open")
    return max(limits.floor, limits.factor * (usual or 0.0)), usual


def _finding(view: WindowView, row: DeviceWindow, limits: Limits, opened: Handshakes) -> Finding:
    threshold, usual = _threshold(view, row.mac, limits)
    peer = row.top_peer.get(_CLASS)
    forged = view.forged(row)
    return Finding(
        subject=mac_id(row.mac),
        value=view.rate(opened.open),
        threshold=threshold,
        text=f"SYN flood from {row.mac}{to_whom(peer)}",
        unit=_UNIT,
        baseline=usual,
        sources=(view.source(row, row.tx.get(_CLASS, 0)),),
        victims=() if peer is None else (peer,),
        spread=row.spread,
        answered_ratio=opened.answered_ratio,
        spoofed=forged,
        beyond_router=False,
        cumulates=True,
        late=view.rate(opened.unended),
    )


def _victims(view: WindowView, limits: LimitsOf) -> Iterator[tuple[Finding, set[str]]]:
    """Many sources, one destination: the victim is the subject."""
    for group in view.groups(_CLASS):
        mac = group.victim.mac or ""
        rows = [
            row for row in group.sources
            if not is_scan(view, row, limits(row.mac).floor)
        ]  # fmt: skip
        half_open = unended = 0.0
        answered, syn = 0, 0
        for row in rows:
            opened = view.opened_by(row)
            theirs = min(opened.open, float(toward(row, _CLASS)))
            half_open += theirs
            unended += opened.may_end(theirs)
            answered += opened.answered or 0
            syn += opened.syn
        threshold, usual = _threshold(view, None, limits(mac))
        if view.rate(half_open) < threshold * limits(mac).close_ratio:
            continue
        is_judged = syn and view.traffic.sees_replies is not False
        finding = of_sources(
            _KIND, view, rows, group.victim,
            value=view.rate(half_open), threshold=threshold, baseline=usual,
            answered_ratio=min(1.0, answered / syn) if is_judged else None, cumulates=True,
            late=view.rate(unended),
        )  # fmt: skip
        yield finding, {row.mac for row in rows}


def _routers(view: WindowView, limits: LimitsOf, through: dict[str, float]) -> Iterator[Finding]:
    """Senders that forward are judged by what their victims are left with."""
    for row, _ in view.senders(_CLASS, limits.least / 2):
        if not view.forwards(row.mac) or is_scan(view, row, limits(row.mac).floor):
            continue
        # what a sender on this wire sends through the router was counted at the sender
        passed_on = through.get(row.mac, 0.0)
        victims: list[tuple[float, Peer, float | None]] = []
        unended = 0.0
        for target in view.rows.values():
            asked = target.rx.get(_CLASS, 0)
            if target.mac == row.mac or view.rate(asked) < limits.least / 2:
                continue
            share = _share(view, row, target, asked)
            opened = view.asked_of(target)
            half_open = min(opened.open, share)
            unended += opened.may_end(half_open)
            peer = row.top_peer.get(_CLASS)
            if peer is None or peer.mac != target.mac:
                peer = Peer(mac=target.mac, ip=view.inventory.ip(target.mac), packets=asked)
            victims.append((half_open, peer, opened.answered_ratio))
        victims.sort(key=lambda one: -one[0])
        half_open = max(0.0, sum(one[0] for one in victims) - passed_on)
        if not victims or half_open <= 0:
            continue
        threshold, usual = _threshold(view, row.mac, limits(row.mac))
        yield Finding(
            subject=mac_id(row.mac),
            value=view.rate(half_open),
            threshold=threshold,
            text=f"SYN flood from beyond the router {row.mac}{to_whom(victims[0][1])}",
            unit=_UNIT,
            baseline=usual,
            sources=(view.source(row, row.tx.get(_CLASS, 0)),),
            victims=tuple(peer for _, peer, _ in victims[:32]),
            spread=row.spread,
            answered_ratio=victims[0][2],
            spoofed=None,
            beyond_router=True,
            cumulates=True,
            late=view.rate(unended),
        )


def _share(view: WindowView, router: DeviceWindow, target: DeviceWindow, asked: int) -> float:
    """Return how many of a victim's SYNs came from the router: the rest have known senders."""
    peer = router.top_peer.get(_CLASS)
    others = sum(
        toward(row, _CLASS)
        for row, _ in view.senders(_CLASS, STRONG_SOURCE[_CLASS])
        if row.mac != router.mac
        and (other := row.top_peer.get(_CLASS)) is not None
        and other.mac == target.mac
    )
    rest = max(0.0, float(asked - others))
    if peer is not None and peer.mac == target.mac:
        return max(rest, float(toward(router, _CLASS)))
    return min(rest, float(router.tx.get(_CLASS, 0)))


def _wire(view: WindowView, limits: Limits, explained: float) -> Iterator[Finding]:
    """What no source explains: frames without MACs, or each from a MAC of its own."""
    counts = view.traffic.counts
    if view.rate(counts.get(_CLASS, 0)) < limits.floor * limits.close_ratio:
        return
    opened = handshakes(
        counts, counts, span_s=view.span_s, sees_replies=view.traffic.sees_replies, usual_other=0.0
    )
    value = view.rate(opened.open)
    unlisted = min(view.omitted(_CLASS), value - explained)  # as far as nobody else explains it
    if explained >= value / 2:
        yield from of_unlisted(_KIND, view, limits, unlisted)
        return
    floor = limits.floor * view.floor_times(_CLASS)
    threshold = max(floor, limits.factor * (view.usual(None, "half_open") or 0.0))
    victim = max(view.rows.values(), key=lambda row: row.rx.get(_CLASS, 0), default=None)
    taken = view.asked_of(victim).open if victim is not None else 0.0
    if victim is not None:
        if view.rate(taken) < value / 2 or not view.invented(value, limits.floor):
            yield from of_unlisted(_KIND, view, limits, unlisted)
            return
        peer = Peer(mac=victim.mac, ip=view.inventory.ip(victim.mac), packets=int(taken))
        yield of_made_up(
            _KIND, view, peer, value=view.rate(taken), threshold=threshold,
            answered_ratio=view.asked_of(victim).answered_ratio,
        )  # fmt: skip
    elif not view.rows and not _seeks_open(view) and not _is_refused(view):
        yield Finding(
            subject=view.wire_subject, value=value, threshold=threshold,
            text=f"SYN flood on {view.traffic.interface} that no single MAC address explains",
            unit=_UNIT, answered_ratio=opened.answered_ratio, late=view.rate(opened.unended),
        )  # fmt: skip


def _seeks_open(view: WindowView) -> bool:
    """Return whether the SYNs of a wire without MACs look for open ports or hosts."""
    spread, syn = view.traffic.spread, view.traffic.counts.get(_CLASS, 0)
    if spread is None or view.rate(syn) >= _SCANS_BELOW or spread.src_ips > _DECOYS:
        return False
    if spread.dst_ports >= _SCAN_LEAST and 2 * spread.dst_ports * spread.dst_ips >= syn:
        return True  # many ports of many hosts, each tried once or twice
    return max(spread.dst_ports, spread.dst_ips) >= max(_SCAN_LEAST, _SCAN_SHARE * syn)


def _is_refused(view: WindowView) -> bool:
    """Return whether most SYNs met closed ports: a scan, as it seems where no spread is given."""
    if view.traffic.spread is not None:
        return False
    counts = view.traffic.counts
    syn = counts.get(_CLASS, 0)
    return 2 * counts.get("rst", 0) >= syn and 10 * counts.get("syn_ack", 0) < syn


RULE: Final = Rule(
    name="syn-flood", title="SYN flood", unit=_UNIT, judge=judge,
    defaults=Limits(floor=100.0, raise_at_once=FLOOD_AT_ONCE),
)  # fmt: skip
