"""Services start from bytecode: it is written here, because most of them may not write it.

A service has an account of its own and no right to the folder its code lies in: Python would
compile each of its modules anew at each start, half of the time a start takes.
"""

from __future__ import annotations

import compileall
import importlib.util
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARED: Final = ("monitorpi_common", "monitorpi_host")
"""What every service imports of ours; the packages of others are compiled when they come."""


def write_bytecode(services: Iterable[str]) -> None:
    """Compile what has changed of the services' packages and the shared ones.

    Args:
        services: names as in topics, such as ``cloud-bridge``.

    A folder that cannot be written stays as it is: the services start all the same.

    """
    for package in (*SHARED, *(f"monitorpi_{name.replace('-', '_')}" for name in services)):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            compileall.compile_dir(folder, quiet=2)
