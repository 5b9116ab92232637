"""What an observer makes of single messages: facts, and their bounds."""

from __future__ import annotations

from typing import Any

from monitorpi_common import watch
from monitorpi_common.examples import AT, example
from monitorpi_common.messages import Health, Wire
from monitorpi_common.topics import Topic
from monitorpi_common.watch import Observer


def status(service: str, instance: str = "main") -> Topic:
    """Return the topic of a status."""
    return Topic("lab", service, "status", instance)


def health(
    observer: Observer, service: str, instance: str = "main", *, retained: bool = False,
    **detail: Any,
) -> None:  # fmt: skip
    """Let a service say something of itself."""
    message = example(Health).model_copy(update={"detail": detail})
    observer.receive(Topic("lab", service, "health", instance), message, AT, retained=retained)


def test_before_its_first_second_an_observer_has_just_begun() -> None:
    """Then all is counted from the caller's clock."""
    observer = Observer()
    facts = observer.facts()
    assert (facts.now_s, facts.began_s, facts.online) == (0.0, 0.0, {})

    observer.tick(100.0, None)
    observer.tick(101.0, "away")
    facts = observer.facts()
    assert (facts.now_s, facts.began_s, facts.broker) == (101.0, 100.0, "away")


def test_a_pulse_is_that_of_somebody_who_is_known_now() -> None:
    """What a broker remembers is of before; who has no status is no instance."""
    observer = Observer()
    observer.tick(5.0, None)

    health(observer, "prober")
    assert observer.facts().pulse_s == {}
    observer.presence(status("prober"), online=True)
    health(observer, "prober", retained=True)
    assert observer.facts().pulse_s == {}
    health(observer, "prober")
    assert observer.facts().pulse_s == {"prober": 5.0}
    observer.tick(6.0, None)
    observer.presence(status("prober"), online=False)
    assert observer.facts().pulse_s == {"prober": 5.0}
    observer.presence(status("prober"), online=True)
    assert observer.facts().pulse_s == {"prober": 6.0}


def test_of_many_instances_so_many_are_known_and_what_those_count_on_changes() -> None:
    """64 of them; one more is not waited for, and what only it counted on is not forgotten."""
    observer = Observer()
    for number in range(watch.MAX_INSTANCES + 1):
        health(observer, "capture", f"c{number}", interfaces=[f"eth{number}", "shared"])
    health(observer, "capture", "c0", interfaces=["eth0", "late", "shared"])
    health(observer, "capture", "c1", interfaces="all")
    health(observer, "prober", "p", interfaces=["eth7"])

    health(observer, "capture", "c2", interfaces_away={"late": "down", "shared": "down"})
    assert observer.gone(status("capture", "c0")) == {"eth0", "late"}
    assert observer.facts().away == {"shared": "down"}
    assert observer.gone(status("capture", "c1")) == {"eth1"}
    assert observer.gone(status("capture", "c63")) == {"eth63"}
    assert observer.gone(status("capture", "c64")) == frozenset()
    assert observer.gone(status("prober", "p")) == frozenset()


def test_what_cannot_be_kept_is_forgotten_once_it_can() -> None:
    """Or once its service has gone for good; of 65 at once one finds no place."""
    observer = Observer()
    broken = {"state_file": {"error": "full"}, "trouble": {"text": "no key", "remedy": "one"}}
    for number in range(watch.MAX_INSTANCES + 1):
        health(observer, "prober", f"p{number}", **broken)
    assert (len(observer._unkept), len(observer._troubles)) == (64, 64)

    health(observer, "prober", "p0")
    health(observer, "prober", "p64", **broken)
    assert (len(observer._unkept), len(observer._troubles)) == (64, 64)
    for number in range(watch.MAX_INSTANCES + 1):
        observer.gone(status("prober", f"p{number}"))

    facts = observer.facts()
    assert (facts.unkept, facts.troubles) == ({}, {})


def test_a_window_tells_of_its_interface() -> None:
    """How late it was, by the better of two; what it says of link, directions and copies."""
    observer = Observer()
    observer.tick(50.0, None)
    window = example(Wire)

    def see(**changes: Any) -> None:
        observer.receive(
            Topic("lab", "capture", "wire", "eth0"), window.model_copy(update=changes), AT,
            retained=False,
        )  # fmt: skip

    see(end=AT.replace(second=AT.second - 3))
    one = observer.interfaces["eth0"]
    assert (one.late_s, one.last_late_s) == (0.0, 3.0)
    one.frames.clear()
    see(end=AT, packets=7, kernel_drops=2, sees_replies=False, copies_ratio=0.5)
    assert (one.arrived_s, one.received_s, one.late_s, one.last_late_s) == (50.0, 50.0, 0.0, 0.0)
    assert (one.has_link, one.sees_replies, one.copies_ratio) == (True, False, 0.5)
    assert list(one.frames) == [(7, 2)]

    observer.tick(51.0, None)
    see(end=AT.replace(year=AT.year - 1), has_link=False)
    late_s = one.last_late_s
    assert (one.arrived_s, one.received_s, one.late_s) == (50.0, 51.0, 0.0)
    assert late_s > 1e7
    see(end=AT.replace(year=AT.year + 1), has_link=None)
    assert (one.arrived_s, one.has_link) == (51.0, True)
    assert one.late_s == min(late_s, one.last_late_s, key=abs) != 0.0


def test_a_service_is_here_while_one_of_its_instances_is() -> None:
    """And gone since the last of them went, as long as none comes."""
    observer = Observer()
    observer.tick(1.0, None)
    observer.presence(status("prober", "p1"), online=True)
    observer.presence(status("prober", "p2"), online=True)
    observer.presence(status("capture"), online=True)
    for now_s, instance, online, gone_s in (
        (2.0, "p1", False, {}), (3.0, "p2", False, {"prober": 3.0}),
        (4.0, "p2", False, {"prober": 3.0}), (5.0, "p1", True, {}),
        (6.0, "p1", False, {"prober": 6.0}),
    ):  # fmt: skip
        observer.tick(now_s, None)
        observer.presence(status("prober", instance), online=online)

        facts = observer.facts()
        assert facts.gone_s == gone_s
        assert (facts.online["prober"], facts.online["capture"]) == (not gone_s, True)

    assert observer.gone(status("prober", "p1")) == frozenset()
    assert observer.facts().online["prober"] is False
    observer.gone(status("prober", "p2"))
    assert "prober" not in observer.facts().online


def test_a_detector_that_comes_has_spoken() -> None:
    """None other has, and neither has one that goes."""
    observer = Observer()
    observer.tick(1.0, None)
    observer.presence(status("prober"), online=True)
    observer.presence(status("detector"), online=False)
    assert observer.facts().announced_s is None

    observer.presence(status("detector"), online=True)
    assert observer.facts().announced_s == 1.0


def test_of_too_many_instances_those_that_are_known_still_change() -> None:
    """64 are; who comes as one more is nobody."""
    observer = Observer()
    observer.tick(1.0, None)
    for number in range(watch.MAX_INSTANCES):
        observer.presence(status("prober", f"p{number}"), online=False)
    observer.presence(status("prober", "p64"), online=True)
    assert observer.facts().online["prober"] is False

    observer.presence(status("prober", "p0"), online=True)
    assert observer.facts().online["prober"] is True
