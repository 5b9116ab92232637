"""Answers from the network that are late, long, broken or made to harm."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cloud_bridge.cloudworld import START
from tests.cloud_bridge.foreigncloud import foreign

from monitorpi_cloud_bridge import web as web_module
from monitorpi_cloud_bridge.sinks.dialects import outcome
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.sink import RefusedError, UploadVerdict
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak, stamp
from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_cloud_bridge.web import Answer, NoAnswerError, ask, client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cloud_bridge.foreigncloud import Foreign


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "2027-01-15T08:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["feeds", "created_at", "id", "command_string", "executed_at", "success", "channel"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
HOSTILE = st.sampled_from(
    [
        b"", b"0", b"-1", b"[" * 100_000, b'{"feeds":' * 20_000, b"\xff\xfe", b"<html>",
        b"1" * 5000, b'{"feeds":[{"created_at":"0001-01-01T00:00:00"}]}',
        b'{"id":1e999,"created_at":"2027-01-15T08:00:00Z","command_string":"x"}',
        b'{"id":1,"created_at":"2027-01-15T08:00:00","executed_at":"2027-01-15T08:00:00Z"}',
    ]
)  # fmt: skip
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | HOSTILE | st.binary(max_size=50)
STATUSES = st.sampled_from([200, 202, 204, 301, 400, 401, 402, 404, 409, 413, 429, 500, 503])


@given(status=STATUSES, body=BODIES)
def test_no_answer_is_a_crash(cloud: Foreign, status: int, body: bytes) -> None:
    """Whatever a cloud says, every client reads it as one of the outcomes there are."""
    cloud.status, cloud.pieces = status, [b"" if status == 204 else body]
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())
    influx = Influx(cloud.url, "v2", {}, None, {}, {}, 10.0, client())
    taken: list[object] = []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())

    try:
        assert isinstance(sink.send(b"{}").verdict, UploadVerdict)
        assert isinstance(influx.send(b"").verdict, UploadVerdict)
        try:
            found = sink.verify([0, 10])
        except RefusedError:
            found = None
        assert found is None or all(isinstance(second, int) for second in found)
        asking.poll(taken.append)
        asking.poll(taken.append)
    finally:
        sink.close()
        influx.close()
        asking.client.close()


def test_an_answer_that_names_lines_without_end_is_read_once() -> None:
    """A hostile server's 64 kB of beginnings cost no more than a look at each."""
    words = "partial write: " + "unable to parse '" * 3_800
    body = json.dumps({"error": f"{words} dropped=0"}).encode()
    begun_s = time.process_time()

    said = outcome(Answer(400, body), ["m a=1 1"])

    assert time.process_time() - begun_s < 0.2
    assert said.verdict is UploadVerdict.REFUSED
    assert said.refused == {}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (202, b'{"success": true}', UploadVerdict.ACCEPTED),
        (202, b"<html>Welcome, guest</html>", UploadVerdict.UNKNOWN),
        (202, b'{"status": "401", "error": {}}', UploadVerdict.UNKNOWN),
        (202, b'{"success": tr', UploadVerdict.UNKNOWN),
        (200, b'{"success": true}', UploadVerdict.UNKNOWN),
        (200, b"0", UploadVerdict.LATER),
        (429, b"", UploadVerdict.LATER),
        (425, b"", UploadVerdict.LATER),
        (400, b"0", UploadVerdict.FORBIDDEN),
        (400, b"{}", UploadVerdict.REFUSED),
        (413, b"", UploadVerdict.REFUSED),
        (421, b"", UploadVerdict.REFUSED),
        (422, b"", UploadVerdict.REFUSED),
        (401, b"", UploadVerdict.FORBIDDEN),
        (404, b"", UploadVerdict.FORBIDDEN),
        (405, b"", UploadVerdict.FORBIDDEN),
        (402, b"", UploadVerdict.QUOTA),
        (302, b"", UploadVerdict.UNKNOWN),
        (408, b"", UploadVerdict.UNKNOWN),
        (409, b"", UploadVerdict.UNKNOWN),
        (500, b"<html>", UploadVerdict.UNKNOWN),
    ],
)
def test_what_each_answer_of_a_bulk_call_means(
    cloud: Foreign, status: int, body: bytes, verdict: UploadVerdict
) -> None:
    """The error table, line by line."""
    cloud.status, cloud.pieces = status, [body]
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())

    assert sink.send(b"{}").verdict is verdict
    sink.close()


def test_an_answer_without_end_is_cut_off(cloud: Foreign) -> None:
    """Memory is bounded whatever the server sends."""
    cloud.status, cloud.pieces = 200, [b"x" * 65536] * 200

    with client() as web, pytest.raises(NoAnswerError, match="the answer is too long"):
        ask(web, "GET", cloud.url)


def test_no_connection_is_kept_between_two_calls() -> None:
    """The next one is longer away than a server waits."""
    with socket.create_server(("127.0.0.1", 0)) as server, client() as web:
        left: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(5.0)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                left.append(connection.recv(1))

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(web, "GET", f"http://127.0.0.1:{server.getsockname()[1]}").body == b"{}"
        thread.join()

    assert left == [b""]


@pytest.mark.parametrize("body", [b"[" * 100_000, b"", b"x", b"\xff"])
def test_an_answer_that_cannot_be_read_is_no_json(body: bytes) -> None:
    """Also one that is nested deeper than anybody reads."""
    with pytest.raises(ValueError, match=r"."):
        Answer(200, body).json()


@pytest.mark.parametrize("over", [0, 1])
def test_an_answer_may_be_as_long_as_was_said(cloud: Foreign, over: int) -> None:
    """And not a byte longer."""
    cloud.status, cloud.pieces = 200, [b"x" * (1000 + over)]

    with client() as web, pytest.raises(NoAnswerError) if over else nullcontext():
        assert len(ask(web, "GET", cloud.url, most=1000).body) == 1000


def trickle(server: socket.socket, head: bytes) -> None:
    """Serve one connection a byte at a time, for as long as the client stays."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)  # the trickle itself


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Filler: ", b""],
    ids=["in the body", "in the head", "in the status line"],
)
def test_an_answer_that_trickles_is_cut_off(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not hold the uploader for ever, wherever it comes."""
    monkeypatch.setattr(web_module, "MOST_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=(server, head))
        thread.start()
        with client() as web, pytest.raises(NoAnswerError, match="the answer takes too long"):
            ask(web, "GET", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_a_packed_answer_is_not_unpacked(cloud: Foreign) -> None:
    """A few kilobytes that would become a gigabyte stay a few kilobytes, which are no JSON."""
    cloud.status, cloud.pieces = 200, [gzip.compress(b"[" * 20_000_000)]
    cloud.headers = {"Content-Encoding": "gzip", "Content-Type": "image/png"}
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())

    tracemalloc.start()
    assert sink.verify([0, 10]) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    cloud.headers = {}
    assert peak < 5_000_000
    sink.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(cloud: Foreign, status: int, tmp_path: Path) -> None:
    """Neither a row nor a key of any client follows a server's word to another one."""
    with foreign() as thief:
        cloud.status, cloud.pieces = status, [b""]
        cloud.headers = {"Location": f"{thief.url}/stolen"}
        sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())
        influx = Influx(cloud.url, "v2", {}, "T", {}, {}, 10.0, client())
        asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())

        assert sink.send(b"{}").verdict is UploadVerdict.UNKNOWN
        assert sink.verify([0, 10]) is None
        assert influx.send(b"").verdict is UploadVerdict.LATER
        asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
        done = subprocess.run(
            [sys.executable, "-m", "monitorpi_cli", "thingspeak", "setup"],
            input="USER-KEY\n", text=True, capture_output=True, check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "MONITORPI_CLOUD_BRIDGE__URL": cloud.url,
                "MONITORPI_STATE_DIR": str(tmp_path),
            },
        )  # fmt: skip

        said = f"monitorpi thingspeak: refused ({status}): GET /channels.json\n"
        assert (done.returncode, done.stderr) == (3, said)
        assert thief.asked == []
        for one in (sink, influx, asking.client):
            one.close()
    cloud.headers = {}


@pytest.mark.parametrize("place", ["javascript:alert(1)", "http://[::1", "http://a:b/", "//", ""])
def test_a_redirect_to_what_is_no_address_is_no_crash(cloud: Foreign, place: str) -> None:
    """The client library reads where a redirect leads though nobody goes there."""
    cloud.status, cloud.pieces, cloud.headers = 301, [b""], {"Location": place}
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())

    assert sink.send(b"{}").verdict is UploadVerdict.UNKNOWN
    cloud.headers = {}
    sink.close()


def test_no_cookie_is_kept(cloud: Foreign) -> None:
    """A server could fill the memory with them, and each would be sent with every call."""
    cloud.status, cloud.pieces = 200, [b"{}"]
    cloud.headers = {"Set-Cookie": "name=value; Max-Age=99999999"}
    with client() as web:
        ask(web, "GET", cloud.url)

        assert len(web.cookies.jar) == 0
    cloud.headers = {}


def test_an_answer_without_rows_is_short(cloud: Foreign) -> None:
    """Millions of objects are made of few bytes: what says yes or no is not read for long."""
    cloud.status, cloud.pieces = 200, [b"[" + b"{}," * 30_000 + b"{}]"]
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())

    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert sink.send(b"{}").text == "the answer is too long"
    assert asking.answers_total == 0
    sink.close()
    asking.client.close()


@pytest.mark.parametrize(
    ("shown", "there", "looks"),
    [(-8000, 0, 1), (-1000, 350, 1), (-999, 351, 5), (0, 400, 5), (9601, 400, 5), (19_200, 0, 1)],
)
def test_a_server_that_shows_the_same_rows_whatever_is_asked_is_asked_few_times(
    cloud: Foreign, shown: int, there: int, looks: int
) -> None:
    """Rows outside of a stretch hide none of it: a step of an upload ends."""
    asked_for = [START + 20 * n for n in range(960)]
    feeds = [{"created_at": stamp(START + shown + n)} for n in range(8000)]
    cloud.status, cloud.pieces = 200, [json.dumps({"feeds": feeds}).encode()]
    cloud.asked.clear()
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())

    found = sink.verify(asked_for)
    sink.close()

    assert found is not None
    assert (len(found & set(asked_for)), len(cloud.asked)) == (there, looks)


def test_rows_that_one_answer_does_not_show_are_asked_for_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else writes one a second to the channel: none of ours is missed."""
    asked: list[tuple[int, int]] = []

    def newest(_: ThingSpeak, first: int, last: int) -> set[int]:
        asked.append((first, last))
        return set(range(max(first, last - 7999), last + 1))

    monkeypatch.setattr(ThingSpeak, "_look", newest)
    asked_for = [START + 20 * n for n in range(960)]
    sink = ThingSpeak("http://127.0.0.1:9", 1, "W", None, 16.0, client())

    found = sink.verify(asked_for)
    sink.close()

    assert found is not None
    assert found >= set(asked_for)
    assert len(asked) == 7


def test_a_proxy_of_the_environment_sees_nothing(
    cloud: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another program's proxy setting says is not a place keys are sent to."""
    with foreign() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        cloud.status, cloud.pieces = 202, [b"{}"]
        sink = ThingSpeak(cloud.url, 1, "W", None, 16.0, client())

        assert sink.send(b"{}").verdict is UploadVerdict.ACCEPTED
        assert proxy.asked == []
        sink.close()


def test_a_server_that_speaks_no_tls_gets_no_key(cloud: Foreign) -> None:
    """An https address answered in plain text is no answer."""
    sink = ThingSpeak(cloud.url.replace("http://", "https://"), 1, "W", None, 16.0, client())

    assert sink.send(b"{}").verdict is UploadVerdict.UNREACHED
    sink.close()
