"""Which clouds there are: from the settings to the destinations rows go by.

A destination is one channel of one cloud. A new cloud is a sink in a file of its own, a table in
``settings`` and a function here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.sinks.destination import UploadDestination
from monitorpi_cloud_bridge.sinks.dialects import DIALECTS
from monitorpi_cloud_bridge.sinks.influx import Influx
from monitorpi_cloud_bridge.sinks.mqtt import Mqtt
from monitorpi_cloud_bridge.sinks.rowjson import RowForm
from monitorpi_cloud_bridge.sinks.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.sinks.thingspeakmqtt import ThingSpeakMqtt
from monitorpi_cloud_bridge.web import client
from monitorpi_common.endpoint import Keys
from monitorpi_common.handover import Handover

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

    from monitorpi_cloud_bridge.settings import CloudBridgeSettings, MqttSettings, NatsSettings
    from monitorpi_cloud_bridge.sinks.natsdial import NatsAccount
    from monitorpi_common.settings import BrokerSettings

MQTT_KEYS: Final = Keys.of_broker("cloud-bridge.mqtt")
"""What its settings are called where a remedy names them."""


def destinations_of(settings: CloudBridgeSettings, site: str) -> list[UploadDestination]:
    """Return a destination for each channel of each cloud."""
    return [
        *_thingspeak_destinations(settings),
        *_influx_destinations(settings, site),
        *_mqtt_destinations(settings, site),
        *_nats_destinations(settings, site),
    ]


def _thingspeak_destinations(settings: CloudBridgeSettings) -> list[UploadDestination]:
    return [
        UploadDestination(
            f"thingspeak/{name}",
            ThingSpeak(
                settings.url,
                number,
                reveal(settings.write_keys[name]),
                reveal(settings.read_keys[name]) if name in settings.read_keys else None,
                settings.pacing_s,
                web_of(settings),
            ),
        )
        for name, number in settings.channels.items()
    ]


def _influx_destinations(settings: CloudBridgeSettings, site: str) -> list[UploadDestination]:
    influx = settings.influx
    if influx is None:
        return []
    target = {"db": influx.bucket}
    if influx.version == "v2":
        target = {"bucket": influx.bucket, **({"org": influx.org} if influx.org else {})}
    destinations = []
    for name in settings.destinations():
        sink = Influx(
            influx.url,
            influx.version,
            target,
            reveal(influx.token) if influx.token else None,
            {"site": site, "channel": name},
            _labels(settings, name),
            influx.pacing_s,
            web_of(settings),
            retention_days=influx.retention_days,
        )
        destinations.append(
            UploadDestination(
                f"influx/{name}", sink, counts_for_quota=False,
                takes_text=DIALECTS[influx.version].takes_text,
            )
        )  # fmt: skip
    return destinations


def _labels(settings: CloudBridgeSettings, channel: str) -> dict[str, str]:
    """Return what the fields of a channel are called."""
    return {
        f"field{entry.field}": entry.label
        for entry in settings.entries()
        if entry.channel == channel and entry.label
    }


def _form(settings: CloudBridgeSettings, site: str, channel: str) -> RowForm:
    return RowForm(f"{site}/{channel}", _labels(settings, channel))


def _mqtt_destinations(settings: CloudBridgeSettings, site: str) -> list[UploadDestination]:
    mqtt = settings.mqtt
    if mqtt is None:
        return []
    account = mqtt.account(site)
    if mqtt.preset is not None:
        broker = _device(mqtt, account)
        return [
            UploadDestination(f"mqtt/{name}", ThingSpeakMqtt(broker, number, mqtt.pacing_s))
            for name, number in mqtt.channels.items()
        ]
    return [
        UploadDestination(
            f"mqtt/{name}",
            Mqtt(
                Handover(account, f"monitorpi-{site}-{name}", MQTT_KEYS),
                f"{mqtt.prefix}/{site}/{name}",
                _form(settings, site, name),
                mqtt.pacing_s,
            ),
            counts_for_quota=False,
        )
        for name in settings.destinations()
    ]


def _device(mqtt: MqttSettings, account: BrokerSettings) -> Handover:
    """Return the connection of one of ThingSpeak's MQTT devices: its user is its client id."""
    return Handover(account, mqtt.username or "", MQTT_KEYS, is_issued=True)


def trial_of(mqtt: MqttSettings, site: str) -> tuple[BrokerSettings, Handover]:
    """Return the account a site has at a broker elsewhere, and a connection to try it by.

    Of a device there is one at a time: while it is tried, the bridge has to connect again.
    """
    account = mqtt.account(site)
    is_device = mqtt.preset is not None
    return account, _device(mqtt, account) if is_device else Handover(account, "doctor", MQTT_KEYS)


def nats_account(nats: NatsSettings, site: str) -> NatsAccount:
    """Return how a site connects to its servers of NATS."""
    from monitorpi_cloud_bridge.sinks.natsdial import NatsAccount  # noqa: PLC0415 - as below

    return NatsAccount(
        nats.endpoints, f"monitorpi-{site}", nats.authorities, nats.username or site,
        reveal(nats.password) if nats.password else None,
    )  # fmt: skip


def _nats_destinations(settings: CloudBridgeSettings, site: str) -> list[UploadDestination]:
    nats = settings.nats
    if nats is None:
        return []
    # only who writes to a stream pays for the client
    from monitorpi_cloud_bridge.sinks.jetstream import JetStream, StreamPlan  # noqa: PLC0415

    plan = StreamPlan(nats.stream, f"{nats.prefix}.>", nats.replicas, nats.keep_days)
    return [
        UploadDestination(
            f"nats/{name}",
            JetStream(
                nats_account(nats, site),
                plan,
                f"{nats.prefix}.{site}.{name}",
                _form(settings, site, name),
                nats.pacing_s,
            ),
            counts_for_quota=False,
        )
        for name in settings.destinations()
    ]


def web_of(settings: CloudBridgeSettings) -> httpx.Client:
    """Return a client that trusts what the settings say."""
    return client(settings.ca_file)


def reveal(secret: SecretStr) -> str:
    """Return a key as it is sent: files end with a line break."""
    return secret.get_secret_value().strip()
