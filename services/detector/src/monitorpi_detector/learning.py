"""What is usual for each device and target: learned from what is under the limits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_detector.baseline import Baseline

if TYPE_CHECKING:
    from monitorpi_detector.interfaces import WatchedInterface
    from monitorpi_detector.limits import LimitsTable
    from monitorpi_detector.views.rounds import RoundView
    from monitorpi_detector.views.window import WindowView

LEARN_EACH: Final = 10
"""One window of so many teaches the baseline and stands for the others: a tenth of the cost."""
MEASURES: Final = {"loss_ratio": "high-loss", "rtt_ms": "high-delay", "jitter_ms": "high-jitter"}
"""What is learned of each target, by the rule that judges it."""


class Learning:
    """The baselines of devices (frames/s by class) and of targets (loss, delay, jitter).

    Nothing is learned of whom an open alert is about: an attack must not become usual while it
    lasts.
    """

    def __init__(self, limits: LimitsTable) -> None:
        self._limits = limits
        self.devices = Baseline()
        self.targets = Baseline()

    def learn_window(
        self,
        view: WindowView,
        interface: WatchedInterface,
        frozen: frozenset[str],
        watched_s: float,
    ) -> None:
        """Learn from a sample of windows what each listed device sends.

        Args:
            view: the window.
            interface: where it was counted.
            frozen: MACs and addresses of open alerts.
            watched_s: seconds watched so far.

        """
        each = 1 if view.span_s >= LEARN_EACH else LEARN_EACH  # a long one stands for itself
        if interface.windows % each:
            return
        for mac in frozen:
            self.devices.hold(mac, watched_s)
        for row in view.rows.values():
            if row.mac in frozen:
                continue
            rates = [
                (name, rate)
                for name, count in row.tx.items()
                if (floor := self._limits.floor_of(name, row.mac)) is not None
                and (rate := count / view.span_s) < floor
            ]
            if "syn" in row.tx:
                half_open = view.rate(view.opened_by(row).open)
                if half_open < self._limits.of("syn-flood", row.mac).floor:
                    rates.append(("half_open", half_open))
            self.devices.learn(row.mac, rates, each * view.span_s, watched_s)

    def learn_round(self, view: RoundView, frozen: frozenset[str], watched_s: float) -> None:
        """Learn from a round what is usual for each target; see :meth:`learn_window`."""
        for target in view.results():
            if not frozen.isdisjoint((target.address, target.mac)):
                self.targets.hold(target.address, watched_s)
                continue
            measured = {
                "loss_ratio": None if target.state == "down" else target.loss_ratio,
                "rtt_ms": target.rtt_p50_ms,
                "jitter_ms": target.jitter_ms,
            }
            usual = [
                (name, value)
                for name, value in measured.items()
                if value is not None and value < self._limits.of(MEASURES[name], target.mac).floor
            ]
            self.targets.learn_levels(target.address, usual, watched_s)
