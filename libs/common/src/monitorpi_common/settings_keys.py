"""Variables and secrets as tables: ``broker__port`` is ``port`` of the table ``broker``. Pure.

Where a list or a table belongs, a text may be one in JSON. The text of a key wins over its table's.
"""

from __future__ import annotations

import json
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping

DELIMITER: Final = "__"
"""Stands between a table and its keys in the name of a variable or a secret."""
_COMPOSED: Final = (BaseModel, dict, list, tuple)


def tables_of(model: type[BaseModel], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what texts say of a model's fields, to be validated.

    Args:
        model: the settings, as a whole.
        texts: by the path of a key, whatever its case; what is no field at the top is left out.

    """
    values: dict[str, Any] = {}
    given = {name.lower(): text for name, text in texts.items()}
    for name in sorted(given, key=lambda name: name.count(DELIMITER)):  # tables before their keys
        *path, last = name.split(DELIMITER)
        table: Any = values
        kind: Any = model
        for key in path:
            kind = inner(kind, key)
            if table is values and not _is_composed(kind):
                break
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        else:
            kind = inner(kind, last)
            if isinstance(table, dict) and (path or kind is not None):
                table[last] = _parsed(given[name]) if _is_composed(kind) else given[name]
    return values


def merged(stronger: Mapping[str, Any], weaker: Mapping[str, Any]) -> dict[str, Any]:
    """Return two trees of tables as one, key by key."""
    both = {**weaker, **stronger}
    for key in weaker.keys() & stronger.keys():
        if isinstance(weaker[key], dict) and isinstance(stronger[key], dict):
            both[key] = merged(stronger[key], weaker[key])
    return both


def inner(place: Any, part: str) -> Any:
    """Return the type one step inside another: of a field, or of a list's or a table's values."""
    if not isinstance(place, type) or not issubclass(place, BaseModel):
        return get_args(place)[-1] if get_args(place) else None
    field = place.model_fields.get(part)
    found: Any = field.annotation if field is not None else None
    if NoneType in get_args(found):  # it may be left out
        found = next(one for one in get_args(found) if one is not NoneType)
    return found


def _is_composed(kind: Any) -> bool:
    """Tell whether a type is a list or a table, or may be one."""
    origin = get_origin(kind) or kind
    if isinstance(origin, type) and issubclass(origin, _COMPOSED):
        return True
    return any(map(_is_composed, get_args(kind)))


def _parsed(text: str) -> Any:
    """Return a list or table that is written as JSON; any other text as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if found is None or isinstance(found, list | dict) else text
