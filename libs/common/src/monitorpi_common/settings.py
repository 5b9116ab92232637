"""Settings from one TOML file, the environment and a secrets directory, each error one line.

Later ones win: defaults, the TOML file, the secrets directory, ``MONITORPI_*`` variables, the
command line. The file is shared by all services: a table per service, and each service reads its
own and the common keys. An unknown key is an error, so that a typo never passes silently.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from monitorpi_common.endpoint import SYSTEM_AUTHORITIES, AuthorityFile, host_name
from monitorpi_common.messages import Service
from monitorpi_common.settings_errors import (
    ENV_PREFIX,
    NAME,
    ConfigurationError,
    Origins,
    doubled_variables,
    explain,
    unknown_variables,
)
from monitorpi_common.settings_files import read_secrets, read_table
from monitorpi_common.settings_keys import merged, tables_of
from monitorpi_common.topics import slug
from monitorpi_common.written import FilePath, FolderPath, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_FILE",
    "DEFAULT_SECRETS",
    "ENV_PREFIX",
    "BrokerSettings",
    "CommonSettings",
    "ConfigurationError",
    "Loaded",
    "NoSection",
    "RemoteAccount",
    "RemoteBroker",
    "Section",
    "authority",
    "load",
]

DEFAULT_FILE: Final = Path("/etc/monitorpi/monitorpi.toml")
DEFAULT_SECRETS: Final = Path("/run/secrets")


class Section(BaseModel):
    """One table of the configuration file: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def missing(self) -> str | None:
        """What a service cannot begin without: its key, and what to write; None: nothing."""
        return None

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``port = true``, which would be port 1."""
        if _is_number(cls.model_fields[info.field_name or ""].annotation):
            if isinstance(value, bool):
                raise ValueError("should be a number, not true or false")
            for key in [key for key, one in _items(value) if isinstance(one, bool)]:
                raise ValueError(f"{key}: should be a number, not true or false")
        return value


def _items(value: object) -> Iterable[tuple[object, object]]:
    return value.items() if isinstance(value, dict) else ()


def _is_number(annotation: object) -> bool:
    """Tell whether a number is taken, as it is or as the values of a table."""
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))


def _one_line(given: str | SecretStr) -> str | SecretStr:
    """Return a text that fits a line of Mosquitto's configuration.

    Raises:
        ValueError: it does not.

    """
    text = given if isinstance(given, str) else given.get_secret_value()
    if not text.isprintable() or text != text.strip() or not text:
        raise ValueError("give one line, without blanks around it")
    return given


class RemoteAccount(Section):
    """Who a site is at a server elsewhere, and how it connects there."""

    tls: bool = True
    """Connect with TLS; without it the password and all else travel readable: for a VPN."""
    tls_ca: AuthorityFile | None = None
    """Certificate authority of the server (PEM file); by default this machine's."""
    username: (
        Annotated[str, StringConstraints(max_length=1024), AfterValidator(_one_line)] | None
    ) = None
    """User there; by default the name of the site."""
    password: Annotated[SecretStr, AfterValidator(_one_line)] | None = None
    """Password of that user. Better as a secret, in a file named like this key with its tables."""

    @property
    def authorities(self) -> Path | None:
        """What a certificate is held against; None: without TLS."""
        return (self.tls_ca or SYSTEM_AUTHORITIES) if self.tls else None


class RemoteBroker(RemoteAccount):
    """A broker elsewhere, and who a site is there."""

    host: Annotated[str, AfterValidator(host_name)]
    """Host name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    """Its TCP port."""

    def account(self, site: str) -> BrokerSettings:
        """Return how a client of ours connects there for a site."""
        return BrokerSettings(
            host=self.host, port=self.port, username=self.username or site, password=self.password,
            tls_ca=self.authorities,
        )  # fmt: skip


class CentreSettings(RemoteBroker):
    """A broker of several sites, to which the own one (`up`) passes this site's small topics on."""

    topics: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9+-]+(/[a-z0-9+-]+)*(/#)?$")]],
        Field(max_length=64),
    ] = [
        "+/status/+",
        "detector/watch/+",
        "detector/alert/+",
        "capture/device/+",
        "prober/target/+",
    ]
    """What is passed on as it is said: filters below the site. Nothing comes back."""
    rollup_s: Annotated[int, Field(ge=0, le=3600)] = 60
    """Seconds per rollup of the counts and measurements (`cloud-bridge.mapping`), which are passed
    on beside the topics; 0: none."""


class BrokerSettings(Section):
    """Where the MQTT broker is and who this service is there."""

    host: Annotated[str, AfterValidator(host_name)] = "127.0.0.1"
    """Host name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """TCP port of the broker."""
    username: (
        Annotated[str, StringConstraints(max_length=1024), AfterValidator(printable)] | None
    ) = None
    """User at the broker; by default the name of the service."""
    password: SecretStr | None = None
    """Password of that user. Better in the secrets directory, as a file `broker__password`."""
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 10
    """Seconds of silence after which a dead connection is noticed (by both sides: up to twice)."""
    own: bool | None = None
    """`up` runs a broker of its own (true) or uses the one that is there (false); by default its
    own, if the host is this machine and neither user, password nor TLS are given."""
    tls_ca: AuthorityFile | None = None
    """Certificate authority of the broker (PEM file); given, the connection uses TLS."""
    centre: CentreSettings | None = None
    """A broker of several sites that is told of this one; its password is the secret
    `broker__centre__password` of the broker."""


class CommonSettings(Section):
    """What every service needs to know, at the top level of the file."""

    site: Annotated[str, Field(pattern=NAME)] = Field(
        default_factory=lambda: slug(socket.gethostname())
    )
    """Name of this installation in every topic (`a-z`, `0-9`, inner `-`); default: the host's."""
    instance: Annotated[str, Field(pattern=NAME)] = "main"
    """Name of this process among several of the same service."""
    state_dir: FolderPath = Path("/var/lib/monitorpi")
    """Folder for what must survive a restart (bounded; written rarely)."""
    heartbeat: FilePath | None = None
    """File touched each second while the service is well, for a container's health check."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
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
    origins: Origins
    """Where each value stands, for who finds fault with one later."""


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
    name = _table_of(service)
    path, table = read_table(file or _path_in("CONFIG"), DEFAULT_FILE, name)
    misspelt = unknown_variables([*CommonSettings.model_fields, *Service])
    if wrong := [*misspelt, *doubled_variables()]:
        raise ConfigurationError(wrong)
    named = None if secrets else _path_in("SECRETS_DIR")
    folder = secrets or named or DEFAULT_SECRETS
    texts = read_secrets(folder, is_named=named is not None)
    model = _model_of(service, section)
    origins = Origins(table, path, texts, folder)
    try:
        loaded = model.model_validate(_given(model, table, texts, overrides or {}))
    except ValidationError as error:
        raise ConfigurationError(explain(error, model, origins)) from None
    except RecursionError:
        raise ConfigurationError(["environment or secrets: nested too deeply"]) from None
    values = {field: getattr(loaded, field) for field in CommonSettings.model_fields}
    given = loaded.model_fields_set & set(values)
    common = CommonSettings.model_construct(given, **values)
    return Loaded(common, getattr(loaded, name), origins)


def _path_in(variable: str) -> Path | None:
    """Return a path of the environment; set to nothing is not set."""
    text = os.environ.get(ENV_PREFIX + variable)
    return Path(text) if text else None


def _given(
    model: type[Section],
    table: Mapping[str, Any],
    secrets: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is given by all sources, to be validated: the stronger ones win key by key."""
    variables = {
        name[len(ENV_PREFIX) :]: text
        for name, text in os.environ.items()
        if name.upper().startswith(ENV_PREFIX) and text
    }
    given = merged(tables_of(model, secrets), table)
    return merged(overrides, merged(tables_of(model, variables), given))


def rehearse(service: Service | None, section: type[Section]) -> None:
    """Do once what :func:`load` does, for a process whose copies will; reads variables only."""
    model = _model_of(service, section)
    with contextlib.suppress(ValidationError, RecursionError):  # the one who loads them says so
        model.model_validate(_given(model, {}, {}, {}))


def _table_of(service: Service | None) -> str:
    return service.value.replace("-", "_") if service else "none"


class _Whole(Section):
    """All that one service is told."""

    model_config = ConfigDict(validate_default=True)


@cache
def _model_of(service: Service | None, section: type[Section]) -> type[Section]:
    """Build the model of all settings of one service."""
    fields: dict[str, Any] = {
        field: (info.annotation, info) for field, info in CommonSettings.model_fields.items()
    }
    fields[_table_of(service)] = (section, Field(default_factory=section))
    return create_model("Settings", __base__=_Whole, **fields)
