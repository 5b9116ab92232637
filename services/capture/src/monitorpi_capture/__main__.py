"""``monitorpi-capture``: count frames of live interfaces or of a capture file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitorpi_capture import interfaces
from monitorpi_capture.core import CaptureCore
from monitorpi_capture.engines import open_engine
from monitorpi_capture.filesource import FileSource
from monitorpi_capture.live import LiveSource
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.messages import Service
from monitorpi_common.service import Assembly, Context, ResourceError, run_service

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this service's own."""
    parser.add_argument(
        "--read", metavar="FILE", help="read a pcap or pcapng file ('-': standard input) instead"
    )


def assemble(context: Context[CaptureSettings]) -> Assembly:
    """Put the service together.

    Raises:
        ResourceError: a file, an interface or a permission is missing.

    """
    if context.arguments.read is not None:
        return _replay(context, context.arguments.read)
    return _live(context)


def _live(context: Context[CaptureSettings]) -> Assembly:
    names = context.settings.interfaces
    if not names:
        names = (interfaces.choose(),)
        context.log.info(
            "no interface is configured: counting on the wired one", interface=names[0]
        )
    engine, refused = open_engine(names, context.settings)
    for name, reason in refused.items():
        context.log.warning("engine refused", engine=name, reason=reason)
    context.log.info("counting", engine=engine.name, interfaces=",".join(names))
    source = LiveSource(engine, refused, context.log)
    core = CaptureCore(context.epoch, context.settings, clock_synced=context.trust_clock)
    return Assembly(core=core, sources=[source], reads_pipe=False, on_close=[engine.close])


def _replay(context: Context[CaptureSettings], name: str) -> Assembly:
    stream = _open(name)
    source = FileSource(
        stream,
        "standard input" if name == "-" else name,
        "file",
        context.log,
        max_rows=context.settings.max_macs,
    )
    core = CaptureCore(context.epoch, context.settings, clock_synced=True)
    return Assembly(core=core, sources=[source], reads_pipe=False, on_close=[stream.close])


def _open(name: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if name == "-" else Path(name).open("rb")
    except OSError as error:
        raise ResourceError(
            f"{name} cannot be read ({error.strerror}): give a capture file that can"
        ) from None


def main() -> int:
    """Run the service and return its exit code."""
    return run_service(Service.CAPTURE, CaptureSettings, assemble, arguments=add_arguments)


if __name__ == "__main__":
    raise SystemExit(main())
