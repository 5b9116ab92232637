"""What is wrong with the settings, in words: one line for each mistake. Pure but for variables.

Each line says where the value stands (file, secret or variable), what it is called, and what to
write instead.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from monitorpi_common.messages import Service
from monitorpi_common.settings_keys import DELIMITER, inner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ENV_PREFIX: Final = "MONITORPI_"
_SECRET_WORDS: Final = ("password", "key", "token", "secret", "watch_url")
NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
"""Of a site, and of one process among several."""
_WORDS: Final = {
    ("model_type", None): "should be a table",
    ("dict_type", None): "should be a table",
    ("tuple_type", None): "should be a list",
    ("bool_type", None): "input should be a valid boolean: true or false",
    ("bool_parsing", None): "input should be a valid boolean: true or false",
    ("string_pattern_mismatch", NAME): "use a-z, 0-9 and inner -, at most 64 characters",
}
"""What we say instead of pydantic, by kind of mistake and pattern."""
_COMPOSED: Final = ("model_type", "dict_type", "list_type", "tuple_type")
"""Mistakes of what should be a table or a list."""
_FROM_FOLDER: Final = "secret "
"""Begins what is said of a value from the secrets directory."""
_LONGEST_KEY: Final = 64
_LONGEST_MESSAGE: Final = 240
_NO_SETTINGS: Final = (
    "CONFIG",
    "SECRETS_DIR",
    "ROOT",
    "VENV",
    "CAPTURES",
    "HASS",
    "LAB",
    "PATIENCE_S",
)
"""Variables of ours that are no keys: where settings are, and what the set-up and tests use."""
_INJECTED: Final = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")
"""What Kubernetes and Docker's links tell of a service that is called ``monitorpi...``."""
_INJECTED_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")


class ConfigurationError(Exception):
    """The configuration cannot be used. One line per field, each naming what to change."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True)
class Origins:
    """Where values may have come from."""

    table: Mapping[str, Any]
    file: Path | None
    secrets: Mapping[str, str]
    folder: Path

    def of(self, location: list[str]) -> str:
        """Name the source of the value at a location, as far as it is known."""
        variables = {name.upper(): name for name, value in os.environ.items() if value}
        for depth in range(len(location), 0, -1):
            name = DELIMITER.join(location[:depth])
            variable = variables.get(f"{ENV_PREFIX}{name}".upper())
            if variable is not None:
                return f"{variable}: "
            for secret in self.secrets:
                if secret.lower() == name.lower():
                    return f"{_FROM_FOLDER}{self.folder / secret}: "
        written = location[0] in self.table and self.file
        return f"{self.file}: " if written else ""


def explain(error: ValidationError, model: type[BaseModel], origins: Origins) -> list[str]:
    """Return one line per mistake: where it stands, what it is called, what is wrong."""
    lines = []
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"]]
        origin = origins.of(location)
        dotted = ".".join(
            _key(part) for part in location if part != "[key]" and not part.startswith("function-")
        )
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(location[-1], _siblings(model, location), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; remove it"
            lines.append(f"{origin}{dotted}: unknown key{hint}")
            continue
        value = problem.get("input")
        is_text = isinstance(value, str) and origin not in ("", f"{origins.file}: ")
        if is_text and problem["type"] in _COMPOSED:
            one = f"{ENV_PREFIX}{location[0].upper()}{DELIMITER}KEY"
            lines.append(f"{origin}{dotted}: write it as JSON; one key of a table is {one}")
            continue
        secret = origin.startswith(_FROM_FOLDER) or _is_secret(model, location)
        shown = "" if secret or isinstance(value, dict | list) else f" (not {str(value)[:80]!r})"
        lines.append(f"{origin}{dotted}: {_message(dict(problem))}{shown}")
    return lines


def _key(part: str) -> str:
    """Return a key as it fits into a line: whatever it holds, nothing moves the cursor."""
    short = part if len(part) <= _LONGEST_KEY else f"{part[:_LONGEST_KEY]}..."
    return short if short.isprintable() else repr(short)


def _message(problem: dict[str, Any]) -> str:
    """Say what is wrong with a value as its reader would."""
    text = _WORDS.get((problem["type"], problem.get("ctx", {}).get("pattern")))
    if text is not None:
        return text
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not message[1:2].isupper():  # an abbreviation
        message = message[0].lower() + message[1:]
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."


def doubled_variables() -> list[str]:
    """Return a line for each variable of ours that stands twice, in different cases.

    Which of them counts would be chance. Settings are read in any case, other variables in
    capitals alone.
    """
    lines: list[str] = []
    there: dict[str, str] = {}
    for variable in sorted(one for one in os.environ if os.environ[one]):
        name = variable.upper()
        if not name.startswith(ENV_PREFIX):
            continue
        other = there.setdefault(name, variable)
        if other != variable:
            lines.append(f"{_key(variable)}: stands there as {_key(other)}, too: remove one")
        elif variable != name and name.removeprefix(ENV_PREFIX) in _NO_SETTINGS:
            lines.append(f"{_key(variable)}: write it as {name}")
    return lines


def unknown_variables(keys: Iterable[str]) -> list[str]:
    """Return a line for each variable of ours that no program reads: a name that was misspelt.

    Args:
        keys: the names at the top level of the settings, tables included.

    """
    known = {*(key.replace("-", "_").upper() for key in keys), *_NO_SETTINGS}
    lines = []
    for variable, value in sorted(os.environ.items()):
        name = variable.upper().removeprefix(ENV_PREFIX)
        key = name.split(DELIMITER)[0]
        injected = _INJECTED.search(variable) or _INJECTED_VALUE.match(value)
        if name == variable.upper() or not value or key in known or injected:
            continue
        lines.append(f"{_key(variable)}: unknown variable{_meant(name, known)}")
    return lines


def _meant(name: str, known: set[str]) -> str:
    """Return a hint at the variable that was meant: a table's key stands behind two underscores."""
    key, *rest = name.split(DELIMITER)
    table = next((one for one in known if name.startswith(f"{one}_") and not rest), None)
    if table is not None:  # the name of no table begins with another's
        return f"; did you mean '{ENV_PREFIX}{table}__{name[len(table) + 1 :]}'?"
    close = difflib.get_close_matches(key, known, n=1)
    meant = ENV_PREFIX + DELIMITER.join([*close, *rest])
    return f"; did you mean {meant!r}?" if close else "; remove it"


def _is_secret(model: type[BaseModel], location: list[str]) -> bool:
    """Return whether a value is one that nobody may see: by its name, or its type."""
    if any(word in part for word in _SECRET_WORDS for part in location):
        return True
    place: Any = model
    for part in location:
        place = inner(place, part)
        if SecretStr.__name__ in repr(place):
            return True
    return False


def _siblings(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the names that would have been known at an unknown key's place."""
    services = [service.value for service in Service] if len(location) == 1 else []
    place: Any = model
    for part in location[:-1]:
        place = inner(place, part)
    return services + list(getattr(place, "model_fields", {}))
