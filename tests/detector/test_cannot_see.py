"""Each line of "What it cannot see" in docs/detection.md, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.detector.windows import (
    ATTACKER,
    ID,
    VICTIM,
    Detector,
    answer,
    echoes,
    plain,
    probe,
    repeated,
    rules_of,
    syns,
    window,
)

from monitorpi_common.messages import Spread

if TYPE_CHECKING:
    from monitorpi_common.messages import DeviceWindow

MANY = [f"04:00:00:00:01:{n:02x}" for n in range(200)]


def show(rows: list[DeviceWindow], count: int = 30) -> list[str]:
    """Return what a calm LAN and then these rows for some time open."""
    calm = [window(second) for second in range(15)]
    return rules_of(*calm, *[window(15 + n, *rows) for n in range(count)])


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([syns(45)], id="a flood under half of the floor"),
        pytest.param(
            [echoes(120, hosts=20).model_copy(update={"top_peer": {}})], id="one spread thin"
        ),
        pytest.param([syns(3, mac) for mac in MANY], id="many weak sources"),
        pytest.param([plain(ATTACKER, packets=5000, udp=5000)], id="a UDP flood"),
        pytest.param([plain(ATTACKER, packets=800, tcp=800)], id="a scan without SYNs"),
        pytest.param([plain(ATTACKER, packets=300, udp=300)], id="a scan by UDP"),
        pytest.param(
            [plain(ATTACKER, packets=300, icmp=100, udp=200)], id="errors beside other frames"
        ),
        pytest.param([plain(mac, packets=15, igmp=15) for mac in MANY], id="reports of many"),
        pytest.param([echoes(5, hosts=5)], id="a slow sweep by echo requests"),
    ],
)
def test_it_is_not_seen(rows: list[DeviceWindow]) -> None:
    """Half a minute of it opens nothing."""
    assert show(rows) == []


@pytest.mark.parametrize(
    "row",
    [
        plain(ATTACKER, packets=50, dhcp=50, broadcast=50),
        plain(ATTACKER, packets=290, arp=290, broadcast=290),
        plain(ATTACKER, packets=500, broadcast=500, udp=500),
        syns(140, ports=130, rx={"rst": 140, "tcp": 140}),
    ],
)
def test_a_single_second_below_three_times_the_floor_is_not_seen(row: DeviceWindow) -> None:
    """One burst between the floor and three times it opens nothing; a second one does."""
    once = [window(0), window(1, row), *[window(n) for n in range(2, 9)]]

    assert rules_of(*once) == []
    assert rules_of(*repeated(3, row)) != []


def test_an_unanswered_burst_of_two_seconds_is_no_storm() -> None:
    """Five hundred ARP frames could be announcements; what is asked for is counted apart."""
    row = plain(ATTACKER, packets=250, arp=250, broadcast=250)

    assert rules_of(window(0, row), window(1, row), window(2)) == []


def test_half_open_health_checks_are_taken_for_a_flood() -> None:
    """SYN, SYN-ACK and RST, a hundred and twenty times a second."""
    back = {"syn_ack": 120, "tcp": 120, "packets": 120}
    row = syns(120, rx=back, rst=120).model_copy(update={"spread": Spread(src_ips=1, dst_ips=1)})
    row = row.model_copy(update={"tx": row.tx | {"tcp": 240, "packets": 240}})

    assert show([row]) == [f"syn-flood-{ID}"]


def test_a_conversation_of_dhcp_names_both_where_neither_is_known() -> None:
    """INFORMs to one server, each answered; a server that was here before is left out."""
    asks = plain(ATTACKER, packets=60, dhcp=60, udp=60, rx={"dhcp": 60})
    answers = plain(VICTIM, packets=60, dhcp=60, udp=60, rx={"dhcp": 60})

    assert len(rules_of(*repeated(3, asks, answers))) == 2
    known = [window(n, plain(VICTIM, packets=3, udp=3)) for n in range(5)]
    later = [window(5 + n, asks, answers) for n in range(3)]
    assert rules_of(*known, *later) == [f"dhcp-starvation-{ID}"]


def test_two_that_go_together_are_no_group() -> None:
    """Each is told of by itself."""
    names = [answer(address=f"198.18.0.{k}", mac=f"04:00:00:00:01:0{k}") for k in range(2, 6)]
    gone = [one.model_copy(update={"received": 0, "state": "down"}) for one in names[:2]]
    detector = Detector()

    detector.take(*[probe(10 * n, *names) for n in range(1, 10)])
    detector.take(*[probe(10 * n, *gone, *names[2:]) for n in range(10, 15)])

    assert sorted(detector.open()) == ["device-down-198-18-0-2", "device-down-198-18-0-3"]
