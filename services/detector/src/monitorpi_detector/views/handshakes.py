"""How many of the connections asked for came to life. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_detector.hosts.inventory import other_tcp

if TYPE_CHECKING:
    from monitorpi_common.messages import Tally

CLOSES_FROM: Final = 1000.0
"""SYN/s from which connections must also be seen to end: nobody can hold that many open."""
BURST: Final = 5200
"""SYNs that no burst of connections explains: a benchmark of a web server opens up to five thousand
at once. Capture looks from a few more on."""


@dataclass(frozen=True, slots=True)
class Handshakes:
    """The connections one end opened in a window, and how many came to life."""

    syn: int
    answered: int | None
    """SYN-ACKs that came back; None where the mirror port does not show them."""
    completed: float
    unended: float = 0.0
    """Of the others, those of a burst that are in use: the next window may see them end."""

    @property
    def open(self) -> float:
        """Connections that were asked for and never used."""
        return max(0.0, self.syn - self.completed)

    def may_end(self, count: float) -> float:
        """Return how many of so many open ones may yet be seen to end, as few as can be."""
        return max(0.0, count - (self.open - self.unended))

    @property
    def answered_ratio(self) -> float | None:
        """SYN-ACKs over SYNs, at most 1."""
        if self.answered is None or self.syn == 0:
            return None
        return min(1.0, self.answered / self.syn)


def handshakes(
    sent: Tally,
    back: Tally,
    *,
    span_s: float,
    sees_replies: bool | None,
    usual_other: float,
    forged: bool = False,
    is_over: bool = True,
) -> Handshakes:
    """Estimate how many of the SYNs sent became connections that carried something.

    A connection in use is answered by a SYN-ACK and then carries at least one frame more, so it
    is bounded by the SYN-ACKs that came back (each sent again counts against it: the victim still
    waits) and by the rise of other TCP frames over what was usual just before, or by the FINs.

    Args:
        sent: frames in the direction of the SYNs.
        back: frames in the other direction.
        span_s: length of the window, at least a second.
        sees_replies: both directions are visible; None: not known.
        usual_other: TCP frames/s beside SYN, SYN-ACK and RST in the direction of the SYNs.
        forged: the source addresses are not the sender's own: no reply ever reached it.
        is_over: the window is over; in one that runs connections need not have ended.

    """
    syn = sent.get("syn", 0)
    syn_ack = back.get("syn_ack", 0)
    other, usual = other_tcp(sent), usual_other * span_s
    # other traffic that stopped says nothing of what is usual now
    carried = float(other if other < 0.8 * usual else other - usual)
    # a SYN may carry a FIN too: that ends nothing
    ended = min(sent.get("fin", 0), other) + min(back.get("fin", 0), other_tcp(back))
    must_end = is_over and syn / span_s >= CLOSES_FROM
    lived = max(carried, float(ended))
    used = min(lived, 2.0 * ended) if must_end else lived
    visible = sees_replies is True or syn_ack > 0
    if visible:
        answered = float(min(syn, syn_ack))
        # a reset from the opener means it never wanted the connection
        wanted = answered - sent.get("rst", 0)
        used = min(used, wanted if used < syn else answered)
        lived = min(lived, wanted)
    else:
        used, lived = used / 2.0, lived / 2.0
    completed = 0.0 if forged else min(float(syn), max(0.0, used))
    unended = 0.0 if forged or syn >= BURST else max(0.0, min(float(syn), lived) - completed)
    return Handshakes(syn, syn_ack if visible else None, completed, unended)
