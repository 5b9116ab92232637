"""Rows to a broker elsewhere, one message each, each acknowledged by that broker (MQTT 5).

A row counts as stored once the broker has acknowledged it (quality of service 1) and said that
somebody has subscribed to it: an acknowledgement without a subscriber (reason code 16) is a row
that nobody will ever see. What is in doubt is sent again; the id in each message tells a reader
that it has it already.

Reason codes: MQTT 5.0, 3.4.2.1 and 3.2.2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.sinks.sink import CallLimits, UploadOutcome, UploadVerdict
from monitorpi_common.handover import Handover, NotConnectedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_cloud_bridge.sinks.rowjson import RowForm

BATCH_ROWS: Final = 500
NOBODY: Final = 0x10
_WORDS: Final = {
    NOBODY: "nobody has subscribed to it",
    0x80: "the broker refuses it",
    0x83: "the broker refuses it for a reason of its own",
    0x87: "the account may not write there",
    0x90: "the broker does not take the topic",
    0x97: "the broker's quota is spent",
    0x99: "the broker does not take the payload",
}
_VERDICTS: Final = {
    NOBODY: UploadVerdict.LATER,
    0x83: UploadVerdict.LATER,
    0x97: UploadVerdict.LATER,
    0x87: UploadVerdict.FORBIDDEN,
    0x90: UploadVerdict.FORBIDDEN,
}
_FAILURE: Final = 0x80


class Mqtt:
    """One mapping channel as one topic of a broker."""

    def __init__(self, broker: Handover, topic: str, form: RowForm, pacing_s: float) -> None:
        """Prepare a writer.

        Args:
            broker: where to.
            topic: of every row.
            form: how a row is written.
            pacing_s: seconds from an answer to the next call.

        """
        self.limits = CallLimits(BATCH_ROWS, pacing_s)
        self._broker = broker
        self._topic = topic
        self._form = form

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Say that a broker drops no row without a word."""
        del row, now_s
        return None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the rows as lines of JSON."""
        return self._form.lines(rows)

    def send(self, body: bytes) -> UploadOutcome:
        """Publish each row and read what the broker says of it."""
        try:
            reasons = self._broker.publish([(self._topic, line) for line in body.split(b"\n")])
        except NotConnectedError as error:
            verdict = UploadVerdict.FORBIDDEN if error.refused else UploadVerdict.UNREACHED
            return UploadOutcome(verdict, str(error))
        return outcome(reasons, self._broker.hung_up)

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Say that nothing is there: what is in doubt is sent again, under the same id."""
        del seconds
        return set()

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()


def outcome(reasons: Sequence[int | None], hung_up: str | None = None) -> UploadOutcome:
    """Return what the broker's answers to some rows mean together, and how it ended if it did."""
    if None in reasons:
        return UploadOutcome(UploadVerdict.UNKNOWN, hung_up or "no answer")
    codes = [code for code in reasons if code is not None]
    for code in codes:
        if (verdict := _VERDICTS.get(code)) is not None:
            return UploadOutcome(verdict, _WORDS[code])
    refused = {
        place: _WORDS.get(code, f"reason code {code}")
        for place, code in enumerate(codes)
        if code >= _FAILURE
    }
    if len(refused) == len(codes):
        return UploadOutcome(UploadVerdict.REFUSED, refused[0])
    return UploadOutcome(UploadVerdict.STORED, "acknowledged", refused)
