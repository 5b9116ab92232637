"""What Home Assistant is told there is: device-based MQTT discovery. Pure.

One message announces one device with all its entities (Home Assistant 2024.12 and newer;
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload). Every entity reads a
topic of ours, and is unavailable when the service that writes it is not there. A device on the LAN
has its MAC address as a connection, so that Home Assistant puts it together with what other
integrations know of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitorpi_common import __version__
from monitorpi_common.messages import (
    AlertEvent,
    Command,
    Device,
    Rates,
    RuleState,
    Service,
    Status,
    Target,
    WatchState,
)
from monitorpi_common.rule_titles import RULE_TITLES, rule_title
from monitorpi_common.topics import Topic, mac_id, slug
from monitorpi_home_assistant.alarms import ANY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitorpi_common.messages import Message

SHOWN: Final = (
    "broadcast", "multicast", "arp", "icmp", "icmp_echo", "igmp", "dhcp", "dns", "syn", "http",
    "https",
)  # fmt: skip
"""Classes with an entity of their own: those that people look at."""
RULES: Final = frozenset(RULE_TITLES)
EVENT_ID: Final = "alert"
_ORIGIN: Final = {"name": "MonitorPi", "sw_version": __version__}
_NAMES: Final = {"broadcast": "broadcasts", "multicast": "multicasts", "icmp_echo": "pings"}

Component = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the topics of a site are, and which instance of each service writes them."""

    name: str
    prefix: str
    page: str | None
    instances: Mapping[str, str]
    """By service: the instance; `main` where none was seen."""

    def topic(self, kind: type[Message], id_: str) -> str:
        """Return the topic of a message."""
        service = kind.SERVICE or Service.HOME_ASSISTANT
        return str(Topic(self.name, service.value, kind.KIND, id_))

    def available(self, *services: Service) -> list[dict[str, str]]:
        """Return the status topics that all have to say `online`."""
        return [
            {
                "topic": str(
                    Topic(self.name, one.value, "status", self.instances.get(one.value, "main"))
                ),
                "payload_available": Status.ONLINE.value,
                "payload_not_available": Status.OFFLINE.value,
            }
            for one in services
        ]

    def config_topic(self, object_id: str) -> str:
        """Return where a device is announced."""
        return f"{self.prefix}/device/{object_id}/config"

    @property
    def sensor_id(self) -> str:
        """The object id of the sensor."""
        return f"monitorpi-{self.name}"


def sensor(
    site: Site, interfaces: Iterable[str], rules: Iterable[str], *, buttons: bool
) -> tuple[str, bytes]:
    """Return topic and payload that announce the sensor with its entities."""
    components: dict[str, Component] = {}
    for interface in interfaces:
        components |= _interface(site, interface)
    components |= _alarms(site, rules)
    components["watch"] = _watch(site)
    if buttons:
        components |= _buttons(site)
    device: dict[str, Any] = {
        "identifiers": [site.sensor_id], "name": f"MonitorPi {site.name}",
        "manufacturer": "MonitorPi", "model": "Network sensor", "sw_version": __version__,
    }  # fmt: skip
    if site.page:
        device["configuration_url"] = site.page
    return _announce(site, site.sensor_id, device, components)


@dataclass(frozen=True, slots=True)
class PublishedHost:
    """One device of the LAN, as capture and prober know it."""

    mac: str
    name: str | None = None
    vendor: str | None = None
    target: str | None = None
    """Id of the target that it is pinged as; None: it is not pinged."""
    is_seen: bool = False
    """Capture publishes it."""


def host(site: Site, one: PublishedHost) -> tuple[str, bytes]:
    """Return topic and payload that announce one device of the LAN."""
    object_id = f"{site.sensor_id}-{mac_id(one.mac)}"
    device: dict[str, Any] = {
        "identifiers": [object_id], "connections": [["mac", one.mac]],
        "name": one.name or one.mac, "via_device": site.sensor_id,
    }  # fmt: skip
    if one.vendor:
        device["manufacturer"] = one.vendor
    components = _target(site, one.target) if one.target else {}
    if one.is_seen:
        components |= _device(site, one.mac)
    return _announce(site, object_id, device, components)


def _announce(
    site: Site, object_id: str, device: dict[str, Any], components: dict[str, Component]
) -> tuple[str, bytes]:
    for key, component in components.items():
        component["unique_id"] = f"{object_id}-{key}"
    payload = {"device": device, "origin": _ORIGIN, "components": components, "qos": 0}
    return site.config_topic(object_id), json.dumps(payload, separators=(",", ":")).encode()


# --- the sensor ---------------------------------------------------------------------------------


def _interface(site: Site, interface: str) -> dict[str, Component]:
    id_ = slug(interface)
    shared: Component = {
        "platform": "sensor", "state_topic": site.topic(Rates, id_), "state_class": "measurement",
        "availability": site.available(Service.CAPTURE, Service.HOME_ASSISTANT),
        "availability_mode": "all", "expire_after": 3600,
    }  # fmt: skip
    found: dict[str, Component] = {
        f"{id_}-bps": {
            "name": f"{interface} traffic", "device_class": "data_rate",
            "unit_of_measurement": "bit/s", "suggested_display_precision": 0,
            "value_template": "{{ value_json.bps }}",
        },
        f"{id_}-frames": {
            "name": f"{interface} frames", "unit_of_measurement": "frames/s",
            "icon": "mdi:ethernet", "value_template": "{{ value_json.frames_per_s }}",
        },
        f"{id_}-lost": {
            "name": f"{interface} lost by the sensor", "unit_of_measurement": "%",
            "entity_category": "diagnostic", "icon": "mdi:alert-decagram-outline",
            "value_template": "{{ (value_json.lost_ratio * 100) | round(3) }}",
        },
    }  # fmt: skip
    for name in SHOWN:
        found[f"{id_}-{name.replace('_', '-')}"] = {
            "name": f"{interface} {_NAMES.get(name, name.upper())}",
            "unit_of_measurement": "frames/s", "icon": "mdi:chart-line",
            "value_template": f"{{{{ value_json.classes.{name} | default(0) }}}}",
        }  # fmt: skip
    return {key: {**shared, **component} for key, component in found.items()}


def _alarms(site: Site, rules: Iterable[str]) -> dict[str, Component]:
    available = site.available(Service.DETECTOR, Service.HOME_ASSISTANT)
    found: dict[str, Component] = {}
    for rule in (ANY, *sorted(rules)):
        topic = site.topic(RuleState, rule)
        title = "Any alert" if rule == ANY else rule_title(rule)
        found[f"rule-{rule}"] = {
            "platform": "binary_sensor", "name": title[:1].upper() + title[1:],
            "device_class": "problem", "state_topic": topic,
            "value_template": "{{ value_json.state }}", "json_attributes_topic": topic,
            "availability": available, "availability_mode": "all",
        }  # fmt: skip
    found["open-alerts"] = {
        "platform": "sensor", "name": "Open alerts", "state_class": "measurement",
        "icon": "mdi:alert", "state_topic": site.topic(RuleState, ANY),
        "value_template": "{{ value_json.open }}", "availability": available,
        "availability_mode": "all",
    }  # fmt: skip
    found["last-alert"] = {
        "platform": "event", "name": "Alert", "event_types": ["opened", "closed"],
        "icon": "mdi:bell-alert", "state_topic": site.topic(AlertEvent, EVENT_ID),
        "availability": available, "availability_mode": "all",
    }  # fmt: skip
    return found


def _watch(site: Site) -> Component:
    topic = site.topic(WatchState, site.instances.get(Service.DETECTOR.value, "main"))
    return {
        "platform": "sensor", "name": "Watch", "device_class": "enum",
        "options": ["watching", "partly", "blind"], "icon": "mdi:eye", "state_topic": topic,
        "value_template": "{{ value_json.state }}", "json_attributes_topic": topic,
        "availability": site.available(Service.DETECTOR),
    }  # fmt: skip


def _buttons(site: Site) -> dict[str, Component]:
    topic = site.topic(Command, "button")
    available = site.available(Service.DETECTOR, Service.HOME_ASSISTANT)
    return {
        name: {
            "platform": "button", "name": title, "icon": icon, "command_topic": topic,
            "command_template": (
                f'{{"name":"{name}","args":{{}},"at":"{{{{ utcnow().isoformat() }}}}"}}'
            ),
            "availability": available, "availability_mode": "all",
        }
        for name, title, icon in (
            ("acknowledge", "Acknowledge all alerts", "mdi:check"),
            ("silence", "Silence all alerts for an hour", "mdi:bell-off"),
        )
    }  # fmt: skip


# --- a device of the LAN ------------------------------------------------------------------------


def _target(site: Site, id_: str) -> dict[str, Component]:
    """Return what is pinged; what does not answer loses everything, it is not unknown."""
    shared: Component = {
        "state_topic": site.topic(Target, id_), "availability": site.available(Service.PROBER),
    }  # fmt: skip
    times = {"rtt": ("Round trip", "rtt_avg_ms"), "jitter": ("Jitter", "jitter_ms")}
    found: dict[str, Component] = {
        "reachable": {
            "platform": "binary_sensor", "name": "Reachable", "device_class": "connectivity",
            "value_template": (
                "{{ {'up': 'ON', 'flapping': 'ON', 'down': 'OFF'}[value_json.state] "
                "| default('None') }}"
            ),
        },
        "loss": {
            "platform": "sensor", "name": "Packet loss", "unit_of_measurement": "%",
            "state_class": "measurement", "icon": "mdi:lan-disconnect",
            "value_template": (
                "{% if value_json.state == 'down' %}100{% elif value_json.last.loss_ratio is none "
                "%}None{% else %}{{ (value_json.last.loss_ratio * 100) | round(1) }}{% endif %}"
            ),
        },
    } | {
        key: {
            "platform": "sensor", "name": name, "device_class": "duration",
            "unit_of_measurement": "ms", "state_class": "measurement",
            "value_template": f"{{{{ value_json.last.{path} }}}}",
        }
        for key, (name, path) in times.items()
    }  # fmt: skip
    return {key: {**shared, **component} for key, component in found.items()}


def _device(site: Site, mac: str) -> dict[str, Component]:
    """Return what is seen of a device on the wire: presence and load."""
    shared: Component = {
        "state_topic": site.topic(Device, mac_id(mac)),
        "availability": site.available(Service.CAPTURE),
    }
    loads = {"tx": ("Sent", "tx_bps"), "rx": ("Received", "rx_bps")}
    found: dict[str, Component] = {
        "presence": {
            "platform": "device_tracker", "name": "Presence", "source_type": "router",
            "payload_home": "home", "payload_not_home": "not_home",
            "value_template": "{{ 'home' if value_json.present else 'not_home' }}",
        },
    } | {
        key: {
            "platform": "sensor", "name": name, "device_class": "data_rate",
            "unit_of_measurement": "bit/s", "state_class": "measurement",
            "suggested_display_precision": 0,
            "value_template": f"{{{{ value_json.load.{path} | round(0) }}}}",
        }
        for key, (name, path) in loads.items()
    }  # fmt: skip
    return {key: {**shared, **component} for key, component in found.items()}
