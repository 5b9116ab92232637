"""What programs that are none of ours leave on our topics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from paho.mqtt import publish as mqtt

from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.messages import WatchState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Broker

    from monitorpi_common.messages import Message

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
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
YEARS = (
    "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2100-06-01T00:00:00Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
"""What a clock that was never set, or was set wrongly, stamps."""
LITTER = (*RAW, *(json.dumps(one).encode() for one in ODD))


def scatter(broker: Broker, topics: Sequence[str]) -> None:
    """Publish everything on each topic, every other piece to be kept by the broker."""
    pieces = [
        (f"monitorpi/v1/lab/{topic}", piece, 1, number % 2 == 0)
        for topic in topics
        for number, piece in enumerate(LITTER)
    ]
    mqtt.multiple(pieces, hostname="127.0.0.1", port=broker.port)  # type: ignore[arg-type]


def scatter_years(broker: Broker) -> None:
    """Publish every message of the contract as of the first year and the last, on its own topic."""
    pieces = [
        (str(topic).replace("/home/", "/lab/"), stamped(message, year), 1, message.DELIVERY.retain)
        for year in YEARS
        for topic, message in EXAMPLES
        if topic.kind != "command"
    ]
    mqtt.multiple(pieces, hostname="127.0.0.1", port=broker.port)  # type: ignore[arg-type]


def stamped(message: Message, year: str) -> bytes:
    """Return a message with every time in it replaced."""
    return json.dumps(_stamped(json.loads(message.encode()), year)).encode()


def _stamped(value: Any, year: str) -> Any:
    match value:
        case dict():
            return {name: _stamped(one, year) for name, one in value.items()}
        case list():
            return [_stamped(one, year) for one in value]
        case str() if _TIME.fullmatch(value):
            return year
        case _:
            return value
