"""What people write in settings besides numbers and words: names, addresses. Pure types.

A value that can never be what it should be is refused where settings are read; whether it is there
now shows later.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from monitorpi_common.topics import normal_mac

_NAME_BYTES: Final = 15
"""IFNAMSIZ of linux/if.h, without the zero behind."""


def _interface(name: str) -> str:
    """Return what Linux takes as the name of a network device (IFNAMSIZ, dev_valid_name)."""
    is_one = re.fullmatch(r"[^\s/:]+", name) and name.isprintable() and name not in (".", "..")
    if not is_one or len(name.encode()) > _NAME_BYTES:
        raise ValueError("no name of an interface: 1 to 15 bytes, no space or slash")
    return name


def _source(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text.strip()))
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError("no address: IPv4 has four numbers of 0 to 255, without leading zeros")
    return _interface(text)


def either(words: str) -> WrapValidator:
    """Return what says one thing of a value that fits none of several kinds."""

    def check(value: object, inside: ValidatorFunctionWrapHandler) -> object:
        try:
            return inside(value)
        except ValidationError:
            raise ValueError(f"write {words}") from None

    return WrapValidator(check)


def address_or_mac(written: object) -> object:
    """Return an IP or MAC address as the inventory has it; what is no text as it is.

    Raises:
        ValueError: the text is neither.

    """
    if not isinstance(written, str):
        return written
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(written.strip()))
    with contextlib.suppress(ValueError):
        return normal_mac(written)
    raise ValueError("neither an IP address nor a MAC address")


def web_address(url: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Return an address that can be asked, or opened in a browser.

    Raises:
        ValueError: it cannot; the text says how one is written.

    """
    kinds = " or ".join(schemes)
    wrong = f"no {kinds} address: write it as {schemes[0]}://HOST:PORT/"
    parts = urlsplit(url.strip())
    port = parts.port  # reading it refuses what is no port
    if parts.scheme not in schemes or not parts.hostname or not url.strip().isprintable():
        raise ValueError(wrong)
    if port == 0:
        raise ValueError("port 0 cannot be reached")
    return url


def printable(text: str) -> str:
    """Return a text that can be a name.

    Raises:
        ValueError: there is nothing to see in it, or what moves the cursor.

    """
    if not text.strip() or not text.isprintable():
        raise ValueError("empty, or not all of it can be seen: write a name, or leave it out")
    return text


def _path(given: object, kind: str) -> object:
    """Refuse what is no path at all.

    Raises:
        ValueError: it is empty, or holds what no name of a file can.

    """
    text = str(given)
    if not isinstance(given, str | Path) or not text.strip() or not text.isprintable():
        raise ValueError(f"no {kind}; give the path of one")
    if text.startswith("~"):
        raise ValueError("'~' is a home to shells alone; give the whole path")
    return given


InterfaceName = Annotated[str, AfterValidator(_interface)]
SourceName = Annotated[str, AfterValidator(_source)]
"""An own address or interface, to send from."""
AddressOrMac = Annotated[str, BeforeValidator(address_or_mac)]
WebAddress = Annotated[str, AfterValidator(web_address)]
FilePath = Annotated[Path, BeforeValidator(partial(_path, kind="file"))]
FolderPath = Annotated[Path, BeforeValidator(partial(_path, kind="folder"))]
"""The path of a folder, which may or may not be there."""
