"""The prober's core: what it announces and publishes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.drive import drive, messages, received
from tests.prober.corebench import ADDRESS, MAC, OTHER, OWN, T0, Prober, device, latched

from monitorpi_common.messages import (
    Announce,
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
)
from monitorpi_common.topics import Topic
from monitorpi_prober.items import (
    Exit,
    Found,
    KnownAddress,
    NameFound,
    PlanTaken,
    Sweeping,
)
from monitorpi_prober.targets import owner, target_id

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
    """Its ARP requests are announced for its interface at once, then every 5 s, then no more."""
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
    second = -1
    prober.core.targets.attached = lambda: looks.append(second) or ()
    drive(prober.core, [received(latched("up"), "192-0-2-1")])

    for second in range(900 + 130):
        drive(prober.core, [Tick(T0, float(second), clock_synced=True)])

    assert looks == [900, 960, 1020]


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


def test_what_dns_calls_an_address_is_its_name_from_the_next_plan_on() -> None:
    """Nobody is asked for it again."""
    prober = Prober()
    drive(prober.core, [received(device(ADDRESS), MAC.replace(":", ""))])
    assert prober.core.targets.nameless() == [ADDRESS]

    drive(prober.core, [NameFound(ADDRESS, "printer")])

    assert [target.name for target in prober.plan.targets] == ["printer"]
    assert prober.core.targets.nameless() == []
    assert [one.name for one in messages(prober.round(1.0)) if isinstance(one, Target)] == [
        "printer"]  # fmt: skip


def test_what_another_replica_took_over_is_published_anew_once_it_is_ours_again() -> None:
    """What stands on the bus of it may be the other's by then."""
    prober = Prober(ADDRESS, instance="one")
    rival = next(n for n in "abcdefgh" if owner("192-0-2-1", {"one", n}) == n)
    status = Topic("lab", "prober", "status", rival)

    def targets() -> int:
        return sum(isinstance(one, Target) for one in messages(prober.round(1.0)))

    assert [targets(), targets()] == [1, 0]
    drive(prober.core, [Presence(status, online=True)])
    assert (list(prober.plan.targets), prober.core._published) == ([], {})
    assert prober.core._states.ours == {}
    drive(prober.core, [Presence(status, online=False)])

    assert [targets(), targets()] == [1, 0]


def test_a_round_that_changes_nothing_makes_no_plan() -> None:
    """One that does makes one at once in a file, else with the next second; each is counted."""
    prober = Prober(ADDRESS)
    prober.round(1.0)
    plans = len(prober.plans)
    prober.round(1.0)
    assert (len(prober.plans), prober.core.detail()["rounds"]) == (plans, 2)

    prober.core.live = True
    for _ in range(5):
        prober.round(None)
    assert (len(prober.plans), prober.core.detail()["rounds"]) == (plans, 7)
    drive(prober.core, [Tick(T0, 1.0, clock_synced=True)])
    assert len(prober.plans) == plans + 1
    assert [one.key for one in prober.plan.quiet] == ["192-0-2-1"]


def test_one_that_answers_is_judged_by_its_rounds_alone() -> None:
    """What was asked outside of them, and what is no evidence, changes no state."""
    prober = Prober(ADDRESS)
    prober.round(1.0)
    for _ in range(5):
        assert drive(prober.core, [prober.attempt("192-0-2-1", None)]) == []
    assert prober.state(1.0) == "up"

    for _ in range(5):
        prober.round(None)
    assert drive(prober.core, [prober.attempt("192-0-2-1")]) == []
    [said] = messages(drive(prober.core, [prober.attempt("192-0-2-1", 1.0)]))
    assert isinstance(said, Target)
    assert said.state == "up"


def test_what_is_learned_within_a_second_is_one_plan() -> None:
    """In a file each is a plan of its own: its time is not ours."""
    prober = Prober(ADDRESS)
    prober.core.live = True
    before = len(prober.plans)

    drive(prober.core, [received(device(OTHER), MAC.replace(":", ""))])
    drive(prober.core, [NameFound(OTHER, "printer")])
    assert len(prober.plans) == before
    drive(prober.core, [Tick(T0, 1.0, clock_synced=True), Tick(T0, 2.0, clock_synced=True)])

    assert len(prober.plans) == before + 1
    assert [target.address for target in prober.plan.targets] == [ADDRESS, OTHER]
    prober.core.live = False
    drive(prober.core, [NameFound(OTHER, "scanner")])
    assert len(prober.plans) == before + 2


def test_ids() -> None:
    """Addresses and host names become ids of the topics' alphabet."""
    assert target_id("192.0.2.1") == "192-0-2-1"
    assert target_id("Printer.Example") == "printer-example"
    assert all(isinstance(one, Publication) for one in Prober(ADDRESS).round(1.0))
