"""Under which circumstances the core judges: what each kind of message makes of a finding's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.detector.test_onsets import onset
from tests.detector.windows import (
    ATTACKER,
    VICTIM,
    Detector,
    answer,
    at,
    conflict,
    device,
    plain,
    probe,
    syns,
    window,
)
from tests.drive import received

from monitorpi_common.service import Presence, Tick
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from monitorpi_common.messages import Publication
    from monitorpi_detector.alerts.evidence import Observed


class Watched(Detector):
    """A detector whose findings are noted instead of judged."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.seen: list[Observed] = []
        self.core._alerts.consider = self._note  # type: ignore[method-assign]

    def _note(self, *words: Any) -> list[Publication]:
        self.seen.append(words[2])
        return []

    def after(self, *items: object) -> set[tuple[object, ...]]:
        """Return the circumstances of the findings that items lead to."""
        self.seen.clear()
        self.take(*items)
        return {
            (one.rule, one.kind, one.at, one.span_s, one.length_s, one.interface,
             tuple(sorted(one.ports)),
             one.is_part, one.lives_by_windows, one.watched_s)
            for one in self.seen
        }  # fmt: skip


def test_a_window_is_judged_by_itself() -> None:
    """By its own length; what it lost and whether it shows replies is known."""
    one = Watched()
    one.take(window(0))

    found = one.after(window(1, syns(900), length_s=0.5, kernel_drops=3, copies_ratio=0.2,
                             sees_replies=None))  # fmt: skip

    assert ("syn-flood", "flood", at(1.5), 1.0, 0.5, "eth0", ("eth0",), False, True, 0.5) in found
    assert {(s.kernel_drops, s.copies_ratio, s.sees_replies) for s in one.seen} == {(3, 0.2, None)}


def test_windows_of_several_ports_are_judged_alone_and_together() -> None:
    """Alone they are a part; together they are no part of anything."""
    one = Watched()
    one.take(window(0), window(0, interface="eth1"))

    found = one.after(*[
        window(second, syns(900), interface=name) for second in (1, 2) for name in ("eth0", "eth1")
    ])  # fmt: skip

    assert {(rule, ports, part) for rule, _, _, _, _, _, ports, part, *_ in found} >= {
        ("syn-flood", ("eth0",), True), ("syn-flood", ("eth1",), True),
        ("syn-flood", ("eth0", "eth1"), False),
    }  # fmt: skip
    assert {s.interface for s in one.seen} == {"eth0", "eth1", "eth0+eth1"}


def test_a_look_at_a_running_window_tells_of_the_rise() -> None:
    """It counts as a second."""
    one = Watched()
    one.take(window(0, plain(VICTIM, packets=1)))

    found = one.after(received(onset(1.3, syns(400), rise_s=0.2), "eth0"))

    assert found == {
        ("syn-flood", "flood", at(1.3), 1.0, 0.2, "eth0", ("eth0",), False, True, 0.0)}  # fmt: skip


def test_what_is_said_of_a_device_is_no_window() -> None:
    """It is of its interface, and of when it happened."""
    one = Watched()
    one.take(window(0))
    news = device(
        ATTACKER, 2, interface="eth0",
        conflicts=[conflict("192.0.2.1", VICTIM, ATTACKER, 3, 9, present=True)],
    )  # fmt: skip

    found = one.after(received(news, "04000000000a"))

    assert ("arp-spoof", "notice", at(3), 60.0, 1.0, "eth0", (), False, False, 0.0) in found
    later = Watched()
    later.take(window(0))
    claim = conflict("192.0.2.1", VICTIM, ATTACKER, 99, 9, present=True)
    late = later.after(news.model_copy(update={"last_seen": at(99), "conflicts": [claim]}))
    assert {moment for _, _, moment, *_ in late} == {at(4)}


def test_a_round_counts_for_the_time_since_the_one_before() -> None:
    """A second at least and an hour at most; it is told as long as it took."""
    bad = answer(rtt_p50_ms=900.0)
    for second, span_s in ((18.0, 8.0), (10.5, 1.0), (9999.0, 3600.0)):
        one = Watched()
        one.take(probe(10, answer()))

        found = one.after(probe(second, bad))

        (circumstances,) = {tuple(rest) for rule, *rest in found if rule == "high-delay"}
        watched_s = min(second - 10.0, 60.0)
        assert circumstances == (
            "effect", at(second), span_s, 8.0, None, (), False, False, watched_s)  # fmt: skip


def test_the_watch_itself_is_judged_with_each_tick() -> None:
    """Of no interface's windows; by time that goes on without them."""
    one = Watched()
    capture = Topic("lab", "capture", "status", "main")
    one.take(Tick(at(0), 0.0, clock_synced=True), Presence(capture, online=True))
    one.take(Presence(capture, online=False))

    found: set[tuple[object, ...]] = set()
    for second in range(1, 61):
        found |= one.after(Tick(at(second), float(second), clock_synced=True))

    missing = {tuple(rest) for rule, *rest in found if rule == "service-missing"}
    assert {(kind, span_s, of, ports, lives) for kind, _, span_s, _, of, ports, _, lives, _
            in missing} == {("notice", 1.0, None, (), False)}  # fmt: skip
    assert at(50) in {when for _, when, *_ in missing}
