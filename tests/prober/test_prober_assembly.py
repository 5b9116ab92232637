"""The prober as it is put together, and which settings it takes."""

from __future__ import annotations

import gc
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from tests.drive import drive
from tests.prober.corebench import T0, Prober, device

from monitorpi_common.log import Log
from monitorpi_common.service import Assembly, Context, Tick
from monitorpi_host.interfaces import Interface
from monitorpi_prober import __main__ as main
from monitorpi_prober.__main__ import assemble
from monitorpi_prober.core import ProberCore
from monitorpi_prober.items import Exit, Sweeping
from monitorpi_prober.settings import ProberSettings, TargetSettings
from monitorpi_prober.sources.discovery import Discovery
from monitorpi_prober.sources.names import DeviceNames, HostNames
from monitorpi_prober.sources.pinger import Pinger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note when what was loaded is put out of the garbage collector's sight: ours it shall see."""
    times: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: times.append(True))
    return times


def assembled(folder: Path, *, live: bool = True, **settings: Any) -> Assembly:
    """Put a prober together."""
    context = Context("lab", "main", "e", ProberSettings(**settings), Namespace(), folder, True,
                      live, Log("prober"))  # fmt: skip
    return assemble(context)


def test_our_own_cards_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have a MAC address."""
    macs = ("b8:27:eb:00:00:63", None, "b8:27:eb:00:00:64")
    cards = [
        Interface(f"eth{n}", mac, None, None, up=True, loopback=False, has_arp=True)
        for n, mac in enumerate(macs)
    ]
    monkeypatch.setattr(main, "attached", lambda: iter(cards))

    core = assembled(tmp_path).core

    assert isinstance(core, ProberCore)
    assert core.own_macs == {"b8:27:eb:00:00:63", "b8:27:eb:00:00:64"}


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, [Pinger, HostNames, DeviceNames, Discovery]),
        ({"look_up_names": False}, [Pinger, HostNames, Discovery]),
        ({"discover": False}, [Pinger, HostNames, DeviceNames]),
    ],
)
def test_what_the_settings_switch_off_is_not_there(
    tmp_path: Path, settings: dict[str, Any], kinds: list[type]
) -> None:
    """Sweeps, and the names of devices; those of the configuration are always looked up."""
    found = assembled(tmp_path, source="127.0.0.1", **settings)

    assert [type(one) for one in found.sources] == kinds
    pinger = found.sources[0]
    assert isinstance(pinger, Pinger)
    assert pinger.source == "127.0.0.1"
    for one in found.sources:
        assert not isinstance(one, DeviceNames) or one.source == "127.0.0.1"
    assert sorted(found.subscriptions) == [
        "monitorpi/v1/lab/capture/device/+", "monitorpi/v1/lab/prober/health/+",
        "monitorpi/v1/lab/prober/status/+", "monitorpi/v1/lab/prober/target/+",
    ]  # fmt: skip


@pytest.mark.parametrize(("live", "seconds"), [(True, 10.0), (False, 0.0)])
def test_a_sweep_waits_for_those_that_connect_with_us(
    tmp_path: Path, live: bool, seconds: float
) -> None:
    """In a pipe nobody does, and each change is planned at once."""
    found = assembled(tmp_path, live=live)
    (sweeps,) = [one for one in found.sources if isinstance(one, Discovery)]

    assert sweeps.head_start_s == seconds
    assert isinstance(found.core, ProberCore)
    assert found.core.live is live


def test_the_core_and_its_sources_know_each_other(tmp_path: Path, frozen: list[bool]) -> None:
    """Names that are wanted, plans, and what came back without counting."""
    found = assembled(tmp_path, targets=[{"address": "printer.lan"}, {"address": "192.0.2.1"}])
    assert frozen == [True]
    pinger, hosts, devices, _ = found.sources
    core = found.core
    assert isinstance(core, ProberCore)
    assert isinstance(pinger, Pinger)
    assert isinstance(hosts, HostNames)
    assert isinstance(devices, DeviceNames)

    assert hosts._wanted == ("printer.lan",)
    assert [one.key for one in pinger._planned[-1].targets] == ["printer-lan", "192-0-2-1"]
    pinger.tally.late, pinger.wire.unsent = 3, 5
    detail = core.detail()
    assert (detail["late_replies"], detail["duplicate_replies"]) == (3, 0)
    assert detail["unsent_by_kernel_total"] == 5
    core.targets.announce(device("192.0.2.7"))
    core.replan()
    assert devices._wanted == ("192.0.2.7",)
    core.wake(["a"])
    core.hurry(None)
    assert (list(pinger._seen), list(pinger._extra)) == ([("a",)], [None])
    assert core.targets.vendor_of("b8:27:eb:00:00:07") is not None


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"flap_changes": 10, "flap_rounds": 10}, "10 changes in 10 rounds can never be"),
        ({"targets": ["192.0.2.1"]}, "write it as { address = '192.0.2.1' }"),
        ({"targets": ["x" * 99]}, f"write it as {{ address = '{'x' * 64}' }}"),
        ({"targets": [{"address": "224.0.0.1"}]}, "groups and all addresses are not probed"),
        ({"targets": [{"address": "0.0.0.0"}]}, "groups and all addresses are not probed"),
        ({"targets": [{"address": "255.255.255.255"}]}, "groups and all addresses"),
        ({"targets": [{"address": "192.0.2.0/24"}]}, "write each by itself"),
        ({"targets": [{"address": " "}]}, "no address of one host"),
        ({"targets": [{"address": "http://printer.lan"}]}, "give the host alone"),
        ({"targets": [{"address": "printer.lan:80"}]}, "give the host alone"),
    ],
)
def test_settings_that_cannot_be_say_why(settings: dict[str, Any], words: str) -> None:
    """Each in its own words."""
    with pytest.raises(ValidationError) as caught:
        ProberSettings(**settings)

    assert words in str(caught.value)


def test_settings_that_can_be() -> None:
    """Down to the least distance; written with spaces around."""
    assert ProberSettings(flap_changes=9, flap_rounds=10).flap_changes == 9
    assert TargetSettings(address=" 192.0.2.1 ").address == "192.0.2.1"
    assert TargetSettings(address="Printer.lan").address.lower() == "printer.lan"
    assert TargetSettings(address="fd00::1").address == "fd00::1"


def test_defaults_are_those_of_the_documentation() -> None:
    """Ten requests in ten seconds, at most 250 a second, 20 by ARP, sweeps each half hour."""
    one = ProberSettings()

    assert (one.interval_s, one.probes, one.max_rate, one.timeout_s) == (10.0, 10, 250.0, 1.0)
    assert (one.max_arp_rate, one.discover_rate, one.sweep_rate) == (20.0, 20.0, 13.0)
    assert (one.discover_every_min, one.discover_max_addresses) == (30.0, 1024)
    assert (one.down_after, one.up_after, one.flap_changes, one.flap_rounds) == (3, 1, 4, 60)
    assert (one.announced, one.discover, one.look_up_names, one.max_targets) == (
        True, True, True, 1024)  # fmt: skip
    assert ProberSettings(discover_rate=5).sweep_rate == 5.0


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("discover_every_min", 1, 10_080), ("discover_max_addresses", 1, 65_536),
        ("discover_rate", 0.001, 1000), ("max_arp_rate", 1, 1000), ("interval_s", 1, 3600),
        ("probes", 1, 100), ("max_rate", 0.001, 10_000), ("timeout_s", 0.001, 10),
        ("down_after", 1, 100), ("up_after", 1, 100), ("max_targets", 1, 4096),
        ("flap_changes", 2, 59), ("flap_rounds", 5, 10_000),
    ],
)  # fmt: skip
def test_limits_of_the_settings(name: str, least: float, most: float) -> None:
    """Both ends can be set, and nothing beyond."""
    for value in (least, most):
        assert getattr(ProberSettings(**{name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            ProberSettings(**{name: value})


def test_limits_of_a_target() -> None:
    """Its interval as that of all."""
    for value in (1, 3600):
        assert TargetSettings(address="h", interval_s=value).interval_s == value
    for more in ({"interval_s": 0.9}, {"interval_s": 3601}, {"name": "n" * 256}):
        with pytest.raises(ValidationError):
            TargetSettings(address="h", **more)
    with pytest.raises(ValidationError):
        ProberSettings(targets=[{"address": f"h{n}"} for n in range(4097)])
    with pytest.raises(ValidationError):
        ProberSettings(flap_changes=65, flap_rounds=100)
    assert ProberSettings(flap_changes=64, flap_rounds=100).flap_changes == 64


# --- what is told of it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweeping", "left"), [(0.0, 17.0), (13.0, 4.0), (12.34, 4.7), (15.0, 2.0), (20.0, 2.0)]
)
def test_what_sweeps_leave_for_silent_targets(sweeping: float, left: float) -> None:
    """Of the limit with some headroom; a tenth of it whatever they do, told in tenths."""
    prober = Prober("192.0.2.1")

    drive(prober.core, [Sweeping(T0, Exit("192.0.2.99", "02:00:00:00:00:63"), sweeping)])

    assert prober.core.detail()["arp_per_s"] == left
    assert prober.plan.arp_per_s == left
    drive(prober.core, [Tick(T0, 1.0, clock_synced=True)])
