"""Compiles the kernel's part of capture: ``python -m monitorpi_capture.ebpf_build``.

Wheels and images carry the object; a source checkout runs this once. It imports nothing but the
standard library, because the build of a wheel runs it before anything is installed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = _HERE / "bpf" / "count.bpf.c"
OBJECT: Final = _HERE / "bpf" / "count.bpf.o"
_STAMP: Final = _HERE / "bpf" / "count.bpf.sum"
"""The checksum of what the object was made from."""

_FLAGS: Final = ("-O2", "-g0", "-Wall", "-Wextra", "-mcpu=v2", "-target", "bpf")
"""Instruction set v2: known to every kernel and every JIT, 32-bit ARM included. With v3 registers
are put by in halves too, and the verifier of Linux 6.1 forbids that without CAP_PERFMON."""
_COMPILERS: Final = ("clang", *(f"clang-{version}" for version in range(22, 10, -1)))


class BuildError(Exception):
    """The object cannot be made here; the text says the remedy."""


def compile_object(source: Path, target: Path) -> None:
    """Compile a BPF program.

    Raises:
        BuildError: no clang, or it refused.

    """
    clang = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if clang is None:
        raise BuildError("clang is missing: install it (Debian: apt-get install clang libc6-dev)")
    multiarch = sysconfig.get_config_var("MULTIARCH")
    include = ("-idirafter", f"/usr/include/{multiarch}") if multiarch else ()
    partial = target.with_suffix(".partial")
    command = [clang, *_FLAGS, *include, "-c", str(source), "-o", str(partial)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if run.returncode:
        partial.unlink(missing_ok=True)
        said = run.stderr.strip().splitlines()
        raise BuildError(f"{source.name} does not compile: {said[0] if said else clang}")
    partial.replace(target)


def is_current() -> bool:
    """Tell whether the object was made from this source, with these flags."""
    try:
        return OBJECT.exists() and _STAMP.read_text(encoding="ascii") == _checksum()
    except OSError:
        return False


def _checksum() -> str:
    return hashlib.sha256(" ".join(_FLAGS).encode() + SOURCE.read_bytes()).hexdigest()


def build() -> bool:
    """Make the object unless it is there; tell whether it was made.

    Raises:
        BuildError: it cannot be made.

    """
    if is_current():
        return False
    compile_object(SOURCE, OBJECT)
    _STAMP.write_text(_checksum(), encoding="ascii")
    return True


def main() -> int:
    """Build; return 0, or 1 after one line that says why it cannot be done."""
    try:
        build()
    except (BuildError, OSError) as error:
        print(f"monitorpi-capture: {error}", file=sys.stderr)  # noqa: T201 - a command for people
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
