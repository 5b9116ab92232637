"""The clock is set during a flood: one alert, which closes; the next flood is told as ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.detector.windows import ATTACKER, VICTIM, Detector, at, plain, probe, syns, window
from tests.drive import drive, received

from monitorpi_common.messages import Alert, Publication
from monitorpi_common.service import Tick

STEPS = [sign * step_s for step_s in (20.0, 3600.0, 86_400.0, 864_000.0) for sign in (1, -1)]
ORDERS = ["window, then tick", "tick, then window", "tick, then the window of before"]


class Rig:
    """A core, capture and prober on one machine whose clock is set."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.one = Detector()
        self.second = 0
        self.step_s = 0.0
        self.epoch = 0
        self.alerts: list[Alert] = []

    def _take(self, *items: object) -> None:
        for said in drive(self.one.core, items):
            if isinstance(said, Publication) and isinstance(said.message, Alert):
                self.alerts.append(said.message)

    def _tick(self) -> None:
        when = at(self.second + 1.02 + self.step_s)
        self._take(Tick(when, 1000.0 + self.second, clock_synced=True))

    def _window(self, syn: int) -> None:
        rows = [syns(syn)] if syn else [plain(ATTACKER, packets=3, bytes=200)]
        one = window(self.second, *rows, plain(VICTIM, packets=9, bytes=700),
                     epoch=f"e{self.epoch}")  # fmt: skip
        shift = timedelta(seconds=self.step_s)
        one = one.model_copy(update={"start": one.start + shift, "end": one.end + shift})
        self._take(received(one, "eth0"))
        if self.second % 5 == 0:
            round_ = probe(self.second + 1)
            times = {name: getattr(round_, name) + shift for name in ("round_start", "round_end")}
            self._take(received(round_.model_copy(update=times), "main"))

    def pass_(self, seconds: int, syn: int = 0) -> None:
        """Let time pass, with so many SYNs a second."""
        for _ in range(seconds):
            self.second += 1
            if self.order == "window, then tick":
                self._window(syn)
                self._tick()
            else:
                self._tick()
                self._window(syn)

    def set_clock(self, step_s: float) -> None:
        """Set the clock of everybody, and let a new epoch begin."""
        if self.order == "tick, then the window of before":
            self.second += 1
            self.step_s += step_s
            self._tick()
            self.step_s -= step_s
            self._window(500)
        self.step_s += step_s
        self.epoch += 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("step_s", STEPS)
def test_a_flood_over_a_step_is_one_alert_and_the_next_is_another(
    step_s: float, order: str
) -> None:
    """Neither is late, none stays open, nothing else is told, and each lasts as long as it did."""
    rig = Rig(order)
    rig.pass_(90)
    assert rig.alerts == []

    rig.pass_(5, syn=500)
    rig.set_clock(step_s)
    rig.pass_(5, syn=500)
    rig.pass_(30)
    first = rig.alerts[:]
    rig.alerts.clear()
    rig.pass_(3, syn=500)
    told = [one.state for one in rig.alerts]
    rig.pass_(30)

    for alerts in (first, rig.alerts):
        assert {one.rule for one in alerts} == {"syn-flood"}
        assert len({one.id for one in alerts}) == 1
        assert [one.state for one in alerts][-1] == "closed"
        assert alerts[-1].close_reason == "quiet"
    assert told[:1] == ["open"]
    lasted = [one[-1].closed_at - one[-1].opened_at for one in (first, rig.alerts)]
    assert all(timedelta(seconds=3) <= one <= timedelta(seconds=45) for one in lasted)
