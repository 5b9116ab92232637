"""``monitorpi-detector``: the process around the core."""

from __future__ import annotations

from typing import Final

from monitorpi_common.messages import Service
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.rules import RULES
from monitorpi_detector.settings import DetectorSettings
from monitorpi_detector.sinks.state_file import StateFile

_READS: Final = (
    ("capture", "traffic"),
    ("capture", "onset"),
    ("capture", "device"),
    ("+", "health"),
    ("+", "status"),
    ("prober", "probe"),
    ("prober", "target"),
    ("detector", "alert"),  # our own: what the process before us left open
)


def assemble(context: Context[DetectorSettings]) -> Assembly:
    """Put the detector together. In a pipe nothing is read from or kept for another run."""
    file = StateFile(context.state_dir / f"detector-{context.instance}.json", context.log)
    core = (
        DetectorCore(context.site, context.settings, kept=file.read(RULES), keep=file)
        if context.live
        else DetectorCore(context.site, context.settings)
    )
    return Assembly(
        core=core,
        sources=[file] if context.live else [],
        subscriptions=[pattern(context.site, service, kind) for service, kind in _READS],
        on_close=[file.flush],
    )


def main() -> int:
    """Run the detector."""
    return run_service(Service.DETECTOR, DetectorSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
