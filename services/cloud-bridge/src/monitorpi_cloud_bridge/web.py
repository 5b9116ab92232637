"""Calls to a cloud that may be slow, broken or hostile: answers are bounded in size and time."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import httpx

from monitorpi_cloud_bridge.addresses import LONG_TRY_S, SHORT_TRY_S, ServerAddresses

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_S: Final = 20.0
"""Of one step of a call: connecting, or waiting for the next bytes."""
MOST_S: Final = 60.0
"""Of a whole call: a server that sends a byte now and then does not hold us."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one answer: 8,000 rows of eight fields are about 2 MB. As Python objects it may take 25 times
as much."""
LATE: Final = "the answer takes too long"
MOST_PATIENCE_S: Final = 3600.0
"""A server may ask for a year."""
_PORTS: Final = {"http": 80, "https": 443}
ADDRESSES: Final = ServerAddresses()
"""What is known of addresses: one server is asked by several sinks."""
SHORT_BYTES: Final = 64 * 1024
"""Of an answer that says no more than yes, no or one command."""


class NoAnswerError(Exception):
    """A call whose fate is not known; the text never holds a key."""


class NotSentError(NoAnswerError):
    """A call that was never made: no address, no connection, no TLS."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    """So long the server asks us to wait (RFC 9110, 10.2.3)."""

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            ValueError: it is none, or nested too deep.

        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


def client(ca_file: Path | None = None, timeout_s: float = TIMEOUT_S) -> httpx.Client:
    """Return an HTTP client that goes nowhere by surprise.

    Certificates are checked, redirects are not followed and proxies of the environment not used: a
    key goes to the configured server or nowhere. Calls are 16 s apart, no connection is kept so
    long, and no cookie: a server could fill our memory with them, call by call. ``ca_file`` holds
    certificates that are trusted besides the public ones.

    Raises:
        OSError: the file cannot be read, or holds no certificate.

    """
    return httpx.Client(
        verify=trusted(ca_file),
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_keepalive_connections=0),
    )


@cache
def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Read the certificates once: they are a megabyte for each reader."""
    trusted = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        trusted.load_verify_locations(ca_file)
    return trusted


@dataclass(slots=True)
class _Deadline:
    """Cuts the connection of a call that takes too long, wherever it hangs."""

    seconds: float
    over: bool = False
    _connection: socket.socket | None = None
    _timer: threading.Timer = field(init=False)

    def __enter__(self) -> Self:
        self._timer = threading.Timer(self.seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn the connection from the client's own events."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connection = info["return_value"].get_extra_info("socket")
            if self.over:
                self._shut()

    def _cut(self) -> None:
        self.over = True
        self._shut()

    def _shut(self) -> None:
        if self._connection is not None:
            with suppress(OSError):  # the plain call: the TLS layer belongs to the other thread
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


def ask(
    web: httpx.Client,
    method: str,
    url: str,
    *,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    most: int = MOST_BYTES,
) -> Answer:
    """Make one call; an answer of more than ``most`` bytes is none.

    Where a name has several addresses, the next one is tried after a connection that fails.

    Raises:
        NotSentError: the call was not made.
        NoAnswerError: no whole answer came, or it was too long.

    """
    # what is packed has no known size; an empty `params` would erase a query in the address
    asked = {"Accept-Encoding": "identity", **(headers or {})}
    request = web.build_request(method, url, params=params or None, headers=asked, content=content)
    with _Deadline(MOST_S) as deadline:
        for address, try_s in _addresses(request.url):
            try:
                return _ask_at(web, request, address, try_s, deadline, most)
            except NotSentError as error:
                failure = error
            if deadline.over:
                break
    raise failure


def _addresses(url: httpx.URL) -> list[tuple[str, float]]:
    """Return where to try, and how long to try to connect there."""
    try:
        found = ADDRESSES.of(url.host, url.port or _PORTS[url.scheme])
    except OSError as error:
        raise NotSentError(f"no address: {error.strerror or error}") from None
    last = len(found) - 1
    return [(one, LONG_TRY_S if n == last else SHORT_TRY_S) for n, one in enumerate(found)]


def _ask_at(
    web: httpx.Client,
    request: httpx.Request,
    address: str,
    try_s: float,
    deadline: _Deadline,
    most: int,
) -> Answer:
    """Make a call to one address of a server.

    Raises:
        NotSentError: the call was not made.
        NoAnswerError: no whole answer came, or it was too long.

    """
    timeout = {**web.timeout.as_dict(), "connect": min(try_s, web.timeout.connect or try_s)}
    there = httpx.Request(
        request.method, request.url.copy_with(host=address),
        headers=request.headers, content=request.read(),  # `Host` is among the headers
        extensions={
            "trace": deadline.trace, "sni_hostname": request.url.host, "timeout": timeout,
        },
    )  # fmt: skip
    body = bytearray()
    try:
        answer = web.send(there, stream=True)
        try:
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > most:
                    raise NoAnswerError("the answer is too long")
        finally:
            answer.close()
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        ADDRESSES.failed(address)
        raise NotSentError(_why(error)) from None
    # a redirect to what is no address is InvalidURL, which is not among its HTTP errors
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        ADDRESSES.failed(address)
        raise NoAnswerError(LATE if deadline.over else type(error).__name__) from None
    if deadline.over:
        raise NoAnswerError(LATE)
    ADDRESSES.answered(address)
    return Answer(answer.status_code, bytes(body), _retry_after_s(answer.headers))


def _why(error: httpx.TransportError) -> str:
    """Name what kept a call from being made; no part of a call stands in it."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Read how long to wait: seconds, or a date, by the server's own clock where it shows it."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), MOST_PATIENCE_S)
    until, now = _moment(text), _moment(headers.get("Date", ""))
    if until is None:
        return None
    return min(max(until - (time.time() if now is None else now), 0.0), MOST_PATIENCE_S)


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
