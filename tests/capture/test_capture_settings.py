"""What is captured: names as people list them, bounds, what is taken where none is given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from monitorpi_capture.linux import ports
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.capfile import stream as streams
from monitorpi_capture.sources.capfile.stream import Stream
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("eth0", ("eth0",)), (" eth0, eth1,,", ("eth0", "eth1")), ("", ()), ("[]", ()),
        (' ["eth0", "eth1"]', ("eth0", "eth1")), (["a"], ("a",)), (("a", "b"), ("a", "b")),
    ],
)  # fmt: skip
def test_interfaces_are_listed_as_people_do(written: object, names: tuple[str, ...]) -> None:
    """With commas, as JSON, or as a list of the file."""
    assert CaptureSettings.model_validate({"interfaces": written}).interfaces == names


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("eth0,eth0", "'eth0' stands there twice: once is enough"),
        ("eth0.1,eth0-1", r"'eth0.1' and 'eth0-1' would have one name in topics \(eth0-1\)"),
        ('["eth0"', "EOF"), (7, "tuple"), ("a b", "no name of an interface"),
        (",".join(f"e{n}" for n in range(65)), "at most 64"),
    ],
)  # fmt: skip
def test_interfaces_that_cannot_be_told_apart_are_refused(written: object, why: str) -> None:
    """Or are none, or too many."""
    with pytest.raises(ValidationError, match=why):
        CaptureSettings.model_validate({"interfaces": written})


@pytest.mark.parametrize(
    ("key", "least", "usual", "most"),
    [
        ("max_macs", 16, 4096, 65536), ("listed_devices", 1, 256, 4096),
        ("max_devices", 1, 4096, 4096), ("absent_after_s", 10.0, 300.0, 86400.0),
        ("inventory_frames_per_s", 1, 200, 10000), ("reporting_level", 1e-9, 10.0, 1e6),
    ],
)  # fmt: skip
def test_numbers_have_bounds_and_a_usual_value(
    key: str, least: float, usual: float, most: float
) -> None:
    """Both ends belong to them."""
    assert getattr(CaptureSettings(), key) == usual
    for value in (least, most):
        assert getattr(CaptureSettings.model_validate({key: value}), key) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            CaptureSettings.model_validate({key: value})


def test_the_rest_of_what_is_usual() -> None:
    """The best engine, no interface by name, nobody pinned; so many may be."""
    usual = CaptureSettings()
    assert (usual.engine, usual.interfaces, usual.pinned_macs) == ("auto", (), ())
    macs = [f"02:00:00:00:{n // 256:02x}:{n % 256:02x}" for n in range(1025)]
    assert len(CaptureSettings.model_validate({"pinned_macs": macs[:1024]}).pinned_macs) == 1024
    with pytest.raises(ValidationError, match="at most 1024"):
        CaptureSettings.model_validate({"pinned_macs": macs})


# --- on which interface ---------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the interfaces of a machine: w wired, l with a link, r real, e Ethernet, h header."""
    there: dict[str, str] = {}

    def has(letter: str) -> Any:
        return lambda name: letter in there[name]

    monkeypatch.setattr(ports, "names", lambda: list(there))
    for call, letter in (
        ("is_wired", "w"), ("has_link", "l"), ("is_real", "r"), ("is_ethernet", "e"),
        ("has_ethernet_header", "h"),
    ):  # fmt: skip
        monkeypatch.setattr(ports, call, has(letter))
    monkeypatch.setattr(ports, "index_of", lambda name: 1 if name in there else None)
    return there


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"lo": "", "eth0": "w", "eth1": "wl", "eth2": "wlr", "eth3": "wlr"}, "eth2"),
        ({"br0": "wl", "eth1": "wl"}, "eth1"), ({"enp3s0": "wl"}, "enp3s0"),
        ({"eth9": "lr", "ens1": "wl"}, "ens1"), ({"x0": "wlr"}, "x0"),
    ],
)  # fmt: skip
def test_the_wired_interface_that_is_up_is_taken(
    machine: dict[str, str], there: dict[str, str], name: str
) -> None:
    """A real port before what a container calls its Ethernet, the first of each."""
    machine |= there

    assert ports.choose() == name


@pytest.mark.parametrize(
    ("there", "listed", "example"),
    [
        ({}, "none", '["eth0"]'), ({"wlan0": "", "eth1": "we", "eth2": "e"}, "eth1, eth2",
                                   '["eth1"]'),
        ({"br0": "wl", "etha": "wl", "xeth0": "wl"}, "none", '["eth0"]'),
    ],
)  # fmt: skip
def test_where_none_is_up_it_says_what_to_write(
    machine: dict[str, str], there: dict[str, str], listed: str, example: str
) -> None:
    """With an interface that is there, if one is."""
    machine |= there

    with pytest.raises(ResourceError) as raised:
        ports.choose()

    assert f"no wired interface is up (there are: {listed})" in str(raised.value)
    assert f"capture.interfaces = {example};" in str(raised.value)
    assert f"MONITORPI_INTERFACES={example} in .env" in str(raised.value)


def test_each_interface_is_there_and_carries_frames(machine: dict[str, str]) -> None:
    """Else it says which one does not, and which there are."""
    with pytest.raises(ResourceError, match=r"no interface 'eth0': .* those there are: none$"):
        ports.require(("eth0",))
    machine |= {"eth0": "h", "tun0": ""}
    ports.require(("eth0",))
    with pytest.raises(ResourceError, match=r"no interface 'eth1': .* there are: eth0, tun0$"):
        ports.require(("eth0", "eth1"))
    with pytest.raises(ResourceError, match="interface 'tun0' carries no Ethernet frames"):
        ports.require(("eth0", "tun0"))


# --- a file, or what somebody still writes -------------------------------------------------------


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """In pieces of the size that is asked for; nobody writes it any more."""
    (tmp_path / "one").write_bytes(b"abcde")
    one = Stream(str(tmp_path / "one"))

    assert [one.read(3) for _ in range(3)] == [b"abc", b"de", b""]
    assert one.is_live is False
    fds = (one._fd, one._wake_read, one._wake_write)
    assert all(not os.get_inheritable(fd) for fd in fds)
    one.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_standard_input_is_read_as_it_comes_and_can_be_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stays open for others; whoever waits for it is woken."""
    ours, theirs = os.pipe()
    monkeypatch.setattr(streams, "_STANDARD_INPUT", ours)
    one = Stream("-")
    os.write(theirs, b"abc")

    assert one.is_live is True
    assert one.read(9) == b"abc"
    one.stop()
    assert one.read(9) == b""
    os.write(theirs, b"late")
    assert one.read(9) == b""
    one.close()
    assert os.read(ours, 9) == b"late"
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("name", "shown", "why"),
    [
        (".", ".", "it is a directory"), ("none", "none", "No such file or directory"),
        ("-", "standard input", "Bad file descriptor"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str, why: str
) -> None:
    """With its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streams, "_STANDARD_INPUT", 999_999)

    with pytest.raises(ResourceError) as raised:
        Stream(name)

    assert str(raised.value) == f"{shown} cannot be read ({why}): give a capture file that can"
    assert streams._STANDARD_INPUT == 999_999
