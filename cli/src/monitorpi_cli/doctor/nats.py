"""Tries the servers of NATS that rows go to: connect and log in. I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitorpi_cli.doctor.finding import CheckResult, ok, parted, wrong
from monitorpi_cloud_bridge.sinks.natsdial import NatsDialler, NatsRefusedError, hang_up

if TYPE_CHECKING:
    from monitorpi_cloud_bridge.sinks.natsdial import NatsAccount


def try_nats(account: NatsAccount) -> CheckResult:
    """Connect as the cloud bridge would; nothing is said there."""
    try:
        return ok("cloud", f"{asyncio.run(_reached(account))}: connected as {account.username}")
    except NatsRefusedError as error:
        remedy = f"check the account {account.username!r} and its password"
        return wrong("cloud", f"refused by {error}", remedy)
    except OSError as error:
        return parted("cloud", f"no connection to {error}")


async def _reached(account: NatsAccount) -> str:
    """Return the server that answered."""
    dialler = NatsDialler(account)
    await hang_up(await dialler.connect())
    return str(dialler.reached)
