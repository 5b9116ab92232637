"""A connection to one of several servers of NATS, made when it is needed. I/O.

Whether TLS is used is the server's word in this protocol (``tls_required``). So the account is
handed over by a function that looks at that word first, and gives nothing where it is missing.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import Error

from monitorpi_common.endpoint import Keys, unreachable

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from monitorpi_common.endpoint import Endpoint

CONNECT_S: Final = 6.0
"""For one server; another one is tried then."""
NATS_KEYS: Final = Keys(
    "cloud-bridge.nats.servers", "cloud-bridge.nats.servers", "cloud-bridge.nats.tls_ca", "server"
)
CLOSE_S: Final = 0.5
MOST_SAID: Final = 300
"""Characters of what a server says that are passed on."""
AnswerT = TypeVar("AnswerT")
logging.getLogger("asyncio").setLevel(logging.ERROR)
"""The client's own stream ends TLS in a way that asyncio warns of, at each connection."""
_DENIED: Final = ("permissions violation", "authorization violation", "authentication")


class NatsRefusedError(Exception):
    """A server answered, and does not let us in."""


class NoTlsError(Exception):
    """A server wants no TLS where we do."""


@dataclass(frozen=True, slots=True)
class NatsAccount:
    """Where the servers are, and who we are there."""

    servers: tuple[Endpoint, ...]
    name: str
    """For people who read the server's list of connections."""
    authorities: Path | None
    """Of TLS (PEM file); None: without TLS."""
    username: str | None = None
    password: str | None = None


class NatsDialler:
    """Connects, and remembers which server answered. ``refusal``: what the last one forbade us."""

    def __init__(self, account: NatsAccount) -> None:
        self._account = account
        self._servers = list(account.servers)
        self.refusal: str | None = None
        self._refused = asyncio.Event()

    @property
    def reached(self) -> Endpoint:
        """The server that answered last, which is asked first."""
        return self._servers[0]

    async def connect(self) -> Client:
        """Connect to the first server that is reached.

        Raises:
            NatsRefusedError: one answered, and does not let us in.
            OSError: none is reached; the text says why.

        """
        self.refusal, self._refused = None, asyncio.Event()
        why: list[str] = []
        for server in tuple(self._servers):
            seen: list[Exception] = []
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._dial(server, seen)
            except (Error, OSError, TimeoutError, NoTlsError) as error:
                if self.refusal is not None:
                    raise NatsRefusedError(f"{server}: {self.refusal}") from None
                cause = seen[-1] if seen else error
                tls = self._account.authorities is not None
                said = unreachable(cause, server.host, tls=tls, keys=NATS_KEYS)
                why.append(f"{server}: {as_said(said)}")
                self._servers.append(self._servers.pop(0))
        raise OSError("; ".join(why))

    async def answer(self, question: Coroutine[Any, Any, AnswerT]) -> AnswerT:
        """Wait for an answer, no longer than until the server says that we may not ask.

        Raises:
            NatsRefusedError: we may not; what comes after is not to blame for it.

        """
        asked, refused = (
            asyncio.ensure_future(question),
            asyncio.ensure_future(self._refused.wait()),
        )
        try:
            await asyncio.wait({asked, refused}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            said, self.refusal = self.refusal, None
            self._refused.clear()
            raise NatsRefusedError(said)
        finally:
            for one in (asked, refused):
                one.cancel()

    async def _dial(self, server: Endpoint, seen: list[Exception]) -> Client:
        account, client = self._account, Client()
        context = account.authorities and ssl.create_default_context(cafile=account.authorities)

        async def failed(error: Exception) -> None:
            seen.append(error)
            if any(word in str(error).lower() for word in _DENIED):
                self.refusal = as_said(error).removeprefix("nats: ")
                self._refused.set()

        def name() -> str:
            if context and not client._server_info.get("tls_required"):  # noqa: SLF001 - no other way
                raise NoTlsError("it wants no TLS: check it, or set cloud-bridge.nats.tls to false")
            return account.username or ""

        try:
            await client.connect(
                f"nats://{server}", name=account.name, error_cb=failed, tls=context or None,
                user=name, password=account.password or "",
                allow_reconnect=False,
            )  # fmt: skip
        except BaseException:
            await hang_up(client)
            raise
        return client


def as_said(words: object) -> str:
    """Return what a server says as one short line: it may be any server, and logs are kept."""
    return " ".join(str(words).split())[:MOST_SAID]


async def hang_up(client: Client) -> None:
    """Close a connection, also one that did not come about.

    One whose handshake failed would be waited for in vain.
    """
    with suppress(Error, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await client.close()
