"""The queries described for programs: OpenAPI 3.1, made from what answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitorpi_common import __version__

if TYPE_CHECKING:
    from monitorpi_history.sources.tables import AnswerTable


def document(tables: tuple[AnswerTable, ...]) -> dict[str, Any]:
    """Return the whole description."""
    paths = {f"/v1/{table.name}": {"get": _operation(table)} for table in tables}
    paths["/v1/state"] = {
        "get": {
            "operationId": "state",
            "summary": "How much is held, and how far back it reaches.",
            "responses": {"200": {"description": "As in health.", "content": _content(["json"])}},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MonitorPi history",
            "version": __version__,
            "summary": "What was counted, probed and told, over time.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8083"}],
        "paths": paths,
    }


def _operation(table: AnswerTable) -> dict[str, Any]:
    refusals = {
        "400": "The question is not of this form, or one document cannot hold the answer.",
        "421": "The host name is not one of this machine.",
        "503": "Nothing can be read now, or too many ask at once.",
    }
    return {
        "operationId": table.name,
        "summary": table.summary,
        "parameters": _parameters(table),
        "responses": {
            "200": {"description": "The answer.", "content": _content(["json", "jsonl", "csv"])},
            **{code: {"description": text} for code, text in refusals.items()},
        },
    }


def _parameters(table: AnswerTable) -> list[dict[str, Any]]:
    schema = table.question.model_json_schema(by_alias=True)
    found = []
    for name, one in schema["properties"].items():
        described = {
            key: value for key, value in one.items() if key not in ("title", "description")
        }
        required = name in schema.get("required", ())
        entry = {"name": name, "in": "query", "required": required, "schema": described}
        if "description" in one:
            entry["description"] = one["description"]
        found.append(entry)
    return found


def _content(formats: list[str]) -> dict[str, Any]:
    types: dict[str, tuple[str, dict[str, Any]]] = {
        "json": ("application/json", {"type": "object"}),
        "jsonl": ("application/x-ndjson", {"type": "string"}),
        "csv": ("text/csv", {"type": "string"}),
    }
    return {types[one][0]: {"schema": types[one][1]} for one in formats}
