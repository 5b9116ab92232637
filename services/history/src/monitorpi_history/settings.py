"""Settings of the history."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from monitorpi_common.endpoint import host_name
from monitorpi_common.settings import Section, authority

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
MB: Final = 1_000_000


class HistorySettings(Section):
    """How much is remembered, and where it can be asked for."""

    budget_mb: Annotated[int, Field(ge=20, le=1_000_000)] = 500
    """Disk space for everything that is remembered, in millions of bytes; the oldest leaves."""
    keep_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    """Nothing older is kept, whatever room there is; by default the budget alone decides."""
    listen: Annotated[str, AfterValidator(host_name)] = "127.0.0.1"
    """Address the queries are answered on; it asks for no password."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8083
    """TCP port of the queries; 0: any free one, told in health as `url`."""
    behind_fence: bool = False
    """Answer beyond loopback, because only an internal network leads here, as in the containers."""

    @model_validator(mode="after")
    def _is_fenced(self) -> Self:
        if self.listen not in LOOPBACK and not self.behind_fence:
            raise ValueError(
                "listen: the history asks for no password: leave it on 127.0.0.1, or set "
                "behind_fence where only an internal network leads to it"
            )
        return self

    @property
    def budget_bytes(self) -> int:
        """The budget in bytes."""
        return self.budget_mb * MB


def history_url(listen: str, port: int) -> str:
    """Return where programs on this machine ask a history that listens there."""
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return f"http://{authority(every.get(listen, listen), port)}"
