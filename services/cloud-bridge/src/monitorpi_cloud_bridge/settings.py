"""Settings of the cloud bridge."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from monitorpi_common.settings import Section

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class CloudBridgeSettings(Section):
    """What is relayed to ThingSpeak; off until a channel and its write key are given."""

    url: str = "https://api.thingspeak.com"
    """Address of the service. Plain http is refused unless it is this machine."""
    allow_http: bool = False
    """Allow plain http to another machine: the key travels readable."""
    channel: Annotated[int, Field(ge=1)] | None = None
    """Number of the channel that gets the traffic counts in its fields 1 to 8."""
    write_key: SecretStr | None = None
    """Write key of the channel. Better in the secrets directory: `cloud_bridge__write_key`."""
    read_key: SecretStr | None = None
    """Read key of the channel, where reading with the write key is refused."""
    interval_s: Annotated[int, Field(ge=1, le=3600)] = 20
    """Seconds of traffic per row."""
    pacing_s: Annotated[float, Field(gt=0, le=3600)] = 16.0
    """Least time between two calls; below 16 s only for a service on this machine."""

    @property
    def is_local(self) -> bool:
        """The service runs on this machine: a test or the demo."""
        return urlsplit(self.url).hostname in LOOPBACK

    @model_validator(mode="after")
    def _is_sensible(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: {self.url!r} is not an http or https address")
        if parts.scheme == "http" and not (self.is_local or self.allow_http):
            raise ValueError("url: plain http would show the key; use https, or set allow_http")
        if not self.is_local and self.pacing_s < 16:  # noqa: PLR2004 - the text says it
            raise ValueError("pacing_s: the service takes a call each 15 s; use 16 or more")
        if not self.is_local and self.interval_s < 15:  # noqa: PLR2004 - the text says it
            raise ValueError("interval_s: below 15 s a free licence's yearly quota is spent early")
        if self.channel is not None and self.write_key is None:
            raise ValueError("write_key: missing; put it into the secrets directory as a file")
        return self
