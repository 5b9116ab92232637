"""ThingSpeak by MQTT: one row a message, with quality of service 0, which is all it takes.

A row counts as stored once its broker has read it. What becomes of it then is said nowhere: what
comes sooner than the licence allows, or to a channel the device may not write, vanishes. Its time
of creation is in each row, and the service keeps one row of a time: what is in doubt is sent again.
https://www.mathworks.com/help/thingspeak/publishtoachannelfeed.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from monitorpi_cloud_bridge.sinks.sink import CallLimits, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_common.handover import Handover, NotConnectedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cloud_bridge.items import OutboxRow

MOST_BYTES: Final = 3000
"""Of a message, on every licence."""


class ThingSpeakMqtt:
    """One channel of the service."""

    def __init__(self, broker: Handover, channel: int, pacing_s: float) -> None:
        """Prepare a writer.

        Args:
            broker: its broker, as one of its MQTT devices; channels of one device share it.
            channel: number of the channel.
            pacing_s: seconds from an answer to the next call.

        """
        self.limits = CallLimits(1, pacing_s)
        self._broker = broker
        self._channel = channel

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Return why nothing would be stored of a row."""
        del now_s
        if not row.fields:
            return "it has no values"
        size = len(self.prepare([row]))
        return f"{size} bytes: a message has {MOST_BYTES} at most" if size > MOST_BYTES else None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the update of a row: ``created_at`` in UTC, then its fields."""
        (row,) = rows
        return update(row)

    def send(self, body: bytes) -> UploadOutcome:
        """Publish a row, and see that the broker has read it."""
        try:
            doubt = self._broker.publish_unacknowledged(
                publish_topic(self._channel), body, f"channels/{self._channel}/subscribe"
            )
        except NotConnectedError as error:
            verdict = UploadVerdict.FORBIDDEN if error.refused else UploadVerdict.UNREACHED
            return UploadOutcome(verdict, str(error))
        if doubt is not None:
            return UploadOutcome(UploadVerdict.UNKNOWN, doubt)
        return UploadOutcome(UploadVerdict.STORED, "read by the broker")

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Say that nothing is there: what is in doubt is sent again, with the same time."""
        del seconds
        return set()

    def close(self) -> None:
        """Close the connection; whoever shares it makes another when it is needed."""
        self._broker.close()


def publish_topic(channel: int) -> str:
    """Return the topic of updates of a channel."""
    return f"channels/{channel}/publish"


def update(row: OutboxRow) -> bytes:
    """Return a row as the service reads it: ``name=value`` joined by ``&``, percent-encoded."""
    return urlencode({"created_at": stamp(row.second), **row.fields}).encode("ascii")
