"""Settings of the page."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from monitorpi_common.endpoint import host_name
from monitorpi_common.settings import Section, authority
from monitorpi_common.written import web_address

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared
"""What means all addresses of the machine, and the one of them to tell."""


def page_url(listen: str, port: int) -> str:
    """Return where a browser on this machine finds a page that listens there."""
    return f"http://{authority(_EVERY_ADDRESS.get(listen, listen), port)}/"


def _address(text: str) -> str:
    return host_name(text) if text else text


class DashboardSettings(Section):
    """Where the page is served and to whom."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    """Address to serve on, `0.0.0.0` for all of IPv4, `::` for all of IPv6 and IPv4; another than
    this machine's own loopback needs a password."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """TCP port; 0: any free one, told in health as `url`."""
    password: SecretStr | None = None
    """Password of the page (user `monitorpi`). Better as a secret: `dashboard__password`."""
    hosts: list[Annotated[str, AfterValidator(host_name)]] = Field(default_factory=list)
    """More host names the page may be asked for by; others are refused (DNS rebinding)."""
    trust_proxy: bool = False
    """Serve beyond loopback without a password, because something in front asks for one, or
    because only loopback is forwarded here, as in the containers."""

    history_url: str | None = None
    """Where the history answers; by default where the one of this machine says it does."""
    metrics_devices: Annotated[int, Field(ge=0, le=4096)] = 0
    """Devices that `/metrics` tells apart, the busiest first: each is some ten series."""
    watch_url: SecretStr | None = None
    """Fetched each minute while all that is expected is watched: a dead man's switch, such as a
    push monitor of Uptime Kuma. Better as a secret: `dashboard__watch_url`."""

    @field_validator("history_url")
    @classmethod
    def _can_be_asked(cls, url: str | None) -> str | None:
        return None if url is None else web_address(url, ("http",))

    @field_validator("watch_url")
    @classmethod
    def _can_be_fetched(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            web_address(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if self.listen not in LOOPBACK and self.password is None and not self.trust_proxy:
            raise ValueError(
                "password: missing; a page that listens beyond this machine needs one "
                "(secret dashboard__password)"
            )
        return self
