"""What the answers of a stream of NATS mean together."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, MaxPayloadError
from nats.errors import TimeoutError as NoAnswer
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError

from monitorpi_cloud_bridge.sinks.jetstream import StreamPlan, outcome
from monitorpi_cloud_bridge.sinks.natsdial import NatsAccount, NatsDialler, NatsRefusedError
from monitorpi_cloud_bridge.sinks.sink import UploadOutcome, UploadVerdict
from monitorpi_common.endpoint import Endpoint

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


@pytest.mark.parametrize(
    ("code", "err_code", "verdict"),
    [
        (500, 10_023, UploadVerdict.LATER),  # insufficient resources
        (500, 10_047, UploadVerdict.LATER),  # insufficient storage resources available
        (400, 10_077, UploadVerdict.LATER),  # what the file system says
        (400, 10_122, UploadVerdict.LATER),  # maximum bytes exceeded
        (400, 10_123, UploadVerdict.LATER),  # maximum messages exceeded
        (503, 10_008, UploadVerdict.LATER),  # the cluster has no leader now
        (500, 10_049, UploadVerdict.REFUSED),
        (400, 10_060, UploadVerdict.REFUSED),
        (400, None, UploadVerdict.REFUSED),
    ],
)
def test_no_room_is_for_later_whatever_there_is_no_room_of(
    code: int, err_code: int | None, verdict: UploadVerdict
) -> None:
    """No row is to blame for it."""
    answer = APIError(code=code, err_code=err_code)

    said = f"error {err_code or code}"
    assert outcome([answer], None, 1000) == UploadOutcome(verdict, said, {})


def test_a_stream_of_ours_is_made_as_it_was_planned() -> None:
    """On disk, so many times, for so long; what comes twice within ten minutes is stored once."""
    made = StreamPlan("rows", "rows.>", 3, 1.5).config()

    assert made == StreamConfig(
        name="rows", subjects=["rows.>"], storage=StorageType.FILE, num_replicas=3,
        max_age=129_600.0, duplicate_window=600.0,
    )  # fmt: skip


def test_the_server_that_answered_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it does not."""
    servers = (Endpoint("one.example", 4222), Endpoint("two.example", 4222))
    dialler = NatsDialler(NatsAccount(servers, "x", None))
    asked: list[Endpoint] = []

    async def dial(server: Endpoint, _: list[Exception]) -> Client:
        asked.append(server)
        if server == servers[0]:
            raise ConnectionRefusedError(111, "Connection refused")
        return Client()

    monkeypatch.setattr(dialler, "_dial", dial)
    assert dialler.reached == servers[0]
    for _ in range(2):
        assert isinstance(asyncio.run(dialler.connect()), Client)
        assert dialler.reached == servers[1]

    assert asked == [servers[0], servers[1], servers[1]]


def test_who_may_not_ask_leaves_no_question_behind() -> None:
    """Neither a question that was refused nor the wait for a refusal that did not come."""

    async def run() -> None:
        dialler = NatsDialler(NatsAccount((), "x", None))
        for is_refused in (False, True):
            asked = asyncio.Event()

            async def question(is_refused: bool = is_refused, asked: Any = asked) -> str:
                asked.set()
                await asyncio.sleep(3600 if is_refused else 0)
                return "answer"

            if is_refused:
                dialler.refusal = "permissions violation"
                dialler._refused.set()
            with pytest.raises(NatsRefusedError) if is_refused else nullcontext():
                assert await dialler.answer(question()) == "answer"
            await asyncio.sleep(0)
            await asyncio.sleep(0)

            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert (dialler.refusal, dialler._refused.is_set()) == (None, False)

    asyncio.run(run())


def test_a_fault_of_ours_is_no_answer() -> None:
    """It goes on up."""
    with pytest.raises(KeyError):
        outcome([KeyError("x")], None, 1000)
