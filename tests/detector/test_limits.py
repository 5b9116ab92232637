"""Every rule can be switched and limited, for all devices or one, in settings and at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import ValidationError
from tests.detector.windows import (
    ATTACKER,
    ROUTER,
    VICTIM,
    Detector,
    answer,
    at,
    conflict,
    device,
    echoes,
    plain,
    probe,
    syns,
    window,
)

from monitorpi_common.messages import CLASSES, DeviceWindow, ProbeResult, Repeats, SetThreshold
from monitorpi_common.service import CommandReceived, Presence, Tick
from monitorpi_common.topics import Topic
from monitorpi_detector.limits import LimitsTable
from monitorpi_detector.rule import LimitsChange
from monitorpi_detector.rules import RULES
from monitorpi_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS: Final[dict[str, DeviceWindow]] = {
    "syn-flood": syns(1000),
    "icmp-flood": echoes(1000),
    "broadcast-storm": plain(ATTACKER, packets=1000, broadcast=1000),
    "arp-storm": plain(ATTACKER, packets=1000, arp=1000),
    "dhcp-starvation": plain(ATTACKER, packets=1000, dhcp=1000),
    "igmp-storm": plain(ATTACKER, packets=1000, igmp=1000),
    "port-scan": syns(1000, ports=900, rx={"rst": 1000, "tcp": 1000}),
    "host-sweep": syns(200, hosts=200, peer=ROUTER),
}
"""A sender that every window rule about senders finds at once."""
BAD: Final[dict[str, dict[str, Any]]] = {
    "device-down": {"state": "down", "received": 0, "loss_ratio": 1.0},
    "high-loss": {"loss_ratio": 0.9},
    "high-delay": {"rtt_p50_ms": 900.0},
    "high-jitter": {"jitter_ms": 900.0},
}
"""A target that every rule about one target finds at once."""
DEVICE_FACTS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "new-device": lambda _: {},
    "arp-spoof": lambda second: {
        "conflicts": [conflict("198.18.0.1", ROUTER, ATTACKER, second, router=True)]
    },
    "address-denial": lambda second: {"denied": 9, "denied_at": at(second)},
    "rogue-dhcp": lambda _: {"dhcp_server": True},
    "rogue-ra": lambda second: {"advertised_at": at(second)},
}
"""What capture says of a device that a rule about devices finds at once."""
START_S: Final = 20
SENSOR: Final = ("sensor-blind", "sensor-loses", "service-missing")
"""Rules about the sensor itself, which are judged with each tick."""


TOGETHER: Final = ("cut-off", "uplink-down", "group-down", "uplink-degraded", "group-degraded")
"""Rules about what several targets have in common."""


def rounds(**bad: Any) -> Callable[[int], list[object]]:
    """Build what a prober says each second of a bad target that was up."""
    return lambda second: [
        *([probe(1, answer())] if second == START_S else []),
        probe(second, answer(**bad)),
    ]


def subject_of(rule: str) -> str | None:
    """Return the MAC whose limits hold for what :func:`hit` shows of a rule; None: nobody's."""
    if rule in ("mac-flood", "loop", *TOGETHER, *SENSOR):
        return None
    about_targets = ("device-down", "answers-no-pings", "high-loss", "high-delay", "high-jitter")
    return VICTIM if rule in about_targets else ATTACKER


def hit(rule: str, second: int) -> list[object]:
    """Build what makes a rule speak in a second."""
    match rule:
        case "mac-flood":
            return [window(second, new_macs=9000, source_macs=9000)]
        case "loop":
            again = Repeats(ratio=0.999, senders=38)
            return [window(second, counts={"broadcast": 9999}, packets=9999, repeats=again)]
        case _ if rule in DEVICE_FACTS:
            return [window(second), device(ATTACKER, second, **DEVICE_FACTS[rule](second))]
        case _ if rule in BAD:
            return rounds(**BAD[rule])(second)
        case "answers-no-pings":
            return [window(second, plain(VICTIM, packets=9)), *rounds(**BAD["device-down"])(second)]
        case _ if rule in TOGETHER:
            return outage(rule, second)
        case _ if rule in SENSOR:
            return sensor(rule, second)
        case _ if rule in ROWS:
            return [window(second, ROWS[rule])]
        case _:
            name = next(name for name in CLASSES if rule == f"surge-{name.replace('_', '-')}")
            return [window(second, plain(ATTACKER, packets=9999, **{name: 9999}))]


def sensor(rule: str, second: int) -> list[object]:
    """Build a port without windows, one of which frames are lost, or a service that has gone."""

    def tick(one: int) -> Tick:
        return Tick(at(one), float(one), clock_synced=True)

    status = Topic("lab", "capture" if rule == "sensor-blind" else "prober", "status", "main")
    gone = [Presence(status, online=False)] * (rule == "service-missing")
    began = second - 20
    first = [Presence(status, online=True), tick(began), window(began)]
    waited = [tick(one) for one in range(began + 1, second)]
    if rule == "sensor-loses":
        return [first[0], tick(second - 1), window(second, kernel_drops=9999), tick(second)]
    other = [window(second, interface="eth1")]  # its time goes on with the windows of another port
    begin = [*first, *gone, *waited] if second == START_S else []
    return [*begin, *other, *gone, tick(second)]


def outage(rule: str, second: int) -> list[object]:
    """Build a round in which all, all beyond the router, or three of five are gone or slow."""
    lost = range(5) if rule == "cut-off" else range(3)
    macs = {n: None if rule.startswith("uplink") and n in lost else f"04:00:00:00:01:0{n}"
            for n in range(5)}  # fmt: skip
    bad = {"rtt_p50_ms": 900.0} if "degraded" in rule else {"received": 0, "state": "down"}

    def each(gone: bool) -> list[ProbeResult]:
        return [
            answer(address=f"203.0.113.{n}", mac=macs[n],
                   **(bad if gone and n in lost else {}))
            for n in macs
        ]  # fmt: skip

    calm = [probe(n, *each(gone=False)) for n in range(1, 9)]
    return [*(calm if second == START_S else []), probe(second, *each(gone=True))]


def only(rule: str, *, mac: str | None = None, **change: Any) -> Detector:
    """Build a detector of one rule with a change for all or for one device, that has seen calm."""
    needed = {rule, "high-delay"} if "degraded" in rule else {rule}
    rules: dict[str, Any] = {name: {"enabled": False} for name in RULES if name not in needed}
    if not RULES[rule].defaults.enabled:
        rules[rule] = {"enabled": True, "floor": 100}
    if mac is None:
        rules[rule] = rules.get(rule, {}) | change
    devices = {mac: {rule: change}} if mac else {}
    detector = Detector(rules=rules, devices=devices, learning_s=0, dhcp_servers=[ROUTER],
                        routers=[ROUTER])  # fmt: skip
    detector.take(window(0))
    return detector


def lasting(rule: str) -> int:
    """Return the seconds for which a rule must be shown what it is about."""
    if rule == "answers-no-pings":
        return 60  # the first frames may be those of a device that falls asleep
    return 8 if rule in BAD else 5


def opened(detector: Detector, rule: str, seconds: int | None = None) -> bool:
    """Show a detector what a rule is about for some seconds and tell whether it spoke."""
    for second in range(START_S, START_S + (seconds or lasting(rule))):
        detector.take(*hit(rule, second))
    return any(alert.rule == rule for alert in detector.alerts)


def ordered(detector: Detector, rule: str, mac: str | None, **change: Any) -> Detector:
    """Return the detector after an order at run time."""
    order = SetThreshold(rule=rule, mac=mac, **change)
    detector.take(CommandReceived("set_threshold", order, "1"))
    return detector


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_switched_off_and_given_a_floor(rule: str) -> None:
    """Off or with a floor out of reach a rule is silent, however and for whomever it was said."""
    assert opened(only(rule), rule)

    for mac in dict.fromkeys((None, subject_of(rule))):
        for change in ({"enabled": False}, {"floor": 1e8}):
            assert not opened(only(rule, mac=mac, **change), rule), (mac, change)
            assert not opened(ordered(only(rule), rule, mac, **change), rule), (mac, change)


@pytest.mark.parametrize("rule", [name for name in RULES if subject_of(name) is not None])
def test_every_rule_can_be_switched_on_for_one_device_alone(rule: str) -> None:
    """A rule that is off for all speaks of the one device it is on for."""
    mac = subject_of(rule)
    off = only(rule, enabled=False)

    assert opened(ordered(off, rule, mac, enabled=True), rule)


DECISIVE: Final = (
    "new-device", "arp-spoof", "address-denial", "rogue-dhcp", "rogue-ra", "device-down",
    "answers-no-pings", *TOGETHER, *SENSOR,
)  # fmt: skip
"""One observation of these is enough: there is nothing to count."""


@pytest.mark.parametrize("rule", [name for name in RULES if name not in DECISIVE])
def test_every_rule_that_counts_can_be_given_m_of_n(rule: str) -> None:
    """Four of four windows or rounds open where three do not."""
    four = {"raise_m": 4, "raise_n": 4, "raise_at_once": 1e6}
    for mac in dict.fromkeys((None, subject_of(rule))):
        for detector in (only(rule, mac=mac, **four), ordered(only(rule), rule, mac, **four)):
            # what is summed up over time must not speak first: the threshold just reached
            floor = ordered(detector, rule, mac, floor=reached(rule))
            assert not opened(floor, rule, 3), mac
            floor.take(*hit(rule, START_S + 3))
            assert [alert.rule for alert in floor.alerts] == [rule], mac


def reached(rule: str) -> float:
    """Return the floor that what :func:`hit` shows of a rule just reaches."""
    values = {"mac-flood": 9000.0, "loop": 9980.0,
              "host-sweep": 199.0, "high-loss": 0.9, "port-scan": 900.0,
              "high-delay": 900.0, "high-jitter": 900.0}  # fmt: skip
    return values.get(rule, 1000.0 if rule in ROWS else 9999.0)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_given_a_quiet_time(rule: str) -> None:
    """An alert closes when its rule's quiet time has passed, the general one or its device's."""
    for mac in dict.fromkeys((None, subject_of(rule))):
        detector = only(rule, mac=mac, quiet_s=40)
        assert opened(detector, rule)
        last = START_S + lasting(rule) - 1
        detector.take(*[window(second) for second in range(last + 1, last + 34)])
        assert detector.open(), mac
        detector.take(*[window(second) for second in range(last + 34, last + 44)])

        assert [one.close_reason for one in detector.alerts][-1] == "quiet"


@pytest.mark.parametrize("change", [{"enabled": False}, {"floor": 50.0}])
@pytest.mark.parametrize("rule", ["group-down", "group-degraded"])
def test_what_a_common_rule_does_not_tell_each_target_does(
    rule: str, change: dict[str, Any]
) -> None:
    """Ten that go or are slow at once, and the rule for that is off: nobody is kept silent."""
    bad = {"rtt_p50_ms": 900.0} if "degraded" in rule else {"received": 0, "state": "down"}
    detector = Detector(rules={rule: change})

    for second in range(10, 700, 10):
        how = bad if second > 600 else {}
        detector.take(probe(second, *[
            answer(address=f"198.18.0.{n}", mac=f"04:00:00:00:01:{n:02x}",
                   **(how if n < 11 else {}))
            for n in range(1, 20)
        ]))  # fmt: skip

    assert len({alert.subject for alert in detector.open().values()}) == 10


def test_a_device_that_is_switched_off_closes_its_alert_alone() -> None:
    """Switched off for one device, a rule closes what is open of it and nothing else."""
    other = "04:00:00:00:00:0d"
    detector = Detector()
    detector.take(window(0, echoes(1000), echoes(1000, other, peer=ROUTER)))

    ordered(detector, "icmp-flood", ATTACKER, enabled=False)

    assert list(detector.open()) == ["icmp-flood-04000000000d"]
    assert detector.alerts[-1].close_reason == "silenced"


@pytest.mark.parametrize("mac", [None, ATTACKER])
def test_the_factor_and_the_close_level_are_limits_like_the_others(mac: str | None) -> None:
    """Factor times the usual is the threshold; below the close level an alert ends."""
    change = {"factor": 6.0, "close_ratio": 0.9}
    for detector in (
        only("icmp-flood", mac=mac, **change),
        ordered(only("icmp-flood"), "icmp-flood", mac, **change),
    ):
        detector.core._learning.devices.restore({ATTACKER: {"icmp_echo": (40.0, 9999.0)}}, 0.0)
        detector.take(window(START_S, echoes(1000)))
        alert = detector.open()["icmp-flood-04000000000a"]
        assert (alert.evidence.baseline, alert.evidence.threshold) == (40.0, 240.0)

        detector.take(*[window(second, echoes(200)) for second in range(START_S + 1, START_S + 30)])

        assert detector.open() == {}


@pytest.mark.parametrize(("key", "most"), [("ignore", 1024), ("dhcp_servers", 64), ("routers", 64)])
def test_only_so_many_addresses_may_stand_in_a_list(key: str, most: int) -> None:
    """One more is refused, with the number that may be."""
    macs = [f"02:00:00:00:{n // 256:02x}:{n % 256:02x}" for n in range(most + 1)]

    assert getattr(DetectorSettings.model_validate({key: macs[:most]}), key) == macs[:most]
    with pytest.raises(ValidationError, match=f"at most {most} items"):
        DetectorSettings.model_validate({key: macs})


def test_limits_are_worked_out_once() -> None:
    """Until one is changed: they are asked for with each row of each window."""
    table = LimitsTable({"syn-flood": LimitsChange(floor=200.0)}, {})
    before = table.of("syn-flood", None)

    assert table.of("syn-flood", None) is before
    table.change("syn-flood", None, LimitsChange(floor=300.0))
    assert (before.floor, table.of("syn-flood", None).floor) == (200.0, 300.0)


def test_a_class_of_a_device_has_the_floor_of_the_rule_that_judges_it() -> None:
    """A flood's, or else its surge's; a device's own before all; what is no class has none."""
    table = LimitsTable(
        {"syn-flood": LimitsChange(floor=200.0), "surge-syn-ack": LimitsChange(floor=300.0)},
        {ATTACKER: {"surge-dns": LimitsChange(floor=7.0), "arp-storm": LimitsChange(floor=8.0)}},
    )

    for name, rule in (("syn", "syn-flood"), ("syn_ack", "surge-syn-ack"), ("dns", "surge-dns"),
                       ("arp", "arp-storm")):  # fmt: skip
        for mac in (ATTACKER, VICTIM):
            assert table.floor_of(name, mac) == table.of(rule, mac).floor
    assert (table.floor_of("dns", ATTACKER), table.floor_of("arp", ATTACKER)) == (7.0, 8.0)
    assert all(table.floor_of(name, VICTIM) for name in CLASSES)
    assert table.floor_of("packets", VICTIM) is None


def test_what_the_process_before_us_had_changed_is_taken_back() -> None:
    """Of rules there are, and as many as may be changed at once."""
    table = LimitsTable({}, {})
    table.restore("no-such-rule", None, LimitsChange(floor=5.0))
    assert table.overrides == {}
    before = table.of("syn-flood", ATTACKER).floor

    for number in range(1025):
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        table.restore("syn-flood", mac, LimitsChange(floor=5.0))

    assert len(table.overrides) == 1024
    assert table.of("syn-flood", "02:00:00:00:00:00").floor == 5.0
    assert table.of("syn-flood", ATTACKER).floor == before
