"""The simulated week: what its wire loses (nothing), and what its owner calls noise."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_capture.items import PACKETS, WindowCounts
from monitorpi_common.messages import Alert, Evidence, Severity
from monitorpi_dev.week.report import week
from monitorpi_dev.week.stack import PublishedAlert, loud_levels
from monitorpi_dev.week.truth import ANY, Fact, Kind, Truth
from monitorpi_dev.week.verdict import NOTICES_A_DAY, judge
from monitorpi_dev.week.wire import LONGEST_S, SENDERS, FrameStream, SimulatedWire
from monitorpi_lab import discovery, frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_dev.week.wire import Process

START = 1_772_409_600
PHONE = "02:00:00:00:00:01"
LOUD = int(loud_levels()["arp"])
FRAME = frames.arp_request(PHONE, "192.168.1.30", "192.168.1.1")


def windows(seconds: Sequence[int], *, until: int, per_s: float = 0.0) -> list[WindowCounts]:
    """Return the windows of a wire on which so many frames are sent in each second."""
    seen: list[object] = []
    wire = SimulatedWire(float(START), seen.append, loud_levels())
    if per_s:
        wire.streams["film"] = FrameStream((FRAME,), per_s)

    def sends() -> Process:
        for count in seconds:
            wire.send(FRAME, times=count)
            yield 1.0

    wire.start(sends())
    wire.run(START + until)
    return [one for one in seen if isinstance(one, WindowCounts)]


@given(st.lists(st.integers(0, 40), max_size=120))
def test_no_frame_is_left_out_and_no_second_counted_twice(seconds: list[int]) -> None:
    """Windows cover the time without gap or overlap, and hold every frame."""
    until = len(seconds) + 2 * LONGEST_S

    found = windows(seconds, until=until)

    ends = [START, *(one.end.wall_s for one in found)]
    assert [one.start.wall_s for one in found] == ends[:-1]
    assert sum(seconds) == sum(one.wire[PACKETS] for one in found)
    assert all(one.length_s == one.end.wall_s - one.start.wall_s <= LONGEST_S for one in found)


@given(st.lists(st.integers(0, 40), max_size=120))
def test_a_loud_second_is_a_window_of_its_own(seconds: list[int]) -> None:
    """So that no burst is hidden in a mean."""
    found = windows(seconds, until=len(seconds) + 2 * LONGEST_S)

    alone = {one.start.wall_s: one.wire[PACKETS] for one in found if one.length_s == 1}
    for second, count in enumerate(seconds):
        if count >= LOUD:
            assert count == alone[START + second]


def test_a_second_of_many_senders_is_loud_whatever_they_send() -> None:
    """Invented MAC addresses are a flood in no class of frames."""
    seen: list[object] = []
    wire = SimulatedWire(float(START), seen.append, loud_levels())

    def invents() -> Process:
        for number in range(SENDERS):
            macs = (f"02:00:00:00:01:{number:02x}", PHONE)
            wire.send(frames.udp(macs, ("198.18.0.1", "198.18.0.2"), (9, 9), b""))
        yield 1.0

    wire.start(invents(), 1.0)
    wire.run(START + LONGEST_S)

    lengths = {one.start.wall_s: one.length_s for one in seen if isinstance(one, WindowCounts)}
    assert lengths[START + 1] == 1.0


def test_a_stream_has_its_rate_in_every_window() -> None:
    """Whatever the windows' lengths."""
    found = windows([0, 50, 0, 0], until=4 * LONGEST_S, per_s=10.0)

    assert len(found) > 3
    assert {10.0} == {
        (one.wire[PACKETS] - 50 * (one.start.wall_s == START + 1)) / one.length_s for one in found
    }


def alert(
    rule: str = "device-down",
    subject: str = "02000000001a",
    at: float = START + 100,
    severity: Severity = "warning",
    closed_after: float | None = 60,
    caused_by: str | None = None,
    openings: int = 1,
) -> PublishedAlert:
    """Return an alert as it was published."""
    when = datetime.fromtimestamp(at, UTC)
    closed = None if closed_after is None else datetime.fromtimestamp(at + closed_after, UTC)
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{rule} {at}"))
    one = Alert(
        id=name, key=f"{rule}-{subject}", rule=rule, severity=severity,
        state="open" if closed is None else "closed", subject=subject, opened_at=when, at=when,
        closed_at=closed, caused_by=caused_by, summary="It is so.",
        evidence=Evidence(value=1, threshold=1, window_s=1, peak=1),
    )  # fmt: skip
    return PublishedAlert(one, one, openings)


def fact(kind: Kind, *subjects: str, rules: tuple[str, ...] = (), within_s: float = 60) -> Fact:
    """Return something that happened from START + 90 to START + 200."""
    return Fact(
        kind, kind, START + 90, START + 200, frozenset(subjects), frozenset(rules), within_s
    )


@pytest.mark.parametrize(
    ("facts", "alerts", "noise"),
    [
        pytest.param([], [alert()], 1, id="nothing happened"),
        pytest.param([fact("nothing", ANY)], [alert()], 1, id="a phone sleeps"),
        pytest.param([], [alert(severity="info")], 0, id="a notice calls nobody"),
        pytest.param(
            [], [alert(severity="info", at=START + n) for n in range(NOTICES_A_DAY + 3)], 3,
            id="too many notices bury the page",
        ),
        pytest.param([fact("once", ANY)], [alert()], 0, id="the router reboots: told once"),
        pytest.param(
            [fact("once", ANY)], [alert(), alert("high-loss"), alert("high-delay")], 2,
            id="the router reboots: told three times",
        ),
        pytest.param(
            [fact("once", ANY)], [alert(), alert("high-loss", caused_by="device-down-1")], 0,
            id="carried by its cause",
        ),
        pytest.param([fact("once", ANY)], [alert(openings=3)], 2, id="opened three times"),
        pytest.param([], [alert(closed_after=None)], 7, id="open for a week"),
        pytest.param(
            [fact("incident", "02000000001a", rules=("device-down",))],
            [alert(), alert("a"), alert("b"), alert("c")], 1,
            id="an incident in four words",
        ),
        pytest.param([fact("once", "020000000099")], [alert()], 1, id="somebody else"),
    ],
)  # fmt: skip
def test_what_an_owner_calls_noise(
    facts: list[Fact], alerts: list[PublishedAlert], noise: int
) -> None:
    """Line by line."""
    verdict = judge(alerts, Truth(facts), START, START + 7 * 86400)

    assert noise == verdict.noise


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (alert("syn-flood", at=START + 92), 2.0),
        (alert("syn-flood", at=START + 170), None),
        (alert("port-scan", at=START + 92), None),
        (alert("syn-flood", "020000000099", at=START + 92), None),
        (alert("syn-flood", at=START + 80), None),
    ],
)
def test_an_incident_is_told_by_the_right_rule_on_the_right_subject_in_time(
    told: PublishedAlert, seconds: float | None
) -> None:
    """Else it is missed."""
    happened = fact("incident", "02000000001a", rules=("syn-flood",))

    verdict = judge([told], Truth([happened]), START, START + 7 * 86400)

    assert [seconds] == [one.seconds for one in verdict.incidents]
    assert (seconds is not None) == verdict.is_good or verdict.noise


def test_the_frames_that_tell_of_devices_are_what_their_names_say() -> None:
    """Checksums right, every length as its protocol has it."""
    macs, ips = ("04:00:00:00:00:01", PHONE), ("fe80::1", "fe80::2")
    dice = random.Random(1)  # noqa: S311 - no secret
    made = [
        discovery.router_advertisement(macs[0], ips[0], "2001:db8:1::/64"),
        discovery.neighbour_advertisement(macs, "2001:db8:1::5", ips[1]),
        discovery.dhcp6_reply(macs, ips, "2001:db8:1::7"),
        discovery.tcp(macs, ips, (dice.randrange(65536), 443), discovery.SYN),
        discovery.echo6(macs, ips),
    ]

    for frame in made:
        payload = frame[54 : 54 + int.from_bytes(frame[18:20], "big")]
        pseudo = frame[22:54] + len(payload).to_bytes(4, "big") + bytes(3) + frame[20:21]
        assert frames.checksum(pseudo + payload) == 0


@pytest.mark.timeout(300)
def test_six_hours_of_a_home() -> None:
    """Every incident is reported, and hardly anything else calls its owner."""
    verdict = week(4, 0.25).run()

    assert verdict.missed == []
    assert len(verdict.incidents) == 3
    assert verdict.noise <= 1, verdict.noise_by_rule
