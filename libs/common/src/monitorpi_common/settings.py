"""Settings from one TOML file, the environment and a secrets directory, each error one line.

Later ones win: defaults, the TOML file, the secrets directory, ``MONITORPI_*`` variables, the
command line. The file is shared by all services: a table per service, and each service reads its
own and the common keys. An unknown key is an error, so that a typo never passes silently.
"""

from __future__ import annotations

import difflib
import os
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from monitorpi_common.messages import Service
from monitorpi_common.topics import slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENV_PREFIX: Final = "MONITORPI_"
DEFAULT_FILE: Final = Path("/etc/monitorpi/monitorpi.toml")
DEFAULT_SECRETS: Final = Path("/run/secrets")
_MAX_SECRET_BYTES: Final = 64 * 1024
_SECRET_WORDS: Final = ("password", "key", "token", "secret")


class ConfigurationError(Exception):
    """The configuration cannot be used. One line per field, each naming what to change."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class Section(BaseModel):
    """One table of the configuration file: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BrokerSettings(Section):
    """Where the MQTT broker is and who this service is there."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Host name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """TCP port of the broker."""
    username: str | None = None
    """User at the broker; by default the name of the service."""
    password: SecretStr | None = None
    """Password of that user. Better in the secrets directory, as a file `broker__password`."""
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 10
    """Seconds of silence after which a dead connection is noticed (by both sides: up to twice)."""
    tls_ca: Path | None = None
    """Certificate authority of the broker (PEM file); given, the connection uses TLS."""


class CommonSettings(Section):
    """What every service needs to know, at the top level of the file."""

    site: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")] = Field(
        default_factory=lambda: slug(socket.gethostname())
    )
    """Name of this installation in every topic (`a-z`, `0-9`, inner `-`); default: the host's."""
    instance: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")] = "main"
    """Name of this process among several of the same service."""
    state_dir: Path = Path("/var/lib/monitorpi")
    """Folder for what must survive a restart (bounded; written rarely)."""
    heartbeat: Path | None = None
    """File touched each second while the service is well, for a container's health check."""
    log_level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = "info"
    """Least level that is logged: debug, info, warning or error."""
    trust_clock: bool = False
    """Take the wall clock as right even where the kernel does not call it synchronised."""
    broker: BrokerSettings = BrokerSettings()
    """The MQTT broker."""


def authority(host: str, port: int) -> str:
    """Return a host and its port as they stand in a URL: IPv6 addresses in brackets (RFC 3986)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True)
class Loaded(Generic[SectionT]):
    """Validated settings: the common ones and the service's own table."""

    common: CommonSettings
    section: SectionT


class NoSection(Section):
    """The table of a program that has none."""


def load(
    service: Service | None,
    section: type[SectionT],
    *,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    secrets: Path | None = None,
) -> Loaded[SectionT]:
    """Read and validate the settings of one service.

    Args:
        service: whose table to read; None: only the common keys, with ``NoSection``.
        section: the model of that table.
        file: the TOML file; by default ``MONITORPI_CONFIG`` or /etc/monitorpi/monitorpi.toml,
            where a missing default file is no error.
        overrides: nested values of the command line; they win over everything.
        secrets: the secrets directory; by default ``MONITORPI_SECRETS_DIR`` or /run/secrets.

    Raises:
        ConfigurationError: with one line per problem.

    """
    name = service.value.replace("-", "_") if service else "none"
    path, table = _read_file(file, name)
    secrets = secrets or Path(os.environ.get(f"{ENV_PREFIX}SECRETS_DIR", DEFAULT_SECRETS))
    _check_secrets(secrets)
    model = _model(name, section, table, secrets)
    try:
        loaded = model(**(overrides or {}))
    except ValidationError as error:
        raise ConfigurationError(_explain(error, model, table, path)) from None
    except SettingsError as error:
        raise ConfigurationError([f"environment or secrets: {error}"]) from None
    values = {field: getattr(loaded, field) for field in CommonSettings.model_fields}
    given = loaded.model_fields_set & set(values)
    return Loaded(CommonSettings.model_construct(given, **values), getattr(loaded, name))


def _model(
    name: str, section: type[Section], table: dict[str, Any], secrets: Path
) -> type[BaseSettings]:
    """Build the settings class of one service, its sources in their order."""

    class Base(BaseSettings):
        model_config = SettingsConfigDict(
            frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__"
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Put the sources in order, the strongest first."""
            del dotenv_settings
            secret_files = NestedSecretsSettingsSource(
                file_secret_settings,
                secrets_dir=secrets,
                secrets_dir_missing="ok",
                secrets_prefix="",
                secrets_nested_delimiter="__",
            )
            return (
                init_settings,
                env_settings,
                secret_files,
                InitSettingsSource(settings_cls, table),
            )

    fields: dict[str, Any] = {
        field: (info.annotation, info) for field, info in CommonSettings.model_fields.items()
    }
    fields[name] = (section, Field(default_factory=section))
    return create_model("Settings", __base__=Base, **fields)


def _read_file(file: Path | None, own: str) -> tuple[Path | None, dict[str, Any]]:
    """Read the TOML file and drop the tables of other services."""
    variable = os.environ.get(f"{ENV_PREFIX}CONFIG")
    named = file or (Path(variable) if variable else None)
    path = named or DEFAULT_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise ConfigurationError([f"{path}: there is no such file; give an existing one"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: not valid TOML: {error}"]) from None
    normal = {key.replace("-", "_"): value for key, value in table.items()}
    others = {service.value.replace("-", "_") for service in Service} - {own}
    return path, {key: value for key, value in normal.items() if key not in others}


def _check_secrets(folder: Path) -> None:
    """Refuse a secret that is there but cannot be used, before it is silently taken as absent."""
    try:
        entries = sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise ConfigurationError(
            [f"secrets directory {folder} cannot be read ({error.strerror}): run as its owner"]
        ) from None
    lines = []
    for entry in entries:
        if entry.name.startswith(".") or entry.is_dir():
            continue
        try:
            if len(entry.read_bytes()) > _MAX_SECRET_BYTES:
                lines.append(f"secret {entry}: larger than {_MAX_SECRET_BYTES} bytes")
            entry.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            lines.append(f"secret {entry}: not UTF-8 text")
        except OSError as error:
            lines.append(
                f"secret {entry}: cannot be read ({error.strerror}); "
                f"make it readable for uid {os.getuid()}"
            )
    if lines:
        raise ConfigurationError(lines)


def _explain(
    error: ValidationError,
    model: type[BaseSettings],
    table: dict[str, Any],
    path: Path | None,
) -> list[str]:
    """Return one line per field: where it stands, what it is called, what is wrong."""
    lines = []
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"]]
        origin = _origin(location, table, path)
        dotted = ".".join(part for part in location if not part.startswith("function-"))
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(location[-1], _siblings(model, location), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; remove it"
            lines.append(f"{origin}{dotted}: unknown key{hint}")
            continue
        value = problem.get("input")
        secret = any(word in part for word in _SECRET_WORDS for part in location)
        shown = "" if secret or isinstance(value, dict | list) else f" (not {str(value)[:80]!r})"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "model_type":
            message = "should be a table"
        if not message[1:2].isupper():  # an abbreviation
            message = message[0].lower() + message[1:]
        lines.append(f"{origin}{dotted}: {message}{shown}")
    return lines


def _origin(location: list[str], table: dict[str, Any], path: Path | None) -> str:
    """Name the source a value came from, as far as it can be told."""
    for depth in range(len(location), 0, -1):
        variable = ENV_PREFIX + "__".join(location[:depth]).upper()
        if variable in os.environ:
            return f"{variable}: "
    value: Any = table
    for part in location:
        if not isinstance(value, dict | list):
            break
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError):
            return ""
    return f"{path}: " if path else ""


def _siblings(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the names that would have been known at an unknown key's place."""
    services = [service.value for service in Service] if len(location) == 1 else []
    place: Any = model
    for part in location[:-1]:
        place = _inner(place, part)
    return services + list(getattr(place, "model_fields", {}))


def _inner(place: Any, part: str) -> Any:
    """Return the type one step inside another: of a field, or of a list's or a table's values."""
    if not isinstance(place, type) or not issubclass(place, BaseModel):
        return get_args(place)[-1] if get_args(place) else None
    field = place.model_fields.get(part)
    found: Any = field.annotation if field is not None else None
    if NoneType in get_args(found):  # it may be left out
        found = next(one for one in get_args(found) if one is not NoneType)
    return found
