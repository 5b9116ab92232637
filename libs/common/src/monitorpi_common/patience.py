"""Whether a broker may have given us up, and somebody else may have our name by now. Pure.

A broker that hears nothing of a client for one and a half keepalives publishes its last will. A
process that was frozen or cut off for so long knows it by its clock: what lies unread when it goes
on is of before.
"""

from __future__ import annotations

from typing import Final

TAKEN_OVER: Final = "Session taken over"
"""How a connection ends that somebody with our client id took (MQTT 5, reason code 0x8E)."""


class BrokerPatience:
    """Follows one connection after the other. Times are seconds of a clock that never steps."""

    def __init__(self, keepalive_s: float, now_s: float) -> None:
        self._keepalive_s = keepalive_s
        self._heard_s = now_s
        self.is_over = False
        """It may be: until the next connection stands."""

    def heard(self, now_s: float, ended: str = "") -> None:
        """Note a sign of the broker or of our own life; ``ended``: how a connection did."""
        self.is_over |= ended == TAKEN_OVER or now_s - self._heard_s > self._keepalive_s
        self._heard_s = now_s

    def connected(self, now_s: float) -> None:
        """Begin anew."""
        self.is_over, self._heard_s = False, now_s
