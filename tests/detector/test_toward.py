"""How many frames of a class went to a sender's busiest destination."""

from __future__ import annotations

import pytest
from tests.detector.windows import VICTIM, plain

from monitorpi_common.messages import Peer
from monitorpi_detector.views.window import toward


@pytest.mark.parametrize(
    ("sent", "peer", "found"),
    [
        (None, None, 0),
        (None, Peer(mac=VICTIM, packets=5), 0),
        (7, None, 7),
        (7, Peer(mac=VICTIM), 7),
        (7, Peer(mac=VICTIM, packets=5), 5),
        (7, Peer(mac=VICTIM, packets=9), 7),
    ],
)
def test_no_more_than_it_sent_and_than_the_peer_was_sent(
    sent: int | None, peer: Peer | None, found: int
) -> None:
    """Where the peer's part is not known, all of it."""
    counts = {"udp": 3} if sent is None else {"udp": 3, "syn": sent}
    row = plain("04:00:00:00:00:0a", packets=10, bytes=600, **counts)
    row = row.model_copy(update={"top_peer": {} if peer is None else {"syn": peer}})

    assert toward(row, "syn") == found
