"""JSON Schemas, and the AsyncAPI document of the whole bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from monitorpi_common import __version__
from monitorpi_common.messages import OWNED, SHARED, STATUS
from monitorpi_dev.reference.attributes import DescribedSchema
from monitorpi_dev.reference.tables import NOTICE, first_sentence

if TYPE_CHECKING:
    from monitorpi_common.messages import Delivery, Message


def as_json(value: Any) -> str:
    """Return a value as it stands in a file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def schema(kind: type[Message]) -> dict[str, Any]:
    """Return the JSON Schema of a message, as it is published."""
    own = kind.model_json_schema(mode="serialization", schema_generator=DescribedSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **own}


def asyncapi() -> str:
    """Build the AsyncAPI 3.0 document of the whole bus."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for kind in (*OWNED, *SHARED):
        name = kind.__name__.lower()
        service = kind.SERVICE.value if kind.SERVICE else "{service}"
        parameters = ["site", *([] if kind.SERVICE else ["service"]), "id"]
        messages[name] = {
            "name": kind.__name__,
            "summary": first_sentence(kind),
            "contentType": "application/json",
            "payload": {"$ref": f"./{name}.schema.json"},
        }
        channels[name] = _channel(
            f"monitorpi/v1/{{site}}/{service}/{kind.KIND}/{{id}}", name, parameters, kind.ID
        )
        operations[f"send_{name}"] = _operation(name, kind.DELIVERY)
    messages["status"] = {
        "name": "Status",
        "summary": "Whether an instance runs; `offline` is its last will.",
        "contentType": "text/plain",
        "payload": {"type": "string", "enum": ["online", "offline"]},
    }
    channels["status"] = _channel(
        "monitorpi/v1/{site}/{service}/status/{id}",
        "status",
        ["site", "service", "id"],
        "instance",
    )
    operations["send_status"] = _operation("status", STATUS)
    document = {
        "asyncapi": "3.1.0",
        "info": {
            "title": "MonitorPi",
            "version": __version__,
            "description": "Everything MonitorPi says on its local MQTT 5 broker.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return f"# {NOTICE}\n{body}"


def _channel(address: str, message: str, parameters: list[str], id_: str) -> dict[str, Any]:
    meaning = {
        "site": "Name of the installation.",
        "service": "Name of the service that writes (a command: that is addressed).",
        "id": f"{id_[0].upper()}{id_[1:]}.",
    }
    return {
        "address": address,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "parameters": {name: {"description": meaning[name]} for name in parameters},
    }


def _operation(name: str, delivery: Delivery) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": delivery.qos, "retain": delivery.retain}
    if delivery.expiry_s is not None:
        binding["messageExpiryInterval"] = delivery.expiry_s
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {**binding, "bindingVersion": "0.2.0"}},
    }
