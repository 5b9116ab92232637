"""The page as it is put together: where it listens, what it reads, whom it asks and tells."""

from __future__ import annotations

import gc
import gzip
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from argparse import Namespace
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_common.log import Log
from monitorpi_common.service import Assembly, Context, ResourceError, Tick
from monitorpi_dashboard.__main__ import assemble
from monitorpi_dashboard.core import DashboardCore
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_dashboard.sinks.past import TABLES, NoPastError, Past
from monitorpi_dashboard.sinks.push import Push
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "monitorpi/v1/lab"


def assembled(folder: Path, **settings: Any) -> Assembly:
    """Put a page together, on any free port."""
    section = DashboardSettings.model_validate({"port": 0} | settings)
    return assemble(Context("lab", "main", "e", section, Namespace(), folder, True, True,
                            Log("dashboard")))  # fmt: skip


def server_of(found: Assembly) -> PageServer:
    """Return what serves it, and let the port go."""
    server = found.sources[0]
    assert isinstance(server, PageServer)
    assert server._server is not None
    server._server.server_close()
    return server


def test_a_page_reads_what_it_shows_and_tells_where_it_is(tmp_path: Path) -> None:
    """Without a watch address nobody is called."""
    found = assembled(tmp_path)
    server = server_of(found)

    assert isinstance(found.core, DashboardCore)
    assert found.wants == found.core.wants
    assert len(found.sources) == 1
    assert found.core.detail() == {"url": f"http://127.0.0.1:{server.port}/"}
    assert server.port > 0
    assert sorted(found.subscriptions) == [
        f"{BASE}/+/health/+", f"{BASE}/+/status/+", f"{BASE}/capture/device/+",
        f"{BASE}/capture/result/+", f"{BASE}/capture/wire/+", f"{BASE}/detector/alert/+",
        f"{BASE}/detector/result/+", f"{BASE}/detector/watch/+", f"{BASE}/notifier/result/+",
        f"{BASE}/notifier/sent/+", f"{BASE}/prober/target/+",
    ]  # fmt: skip


def test_the_settings_reach_the_parts(tmp_path: Path) -> None:
    """A password and an address in a file end with a line break."""
    found = assembled(
        tmp_path, password=" right\n", hosts=["pi.lan"], metrics_devices=3,
        history_url="http://192.0.2.1:99", watch_url="http://127.0.0.1:9/key\n",
    )  # fmt: skip
    server, push = server_of(found), found.sources[1]
    plain = server_of(assembled(tmp_path))

    assert isinstance(push, Push)
    assert (push._url, push._period_s, push._level()) == ("http://127.0.0.1:9/key", 60.0, "blind")
    assert server.password == "right"
    assert (server.hosts, server.max_devices) == (("pi.lan",), 3)
    assert (server.door.knows("pi.lan"), plain.door.knows("pi.lan")) == (True, False)
    assert (plain.password, plain.hosts, plain.max_devices) == (None, (), 0)
    assert (server.past._place(), server.metrics._max_devices) == (("192.0.2.1", 99), 3)
    push.done_total, push.failed_total = 5, 2
    assert found.core.detail() == {
        "url": server.url, "watch_url_total": 5, "watch_url_failed_total": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("devices", "follows"), [(0, False), (1, True)])
def test_metrics_of_devices_need_their_counts_always(
    tmp_path: Path, devices: int, *, follows: bool
) -> None:
    """Whether somebody looks or not."""
    found = assembled(tmp_path, metrics_devices=devices)
    server_of(found)
    core = found.core
    assert isinstance(core, DashboardCore)
    assert core._follows_always is follows


def test_what_the_core_hands_out_the_page_shows(tmp_path: Path) -> None:
    """While somebody looks; lines about frames and results come the same way."""
    found = assembled(tmp_path)
    server, core = server_of(found), found.core
    assert isinstance(core, DashboardCore)
    assert core._packets is server.packets
    assert core._answered == server.commands.answered

    with server.board.viewer():
        list(core.handle(Tick(datetime(2026, 1, 2, tzinfo=UTC), 1.0, clock_synced=True)))

    assert server.board._picture["site"] == "lab"


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    """With the settings that change it."""
    found = assembled(tmp_path)
    taken = found.sources[0].port  # type: ignore[attr-defined] # the server has it

    with pytest.raises(ResourceError, match=rf"127\.0\.0\.1 port {taken} .*dashboard\.port"):
        assembled(tmp_path, port=taken)
    server_of(found)


# --- who is asked and told ------------------------------------------------------------------------


class Answers:
    """What a server answers, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@contextmanager
def answering() -> Iterator[Answers]:
    """Run a server that answers as it is told."""
    one = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.asked.append((self.path, self.headers["User-Agent"]))
            self.send_response(one.status)
            self.end_headers()
            self.wfile.write(one.body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        one.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield one
        server.shutdown()
        thread.join()


def test_each_call_of_the_dead_man_s_switch_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As done or as failed, with the reason and never the address."""
    log, said = Log("push-test"), list[str]()
    monkeypatch.setattr(log, "warning", lambda _, reason: said.append(reason))
    with answering() as there:
        push = Push(f"{there.url}/key", lambda: "watching", log)
        for there.status in (200, 204, 404, 500):
            push._call()
        assert set(there.asked) == {("/key", "MonitorPi")}
    push._call()

    assert (push.done_total, push.failed_total) == (2, 3)
    assert said == ["status 404", "status 500", "ConnectionRefusedError"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib's own
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "BadStatusLine"),
        (b"HTTP/1.1 " + b"2" * 70_000, "LineTooLong"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "IncompleteRead"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a:b/\r\n\r\n", "InvalidURL"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", "ValueError"),
        (b"", "RemoteDisconnected"),
    ],
    ids=["no HTTP", "a line without end", "cut short", "led to no port", "led nowhere", "silence"],
)
def test_whatever_answers_at_the_switch_the_page_runs_on(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    """It is counted as a call that failed."""
    log, said = Log("push-test"), list[str]()
    monkeypatch.setattr(log, "warning", lambda _, reason: said.append(reason))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        push = Push(f"http://127.0.0.1:{server.getsockname()[1]}/", lambda: "watching", log)
        push._call()
        thread.join(10)
    gc.collect()  # what the library leaves open is seen here

    assert (push.done_total, push.failed_total, said) == (0, 1, [reason])


def test_a_switch_that_is_slow_is_waited_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not read without end."""
    waits: list[object] = []

    def away(_: object, **more: object) -> None:
        waits.append(more)
        raise urllib.error.URLError(TimeoutError())

    monkeypatch.setattr(urllib.request, "urlopen", away)
    push = Push("http://127.0.0.1:9/", lambda: "watching", Log("push-test", "error"))

    push._call()

    assert waits == [{"timeout": 10.0}]
    assert (push.done_total, push.failed_total) == (0, 1)


def test_a_stopped_switch_calls_nobody() -> None:
    """Nor does one that waits for its first minute."""
    with answering() as there:
        push = Push(there.url, lambda: "watching", Log("push-test"), period_s=0.0)
        thread = threading.Thread(target=push.run, args=(lambda _: None,))
        thread.start()
        wait_for(lambda: push.done_total > 1, 10)
        push.stop()
        thread.join(10)
        done = len(there.asked)
        push.run(lambda _: None)

        assert not thread.is_alive()
        assert len(there.asked) == done


def test_a_question_is_handed_on_as_it_was_asked() -> None:
    """By its table, with its query if there is one; each place is given back."""
    with answering() as there:
        past = Past(lambda: there.url)
        for query in ("", "from=-2h", "a", "b", "c"):
            with past.ask("wire", query) as answer:
                assert (answer.status, answer.read()) == (200, b"{}")
    asked = [path for path, _ in there.asked]

    assert asked == ["/v1/wire", *(f"/v1/wire?{one}" for one in ("from=-2h", "a", "b", "c"))]
    known = ["alerts", "changes", "devices", "exceedances", "probes", "state", "traffic", "wire"]
    assert sorted(TABLES) == known


@pytest.mark.parametrize(
    ("told", "url", "place"),
    [
        ("http://127.0.0.1", None, ("127.0.0.1", 80)), ("http://[::1]:7", None, ("::1", 7)),
        ("http://localhost:7", None, ("localhost", 7)),
        (None, "http://192.0.2.1", ("192.0.2.1", 80)),
        ("http://127.0.0.1:7", "http://192.0.2.1:9", ("192.0.2.1", 9)),
    ],
)  # fmt: skip
def test_where_the_history_is(told: str | None, url: str | None, place: tuple[str, int]) -> None:
    """Where the settings say; else where it says itself, on this machine."""
    assert Past(lambda: told, url)._place() == place


@pytest.mark.parametrize(
    ("table", "query", "status", "text"),
    [
        ("secrets", "", 404, "there is no such table"),
        ("wire", "a b", 400, "ask in printable ASCII"),
        ("wire", "\u00e4", 400, "ask in printable ASCII"),
        ("wire", "", 503, "the history does not answer (ConnectionRefusedError)"),
    ],
)
def test_whose_fault_it_is_that_there_is_no_answer(
    table: str, query: str, status: int, text: str
) -> None:
    """By status and words."""
    with answering() as there:
        past = Past(lambda: there.url)

    with pytest.raises(NoPastError) as raised, past.ask(table, query):
        pass

    assert (raised.value.status, str(raised.value)) == (status, text)
    assert NoPastError("x").status == 503


def test_a_file_that_a_browser_has_is_not_sent_again(tmp_path: Path) -> None:
    """It is known by its mark, which stands in both answers; packed where that is taken."""
    server = assembled(tmp_path).sources[0]
    assert isinstance(server, PageServer)
    thread = threading.Thread(target=server.run, args=(lambda _: None,))
    thread.start()

    def get(**more: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in more.items()}
        connection.request("GET", "/store.js", headers=named)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    status, headers, body = get()
    mark, file = headers["ETag"], server.files["/store.js"]
    assert re.fullmatch(r'"[0-9a-f]{16}"', mark)
    assert (status, body, mark) == (200, file.content, file.mark)
    assert (headers["Vary"], headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
    status, headers, packed = get(Accept_Encoding="gzip")
    assert (headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", body)
    status, headers, nothing = get(If_None_Match=mark)
    server.stop()
    thread.join(10)

    assert (status, headers["ETag"], nothing) == (304, mark, b"")
    assert "Content-Length" not in headers
