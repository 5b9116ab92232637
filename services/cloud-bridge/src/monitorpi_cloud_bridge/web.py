"""Calls to a cloud that may be slow, broken or hostile: answers are bounded in size and time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 20.0
"""Of one step of a call: connecting, or waiting for the next bytes."""
MOST_S: Final = 60.0
"""Of a whole call: a server that sends a byte now and then does not hold us."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""Of one answer: 8,000 rows of eight fields are about 2 MB."""


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


def client() -> httpx.Client:
    """Return an HTTP client: certificates checked, no redirects, no proxies by surprise."""
    return httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)


def ask(
    web: httpx.Client,
    method: str,
    url: str,
    *,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Make one call.

    Raises:
        NoAnswerError: no whole answer came, or it was too long.

    """
    until = clock() + MOST_S
    body = bytearray()
    try:
        with web.stream(method, url, params=params, headers=headers, content=content) as answer:
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise NoAnswerError("the answer is too long")
                if clock() > until:
                    raise NoAnswerError("the answer takes too long")
    except httpx.HTTPError as error:
        raise NoAnswerError(type(error).__name__) from None
    return Answer(answer.status_code, bytes(body))
