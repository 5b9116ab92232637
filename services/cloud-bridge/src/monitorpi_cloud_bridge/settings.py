"""Settings of the cloud bridge."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, SecretStr, model_validator

from monitorpi_cloud_bridge.mapping import (
    DEFAULTS,
    FREE,
    PAID,
    MappingEntry,
    PlanError,
    check_mapping,
    check_quota,
)
from monitorpi_common.endpoint import AuthorityFile, Endpoint, endpoint
from monitorpi_common.messages import COMMANDS, Service
from monitorpi_common.settings import RemoteAccount, RemoteBroker, Section

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PACING_S: Final = 16.0
"""The service takes a bulk call each 15 s; one more for clocks that differ."""
THINGSPEAK_BROKER: Final = "mqtt3.thingspeak.com"
NATS_PORT: Final = 4222
INTERVAL_S: Final = 20
WRITE_S: Final = 80
"""Four rows: 60 MB a day at an SD card for everything."""


def is_local(url: str) -> bool:
    """Tell whether a service runs on this machine: a test or the demo."""
    return urlsplit(url).hostname in LOOPBACK


def check_url(name: str, url: str, *, allow_http: bool) -> None:
    """Refuse an address that is none, or that would show a key on its way.

    Raises:
        ValueError: says which and why.

    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets, or a port beyond 65535
        usable = False
    if not usable:
        raise ValueError(f"{name}: {url!r} is not an http or https address")
    if parts.username or parts.password or parts.query:
        raise ValueError(f"{name}: no user, password or query in an address: keys are secrets")
    if parts.scheme == "http" and not (is_local(url) or allow_http):
        raise ValueError(f"{name}: plain http would show the key; use https, or set allow_http")


def _can_be_sent(key: SecretStr) -> SecretStr:
    """Refuse what can stand in no header of a call."""
    text = key.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("empty, or not all plain letters and digits; copy it again")
    return key


Key = Annotated[SecretStr, AfterValidator(_can_be_sent)]
"""A key or token of a cloud."""


class ListedCommand(Section):
    """What one TalkBack command makes MonitorPi do."""

    service: Literal["capture", "prober", "detector", "cloud-bridge"]
    """The service that is told."""
    name: str
    """The command's name, as in docs/topics.md."""
    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Its arguments."""

    @model_validator(mode="after")
    def _is_a_command(self) -> Self:
        commands = COMMANDS[Service(self.service)]
        if self.name not in commands:
            known = ", ".join(commands) or "none"
            raise ValueError(
                f"name: {self.service} knows no command {self.name!r}; it knows: {known}"
            )
        commands[self.name].model_validate(self.args)
        return self


class TalkBackSettings(Section):
    """Commands from ThingSpeak's TalkBack; only those listed here are obeyed."""

    id: Annotated[int, Field(ge=1)]
    """Number of the TalkBack."""
    key: Key
    """Its key. Better as a secret: `cloud_bridge__talkback__key`."""
    poll_s: Annotated[float, Field(gt=0, le=3600)] = 20.0
    """Seconds between two looks; below 15 only for a service on this machine."""
    commands: dict[Annotated[str, Field(max_length=255)], ListedCommand] = Field(
        default_factory=dict
    )
    """By the exact text of the command: what to do."""


class InfluxSettings(Section):
    """A second cloud: InfluxDB or anything that takes its line protocol."""

    url: str
    """Address of the server."""
    version: Literal["v1", "v2", "v3", "victoriametrics"] = "v2"
    """Which server it is: InfluxDB 1, 2 or 3, or VictoriaMetrics."""
    org: str = ""
    """Organisation (version 2)."""
    bucket: str = "monitorpi"
    """Bucket (version 2) or database (versions 1 and 3)."""
    token: Key | None = None
    """Access token; `user:password` for version 1. Better as a secret:
    `cloud_bridge__influx__token`."""
    pacing_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds between two writes."""
    retention_days: Annotated[float, Field(gt=0, le=36500)] | None = None
    """How long VictoriaMetrics keeps rows; by default the server is asked, and 31 days are taken
    where it does not say."""


ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
ChannelNumber = Annotated[int, Field(ge=1)]


class MqttSettings(RemoteBroker):
    """Another destination: a broker elsewhere, which acknowledges each row; or ThingSpeak's."""

    preset: Literal["thingspeak"] | None = None
    """`thingspeak`: its broker (`host`), topics, form and pace; it acknowledges nothing, see
    docs/thingspeak.md. `username` and `password` are those of one of its MQTT devices."""
    channels: dict[ChannelName, ChannelNumber] = Field(default_factory=dict)
    """With `preset`: channel numbers by the name the mapping uses."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,7}$")] = (
        "monitorpi-rows"
    )
    """Rows stand below it, as `{prefix}/{site}/{channel}`."""
    pacing_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds between two calls of up to 500 rows; with `preset` between two rows, by default
    16."""

    @model_validator(mode="before")
    @classmethod
    def _as_preset(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("preset") == "thingspeak":
            return {"host": THINGSPEAK_BROKER, "pacing_s": PACING_S, **given}
        return given

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.preset is None:
            if self.channels:
                raise ValueError("channels: only with preset = 'thingspeak'")
        elif not (self.channels and self.username and self.password):
            raise ValueError(
                "preset: give channels, and the username and password of an MQTT device that may "
                "publish to them (ThingSpeak: Devices > MQTT)"
            )
        return self


def _server(text: str) -> str:
    """Return the address of a server of NATS.

    Raises:
        ValueError: it is none.

    """
    return str(endpoint(text, NATS_PORT))


class NatsSettings(RemoteAccount):
    """Another destination: a stream of NATS JetStream, which acknowledges each row."""

    servers: Annotated[
        list[Annotated[str, AfterValidator(_server)]], Field(min_length=1, max_length=8)
    ]
    """Host names or addresses, each with a port unless it is 4222: the servers of one cluster."""
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "monitorpi-rows"
    """The stream that is made where none takes the subjects."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,7}$")] = (
        "monitorpi-rows"
    )
    """Subjects are `{prefix}.{site}.{channel}`."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Servers that keep a copy, where the stream is made."""
    keep_days: Annotated[float, Field(gt=0, le=36500)] = 31.0
    """How long rows are kept, where the stream is made."""
    pacing_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds between two calls of up to 500 rows."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The servers."""
        return tuple(endpoint(one, NATS_PORT) for one in self.servers)


class CloudBridgeSettings(Section):
    """What is relayed to which cloud; nothing until a channel or a server is given."""

    url: str = "https://api.thingspeak.com"
    """Address of ThingSpeak. Plain http is refused unless it is this machine."""
    allow_http: bool = False
    """Allow plain http to another machine: the key travels readable."""
    ca_file: AuthorityFile | None = None
    """File with certificates to trust besides the public ones: a server of your own."""
    licence: Literal["free", "paid"] = "free"
    """The licence whose limits hold."""
    channels: dict[ChannelName, ChannelNumber] = Field(default_factory=dict)
    """Channel numbers by the name the mapping uses: `traffic` and `health` have a mapping."""
    write_keys: dict[str, Key] = Field(default_factory=dict)
    """Write keys by channel. Better as secrets: `cloud_bridge__write_keys__traffic`."""
    read_keys: dict[str, Key] = Field(default_factory=dict)
    """Read keys by channel, where reading with the write key is refused."""
    interval_s: Annotated[int, Field(ge=1, le=3600)] = INTERVAL_S
    """Seconds per row."""
    write_s: Annotated[int, Field(ge=1, le=3600)] = WRITE_S
    """Seconds whose rows are written to the disk, and sent, together: an SD card wears by how often
    it is written. As much as `interval_s`: each row by itself."""
    pacing_s: Annotated[float, Field(gt=0, le=3600)] = PACING_S
    """Seconds from an answer to the next call; below 16 only for a service on this machine."""
    rollup_s: Annotated[int, Field(ge=0, le=3600)] = 0
    """Seconds per rollup on the own bus (`cloud-bridge/rollup/{channel}`), for a broker of several
    sites; 0: none. `up` sets it from `broker.centre.rollup_s`."""
    mapping: list[MappingEntry] | None = None
    """Which values go where; by default the channels `traffic` and `health` as in the docs."""
    alerts: bool = True
    """Send alerts as status texts, to the first configured channel of `health` and `traffic`."""
    talkback: TalkBackSettings | None = None
    """Commands from TalkBack."""
    influx: InfluxSettings | None = None
    """A second cloud for the same rows."""
    mqtt: MqttSettings | None = None
    """A broker elsewhere for the same rows."""
    nats: NatsSettings | None = None
    """A stream of NATS JetStream for the same rows."""

    @property
    def missing(self) -> str | None:
        """Somewhere to send rows to."""
        if self.destinations():
            return None
        return (
            "cloud-bridge.channels: missing; give a channel, such as { traffic = 1234567 }, or "
            "remove what is set of the cloud bridge"
        )

    @property
    def sends_alerts(self) -> bool:
        """Texts are sent: they need a second between two rows of counts."""
        return self.alerts and self.interval_s > 1

    def entries(self) -> list[MappingEntry]:
        """Return the mapping that holds: the configured one, or the defaults of known channels."""
        if self.mapping is not None:
            return list(self.mapping)
        names = self.destinations()
        return [entry for entry in DEFAULTS if entry.channel in names]

    def every_entry(self) -> list[MappingEntry]:
        """Return the mapping that holds where all its channels are wanted."""
        return list(DEFAULTS if self.mapping is None else self.mapping)

    def destinations(self) -> list[str]:
        """Return the names of the channels rows are made for."""
        names = [name for name, _ in self.thingspeak_channels()]
        if self.rollup_s or self.influx or self.nats or (self.mqtt and self.mqtt.preset is None):
            names += [entry.channel for entry in self.every_entry()]
        return list(dict.fromkeys(names))

    def thingspeak_channels(self) -> list[tuple[str, int]]:
        """Return names and numbers of the channels there, by HTTP first."""
        return [*self.channels.items(), *(self.mqtt.channels.items() if self.mqtt else ())]

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        check_url("url", self.url, allow_http=self.allow_http)
        if self.influx is not None:
            check_url("influx.url", self.influx.url, allow_http=self.allow_http)
        for name in self.channels:
            if name not in self.write_keys:
                raise ValueError(
                    f"write_keys: the key of channel {name!r} is missing; put it into the secrets "
                    f"directory as a file cloud_bridge__write_keys__{name}"
                )
        numbers = [number for _, number in self.thingspeak_channels()]
        if len(set(numbers)) < len(numbers):
            raise ValueError(
                "channels: two names have one number; their rows would take each other's seconds"
            )
        try:
            check_mapping(self.entries(), self.destinations())
            if not is_local(self.url) and (self.thingspeak_channels() or self.talkback):
                self._keeps_limits()
                licence = FREE if self.licence == "free" else PAID
                check_quota(len(self.thingspeak_channels()), self.interval_s, licence)
        except PlanError as error:
            raise ValueError(f"mapping: {error}") from None
        return self

    def _keeps_limits(self) -> None:
        """Hold ThingSpeak's calls to ThingSpeak's licence; other clouds have none."""
        if self.channels and self.pacing_s < PACING_S:
            raise ValueError(f"pacing_s: the service takes a call each 15 s; use {PACING_S:g}")
        least = FREE.least_interval_s if self.licence == "free" else PAID.least_interval_s
        if self.thingspeak_channels() and self.interval_s < least:
            raise ValueError(f"interval_s: a {self.licence} licence takes a row each {least} s")
        if self.mqtt is not None and self.mqtt.preset:
            if self.mqtt.pacing_s <= least:
                raise ValueError(f"mqtt.pacing_s: the service takes a row each {least} s; use more")
            if self.interval_s < self.mqtt.pacing_s:
                raise ValueError(
                    "interval_s: by MQTT rows go one by one; use as much as mqtt.pacing_s, or more"
                )
        if self.talkback is not None and self.talkback.poll_s < FREE.least_interval_s:
            raise ValueError("talkback.poll_s: look every 15 s or more")
