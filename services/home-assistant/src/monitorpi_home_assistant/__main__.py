"""The service for Home Assistant as a process: ``monitorpi-home-assistant``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_common.messages import Service
from monitorpi_common.service import Assembly, Context
from monitorpi_common.shell import run_service
from monitorpi_common.topics import pattern
from monitorpi_home_assistant.core import HomeAssistantCore
from monitorpi_home_assistant.settings import HomeAssistantSettings
from monitorpi_home_assistant.sinks.announced import Announced

if TYPE_CHECKING:
    from collections.abc import Iterator


def assemble(context: Context[HomeAssistantSettings]) -> Assembly:
    """Put core and file together."""
    shelf = Announced(context.state_dir, context.log)
    settings = context.settings
    return Assembly(
        core=HomeAssistantCore(context.site, settings, shelf, shelf.read()),
        subscriptions=[pattern(context.site, *one) for one in _reads(settings)],
        outside=[f"{settings.prefix}/status"],
    )


def _reads(settings: HomeAssistantSettings) -> Iterator[tuple[str, str]]:
    """Yield what the work needs: devices only where they are shown."""
    yield Service.CAPTURE.value, "wire"
    yield Service.DETECTOR.value, "alert"
    yield "+", "status"
    if settings.devices != "none":
        yield Service.CAPTURE.value, "device"
        yield Service.PROBER.value, "target"


def main() -> int:
    """Run the service."""
    return run_service(Service.HOME_ASSISTANT, HomeAssistantSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
