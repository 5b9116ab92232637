"""Rows to a stream of NATS JetStream, one message each, each acknowledged by the stream.

Each row has an id (``Nats-Msg-Id``): what comes again within the stream's window for duplicates is
stored once. What is in doubt for longer is looked up before it is sent again, so that window need
not be as long as an outage. A call is one connection: between two calls nothing is kept alive,
nothing is queued, and nothing is sent again behind the uploader's back.

A stream that takes the rows' subject is used as it is; where there is none, one is made.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nats.errors import Error, MaxPayloadError
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from monitorpi_cloud_bridge.sinks.natsdial import (
    NatsDialler,
    NatsRefusedError,
    as_said,
    hang_up,
)
from monitorpi_cloud_bridge.sinks.sink import (
    CallLimits,
    RefusedError,
    UploadOutcome,
    UploadVerdict,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from monitorpi_cloud_bridge.items import OutboxRow
    from monitorpi_cloud_bridge.sinks.natsdial import NatsAccount
    from monitorpi_cloud_bridge.sinks.rowjson import RowForm

BATCH_ROWS: Final = 500
ANSWER_S: Final = 10.0
LOOK_S: Final = 60.0
"""A look for rows takes so long at most; then all of them stay in doubt."""
DUPLICATES_S: Final = 600.0
"""What comes again within this is stored once, in a stream of ours: longer than any pause between
two tries in which nothing is looked up."""
EARLIER_S: Final = 3600.0
"""Rows are looked for from so long before their second on: the stream's clock may be behind."""
_DAY_S: Final = 86_400.0
_FULL: Final = (10_023, 10_047, 10_077, 10_122, 10_123)
"""No room: resources, storage, most messages, most bytes (nats-server's errors.json)."""
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A stream as it is made where none takes our subjects."""

    name: str
    subjects: str
    replicas: int
    keep_days: float

    def config(self) -> StreamConfig:
        """Return what the server is asked for."""
        return StreamConfig(
            name=self.name, subjects=[self.subjects], storage=StorageType.FILE,
            num_replicas=self.replicas, max_age=self.keep_days * _DAY_S,
            duplicate_window=DUPLICATES_S,
        )  # fmt: skip


class JetStream:
    """One mapping channel as one subject of a stream."""

    def __init__(
        self,
        account: NatsAccount,
        plan: StreamPlan,
        subject: str,
        form: RowForm,
        pacing_s: float,
    ) -> None:
        """Prepare a writer.

        Args:
            account: where to, and who we are there.
            plan: the stream that is made where none takes the subject.
            subject: of every row.
            form: how a row is written.
            pacing_s: seconds from an answer to the next call.

        """
        self.limits = CallLimits(BATCH_ROWS, pacing_s)
        self._dialler = NatsDialler(account)
        self._plan = plan
        self._subject = subject
        self._form = form
        self._may_ask = True

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Say that a stream drops no row without a word: its age there counts from its arrival."""
        del row, now_s
        return None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the rows as lines of JSON."""
        return self._form.lines(rows)

    def send(self, body: bytes) -> UploadOutcome:
        """Publish each row and read what the stream says of it."""
        return asyncio.run(self._send(body.split(b"\n")))

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Return which rows the stream has; None: it is not known.

        Raises:
            RefusedError: this account may not read there.

        """
        return asyncio.run(self._look(seconds))

    def close(self) -> None:
        """Do nothing: there is no connection between two calls."""

    async def _send(self, lines: Sequence[bytes]) -> UploadOutcome:
        try:
            async with self._stream() as (client, stream):
                if (why := await self._refuses_all(stream)) is not None:
                    return UploadOutcome(UploadVerdict.LATER, why)
                asked = [self._publish(stream, line) for line in lines]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                return outcome(answers, self._dialler.refusal, client.max_payload)
        except NatsRefusedError as error:
            return UploadOutcome(UploadVerdict.FORBIDDEN, str(error))
        except OSError as error:
            return UploadOutcome(UploadVerdict.UNREACHED, str(error))

    async def _publish(self, stream: JetStreamContext, line: bytes) -> None:
        headers = {Header.MSG_ID.value: str(json.loads(line)["id"])}
        await stream.publish(self._subject, line, timeout=ANSWER_S, headers=headers)

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[tuple[Client, JetStreamContext]]:
        """Connect for one call.

        Raises:
            NatsRefusedError: it answered, and does not let us in.
            OSError: nobody is reached; the text says why.

        """
        client = await self._dialler.connect()
        try:
            yield client, client.jetstream(timeout=ANSWER_S)
        finally:
            await hang_up(client)

    async def _refuses_all(self, stream: JetStreamContext) -> str | None:
        """Return why no row would be kept, None: they are, or it may not be asked.

        Who may not ask finds out by publishing; a server logs each question, so it is not repeated.
        """
        if self._may_ask:
            try:
                return await self._dialler.answer(self._keeps_nothing(stream))
            except NatsRefusedError:
                self._may_ask = False
        return None

    async def _keeps_nothing(self, stream: JetStreamContext) -> str | None:
        """Make the stream where there is none; return why it would keep no row, None: it does."""
        try:
            name = await stream.find_stream_name_by_subject(self._subject)
            info = await stream.stream_info(name)
        except NotFoundError:
            try:
                await stream.add_stream(self._plan.config())
            except APIError as error:
                return f"no stream takes {self._subject}, and none can be made: {_text(error)}"
            return None
        except (Error, TimeoutError):
            return None
        kept = info.config.retention == RetentionPolicy.LIMITS
        if kept or info.state.consumer_count:
            return None
        return f"stream {name} keeps rows for its consumers alone, and has none"

    async def _look(self, seconds: Sequence[int]) -> set[int] | None:
        wanted = {self._form.id(second): second for second in seconds}
        try:
            async with self._stream() as (_, stream):
                found = await self._dialler.answer(self._ids(stream, seconds[0]))
        except NatsRefusedError as error:
            raise RefusedError(str(error)) from None
        except NotFoundError:
            return set()
        except (Error, OSError, TimeoutError):
            return None
        return {second for id_, second in wanted.items() if id_ in found}

    async def _ids(self, stream: JetStreamContext, first: int) -> set[str]:
        """Return the ids of our rows from a second on.

        The reader has a name that is the channel's own: an account may be allowed just this one.

        Raises:
            TimeoutError: it takes too long.

        """
        config = ConsumerConfig(
            name="-".join(self._subject.split(".")[-2:]), headers_only=True,
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=datetime.fromtimestamp(first - EARLIER_S, UTC),
        )  # fmt: skip
        until_s = time.monotonic() + LOOK_S
        found: set[str] = set()
        reader = await stream.subscribe(self._subject, ordered_consumer=True, config=config)
        info = await reader.consumer_info()
        comes = info.num_pending or (info.delivered and info.delivered.consumer_seq)
        while comes:  # what is under way to us is no longer pending
            if time.monotonic() > until_s:
                raise TimeoutError
            message = await reader.next_msg(timeout=ANSWER_S)
            found.add((message.headers or {}).get(Header.MSG_ID.value, ""))
            comes = message.metadata.num_pending
        return found


def outcome(
    answers: Sequence[BaseException | None], refusal: str | None, max_payload: int
) -> UploadOutcome:
    """Return what the stream's answers to some rows mean together.

    Args:
        answers: of each row; None: it is stored.
        refusal: what the server says this account may not do, if anything.
        max_payload: bytes the server takes in one message.

    """
    refused: dict[int, str] = {}
    for place, answer in enumerate(answers):
        match answer:
            case None:
                continue
            case MaxPayloadError():
                refused[place] = f"larger than the server takes ({max_payload} bytes)"
            case APIError() if not _is_for_later(answer):
                refused[place] = _text(answer)
            case Error() | OSError():
                return _unstored(answer, refusal)
            case BaseException():
                raise answer
    if len(refused) == len(answers):
        return UploadOutcome(UploadVerdict.REFUSED, refused[0])
    return UploadOutcome(UploadVerdict.STORED, "acknowledged", refused)


def _is_for_later(error: APIError) -> bool:
    return error.code == _UNAVAILABLE or error.err_code in _FULL


def _unstored(error: Error | OSError, refusal: str | None) -> UploadOutcome:
    """Return what it means that a row was not acknowledged, and not for what it is."""
    match error:
        case NoStreamResponseError():
            return UploadOutcome(UploadVerdict.LATER, "no stream takes the rows")
        case APIError():
            return UploadOutcome(UploadVerdict.LATER, _text(error))
        case _ if refusal is not None:
            return UploadOutcome(UploadVerdict.FORBIDDEN, refusal)
        case TimeoutError():
            return UploadOutcome(UploadVerdict.UNKNOWN, "no answer")
    return UploadOutcome(UploadVerdict.UNKNOWN, f"it hung up ({as_said(error)})")


def _text(error: APIError) -> str:
    return as_said(error.description or f"error {error.err_code or error.code}")
