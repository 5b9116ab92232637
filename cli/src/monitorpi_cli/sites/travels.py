"""What a site sends to a centre, and how many bytes a day that is. Pure.

Theory of operation. What is passed on stands in one table of the settings, ``broker.centre``:
topics as they are said, and rollups by the minute. Rows for a stream or broker elsewhere are the
cloud bridge's (``cloud-bridge.mapping`` and ``interval_s``). The bytes are those of MQTT 5 in TLS
1.3, as Mosquitto sends them: each message a record of its own. TCP adds some 50 to each.

Payloads are as long as in a home of forty devices with an hour of everything in it; a test holds
them, and the rates, against what the services publish there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.centre import ROLLUPS, passed_on
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.rowjson import RowForm
from monitorpi_cloud_bridge.sinks.thingspeakmqtt import publish_topic, update
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from monitorpi_cloud_bridge.settings import CloudBridgeSettings
    from monitorpi_common.settings import CentreSettings

DAY_S: Final = 86_400
TLS_BYTES: Final = 22
"""Of a record of TLS 1.3: its head, the type inside, the tag (RFC 8446, section 5.2)."""
_EXPIRY_BYTES: Final = 5
_HEAD_BYTES: Final = 8
"""Type, length (to 16 kB), lengths of topic and properties, packet id (MQTT 5, section 3.3)."""
_VALUE: Final = "123456"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much there is at a site."""

    devices: int = 50
    """Present and heard of all day."""
    targets: int = 50
    alerts: float = 1.0
    """Open at a time, on the average."""
    services: int = 7


@dataclass(frozen=True, slots=True)
class TravelRow:
    """One thing that may be sent."""

    what: str
    is_sent: bool
    per_day: float
    """Messages."""
    bytes_each: float

    @property
    def bytes_per_day(self) -> float:
        """Bytes a day, also where it is not sent: what it would be."""
        return self.per_day * self.bytes_each


@dataclass(frozen=True, slots=True)
class _Kind:
    place: str
    """Service and kind, ``+`` for any service, and an id such as there are."""
    payload: Callable[[Amounts], float]
    """Bytes of one message."""
    per_day: Callable[[Amounts], float]
    expires: bool = True


_KINDS: Final[tuple[_Kind, ...]] = (
    _Kind("+/status/main", lambda _: 6, lambda of: 2 * of.services, expires=False),
    _Kind("detector/watch/main", lambda _: 140, lambda _: DAY_S / 3),
    _Kind(
        "detector/alert/syn-flood-b827eb123456", lambda _: 950, lambda of: of.alerts * DAY_S / 10
    ),
    _Kind("capture/device/b827eb123456", lambda _: 1200, lambda of: of.devices * DAY_S / 60),
    _Kind("prober/target/192-168-178-100", lambda _: 600, lambda of: of.targets * DAY_S / 60),
    _Kind("capture/wire/eth0", lambda _: 950, lambda _: DAY_S),
    _Kind("+/health/main", lambda _: 700, lambda of: of.services * DAY_S / 3),
    _Kind("prober/probe/main", lambda of: 300 + 390 * of.targets, lambda _: DAY_S / 10),
    _Kind("capture/traffic/eth0", lambda of: 950 + 380 * of.devices, lambda _: DAY_S),
)
"""By how they are said, see the rates in docs/topics.md: at most, where it is on change."""


def message_bytes(topic: str, payload: float, *, expires: bool = True) -> float:
    """Return what a message of quality of service 1 takes inside TCP."""
    return payload + len(topic) + _HEAD_BYTES + expires * _EXPIRY_BYTES + TLS_BYTES


def covers(filter_: str, place: str) -> bool:
    """Return whether a filter of MQTT covers any topic of a place, in which ``+`` is any level."""
    wanted, levels = filter_.split("/"), place.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(
        "+" in (want, level) or want == level for want, level in zip(wanted, levels, strict=True)
    )


def travels(
    site: str, centre: CentreSettings | None, bridge: CloudBridgeSettings, of: Amounts
) -> list[TravelRow]:
    """Return what a site sends, and what else it could."""
    filters = () if centre is None else passed_on(centre)
    rows = [
        TravelRow(
            f"{kind.place.rpartition('/')[0]}/+", _is_sent(filters, kind.place), kind.per_day(of),
            message_bytes(_topic(site, kind.place), kind.payload(of), expires=kind.expires),
        )
        for kind in _KINDS
    ]  # fmt: skip
    every_s = centre.rollup_s if centre is not None else 0
    rows += _rollups(site, bridge, filters, every_s or 60)
    return sorted([*rows, *_rows(site, bridge)], key=lambda row: not row.is_sent)


def _topic(site: str, place: str) -> str:
    service, kind, id_ = place.replace("+", "detector", 1).split("/")
    return str(Topic(site, service, kind, id_))


def _is_sent(filters: Iterable[str], place: str) -> bool:
    return any(covers(one, place) for one in filters)


def _labels(bridge: CloudBridgeSettings, channel: str) -> dict[str, str]:
    return {
        f"field{entry.field}": entry.label or f"field{entry.field}"
        for entry in bridge.every_entry()
        if entry.channel == channel
    }


def _channels(bridge: CloudBridgeSettings) -> list[str]:
    return list(dict.fromkeys(entry.channel for entry in bridge.every_entry()))


def _rollups(
    site: str, bridge: CloudBridgeSettings, filters: Sequence[str], every_s: int
) -> list[TravelRow]:
    """Return a row for each channel of the mapping, as the own bus has it."""
    place = ROLLUPS.rpartition("/")[0]
    head = len('{"at":"2026-01-02T03:04:00.000Z","interval_s":60.0,"values":{}}')
    found = []
    for name in _channels(bridge):
        one = f"{place}/{name}"
        values = sum(len(label) + len(_VALUE) + 4 for label in _labels(bridge, name).values())
        each = message_bytes(_topic(site, one), head + values)
        found.append(TravelRow(one, _is_sent(filters, one), DAY_S / every_s, each))
    return found


def _rows(site: str, bridge: CloudBridgeSettings) -> list[TravelRow]:
    """Return the rows for a broker and a stream elsewhere, one message each."""
    return [
        TravelRow(
            f"rows {name} by {cloud}", True, DAY_S / bridge.interval_s,
            message_bytes(topic, len(payload), expires=False),
        )
        for cloud, name, topic, payload in _row_messages(site, bridge)
    ]  # fmt: skip


def _row_messages(site: str, bridge: CloudBridgeSettings) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield cloud, channel, topic and payload of a row of each."""
    mqtt, nats = bridge.mqtt, bridge.nats
    for name in bridge.destinations():
        labels = _labels(bridge, name)
        row = OutboxRow("", 1_767_323_040, dict.fromkeys(labels, _VALUE))
        line = RowForm(f"{site}/{name}", labels).line(row)
        if mqtt is not None and mqtt.preset is None:
            yield "mqtt", name, f"{mqtt.prefix}/{site}/{name}", line
        elif mqtt is not None and name in mqtt.channels:
            yield "mqtt", name, publish_topic(mqtt.channels[name]), update(row)
        if nats is not None:
            yield "nats", name, f"{nats.prefix}.{site}.{name}", line
