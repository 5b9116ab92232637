"""Pauses between attempts that fail, all of them in one place. Pure.

Each pause is twice the one before, up to a longest: whoever was away for a moment is found again at
once, and whoever stays away is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DOUBLINGS: Final = 32
"""More than any pause takes to its longest, and no number too large for a float."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """The pauses of one kind of attempt, in seconds."""

    first_s: float
    most_s: float

    def after(self, failures: int) -> float:
        """Return the pause behind so many failures in a row; before any, the first one."""
        doublings = min(max(failures - 1, 0), _DOUBLINGS)
        return max(self.first_s, min(self.first_s * 2.0**doublings, self.most_s))

    def longer(self, pause_s: float) -> float:
        """Return the pause that follows one; behind 0 the first one."""
        return max(self.first_s, min(2 * pause_s, self.most_s))

    def up_to(self, most_s: float) -> BackOff:
        """Return the same pauses with another longest one, which the first keeps too."""
        return BackOff(min(self.first_s, most_s), most_s)


BROKER: Final = BackOff(1.0, 4.0)
"""A broker of one's own is no crowd's: whoever mends it sees within ten seconds that it is."""
CHILD: Final = BackOff(0.5, 30.0)
"""A program of ``up`` that crashed."""
LACKING_CHILD: Final = BackOff(5.0, 300.0)
"""A program of ``up`` that lacks something: it says so at each start."""
MESSAGE: Final = BackOff(5.0, 120.0)
"""A message to people; the longest is a setting."""
CLOUD_MOST_S: Final = 300.0
"""Rows for a cloud; the first pause is its own pacing."""
QUIET_TARGET_MOST_S: Final = 60.0
"""Requests to a target that is down; the first pause is its own interval, longer or not."""
