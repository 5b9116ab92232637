"""The table of alerts by hand: findings and time in, what is published out, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.detector.windows import ATTACKER, PI, ROUTER, VICTIM, answer, at, device, probe

from monitorpi_common.messages import Alert, Peer, Publication, Tombstone
from monitorpi_detector.alerts.evidence import Observed
from monitorpi_detector.alerts.table import AlertTable
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import Finding, Limits

LIMITS = Limits(floor=100.0, raise_m=1, raise_n=1, quiet_s=15.0, close_ratio=0.5)
X = "syn-flood-x"


def finding(value: float = 200.0, subject: str = "x", **more: Any) -> Finding:
    """Return a finding against a threshold of 100."""
    return Finding(subject=subject, value=value, threshold=100.0, text=subject, **more)


class Table:
    """A table, and what it published."""

    def __init__(self) -> None:
        self.inventory = HostInventory()
        self.table = AlertTable("lab", self.inventory)
        self.said: list[Publication | Tombstone] = []

    def see(
        self, second: float, one: Finding, limits: Limits = LIMITS, *, rule: str = "syn-flood",
        kind: str = "flood", **more: Any,
    ) -> list[str]:  # fmt: skip
        """Take a finding; returns what it led to."""
        seen = {"interface": "eth0", "ports": ("eth0",), "watched_s": second} | more
        return self.note(self.table.consider(one, limits, Observed(rule, kind, at(second), 1.0,
                                                                    **seen)))  # fmt: skip

    def until(self, second: float, *interfaces: str) -> list[str]:
        """Let time come so far, with windows of some interfaces."""
        for one in interfaces:
            self.table.saw_window(one, at(second))
        return self.note(self.table.advance(at(second)))

    def note(self, published: Any) -> list[str]:
        """Take what was published; returns it in words."""
        said = list(published)
        self.said += said
        return [
            f"{one.message.key} {one.message.close_reason or one.message.state}"
            if isinstance(one, Publication) and isinstance(one.message, Alert)
            else f"{one.id} taken back"
            for one in said
        ]

    @property
    def last(self) -> Alert:
        """The last alert that was published."""
        return [x.message for x in self.said if isinstance(x, Publication)][-1]  # type: ignore[return-value]

    def alert(self, key: str) -> Alert:
        """Return an open alert as it is known now, published or not."""
        return self.table._open[key].alert


# --- opening --------------------------------------------------------------------------------------


def test_a_finding_that_may_open_nothing_keeps_what_is_open() -> None:
    """Nor does one below its limit open anything, or one whose key is silent."""
    one = Table()
    assert one.see(0, finding(opens=False)) + one.see(0, finding(99.9)) == []
    one.table.silences.add(X, at(2))
    assert one.see(1, finding()) == []
    assert one.see(2, finding()) == [f"{X} open"]

    assert one.see(15, finding(opens=False)) == []
    assert one.until(29.9, "eth0") == [f"{X} open"]
    assert one.until(30, "eth0") == [f"{X} quiet"]


@pytest.mark.parametrize(("value", "reason"), [(50.0, "open"), (49.9, "quiet")])
def test_an_alert_lives_from_its_close_level_on(value: float, reason: str) -> None:
    """For its quiet time after the last such window."""
    one = Table()
    one.see(0, finding())

    one.see(10, finding(value))

    assert one.until(15, "eth0") == [f"{X} {reason}"]


def test_thirty_two_of_a_rule_are_open() -> None:
    """What is more is counted in one alert; those of another rule take no place."""
    one = Table()
    for n in range(32):
        one.see(0, finding(subject=f"s{n}"), rule="icmp-flood")
        assert one.see(0, finding(subject=f"s{n}")) == [f"syn-flood-s{n} open"]

    assert one.see(1, finding(subject="s32")) == ["syn-flood-others open"]
    assert one.see(2, finding(subject="s33")) == []
    assert one.table.overflow_total == 2
    assert one.table.opened_total == 65
    assert one.table.open_by_rule() == {"icmp-flood": 32, "syn-flood": 33}
    assert one.alert("syn-flood-others").evidence.value == 2.0
    one.note(one.table.silence("syn-flood-s0", at(99), at(3)))
    assert one.see(4, finding(subject="s34")) == ["syn-flood-s34 open"]


def test_what_may_become_usual_does_so_while_it_is_held_back() -> None:
    """A story that was told often enough this night counts all the same."""
    one = Table()
    limits = replace(LIMITS, usual_after_s=30.0)
    chapter = {"story": "s", "a_night": 1}
    one.see(0, finding(subject="a", **chapter), limits)
    assert one.until(20, "eth0") == ["syn-flood-a quiet"]

    for second in range(100, 132):
        assert one.see(second, finding(subject="b", **chapter), limits) == []

    assert set(one.table.habits.levels()) == {"syn-flood-b"}
    assert one.table.stories.held_back_total == 31
    assert one.see(200, finding(subject="c", **chapter)) == []
    assert "syn-flood-c" not in one.table.habits.levels()


def test_a_story_is_told_again_where_it_is_the_same_alert_or_somebody_elses_fault() -> None:
    """Neither counts as one of the night."""
    one = Table()
    chapter: dict[str, Any] = {"story": "s", "a_night": 1}
    effect: dict[str, Any] = {"rule": "high-loss", "kind": "effect"}
    assert one.see(0, finding(**chapter), **effect) == ["high-loss-x open"]
    assert one.until(15, "eth0") == ["high-loss-x quiet"]
    assert one.see(30, finding(**chapter), **effect) == ["high-loss-x open"]
    assert one.until(45, "eth0") == ["high-loss-x quiet"]
    assert one.see(60.1, finding(**chapter), **effect) == []

    one.see(61, finding(subject="f", sources=(Peer(mac=ATTACKER),), victims=(Peer(mac=VICTIM),)))
    hit = finding(subject="y", victims=(Peer(mac=VICTIM),), **chapter)
    assert one.see(61, hit, **effect) == ["high-loss-y open"]
    assert (one.last.caused_by, one.last.severity) == ("syn-flood-f", "info")
    assert one.table.stories.of("s", 61.0) == [0.0]
    assert one.see(61, finding(subject="z", story="s"), **effect) == ["high-loss-z open"]


def test_who_is_part_of_an_attack_that_is_told_keeps_it_alive() -> None:
    """Of the same rule only; its own frames under another name are no second attack."""
    one = Table()
    crowd = finding(subject="victim-x", sources=(Peer(mac=ATTACKER), Peer(mac=PI)))
    member = finding(subject="a", sources=(Peer(mac=ATTACKER),))
    one.see(0, crowd)
    assert one.see(10, member) == []
    assert one.see(14, member, rule="surge-syn", kind="effect") == []

    assert one.until(24.9, "eth0") == ["syn-flood-victim-x open"]
    assert one.until(25, "eth0") == ["syn-flood-victim-x quiet"]


# --- going on -------------------------------------------------------------------------------------


def test_an_alert_is_refreshed_ten_seconds_after_it_was_published() -> None:
    """With what is known by then; a rise of severity is published at once."""
    one = Table()
    one.see(0, finding())
    assert one.see(1, finding(300.0)) == []
    assert one.until(9.9, "eth0") == []
    assert one.until(10, "eth0") == [f"{X} open"]
    assert (one.last.at, one.last.evidence.value) == (at(10), 300.0)
    assert one.see(12, finding(1e6)) == [f"{X} open"]
    assert one.last.severity == "critical"
    assert one.see(13, finding(200.0)) == []
    assert one.until(21.9, "eth0") == []
    assert one.until(22, "eth0") == [f"{X} open"]
    assert (one.last.severity, one.last.evidence.peak) == ("critical", 1e6)


@pytest.mark.parametrize(
    ("second", "is_part", "value"),
    [(0.49, False, 900.0), (0.5, False, 300.0), (4.9, True, 900.0), (5.0, True, 300.0)],
)
def test_a_port_that_shows_less_of_the_same_moment_lowers_nothing(
    second: float, *, is_part: bool, value: float
) -> None:
    """Half a second, or five where several ports were judged together; it is alive all the same."""
    one = Table()
    one.see(0, finding(900.0))

    one.see(second, finding(300.0), is_part=is_part, interface="eth1", ports=("eth1",))

    assert one.alert(X).evidence.value == value
    assert one.table._open[X].interfaces == {"eth0", "eth1"}
    assert one.table._open[X].last_active == at(second)
    one.see(second, finding(950.0), is_part=is_part)
    assert one.alert(X).evidence.value == 950.0


def test_what_comes_late_takes_no_time_back() -> None:
    """Nor is an alert older than it was."""
    one = Table()
    one.see(10, finding())
    one.see(4, finding(300.0))

    entry = one.table._open[X]
    assert (entry.last_active, entry.alert.at, entry.valued) == (at(10), at(10), at(4))
    assert entry.alert.evidence.value == 300.0


def test_sources_and_victims_of_an_alert_are_bounded() -> None:
    """They are gathered until there are enough."""
    one = Table()
    for n in range(80):
        source, victim = Peer(mac=f"04:00:00:00:01:{n:02x}"), Peer(ip=f"192.0.2.{n}")
        one.see(n, finding(sources=(source,), victims=(victim,)))

    entry = one.table._open[X]
    assert (len(entry.sources), len(entry.involved)) == (32, 64)
    assert one.table.involved() == entry.involved


def test_a_round_tells_of_floods_that_go_on_after_it_began() -> None:
    """Of their victims; no other kind of alert."""
    one = Table()
    one.inventory.see_device(device(VICTIM, 0))
    hit = finding(victims=(Peer(mac=VICTIM),))
    one.see(0, hit)
    one.see(0, hit, rule="device-down", kind="outage")
    one.inventory.see_probe("main", probe(5, answer(rtt_avg_ms=87.5)), at(5).timestamp())

    one.table.see_round(at(0))
    assert one.alert(X).evidence.victim_rtt_ms is None
    one.table.see_round(at(-0.1))

    assert one.alert(X).evidence.victim_rtt_ms == 87.5
    assert one.alert("device-down-x").evidence.victim_rtt_ms is None


# --- ending ---------------------------------------------------------------------------------------


def test_an_alert_ends_when_it_became_quiet_however_late_that_is_seen() -> None:
    """A file's seconds without frames have no windows."""
    one = Table()
    one.see(0, finding())

    assert one.until(500, "eth0") == [f"{X} quiet"]

    assert (one.last.at, one.last.closed_at, one.last.state) == (at(15), at(15), "closed")
    assert one.until(499, "eth0") == []
    assert one.table.watermark == at(500)


@pytest.mark.parametrize(("second", "reason"), [(10.0, "open"), (10.1, "sensor-lost")])
def test_an_alert_is_lost_with_the_windows_that_showed_it(second: float, reason: str) -> None:
    """Ten seconds after the last of any interface that did; then it ends now."""
    one = Table()
    limits = replace(LIMITS, quiet_s=1000.0)
    one.table.saw_window("eth0", at(-5))
    one.see(-5, finding(), limits)
    one.see(-5, finding(), limits, interface="eth1", ports=("eth1",))
    one.table.saw_window("eth1", at(0))

    assert one.until(second) == [f"{X} {reason}"]

    assert one.last.at == at(second)


def test_an_alert_of_no_window_is_lost_with_none() -> None:
    """Such as of rounds; one whose interface is not known yet lives for as long as others."""
    one = Table()
    limits = replace(LIMITS, quiet_s=30.0)
    one.see(0, finding(subject="r"), limits, lives_by_windows=False)
    one.see(0, finding(subject="n"), limits, ports=())
    one.see(0, finding(subject="w"), limits)

    assert one.until(10.1) == [
        "syn-flood-r open", "syn-flood-n open", "syn-flood-w sensor-lost"]  # fmt: skip
    assert one.note(one.table.lose_sensor()) == []
    assert one.until(30) == ["syn-flood-r quiet", "syn-flood-n quiet"]


def test_a_lost_sensor_ends_what_it_showed_at_the_latest_time() -> None:
    """And nothing is counted on from before."""
    one = Table()
    one.see(0, finding())
    assert one.note(one.table.lose_sensor()) == [f"{X} sensor-lost"]
    assert one.last.closed_at == at(0)

    one.see(20, finding(), replace(LIMITS, raise_m=2, raise_n=3))
    assert one.note(one.table.lose_sensor()) == []
    assert one.see(21, finding(), replace(LIMITS, raise_m=2, raise_n=3)) == []
    one.until(21.5, "eth0")
    assert one.see(21, finding(subject="y")) == ["syn-flood-y open"]
    one.note(one.table.lose_sensor())
    assert one.last.closed_at == at(21.5)


def test_what_was_over_its_limit_for_long_ends_as_usual() -> None:
    """With the level in its last sentence; below it the alert is not kept."""
    one = Table()
    limits = replace(LIMITS, usual_after_s=20.0)
    said = [one.see(second, finding(), limits) for second in range(30)]

    assert said[0] == [f"{X} open"]
    assert [step for step in said[1:] if step] == [[f"{X} usual"]]
    assert "is usual for it now, reported again from" in one.last.summary
    level = one.table.habits.level(X) or 0.0
    assert 200.0 <= level <= 220.0
    assert one.see(400, finding(1.49 * level), limits) == []
    assert one.see(401, finding(1.5 * level), limits) == [f"{X} open"]
    one.see(405, finding(level), limits)
    one.see(410, finding(0.99 * level), limits)
    assert one.until(419.9, "eth0") == [f"{X} open"]
    assert one.until(420, "eth0") == [f"{X} quiet"]


# --- from outside ---------------------------------------------------------------------------------


def test_a_clock_that_was_set_moves_what_is_open_and_when_windows_came() -> None:
    """Nothing is lost by it, nor counted on."""
    one = Table()
    one.until(0, "eth0")
    one.see(0, finding())
    one.table.silences.add("k", at(100))

    one.table.step_clock(timedelta(seconds=1000))

    assert one.table.watermark is None
    assert one.until(1010, "eth9") == [f"{X} open"]
    assert one.last.opened_at == at(1000)
    assert one.table.silences.until == {"k": at(1100)}
    assert one.until(1010.1) == [f"{X} sensor-lost"]


def test_people_end_and_mark_alerts() -> None:
    """By their key; a silence begins where nothing is open too."""
    one = Table()
    one.see(0, finding())
    assert one.note(one.table.acknowledge(X)) == [f"{X} open"]
    assert one.last.acknowledged
    with pytest.raises(KeyError):
        one.note(one.table.acknowledge("other"))

    assert one.note(one.table.silence(X, at(50), at(7))) == [f"{X} silenced"]
    assert one.last.closed_at == at(7)
    assert one.note(one.table.silence("other", at(50), at(7))) == []
    assert set(one.table.silences.until) == {X, "other"}


def test_a_rule_ends_for_all_or_for_one_device() -> None:
    """By whose limits hold."""
    one = Table()
    for subject, mac in (("a", ATTACKER), ("b", ROUTER)):
        one.see(0, finding(subject=subject, sources=(Peer(mac=mac),)))
        one.see(0, finding(subject=subject, sources=(Peer(mac=mac),)), rule="icmp-flood")

    assert one.note(one.table.end_rule("syn-flood", at(3), "silenced", ROUTER)) == [
        "syn-flood-b silenced"]  # fmt: skip
    assert one.note(one.table.end_rule("icmp-flood", at(3), "sensor-lost")) == [
        "icmp-flood-a sensor-lost", "icmp-flood-b sensor-lost"]  # fmt: skip
    assert one.table.open_keys() == ["syn-flood-a"]
    assert one.last.closed_at == at(3)


def test_alerts_of_the_process_before_us_go_on() -> None:
    """Each once; an open one is kept by the next finding, whatever the clock was."""
    before = Table()
    before.see(1000, finding(500.0, sources=(Peer(mac=ATTACKER),)))
    told = before.last
    one = Table()
    assert one.note(one.table.restore(told, "flood", 15.0)) == []
    one.note(one.table.restore(told.model_copy(update={"state": "closed"}), "flood", 15.0))
    assert one.table.open_keys() == [X]
    assert one.table._open[X].sources == {ATTACKER}

    assert one.see(0, finding(300.0)) == []
    assert one.alert(X).evidence.value == 300.0
    assert one.alert(X).opened_at == at(1000)
    assert one.until(10, "eth0") == [f"{X} open"]
    assert one.until(15, "eth0") == [f"{X} quiet"]

    rounds = told.model_copy(update={"key": "cut-off-y", "interface": None})
    one.note(one.table.restore(rounds, "outage", 500.0))
    assert not one.table._open["cut-off-y"].lives_by_windows
    assert one.until(100) == []
    assert one.until(110) == ["cut-off-y open"]
