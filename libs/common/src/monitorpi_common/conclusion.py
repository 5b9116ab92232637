"""What follows from the facts of a sensor: a state of the watch, and each reason with its remedy.

blind     nothing is counted, or nobody judges what is counted
partly    something is not seen, or not told to somebody
watching  everything that is expected here is there
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Service, WatchReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from monitorpi_common.messages import WatchLevel

WINDOW_S: Final = 5.0
"""A window comes each second; so long without one is no hiccup of a busy Pi."""
JUDGED_S: Final = 8.0
"""The detector says each five seconds what it judged last."""
FRESH_S: Final = 7.0
"""The detector publishes its conclusion at least each three seconds: two are missing."""
PULSE_S: Final = 7.0
"""A service publishes its health each three seconds: two are missing."""
LATE_S: Final = 4.0
"""Between a window's end and its arrival: a queue somewhere, or clocks that differ."""
START_S: Final = 15.0
"""After a start, time in which what has not been received from yet may still be starting too."""
LOSES_RATIO: Final = 0.01
"""Share of frames lost from which counts are no longer what was on the wire."""
LOSSES_OVER: Final = 10
"""Windows over which losses are summed."""
LOSSES_IN: Final = 3
LOSSES_LEAST: Final = 100
"""Of these windows so many must have lost frames, and together so many frames: the kernel's counts
are of the whole machine, and one hiccup is no sensor that loses."""
COPIES_RATIO: Final = 0.05
_LONGEST: Final = 255
"""Characters of a sentence (the contract's)."""
_AWAY_REMEDY: Final = "bring it up (ip link set {} up), or take it out of capture.interfaces"
NEEDED: Final = (Service.CAPTURE, Service.DETECTOR)
"""Without one of these nobody watches; the prober's absence leaves a part."""
EXPECTED: Final = (*NEEDED, Service.PROBER)


@dataclass(slots=True)
class WireFacts:
    """What is known of one interface; times in seconds of the observer's clock."""

    arrived_s: float
    """When its last window came in which something could be seen."""
    received_s: float = 0.0
    """When its last window came."""
    last_late_s: float = 0.0
    """How old its last window was when it came."""
    late_s: float = 0.0
    """The same of the better one of two: where the clock is set, one tells of it before a tick."""
    has_link: bool = True
    sees_replies: bool | None = None
    copies_ratio: float | None = None
    frames: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=LOSSES_OVER))
    """Frames seen and lost in the last windows."""

    @property
    def lost_ratio(self) -> float:
        """Share of the frames that was lost; 0 for a hiccup."""
        seen, lost = sum(one for one, _ in self.frames), sum(one for _, one in self.frames)
        lasting = sum(1 for _, one in self.frames if one) >= LOSSES_IN
        return lost / (seen + lost) if lasting and lost >= LOSSES_LEAST else 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a conclusion rests on."""

    now_s: float
    began_s: float
    broker: str | None
    """Why there is no connection to the broker; None: there is one."""
    online: Mapping[str, bool]
    """By service: whether an instance is there; a service that was never received from lacks."""
    wires: Mapping[str, WireFacts]
    away: Mapping[str, str]
    """Interfaces that cannot be counted on, each with the reason."""
    gone_s: Mapping[str, float] = field(default_factory=dict)
    """By service that was here and is not: since when."""
    announced_s: float | None = None
    """When the detector last said what it concludes, or came; None: neither since the start."""
    reads_windows: bool = True
    """False for an observer that leaves windows to the detector."""
    judged_s: float | None = None
    """When the detector was last known to keep up; None: it is not asked."""
    pulse_s: Mapping[str, float] = field(default_factory=dict)
    """By service: when it last published its health."""
    unkept: Mapping[str, str] = field(default_factory=dict)
    """By service: why it cannot write what a restart must not take away."""
    troubles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By service: what it says keeps it from its work, and what people can do."""

    def silent(self) -> list[str]:
        """Return the interfaces whose windows have stopped."""
        return [n for n, wire in self.wires.items() if self.now_s - wire.arrived_s > WINDOW_S]

    @property
    def is_young(self) -> bool:
        """Return whether what is not received from yet may still be starting."""
        return self.now_s - self.began_s < START_S


def conclude(facts: Facts) -> tuple[WatchLevel, tuple[WatchReason, ...]]:
    """Return the state of the watch, and the reasons for one that is not good."""
    if facts.broker is not None:
        remedy = "see the broker's log, and the lines of ./monitorpi doctor"
        return "blind", (
            _reason(what="broker", text=f"No connection to the broker: {facts.broker}.",
                        remedy=remedy),
        )  # fmt: skip
    blind, partly = list(_blind(facts)), list(_partly(facts))
    state: WatchLevel = "blind" if blind else "partly" if _counts(partly) else "watching"
    return state, tuple([*blind, *partly][:32])


def _reason(*, text: str, **more: str) -> WatchReason:
    """Build a reason; names that others chose are cut, so that its sentence fits."""
    return WatchReason(text=text[:_LONGEST], **more)


def _counts(reasons: Iterable[WatchReason]) -> bool:
    return any(reason.what != "copies" for reason in reasons)


def _blind(facts: Facts) -> Iterator[WatchReason]:
    for service in NEEDED:
        if not facts.online.get(service.value):
            yield _missing(facts, service.value)
    if not facts.online.get(Service.CAPTURE.value):
        return
    if not facts.reads_windows:
        yield from _not_received(facts)
        return
    silent = facts.silent()
    if not facts.wires or len(silent) == len(facts.wires):
        yield from (_silent(facts, name) for name in silent)
        if not facts.wires:
            yield _no_window(facts)
    yield from _not_judged(facts)


def _not_judged(facts: Facts) -> Iterator[WatchReason]:
    """Yield that windows come and are not judged, or that the detector says nothing.

    Where none comes there is nothing to judge: what it judged last is old through no fault of its.
    """
    if facts.judged_s is None or not facts.online.get(Service.DETECTOR.value):
        return
    comes = any(facts.now_s - wire.received_s <= WINDOW_S for wire in facts.wires.values())
    if not comes:
        yield from _not_received(facts)
    elif facts.now_s - facts.judged_s > JUDGED_S:
        yield _reason(
            what="judging", service=Service.DETECTOR.value,
            text="The detector does not keep up: windows come and are not judged.",
            remedy="look at the load of this machine and at the detector's log",
        )  # fmt: skip


def _not_received(facts: Facts) -> Iterator[WatchReason]:
    """Yield that the detector is there and says nothing."""
    last_s = facts.began_s if facts.announced_s is None else facts.announced_s
    if facts.online.get(Service.DETECTOR.value) and facts.now_s - last_s > FRESH_S:
        yield _reason(
            what="judging", service=Service.DETECTOR.value,
            text=f"The detector has said nothing for {facts.now_s - last_s:.0f} s.",
            remedy="look at the load of this machine and at the detector's log",
        )  # fmt: skip


def _partly(facts: Facts) -> Iterator[WatchReason]:
    yield from _of_services(facts)
    if facts.online.get(Service.CAPTURE.value):
        yield from _of_interfaces(facts)


def _of_services(facts: Facts) -> Iterator[WatchReason]:
    for service, is_there in sorted(facts.online.items()):
        if not is_there and service not in NEEDED:
            yield _missing(facts, service)
    if Service.PROBER.value not in facts.online:
        yield _missing(facts, Service.PROBER.value)
    for service, last_s in sorted(facts.pulse_s.items()):
        silent_s = facts.now_s - last_s
        if silent_s > PULSE_S and service not in NEEDED and facts.online.get(service):
            yield _hung(service, silent_s)
    for service, error in sorted(facts.unkept.items()):
        if facts.online.get(service):
            yield _unkept(service, error)
    for service, (text, remedy) in sorted(facts.troubles.items()):
        if facts.online.get(service):
            yield WatchReason(
                what="state", service=service, text=f"The {service}: {text}.", remedy=remedy
            )


def _of_interfaces(facts: Facts) -> Iterator[WatchReason]:
    silent = facts.silent()
    for name, reason in facts.away.items():
        if name in silent:
            continue  # said with its silence
        yield _reason(
            what="interface", service=Service.CAPTURE.value, interface=name,
            text=f"Interface {name} is not counted on: {reason}.",
            remedy=_AWAY_REMEDY.format(name),
        )  # fmt: skip
    if len(silent) < len(facts.wires):
        yield from (_silent(facts, name) for name in silent)
    for name, wire in facts.wires.items():
        if name not in silent:
            yield from _doubts(name, wire)


def _missing(facts: Facts, service: str) -> WatchReason:
    if service not in facts.online and facts.is_young:
        text, remedy = f"The {service} has not been heard of yet.", "it may still be starting"
    else:
        text = f"The {service} is not running."
        remedy = "look at its last log lines; ./monitorpi up starts it again"
    return _reason(what="service", service=service, text=text, remedy=remedy)


def _hung(service: str, silent_s: float) -> WatchReason:
    return _reason(
        what="service", service=service,
        text=f"The {service} has said nothing for {silent_s:.0f} s.",
        remedy="look at the load of this machine and at its last log lines",
    )  # fmt: skip


def _unkept(service: str, error: str) -> WatchReason:
    return _reason(
        what="state", service=service,
        text=f"What the {service} knows cannot be kept over a restart: {error}.",
        remedy="make room on the disk of its state folder, and let it be written",
    )  # fmt: skip


def _no_window(facts: Facts) -> WatchReason:
    young = facts.is_young
    return _reason(
        what="interface", service=Service.CAPTURE.value,
        text="No window of counts has come yet.",
        remedy="one comes a second after capture's start" if young
        else "look at capture's log and its interfaces (./monitorpi doctor)",
    )  # fmt: skip


def _silent(facts: Facts, name: str) -> WatchReason:
    wire = facts.wires[name]
    seconds = facts.now_s - wire.arrived_s
    why = facts.away.get(name)
    text = f"No window of {name} for {seconds:.0f} s."
    remedy = "is its cable plugged in, and does capture run?"
    if why:  # capture's word goes before what its last window tells of the link
        text = f"No window of {name} for {seconds:.0f} s: {why}."
        remedy = _AWAY_REMEDY.format(name)
    elif not wire.has_link and facts.now_s - wire.received_s <= WINDOW_S:
        text = f"{name} has had no link for {seconds:.0f} s."
        remedy = "is its cable plugged in at both ends, and the switch's port on?"
    return _reason(
        what="interface", service=Service.CAPTURE.value, interface=name, text=text, remedy=remedy
    )


def _doubts(name: str, wire: WireFacts) -> Iterator[WatchReason]:
    """Yield what is not well with an interface whose windows come."""
    capture = Service.CAPTURE.value
    if abs(wire.late_s) > LATE_S:
        when = f"{wire.late_s:.0f} s old" if wire.late_s > 0 else f"{-wire.late_s:.0f} s ahead"
        yield _reason(
            what="clock", service=capture, interface=name,
            text=f"Windows of {name} are {when} when they arrive.",
            remedy="set the clocks of capture's machine and this one, or look at the broker's load",
        )  # fmt: skip
    if wire.lost_ratio > LOSES_RATIO:
        yield _reason(
            what="losses", service=capture, interface=name,
            text=f"The sensor loses {wire.lost_ratio:.1%} of the frames of {name}.",
            remedy="mirror fewer ports, or use a faster machine or the engine ebpf",
        )  # fmt: skip
    if wire.sees_replies is False:
        yield _reason(
            what="direction", service=capture, interface=name,
            text=f"{name} sees one direction of conversations only.",
            remedy="let the switch mirror both directions, if it can",
        )  # fmt: skip
    if wire.copies_ratio is not None and wire.copies_ratio > COPIES_RATIO:
        yield _reason(
            what="copies", service=capture, interface=name,
            text=f"The mirror shows {wire.copies_ratio:.0%} of the frames of {name} twice.",
            remedy="mirror one direction of each port, or the router's port alone",
        )  # fmt: skip
