"""What the kernel engine needs to be allowed, and what happens where it is not."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.engine import choice
from monitorpi_capture.engine.choice import open_engine
from monitorpi_capture.engine.ebpf import objectfile, rights, tcx
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.objectfile import parse
from monitorpi_capture.settings import CaptureSettings
from monitorpi_dev.sender import INTERFACE

if TYPE_CHECKING:
    from monitorpi_lab.namespace import Namespace

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and BPF need root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

TRY = """
import sys, time
from monitorpi_capture.engine.ebpf import syscall
from monitorpi_capture.engine.choice import BEST_FIRST
from monitorpi_capture.engine.ebpf.engine import load_object
from monitorpi_capture.engine.ebpf.rights import relinquish
from monitorpi_capture.items import EngineRefusedError
engine = BEST_FIRST[sys.argv[1]](["lo"], 256)
try:
    engine.open()
except EngineRefusedError as error:
    print("refused:", error)
    sys.exit()
engine.pin([bytes(6)])
relinquish()
held = syscall.effective_capabilities()
windows = [engine.close_windows() for _ in range(3)]
try:
    syscall.load_program(load_object().linked("socket/empty", {}), "x", b"MIT")
    again = "loaded"
except PermissionError:
    again = "refused"
engine._ports[0].detach()
engine._ports[0].attach()
print("counted", len(windows), hex(held), again)
"""


def as_nobody(namespace: Namespace, *capabilities: str, engine: str = "ebpf") -> str:
    """Return what an unprivileged user with some capabilities gets to see."""
    wanted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command += ["--no-new-privs", "--inh-caps", wanted, "--ambient-caps", wanted]
    command += ["--bounding-set", wanted, sys.executable, "-c", textwrap.dedent(TRY)]
    command += [engine]
    run = namespace.run(command, check=False)
    if "No module named" in run.stderr or "Permission denied" in run.stderr:
        pytest.skip("this checkout cannot be read by an unprivileged user")
    assert not run.stderr
    return run.stdout.strip()


def test_two_capabilities_are_enough_and_one_is_given_up(namespace: Namespace) -> None:
    """CAP_NET_RAW and CAP_BPF do; afterwards CAP_NET_RAW alone is left and everything works."""
    assert f"counted 3 {1 << system.CAP_NET_RAW:#x} refused" == as_nobody(
        namespace, "net_raw", "bpf"
    )


def test_at_the_way_in_one_more_is_needed_and_given_up(namespace: Namespace) -> None:
    """CAP_NET_ADMIN is there to load; to attach again where an interface came back it is not."""
    assert f"counted 3 {1 << system.CAP_NET_RAW:#x} refused" == as_nobody(
        namespace, "net_raw", "bpf", "net_admin", engine="tcx"
    )


@pytest.mark.parametrize(
    ("engine", "held", "missing"),
    [
        ("ebpf", (), "CAP_NET_RAW and CAP_BPF"),
        ("ebpf", ("net_raw",), "CAP_BPF"),
        ("ebpf", ("bpf",), "CAP_NET_RAW"),
        ("tcx", ("net_raw", "bpf"), "CAP_NET_ADMIN"),
    ],
)
def test_a_refusal_names_the_capability(
    namespace: Namespace, engine: str, held: tuple[str, ...], missing: str
) -> None:
    """Each refusal names exactly what is missing."""
    expected = f"refused: counting in the kernel needs {missing}: run as root or give it"
    assert expected == as_nobody(namespace, *held, engine=engine)


def test_small_filters_need_no_more_capabilities(namespace: Namespace) -> None:
    """Also where the filter goes by a trampoline CAP_NET_RAW and CAP_BPF do."""
    namespace.run(["sysctl", "-qw", "net.core.optmem_max=10240"], check=False)

    said = as_nobody(namespace, "net_raw", "bpf")

    assert said == f"counted 3 {1 << system.CAP_NET_RAW:#x} refused"


def test_the_verifiers_reason_is_told(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program the kernel refuses is no question of permission: its own words are reported."""
    compiled = objectfile.OBJECT.read_bytes()
    broken = tmp_path / "count.bpf.o"
    for name in ("socket/count", "tcx/count"):
        code = parse(compiled).programs[name]
        # instead of its first instruction: read what stands nowhere yet (r0 = r9)
        compiled = compiled.replace(code[:64], b"\xbf\x90" + bytes(6) + code[8:64])
    broken.write_bytes(compiled)
    monkeypatch.setattr(objectfile, "OBJECT", broken)

    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert engine.name == "socket"
    assert refused.keys() == {"tcx", "ebpf"}
    for reason in refused.values():
        assert "R9 !read_ok" in reason
        assert "\n" not in reason


def test_a_kernel_that_is_too_old_leaves_it_to_the_socket(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no ring, and answers as to anything it does not know: what is needed is told."""
    asked: list[int] = []

    def ring(size: int) -> int:
        asked.append(size)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(system, "create_ring", ring)

    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert engine.name == "socket"
    assert asked
    assert refused == {
        name: f"the kernel refused the program (Invalid argument): Linux {since} or newer is needed"
        for name, since in (("tcx", "6.6"), ("ebpf", "5.8"))
    }


def test_without_the_object_the_socket_counts(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Auto falls back to the plain socket and says what to do for the better engine."""
    monkeypatch.setattr(objectfile, "OBJECT", tmp_path / "missing.o")

    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert engine.name == "socket"
    assert "install again" in refused["ebpf"]


def test_a_broken_object_is_refused_in_one_line(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A damaged object never ends the service."""
    broken = tmp_path / "count.bpf.o"
    broken.write_bytes(objectfile.OBJECT.read_bytes()[:5000])
    monkeypatch.setattr(objectfile, "OBJECT", broken)

    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert "install again" in refused["ebpf"]


@pytest.mark.parametrize(("has_right", "name"), [(True, "tcx"), (False, "ebpf")])
def test_auto_takes_the_kernel(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, has_right: bool, name: str
) -> None:
    """Where the kernel lets us, and at the way in only where that right was given: no complaint."""
    monkeypatch.setattr(choice, "may_attach", lambda: has_right)
    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert (engine.name, refused) == (name, {})


def test_a_kernel_without_a_way_in_has_the_filter(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 6.6 knows no such place (EINVAL): the socket's filter counts as well."""
    monkeypatch.setattr(tcx, "TCX_INGRESS", 9_999)
    before = len(list(Path("/proc/self/fd").iterdir()))
    engine, refused = namespace.call(open_engine, [INTERFACE], CaptureSettings())
    namespace.call(engine.close)

    assert engine.name == "ebpf"
    assert refused["tcx"].endswith("(Invalid argument): Linux 6.6 or newer is needed")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


NEEDED = [("CAP_BPF", system.CAP_BPF), ("CAP_NET_ADMIN", system.CAP_NET_ADMIN)]
ALL = (1 << 41) - 1


@pytest.mark.parametrize(
    ("code", "lacks", "text"),
    [
        (errno.EPERM, [39, 21, 12],
         "counting in the kernel needs CAP_BPF and CAP_NET_ADMIN: run as root or give it"),
        (errno.EACCES, [12], "counting in the kernel needs CAP_NET_ADMIN: run as root or give it"),
        (errno.EPERM, [39], ("the kernel forbids the bpf system call though the capabilities are "
         "there: allow it in the container's seccomp profile or the kernel's lockdown")),
        (errno.EACCES, [39],
         "the kernel refused the program (Permission denied): Linux 6.6 or newer is needed"),
        (errno.ENOSYS, [12], "this kernel has no bpf system call (CONFIG_BPF_SYSCALL)"),
        (errno.E2BIG, [38],
         "this kernel's verifier does not finish without CAP_PERFMON: give that as well"),
        (errno.E2BIG, [],
         "the kernel refused the program (Argument list too long): Linux 6.6 or newer is needed"),
    ],
)  # fmt: skip
def test_each_refusal_of_the_kernel_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, code: int, lacks: list[int], text: str
) -> None:
    """By its error and what this process may not; CAP_SYS_ADMIN stands for CAP_BPF."""
    held = ALL
    for bit in lacks:
        held &= ~(1 << bit)
    monkeypatch.setattr(system, "effective_capabilities", lambda: held)

    assert rights.refusal(OSError(code, os.strerror(code)), NEEDED, "6.6") == text


def test_one_capability_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other stands for it."""
    for held, may in ((1 << 12, True), (ALL & ~(1 << 12), False), (0, False)):
        monkeypatch.setattr(system, "effective_capabilities", lambda held=held: held)
        assert rights.may_attach() is may


def test_what_opening_alone_needs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """For good; CAP_NET_RAW is needed as long as interfaces come and go."""
    dropped: list[int] = []
    monkeypatch.setattr(system, "drop_capability", dropped.append)

    rights.relinquish()

    assert sorted(dropped) == [12, 21, 38, 39]
