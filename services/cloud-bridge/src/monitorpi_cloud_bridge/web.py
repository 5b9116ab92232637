"""Calls to a cloud that may be slow, broken or hostile: answers are bounded in size and time."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import httpx

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
SHORT_BYTES: Final = 64 * 1024
"""Of an answer that says no more than yes, no or one command."""


class NoAnswerError(Exception):
    """A call whose fate is not known; the text never holds a key."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes

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

    def _cut(self) -> None:
        self.over = True
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

    Raises:
        NoAnswerError: no whole answer came, or it was too long.

    """
    body = bytearray()
    asked = {"Accept-Encoding": "identity", **(headers or {})}  # what is packed has no known size
    with _Deadline(MOST_S) as deadline:
        try:
            with web.stream(
                method, url, params=params, headers=asked, content=content,
                extensions={"trace": deadline.trace},
            ) as answer:  # fmt: skip
                for chunk in answer.iter_raw():
                    body += chunk
                    if len(body) > most:
                        raise NoAnswerError("the answer is too long")
        # a redirect to what is no address is InvalidURL, which is not among its HTTP errors
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = "the answer takes too long" if deadline.over else type(error).__name__
            raise NoAnswerError(what) from None
    if deadline.over:
        raise NoAnswerError("the answer takes too long")
    return Answer(answer.status_code, bytes(body))
