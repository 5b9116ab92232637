"""Who does not answer, and what replicas and the limit of the rate make of the targets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drive import drive, messages, received
from tests.prober.corebench import ADDRESS, OTHER, OWN, T0, Prober, device, latched

from monitorpi_common.messages import (
    Probe,
)
from monitorpi_common.service import (
    Presence,
)
from monitorpi_common.topics import Topic
from monitorpi_prober.items import (
    Echoes,
    Resolution,
    RoundDone,
    Sweeping,
)
from monitorpi_prober.schedule import Pace, ProbeTarget, make_plan
from monitorpi_prober.targets import owner

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


def targets(count: int, **more: Any) -> list[ProbeTarget]:
    """Build that many targets."""
    return [
        ProbeTarget(f"198-18-0-{n}", "x", f"198.18.0.{n}", f"198.18.0.{n}", **more)
        for n in range(count)
    ]


@given(st.integers(1, 2000), st.integers(1, 100), st.floats(1, 600), st.floats(1, 5000))
def test_the_cap_holds(count: int, probes: int, interval: float, cap: float) -> None:
    """Whatever is asked for, the plan stays under the cap, and says when it gives less."""
    plan = make_plan(targets(count), interval_s=interval, probes=probes, max_rate=cap, timeout_s=1)

    assert plan.rate <= cap * 1.000001
    assert plan.limited or plan.rate == pytest.approx(count * probes / interval)
    assert all(1 <= group.probes <= probes for group in plan.groups)


def test_own_intervals_make_lanes() -> None:
    """A target with an interval of its own does not wait for the others' round."""
    plan = make_plan(
        [*targets(3), *targets(1, interval_s=2.0)],
        interval_s=10,
        probes=10,
        max_rate=100,
        timeout_s=1,
    )

    assert [(group.interval_s, len(group.targets)) for group in plan.groups] == [(2.0, 1), (10, 3)]
    assert plan.rate == 8.0


def test_what_was_missed_is_not_sent_in_one_burst() -> None:
    """After a pause of the process the pace goes on from now."""
    pace = Pace(next_at=0.0, gap_s=0.001)

    pace.take(5.0)

    assert pace.next_at == pytest.approx(5.001)


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
