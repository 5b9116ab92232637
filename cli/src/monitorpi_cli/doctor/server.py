"""Whether a server is reached, and what it answers: the same for clouds, messages and page. I/O."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from monitorpi_cli.doctor.finding import wrong
from monitorpi_cloud_bridge.web import SHORT_BYTES, NoAnswerError, ask, trusted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx

    from monitorpi_cli.doctor.finding import CheckResult

REFUSED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""What a server answers to a key it does not take."""


def reach(
    host: str, port: int, timeout_s: float, *, is_tls: bool = False, ca_file: Path | None = None
) -> None:
    """Connect to a server, greet it by TLS where that is spoken, and leave.

    Raises:
        OSError: it is not reached, or nobody vouches for it.

    """
    with socket.create_connection((host, port), timeout_s) as plain:
        if is_tls:
            trusted(ca_file).wrap_socket(plain, server_hostname=host).close()


def answer_of(
    web: httpx.Client,
    topic: str,
    what: str,
    url: str,
    answers: Mapping[int, CheckResult],
    *,
    silent: str,
    odd: str,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
) -> CheckResult:
    """Ask a server for an address, and return what its answer means.

    Args:
        web: the client.
        topic: of the finding.
        what: the server's name in the finding.
        url: the address.
        answers: what each known status means.
        silent: the remedy where no answer comes.
        odd: the remedy where another status comes.
        headers: of the call, such as the key.
        params: of the address.

    """
    try:
        status = ask(web, "GET", url, params=params, headers=headers, most=SHORT_BYTES).status
    except NoAnswerError as error:
        return wrong(topic, f"{what} does not answer ({error})", silent)
    return answers.get(status) or wrong(topic, f"{what} answers HTTP {status}", odd)
