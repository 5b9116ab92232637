"""Accounts at a server of NATS: what each may, and what becomes of rows where it may not."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats.errors import TimeoutError as NoAnswer
from nats.js.api import StreamConfig
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.natsworld import NatsServer, asked, rows, sink

from monitorpi_cloud_bridge.sinks import jetstream
from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # as in test_jetstream

ACCOUNTS = """
authorization { users: [
  { user: lab, password: right, permissions: { publish: ["monitorpi-rows.lab.>"],
    subscribe: ["_INBOX.>"] } },
  { user: berlin, password: right, permissions: { publish: ["monitorpi-rows.berlin.>"],
    subscribe: ["_INBOX.>"] } },
  { user: all, password: right },
] }
"""


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """Run a server with accounts; lab and berlin may write below their names, and ask nothing."""
    monkeypatch.setattr("monitorpi_cloud_bridge.sinks.jetstream.ANSWER_S", 3.0)
    one = NatsServer(tmp_path / "nats", ACCOUNTS)
    one.start()
    yield one
    one.kill()
    gc.collect()


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("lab", "wrong", "Authorization Violation"),
        ("berlin", "right", 'permissions violation for publish to "monitorpi-rows.lab.traffic"'),
    ],
)
def test_who_may_not_write_is_told(
    guarded: NatsServer, user: str, password: str, said: str
) -> None:
    """The rows stay; it is looked at again ever more seldom."""
    one = sink(guarded.port, username=user, password=password)

    sent = one.send(one.prepare(rows(0, 2)))

    assert (sent.verdict, said in sent.text) == (UploadVerdict.FORBIDDEN, True), sent.text


def test_an_account_that_may_only_write_does(guarded: NatsServer) -> None:
    """The stream is somebody else's to make; what may not be looked up is said."""

    async def make(stream: Any) -> None:
        await stream.add_stream(StreamConfig(name="all", subjects=["monitorpi-rows.>"]))

    one = sink(guarded.port, password="right")
    assert one.send(one.prepare(rows(0, 2))).text == "no stream takes the rows"
    asked([guarded.port], make, user="all", password="right")

    assert one.send(one.prepare(rows(0, 2))).verdict is UploadVerdict.STORED
    with pytest.raises(RefusedError, match="permissions violation"):
        one.verify([START])


def test_who_is_not_let_in_cannot_look_either(guarded: NatsServer) -> None:
    """Rows stay in doubt, and it is said; the bridge goes on."""
    with pytest.raises(RefusedError, match="Authorization Violation"):
        sink(guarded.port, username="lab", password="wrong").verify([START])


def test_what_may_not_be_asked_holds_nothing_up(
    guarded: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers to no question that it forbids, but says at once that it does."""

    async def make(stream: Any) -> None:
        await stream.add_stream(StreamConfig(name="all", subjects=["monitorpi-rows.>"]))

    asked([guarded.port], make, user="all", password="right")
    monkeypatch.setattr(jetstream, "ANSWER_S", 60.0)
    one = sink(guarded.port, password="right")
    began_s = time.monotonic()

    assert one.send(one.prepare(rows(0, 2))).verdict is UploadVerdict.STORED
    with pytest.raises(RefusedError):
        one.verify([START])
    assert time.monotonic() - began_s < 30


def test_what_may_not_be_asked_says_nothing_of_rows(
    guarded: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row without an answer is in doubt: taken for refused it would come a second time."""

    async def make(stream: Any) -> None:
        await stream.add_stream(StreamConfig(name="all", subjects=["monitorpi-rows.>"]))

    async def dies(_stream: Any, _line: bytes) -> None:
        raise NoAnswer

    asked([guarded.port], make, user="all", password="right")
    one = sink(guarded.port, password="right")
    monkeypatch.setattr(one, "_publish", dies)

    assert one.send(one.prepare(rows(0, 2))).verdict is UploadVerdict.UNKNOWN
