"""What the page's server hands the core. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from monitorpi_common.messages import Service


@dataclass(frozen=True, slots=True)
class CommandRequested:
    """Somebody who looks at the page wants a service to do something."""

    id: str
    """The last level of the command's topic; the result comes under the same."""
    service: Service
    name: str
    args: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class PictureWanted:
    """Somebody asks for the picture while nobody looks: it is made at once, once."""

    with_rates: bool = True
    """Of devices: they are followed for a while."""
