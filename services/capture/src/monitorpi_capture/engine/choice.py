"""Which engine counts: the best that works here, with the reason each better one was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_capture.engine.ebpf.engine import EbpfEngine
from monitorpi_capture.engine.ebpf.rights import may_attach
from monitorpi_capture.engine.ebpf.tcx import TcxEngine
from monitorpi_capture.engine.socket_engine import SocketEngine
from monitorpi_capture.items import Engine, EngineRefusedError
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_capture.settings import CaptureSettings

BEST_FIRST: dict[str, Callable[[Sequence[str], int], Engine]] = {
    "tcx": TcxEngine,
    "ebpf": EbpfEngine,
    "socket": SocketEngine,
}
"""Every engine by name, made of interfaces and rows per window."""


def _wanted(settings: CaptureSettings) -> list[str]:
    """Return the engines to try: by themselves only those whose rights are there for the asking.

    CAP_NET_ADMIN is much to give to a container; who gives it wants what it is needed for.
    """
    if settings.engine != "auto":
        return [settings.engine]
    return [name for name in BEST_FIRST if name != TcxEngine.name or may_attach()]


def open_engine(names: Sequence[str], settings: CaptureSettings) -> tuple[Engine, dict[str, str]]:
    """Return the engine that counts now, already open, and why better ones do not.

    Raises:
        ResourceError: none works; the text names the remedy.

    """
    refused: dict[str, str] = {}
    for name in _wanted(settings):
        make = BEST_FIRST.get(name)
        if make is None:
            refused[name] = "is not part of this installation: set capture.engine to auto"
            continue
        engine = make(names, settings.max_macs)
        try:
            engine.open()
        except EngineRefusedError as error:
            refused[name] = str(error)
            continue
        return engine, refused
    reasons = "; ".join(f"engine {name}: {reason}" for name, reason in refused.items())
    raise ResourceError(f"no frames can be counted on {', '.join(names)}: {reasons}")
