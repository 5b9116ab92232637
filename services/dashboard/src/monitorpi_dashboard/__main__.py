"""The page as a process: ``monitorpi-dashboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Result,
    Sent,
    Service,
    Target,
    WatchState,
    Wire,
)
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_dashboard.core import DashboardCore
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.commands import PAGE_COMMANDS
from monitorpi_dashboard.sinks.push import Push
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from pydantic import JsonValue

ANSWERING: Final = {service.value for service, _ in PAGE_COMMANDS}
"""Services that take orders from the page."""


def assemble(context: Context[DashboardSettings]) -> Assembly:
    """Put view and server together."""
    settings = context.settings
    board = Board()
    password = settings.password.get_secret_value().strip() if settings.password else None
    server = PageServer(
        board, settings.listen, settings.port, password, tuple(settings.hosts),
        settings.metrics_devices, settings.history_url,
    )  # fmt: skip
    server.open()
    context.log.info("page", url=server.url)
    pushes = []
    if settings.watch_url is not None:
        url = settings.watch_url.get_secret_value().strip()
        pushes.append(Push(url, lambda: board.level, context.log))
    kinds = [(kind.SERVICE, kind.KIND) for kind in (Wire, Device, Target, Alert, WatchState, Sent)]
    core = DashboardCore(
        context.site,
        board.put,
        board.is_wanted,
        lambda: _own_health(server, pushes),
        server.commands.answered,
        follows_always=settings.metrics_devices > 0,
        packets=server.packets,
    )
    return Assembly(
        core=core,
        wants=core.wants,
        sources=[server, *pushes],
        subscriptions=[
            *(pattern(context.site, owner.value, kind) for owner, kind in kinds if owner),
            *(pattern(context.site, one, Result.KIND) for one in sorted(ANSWERING)),
            pattern(context.site, kind="status"),
            pattern(context.site, kind=Health.KIND),
        ],
    )


def _own_health(server: PageServer, pushes: list[Push]) -> dict[str, JsonValue]:
    """Return what the page's health says: where it is, and whether the switch was reached."""
    own_health: dict[str, JsonValue] = {"url": server.url}
    for push in pushes:
        own_health |= {
            "watch_url_total": push.done_total,
            "watch_url_failed_total": push.failed_total,
        }
    return own_health


def main() -> int:
    """Run the page."""
    return run_service(Service.DASHBOARD, DashboardSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
