"""Does the kernel program count right on ARM? Boots Debian's kernel for it under QEMU.

    sudo .venv/bin/python scripts/arm_check.py arm64 [--captures FOLDER] [--folder FOLDER]
    sudo .venv/bin/python scripts/arm_check.py armhf

The guest has this checkout's capture service, its compiled object and a corpus of frames: built,
cut at every length, with bytes changed, and those of capture files if a folder is given. What
``arm_guest.py`` finds is printed line by line, and at last a row for docs/performance.md. The
machine is emulated: the answers are those of the processor, the times are not.

Needs: apt-get install qemu-system-arm mmdebstrap cpio
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from monitorpi_capture.frame.linktypes import LINK_ETHERNET
from monitorpi_capture.sources.capfile.reader import CaptureFile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
MIRROR: Final = "http://deb.debian.org/debian"
RELEASE: Final = "bookworm"
"""Debian 12: its kernel 6.1 and Python 3.11 are those of Raspberry Pi OS "bookworm"."""
PACKAGES: Final = (
    "busybox-static", "iproute2", "libffi8", "libpython3.11-stdlib", "python3-minimal",
)  # fmt: skip
TOOLS: Final = ("mmdebstrap", "cpio")
BALLAST: Final = (
    "lib/modules", "lib/systemd", "lib/udev", "usr/lib/systemd", "usr/share", "usr/lib/*/perl*",
    "usr/lib/*/gconv",
)  # fmt: skip
TIMEOUT_S: Final = 1200
CHANGES: Final = 12
"""Copies of each built frame with some bytes changed."""

INIT: Final = """#!/bin/busybox sh
/bin/busybox mount -t proc p /proc
/bin/busybox mount -t sysfs s /sys
/bin/busybox mount -t devtmpfs d /dev
/bin/busybox insmod /veth.ko
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/site
/usr/bin/python3.11 /check/arm_guest.py
echo "guest exit $?"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True)
class Machine:
    """One kind of processor, as Debian, pip and QEMU call it."""

    kernel: str
    wheels: str
    qemu: tuple[str, ...]


MACHINES: Final = {
    "arm64": Machine(
        "linux-image-arm64",
        "manylinux2014_aarch64",
        ("qemu-system-aarch64", "-cpu", "cortex-a72"),
    ),
    "armhf": Machine(
        "linux-image-armmp",
        "manylinux2014_armv7l",
        ("qemu-system-arm", "-cpu", "cortex-a15"),
    ),
}


def built() -> Iterator[bytes]:
    """Yield frames of every class, untagged and with one and two tags."""
    packets = [
        *(IP() / TCP(dport=port, flags=flags) for port, flags in
          ((80, "S"), (443, "SA"), (53, "SEC"), (9, "R"), (9, "FA"), (9, "A"), (9, "SR"))),
        *(IP() / UDP(sport=port, dport=9) for port in (53, 67, 68, 443, 5353, 546, 9)),
        *(IPv6() / UDP(sport=port, dport=9) for port in (53, 546, 547, 67, 5353)),
        IP() / ICMP(),
        IP() / ICMP(type=0),
        IP(proto=2) / b"\x16\0\0\0\xef\0\0\1",
        IP(options=b"\x94\x04\0\0") / TCP(dport=80, flags="S"),
        IP(flags="MF") / UDP(dport=53) / (b"x" * 16),
        IP(frag=100, proto=6) / (b"x" * 16),
        IPv6() / TCP(dport=443, flags="S"),
        IPv6() / ICMPv6EchoRequest(),
        IPv6() / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
        IPv6() / IPv6ExtHdrFragment(m=1) / TCP(dport=80, flags="S"),
        IPv6() / IPv6ExtHdrFragment(offset=9, nh=58) / (b"x" * 16),
        ARP(),
    ]  # fmt: skip
    for number, packet in enumerate(packets):
        for tags in (None, Dot1Q(vlan=5), Dot1AD(vlan=6) / Dot1Q(vlan=5)):
            head = Ether(src=f"02:00:00:00:01:{number:02x}", dst="02:00:00:00:02:01")
            yield bytes(head / (packet if tags is None else tags / packet))
    for target in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb"):
        yield bytes(Ether(src="02:00:00:00:01:ff", dst=target) / IP() / UDP(dport=5353))


def corpus(captures: Path | None) -> Iterator[bytes]:
    """Yield what is run: built frames, each cut and changed, and the files' frames."""
    dice = random.Random(4)  # noqa: S311 - the same frames each time
    for frame in built():
        yield frame
        for length in range(14, len(frame)):
            yield frame[:length]
        for _ in range(CHANGES):
            changed = bytearray(frame)
            for _ in range(dice.randrange(1, 4)):
                changed[dice.randrange(12, len(changed))] = dice.randrange(256)
            yield bytes(changed)
    for file in sorted(captures.glob("*.pcap*")) if captures else ():
        with file.open("rb") as stream:
            for _, link, data, length in CaptureFile(stream, file.name):
                if link == LINK_ETHERNET and 14 <= len(data) == length:  # noqa: PLR2004 - a header
                    yield data


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a program that must succeed."""
    subprocess.run([str(word) for word in command], check=True, cwd=cwd)  # noqa: S603 - our own words


def debian(machine: Machine, architecture: str, root: Path) -> None:
    """Unpack Debian for the machine, once."""
    if (root / "boot").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    include = ",".join((*PACKAGES, machine.kernel))
    print(f"unpacking Debian {RELEASE} for {architecture}", flush=True)  # noqa: T201 - for people
    run("mmdebstrap", "--quiet", "--variant=extract", f"--architectures={architecture}",
        f"--include={include}", RELEASE, root, MIRROR)  # fmt: skip


def image(machine: Machine, root: Path, folder: Path, captures: Path | None) -> Path:
    """Return an initramfs with Debian's Python, the checkout and the corpus."""
    top = folder / "image"
    top.mkdir()
    run("cp", "-a", *(root / name for name in ("bin", "etc", "lib", "sbin", "usr")), top)
    module = next(top.glob("lib/modules/*/kernel/drivers/net/veth.ko"))
    shutil.copy(module, top / "veth.ko")
    for pattern in BALLAST:
        for path in top.glob(pattern):
            shutil.rmtree(path)
    for name in ("proc", "sys", "dev", "tmp", "check"):
        (top / name).mkdir(exist_ok=True)
    run(sys.executable, "-m", "uv", "tool", "run", "pip", "install", "--quiet",
        "--disable-pip-version-check", "--target", top / "site", "--platform", machine.wheels,
        "--python-version", "3.11", "--only-binary=:all:",
        f"pydantic=={version('pydantic')}")  # fmt: skip
    for package in ("services/capture", "libs/common", "libs/host"):
        for source in (ROOT / package / "src").glob("monitorpi_*"):
            shutil.copytree(source, top / "site" / source.name, dirs_exist_ok=True)
    shutil.copy(ROOT / "scripts" / "arm_guest.py", top / "check")
    frames = dict.fromkeys(corpus(captures))
    (top / "check" / "corpus.json").write_text(json.dumps([frame.hex() for frame in frames]))
    sh = top / "bin" / "sh"
    sh.unlink(missing_ok=True)
    sh.symlink_to("busybox")
    (top / "init").write_text(INIT)
    (top / "init").chmod(0o755)
    names = "\0".join(str(path.relative_to(top)) for path in sorted(top.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--null", "--create", "--format=newc", "--quiet"],  # noqa: S607 - a tool of Debian
        input=names.encode(), check=True, capture_output=True, cwd=top,
    ).stdout  # fmt: skip
    target = folder / "image.cpio.gz"
    target.write_bytes(gzip.compress(packed, 1))
    shutil.rmtree(top)
    return target


def boot(machine: Machine, kernel: Path, initramfs: Path) -> list[str]:
    """Run the guest to its end; print and return what it says."""
    command = [*machine.qemu, "-M", "virt", "-smp", "2", "-m", "1536", "-nographic", "-no-reboot",
               "-kernel", str(kernel), "-initrd", str(initramfs), "-nic", "none",
               "-append", "console=ttyAMA0 panic=-1 quiet"]  # fmt: skip
    lines = []
    with subprocess.Popen(  # noqa: S603 - our own words
        ["timeout", str(TIMEOUT_S), *command],  # noqa: S607 - a tool of Debian
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace",
    ) as guest:  # fmt: skip
        assert guest.stdout is not None  # noqa: S101 - it is a pipe
        for line in guest.stdout:
            lines.append(line.strip())
            print(line.rstrip(), flush=True)  # noqa: T201 - for people
    return lines


def table_row(architecture: str, results: list[dict[str, str | int]]) -> str:
    """Return the row of docs/performance.md."""
    first = results[0]
    differences = sum(int(one["classes_differ"]) + int(one["rows_differ"]) for one in results)
    jit = " and ".join("on" if one["jit"] else "off" for one in results)
    return (
        f"| {architecture} | {first['kernel']} | {jit} | {first['capabilities']} | "
        f"{first['frames']:,} | {first['sent']:,} | {differences} |"
    )


def main(arguments: list[str]) -> int:
    """Check one architecture; return 0 if everything was counted right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("architecture", choices=MACHINES)
    parser.add_argument("--captures", type=Path, help="also run the frames of the files here")
    parser.add_argument("--folder", type=Path, help="keep Debian here for the next time")
    asked = parser.parse_args(arguments)
    machine = MACHINES[asked.architecture]
    missing = [tool for tool in (*TOOLS, machine.qemu[0]) if not shutil.which(tool)]
    if missing:
        print(f"missing: {', '.join(missing)}: apt-get install qemu-system-arm mmdebstrap cpio")  # noqa: T201 - for people
        return 3
    with tempfile.TemporaryDirectory(prefix="monitorpi-arm-") as scratch:
        root = (asked.folder or Path(scratch)) / asked.architecture
        root.parent.mkdir(parents=True, exist_ok=True)
        debian(machine, asked.architecture, root)
        initramfs = image(machine, root, Path(scratch), asked.captures)
        lines = boot(machine, next((root / "boot").glob("vmlinuz-*")), initramfs)
    results = [json.loads(line[7:]) for line in lines if line.startswith("RESULT ")]
    if "guest exit 0" not in lines or not results:
        print("the check failed: see above")  # noqa: T201 - for people
        return 1
    print(table_row(asked.architecture, results))  # noqa: T201 - for people
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
