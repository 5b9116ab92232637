"""``monitorpi-capture``: count frames of live interfaces or of a capture file."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.engine.choice import open_engine
from monitorpi_capture.engine.ebpf.rights import relinquish
from monitorpi_capture.engine.socket_engine import SocketEngine
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.linux.ports import choose
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_capture.sources.capfile.stream import Stream
from monitorpi_capture.sources.listener import Listener
from monitorpi_capture.sources.live import LiveSource
from monitorpi_capture.sources.pacing import Gate, PacedCore
from monitorpi_capture.sources.sampler import Sampler
from monitorpi_capture.sources.steering import Steered
from monitorpi_capture.sources.watcher import Watcher
from monitorpi_common.messages import Device, Service, Target
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_host.vendors import Vendors

if TYPE_CHECKING:
    import argparse


_OBJECTS: Final = 50_000
"""New objects before a collection: a window of 4,096 rows makes 20,000, none of them cyclic."""
FILE_INTERFACE: Final = "file"
"""What messages call the interface when a capture file is read, whatever its name."""


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
    settings, log = context.settings, context.log
    names = settings.interfaces or (choose(),)
    if not settings.interfaces:
        log.info("no interface is configured: counting on the wired one", interface=names[0])
    engine, refused = open_engine(names, settings)
    relinquish()
    tell = log.warning if engine.name == SocketEngine.name else log.info  # none other loses frames
    for name, reason in refused.items():
        tell("engine refused", engine=name, reason=reason)
    log.info("counting", engine=engine.name, interfaces=",".join(names))
    source = LiveSource(engine, names, refused, log)
    watcher = Watcher(names, log)
    listener = Listener(engine.feeds, Dissector(), settings.inventory_frames_per_s)
    vendors = Vendors()
    core = CaptureCore(
        context.epoch,
        settings,
        steering=Steered(source, watcher),
        clock_synced=context.trust_clock,
        vendor=vendors.of,
    )
    return Assembly(
        core=PacedCore(core),
        sources=[source, listener, watcher, Sampler(names, log)],
        subscriptions=[
            pattern(context.site, Service.CAPTURE.value, Device.KIND),
            pattern(context.site, Service.PROBER.value, Target.KIND),
        ],
        reads_pipe=False,
        on_close=[engine.close, vendors.close],
    )


def _replay(context: Context[CaptureSettings], name: str) -> Assembly:
    stream = Stream(name)
    vendors = Vendors()
    gate = Gate()
    source = FileSource(
        stream,
        "standard input" if name == "-" else name,
        FILE_INTERFACE,
        context.log,
        max_rows=context.settings.max_macs,
        dissector=Dissector(),
        dissected_per_s=context.settings.inventory_frames_per_s,
        routine_below=context.settings.reporting_level,
        gate=gate,
        live=stream.is_live,
        on_stop=stream.stop,
    )
    core = CaptureCore(context.epoch, context.settings, clock_synced=True, vendor=vendors.of)
    return Assembly(
        core=PacedCore(core, gate),
        sources=[source],
        reads_pipe=False,
        on_close=[stream.close, vendors.close],
    )


def main() -> int:
    """Run the service and return its exit code."""
    gc.freeze()  # what was imported stays: collections need not walk it each time
    gc.set_threshold(_OBJECTS)
    return run_service(Service.CAPTURE, CaptureSettings, assemble, arguments=add_arguments)


if __name__ == "__main__":
    raise SystemExit(main())
