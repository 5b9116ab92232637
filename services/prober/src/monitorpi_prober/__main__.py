"""The prober as a process: ``monitorpi-prober``."""

from __future__ import annotations

from monitorpi_common.messages import Device, Service, Target
from monitorpi_common.service import Assembly, Context, run_service
from monitorpi_common.topics import pattern
from monitorpi_prober.pinger import Pinger
from monitorpi_prober.rounds import ProberCore
from monitorpi_prober.settings import ProberSettings


def assemble(context: Context[ProberSettings]) -> Assembly:
    """Put core and pinger together."""
    pinger = Pinger(context.settings.source)
    core = ProberCore(context.settings, context.epoch, context.instance, pinger.order, pinger.hurry)
    return Assembly(
        core=core,
        sources=[pinger],
        subscriptions=[
            pattern(context.site, Service.CAPTURE.value, Device.KIND),
            pattern(context.site, Service.PROBER.value, Target.KIND),
        ],
    )


def main() -> int:
    """Run the prober."""
    return run_service(Service.PROBER, ProberSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
