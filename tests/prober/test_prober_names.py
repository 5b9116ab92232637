"""Names of addresses and addresses of names: what is asked, how often, and what is taken."""

from __future__ import annotations

import ipaddress
import math
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from icmplib import NameLookupError

from monitorpi_prober.items import NameFound, Resolution, Wanted
from monitorpi_prober.sources import mdns, names
from monitorpi_prober.sources.names import DeviceNames, HostNames

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- addresses of host names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({4: ["192.0.2.1"], 6: ["fd00::1"]}, Resolution("h", "192.0.2.1", others=("fd00::1",))),
        ({6: ["fd00::1"]}, Resolution("h", "fd00::1")),
        ({4: ["192.0.2.1", "192.0.2.2", "192.0.2.1"]},
         Resolution("h", "192.0.2.1", others=("192.0.2.2",))),
        ({4: [f"192.0.2.{n}" for n in range(20)]},
         Resolution("h", "192.0.2.0", others=tuple(f"192.0.2.{n}" for n in range(1, 8)))),
        ({}, Resolution("h", None, "the host name h does not resolve")),
        ({4: OSError(), 6: ["fd00::1"]}, Resolution("h", None, "the host name h does not resolve")),
        ({4: UnicodeError(), 6: ["fd00::1"]},
         Resolution("h", None, "the host name h does not resolve")),
    ],
)  # fmt: skip
def test_what_a_host_name_resolves_to(
    monkeypatch: pytest.MonkeyPatch, answers: dict[int, Any], found: Resolution
) -> None:
    """The addresses of IPv4 first, each once, eight at most."""

    def resolve(name: str, family: int) -> list[str]:
        answer = answers.get(family)
        if answer is None:
            raise NameLookupError(name)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    monkeypatch.setattr(names, "resolve", resolve)

    assert names.look_up("h") == found
    assert [one.hostname for one in names.look_up_all(["b", "a"])] == ["b", "a"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(names.time, "monotonic", lambda: now[0])
    return now


def test_a_host_name_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    """Each five minutes, or half a minute where it has no address, or none that answers."""
    source, found = HostNames(), list[Any]()
    address: list[str | None] = ["192.0.2.1"]
    monkeypatch.setattr(names, "look_up", lambda name: Resolution(name, address[0]))

    def is_due(seconds: float) -> bool:
        return source._is_due("h", clock[0] + seconds)

    assert is_due(0)
    source._lines.acquire()
    source._look_up("h", found.append)
    assert found == [Resolution("h", "192.0.2.1")]
    assert source._wake.is_set()
    assert (is_due(299.9), is_due(300.0)) == (False, True)
    source.want(Wanted(("h",), (), ("h",)))
    assert (is_due(29.9), is_due(30.0)) == (False, True)
    source.want(Wanted(("h",), ()))
    address[0] = None
    source._lines.acquire()
    source._look_up("h", found.append)
    assert (is_due(29.9), is_due(30.0)) == (False, True)
    source._due["h"] = math.inf
    source.want(Wanted(("h",), (), ("h",)))
    assert not is_due(1e9)


def test_what_is_found_after_the_end_is_told_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are at their end by then."""
    source, found = HostNames(), list[Any]()
    monkeypatch.setattr(names, "look_up", lambda name: Resolution(name, "192.0.2.1"))
    source.stop()
    assert source._wake.is_set()
    source._wake.clear()
    source._lines.acquire()

    source._look_up("h", found.append)
    source.run(found.append)

    assert (found, source._wake.is_set()) == ([], False)
    assert all(source._lines.acquire(blocking=False) for _ in range(8))
    assert not source._lines.acquire(blocking=False)


def test_what_is_wanted_anew_is_looked_up_at_once() -> None:
    """What was wanted before wakes nobody."""
    source = HostNames()
    source.want(Wanted((), ()))
    assert not source._wake.is_set()
    for wanted in (Wanted(("h",), ()), Wanted(("h",), (), ("h",))):
        source.want(wanted)
        assert source._wake.is_set()
        source._wake.clear()
        source.want(wanted)
        assert not source._wake.is_set()


class Woken:
    """An event that notes how long it was waited for, and ends a source after some times."""

    def __init__(self, source: Any, times: int) -> None:
        self.pauses: list[float] = []
        self.cleared = 0
        self._source, self._times = source, times

    def wait(self, seconds: float) -> None:
        """Let no time pass."""
        self.pauses.append(seconds)
        self._times -= 1
        if self._times <= 0:
            self._source._stopped = True

    def set(self) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Count it."""
        self.cleared += 1


@pytest.mark.parametrize(("hostnames", "pause_s"), [((), 30.0), (("h",), 1.0)])
def test_a_look_at_the_clock_each_second(
    monkeypatch: pytest.MonkeyPatch, hostnames: tuple[str, ...], pause_s: float
) -> None:
    """Where there is a name to look up; one that is under way is not looked up twice."""
    begun: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        HostNames,
        "_look_up",
        lambda _, name, __: begun.append((name, threading.current_thread().daemon)),
    )
    source = HostNames(_wanted=hostnames)
    woken = source._wake = Woken(source, 3)  # type: ignore[assignment]

    source.run(lambda _: None)

    assert (woken.pauses, woken.cleared) == ([pause_s] * 3, 3)
    assert begun == [(name, True) for name in hostnames]  # one that hangs holds up no end
    assert all(math.isinf(source._due[name]) for name in hostnames)


# --- names of addresses ---------------------------------------------------------------------------


def test_devices_are_asked_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five a second at most; who has no name is left alone for an hour; then there is time."""
    source, found = DeviceNames("eth9"), list[Any]()
    woken = source._wake = Woken(source, 4)  # type: ignore[assignment]
    monkeypatch.setattr(names, "reverse_dns", {"192.0.2.1": "by-dns"}.get)
    monkeypatch.setattr(
        names, "ask_device",
        lambda ip, by: f"{by}-itself" if ip in ("192.0.2.1", "192.0.2.3") else None,
    )  # fmt: skip
    source.want(Wanted((), ("192.0.2.1", "192.0.2.2", "192.0.2.3")))

    source.run(found.append)

    assert found == [NameFound("192.0.2.1", "by-dns"), NameFound("192.0.2.3", "eth9-itself")]
    assert woken.pauses == [0.2, 0.2, 0.2, 30.0]
    source.stop()
    assert source._stopped


def test_want_and_stop_wake_whoever_waits() -> None:
    """So that a new device has its name soon."""
    source = DeviceNames()
    source.want(Wanted((), ("192.0.2.1",)))
    assert source._wake.is_set()
    source._wake.clear()
    source.stop()
    assert source._wake.is_set()


@pytest.mark.parametrize(("took_s", "is_away"), [(2.0, False), (2.1, True)])
def test_a_name_server_that_takes_long_is_away(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], took_s: float, is_away: bool
) -> None:
    """A refusal comes at once; one that has the name after all is not left alone for it."""
    asked: list[str] = []
    found: list[str | None] = [None, None]

    def dns(address: str) -> str | None:
        asked.append(address)
        clock[0] += took_s
        return found.pop(0)

    monkeypatch.setattr(names, "reverse_dns", dns)
    monkeypatch.setattr(names, "ask_device", lambda *_: None)
    source = DeviceNames()

    assert source._name_of("a") is None
    assert source._name_of("b") is None

    assert asked == (["a"] if is_away else ["a", "b"])
    assert ("a" in source._asked) is is_away
    slow = DeviceNames()
    found[:] = ["x", "x"]
    assert (slow._name_of("a"), slow._name_of("b")) == ("x", "x")
    assert slow._asked == {}


def test_what_was_asked_for_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """The first to be asked for is the first to be asked for again."""
    assert names._MAX_ASKED == 8192
    monkeypatch.setattr(names, "_MAX_ASKED", 3)
    source = DeviceNames(_wanted=tuple("abcd"))

    assert [source._next() for _ in range(4)] == ["a", "b", "c", "d"]
    assert len(source._asked) == 3
    assert source._next() == "a"
    assert source._asked["a"] == clock[0] + 3600.0


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (("printer.lan", "0"), "printer.lan"), (("a\x1b[31mb\n", "0"), "a[31mb"),
        (("\x07", "0"), None), (("n" * 300, "0"), "n" * 255), (OSError(), None),
        (UnicodeError(), None),
    ],
)  # fmt: skip
def test_a_name_of_dns_is_shown_as_far_as_it_can_be(
    monkeypatch: pytest.MonkeyPatch, answer: Any, name: str | None
) -> None:
    """And asked for as a name, not as the address written again."""
    asked: list[Any] = []

    def getnameinfo(address: tuple[str, int], flags: int) -> tuple[str, str]:
        asked.append((address, flags))
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(names.socket, "getnameinfo", getnameinfo)

    assert names.reverse_dns("192.0.2.1") == name
    assert asked == [(("192.0.2.1", 0), socket.NI_NAMEREQD)]


class Device:
    """Whoever answers questions for names on loopback."""

    def __init__(self, *answers: tuple[str, bytes]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        self._answers = answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.sock.settimeout(5)
        question, sender = self.sock.recvfrom(9000)
        self.asked.append(question)
        for own, record in self._answers:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
                mouth.bind((own, 0))
                mouth.sendto(record, sender)

    def close(self) -> None:
        """End."""
        self._thread.join(5)
        self.sock.close()


def record(address: str, name: str) -> bytes:
    """Write the answer of a device."""
    query = mdns.question(address, 0)
    told = bytes([len(name)]) + name.encode() + b"\x05local\0"
    body = b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 120, len(told)) + told
    return struct.pack("!6H", 0, 0x8400, 1, 1, 0, 0) + query[12:] + body


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what makes a device that answers in the place of the group."""
    made: list[Device] = []

    def make(*answers: tuple[str, bytes]) -> Device:
        one = Device(*answers)
        made.append(one)
        monkeypatch.setattr(mdns, "GROUP", one.sock.getsockname())
        return one

    monkeypatch.setattr(names, "_MDNS_S", 0.1)
    yield make
    for one in made:
        one.close()


def test_a_device_tells_its_own_name(device: Any) -> None:
    """Only its own answer is taken, and only if it is one."""
    asked = device(
        ("127.0.0.9", record("127.0.0.7", "forged")), ("127.0.0.7", b"nonsense"),
        ("127.0.0.7", record("127.0.0.7", "printer")),
    )  # fmt: skip

    assert names.ask_device("127.0.0.7", None) == "printer"

    reverse = ipaddress.ip_address("127.0.0.7").reverse_pointer.split(".")
    assert asked.asked[0][12:].startswith(bytes([len(reverse[0])]) + reverse[0].encode())


def test_a_device_without_a_name_is_waited_for_a_moment(device: Any) -> None:
    """Half a second; whoever has no way out, or another version of IP, is not asked."""
    device()
    began = time.monotonic()

    assert names.ask_device("127.0.0.7", None) is None

    assert 0.1 <= time.monotonic() - began < 5
    assert names.ask_device("fd00::1", None) is None
    assert names.ask_device("255.255.255.255", None) is None


def test_an_address_of_ipv6_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way to it is looked for either."""
    looked: list[str] = []
    monkeypatch.setattr(names, "leaves_from", lambda ip, _: looked.append(ip))

    assert names.ask_device("fd00::1", None) is None
    assert looked == []


def test_half_a_second_is_enough_for_a_device() -> None:
    """It is on the LAN."""
    assert names._MDNS_S == 0.5
