"""The prober as a process: ``monitorpi-prober``."""

from __future__ import annotations

import dataclasses
import gc
from typing import TYPE_CHECKING

from monitorpi_common.messages import Device, Health, Service, Target
from monitorpi_common.service import Assembly, Context, Source
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_host.interfaces import attached
from monitorpi_host.routes import attached_networks
from monitorpi_host.vendors import Vendors
from monitorpi_prober.core import ProberCore
from monitorpi_prober.settings import ProberSettings
from monitorpi_prober.sources.discovery import HEAD_START_S, Discovery
from monitorpi_prober.sources.names import DeviceNames, HostNames
from monitorpi_prober.sources.pinger import Pinger

if TYPE_CHECKING:
    from pydantic import JsonValue

    from monitorpi_prober.items import Wanted


def assemble(context: Context[ProberSettings]) -> Assembly:
    """Put core, pinger and the finders of targets and names together."""
    settings = context.settings
    pinger = Pinger(settings.source)
    host_names, device_names = HostNames(), DeviceNames(settings.source)
    sources: list[Source] = [pinger, host_names]
    if settings.look_up_names:
        sources.append(device_names)
    if settings.discover:
        # in a pipe nobody comes late
        head_start_s = HEAD_START_S if context.live else 0.0
        sources.append(Discovery(settings, context.log, head_start_s))

    def look_up(wanted: Wanted) -> None:
        host_names.want(wanted)
        device_names.want(wanted)

    def counters() -> dict[str, JsonValue]:
        replies = dataclasses.asdict(pinger.tally)
        return {
            **{f"{name}_replies": n for name, n in replies.items()},
            "unsent_by_kernel_total": pinger.wire.unsent,
        }

    core = ProberCore(
        settings,
        context.epoch,
        context.instance,
        pinger.follow,
        pinger.hurry,
        look_up,
        Vendors().of_text,
        counters,
        own_macs=frozenset(one.mac for one in attached() if one.mac is not None),
        attached=attached_networks,
        live=context.live,
        wake=pinger.wake,
    )
    gc.freeze()  # what was loaded stays for ever: no collection needs to look at it again
    site = context.site
    return Assembly(
        core=core,
        sources=sources,
        subscriptions=[
            pattern(site, Service.CAPTURE.value, Device.KIND),
            pattern(site, Service.PROBER.value, Target.KIND),
            pattern(site, Service.PROBER.value, "status"),
            pattern(site, Service.PROBER.value, Health.KIND),
        ],
    )


def main() -> int:
    """Run the prober."""
    return run_service(Service.PROBER, ProberSettings, assemble, shares=True)


if __name__ == "__main__":
    raise SystemExit(main())
