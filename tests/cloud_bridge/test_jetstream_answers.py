"""What the answers of a stream of NATS mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nats.errors import ConnectionClosedError, MaxPayloadError
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import APIError, NoStreamResponseError

from monitorpi_cloud_bridge.sinks.jetstream import outcome
from monitorpi_cloud_bridge.sinks.sink import UploadVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = APIError(code=503, err_code=10_077, description="maximum messages exceeded")
LARGE = APIError(code=400, err_code=10_054, description="message size exceeds maximum allowed")


@pytest.mark.parametrize(
    ("answers", "refusal", "verdict", "refused"),
    [
        ([None, None], None, UploadVerdict.STORED, {}),
        ([None, NoAnswer()], None, UploadVerdict.UNKNOWN, {}),
        ([None, ConnectionClosedError()], None, UploadVerdict.UNKNOWN, {}),
        ([NoAnswer()], "permissions violation", UploadVerdict.FORBIDDEN, {}),
        ([NoStreamResponseError()], None, UploadVerdict.LATER, {}),
        ([None, FULL], None, UploadVerdict.LATER, {}),
        ([None, LARGE], None, UploadVerdict.STORED, {1: "message size exceeds maximum allowed"}),
        ([MaxPayloadError(), None], None, UploadVerdict.STORED,
         {0: "larger than the server takes (1000 bytes)"}),
        ([LARGE], None, UploadVerdict.REFUSED, {}),
    ],
)  # fmt: skip
def test_what_a_streams_word_means(
    answers: Sequence[BaseException | None], refusal: str | None,
    verdict: UploadVerdict, refused: dict[int, str],
) -> None:  # fmt: skip
    """By its documented meaning: a row, the call, later, never."""
    found = outcome(answers, refusal, 1000)

    assert (found.verdict, dict(found.refused)) == (verdict, refused)


def test_a_fault_of_ours_is_no_answer() -> None:
    """It goes on up."""
    with pytest.raises(KeyError):
        outcome([KeyError("x")], None, 1000)
