"""What the kernel must allow: which capabilities are missing, and which are given up again. I/O."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from monitorpi_capture.engine.ebpf import syscall as system

if TYPE_CHECKING:
    from collections.abc import Sequence


def relinquish() -> None:
    """Give up what only ``open`` needs, for good."""
    for capability in (
        system.CAP_BPF, system.CAP_PERFMON, system.CAP_SYS_ADMIN, system.CAP_NET_ADMIN,
    ):  # fmt: skip
        system.drop_capability(capability)


def may_attach() -> bool:
    """Return whether a program may be loaded that stands at an interface's way in."""
    return bool(system.effective_capabilities() >> system.CAP_NET_ADMIN & 1)


def refusal(error: OSError, needed: Sequence[tuple[str, int]], since: str) -> str:
    """Return what a user can do about an error of the kernel.

    Args:
        error: what it said.
        needed: capabilities, each with its name and its number.
        since: the first Linux that has all of it.

    """
    held = system.effective_capabilities()
    missing = [
        name
        for name, bit in needed
        if not held >> bit & 1 and not (bit == system.CAP_BPF and held >> system.CAP_SYS_ADMIN & 1)
    ]
    if error.errno in {errno.EPERM, errno.EACCES} and missing:
        return f"counting in the kernel needs {' and '.join(missing)}: run as root or give it"
    if error.errno == errno.EPERM:
        return (
            "the kernel forbids the bpf system call though the capabilities are there: "
            "allow it in the container's seccomp profile or the kernel's lockdown"
        )
    if error.errno == errno.ENOSYS:
        return "this kernel has no bpf system call (CONFIG_BPF_SYSCALL)"
    if error.errno == errno.E2BIG and not held >> system.CAP_PERFMON & 1:
        return "this kernel's verifier does not finish without CAP_PERFMON: give that as well"
    return f"the kernel refused the program ({error.strerror}): Linux {since} or newer is needed"
