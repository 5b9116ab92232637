"""What rules about windows find, by hand: storms, loops, surges; and what a view says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.finders import NOW, found, ours, values, view
from tests.detector.windows import ATTACKER, ID, PI, ROUTER, VICTIM, echoes, plain, syns
from tests.detector.windows import device as seen_device

from monitorpi_common.messages import Copies, Omitted, Peer, Repeats
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import LimitsOf
from monitorpi_detector.rules import RULES, WINDOW_RULES, arp_storm, igmp_storm
from monitorpi_detector.rules.outage import UPLINK

if TYPE_CHECKING:
    from collections.abc import Callable

# --- storms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "row", "sender"),
    [
        ("broadcast-storm", plain(ATTACKER, packets=500, broadcast=500), 500),
        ("broadcast-storm", plain(ATTACKER, packets=500, broadcast=500, arp=100, dhcp=50,
                                  icmp_echo=25), 325),
        ("broadcast-storm", plain(ATTACKER, packets=500, broadcast=500, arp=600), 0),
        ("igmp-storm", plain(ATTACKER, packets=500, igmp=500), 500),
        ("arp-storm", plain(ATTACKER, packets=500, arp=500, broadcast=500), 500),
        ("arp-storm", plain(ATTACKER, packets=500, arp=500, rx={"arp": 200}), 300),
        ("arp-storm", plain(ATTACKER, packets=500, arp=500, rx={"arp": 900}), 0),
    ],
)  # fmt: skip
def test_a_sender_of_a_storm(rule: str, row: Any, sender: float) -> None:
    """What has a rule of its own is not counted twice; who answers is no storm."""
    one = found(rule, view(row))[0]

    assert (one.subject, one.value, one.threshold) == (ID, sender, RULES[rule].defaults.floor)
    assert one.sources == (Peer(mac=ATTACKER, packets=int(sender)),)
    assert one.text.endswith(f" from {ATTACKER}")


@pytest.mark.parametrize(
    ("usual", "threshold"), [(10.0, 200.0), (50.0, 200.0), (51.0, 204.0), (100.0, 400.0)]
)
def test_a_storm_is_held_against_what_is_usual(usual: float, threshold: float) -> None:
    """Four times that, where it is more than the floor."""
    known = {ATTACKER: {"broadcast": (usual, 9999.0)}}

    one = found("broadcast-storm", view(plain(ATTACKER, packets=500, broadcast=500), usual=known))[
        0
    ]

    assert (one.threshold, one.baseline) == (threshold, usual)


@pytest.mark.parametrize(
    ("rows", "more", "wire"),
    [
        # nobody is listed: the floor as it stands, from the close level on
        ([], {"counts": {"broadcast": 100}}, (100.0, 200.0)),
        ([], {"counts": {"broadcast": 99}}, None),
        ([], {"counts": {"broadcast": 400}, "length_s": 2.0}, (200.0, 200.0)),
        # where sources can be seen it takes more, and on more ports
        ([plain(ATTACKER, packets=9)], {"counts": {"broadcast": 400}}, (400.0, 1000.0)),
        ([plain(ATTACKER, packets=9)], {"counts": {"broadcast": 400}, "ports": 3}, (400.0, 3000.0)),
        # what a sender explains is not told of the wire
        ([plain(ATTACKER, packets=200, broadcast=200)], {"counts": {"broadcast": 400}}, None),
        ([plain(ATTACKER, packets=199, broadcast=199)], {"counts": {"broadcast": 400}},
         (400.0, 1000.0)),
        # but what is not listed may be: a lot of each, or of many
        ([plain(ATTACKER, packets=200, broadcast=200)],
         {"counts": {"broadcast": 400}, "omitted": Omitted(devices=50, classes={"broadcast": 200})},
         (200.0, 200.0)),
        ([plain(ATTACKER, packets=200, broadcast=200)],
         {"counts": {"broadcast": 400}, "omitted": Omitted(devices=51, classes={"broadcast": 200})},
         (200.0, 1000.0)),
        ([plain(ATTACKER, packets=9)],
         {"counts": {"broadcast": 400}, "omitted": Omitted(devices=50, classes={"broadcast": 200})},
         (400.0, 200.0)),
    ],
)  # fmt: skip
def test_a_storm_that_no_sender_explains(
    rows: list[Any], more: dict[str, Any], wire: tuple[float, float] | None
) -> None:
    """Is told of the wire."""
    told = [one for one in values("broadcast-storm", view(*rows, **more)) if one[0] == "wire-eth0"]

    assert told == ([] if wire is None else [("wire-eth0", *wire)])


def test_our_own_sweep_is_no_storm() -> None:
    """Up to a fifth more than was announced."""
    row = plain(PI, packets=500, arp=500, broadcast=500)
    one = values("arp-storm", view(row, known=ours(arp=100.0)))

    assert one[0] == ("040000000003", 380.0, 100.0)


@pytest.mark.parametrize(
    ("sees_replies", "rx", "must_last"),
    [(True, {}, True), (None, {}, True), (False, {}, False), (True, {"arp": 1}, False)],
)
def test_announcements_of_addresses_may_be_brief(
    sees_replies: bool | None, rx: dict[str, int], must_last: bool
) -> None:
    """Nobody answers them, where answers can be seen."""
    row = plain(ATTACKER, packets=500, arp=500, broadcast=500, rx=rx)

    assert found("arp-storm", view(row, sees_replies=sees_replies))[0].must_last is must_last


@pytest.mark.parametrize(
    ("each", "new", "value"), [(20, 0, None), (20, 10, 200.0), (20, 5, 100.0), (19, 10, 190.0)]
)
def test_answers_to_a_query_of_groups_are_no_storm(
    each: int, new: int, value: float | None
) -> None:
    """Twenty of each MAC address that was here before."""
    rows = [plain(f"02:00:00:00:00:{n:02x}", packets=each, igmp=each) for n in range(10)]

    told = values("igmp-storm", view(*rows, source_macs=10, new_macs=new))
    of_wire = [one[1] for one in told if one[0] == "wire-eth0"]

    assert of_wire == ([] if value is None else [value])


# --- loops, MACs without end, surges --------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "senders", "value"),
    [(0.5, 3, 250.0), (0.49, 3, None), (0.5, 2, None), (0.9, 9, 450.0)],
)
def test_a_loop_repeats_what_several_send(ratio: float, senders: int, value: float | None) -> None:
    """As many frames as come again, by the window as the port showed it."""
    repeats = Repeats(ratio=ratio, senders=senders)
    one = view(counts={"broadcast": 300, "multicast": 200}, packets=500, repeats=repeats)

    assert values("loop", one) == ([] if value is None else [("wire-eth0", value, 200.0)])
    assert values("loop", view(counts={"broadcast": 300})) == []


@pytest.mark.parametrize(
    ("new", "length_s", "age_s", "value", "threshold"),
    [
        (100, 1.0, 10.0, 100.0, 200.0), (99, 1.0, 10.0, None, None),
        (400, 2.0, 10.0, 200.0, 200.0), (400, 0.5, 10.0, 400.0, 200.0),
        (100, 1.0, 9.9, 100.0, 4000.0),
    ],
)  # fmt: skip
def test_macs_without_end(
    new: int, length_s: float, age_s: float, value: float | None, threshold: float | None
) -> None:
    """At first each MAC address is new: it takes twenty times as many then."""
    one = view(new_macs=new, source_macs=new, length_s=length_s, first_seen_s=NOW - age_s)

    assert values("mac-flood", one) == (
        [] if value is None else [("wire-eth0", value, threshold)])  # fmt: skip


def test_who_answers_our_own_probes_is_not_invented() -> None:
    """A sweep wakes those that were there."""
    row = plain(PI, packets=9)
    one = view(row, new_macs=300, source_macs=300, known=ours(echo=50.0, arp=100.0))

    assert [round(value) for _, value, _ in values("mac-flood", one)] == [120]
    other = view(plain(VICTIM, packets=9), new_macs=300, known=ours(echo=50.0, arp=100.0))
    assert [value for _, value, _ in values("mac-flood", other)] == [300.0]


@pytest.mark.parametrize(
    ("name", "mac", "value"),
    [("arp", PI, 880.0), ("icmp", PI, 760.0), ("dns", PI, 1000.0), ("arp", VICTIM, 1000.0)],
)
def test_a_surge_beyond_what_we_announced(name: str, mac: str, value: float) -> None:
    """Of ARP and pings; all else is the machine's own."""
    one = view(plain(mac, packets=1000, **{name: 1000}), known=ours(echo=200.0, arp=100.0),
               usual={mac: {name: (300.0, 9999.0)}})  # fmt: skip

    (finding,) = found(f"surge-{name}", one)

    assert finding.value == value
    assert (finding.threshold, finding.baseline) == (3000.0, 300.0)
    assert (finding.severity, finding.text) == ("warning", f"{name} surge from {mac}")
    assert finding.sources[0].packets == 1000


# --- what a view says -----------------------------------------------------------------------------


def test_a_view_of_a_window() -> None:
    """Rates by its span, who sends, who receives."""
    rows = (
        plain(ATTACKER, packets=30, arp=20, broadcast=15, rx={"arp": 4}),
        plain(VICTIM, packets=9, arp=8, rx={"arp": 5}),
    )
    one = view(*rows, length_s=2.0, counts={"arp": 40, "broadcast": 15, "dns": 3},
               omitted=Omitted(devices=0, classes={"arp": 6}))  # fmt: skip

    assert one.rate(10) == 5.0
    senders = [(row.mac, rate) for row, rate in one.senders("arp", 4.0)]
    assert senders == [(ATTACKER, 10.0), (VICTIM, 4.0)]
    assert [row.mac for row, _ in one.senders("arp", 4.1)] == [ATTACKER]
    assert one.senders("dns", 0.0) == []
    assert (one.received("arp"), one.received("arp"), one.received("dns")) == (9, 9, 0)
    assert (one.directed("arp"), one.directed("arp")) == (13, 13)
    assert one.sent_by_others(rows[0]) == {"arp": 20, "broadcast": 0, "dns": 3}
    first, second = (one.best_sender("arp", mac) for mac in (VICTIM, ATTACKER))
    assert (first, second) == (rows[0], rows[1])
    assert one.best_sender("dns", ATTACKER) is None
    assert (one.omitted("arp"), one.omitted("dns"), one.wire_subject) == (3.0, 0.0, "wire-eth0")
    assert (one.omitted_times("arp"), one.omitted_times("icmp_echo")) == (3.0, 3.0)
    assert view(length_s=0.2).rate(10) == 10.0


@pytest.mark.parametrize(
    ("count", "devices", "name", "times"),
    [(8, 2, "syn", 1.0), (7, 2, "syn", 3.0), (4, 2, "icmp_echo", 1.0), (3, 2, "icmp_echo", 3.0),
     (8, 2, "arp", 1.0), (7, 2, "arp", 3.0), (4, 0, "syn", 1.0)],
)  # fmt: skip
def test_many_frames_of_each_that_is_omitted(
    count: int, devices: int, name: str, times: float
) -> None:
    """Are no clients of one LAN."""
    one = view(omitted=Omitted(devices=devices, classes={name: count}))

    assert one.omitted_times(name) == times


@pytest.mark.parametrize(
    ("rows", "new", "age_s", "times"),
    [((), 0, 100.0, 1.0), ((plain(VICTIM, packets=1),), 49, 100.0, 3.0),
     ((plain(VICTIM, packets=1),), 50, 100.0, 1.0), ((plain(VICTIM, packets=1),), 50, 5.0, 3.0)],
)  # fmt: skip
def test_frames_that_bring_a_mac_of_their_own(
    rows: tuple[Any, ...], new: int, age_s: float, times: float
) -> None:
    """Need but the floor: they are made up; so does what is not there."""
    assert view(plain(VICTIM, packets=1), first_seen_s=NOW - 100).floor_times("syn") == 1.0
    one = view(*rows, counts={"syn": 100}, new_macs=new, first_seen_s=NOW - age_s)

    assert one.floor_times("syn") == times


@pytest.mark.parametrize(
    ("new", "macs", "age_s", "share"),
    [(0, 10, 100.0, 1.0), (5, 10, 100.0, 0.5), (5, 10, 9.0, 1.0), (5, 0, 100.0, 1.0),
     (20, 10, 100.0, 0.0)],
)  # fmt: skip
def test_the_share_of_macs_that_were_here_before(
    new: int, macs: int, age_s: float, share: float
) -> None:
    """All of them at first, and where nobody counts them."""
    one = view(new_macs=new, source_macs=macs, first_seen_s=NOW - age_s)

    assert one.known_share == share


@pytest.mark.parametrize(
    ("new", "rate", "is_so"), [(50, 0.0, True), (49, 0.0, False), (0, 2000.0, True),
                               (0, 1999.0, False)],
)  # fmt: skip
def test_what_is_invented(new: int, rate: float, is_so: bool) -> None:
    """Half as many new MAC addresses as the floor, or twenty times it."""
    assert view(new_macs=new).invented(rate, 100.0) is is_so


def test_copies_are_counted_once() -> None:
    """The window as the port showed it stays known."""
    row = plain(ATTACKER, packets=100, dns=100)
    one = view(row, counts={"dns": 100}, packets=100, copies=Copies(unicast=0.5))

    assert (one.traffic.counts["dns"], one.shown.counts["dns"]) == (50, 100)
    assert one.rows[ATTACKER].tx["dns"] == 50
    assert replace(one).traffic.counts["dns"] == 25


def test_whose_addresses_are_forged() -> None:
    """Eight of one that does not forward; of a router nobody knows."""
    known = HostInventory()
    known.see_device(seen_device(ROUTER, 0, role="router"))
    rows = [row.model_copy(update={"spread": row.spread.model_copy(update={"src_ips": count})})
            for row, count in ((plain(ATTACKER, packets=1), 8), (plain(VICTIM, packets=1), 7),
                               (plain(ROUTER, packets=1), 99))]  # fmt: skip
    one = view(*rows, known=known)

    assert [one.forged(row) for row in rows] == [True, False, None]
    assert [one.forwards(row.mac) for row in rows] == [False, False, True]


@pytest.mark.parametrize(
    ("macs", "devices", "count", "new", "left"),
    [
        (10, 10, 400, 0, 200.0), (9, 10, 400, 0, 400.0), (10, 10, 150, 0, 250.0),
        (10, 5, 400, 0, 300.0), (10, 10, 400, 5, 300.0),
    ],
)  # fmt: skip
def test_answers_of_whom_a_window_does_not_list_are_no_storm_either(
    macs: int, devices: int, count: int, new: int, left: float
) -> None:
    """Unless it tells of fewer MAC addresses than it leaves out."""
    omitted = Omitted(devices=devices, classes={"igmp": count})

    one = view(counts={"igmp": 400}, omitted=omitted, source_macs=macs, new_macs=new)

    assert igmp_storm._on_wire(one) == left


@pytest.mark.parametrize(
    ("wire", "asked", "left"),
    [(150, 0, 50.0), (160, 0, 40.0), (200, 0, 40.0), (100, 0, 100.0), (150, 55, 45.0),
     (150, 60, 40.0), (150, 70, 30.0)],
)  # fmt: skip
def test_answers_to_what_others_asked_everybody_are_no_storm(
    wire: int, asked: int, left: float
) -> None:
    """As far as others did; its own requests are none of theirs."""
    row = plain(ATTACKER, packets=100, arp=100, broadcast=40, rx={"arp": asked} if asked else None)

    assert arp_storm._sent(view(row, counts={"arp": wire}), row) == left


EXPLAINED: dict[str, tuple[str, Callable[..., Any]]] = {
    "syn-flood": ("syn", syns),
    "icmp-flood": ("icmp_echo", echoes),
    "dhcp-starvation": ("dhcp", lambda n, mac: plain(mac, packets=n, dhcp=n, broadcast=n)),
    "arp-storm": ("arp", lambda n, mac: plain(mac, packets=n, arp=n, broadcast=n)),
    "broadcast-storm": ("broadcast", lambda n, mac: plain(mac, packets=n, broadcast=n)),
    "igmp-storm": ("igmp", lambda n, mac: plain(mac, packets=n, igmp=n, multicast=n)),
}
"""What each rule that judges senders counts, and a row of it."""


@pytest.mark.parametrize("rule", EXPLAINED)
@pytest.mark.parametrize(("total", "is_told"), [(800, False), (801, True)])
def test_what_senders_explain_half_of_is_no_finding_of_the_wire(
    rule: str, total: int, is_told: bool
) -> None:
    """All senders together, to the frame; the rest comes from MACs made up for it."""
    name, build = EXPLAINED[rule]
    rows = [build(200, ATTACKER), build(200, PI), plain(VICTIM, packets=1, rx={name: total})]

    told = values(rule, view(*rows, counts={name: total}, packets=total, new_macs=total,
                             source_macs=total))  # fmt: skip

    assert [one[:2] for one in told[:2]] == [("04000000000a", 200.0), ("040000000003", 200.0)]
    assert [value for _, value, _ in told[2:]] == [float(total)] * is_told


@pytest.mark.parametrize("rule", [one.name for one in WINDOW_RULES if one is not UPLINK])
@pytest.mark.parametrize("rows", [(), (plain(ATTACKER),), (plain(ATTACKER, packets=1),)])
def test_of_nothing_comes_no_finding(rule: str, rows: tuple[Any, ...]) -> None:
    """However low a floor is: what was not counted is none."""
    low = replace(RULES[rule].defaults, floor=0.001)

    found = RULES[rule].judge(view(*rows), LimitsOf(lambda _: low, 0.0))

    assert list(found) == []
