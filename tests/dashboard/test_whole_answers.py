"""What the page's server sends, to the byte: one answer to each question, and nothing behind it."""

from __future__ import annotations

import gzip
import json
import socket
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from tests.dashboard.test_answers import PASSWORD, serving

from monitorpi_common.examples import example
from monitorpi_common.messages import DeviceWindow, Packet
from monitorpi_dashboard.core import Sight
from monitorpi_dashboard.sinks import door, web

if TYPE_CHECKING:
    from monitorpi_dashboard.sinks.web import PageServer

MAC = "b8:27:eb:12:34:56"
RIGHT = b64encode(f"monitorpi:{PASSWORD}".encode()).decode()
WRONG = b64encode(b"monitorpi:horse").decode()


def answer(server: PageServer, head: str, *lines: str, body: str = "") -> tuple[bytes, bytes]:
    """Ask; returns the head of the answer and all that follows it."""
    host = [] if any(one.startswith("Host:") for one in lines) else ["Host: localhost"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall("\r\n".join([f"{head} HTTP/1.0", *host, *lines, "", body]).encode())
        found = b""
        while piece := client.recv(65536):
            found += piece
    first, _, rest = found.partition(b"\r\n\r\n")
    return first, rest


def value(head: bytes, name: str) -> str | None:
    """Return a line of a head."""
    lines = [one.partition(": ") for one in head.decode().split("\r\n")]
    return next((text for before, _, text in lines if before == name), None)


def test_each_question_has_the_answer_of_whoever_knows_it() -> None:
    """Of the state, a device's rates, and the lines behind a number."""
    row = DeviceWindow(mac=MAC, tx={"packets": 10, "syn": 4}, rx={"packets": 6})
    with serving(None) as server:
        server.board.put(Sight("watching", 2, None, {"eth0": {MAC: (2.0, row)}}, {"site": "lab"}))
        for _ in range(2):
            server.packets.put("eth0", example(Packet))
        wanted = {
            "/api/glance": {"state": "watching", "open": 2},
            "/api/state": {"site": "lab"},
            f"/api/rates/{MAC}": server.board.rates(MAC),
            "/api/rates/02:00:00:00:00:01": server.board.rates("02:00:00:00:00:01"),
            "/api/packets": json.loads(server.packets.after(0)),
            "/api/packets?after=1": json.loads(server.packets.after(1)),
            "/api/packets?after=x": json.loads(server.packets.after(0)),
        }

        for path, told in wanted.items():
            head, body = answer(server, f"GET {path}")
            assert head.startswith(b"HTTP/1.0 200 "), path
            assert (value(head, "Content-Type"), json.loads(body)) == ("application/json", told)
    assert wanted[f"/api/rates/{MAC}"] != wanted["/api/rates/02:00:00:00:00:01"]
    assert len(wanted["/api/packets?after=1"]["lines"]) == 1


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 401), ([f"Authorization: Basic {WRONG}"], 401),
        (["Host: rebound.example", f"Authorization: Basic {RIGHT}"], 421),
        ([f"Authorization: Basic {RIGHT}"], 429),
    ],
)  # fmt: skip
def test_a_refusal_is_all_that_is_sent(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], status: int
) -> None:
    """No page, no state and no second answer stand behind it, and no command is given."""
    monkeypatch.setattr(door.time, "sleep", lambda _: None)
    given: list[Any] = []
    with serving() as server:
        server.commands.emit = given.append
        for _ in range(door.GUESSES if status == 429 else 0):
            server.door.opens(f"Basic {WRONG}", "127.0.0.1")

        for head in ("GET /", "GET /api/state", "POST /api/order/notifier/test"):
            first, body = answer(server, head, "Content-Type: application/json",
                                 "Content-Length: 2", *lines, body="{}")  # fmt: skip

            assert first.split()[1] == b"%d" % status
            assert value(first, "Content-Length") == str(len(body))
            assert b"HTTP/1.0" not in body
    assert given == []


@pytest.mark.parametrize(("takes", "is_packed"), [(None, False), ("br", False), ("br, gzip", True)])
def test_a_file_is_packed_for_whoever_unpacks_it(takes: str | None, is_packed: bool) -> None:
    """And sent once to whoever keeps it."""
    lines = [] if takes is None else [f"Accept-Encoding: {takes}"]
    with serving(None) as server:
        file = server.files["/page.js"]
        head, body = answer(server, "GET /page.js", *lines)
        assert head.startswith(b"HTTP/1.0 200 ")
        assert (value(head, "Content-Encoding") == "gzip") is is_packed
        assert (gzip.decompress(body) if is_packed else body) == file.content
        assert value(head, "Content-Length") == str(len(body))
        assert (value(head, "ETag"), value(head, "Vary")) == (file.mark, "Accept-Encoding")
        assert value(head, "Cache-Control") == "no-cache"

        other, whole = answer(server, "GET /page.js", *lines, 'If-None-Match: "other"')
        assert (other.split()[1], whole) == (b"200", body)
        known, nothing = answer(server, "GET /page.js", *lines, f"If-None-Match: {file.mark}")

    assert known.startswith(b"HTTP/1.0 304 ")
    assert (nothing, value(known, "Content-Length")) == (b"", None)
    assert (value(known, "ETag"), value(known, "Cache-Control")) == (file.mark, "no-cache")


def test_whoever_takes_nothing_is_dropped_before_the_next_event_is_due() -> None:
    """One thread holds one event at most."""
    assert 0 < web._Handler.timeout < web.KEEP_ALIVE_S
