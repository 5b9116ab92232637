"""Sweeps without a LAN: what is swept and how often, what is asked, what counts as an answer."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.noted import Noted

from monitorpi_host.interfaces import Interface
from monitorpi_prober.items import Exit, Found, KnownAddress, Sweeping
from monitorpi_prober.settings import ProberSettings
from monitorpi_prober.sources import discovery
from monitorpi_prober.sources.discovery import (
    Discovery,
    Refusal,
    read_answers,
    sweep_command,
    sweepable,
)

if TYPE_CHECKING:
    from monitorpi_common.log import Log

OWN = "02:00:00:00:00:01"
NETWORK = ipaddress.IPv4Network("198.18.0.0/29")


def interface(name: str = "eth0", ip: str | None = "198.18.0.1", prefix: int = 24, **more: Any
              ) -> Interface:  # fmt: skip
    """Return an interface that is up."""
    known = {"mac": OWN, "up": True, "loopback": False, "has_arp": True} | more
    return Interface(name, ip=ip, prefix=prefix if ip else None, **known)


# --- what is swept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "settings", "is_swept"),
    [
        (interface(), {}, True),
        (interface(loopback=True), {}, False),
        (interface(up=False), {}, False),
        (interface(has_arp=False), {}, False),
        (interface(ip=None), {}, False),
        (interface(mac=None), {}, False),
        (interface(), {"listen_only": ["eth0"]}, False),
        (interface(), {"listen_only": ["eth1"]}, True),
        (interface(ip="169.254.3.7", prefix=16), {}, False),
        (interface(), {"source": "eth0"}, True),
        (interface(), {"source": "198.18.0.1"}, True),
        (interface(), {"source": "eth9"}, False),
    ],
)  # fmt: skip
def test_which_interfaces_are_swept(
    one: Interface, settings: dict[str, Any], is_swept: bool
) -> None:
    """Those with a LAN behind them that we may send to; of the others nothing is said."""
    other = interface("eth9", "198.18.9.1")
    others = [other] if settings.get("source", "eth9") == "eth9" else []

    found = list(sweepable([one, other], ProberSettings(**settings)))

    assert found == [*([one] if is_swept else []), *others]


@pytest.mark.parametrize(
    ("prefix", "most", "addresses"),
    [(24, 254, None), (24, 253, 254), (31, 1, None), (32, 1, None), (30, 1, 2), (22, 1024, None),
     (21, 1024, 2046)],
)  # fmt: skip
def test_a_large_subnet_is_refused_with_its_size(
    prefix: int, most: int, addresses: int | None
) -> None:
    """Without the addresses of the net itself and of all; the others are swept all the same."""
    near = [interface(prefix=prefix), interface("eth1")]
    settings = ProberSettings(discover_max_addresses=most)

    first = next(sweepable(near, settings))

    if addresses is None:
        assert first is near[0]
    else:
        assert isinstance(first, Refusal)
        assert first.interface == "eth0"
        assert f"/{prefix} has {addresses} addresses" in first.reason
        assert f"discover_max_addresses ({most})" in first.reason
        small = ProberSettings(discover_max_addresses=254)
        assert list(sweepable([interface(prefix=16), near[1]], small))[1] is near[1]


class Sweeps:
    """A discovery whose sweeps find what they are told, and whose pauses are only counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *near: Interface, rounds: int = 1,
                 found: list[KnownAddress] | None = None, **settings: Any) -> None:  # fmt: skip
        self.log = Noted()
        self.source = Discovery(ProberSettings(**settings), cast("Log", self.log), 7.0)
        self.pauses: list[float] = []
        self.swept: list[str] = []
        self.items: list[Any] = []
        self._rounds = rounds
        monkeypatch.setattr(discovery.interfaces, "attached", lambda: near)
        monkeypatch.setattr(Discovery, "_sweep", lambda _, one: self.sweep(one, found))
        monkeypatch.setattr(self.source._stopped, "wait", self.wait)

    def sweep(self, one: Interface, found: list[KnownAddress] | None) -> Any:
        """Find what was told."""
        self.swept.append(one.name)
        return found

    def wait(self, seconds: float) -> None:
        """Let no time pass, and end after some rounds."""
        self.pauses.append(seconds)
        if self.pauses.count(self.source.settings.discover_every_min * 60) >= self._rounds:
            self.source.stop()

    def run(self) -> None:
        """Run to the end."""
        self.source.run(self.items.append)


def test_a_sweep_is_announced_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the rate of the settings, some seconds before its first request; then half an hour."""
    one = [KnownAddress("198.18.0.7", "b8:27:eb:00:00:07", interface="eth0")]
    sweeps = Sweeps(monkeypatch, interface(), rounds=2, found=one)

    sweeps.run()

    before, found, after = sweeps.items[:3]
    assert isinstance(before, Sweeping)
    assert (before.leaving, before.arp_per_s) == (Exit("198.18.0.1", OWN), 13.0)
    assert found == Found("eth0", tuple(one))
    assert (after.leaving, after.arp_per_s) == (before.leaving, 0.0)
    assert sweeps.pauses == [7.0, 1800.0, 7.0, 1800.0]
    assert sweeps.swept == ["eth0", "eth0"]


def test_a_sweep_that_failed_has_found_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """That nobody answered would be something else; its end is announced all the same."""
    failed = Sweeps(monkeypatch, interface(), found=None)
    failed.run()
    assert [type(one) for one in failed.items] == [Sweeping, Sweeping]

    nobody = Sweeps(monkeypatch, interface(), found=[])
    nobody.run()
    assert nobody.items[1] == Found("eth0", ())


def test_whoever_is_stopped_sweeps_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after the announcement, nor the next interface; what was announced is taken back."""
    sweeps = Sweeps(monkeypatch, interface(), interface("eth1", "198.18.1.1"), found=[])
    monkeypatch.setattr(sweeps.source._stopped, "wait", lambda _: sweeps.source.stop())

    sweeps.run()

    assert sweeps.swept == []
    assert [one.arp_per_s for one in sweeps.items] == [13.0, 0.0]
    sweeps.run()
    assert len(sweeps.items) == 2


def test_a_refusal_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again only where it is another."""
    sweeps = Sweeps(monkeypatch, interface(prefix=16), interface("eth1", "10.0.0.1", 8), rounds=3)

    sweeps.run()

    assert [(text, one["interface"]) for text, one in sweeps.log.warnings] == [
        ("not swept", "eth0"), ("not swept", "eth1")]  # fmt: skip
    assert "discover_max_addresses" in sweeps.log.warnings[0][1]["reason"]
    assert sweeps.items == []


def test_whoever_connects_with_us_hears_of_a_sweep_before_it_begins() -> None:
    """Its announcement is repeated each five seconds."""
    assert discovery.HEAD_START_S == 10.0


# --- the program ----------------------------------------------------------------------------------


def test_a_sweep_is_a_program_of_its_own() -> None:
    """It is told the interface, the subnet, our own addresses and the rate."""
    command = sweep_command(interface(prefix=29), 13.0)

    assert command[-5:] == ["eth0", "198.18.0.0/29", OWN, "198.18.0.1", "13.0"]
    assert command[command.index(sys.executable) + 1 : -5] == [
        "-P", "-m", "monitorpi_prober.sources.sweep"]  # fmt: skip


def test_only_whole_answers_are_read() -> None:
    """An address and a MAC address as we write them; what else a program prints is left out."""
    text = (
        "198.18.0.7 b8:27:eb:00:00:07\nnonsense\n198.18.0.300 b8:27:eb:00:00:07\n"
        "198.18.0.8 b8:27:eb:00:00\n198.18.0.9\n198.18.0.10 b8:27:eb:00:00:0a:0b\n"
    )

    assert list(read_answers(text, interface())) == [
        KnownAddress("198.18.0.7", "b8:27:eb:00:00:07", interface="eth0")
    ]


def programs(monkeypatch: pytest.MonkeyPatch, code: str) -> tuple[Discovery, Noted]:
    """Return a discovery whose sweeps run some code instead."""
    log = Noted()
    command = [sys.executable, "-S", "-c", code]
    monkeypatch.setattr(discovery, "sweep_command", lambda *_: command)
    return Discovery(ProberSettings(), cast("Log", log)), log


def test_what_a_sweep_prints_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has ended well."""
    source, log = programs(monkeypatch, "print('198.18.0.7', 'b8:27:eb:00:00:07')")

    assert source._sweep(interface()) == [
        KnownAddress("198.18.0.7", "b8:27:eb:00:00:07", interface="eth0")
    ]
    assert log.warnings == []


def test_a_sweep_that_cannot_be_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its last line; what it printed before counts for nothing."""
    code = (
        "import sys; print('198.18.0.7', 'b8:27:eb:00:00:07'); "
        "print('first', file=sys.stderr); print('no packet socket', file=sys.stderr); sys.exit(3)"
    )
    source, log = programs(monkeypatch, code)

    assert source._sweep(interface()) is None
    assert log.warnings == [("no sweep", {"interface": "eth0", "reason": "no packet socket"})]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_sweep_without_end_is_ended(monkeypatch: pytest.MonkeyPatch, is_stopped: bool) -> None:
    """Half a minute after what its rate needs, or where the prober ends."""
    source, _ = programs(monkeypatch, "import time; time.sleep(60)")
    waited: list[float] = []

    def communicate(_: Any, timeout: float) -> None:
        waited.append(timeout)
        raise subprocess.TimeoutExpired("sweep", timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    if is_stopped:
        source.stop()
    began = time.monotonic()

    assert source._sweep(interface(prefix=24)) is None

    assert time.monotonic() - began < 30
    assert sum(waited) == (0 if is_stopped else pytest.approx(256 / 13 + 30, abs=0.25))
