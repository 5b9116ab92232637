"""The page as a process: ``monitorpi-dashboard``."""

from __future__ import annotations

from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Probe,
    Service,
    Target,
    Traffic,
    WatchState,
)
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_dashboard.view import ViewCore
from monitorpi_dashboard.web import Board, PageServer


def assemble(context: Context[DashboardSettings]) -> Assembly:
    """Put view and server together."""
    settings = context.settings
    board = Board()
    password = settings.password.get_secret_value().strip() if settings.password else None
    server = PageServer(board, settings.listen, settings.port, password, tuple(settings.hosts))
    server.open()
    context.log.info("page", url=server.url)
    kinds = [
        (kind.SERVICE, kind.KIND) for kind in (Traffic, Device, Probe, Target, Alert, WatchState)
    ]
    return Assembly(
        core=ViewCore(context.site, board.put, lambda: server.url),
        sources=[server],
        subscriptions=[
            *(pattern(context.site, owner.value, kind) for owner, kind in kinds if owner),
            pattern(context.site, kind="status"),
            pattern(context.site, kind=Health.KIND),
        ],
    )


def main() -> int:
    """Run the page."""
    return run_service(Service.DASHBOARD, DashboardSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
