"""The history as a process: ``monitorpi-history``."""

from __future__ import annotations

from typing import Final

from monitorpi_common.messages import Alert, Device, Probe, Service, Target, Traffic
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_history.core import HistoryCore
from monitorpi_history.diary import Diary
from monitorpi_history.settings import HistorySettings
from monitorpi_history.sinks.archive import Archive
from monitorpi_history.sources.web import WebServer

FILE: Final = "history.sqlite"


def assemble(context: Context[HistorySettings]) -> Assembly:
    """Put core, archive and the answers together.

    Raises:
        ResourceError: the port is taken.

    """
    settings = context.settings
    file = context.state_dir / FILE
    archive = Archive(file, settings.budget_bytes, settings.keep_days, context.log)
    archive.open()
    server = WebServer(file, settings.listen, settings.port)
    server.open()
    context.log.info("answers", url=server.url)
    diary = Diary(archive.devices(), archive.target_states())
    core = HistoryCore(archive, diary, {"url": server.url}, server.show)
    kinds = [(kind.SERVICE, kind.KIND) for kind in (Traffic, Probe, Device, Target, Alert)]
    return Assembly(
        core=core,
        sources=[server],
        subscriptions=[pattern(context.site, owner.value, kind) for owner, kind in kinds if owner],
        on_close=[archive.close],
    )


def main() -> int:
    """Run the history."""
    return run_service(Service.HISTORY, HistorySettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
