"""Paths into payloads: what they lead to, and whether there can be anything.

``counts.syn`` walks into a payload, ``targets[].rtt_avg_ms`` takes every item of a list,
``targets[state=up].#`` tells how many items are like that.
"""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from monitorpi_common.messages import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable

STEP: Final = re.compile(r"(?P<name>\w+|#)(\[(?P<filter>(\w+=[\w.-]+)?)\])?")
_MAX_VALUES: Final = 4096  # of one path in one message: no list of the contract is longer

MOST_VALUE: Final = 1e18
"""Beyond this, infinity included, a value is left out: no count is so high."""

_TALLIES: Final = ("counts", "totals", "tx", "rx", "classes")
"""Tables by count class."""
_COLUMNS: Final = ("packets", "bytes", *CLASSES)


class PathError(ValueError):
    """A path that can lead to nothing; the text says what there is."""


# --- walking ------------------------------------------------------------------------------------


def values(payload: Any, path: str) -> list[float]:
    """Return every number a path leads to; what is missing or no number is left out."""
    found: list[Any] = [payload]
    for text in path.split("."):
        step = STEP.fullmatch(text)
        if step is None:
            return []
        if step["name"] == "#":
            return [float(len(found))]
        found = [one[step["name"]] for one in found if _has(one, step["name"])]
        if step["filter"] is not None:
            found = [item for one in found if isinstance(one, list) for item in one]
            found = [item for item in found if _passes(item, step["filter"])][:_MAX_VALUES]
    return [float(one) for one in found if isinstance(one, int | float) and abs(one) <= MOST_VALUE]


def _has(value: Any, name: str) -> bool:
    return isinstance(value, dict) and value.get(name) is not None


def _passes(item: Any, filter_: str) -> bool:
    """Return whether a list's item has the wanted value; an empty filter takes every item."""
    if not filter_:
        return True
    name, wanted = filter_.split("=", 1)
    return isinstance(item, dict) and str(item.get(name)) == wanted


# --- checking -----------------------------------------------------------------------------------


def check(message: type[BaseModel], path: str) -> None:
    """Refuse a path that leads to no number in any message of a class.

    Raises:
        PathError: says at which step, and what there is instead.

    """
    kind: Any = message
    before = ""
    for text in path.split("."):
        step = STEP.fullmatch(text)
        if step is None:
            raise PathError(f"{text!r} is no step of a path")
        if step["name"] == "#":
            return
        kind = _inside(kind, before, step["name"])
        if kind is Any:
            return
        if step["filter"] is not None:
            kind = _item(kind, step["name"], step["filter"])
        elif get_origin(kind) is list:
            raise PathError(f"{step['name']!r} is a list: write {step['name']}[]")
        before = step["name"]
    if kind not in (int, float, bool):
        raise PathError(f"{before!r} is no number")


def _inside(kind: Any, table: str, name: str) -> Any:
    """Return the type of a member; ``Any``: the contract does not say."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        _one_of(name, kind.model_fields)
        return _bare(kind.model_fields[name].annotation)
    if get_origin(kind) is not dict:
        raise PathError(f"there is nothing inside {table!r}")
    if table in _TALLIES:
        _one_of(name, _COLUMNS)
    member = _bare(get_args(kind)[1])
    return member if _is_known(member) else Any


def _item(kind: Any, name: str, filter_: str) -> Any:
    """Return the type of a list's items, whose filter must make sense."""
    if get_origin(kind) is not list:
        raise PathError(f"{name!r} is no list")
    item = _bare(get_args(kind)[0])
    if filter_:
        member, wanted = filter_.split("=", 1)
        of = _inside(item, name, member)
        if get_origin(of) is Literal:
            _one_of(wanted, get_args(of))
    return item


def _bare(annotation: Any) -> Any:
    """Take bounds and ``None`` off a type."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(one for one in get_args(annotation) if one is not NoneType)
        else:
            return annotation


def _is_known(kind: Any) -> bool:
    """Return whether the contract says what a table holds."""
    return kind in (int, float) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _one_of(name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        raise PathError(f"there is no {name!r}; there are: {', '.join(names)}")
