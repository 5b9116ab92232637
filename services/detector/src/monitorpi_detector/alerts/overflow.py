"""Subjects of one rule beyond those that have alerts of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_detector.rule import Finding

if TYPE_CHECKING:
    from datetime import datetime

    from monitorpi_detector.alerts.evidence import Observed

MAX_OPEN: Final = 32
"""Open alerts per rule; what is more is counted in one summary alert."""
MAX_SUBJECTS: Final = 8192
OTHERS: Final = "others"
"""Subject of the alert that counts what found no place."""


@dataclass(slots=True)
class Overflow:
    """The subjects of late that found no place."""

    subjects: dict[str, datetime] = field(default_factory=dict)
    _pruned: datetime | None = None
    _reported: bool = False

    def count(self, finding: Finding, quiet_s: float, seen: Observed) -> Finding | None:
        """Count a subject; return what to say of all of them, once a window."""
        if finding.subject in self.subjects or len(self.subjects) < MAX_SUBJECTS:
            self.subjects[finding.subject] = seen.at
        if self._pruned is None or seen.at > self._pruned:
            # once a window: an attacker chooses how many subjects there are
            since = seen.at - timedelta(seconds=quiet_s)
            self.subjects = {name: at for name, at in self.subjects.items() if at > since}
            self._pruned, self._reported = seen.at, False
        if self._reported:
            return None
        self._reported = True
        return Finding(
            subject=OTHERS, value=float(len(self.subjects)), threshold=1.0, unit="subjects",
            text=f"{seen.rule}: {len(self.subjects)} more beside the {MAX_OPEN} "
            "that have alerts of their own",
            severity="critical", decisive=True,
        )  # fmt: skip
