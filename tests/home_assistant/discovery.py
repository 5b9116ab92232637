"""The schema of discovery payloads, made of Home Assistant's documented fields.

https://www.home-assistant.io/integrations/mqtt/ and the page of each platform below it: a field
that is not documented there is refused here.
"""

from __future__ import annotations

from typing import Any, Final

TEXT: Final = {"type": "string", "minLength": 1}
NUMBER: Final = {"type": "integer", "minimum": 0}
TOPIC: Final = {"type": "string", "pattern": r"^[^#+\u0000]+$"}
AVAILABILITY: Final = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["topic"],
        "additionalProperties": False,
        "properties": {
            "topic": TOPIC,
            "payload_available": TEXT,
            "payload_not_available": TEXT,
            "value_template": TEXT,
        },
    },
}
SHARED: Final[dict[str, Any]] = {
    "platform": TEXT,
    "unique_id": {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,255}$"},
    "name": {"type": ["string", "null"]},
    "icon": {"type": "string", "pattern": r"^mdi:[a-z0-9-]+$"},
    "availability": AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "entity_category": {"enum": ["config", "diagnostic"]},
    "enabled_by_default": {"type": "boolean"},
    "json_attributes_topic": TOPIC,
    "json_attributes_template": TEXT,
    "qos": {"enum": [0, 1, 2]},
}
STATE: Final = {"state_topic": TOPIC, "value_template": TEXT}
UNITS: Final = {
    "data_rate": ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s", "GB/s"],
    "duration": ["d", "h", "min", "s", "ms", "\u00b5s"],
}
"""Units that a sensor of a device class may have."""
PLATFORMS: Final[dict[str, tuple[list[str], dict[str, Any]]]] = {
    "sensor": (
        ["state_topic"],
        {
            **STATE,
            "device_class": {"enum": ["data_rate", "duration", "enum", "timestamp", "data_size"]},
            "state_class": {"enum": ["measurement", "total", "total_increasing"]},
            "unit_of_measurement": TEXT,
            "suggested_display_precision": NUMBER,
            "options": {"type": "array", "items": TEXT, "minItems": 1},
            "expire_after": NUMBER,
            "force_update": {"type": "boolean"},
        },
    ),
    "binary_sensor": (
        ["state_topic"],
        {
            **STATE,
            "device_class": {"enum": ["problem", "connectivity", "safety", "presence"]},
            "payload_on": TEXT,
            "payload_off": TEXT,
            "expire_after": NUMBER,
            "off_delay": NUMBER,
        },
    ),
    "event": (
        ["state_topic", "event_types"],
        {
            **STATE,
            "event_types": {"type": "array", "items": TEXT, "minItems": 1},
            "device_class": {"enum": ["button", "doorbell", "motion"]},
        },
    ),
    "button": (
        ["command_topic"],
        {
            "command_topic": TOPIC,
            "command_template": TEXT,
            "payload_press": TEXT,
            "retain": {"type": "boolean"},
            "device_class": {"enum": ["identify", "restart", "update"]},
        },
    ),
    "device_tracker": (
        [],
        {
            **STATE,
            "payload_home": TEXT,
            "payload_not_home": TEXT,
            "payload_reset": TEXT,
            "source_type": {"enum": ["gps", "router", "bluetooth", "bluetooth_le"]},
        },
    ),
}
DEVICE: Final = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["identifiers"]}, {"required": ["connections"]}],
    "properties": {
        "identifiers": {"type": "array", "items": TEXT, "minItems": 1},
        "connections": {
            "type": "array",
            "items": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2},
        },
        "configuration_url": {"type": "string", "pattern": "^(https?|homeassistant)://"},
        **dict.fromkeys(
            ("name", "manufacturer", "model", "model_id", "sw_version", "hw_version",
             "serial_number", "suggested_area", "via_device"), TEXT,
        ),
    },
}  # fmt: skip


def _component(platform: str) -> dict[str, Any]:
    required, fields = PLATFORMS[platform]
    return {
        "if": {"properties": {"platform": {"const": platform}}},
        "then": {
            "required": ["platform", "unique_id", *required],
            "additionalProperties": False,
            "properties": {**SHARED, **fields},
        },
    }


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": {
        "device": DEVICE,
        "origin": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": TEXT, "sw_version": TEXT, "support_url": TEXT},
        },
        "components": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[a-z0-9-]+$"},
            "additionalProperties": {
                "type": "object",
                "required": ["platform"],
                "properties": {"platform": {"enum": list(PLATFORMS)}},
                "allOf": [_component(platform) for platform in PLATFORMS],
            },
        },
        "availability": AVAILABILITY,
        "state_topic": TOPIC,
        "command_topic": TOPIC,
        "qos": {"enum": [0, 1, 2]},
        "encoding": TEXT,
    },
}
