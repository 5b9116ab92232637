"""The cloud bridge as a process: ``monitorpi-cloud-bridge``."""

from __future__ import annotations

from monitorpi_cloud_bridge.bridge import BridgeCore, Courier, remember
from monitorpi_cloud_bridge.fields import RowBuilder
from monitorpi_cloud_bridge.outbox import Outbox
from monitorpi_cloud_bridge.settings import CloudBridgeSettings
from monitorpi_cloud_bridge.thingspeak import ThingSpeak
from monitorpi_common.messages import Service, Traffic
from monitorpi_common.service import Assembly, Context, ResourceError, run_service
from monitorpi_common.settings import ConfigurationError
from monitorpi_common.topics import pattern


def assemble(context: Context[CloudBridgeSettings]) -> Assembly:
    """Put core, outbox and courier together.

    Raises:
        ConfigurationError: no channel is configured.
        ResourceError: the outbox cannot be opened.

    """
    settings = context.settings
    if settings.channel is None or settings.write_key is None:
        raise ConfigurationError(
            ["cloud-bridge.channel: missing; give a channel number and its write_key"]
        )
    file = context.state_dir / "outbox.sqlite"
    try:
        context.state_dir.mkdir(parents=True, exist_ok=True)
        outbox = Outbox(file)
    except OSError as error:
        raise ResourceError(f"cannot open the outbox {file}: {error}") from None
    read_key = settings.read_key.get_secret_value().strip() if settings.read_key else None
    cloud = ThingSpeak(
        settings.url, settings.channel, settings.write_key.get_secret_value().strip(), read_key
    )
    courier = Courier(outbox, cloud, settings.channel, settings.pacing_s, context.log)
    builder = RowBuilder(settings.interval_s)
    remember(builder, outbox.recall("builder"))
    core = BridgeCore(builder, settings.channel, outbox.add, state=courier.state)
    return Assembly(
        core=core,
        sources=[courier],
        subscriptions=[pattern(context.site, Service.CAPTURE.value, Traffic.KIND)],
        on_close=[outbox.close, cloud.close],
    )


def main() -> int:
    """Run the cloud bridge."""
    return run_service(Service.CLOUD_BRIDGE, CloudBridgeSettings, assemble)


if __name__ == "__main__":
    raise SystemExit(main())
