"""The other end of a connection: how people write it, and why it cannot be reached."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import AfterValidator

from monitorpi_common.written import FilePath

if TYPE_CHECKING:
    from collections.abc import Iterable

DOTTED: Final = re.compile(r"[0-9]*\.[0-9.]*|[0-9]+")
"""Nothing but numbers: what cannot be a name, whatever the name server says (RFC 1123, 2.1)."""
ENDPOINT: Final = re.compile(r"^(?P<host>[^:]+|\[.*\]):(?P<port>\d+)$")
"""A host with a port behind it."""
_LONGEST_NAME: Final = 253
"""Characters of a host name (RFC 1035, 2.3.4, without the dots of the wire's form)."""
SYSTEM_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""Of Debian's package ca-certificates."""
_MOST_PORT: Final = 65_535
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_MAX_AUTHORITY_BYTES: Final = 8 * 1024 * 1024
"""Debian's bundle of all public authorities has 0.2 MB."""

_EXPIRED: Final = (9, 10)
_UNTRUSTED: Final = (2, 18, 19, 20, 21)
_OTHER_NAME: Final = (62, 64)
"""X509_V_ERR_... of OpenSSL's x509_vfy.h: not yet or no longer valid; issuer not known; the
certificate is for another name or address."""


_OLD_TLS: Final = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION")


@dataclass(frozen=True)
class Keys:
    """What the settings of an endpoint are called where a remedy names them."""

    host: str
    port: str
    authority: str
    peer: str

    @classmethod
    def of_url(cls, url: str, authority: str) -> Keys:
        """Return those of a server that one address and a file of authorities lead to."""
        return cls(url, url, authority, "server")

    @classmethod
    def of_broker(cls, table: str) -> Keys:
        """Return those of a broker that has a table."""
        return cls(f"{table}.host", f"{table}.port", f"{table}.tls_ca", "broker")


BROKER_KEYS: Final = Keys.of_broker("broker")


def unreachable(error: BaseException, host: str, *, tls: bool, keys: Keys = BROKER_KEYS) -> str:
    """Return in words why no connection to a host came about, and what to look at.

    Args:
        error: what connecting raised.
        host: as it was given.
        tls: the connection was to be encrypted.
        keys: what the settings are called.

    """
    where = " and ".join(dict.fromkeys((keys.host, keys.port)))
    match error:
        case socket.gaierror() if "%" in host:
            zone = host.partition("%")[2]
            return f"this machine has no interface {zone!r}: check {keys.host}"
        case socket.gaierror():
            return f"the name {host!r} does not resolve: check {keys.host} and the name server"
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=message):
            return _untrusted(code, message, host, keys)
        case ssl.SSLError():
            return _no_tls(error, keys)
        case ConnectionRefusedError():
            return f"nobody listens there: start the {keys.peer}, or check {where}"
        case TimeoutError():
            return f"no answer: check {keys.host}, the network and firewalls between"
        case ConnectionResetError() | ConnectionAbortedError() | EOFError():
            what = "it hung up during the TLS handshake" if tls else "it hung up"
            return f"{what}: check {keys.port}, and whether it wants {'less' if tls else 'TLS'}"
        case OSError(strerror=str() as text):
            return f"{text[0].lower()}{text[1:]}: check {keys.host} and this machine's network"
    return str(error) or type(error).__name__


def _no_tls(error: ssl.SSLError, keys: Keys) -> str:
    match error.reason:
        case "WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE":
            return (
                f"it speaks no TLS on this port: check {keys.port}, or leave {keys.authority} out"
            )
        case reason if reason in _OLD_TLS:
            return f"it speaks no TLS of 1.2 or newer: renew the {keys.peer}"
    if isinstance(error, ssl.SSLEOFError):
        return f"it hung up during the TLS handshake: check {keys.port}, and whether it wants less"
    return f"TLS failed ({error.reason or error}): the {keys.peer}'s log says more"


def _untrusted(code: int, message: str, host: str, keys: Keys) -> str:
    if code in _EXPIRED:
        return "its certificate is not valid at this time: renew it, or set this machine's clock"
    if code in _OTHER_NAME:
        return f"its certificate is not for {host!r}: write the name in it as {keys.host}"
    if code in _UNTRUSTED:
        return (
            f"its certificate is not by the authority in {keys.authority}: give the one that signed"
        )
    return f"its certificate is not accepted ({message}): give it another one"


def host_name(text: str) -> str:
    """Return a host name or address that can be looked up.

    Raises:
        ValueError: it cannot; the text says what to write.

    """
    if "://" in text:
        raise ValueError("give the host alone, without a scheme; its port is a key of its own")
    if (found := ENDPOINT.match(text)) is not None:
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


class Endpoint(NamedTuple):
    """A host and a port there."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(text: str, port: int) -> Endpoint:
    """Return a host, with a port behind it or the usual one.

    Raises:
        ValueError: it is none; the text says what to write.

    """
    if (found := ENDPOINT.match(text)) is None:
        return Endpoint(host_name(text).strip("[]"), port)
    port = int(found["port"])
    if not 0 < port <= _MOST_PORT:
        raise ValueError(f"no port: {port}; give 1 to {_MOST_PORT}")
    return Endpoint(host_name(found["host"]).strip("[]"), port)


def names_this_machine(host: str | None, more: Iterable[str] = ()) -> bool:
    """Return whether a Host header names this machine: by an address, or a name it is known by.

    A page on the Internet whose name leads to a LAN asks by its own name (DNS rebinding).
    """
    if not host:
        return False
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        return name in ("localhost", own, f"{own}.local", *map(str.lower, more))
    return True


def _named(text: str) -> str:
    try:
        name = text.removesuffix(".").encode("idna")
        name.decode("idna")
    except UnicodeError:
        name = b""
    if name.strip(b".") and DOTTED.fullmatch(text):
        raise ValueError("no address: IPv4 has four numbers of 0 to 255, without leading zeros")
    if not 0 < len(name) <= _LONGEST_NAME or not re.fullmatch(rb"[A-Za-z0-9_.-]+", name):
        raise ValueError("no host name or address: a name has parts of 1 to 63 letters or digits")
    return text


def authority_file(file: Path) -> Path:
    """Return a file of certificate authorities that can be used.

    Raises:
        ValueError: it cannot; the text says why and what to do.

    """
    try:
        if file.is_dir():
            raise ValueError("a folder; give the PEM file of the authority")
        if file.exists() and not file.is_file():
            raise ValueError("no file; give the PEM file of the authority")
        with file.open("rb") as stream:
            content = stream.read(_MAX_AUTHORITY_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if _PEM not in content:
        raise ValueError(
            "no PEM file: `openssl x509 -inform der -in FILE -out FILE.pem` makes one of DER"
        )
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    except ssl.SSLError as error:
        raise ValueError(f"holds no usable certificate ({error.reason or error})") from None
    return file


AuthorityFile = Annotated[FilePath, AfterValidator(authority_file)]
"""A PEM file that is looked at when the settings are read: one that is missing is a mistake."""
