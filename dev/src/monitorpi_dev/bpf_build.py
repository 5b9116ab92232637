"""Compiles the kernel's part of capture, and what the lab sends with. For developers.

The object is kept in the repository beside its source, so that nobody who runs it needs a compiler.
A developer who changes the source makes it anew with the one compiler that is pinned here, and
``./monitorpi check`` compares what that compiler makes with what is kept, program by program.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.engine.ebpf.objectfile import OBJECT, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = OBJECT.with_suffix(".c")
CHECKSUM: Final = OBJECT.with_suffix(".sum")
"""Of the object itself, as sha256sum writes it."""
COMPILER: Final = "clang-19"
"""Debian 12 and 13 both have it."""

_FLAGS: Final = ("-O2", "-g0", "-Wall", "-Wextra", "-mcpu=v2", "-target", "bpf")
"""Instruction set v2: known to every kernel and every JIT, 32-bit ARM included. With v3 registers
are put by in halves too, and the verifier of Linux 6.1 forbids that without CAP_PERFMON."""
ANY_COMPILER: Final = ("clang", *(f"clang-{version}" for version in range(22, 12, -1)))
"""For programs of the lab, which are compiled where they run."""


class BuildError(Exception):
    """The object cannot be made here; the text names the remedy."""


def compile_object(source: Path, target: Path, compilers: Sequence[str] = (COMPILER,)) -> None:
    """Compile a BPF program with the first of some compilers that is there.

    Raises:
        BuildError: none is, or it refused.

    """
    clang = next(filter(None, map(shutil.which, compilers)), None)
    if clang is None:
        name = compilers[0]
        raise BuildError(
            f"{name} is missing: install it (Debian: apt-get install {name} libc6-dev)"
        )
    multiarch = sysconfig.get_config_var("MULTIARCH")
    include = ["-idirafter", f"/usr/include/{multiarch}"] if multiarch else []
    partial = target.with_suffix(".partial")
    include += ["-iquote", str(OBJECT.parent)]  # of a source that was copied, its header
    command = [clang, *_FLAGS, *include, "-c", str(source), "-o", str(partial)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        partial.unlink(missing_ok=True)
        complaint = next((line for line in run.stderr.splitlines() if "error:" in line), clang)
        raise BuildError(f"{source.name} does not compile: {complaint}")
    partial.replace(target)


def programs(file: Path) -> dict[str, bytes]:
    """Return the instructions of each program of an object."""
    return dict(parse(file.read_bytes()).programs)


def is_current() -> bool:
    """Return whether the object that is kept is what the pinned compiler makes of the source.

    Raises:
        BuildError: the compiler is missing, or refused.

    """
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, OBJECT.name)
        compile_object(SOURCE, fresh)
        return OBJECT.exists() and checksum_holds() and programs(fresh) == programs(OBJECT)


def checksum_holds() -> bool:
    """Return whether the object is the one its checksum was made of."""
    try:
        return CHECKSUM.read_text(encoding="ascii") == _checksum()
    except OSError:
        return False


def _checksum() -> str:
    return f"{hashlib.sha256(OBJECT.read_bytes()).hexdigest()}  {OBJECT.name}\n"


def build() -> bool:
    """Make the object anew unless it is current; tell whether it was made.

    Raises:
        BuildError: it cannot be made.

    """
    if is_current():
        return False
    compile_object(SOURCE, OBJECT)
    CHECKSUM.write_text(_checksum(), encoding="ascii")
    return True
