"""What programs that are none of ours leave on our topics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from paho.mqtt import publish as mqtt

from monitorpi_common.examples import example
from monitorpi_common.messages import WatchState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

WATCH = json.loads(example(WatchState).encode())
RAW = (
    b"{garbage", b"\xff\xfe\x00", b"null", b"[]", b"0", b'"watching"', b"{}", b"[" * 100_000,
    b'{"state":' * 5_000, b"x" * 400_000, b"NaN", b"online", b'{"a":1e999}',
)  # fmt: skip
ODD: tuple[dict[str, Any], ...] = (
    WATCH | {"state": "asleep"}, WATCH | {"state": None}, WATCH | {"reasons": "none"},
    WATCH | {"reasons": [{}] * 33}, WATCH | {"reasons": [{"what": "x", "text": "y" * 9_000}]},
    WATCH | {"at": "9999-12-31T23:59:59Z", "since": "0001-01-01T00:00:00Z"},
    WATCH | {"since": "2026-02-30T00:00:00Z"}, WATCH | {"judged_until": "9999-12-31T23:59:59Z"},
    WATCH | {"judged_until": -1}, {"more": WATCH},
)  # fmt: skip
LITTER = (*RAW, *(json.dumps(one).encode() for one in ODD))


def scatter(broker: Broker, topics: Sequence[str]) -> None:
    """Publish everything on each topic, every other piece to be kept by the broker."""
    pieces = [
        (f"monitorpi/v1/lab/{topic}", piece, 1, number % 2 == 0)
        for topic in topics
        for number, piece in enumerate(LITTER)
    ]
    mqtt.multiple(pieces, hostname="127.0.0.1", port=broker.port)  # type: ignore[arg-type]
