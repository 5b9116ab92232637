"""What a check returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from monitorpi_cli.table import Colour

Mark = Literal["ok", "note", "wrong"]
COLOURS: Final[dict[Mark, Colour]] = {"ok": "green", "note": "yellow", "wrong": "red"}


@dataclass(frozen=True)
class CheckResult:
    """One thing looked at; what is ``wrong`` keeps MonitorPi from its work."""

    mark: Mark
    topic: str
    """What was looked at: ``broker``, ``clock``, the name of an interface."""
    text: str
    remedy: str | None = None
    """What to do; None: nothing is to be done."""

    def __str__(self) -> str:
        """Return what is printed behind the mark."""
        return ": ".join(part for part in (self.topic, self.text, self.remedy) if part)


ok = partial(CheckResult, "ok")
note = partial(CheckResult, "note")
wrong = partial(CheckResult, "wrong")


def parted(topic: str, report: str) -> CheckResult:
    """Return as wrong what a report says; its remedy stands behind its last colon."""
    text, _, remedy = report.rpartition(": ")
    return wrong(topic, text or report, remedy if text else None)
