"""The prober's core: targets, plans, states and what it publishes."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drive import drive, messages, received

from monitorpi_common.messages import (
    Announce,
    Device,
    HeldAddress,
    Probe,
    ProbeNow,
    ProbeSource,
    Publication,
    Target,
    Tombstone,
)
from monitorpi_common.service import (
    CommandReceived,
    CommandRefusedError,
    Presence,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import Topic, mac_from_id, mac_id
from monitorpi_prober.core import ProberCore
from monitorpi_prober.items import (
    Echoes,
    Exit,
    Found,
    KnownAddress,
    PlanTaken,
    ProbeAttempt,
    Resolution,
    RoundDone,
    Sweeping,
)
from monitorpi_prober.reachability import Reachability, StateLimits
from monitorpi_prober.schedule import Pace, ProbeGroup, ProbePlan, ProbeTarget, make_plan
from monitorpi_prober.settings import ProberSettings
from monitorpi_prober.targets import owner, target_id

T0 = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
ADDRESS = "192.0.2.1"
OTHER = "192.0.2.2"
MAC = "b8:27:eb:00:00:07"
OWN = Exit("192.0.2.99", "b8:27:eb:00:00:63")


class Prober:
    """A core with what it ordered, and a clock of its own."""

    def __init__(self, *addresses: str, instance: str = "main", **settings: Any) -> None:
        targets = [{"address": address} for address in addresses]
        self.plans: list[ProbePlan] = []
        self.extra: list[ProbeGroup | None] = []
        self.woken: list[str] = []
        self.at = T0
        self.core = ProberCore(
            ProberSettings(targets=settings.pop("targets", targets), **settings),
            "epoch",
            instance,
            self.plans.append,
            self.extra.append,
            vendor_of={MAC: "Raspberry Pi"}.get,
            own_macs=frozenset({OWN.mac}),
            live=False,
            wake=self.woken.extend,
        )

    @property
    def plan(self) -> ProbePlan:
        """The plan the pinger goes by now."""
        return self.plans[-1]

    def round(self, *times: float | None, seconds: int = 10) -> list[Any]:
        """Let every target answer alike for one round; returns what was published."""
        self.at += timedelta(seconds=seconds)
        plan, published = self.plan, []
        for one in plan.quiet:
            if one.ip is not None:
                published += drive(self.core, [self.attempt(one.key, *times)])
        for group in plan.groups:
            echoes = tuple(Echoes(one.key, times if one.ip else ()) for one in group.targets)
            done = RoundDone(self.at, self.at, plan, group, echoes, (0.01, 0.02))
            published += drive(self.core, [done])
        return published

    def attempt(self, key: str, *times: float | None, **more: Any) -> ProbeAttempt:
        """Build the outcome of requests outside of a round."""
        return ProbeAttempt(self.at, Echoes(key, times, **more), has_neighbour=True)

    def state(self, *times: float | None) -> str:
        """Let a round pass and return the first target's state in it."""
        return (
            next(m for m in messages(self.round(*times)) if isinstance(m, Probe)).targets[0].state
        )


def device(*ips: str, mac: str = MAC, **more: Any) -> Device:
    """Build an announced device."""
    return Device(mac=mac, ips=list(ips), first_seen=T0, last_seen=T0, present=True, **more)


def latched(state: str, since: datetime = T0) -> Target:
    """Build a target as it stands in the retained messages."""
    probe = Prober(ADDRESS).round(1.0)
    target = next(m for m in messages(probe) if isinstance(m, Target))
    return target.model_copy(update={"state": state, "since": since})


# --- states ---------------------------------------------------------------------------------


def test_a_target_is_up_after_one_reply_and_down_after_three_lost_rounds() -> None:
    """One reply makes it up; only the third lost round in a row makes it down."""
    prober = Prober(ADDRESS)

    states = [prober.state(1.0), *(prober.state(None) for _ in range(3)), prober.state(None, 2.0)]

    assert states == ["up", "up", "up", "down", "up"]


def test_a_target_that_comes_and_goes_flaps() -> None:
    """Four changes within the window are one state, and it ends when the target keeps still."""
    limits = StateLimits(down_after=1, flap_rounds=20)
    one = Reachability()

    for answered in (True, False, True, False, True):
        one.follow(answered=answered, at=T0, limits=limits)
    assert one.state == "flapping"

    for _ in range(20):
        one.follow(answered=True, at=T0, limits=limits)
    assert one.state == "up"


def test_a_restart_keeps_the_state_and_since_when() -> None:
    """A target that was down before the restart stays down, since the same moment."""
    before = T0 - timedelta(hours=5)
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("down", before), "192-0-2-1", retained=True)])

    said = messages(prober.round(None))

    target = next(m for m in said if isinstance(m, Target))
    assert (target.state, target.since) == ("down", before)


def test_a_flapping_target_flaps_on_after_a_restart() -> None:
    """One good round after a restart does not clear what took an hour to see."""
    prober = Prober(ADDRESS)
    drive(prober.core, [received(latched("flapping"), "192-0-2-1", retained=True)])

    assert prober.state(1.0) == "flapping"


@given(st.lists(st.booleans(), max_size=200))
def test_the_state_changes_only_as_the_rules_say(answers: list[bool]) -> None:
    """A target is never called down within fewer than three lost rounds."""
    one, limits, silent = Reachability(), StateLimits(), 0
    for answered in answers:
        silent = 0 if answered else silent + 1
        one.follow(answered=answered, at=T0, limits=limits)

        assert one.state != "down" or silent >= 3
        assert one.state != "up" or silent < 3


# --- targets --------------------------------------------------------------------------------


def test_sources_are_merged_by_address() -> None:
    """A configured target takes MAC and vendor from what was seen; its name stays."""
    prober = Prober(targets=[{"address": ADDRESS, "name": "printer"}])
    drive(prober.core, [received(device(ADDRESS, OTHER), "b827eb000007")])

    first, second = prober.plan.targets

    assert (first.name, first.mac, first.vendor) == ("printer", MAC, "Raspberry Pi")
    assert (second.name, second.address) == ("Raspberry Pi 00:00:07", OTHER)


def test_a_duplicate_is_told_and_not_probed_twice() -> None:
    """The same address twice, or a host name of it, is one target and a clear line."""
    prober = Prober(ADDRESS, ADDRESS, "printer.test")
    drive(prober.core, [Resolution("printer.test", ADDRESS)])

    assert [one.ip for one in prober.plan.targets] == [ADDRESS, None, None]
    assert "same target as 192.0.2.1" in str(prober.plan.targets[2].error)


def test_a_host_name_that_does_not_resolve_is_a_state() -> None:
    """It stands in the message with its reason, and costs the others nothing."""
    prober = Prober("nowhere.test", ADDRESS)
    drive(prober.core, [Resolution("nowhere.test", None, "does not resolve")])

    rows = next(m for m in messages(prober.round(1.0)) if isinstance(m, Probe)).targets

    assert (rows[0].sent, rows[0].state, rows[1].state) == (0, "unknown", "up")
    assert prober.plan.rate == 1.0


@pytest.mark.parametrize(("settings", "more"), [({}, set()), ({"pin": [OWN.mac]}, {OWN.ip})])
def test_this_machine_is_no_target_of_its_own(settings: dict[str, Any], more: set[str]) -> None:
    """A round trip that never leaves the machine says nothing of the LAN, unless it is wanted."""
    prober = Prober(ADDRESS, **settings)

    drive(prober.core, [received(device(OWN.ip, mac=OWN.mac), "b827eb000063")])

    assert {one.ip for one in prober.plan.targets} == {ADDRESS} | more


def test_ignored_devices_are_left_alone() -> None:
    """Neither an ignored address nor an ignored MAC is probed; its retained state is taken back."""
    prober = Prober(ADDRESS, ignore=[MAC, OTHER])

    said = drive(
        prober.core,
        [
            received(device("192.0.2.9"), "b827eb000007"),
            received(
                latched("up").model_copy(update={"address": OTHER}), "192-0-2-2", retained=True
            ),
        ],
    )

    assert [one.address for one in prober.plan.targets] == [ADDRESS]
    assert said == [Tombstone("192-0-2-2", Target)]


def test_pinned_devices_stay() -> None:
    """A pinned device remains a target when capture forgets it; another one goes."""
    prober = Prober(pin=[MAC])
    drive(prober.core, [received(device(ADDRESS), "b827eb000007")])
    drive(prober.core, [received(device(OTHER, mac="b8:27:eb:00:00:08"), "b827eb000008")])

    gone = drive(
        prober.core,
        [
            TombstoneReceived(Topic("lab", "capture", "device", id_))
            for id_ in ("b827eb000007", "b827eb000008")
        ],
    )

    assert [one.address for one in prober.plan.targets] == [ADDRESS]
    assert gone == [Tombstone("192-0-2-2", Target)]


def test_an_address_that_ended_is_no_target() -> None:
    """A new lease: the old address goes at once, a sweep that found it or not."""
    prober = Prober()
    drive(
        prober.core,
        [
            received(device(ADDRESS), "b827eb000007"),
            Found("eth0", (KnownAddress(ADDRESS, MAC, interface="eth0"),)),
        ],
    )

    said = drive(prober.core, [received(device(OTHER), "b827eb000007")])

    assert [one.address for one in prober.plan.targets] == [OTHER]
    assert said == [Tombstone("192-0-2-1", Target)]


@pytest.mark.parametrize("newcomer_first", [True, False])
def test_an_address_that_moved_stays_a_target(newcomer_first: bool) -> None:
    """Whichever device's message comes first, the next holder is probed there."""
    prober = Prober()
    other = "b8:27:eb:00:00:08"
    told = [
        received(device(ADDRESS, mac=other), "b827eb000008"), received(device(), "b827eb000007"),
    ]  # fmt: skip
    drive(prober.core, [received(device(ADDRESS), "b827eb000007")])

    drive(prober.core, told if newcomer_first else told[::-1])

    assert [(one.address, one.mac) for one in prober.plan.targets] == [(ADDRESS, other)]


def test_temporary_addresses_are_probed_where_there_are_no_others() -> None:
    """They end any day, and the device answers elsewhere all the time."""
    ips = ["192.0.2.1", "2001:db8::1:2:3:4", "2001:db8::5:6:7:8"]
    held = [
        HeldAddress(ip=ip, since=T0, claimed_at=T0 + timedelta(seconds=n), temporary=":" in ip)
        for n, ip in enumerate(ips)
    ]
    all_of_them, temporary = Prober(), Prober()
    attached = [ipaddress.ip_network("2001:db8::/32")]
    for one in (all_of_them, temporary):
        one.core.targets.attached = lambda: attached

    drive(all_of_them.core, [received(device(*ips, addresses=held), "b827eb000007")])
    drive(temporary.core, [received(device(*ips[1:], addresses=held[1:]), "b827eb000007")])

    assert [one.address for one in all_of_them.plan.targets] == ips[:1]
    assert [one.address for one in temporary.plan.targets] == ips[2:]


def test_made_up_addresses_are_marked() -> None:
    """A randomised MAC has no vendor, and the target says so."""
    prober = Prober()
    drive(prober.core, [Found("eth0", (KnownAddress(ADDRESS, "02:11:22:33:44:55"),))])

    target = next(m for m in messages(prober.round(1.0)) if isinstance(m, Target))

    assert target.randomised
    assert target.name == "private address 33:44:55"


def test_the_number_of_targets_is_bounded() -> None:
    """Beyond the limit the newest devices are probed, and the rest is counted."""
    prober = Prober(max_targets=10)
    drive(
        prober.core,
        [
            received(device(f"198.18.0.{n}", mac=f"b8:27:eb:00:01:{n:02x}"), f"b827eb0001{n:02x}")
            for n in range(1, 31)
        ],
    )

    assert len(prober.plan.targets) == 10
    assert prober.plan.targets[0].address == "198.18.0.30"
    assert prober.core.detail()["omitted"] == 20


def claims(first: int, count: int) -> list[Any]:
    """Build announcements of devices nobody has seen before, each with an address of its own."""
    ids = [f"b827eb01{n:04x}" for n in range(first, first + count)]
    return [
        received(
            device(f"198.18.{int(id_[8:10], 16)}.{int(id_[10:], 16)}", mac=mac_from_id(id_)), id_
        )
        for id_ in ids
    ]


@pytest.mark.parametrize("live", [True, False])
def test_devices_by_the_hundred_displace_none_that_answers(live: bool) -> None:
    """Whoever invents devices does not make the prober forget the real ones."""
    prober = Prober(max_targets=10)
    drive(prober.core, claims(1, 8))
    prober.round(1.0)
    prober.core.live = live

    drive(prober.core, [*claims(1000, 500), Tick(T0, 100.0, clock_synced=True)])

    probed = [one.address for one in prober.plan.targets]
    assert {f"198.18.0.{n}" for n in range(1, 9)} <= set(probed)
    assert probed[8:] == ["198.18.5.219", "198.18.5.218"]


@pytest.mark.parametrize(
    ("claimed", "settings", "probed"),
    [
        ("8.8.8.8", {}, False),
        ("2606:4700::1111", {}, False),
        ("9.9.9.9", {}, True),  # its subnet is ours
        ("2620:fe::9", {}, True),
        ("8.8.8.8", {"pin": ["8.8.8.8"]}, True),
        ("8.8.8.8", {"targets": [{"address": "8.8.8.8"}]}, True),
        ("10.20.30.40", {}, True),  # another subnet of the house, behind a router
        ("fd00::1", {}, True),
    ],
)
def test_nobody_makes_us_ping_the_internet(
    claimed: str, settings: dict[str, Any], probed: bool
) -> None:
    """An ARP frame claims any address; a public one is probed where it can be somebody near."""
    prober = Prober(**settings)
    near = [ipaddress.ip_network("9.9.9.0/24"), ipaddress.ip_network("2620:fe::/64")]
    prober.core.targets.attached = lambda: near

    drive(prober.core, [received(device(claimed), "b827eb000007")])

    assert [one.address for plan in prober.plans[-1:] for one in plan.targets] == [claimed] * probed
    assert probed or prober.core.detail()["omitted_public"] == 1


# --- replicas -------------------------------------------------------------------------------


@given(st.sets(st.sampled_from("abcdefgh"), min_size=2), st.lists(st.text(), max_size=50))
def test_each_target_has_one_owner_and_only_those_of_a_lost_replica_move(
    replicas: set[str], keys: list[str]
) -> None:
    """Rendezvous hashing: when a replica goes, targets of the others stay where they are."""
    lost = min(replicas)

    for key in keys:
        before = owner(key, replicas)
        after = owner(key, replicas - {lost})
        assert before in (lost, after)


def test_replicas_share_the_targets() -> None:
    """Two live replicas probe each target exactly once; a lone one probes all."""
    addresses = [f"198.18.1.{n}" for n in range(1, 101)]
    both = [Prober(*addresses, instance=name) for name in ("one", "two")]
    for prober in both:
        for name in ("one", "two"):
            drive(prober.core, [Presence(Topic("lab", "prober", "status", name), online=True)])

    shares = [{one.address for one in prober.plan.targets} for prober in both]
    drive(both[0].core, [Presence(Topic("lab", "prober", "status", "two"), online=False)])

    assert shares[0] | shares[1] == set(addresses)
    assert not shares[0] & shares[1]
    assert 25 < len(shares[0]) < 75
    assert len(both[0].plan.targets) == 100


def test_a_take_over_keeps_the_state() -> None:
    """A target that another replica called down is down here from the first round on."""
    prober = Prober(ADDRESS, instance="one")
    rival = next(n for n in "abcdefgh" if owner("192-0-2-1", {"one", n}) == n)
    status = Topic("lab", "prober", "status", rival)
    drive(prober.core, [Presence(status, online=True), received(latched("down"), "192-0-2-1")])

    drive(prober.core, [Presence(status, online=False)])

    assert prober.state(None) == "down"


# --- pace -----------------------------------------------------------------------------------


def aims(count: int, **more: Any) -> list[ProbeTarget]:
    """Build that many targets."""
    return [
        ProbeTarget(f"198-18-0-{n}", "x", f"198.18.0.{n}", f"198.18.0.{n}", **more)
        for n in range(count)
    ]


@given(st.integers(1, 2000), st.integers(1, 100), st.floats(1, 600), st.floats(1, 5000))
def test_the_cap_holds(count: int, probes: int, interval: float, cap: float) -> None:
    """Whatever is asked for, the plan stays under the cap, and says when it gives less."""
    plan = make_plan(aims(count), interval_s=interval, probes=probes, max_rate=cap, timeout_s=1)

    assert plan.rate <= cap * 1.000001
    assert plan.limited or plan.rate == pytest.approx(count * probes / interval)
    assert all(1 <= group.probes <= probes for group in plan.groups)


def test_own_intervals_make_lanes() -> None:
    """A target with an interval of its own does not wait for the others' round."""
    plan = make_plan(
        [*aims(3), *aims(1, interval_s=2.0)], interval_s=10, probes=10, max_rate=100, timeout_s=1
    )

    assert [(group.interval_s, len(group.targets)) for group in plan.groups] == [(2.0, 1), (10, 3)]
    assert plan.rate == 8.0


def test_what_was_missed_is_not_sent_in_one_burst() -> None:
    """After a pause of the process the pace goes on from now."""
    pace = Pace(next_at=0.0, gap_s=0.001)

    pace.take(5.0)

    assert pace.next_at == pytest.approx(5.001)


# --- messages -------------------------------------------------------------------------------


def test_our_own_requests_are_announced_before_the_first_round() -> None:
    """Taking up a plan tells the source and the rate at once, and again only when it grows."""
    prober = Prober(ADDRESS)
    taken = PlanTaken(T0, prober.plan, {"192-0-2-1": OWN})

    first, second = drive(prober.core, [taken]), drive(prober.core, [taken])

    [probe] = messages(first)
    assert isinstance(probe, Probe)
    assert (probe.source.mac, probe.source.echo_per_s, probe.targets) == (OWN.mac, 1.0, [])
    assert second == []


def test_silent_neighbours_are_allowed_for() -> None:
    """A silent target may cost three ARP requests, one that answers one in 20 s, where it is."""
    prober = Prober(ADDRESS, OTHER)
    exits = {"192-0-2-1": OWN, "192-0-2-2": Exit("198.51.100.3", "b8:27:eb:00:00:99")}
    drive(prober.core, [PlanTaken(T0, prober.plan, exits)])

    silent = next(m for m in messages(prober.round(None)) if isinstance(m, Probe))
    prober.round(1.0)
    quiet = next(m for m in messages(prober.round(1.0)) if isinstance(m, Probe))

    assert [one.arp_per_s for one in silent.sources] == [3, 3]
    assert [one.arp_per_s for one in quiet.sources] == [0.05, 0.05]


def test_a_sweep_is_announced_before_any_target_is_known() -> None:
    """Its ARP requests are told for its own interface at once, again every 5 s, then no more."""
    prober = Prober()
    begin, end = Sweeping(T0, OWN, 20.0), Sweeping(T0 + timedelta(seconds=90), OWN, 0.0)

    [told] = messages(drive(prober.core, [begin]))
    ticks = [
        Tick(T0 + timedelta(seconds=n), float(n), clock_synced=True) for n in (1, 4, 5, 6, 9, 10)
    ]
    again = messages(drive(prober.core, ticks))
    drive(prober.core, [end, Found("eth0", (KnownAddress(ADDRESS, MAC),))])
    after = next(m for m in messages(prober.round(1.0)) if isinstance(m, Probe))

    assert isinstance(told, Probe)
    assert told.source == ProbeSource(mac=OWN.mac, ip=OWN.ip, arp_per_s=20.0)
    assert [m.source.arp_per_s for m in again if isinstance(m, Probe)] == [20.0, 20.0]
    assert after.source.arp_per_s == 0


def test_what_another_program_sends_is_announced_while_it_lasts() -> None:
    """By its own word, before it begins, and no longer than it said; not without end."""
    prober = Prober()
    rates = Announce(seconds=30, echo_per_s=250, arp_per_s=20, mac=OWN.mac or "", ip=OWN.ip)
    order = CommandReceived("announce", rates, "1")
    drive(prober.core, [Tick(T0, 100.0, clock_synced=True)])

    [told] = messages(drive(prober.core, [order]))
    assert isinstance(told, Probe)
    assert (told.source.mac, told.source.echo_per_s, told.source.arp_per_s) == (OWN.mac, 250, 20)

    drive(prober.core, [order] * 7)
    with pytest.raises(CommandRefusedError, match="too many"):
        drive(prober.core, [order])

    drive(prober.core, [Tick(T0, 131.0, clock_synced=True)])
    drive(prober.core, [Found("eth0", (KnownAddress(ADDRESS, MAC),))])
    after = next(m for m in messages(prober.round(1.0)) if isinstance(m, Probe))
    assert after.source.echo_per_s == 0


# --- who does not answer ----------------------------------------------------------------------


def test_who_does_not_answer_is_in_no_round() -> None:
    """A thousand silent targets leave the requests of one that answers as they are."""
    silent = [f"198.18.{n // 250}.{1 + n % 250}" for n in range(1000)]
    prober = Prober(ADDRESS, *silent, max_rate=250, probes=10)
    drive(prober.core, [prober.attempt("192-0-2-1", 1.0)])

    [group] = prober.plan.groups

    assert [(one.address, group.probes) for one in group.targets] == [(ADDRESS, 10)]
    assert len(prober.plan.quiet) == 1000
    assert not prober.plan.limited


def test_what_was_not_sent_is_said_and_not_lost() -> None:
    """A round has its requests, sent or not; the reason is that of the last one."""
    prober = Prober(ADDRESS, OTHER)
    prober.round(1.0)
    silence = {"error": "nobody answers ARP for this address", "cause": "no-neighbour"}
    [group] = prober.plan.groups
    held = Echoes("192-0-2-1", (1.0, 1.0), "held back", "unsent", unsent=8)
    answers = Echoes("192-0-2-2", (1.0,) * 10)
    before = int(str(prober.core.detail()["unsent_total"]))

    drive(prober.core, [prober.attempt("192-0-2-1", unsent=1, **silence)])
    done = RoundDone(T0, T0, prober.plan, group, (held, answers))
    [probe] = [m for m in messages(drive(prober.core, [done])) if isinstance(m, Probe)]

    first, second = probe.targets
    assert (first.sent, first.received, first.unsent, first.loss_ratio) == (2, 2, 8, 0)
    assert first.error == silence["error"]
    assert (second.sent, second.unsent, second.error) == (10, 0, None)
    assert prober.core.detail()["unsent_total"] == before + 8


@pytest.mark.parametrize(("cause", "state"), [("no-neighbour", "down"), ("unsent", "up")])
def test_only_what_says_something_of_a_target_makes_it_down(cause: str, state: str) -> None:
    """That nobody answers ARP does; that this machine could not send does not."""
    prober = Prober(ADDRESS)
    prober.round(1.0)

    for _ in range(4):
        [group] = prober.plan.groups
        echoes = [Echoes(one.key, (), "x", cause, unsent=10) for one in group.targets]
        done = RoundDone(T0, T0, prober.plan, group, tuple(echoes))
        [probe] = [m for m in messages(drive(prober.core, [done])) if isinstance(m, Probe)]

    assert [row.state for row in probe.targets] == [state]
    assert len(prober.plan.quiet) == (state == "down")


def test_who_answers_oddly_or_late_is_up() -> None:
    """Somebody is there."""
    prober = Prober(ADDRESS)

    drive(prober.core, [prober.attempt("192-0-2-1", None, late=1, error="late", cause="late")])
    [group] = prober.plan.groups
    echoes = Echoes("192-0-2-1", (None, None), "late", "late", late=1, altered=1)
    said = messages(drive(prober.core, [RoundDone(T0, T0, prober.plan, group, (echoes,))]))

    [row] = next(m for m in said if isinstance(m, Probe)).targets
    assert (row.state, row.sent, row.received, row.late, row.altered) == ("up", 3, 0, 2, 1)
    assert row.loss_ratio == 0


def test_a_silent_device_that_capture_sees_is_asked_at_once() -> None:
    """Each time capture saw it anew, and not when it only says so again."""
    prober = Prober()
    first = device(ADDRESS)
    later = first.model_copy(update={"last_seen": T0 + timedelta(seconds=5)})
    gone = later.model_copy(update={"last_seen": T0 + timedelta(seconds=9), "present": False})

    for seen in (first, first, later, gone):
        drive(prober.core, [received(seen, "b827eb000007")])

    assert prober.woken == ["192-0-2-1"] * 2


def test_the_addresses_of_a_host_are_tried_in_turn() -> None:
    """It stays the same target, whichever of them answers, and its name is asked for anew."""
    prober = Prober("nas.test")
    wanted: list[Any] = []
    prober.core.look_up = wanted.append
    drive(prober.core, [Resolution("nas.test", ADDRESS, others=(OTHER, "2001:db8::1"))])

    tried = []
    for _ in range(4):
        [target] = prober.plan.quiet
        tried.append((target.key, target.ip))
        drive(prober.core, [prober.attempt("192-0-2-1", None)])
    drive(prober.core, [prober.attempt("192-0-2-1", 1.0)])

    assert tried == [("192-0-2-1", ip) for ip in (ADDRESS, OTHER, "2001:db8::1", ADDRESS)]
    [group] = prober.plan.groups
    assert [one.ip for one in group.targets] == [OTHER]
    assert wanted[-2].stale == ("nas.test",)
    assert wanted[-1].stale == ()


def test_a_sweep_leaves_silent_targets_the_rest_of_the_limit() -> None:
    """Together they stay below it."""
    prober = Prober(ADDRESS, max_arp_rate=20)
    alone = prober.plan.arp_per_s

    drive(prober.core, [Sweeping(T0, OWN, 13.0)])
    beside = prober.plan.arp_per_s
    drive(prober.core, [Sweeping(T0, OWN, 0.0)])

    assert (alone, beside, prober.plan.arp_per_s) == (17, 4, 17)


def test_a_long_round_fits_into_messages() -> None:
    """A broker takes 512 KiB at once; no line is left out, whatever its name."""
    addresses = [f"198.18.{n // 250}.{1 + n % 250}" for n in range(4096)]
    targets = [{"address": one, "name": "\u00fc" * 255} for one in addresses]
    prober = Prober(targets=targets, max_targets=4096)

    probes = [m for m in messages(prober.round(None)) if isinstance(m, Probe)]

    assert [row.address for probe in probes for row in probe.targets] == addresses
    assert max(len(probe.encode()) for probe in probes) < 512 * 1024


# --- discovery ------------------------------------------------------------------------------


def sweeps(prober: Prober, count: int, *found: KnownAddress) -> list[Any]:
    """Let so many sweeps of an interface find the same; returns what was said."""
    return drive(prober.core, [Found("eth0", found)] * count)


def test_a_discovered_device_that_moved_leaves_its_old_address() -> None:
    """A lease ended: two sweeps find the MAC elsewhere, and the old address is no target."""
    prober = Prober()
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    said = sweeps(prober, 2, KnownAddress(OTHER, MAC, interface="eth0"))

    assert [one.address for one in prober.plan.targets] == [OTHER]
    assert said == [Tombstone("192-0-2-1", Target)]


def test_a_discovered_device_that_is_silent_stays_for_a_day() -> None:
    """A missed sweep changes nothing; one of another interface says nothing; a day of them does."""
    prober = Prober()
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    drive(prober.core, [Found("wlan0", ())] * 100)
    sweeps(prober, 47)
    assert [one.address for one in prober.plan.targets] == [ADDRESS]

    sweeps(prober, 1)
    assert prober.plan.targets == ()


def test_a_pinned_device_that_is_silent_stays_for_ever() -> None:
    """A pinned address is kept whatever sweeps find."""
    prober = Prober(pin=[ADDRESS])
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    sweeps(prober, 100)

    assert [one.address for one in prober.plan.targets] == [ADDRESS]


def test_targets_are_told_on_change_and_once_a_minute() -> None:
    """An unchanged target is published at most once in 60 s, a changed one at once."""
    prober = Prober(ADDRESS)
    told = [
        sum(isinstance(m, Target) for m in messages(prober.round(t)))
        for t in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, None, None)
    ]

    assert told == [1, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_targets_are_told_on_after_the_clock_stepped_back() -> None:
    """An hour back is no hour of silence."""
    prober = Prober(ADDRESS)
    prober.round(1.0)
    prober.round(1.0, seconds=-3600)

    said = messages(prober.round(1.0, seconds=60))

    assert any(isinstance(message, Target) for message in said)


def test_a_round_tells_total_loss_and_nulls() -> None:
    """All lost of a target that is up is a loss of 1 with null times; the noise is its p95."""
    prober = Prober(ADDRESS)
    prober.round(1.0)

    probe = next(m for m in messages(prober.round(None, None)) if isinstance(m, Probe))

    [row] = probe.targets
    assert (row.sent, row.received, row.loss_ratio, row.rtt_avg_ms, row.mos) == (
        2,
        0,
        1.0,
        None,
        None,
    )
    assert probe.noise_floor_ms == 0.019  # of 0.01 and 0.02, interpolated and cut


@pytest.mark.parametrize("before", [(), (1.0, *[None] * 4)])
def test_who_does_not_answer_loses_nothing(before: tuple[float | None, ...]) -> None:
    """Of a target that never answered, or is down, nothing can be lost."""
    prober = Prober(ADDRESS)
    for time in before:
        prober.round(time)

    [row] = next(m for m in messages(prober.round(None)) if isinstance(m, Probe)).targets

    assert (row.sent, row.received, row.loss_ratio) == (1, 0, None)


def test_probe_now() -> None:
    """The command makes an extra round for one target, or all rounds anew; others are refused."""
    prober = Prober(ADDRESS)

    drive(prober.core, [CommandReceived("probe_now", ProbeNow(address=ADDRESS), "1")])
    drive(prober.core, [CommandReceived("probe_now", ProbeNow(), "2")])

    assert [group and group.targets[0].address for group in prober.extra] == [ADDRESS, None]
    with pytest.raises(CommandRefusedError, match="not a target"):
        drive(prober.core, [CommandReceived("probe_now", ProbeNow(address="203.0.113.5"), "3")])


def test_a_target_nobody_probes_any_more_is_taken_back() -> None:
    """A quarter of an hour after the start, retained targets without a source are removed."""
    prober = Prober(ADDRESS)
    stale = received(
        latched("down").model_copy(update={"address": OTHER}), "192-0-2-2", retained=True
    )
    late = T0 + timedelta(minutes=16)

    said = drive(prober.core, [stale, Tick(T0, 0.0, clock_synced=True)])
    assert said == []

    said = drive(prober.core, [Tick(late, 960.0, clock_synced=True)])
    assert said == [Tombstone("192-0-2-2", Target)]


def test_what_replicas_tell_of_is_not_looked_up_each_second() -> None:
    """Their targets stand on the bus for ever: once a minute is enough to find unclaimed ones."""
    prober = Prober(ADDRESS)
    looks: list[int] = []
    prober.core.targets.attached = lambda: looks.append(1) or ()
    drive(prober.core, [received(latched("up"), "192-0-2-1")])

    drive(prober.core, [Tick(T0, float(n), clock_synced=True) for n in range(900 + 120)])

    assert len(looks) <= 3


def test_a_clock_that_is_set_takes_no_target_back() -> None:
    """What waits for its device is taken back after a quarter of an hour, not after a step."""
    prober = Prober()
    drive(prober.core, [received(latched("up"), "192-0-2-1", retained=True)])
    set_ = T0 + timedelta(days=400)

    said = drive(
        prober.core, [Tick(T0, 10.0, clock_synced=False), Tick(set_, 11.0, clock_synced=True)]
    )
    late = drive(prober.core, [Tick(set_, 911.0, clock_synced=True)])

    assert said == []
    assert late == [Tombstone("192-0-2-1", Target)]


def test_ids() -> None:
    """Addresses and host names become ids of the topics' alphabet."""
    assert target_id("192.0.2.1") == "192-0-2-1"
    assert target_id("Printer.Example") == "printer-example"
    assert all(isinstance(one, Publication) for one in Prober(ADDRESS).round(1.0))


def test_a_device_that_is_only_still_there_costs_no_plan() -> None:
    """Capture repeats each of them each minute; one that was silent is asked at once."""
    prober = Prober()
    wanted: list[Any] = []
    prober.core.look_up = wanted.append
    seen = device(ADDRESS).model_copy(update={"last_seen": T0 + timedelta(seconds=60)})
    moved = device(ADDRESS, OTHER)

    drive(prober.core, [received(device(ADDRESS), mac_id(MAC))])
    first, prober.woken[:] = len(wanted), []
    drive(prober.core, [received(seen, mac_id(MAC))])

    assert (first, ["192-0-2-1"]) == (len(wanted), prober.woken)

    drive(prober.core, [received(moved, mac_id(MAC))])

    assert first < len(wanted)
    assert {"192-0-2-1", "192-0-2-2"} == {one.key for one in prober.plan.targets}


def test_beyond_the_limit_a_device_that_is_seen_again_takes_the_place_of_one_that_is_not() -> None:
    """The newest first: a message that says nothing new still says that."""
    prober = Prober(max_targets=1)
    macs = {"02:00:00:00:00:01": ADDRESS, "02:00:00:00:00:02": OTHER}
    for mac, ip in macs.items():
        drive(prober.core, [received(device(ip, mac=mac), mac_id(mac))])
    assert [one.key for one in prober.plan.targets] == ["192-0-2-2"]

    drive(prober.core, [received(device(ADDRESS, mac="02:00:00:00:00:01"), "020000000001")])

    assert [one.key for one in prober.plan.targets] == ["192-0-2-1"]
