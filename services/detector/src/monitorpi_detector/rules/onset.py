"""The flood rules on a look at a running window: only what is sure before the window ends.

The rules are the same ones; of what they find only senders and victims are taken that pass the
level at which one window raises (``raise_at_once``), by frames that nothing to come can explain:

- What came since the rise began, a second at most, stands for a whole second, as in any short
  window. The rate that is told is that of the rise.
- SYNs of the last tenth of a second may yet be answered: they do not count, unless there are more
  than any burst of connections has.
- Only what one destination got is taken, and no destination behind a router, which may be far away.
- Connections have had no time to end, so that is not asked of them.

Whatever is not sure is left to the windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Traffic
from monitorpi_detector.rules import icmp_flood, syn_flood
from monitorpi_detector.views.handshakes import BURST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import Onset
    from monitorpi_detector.rule import Finding, LimitsOf, Rule
    from monitorpi_detector.views.window import WindowView


def window_of(onset: Onset) -> Traffic:
    """Return the running window as it would be if it ended now."""
    return Traffic.model_construct(
        epoch=onset.epoch,
        seq=onset.seq,
        start=onset.start,
        end=onset.end,
        window_s=onset.window_s,
        clock_synced=onset.clock_synced,
        interface=onset.interface,
        engine=onset.engine,
        packets=onset.packets,
        bytes=onset.bytes,
        counts=onset.counts,
        totals={},
        sees_replies=onset.sees_replies,
        source_macs=len(onset.devices),
        copies_ratio=onset.copies_ratio,
        copies=onset.copies,
        repeats=onset.repeats,
        devices=onset.devices,
    )


def _syn(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    onset = view.onset
    if onset is None or onset.sees_replies is False:
        return
    before = max(0, onset.before.get("syn", 0) - onset.before.get("syn_ack", 0))
    for finding in syn_flood.judge(view, limits):
        if any(peer.mac is not None and view.forwards(peer.mac) for peer in finding.victims):
            continue
        toward = float(sum(peer.packets or 0 for peer in finding.victims))
        count = finding.value * view.span_s - before
        one = count if len(finding.sources) > 1 else min(count, toward - before)
        sure = one if one >= BURST else one - onset.late_syn
        yield from _reported(finding, sure, count / onset.rise_s, limits)


def _icmp(view: WindowView, limits: LimitsOf) -> Iterator[Finding]:
    if view.onset is None:
        return
    before = view.onset.before.get("icmp_echo", 0)
    for finding in icmp_flood.judge(view, limits):
        count = finding.value * view.span_s - before
        yield from _reported(finding, count, count / view.onset.rise_s, limits)


def _reported(finding: Finding, sure: float, rate: float, limits: LimitsOf) -> Iterator[Finding]:
    """Return a finding that raises, with the rate of the rise; none where it is not sure."""
    if not finding.sources or finding.must_last:
        return
    mac = finding.sources[0].mac if len(finding.sources) == 1 else finding.victims[0].mac
    if sure < limits(mac).raise_at_once * finding.threshold:
        return
    yield replace(finding, value=max(sure, rate), late=0.0, decisive=True)


def _on_onsets(
    rule: Rule[WindowView], judge: Callable[[WindowView, LimitsOf], Iterator[Finding]]
) -> Rule[WindowView]:
    return replace(rule, judge=judge)


RULES: Final = (_on_onsets(syn_flood.RULE, _syn), _on_onsets(icmp_flood.RULE, _icmp))
"""What an onset is judged by, before the window it is of."""
