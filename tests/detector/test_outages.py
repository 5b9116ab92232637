"""One cause: what took many targets away at once is one alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import Detector, answer, plain, probe, window

from monitorpi_common.messages import ProbeSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitorpi_common.messages import Alert, ProbeResult

LAN = 30
AWAY = ("203.0.113.1", "203.0.113.2")


def near(number: int, **more: Any) -> ProbeResult:
    """Build a result of a device on the LAN."""
    values = {"address": f"198.18.0.{number}", "mac": f"04:00:00:00:01:{number:02x}",
              "name": f"device {number}"}  # fmt: skip
    return answer(**values | more)


def beyond(address: str, **more: Any) -> ProbeResult:
    """Build a result of a target beyond the router."""
    return answer(**{"address": address, "mac": None, "name": address} | more)


GONE: dict[str, Any] = {"received": 0, "loss_ratio": 1.0, "rtt_p50_ms": None, "jitter_ms": None}


def rounds(
    results: Callable[[int], Iterable[ProbeResult]], *, count: int = 60, first: int = 0,
    own: str | None = None, step_s: int = 10,
) -> list[Any]:  # fmt: skip
    """Build rounds of ten seconds."""
    source = ProbeSource(ip=own)
    return [
        probe(step_s * (n + 1), *results(n), source=source) for n in range(first, first + count)
    ]


def lan(
    lost: Iterable[int], lost_away: Iterable[str] = (), *, since: int = 30, until: int = 42,
    size: int = LAN, **how: Any,
) -> Callable[[int], list[ProbeResult]]:  # fmt: skip
    """Build a LAN of which some targets are silent for some rounds; down after three."""
    lost, lost_away = set(lost), set(lost_away)

    def round_(n: int) -> list[ProbeResult]:
        bad = GONE | {"state": "down" if n >= since + 2 else "up"} | how
        silent = since <= n < until
        return [
            *[near(k, **(bad if silent and k in lost else {})) for k in range(1, size + 1)],
            *[beyond(one, **(bad if silent and one in lost_away else {})) for one in AWAY],
        ]

    return round_


def summaries(detector: Detector) -> dict[str, Alert]:
    """Return the first word of each alert."""
    first: dict[str, Alert] = {}
    for alert in detector.alerts:
        first.setdefault(alert.key, alert)
    return first


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"error": "Network is unreachable", "cause": "no-network"}, "network is unreachable"),
        ({"error": "network is unreachable"}, "network is unreachable"),
        ({"sent": 0, "unsent": 10, "cause": "no-network", "loss_ratio": None}, "unreachable"),
        ({}, "or the switch it is on"),
    ],
)
def test_a_pi_that_is_cut_off_is_one_alert(how: dict[str, Any], words: str) -> None:
    """All targets gone at once are no news of theirs, whether the prober knows why or not."""
    detector = Detector()

    detector.take(*rounds(lan(range(1, LAN + 1), AWAY, **how)))

    assert list(summaries(detector)) == ["cut-off-main"]
    alert = summaries(detector)["cut-off-main"]
    assert (alert.severity, "this Pi is cut off" in alert.summary) == ("critical", True)
    assert words in alert.summary
    assert len(alert.evidence.victims) == 32
    assert detector.open() == {}


def test_frames_of_the_silent_show_that_the_own_link_is_away() -> None:
    """A Wi-Fi uplink that is lost while the mirror port shows everybody alive says so."""
    detector = Detector()
    items = rounds(lan(range(1, LAN + 1), AWAY), count=36)
    seen = [plain(f"04:00:00:00:01:{k:02x}", packets=5, tcp=5) for k in range(1, LAN + 1)]

    for n, one in enumerate(items):
        detector.take(*[window(10 * n + s, *seen) for s in range(10)], one)

    assert list(summaries(detector)) == ["cut-off-main"]
    assert "its own link is away" in detector.open()["cut-off-main"].summary


def test_the_machines_own_address_is_no_witness() -> None:
    """A Pi that pings itself is cut off all the same."""
    detector = Detector()

    detector.take(*rounds(lan(range(2, 6), AWAY, size=5), own="198.18.0.1"))

    assert list(summaries(detector)) == ["cut-off-main"]


def test_devices_behind_one_switch_are_one_alert() -> None:
    """Ten of thirty that go in one round, and two more a round later, have one cause."""
    detector = Detector()
    first, second = lan(range(1, 11), since=30), lan((11, 12), since=31)

    def switch(n: int) -> list[ProbeResult]:
        return [*first(n)[:10], *second(n)[10:12], *first(n)[12:]]

    detector.take(*rounds(switch, count=41))
    alert = detector.open()["group-down-198-18-0-1"]
    detector.take(*rounds(switch, count=19, first=41))

    assert list(summaries(detector)) == ["group-down-198-18-0-1"]
    assert alert.summary.startswith("12 devices went at the same moment (device 1, ")
    assert "20 others answer" in alert.summary
    assert detector.open() == {}


def test_a_small_group_is_reported_one_by_one_as_well() -> None:
    """Five named servers that go together: each has an alert that names the common one."""
    detector = Detector()

    detector.take(*rounds(lan(range(1, 6)), count=40))

    open_ = detector.open()
    assert sorted(open_) == [
        *[f"device-down-198-18-0-{k}" for k in range(1, 6)], "group-down-198-18-0-1",
    ]  # fmt: skip
    assert {one.caused_by for one in open_.values()} == {None, "group-down-198-18-0-1"}


def test_two_that_go_together_are_two() -> None:
    """Two may be a coincidence."""
    detector = Detector()

    detector.take(*rounds(lan((1, 2)), count=40))

    assert sorted(detector.open()) == ["device-down-198-18-0-1", "device-down-198-18-0-2"]


def test_an_outage_of_the_uplink_has_an_alert_of_its_own() -> None:
    """What is beyond the router fails together while the LAN lives."""
    detector = Detector()

    detector.take(*rounds(lan((), AWAY)))

    assert list(summaries(detector)) == ["uplink-down-internet"]
    assert "30 targets on the LAN do" in summaries(detector)["uplink-down-internet"].summary
    assert detector.open() == {}


def test_who_stays_away_after_an_outage_is_reported_then() -> None:
    """The switch is back, one device is not: its own alert follows."""
    detector = Detector()
    common, own = lan(range(1, 11)), lan((7,), until=999)

    detector.take(*rounds(lambda n: [*common(n)[:6], own(n)[6], *common(n)[7:]], count=120))

    assert list(detector.open()) == ["device-down-198-18-0-7"]


def test_one_lost_round_is_no_outage() -> None:
    """A Wi-Fi link that roams for a few seconds is no news."""
    detector = Detector()

    detector.take(*rounds(lan(range(1, LAN + 1), AWAY, until=31)))

    assert detector.alerts == []


def test_a_router_that_restarts_takes_wifi_and_uplink_along_in_one_alert() -> None:
    """What is beyond it and a dozen devices of its Wi-Fi: one story."""
    detector = Detector()

    detector.take(*rounds(lan(range(1, 13), AWAY)))

    assert [key for key in summaries(detector) if not key.startswith("device")] == [
        "group-down-198-18-0-1"
    ]
    assert "or the router" in summaries(detector)["group-down-198-18-0-1"].summary


def test_a_sleeping_printer_is_not_beyond_the_router() -> None:
    """It falls asleep while the uplink is away, and sleeps on: the uplink's alert ends."""
    detector = Detector()
    first, printer = lan((), AWAY), lan((5,), since=31, until=999)

    detector.take(*rounds(lambda n: [*first(n)[:4], printer(n)[4], *first(n)[5:]], count=60))

    assert "uplink-down-internet" in summaries(detector)
    assert list(detector.open()) == ["device-down-198-18-0-5"]


def test_one_device_with_three_addresses_is_no_group_and_one_alert() -> None:
    """A dual-stack NAS that dies is reported once; while one address answers it is not down."""
    nas = {"mac": "04:00:00:00:02:01", "name": "nas"}
    addresses = ("198.18.0.99", "2001:db8::99", "fe80::99")

    def house(n: int, lost: int) -> list[ProbeResult]:
        bad = GONE | {"state": "down" if n >= 32 else "up"}
        return [
            *[near(k) for k in range(1, 8)],
            *[answer(address=one, **nas, **(bad if n >= 30 and place < lost else {}))
              for place, one in enumerate(addresses)],
        ]  # fmt: skip

    dead, alive = Detector(), Detector()
    dead.take(*rounds(lambda n: house(n, 3), count=40))
    alive.take(*rounds(lambda n: house(n, 2), count=40))

    assert list(dead.open()) == ["device-down-198-18-0-99"]
    assert list(alive.open()) == []


def test_what_starts_last_after_an_outage_is_a_part_of_it() -> None:
    """Most are back after a minute; four that take three minutes more are no second outage."""
    slow = (1, 2, 3, 4)

    def round_(n: int) -> list[ProbeResult]:
        bad = GONE | {"state": "down" if n >= 32 else "up"}
        silent = {k for k in range(1, LAN + 1) if 30 <= n < (54 if k in slow else 36)}
        return [near(k, **(bad if k in silent else {})) for k in range(1, LAN + 1)]

    detector = Detector()
    detector.take(*rounds(round_, count=80))

    reported = [key for key, alert in summaries(detector).items() if alert.severity != "info"]
    assert reported == ["cut-off-main"]


def test_what_was_down_before_an_outage_keeps_its_own_alert() -> None:
    """A printer died; a switch fails an hour later and is back: the printer is reported once."""
    switch = lan(range(11, 20), since=430, until=450)
    dead = {"origin": "configured", **GONE, "state": "down"}

    def round_(n: int) -> list[ProbeResult]:
        return [near(1, **(dead if n >= 30 else {"origin": "configured"})), *switch(n)[1:]]

    detector = Detector()
    detector.take(*rounds(round_, count=600))

    assert len({one.id for one in detector.alerts if one.key == "device-down-198-18-0-1"}) == 1
    assert list(detector.open()) == ["device-down-198-18-0-1"]
    assert "9 devices went" in summaries(detector)["group-down-198-18-0-11"].summary
