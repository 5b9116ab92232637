"""Who we are to a broker. Pure."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_DIGITS: Final = 16  # 64 bits: more than anybody tries at a broker


def client_id(name: str, password: str | None) -> str:
    """Return a client id that stays the same over restarts and that nobody else can guess.

    A broker ends the older of two connections with one client id, whatever accounts they have
    (MQTT 5, section 3.1.4). So a new start takes over from a predecessor that hangs; anybody else
    would have to know the password, which keys the digits behind the name. Without a password
    there is nothing to know, and the name stands alone.
    """
    if not password:
        return name
    digits = hmac.new(password.encode(), name.encode(), hashlib.sha256).hexdigest()
    return f"{name}-{digits[:_DIGITS]}"
