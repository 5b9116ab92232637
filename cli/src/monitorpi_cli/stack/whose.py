"""Whether the broker is ``up``'s own, or somebody else's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitorpi_common.settings import BrokerSettings

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def is_own(settings: BrokerSettings) -> bool:
    """Return whether `up` runs the broker itself.

    One elsewhere or with TLS is somebody else's, and so is one that asks for a user who is not of
    our making; ``broker.own`` says it where that is not enough.
    """
    if settings.own is not None:
        return settings.own
    named = {"username", "password"} & settings.model_fields_set
    return settings.host in LOOPBACK and settings.tls_ca is None and not named
