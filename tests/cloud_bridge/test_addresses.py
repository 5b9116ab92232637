"""Names with several addresses, some of which lead nowhere; names that lead nowhere."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.cloud_bridge.foreigncloud import foreign

from monitorpi_cloud_bridge import addresses as addresses_module
from monitorpi_cloud_bridge import web as web_module
from monitorpi_cloud_bridge.addresses import ServerAddresses
from monitorpi_cloud_bridge.web import NoAnswerError, NotSentError, ask, client
from monitorpi_thingspeak_double import Double

if TYPE_CHECKING:
    from collections.abc import Iterator

TRY_S = 0.3


@contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """Let an address of this machine swallow what is sent to a port: its queue is full."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind((address, port))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for one in fillers:
                one.setblocking(False)
                one.connect_ex((address, port))
            yield
        finally:
            for one in fillers:
                one.close()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the name `cloud.example` addresses; connections are given up soon."""
    addresses: list[str] = []
    real = socket.getaddrinfo

    def look(host: str, port: int, *args: Any, **more: Any) -> Any:
        if host != "cloud.example":
            return real(host, port, *args, **more)
        if not addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    monkeypatch.setattr(web_module, "SHORT_TRY_S", TRY_S)
    monkeypatch.setattr(web_module, "LONG_TRY_S", TRY_S)
    monkeypatch.setattr(web_module, "ADDRESSES", ServerAddresses())
    return addresses


def test_addresses_that_swallow_packets_cost_a_moment_each_and_only_once(
    named: list[str],
) -> None:
    """Two of three lead nowhere: the third is asked, once, and first from then on."""
    with foreign() as cloud, client() as web:
        port = cloud.server.server_address[1]
        named += ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
        cloud.pieces = [b"{}"]
        with swallowing("127.0.0.2", port), swallowing("127.0.0.3", port):
            begun = time.monotonic()
            assert ask(web, "GET", f"http://cloud.example:{port}/a").status == 200
            first_s = time.monotonic() - begun
            begun = time.monotonic()
            assert ask(web, "GET", f"http://cloud.example:{port}/b").status == 200
            second_s = time.monotonic() - begun

        assert cloud.asked == ["/a", "/b"]
        assert first_s >= 2 * TRY_S
        assert second_s < first_s - TRY_S


def test_the_last_address_gets_more_time(named: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind it there is nothing else to try: a slow line may take its time."""
    monkeypatch.setattr(web_module, "LONG_TRY_S", 5.0)
    named += ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    tries = web_module._addresses(httpx.URL("http://cloud.example/"))

    assert tries == [("127.0.0.2", TRY_S), ("127.0.0.3", TRY_S), ("127.0.0.1", 5.0)]


@pytest.mark.parametrize(
    ("timeout_s", "connect_s"), [(20.0, [2.0, 10.0]), (5.0, [2.0, 5.0]), (None, [2.0, 10.0])]
)
def test_each_address_is_asked_for_the_same_server(
    named: list[str], monkeypatch: pytest.MonkeyPatch, timeout_s: float | None,
    connect_s: list[float],
) -> None:  # fmt: skip
    """By its name, whose certificate is shown; a client's own limits hold, too."""
    monkeypatch.setattr(web_module, "SHORT_TRY_S", 2.0)
    monkeypatch.setattr(web_module, "LONG_TRY_S", 10.0)
    named += ["127.0.0.2", "127.0.0.1"]
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "127.0.0.2":
            raise httpx.ConnectTimeout("")
        return httpx.Response(204, stream=httpx.ByteStream(b""))

    with httpx.Client(transport=httpx.MockTransport(answer), timeout=timeout_s) as web:
        assert ask(web, "POST", "https://cloud.example/a?b=c", content=b"d").status == 204

    assert [str(one.url) for one in asked] == [
        "https://127.0.0.2/a?b=c", "https://127.0.0.1/a?b=c"]  # fmt: skip
    assert [one.extensions["timeout"] for one in asked] == [
        {"connect": one_s, "read": timeout_s, "write": timeout_s, "pool": timeout_s}
        for one_s in connect_s
    ]
    for one in asked:
        assert (one.method, one.content, one.headers["Host"]) == ("POST", b"d", "cloud.example")
        assert one.extensions["sni_hostname"] == "cloud.example"


@pytest.mark.parametrize("connects", [True, False])
def test_a_call_that_took_too_long_is_over_whatever_came_of_it(
    named: list[str], connects: bool
) -> None:
    """No other address is tried then, and an answer that is whole by chance is none."""
    named += ["127.0.0.2", "127.0.0.1"]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.extensions["trace"].__self__.over = True
        asked.append(request.url.host)
        if not connects:
            raise httpx.ConnectTimeout("")
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    said = "the answer takes too long" if connects else "ConnectTimeout"
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as web,
        pytest.raises(NoAnswerError, match=f"^{said}$") as raised,
    ):
        ask(web, "GET", "https://cloud.example/")

    assert asked == ["127.0.0.2"]
    assert isinstance(raised.value, NotSentError) is not connects


@pytest.mark.parametrize("event", ["connect_tcp", "start_tls"])
def test_a_connection_that_is_made_when_time_is_up_is_shut_at_once(event: str) -> None:
    """And one that was made before when it is up; once the call is over nothing is cut."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        deadline = web_module._Deadline(3600.0)
        made = {"return_value": SimpleNamespace(get_extra_info={"socket": far}.get)}
        with deadline:
            deadline.trace(f"connection.{event}.started", {})
            deadline._shut()
            deadline.trace(f"connection.{event}.complete", made)
            with pytest.raises(BlockingIOError):
                near.recv(1)

            deadline._cut()

            assert near.recv(1) == b""
        assert deadline._timer.finished.is_set()
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        made = {"return_value": SimpleNamespace(get_extra_info={"socket": far}.get)}
        deadline.trace(f"connection.{event}.complete", made)

        assert near.recv(1) == b""


def test_where_every_address_swallows_nothing_was_sent(named: list[str]) -> None:
    """The call was not made: no row is in doubt, and nothing is charged."""
    with foreign() as cloud, client() as web:
        port = cloud.server.server_address[1]
        named += ["127.0.0.2", "127.0.0.3"]
        with (
            swallowing("127.0.0.2", port),
            swallowing("127.0.0.3", port),
            pytest.raises(NotSentError, match="ConnectTimeout"),
        ):
            ask(web, "GET", f"http://cloud.example:{port}/")

        assert cloud.asked == []


def test_a_refused_address_is_followed_by_the_next(named: list[str]) -> None:
    """Nobody listens at the first one."""
    with foreign() as cloud, client() as web:
        port = cloud.server.server_address[1]
        named += ["127.0.0.9", "127.0.0.1"]

        assert ask(web, "GET", f"http://cloud.example:{port}/").status == 200


def test_an_address_that_answers_is_as_good_as_others_again(named: list[str]) -> None:
    """It failed a moment ago."""
    with foreign() as cloud, client() as web:
        port = cloud.server.server_address[1]
        web_module.ADDRESSES.failed("127.0.0.1")
        named += ["127.0.0.1"]
        assert ask(web, "GET", f"http://cloud.example:{port}/").status == 200
        named += ["127.0.0.2"]

        assert web_module.ADDRESSES.of("cloud.example", port) == ["127.0.0.1", "127.0.0.2"]


def test_the_server_is_asked_by_its_name(named: list[str]) -> None:
    """A virtual host needs it, a certificate too."""
    with foreign() as cloud, client() as web:
        port = cloud.server.server_address[1]
        named += ["127.0.0.1"]
        hosts: list[str] = []
        handler = cloud.server.RequestHandlerClass
        original = handler.do_GET  # type: ignore[attr-defined] # of the test's own handler

        def noting(self: Any) -> None:
            hosts.append(self.headers["Host"])
            original(self)

        handler.do_GET = noting  # type: ignore[attr-defined] # the same
        ask(web, "GET", f"http://cloud.example:{port}/x?y=1")

        assert hosts == [f"cloud.example:{port}"]
        assert cloud.asked == ["/x?y=1"]


def test_a_certificate_is_checked_against_the_name(
    named: list[str], certificate: tuple[str, str]
) -> None:
    """One that names the address alone is refused: the name is what was configured."""
    named += ["127.0.0.1"]
    with Double(certificate=certificate) as double, client(Path(certificate[0])) as web:
        assert ask(web, "GET", f"{double.url}/").status == 200

        with pytest.raises(NotSentError, match=r"cloud\.example"):
            ask(web, "GET", f"https://cloud.example:{double.port}/")


def test_a_resolver_that_fails_or_is_silent_is_no_call(
    named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SERVFAIL is an answer; silence is waited for only so long."""
    del named
    with client() as web:
        with pytest.raises(NotSentError, match="Temporary failure in name resolution"):
            ask(web, "GET", "http://cloud.example/")

        never = threading.Event()
        monkeypatch.setattr(addresses_module, "RESOLVE_S", 0.1)

        def silent(*_: object, **__: object) -> list[object]:
            never.wait(20)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", silent)
        with pytest.raises(NotSentError, match=r"no address of cloud\.example in 0\.1 s"):
            ask(web, "GET", "http://cloud.example/")
        never.set()


def test_an_address_that_failed_is_as_good_as_others_after_a_while() -> None:
    """Routes are mended."""
    now = 0.0
    addresses = ServerAddresses(clock=lambda: now)
    addresses.failed("127.0.0.1")
    now = addresses_module.FORGOTTEN_S + 1
    addresses.failed("::1")

    assert list(addresses._failed_s) == ["::1"]


def test_addresses_are_tried_in_the_order_of_how_they_did(named: list[str]) -> None:
    """Who failed longest ago is the first of those that did; who answers is as good as others."""
    now = 0.5
    addresses = ServerAddresses(clock=lambda: now)
    named += ["127.0.0.2", "127.0.0.2", *(f"127.0.0.{n}" for n in range(3, 12))]
    assert addresses.of("cloud.example", 80) == [f"127.0.0.{n}" for n in range(2, 8)]

    addresses.failed("127.0.0.3")
    now = 0.75
    addresses.failed("127.0.0.2")
    assert [one[-1] for one in addresses.of("cloud.example", 80)] == list("456732")

    addresses.answered("127.0.0.2")
    addresses.answered("127.0.0.7")
    assert [one[-1] for one in addresses.of("cloud.example", 80)] == list("245673")


@pytest.mark.parametrize(("passed_s", "kept"), [(599.9, 2), (600.0, 1)])
def test_an_address_that_failed_is_the_last_one_for_ten_minutes(passed_s: float, kept: int) -> None:
    """Then it is no longer kept."""
    now = 100.0
    addresses = ServerAddresses(clock=lambda: now)
    addresses.failed("127.0.0.1")
    now += passed_s
    addresses.failed("::1")

    assert len(addresses._failed_s) == kept


def test_addresses_of_this_link_alone_are_left_out(named: list[str]) -> None:
    """None with a zone can stand in a call; and an address asks no resolver."""
    named += ["fe80::1%eth0", "127.0.0.4"]
    addresses = ServerAddresses()

    assert addresses.of("cloud.example", 80) == ["127.0.0.4"]
    for host in ("192.0.2.7", "[2001:db8::1]", "2001:db8::1"):
        assert addresses.of(host, 80) == [host]


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://cloud.example/", 80), ("https://cloud.example/", 443),
     ("http://cloud.example:8080/", 8080)],
)  # fmt: skip
def test_the_resolver_is_asked_for_the_port_of_the_address(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int
) -> None:
    """Or that of the scheme."""
    asked: list[tuple[str, int]] = []

    class Noting(ServerAddresses):
        __slots__ = ()

        def of(self, host: str, port: int) -> list[str]:
            asked.append((host, port))
            return ["192.0.2.1", "192.0.2.2"]

    monkeypatch.setattr(web_module, "ADDRESSES", Noting())

    assert web_module._addresses(httpx.URL(url)) == [("192.0.2.1", 2.0), ("192.0.2.2", 10.0)]
    assert asked == [("cloud.example", port)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 120 "}, 120.0),
        ({"Retry-After": "3600"}, 3600.0),
        ({"Retry-After": "3601"}, 3600.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\u0661\u0662"}, None),
        ({"Retry-After": "Thu, 01 Jan 2026 00:02:00 GMT"}, 20.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 0.0),
        ({"Retry-After": "Thu, 01 Jan 2026 09:00:00 GMT"}, 3600.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:02:00 GMT",
          "Date": "Thu, 01 Jan 2026 00:01:50 GMT"}, 10.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:02:00 GMT", "Date": "today"}, 20.0),
        ({"Date": "Thu, 01 Jan 2026 00:01:50 GMT"}, None),
    ],
)  # fmt: skip
def test_how_long_a_server_asks_us_to_wait(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float | None
) -> None:
    """In seconds or until a date, by its own clock where it shows it; an hour at most."""
    monkeypatch.setattr(time, "time", lambda: 1_767_225_700.0)  # 2026-01-01 00:01:40

    assert web_module._retry_after_s(httpx.Headers(headers, encoding="utf-8")) == seconds
