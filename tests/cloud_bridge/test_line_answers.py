"""What a database's answer to some lines means, by hand: for the call, and for which rows."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.dialects import DIALECTS, outcome
from monitorpi_cloud_bridge.sinks.influx import Influx, authorisation
from monitorpi_cloud_bridge.sinks.sink import UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.web import Answer, client

if TYPE_CHECKING:
    from tests.cloud_bridge.foreigncloud import Foreign

LINES = ("m a=1 1", "m a=2 2", "m a=3 3")
STORED, REFUSED, LATER = UploadVerdict.STORED, UploadVerdict.REFUSED, UploadVerdict.LATER
OLD, ODD = "older than the retention there", "unable to parse"


def said(status: int, body: Any, lines: tuple[str, ...] = LINES) -> UploadOutcome:
    """Return what an answer means."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return outcome(Answer(status, text, 7.0), lines)


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((204,), STORED),
        ((401, 403, 404, 405, 410), UploadVerdict.FORBIDDEN),
        ((402,), UploadVerdict.QUOTA),
        ((407, 408, 425, 429, 503, 511), LATER),
        ((200, 201, 202, 301, 302, 307, 399), LATER),
        ((400, 406, 409, 413, 418, 422, 499), REFUSED),
        ((500, 502, 504, 599), UploadVerdict.UNKNOWN),
    ],
)
def test_what_each_status_means(statuses: tuple[int, ...], verdict: UploadVerdict) -> None:
    """Only 204 says stored; how long to wait is passed on."""
    for status in statuses:
        assert said(status, b"") == UploadOutcome(verdict, f"HTTP {status}", {}, 7.0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "no  \n room"}, ": no room"), ({"message": "no room"}, ": no room"),
        ({"error": "", "message": "no room"}, ": no room"), ({"error": 7}, ""), ([1], ""),
        (b"<html>", ""), (b"[" * 100_000, ""), ({"error": "x" * 500}, f": {'x' * 200}"),
    ],
)  # fmt: skip
def test_what_a_server_says_is_one_short_line(body: Any, words: str) -> None:
    """Nothing of a page of somebody else's."""
    assert said(500, body).text == f"HTTP 500{words}"
    assert said(204, body).text == "HTTP 204"


V2 = "failure writing points to database: partial write: dropped {} points outside retention policy"
V1 = "partial write: points beyond retention policy dropped={}"
UNPARSED = (
    "partial write: unable to parse 'm a=2 2': bad\nunable to parse 'm a=3 3': worse dropped=0"
)


@pytest.mark.parametrize(
    ("status", "words", "refused"),
    [
        (400, V1.format(1), {0: OLD}), (400, V1.format(2), {0: OLD, 1: OLD}),
        (422, V2.format(2) + " of duration 168h", {0: OLD, 1: OLD}),
        (422, V2.format(2) + " of duration 168h violates a Retention Policy Upper Bound", {}),
        (422, V2.format(2), {}), (400, V1.format(4), {}), (500, V1.format(1), {}),
        (400, UNPARSED, {1: ODD, 2: ODD}), (422, UNPARSED, {1: ODD, 2: ODD}),
        (400, UNPARSED.replace("dropped=0", "dropped=1"), {}),
        (400, UNPARSED.replace("m a=2", "m a=7"), {}),
        (400, UNPARSED.replace("partial write: ", ""), {}),
    ],
)  # fmt: skip
def test_which_rows_an_answer_in_words_names(
    status: int, words: str, refused: dict[int, str]
) -> None:
    """The oldest where it speaks of age, lines where it shows them; else nobody knows."""
    found = said(status, {"error": words})

    assert found.refused == refused
    assert found.verdict is (
        STORED if refused else REFUSED if status < 500 else UploadVerdict.UNKNOWN
    )
    if refused:
        assert found.text == f"HTTP {status}: {len(refused)} rows refused"


def test_where_every_row_is_named_the_call_is_refused() -> None:
    """With the server's words."""
    found = said(400, {"error": V1.format(3)})

    assert (found.verdict, found.refused) == (REFUSED, dict.fromkeys(range(3), OLD))
    assert found.text == f"HTTP 400: {V1.format(3)}"


PARTIAL = "partial write of line protocol occurred"


@pytest.mark.parametrize(
    ("error", "data", "refused"),
    [
        (PARTIAL, [{"line_number": 1, "error_message": "a"}, {"line_number": 3}],
         {0: "a", 2: "None"}),
        (PARTIAL, [{"line_number": 3, "error_message": "x" * 500}], {2: "x" * 200}),
        (PARTIAL, [{"line_number": 0}], {}), (PARTIAL, [{"line_number": 4}], {}),
        (PARTIAL, [{"line_number": "1"}], {}), (PARTIAL, [{"line_number": 1}, 7], {}),
        (PARTIAL, {"line_number": 1}, {}), (PARTIAL, None, {}), (PARTIAL, [], {}),
        ("other", [{"line_number": 1}], {}),
    ],
)  # fmt: skip
def test_which_rows_an_answer_names_by_number(
    error: str, data: Any, refused: dict[int, str]
) -> None:
    """Each by its line; one number that cannot be, and none is believed."""
    assert said(400, {"error": error, "data": data}).refused == refused


def test_how_each_server_is_spoken_to() -> None:
    """Where lines go, in which unit of time, who we are, and what it does not take."""
    assert {
        name: (one.path, one.precision, one.scheme, one.takes_text, one.forgets)
        for name, one in DIALECTS.items()
    } == {
        "v1": ("/write", "s", "Basic", True, False),
        "v2": ("/api/v2/write", "s", "Token", True, False),
        "v3": ("/api/v3/write_lp", "second", "Bearer", True, False),
        "victoriametrics": ("/api/v2/write", "s", "Bearer", False, True),
    }
    assert authorisation("v1", "me:it") == {"Authorization": "Basic bWU6aXQ="}
    assert authorisation("v2", "T") == {"Authorization": "Token T"}
    assert authorisation("v2", None) == {}


def test_a_server_that_nobody_reaches_was_sent_nothing() -> None:
    """Of one that hangs up nobody knows."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sink = Influx(f"http://127.0.0.1:{port}", "v2", {}, "T", {}, {}, 10.0, client())

    sent = sink.send(b"x")

    assert sent.verdict is UploadVerdict.UNREACHED
    assert sent.text == "ConnectError: [Errno 111] Connection refused"
    sink.close()


def test_a_server_is_asked_how_long_it_keeps_rows_with_the_token(cloud: Foreign) -> None:
    """Once an hour; what it does not say is a month."""
    cloud.status, cloud.pieces, cloud.headers = 200, [b'-retentionPeriod="7d"\n'], {}
    cloud.asked, cloud.calls = [], []
    sink = Influx(cloud.url, "victoriametrics", {}, "T", {}, {}, 10.0, client())
    now = 1_800_000_000.0

    def fits(days: float, later_s: float = 0.0) -> bool:
        row = OutboxRow("x", int(now - days * 86_400), {"field1": "1"})
        return sink.unfit(row, now + later_s) is None

    assert [fits(7.0), fits(7.1), fits(7.0, 3599.0)] == [True, False, False]
    assert (cloud.asked, cloud.calls) == (["/flags"], [("GET", "Bearer T")])
    cloud.pieces = [b""]
    assert fits(6.9, 3600.0)
    assert not fits(7.1, 3600.0)
    assert cloud.asked == ["/flags"] * 2
    assert [fits(-2.0), fits(-2.1)] == [True, False]
    ahead = OutboxRow("x", int(now) + 172_801, {"field1": "1"})
    assert sink.unfit(ahead, now) == "more than two days ahead of the clock"
    sink.close()
