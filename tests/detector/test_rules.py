"""What the rules about devices call by its name, and what they leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    PI,
    ROUTER,
    VICTIM,
    Detector,
    at,
    conflict,
    device,
    window,
)
from tests.drive import received

from monitorpi_common.messages import Marks
from monitorpi_detector.items import Kept

if TYPE_CHECKING:
    from monitorpi_common.messages import (
        Device,
    )

# --- devices -------------------------------------------------------------------------------------

LEARNED = 100.0


def watched(*known: Device) -> Detector:
    """Build a detector whose learning time has passed in sight of some devices."""
    detector = Detector(learning_s=LEARNED)
    detector.take(window(0), *known, *[window(second) for second in range(1, 121)])
    return detector


def test_a_new_device_is_told_of_after_the_first_day() -> None:
    """In the learning time every device is known; later a new one is told of once."""
    detector = watched(device(ATTACKER, 0, "198.18.0.10"))

    published = detector.take(
        device(VICTIM, 121, "198.18.0.11", vendor="Acme", randomised=True),
        device(VICTIM, 180, "198.18.0.11"),
    )

    assert [(one.key, one.severity) for one in published] == [("new-device-04000000000b", "info")]
    assert "Acme, private address" in published[0].summary


def test_a_device_that_people_know_is_not_new() -> None:
    """They said so before it came back, or while it was away."""
    detector = watched(device(ATTACKER, 0, "198.18.0.10"))

    assert detector.take(device(VICTIM, 121, "198.18.0.11", marks=Marks(known=True))) == []


def test_time_that_nobody_watched_teaches_nothing() -> None:
    """Two captures a month apart in one file are no month of learning."""
    detector = Detector()

    published = detector.take(device(ATTACKER, 0), device(VICTIM, 30 * 86400.0))

    assert published == []


def test_messages_about_devices_move_no_time() -> None:
    """One that a wrong clock stamped a year ahead neither ends the learning nor stays open."""
    detector = Detector()
    ahead = 365 * 86400.0
    taken = conflict("198.18.0.1", ROUTER, ATTACKER, ahead, router=True)

    published = detector.take(window(0), device(ATTACKER, ahead, conflicts=[taken]), window(1))
    detector.take(*[window(second) for second in range(2, 310)])

    assert [one.at for one in published] == [at(4)]
    assert detector.open() == {}
    assert detector.core._time.watched_s < 400


def test_what_was_is_no_news_after_a_restart() -> None:
    """A retained message without a window says nothing of now; the same one later is news."""
    detector = Detector(learning_s=0, dhcp_servers=[ROUTER])
    stranger = device(ATTACKER, 10, dhcp_server=True)

    before = detector.take(received(stranger, "04000000000a", retained=True))
    after = detector.take(window(10), stranger)

    assert before == []
    assert f"rogue-dhcp-{ID}" in [one.key for one in after]


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        ({"claims": 1, "router": True}, "critical"),
        ({"claims": 1, "router": True, "relation": "virtual"}, "critical"),
        ({"claims": 1, "router": True, "relation": "siblings"}, "warning"),
        ({"claims": 1, "router": True, "present": False}, "warning"),
        ({"claims": 1, "router": True, "in_turns": True}, "critical"),
        ({"claims": 1}, None),
        ({"claims": 2}, "warning"),
        ({"claims": 2, "in_turns": True}, "info"),
        ({"claims": 2, "relation": "siblings"}, "info"),
        ({"claims": 1, "relation": "siblings"}, None),
    ],
)
def test_how_loudly_a_claim_is_told(facts: dict[str, Any], severity: str | None) -> None:
    """A router's address with the first claim, others when the claimant insists."""
    taken = conflict("198.18.0.1", ROUTER, ATTACKER, 5, **facts)

    published = Detector().take(window(4), device(ROUTER, 5, "198.18.0.1", conflicts=[taken]))

    assert [one.severity for one in published] == ([] if severity is None else [severity])
    if published:
        assert published[0].evidence.sources[0].mac == ATTACKER
        assert published[0].evidence.victims[0].mac == ROUTER
        assert published[0].key == f"arp-spoof-{ID}"


def test_a_claim_is_told_of_once() -> None:
    """Both parties' messages carry it, again each minute: the alert closes all the same."""
    taken = conflict("198.18.0.1", ROUTER, ATTACKER, 5, router=True)
    detector = Detector()
    for second in range(5, 320):
        detector.take(window(second))
        if second % 60 == 5:
            for mac in (ROUTER, ATTACKER):
                detector.take(device(mac, second, conflicts=[taken]))

    assert detector.open() == {}
    assert len({one.id for one in detector.alerts}) == 1


def test_what_is_shared_is_told_of_once_however_long_it_lasts() -> None:
    """Ports of one machine: one ``info`` that closes, though each minute brings claims."""
    detector = Detector()
    for second in range(900):
        detector.take(window(second))
        if second % 10 == 5:
            taken = conflict("198.18.0.9", VICTIM, ATTACKER, second, 9, relation="siblings")
            detector.take(device(VICTIM, second, conflicts=[taken]))

    assert [(one.severity, one.state) for one in detector.alerts if one.state == "closed"] == [
        ("info", "closed")
    ]
    assert detector.open() == {}


def test_machines_of_one_owner_may_share() -> None:
    """``together`` of the configuration."""
    taken = conflict("198.18.0.1", ROUTER, ATTACKER, 5, 9, router=True)
    detector = Detector(together=[[VICTIM, PI], [ATTACKER, ROUTER]])

    assert detector.take(window(4), device(ROUTER, 5, conflicts=[taken])) == []


def test_an_unknown_dhcp_server_is_rogue() -> None:
    """Servers of the learning time, or the configured ones, are known; another one is reported."""
    detector = watched(device(ROUTER, 0, dhcp_server=True))

    published = detector.take(device(ATTACKER, 121, dhcp_server=True))

    assert (f"rogue-dhcp-{ID}", "critical") in [(one.key, one.severity) for one in published]
    configured = Detector(dhcp_servers=[ROUTER])
    assert [(f"rogue-dhcp-{ID}", "critical")] == [
        (one.key, one.severity) for one in configured.take(device(ATTACKER, 1, dhcp_server=True))
    ]


def test_an_unknown_router_is_rogue() -> None:
    """The same for who advertises itself as an IPv6 router."""
    detector = watched(device(ROUTER, 0, advertised_at=at(0)))
    ahead = {"routers": [ROUTER]}

    published = detector.take(device(ATTACKER, 121, advertised_at=at(121)))

    assert (f"rogue-ra-{ID}", "critical") in [(one.key, one.severity) for one in published]
    for options, keys in (({}, []), (ahead, [f"rogue-ra-{ID}"])):
        first_day = Detector(**options)
        reported = first_day.take(device(ATTACKER, 1, advertised_at=at(1)))
        assert [one.key for one in reported] == keys


@pytest.mark.parametrize(
    ("second", "routers", "reported"),
    [(10, [], 0), (10, ["198.18.0.1"], 0), (10, ["198.18.0.66"], 1),
     (200, [], 1), (200, ["198.18.0.1"], 0), (200, ["198.18.0.66"], 1)],
)  # fmt: skip
def test_in_the_first_day_a_second_server_must_be_early_or_agree(
    second: int, routers: list[str], reported: int
) -> None:
    """A pair answers from the start, or tells of the same router; else it is a ``warning``."""
    detector = Detector()
    detector.take(window(0), device(ROUTER, 0, dhcp_server=True, dhcp_routers=["198.18.0.1"]))
    detector.take(window(second))

    published = detector.take(device(ATTACKER, second, dhcp_server=True, dhcp_routers=routers))

    assert [one.severity for one in published] == ["warning"] * reported


def test_who_stopped_serving_is_told_no_longer() -> None:
    """The message goes on saying that it is a server, and when it last was one."""
    detector = watched(device(ROUTER, 0, dhcp_server=True))
    for second in range(121, 600):
        detector.take(window(second))
        if second % 60 == 1:
            served = at(min(second, 181))
            detector.take(device(ATTACKER, second, dhcp_server=True, dhcp_at=served))

    assert f"rogue-dhcp-{ID}" not in detector.open()
    assert f"rogue-dhcp-{ID}" in {one.key for one in detector.alerts}


def test_configured_dhcp_servers_are_all_there_are() -> None:
    """What was learned before is not known any more once the configuration names the servers."""
    learned = Kept(dhcp_servers=[ATTACKER])

    published = Detector(kept=learned, dhcp_servers=[ROUTER]).take(
        device(ATTACKER, 1, dhcp_server=True)
    )
    unsaid = Detector(kept=learned).take(device(ATTACKER, 1, dhcp_server=True))

    assert [one.key for one in published] == [f"rogue-dhcp-{ID}"]
    assert unsaid == []
