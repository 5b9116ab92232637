"""What tests of capture share: a network namespace."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.capture.livewire import Wire

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import load_object
from monitorpi_dev.sender import INTERFACE, Sender
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Return a network namespace with its loopback up and quiet."""
    made = Namespace("ebpf-test")
    made.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    made.run(["ip", "link", "set", INTERFACE, "up"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def in_kernel() -> Iterator[Callable[[bytes], list[str]]]:
    """Return a function that asks the kernel for the classes of a frame."""
    compiled = load_object()
    fd = system.load_program(compiled.linked("socket/classify", {}), "mp_test", compiled.licence)
    run = system.TestRun(fd)

    yield lambda data: memory.class_names(run.run(data))

    os.close(fd)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Make a namespace without IPv6, so that nothing but the test's frames is on its wires."""
    one = Wire(f"mp-capture-{os.getpid()}-{time.monotonic_ns() % 100_000}")
    subprocess.run(["ip", "netns", "add", one.name], check=True, timeout=10)
    try:
        for scope in ("all", "default"):
            setting = f"net.ipv6.conf.{scope}.disable_ipv6=1"
            subprocess.run(
                ["ip", "netns", "exec", one.name, "sysctl", "-q", "-w", setting],
                check=False, timeout=10,
            )  # fmt: skip
        one.ip("link", "set", "lo", "up")
        yield one
    finally:
        for sensor in one.sensors:
            sensor.close()
        subprocess.run(["ip", "netns", "delete", one.name], check=True, timeout=10)


@pytest.fixture(scope="module")
def sender() -> Iterator[Sender]:
    """Return the in-kernel sender."""
    try:
        made = Sender()
    except LabError as error:
        pytest.skip(str(error))
    yield made
    made.close()
