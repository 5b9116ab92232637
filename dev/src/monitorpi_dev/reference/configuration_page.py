"""docs/configuration.md: every setting of every service."""

from __future__ import annotations

import importlib
import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitorpi_common.messages import Service
from monitorpi_common.settings import CommonSettings, Section
from monitorpi_dev.reference.attributes import description
from monitorpi_dev.reference.tables import NOTICE, cell, paragraphs, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def settings_of(service: Service) -> type[Section] | None:
    """Return the settings model of a service: the Section its settings module names after it."""
    module_name = f"monitorpi_{service.value.replace('-', '_')}.settings"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name:
            return None
        raise
    wanted = "".join(part.capitalize() for part in service.value.split("-")) + "Settings"
    found: type[Section] = getattr(module, wanted)
    return found


def configuration() -> str:
    """Build docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        f"<!-- {NOTICE} -->",
        "",
        "Nothing needs to be configured. What is, stands in one TOML file for all services",
        "(`--config FILE`, `MONITORPI_CONFIG`, or `/etc/monitorpi/monitorpi.toml`), a table per",
        "service. A file in the secrets directory (`MONITORPI_SECRETS_DIR`, default",
        "`/run/secrets`) wins over the TOML file, an environment variable over both:",
        "`MONITORPI_SITE`, `MONITORPI_BROKER__PORT`, `MONITORPI_CAPTURE__INTERFACES` (two",
        "underscores step into a table; lists and tables are JSON). Secrets are files named like",
        "the key with its table: `broker__password`; `./monitorpi up` gives each service a folder",
        "of its own, `/var/lib/monitorpi/secrets/{service}/`. An unknown key is an error, so that",
        "a typo never passes silently, and so is a variable `MONITORPI_...` that nobody reads",
        "(but for those that Kubernetes and Docker's links set for a service of that name);",
        "every error is one line that names what to change.",
        "`./monitorpi doctor` tells all of them.",
        "",
        "## Common",
        "",
        *_settings_table(CommonSettings, ""),
    ]
    for service in Service:
        section = settings_of(service)
        if section is not None:
            lines += ["", f"## `[{service.value}]`", "", *paragraphs(section), ""]
            lines += _settings_table(section, "")
    return "\n".join(lines).rstrip() + "\n"


def _settings_table(section: type[BaseModel], prefix: str) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    lines += _settings_rows(section, prefix)
    return lines


def _settings_rows(section: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    types = types_of(section)
    for name, field in section.model_fields.items():
        kind = field.annotation
        key = f"{prefix}{field.alias or name}"
        if isinstance(kind, type) and issubclass(kind, Section):
            rows += _settings_rows(kind, f"{key}.")
            continue
        limits = _limits(field)
        meaning = cell(description(section, name) + (f" ({limits})" if limits else ""))
        rows.append(f"| `{key}` | {types[field.alias or name]} | {_default(field)} | {meaning} |")
        for part in _sections_in(kind):
            rows += _settings_rows(part, f"{key}[].")
    return rows


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, Section):
            yield argument
        else:
            yield from _sections_in(argument)


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    said = []
    for constraint in field.metadata:
        for name, word in words.items():
            if getattr(constraint, name, None) is not None:
                said.append(f"{word} {getattr(constraint, name)}")
    return ", ".join(said)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if field.default_factory is not None:
        return "-" if field.annotation is str else "see below"
    if value is None:
        return "-"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, Section | list | tuple | dict):
        return "see below" if value else "empty"
    return f"`{json.dumps(value)}`"
