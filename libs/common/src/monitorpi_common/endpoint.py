"""The other end of a connection as people write it: host names, and authorities for TLS."""

from __future__ import annotations

import ipaddress
import re
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_PORT: Final = re.compile(r"^(?P<host>[^:]+|\[.*\]):(?P<port>\d+)$")
_LONGEST_NAME: Final = 253
"""Characters of a host name (RFC 1035, 2.3.4, without the dots of the wire's form)."""
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_MAX_AUTHORITY_BYTES: Final = 8 * 1024 * 1024
"""Debian's bundle of all public authorities has 0.2 MB."""


def host_name(text: str) -> str:
    """Return a host name or address that can be looked up.

    Raises:
        ValueError: it cannot; the text says what to write.

    """
    if "://" in text:
        raise ValueError("give the host alone, without a scheme; its port is a key of its own")
    if (found := _PORT.match(text)) is not None:
        raise ValueError(
            f"give the host alone, {found['host'].strip('[]')!r}; the port is a key of its own: "
            f"port = {found['port']}"
        )
    if text.startswith("[") and text.endswith("]"):
        return host_name(text[1:-1])
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _named(text)
    return text


def _named(text: str) -> str:
    try:
        name = text.removesuffix(".").encode("idna")
        name.decode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= _LONGEST_NAME or not re.fullmatch(rb"[A-Za-z0-9_.-]+", name):
        raise ValueError("no host name or address: a name has parts of 1 to 63 letters or digits")
    return text


def check_authority(file: Path) -> str | None:
    """Return what is wrong with a file of certificate authorities; None: it can be used."""
    try:
        if file.is_dir():
            return "a folder; give the PEM file of the authority"
        with file.open("rb") as stream:
            content = stream.read(_MAX_AUTHORITY_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if _PEM not in content:
        return "no PEM file: `openssl x509 -inform der -in FILE -out FILE.pem` makes one of DER"
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    except ssl.SSLError as error:
        return f"holds no usable certificate ({error.reason or error})"
    return None
