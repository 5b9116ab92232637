"""From which windows and rounds it is learned what is usual: every tenth, and calm ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.detector.finders import view
from tests.detector.windows import ATTACKER, VICTIM, answer, plain, syns

from monitorpi_detector.learning import Learning
from monitorpi_detector.limits import LimitsTable


def learned(row: Any, windows: int = 10, frozen: frozenset[str] = frozenset(), **more: Any
            ) -> dict[str, float]:  # fmt: skip
    """Return what is learned of the attacker from the window of this number, by class."""
    one = Learning(LimitsTable({}, {}))
    interface: Any = SimpleNamespace(windows=windows)
    one.learn_window(view(row, **more), interface, frozen, 100.0)
    usual = one.devices._devices.get(ATTACKER) or {}
    return {name: rate.watched_s for name, rate in usual.items()}


@pytest.mark.parametrize(
    ("windows", "length_s", "watched_s"),
    [(10, 1.0, 10.0), (9, 1.0, None), (11, 1.0, None), (20, 0.5, 10.0), (9, 10.0, 10.0),
     (9, 9.0, None), (10, 9.0, 90.0), (7, 60.0, 60.0)],
)  # fmt: skip
def test_one_window_of_ten_stands_for_all(
    windows: int, length_s: float, watched_s: float | None
) -> None:
    """A long one for itself."""
    found = learned(plain(ATTACKER, packets=50, arp=5), windows, length_s=length_s)

    assert found == ({} if watched_s is None else {"arp": watched_s})


@pytest.mark.parametrize(
    ("row", "names"),
    [
        (plain(ATTACKER, packets=99, arp=99), {"arp"}),
        (plain(ATTACKER, packets=99, arp=100), set()),
        (plain(ATTACKER, packets=99, dns=499), {"dns"}),
        (plain(ATTACKER, packets=9, dns=500), set()),
        (plain(ATTACKER, packets=99, bytes=99), set()),
        (syns(99), {"syn", "half_open", "tcp"}), (syns(100), {"tcp"}),
        (syns(199, rx={"syn_ack": 199, "tcp": 199}), {"tcp"}),
        (syns(199, tcp=400, rx={"syn_ack": 199, "tcp": 199}), {"half_open", "tcp"}),
    ],
)  # fmt: skip
def test_only_what_is_below_its_floor_is_learned(row: Any, names: set[str]) -> None:
    """And connections that never came to life as such."""
    assert learned(row).keys() == names


def test_whom_an_alert_is_about_teaches_nothing() -> None:
    """Time passes for it all the same; the others are learned from."""
    one = Learning(LimitsTable({}, {}))
    one.devices.restore({ATTACKER: {"arp": (5.0, 9999.0)}}, 0.0)
    interface: Any = SimpleNamespace(windows=10)
    rows = plain(ATTACKER, packets=50, arp=50), plain(VICTIM, packets=50, arp=50)

    one.learn_window(view(*rows), interface, frozenset({ATTACKER}), 500.0)

    usual, other = (one.devices._devices.get(mac) for mac in (ATTACKER, VICTIM))
    assert usual is not None
    assert other is not None
    assert (usual["arp"].rate, usual["arp"].at_s) == (5.0, 500.0)
    assert other["arp"].rate > 0


def measured(frozen: frozenset[str] = frozenset(), **more: Any) -> set[str]:
    """Return what is learned of a target from a round."""
    one = Learning(LimitsTable({}, {}))
    rounds: Any = SimpleNamespace(results=lambda: [answer(**more)])
    one.learn_round(rounds, frozen, 100.0)
    return set(one.targets._devices.get(answer().address) or {})


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"loss_ratio": 0.1, "rtt_p50_ms": 5.0, "jitter_ms": 1.0},
         {"loss_ratio", "rtt_ms", "jitter_ms"}),
        ({"loss_ratio": 0.1, "rtt_p50_ms": None, "jitter_ms": None}, {"loss_ratio"}),
        ({"loss_ratio": 0.1, "rtt_p50_ms": None, "jitter_ms": None, "state": "down"}, set()),
        ({"loss_ratio": 0.25, "rtt_p50_ms": 99.9, "jitter_ms": 29.9}, {"rtt_ms", "jitter_ms"}),
        ({"loss_ratio": 0.24, "rtt_p50_ms": 100.0, "jitter_ms": 30.0}, {"loss_ratio"}),
        ({"loss_ratio": None, "rtt_p50_ms": 0.0, "jitter_ms": None}, {"rtt_ms"}),
    ],
)  # fmt: skip
def test_what_is_learned_of_a_target(more: dict[str, Any], names: set[str]) -> None:
    """Delay, jitter and loss below their floors; of one that is down nothing is lost."""
    assert measured(**more) == names


@pytest.mark.parametrize("name", ["address", "mac"])
def test_a_target_of_an_alert_teaches_nothing(name: str) -> None:
    """By its address or its MAC."""
    whom = getattr(answer(mac=VICTIM), name)

    assert measured(frozenset({whom}), mac=VICTIM, rtt_p50_ms=5.0) == set()
    assert measured(frozenset({"other"}), mac=VICTIM, rtt_p50_ms=5.0) > set()
