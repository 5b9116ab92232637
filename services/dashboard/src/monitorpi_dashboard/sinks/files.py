"""The page's own files, read once: as they are, packed, and with a mark of what they hold.

The scripts of Preact and htm come as one file inside a package of somebody else's; nothing of
others is kept in this repository. Its hash stands in ``uv.lock``.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Final

from monitorpi_common.service import ResourceError

PREACT: Final = "datasette-preact"
_PREACT_FILE: Final = "datasette_preact/static/preact-10.27.2-htm-3.1.1.min.js"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_MODULES: Final = b"<!-- modules -->"
"""Stands in the document where the browser is told of all scripts at once."""


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is served."""

    content: bytes
    kind: str
    packed: bytes
    """With gzip."""
    mark: str
    """The value of ETag: another one for other content."""


def page_files() -> dict[str, File]:
    """Read every file of the page; returns them by their path.

    Raises:
        ResourceError: the package that carries Preact is not installed.

    """
    folder = resources.files("monitorpi_dashboard").joinpath("page")
    found = {"/preact.js": _file(_preact(), _KINDS[".js"])}
    for one in folder.iterdir():
        suffix = f".{one.name.rpartition('.')[2]}"
        if suffix in _KINDS:
            found[f"/{one.name}"] = _file(one.read_bytes(), _KINDS[suffix])
    scripts = sorted(path[1:] for path in found if path.endswith(".js"))
    links = "".join(f'<link rel="modulepreload" href="{name}">\n' for name in scripts)
    document = folder.joinpath("index.html").read_bytes()
    whole = document.replace(_MODULES, links.strip().encode())
    found["/"] = found["/kiosk"] = _file(whole, "text/html; charset=utf-8")
    return found


def _file(content: bytes, kind: str) -> File:
    mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return File(content, kind, gzip.compress(content, 9, mtime=0), mark)


def _preact() -> bytes:
    try:
        path = metadata.distribution(PREACT).locate_file(_PREACT_FILE)
        with open(str(path), "rb") as file:  # noqa: PTH123 - a path of the library's own kind
            return file.read()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise ResourceError(
            f"the page's framework is missing ({error}): install the package {PREACT}, "
            "or set up anew with ./monitorpi"
        ) from None
