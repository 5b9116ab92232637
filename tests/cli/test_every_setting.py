"""Every key of every table, written wrongly in each way its type can be: one line that names it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel, SecretStr

from monitorpi_cli.stack.preflight import SECTIONS
from monitorpi_common import settings
from monitorpi_common.settings import CommonSettings, ConfigurationError, NoSection, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import Service

KEYS: Final = {
    "detector.rules": "syn-flood", "detector.devices": "b8:27:eb:00:00:01",
    "detector.devices.KEY": "syn-flood", "notifier.destinations": "me",
    "notifier.behind": "10.0.0.1", "cloud_bridge.channels": "traffic",
    "cloud_bridge.write_keys": "traffic", "cloud_bridge.read_keys": "traffic",
}  # fmt: skip
"""What a key of a table is called where people choose it."""
BESIDE: Final[dict[str, dict[str, object]]] = {
    "broker.centre": {"host": "10.0.0.5"},
    "cloud_bridge.mqtt": {"host": "10.0.0.5"},
    "cloud_bridge.nats": {"servers": ["10.0.0.6"]},
    "prober.targets.0": {"address": "10.0.0.5"},
    "cloud_bridge": {"channels": {"traffic": 1}, "write_keys": {"traffic": "K"}},
    "cloud_bridge.influx": {"url": "http://127.0.0.1:8086"},
    "cloud_bridge.talkback": {"id": 5, "key": "K"},
    "cloud_bridge.talkback.commands.KEY": {
        "service": "capture", "name": "watch", "args": {"seconds": 5},
    },
    "cloud_bridge.mapping.0": {
        "topic": "capture/wire/+", "path": "counts.syn", "channel": "traffic", "field": 1,
    },
    "notifier.destinations.KEY": {"url": "ntfy://host/topic"},
    "notifier.maintenance.0": {"when": "sun 02:00-04:00"},
}  # fmt: skip
"""What must stand beside a value for it to be the only mistake."""
ANY_TEXT: Final = (
    "prober.targets.0.name", "cloud_bridge.mapping.0.label", "cloud_bridge.influx.org",
    "cloud_bridge.influx.bucket", "cloud_bridge.talkback.commands.KEY.args.KEY",
)  # fmt: skip
"""Texts that are shown or sent as they are."""
LISTED: Final = ("capture.interfaces",)
"""Lists that may be written as one text."""
ODD_TEXTS: Final = ("", " ", "a\u0007b", "a\0b", "no such thing")


@dataclass(frozen=True)
class Place:
    """A key: whose table it stands in, its path there, the type of its value."""

    service: Service | None
    path: tuple[str, ...]
    kind: Any
    limits: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The key with the tables it stands in."""
        return ".".join(self.path)

    @property
    def kinds(self) -> list[Any]:
        """The types a value may have."""
        kinds = [self.kind]
        while any(get_args(one) and not is_table(one) and not is_list(one) for one in kinds):
            kinds = [
                inner
                for one in kinds
                for inner in (
                    get_args(one) if get_args(one) and not is_table(one) and not is_list(one)
                    else (one,)
                )
            ]  # fmt: skip
        return kinds


def is_table(kind: Any) -> bool:
    """Tell whether values of a type are tables."""
    return get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))


def is_list(kind: Any) -> bool:
    """Tell whether values of a type are lists."""
    return get_origin(kind) in (list, tuple)


def bare(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without what it may be left out for, and the bounds of its values."""
    bounds: tuple[Any, ...] = ()
    while True:
        if hasattr(kind, "__metadata__"):
            bounds += kind.__metadata__
            kind = get_args(kind)[0]
        elif NoneType in get_args(kind) and len(get_args(kind)) == 2:
            kind = next(one for one in get_args(kind) if one is not NoneType)
        else:
            return kind, tuple(
                inner for one in bounds for inner in (one, *getattr(one, "metadata", ()))
            )


def inside(service: Service | None, kind: Any, path: tuple[str, ...]) -> Iterator[Place]:
    """Yield every key below a type."""
    kind, _ = bare(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            inner, bounds = bare(info.annotation)
            flat = tuple(x for one in info.metadata for x in (one, *getattr(one, "metadata", ())))
            yield Place(service, (*path, name), inner, (*bounds, *flat))
            yield from inside(service, inner, (*path, name))
    elif get_origin(kind) is dict:
        inner, bounds = bare(get_args(kind)[1])
        yield Place(service, (*path, "KEY"), inner, bounds)
        yield from inside(service, inner, (*path, "KEY"))
    elif is_list(kind):
        inner, bounds = bare(get_args(kind)[0])
        yield Place(service, (*path, "0"), inner, bounds)
        yield from inside(service, inner, (*path, "0"))


def places() -> list[Place]:
    """Return every key there is."""
    found = list(inside(None, CommonSettings, ()))
    for service, section in SECTIONS.items():
        path = (service.value.replace("-", "_"),)
        found += [Place(service, path, section), *inside(service, section, path)]
    return found


PLACES: Final = places()


def wrong_values(place: Place) -> Iterator[object]:
    """Yield what a value of that type can never be, as TOML can say it."""
    kinds = place.kinds
    if not any(is_table(one) for one in kinds):
        yield {"zzz": 1}
    if not any(is_list(one) for one in kinds):
        yield [1]
    if bool not in kinds:
        yield True
    if place.name not in LISTED and not {str, SecretStr, Path, int, float}.intersection(kinds):
        yield "no such thing"
    if int in kinds or float in kinds:
        yield from ("many", float("nan"), float("inf"))
        yield from (1.5,) if float not in kinds else ()
        yield from beyond(place)
    elif bool not in kinds:
        yield 7
    else:
        yield "maybe"
    if str in kinds and place.name not in ANY_TEXT:
        yield from ODD_TEXTS[:4]


def beyond(place: Place) -> Iterator[float]:
    """Yield numbers just outside the bounds, and none where a bound is missing."""
    for limit in place.limits:
        match limit:
            case annotated_types.Ge(ge):
                yield ge - 1  # type: ignore[operator, misc]
            case annotated_types.Gt(gt):
                yield gt  # type: ignore[misc]
            case annotated_types.Le(le):
                yield le + 1  # type: ignore[operator, misc]


def written(value: object) -> str:
    """Return a value as TOML."""
    match value:
        case dict():
            return (
                "{ " + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + " }"
            )
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
        case float():
            return repr(value)
        case _:
            return json.dumps(value)


def at(place: Place, value: object) -> tuple[str, str]:
    """Return the file with one value, and the name of its key as people see it."""
    names: list[str] = []
    for depth, part in enumerate(place.path):
        above = ".".join(place.path[:depth])
        names.append(KEYS.get(above, "kkk") if part == "KEY" else part)
    built = value
    for depth in range(len(names) - 1, 0, -1):
        above = ".".join(place.path[:depth])
        if place.path[depth] == "0":
            built = [built]
        else:
            built = BESIDE.get(above, {}) | {names[depth]: built}
    return f"{names[0]} = {written(built)}\n", ".".join(names)


def lines_of(place: Place, text: str, folder: Path) -> list[str]:
    """Return what is said of a file's content."""
    file = folder / "monitorpi.toml"
    file.write_text(text)
    kind = SECTIONS[place.service] if place.service else NoSection
    try:
        load(place.service, kind, file=file, secrets=folder / "none")
    except ConfigurationError as error:
        return [line.removeprefix(f"{file}: ") for line in error.lines]
    return []


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DEFAULT_SECRETS", tmp_path / "none")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_value_of_another_type_or_out_of_range_is_one_line(place: Place, tmp_path: Path) -> None:
    """With the key's name, and no word of the library that found it."""
    tried = 0
    for value in wrong_values(place):
        text, name = at(place, value)

        said = lines_of(place, text, tmp_path)

        tried += 1
        assert len(said) == 1, (text, said)
        (line,) = said
        assert line.startswith(name.split(".")[0]), (text, line)
        assert name.split(".")[-1] in line, (text, line)
        assert line.isprintable(), (text, line)
        assert len(line) < 400, (text, line)
        assert not any(word in line for word in ("class '", "[str]", "function-", "Error(")), line
    assert tried >= 2, place


@pytest.mark.parametrize(
    "place", [one for one in PLACES if any(is_table(kind) for kind in one.kinds)],
    ids=lambda place: place.name,
)  # fmt: skip
def test_an_unknown_neighbour_of_each_key_is_one_line(place: Place, tmp_path: Path) -> None:
    """Each key with a letter more is unknown, and the right one is proposed."""
    (model,) = [kind for kind in place.kinds if is_table(kind)]
    if get_origin(model) is dict:  # its keys are people's
        return
    for key in model.model_fields:
        beside = BESIDE.get(place.name, {})
        text, name = at(place, beside | {f"{key}x": 1})

        said = lines_of(place, text, tmp_path)

        assert [line for line in said if f"{name}.{key}x: unknown key; did you mean '" in line], (
            text, said,
        )  # fmt: skip
        assert len(said) == 1, (text, said)


def test_all_tables_are_looked_at() -> None:
    """The walk finds keys of every service, also those three tables deep."""
    names = {place.name for place in PLACES}

    assert len(PLACES) > 150
    assert {
        "broker.tls_ca", "detector.devices.KEY.KEY.floor", "prober.targets.0.mac",
        "cloud_bridge.talkback.commands.KEY.args", "notifier.destinations.KEY.hours.0",
    } <= names  # fmt: skip
