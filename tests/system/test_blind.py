"""Every way to be blind, on one running stack: page, title, /healthz, MQTT, ``up``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
from tests.conftest import ROOT
from tests.system.breakable import Stack

from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TOLD_S: Final = 10.0
"""After so long everybody says that something is wrong, and so long after it that nothing is."""
WATCHED_S: Final = 6.0
"""From then on nobody says for so long that nothing is."""


@dataclass(frozen=True)
class Way:
    """A way to be blind, and what is said of it."""

    name: str
    fail: Callable[[Stack], object]
    mend: Callable[[Stack], object]
    level: str
    says: str
    mqtt: bool = True
    """Whether anybody can say so over MQTT."""
    well_s: float = TOLD_S
    """After so long it is over: what refused to start is started again at growing pauses."""
    often: bool = False
    """Looked at with each run of the tests; others by the long tests."""


def _broker(name: str, how: str, says: str, *, often: bool = False) -> Way:
    return Way(
        name, lambda one: getattr(one.broker, how)(), lambda one: one.broker.again(), "blind",
        says, mqtt=False, often=often,
    )  # fmt: skip


def _both(
    name: str, fail: Sequence[Callable[[Stack], object]],
    mend: Sequence[Callable[[Stack], object]], says: str, *, mqtt: bool = True,
    well_s: float = TOLD_S, often: bool = False,
) -> Way:  # fmt: skip
    def each(steps: Sequence[Callable[[Stack], object]], one: Stack) -> None:
        for step in steps:
            step(one)
            time.sleep(2)  # the second comes while the first is being told, or has been

    return Way(name, partial(each, fail), partial(each, mend), "blind", says, mqtt, well_s, often)


def _services(
    name: str, fail: Callable[[Stack, str], object], mend: Callable[[Stack, str], object],
    says: dict[str, tuple[str, str]], *, often: str = "", well_s: float = TOLD_S,
) -> list[Way]:  # fmt: skip
    return [
        Way(f"{service} {name}", lambda one, it=service: fail(one, it),
            lambda one, it=service: mend(one, it), level, text, well_s=well_s,
            mqtt=service != "detector", often=service == often)
        for service, (level, text) in says.items()
    ]  # fmt: skip


GONE: Final = {
    "capture": ("blind", "The capture is not running."),
    "detector": ("blind", "The detector is not running."),
    "prober": ("partly", "The prober is not running."),
}
HANGS: Final = {
    "capture": ("blind", "No window of mirror0 for "),
    "detector": ("blind", "The detector "),
    "prober": ("partly", "The prober has said nothing for "),
}
WAYS: Final = [
    Way("broker frozen", lambda one: one.broker.freeze(), lambda one: one.broker.thaw(),
        "blind", "No window of mirror0 for ", mqtt=False, often=True),
    _broker("broker killed", "stop", "nobody listens there"),
    _broker("certificate expired", "expire", "is not valid at this time", often=True),
    _broker("certificate for another name", "rename", "its certificate is not for '127.0.0.1'"),
    _broker("certificate by another authority", "usurp", "is not by the authority in"),
    _broker("no TLS", "undress", "TLS"),
    _broker("MQTT 3.1.1 only", "age", "it speaks no MQTT 5"),
    _broker("wrong password", "change_password", "check broker.username and its password"),
    *_services("hangs", lambda one, it: one.send(it, signal.SIGSTOP),
               lambda one, it: one.send(it, signal.SIGCONT), HANGS, often="detector"),
    *_services("killed", lambda one, it: one.stop(it, signal.SIGKILL),
               lambda one, it: one.switch_on(it), GONE, well_s=40.0),
    *_services("stopped", lambda one, it: one.stop(it), lambda one, it: one.switch_on(it),
               GONE, often="prober", well_s=40.0),
    Way("cable out", lambda one: one.plug("down"), lambda one: one.plug("up"), "blind",
        "mirror0 has had no link for ", often=True),
    Way("cable that is loose", Stack.flap, lambda one: one.plug("up"), "blind",
        "mirror0 has had no link for "),
    Way("interface renamed", lambda one: one.rename("other0"), lambda one: one.rename(None),
        "blind", "No window of mirror0 for "),
    Way("port taken down", lambda one: one.link("down"), lambda one: one.link("up"), "blind",
        "No window of mirror0 for "),
    Way("interface gone", Stack.take_interface, Stack.give_interface, "blind",
        "No window of mirror0 for "),
    Way("windows 6 s late", lambda one: one.set_clock(-6), lambda one: one.set_clock(0),
        "partly", "s old when they arrive.", often=True),
    Way("clock 20 s behind", lambda one: one.set_clock(-20), lambda one: one.set_clock(0),
        "partly", "s old when they arrive."),
    Way("clock 20 s ahead", lambda one: one.set_clock(20), lambda one: one.set_clock(0),
        "partly", "s ahead when they arrive."),
    # two at once, and what comes on top of what is wrong already
    _both("prober gone, then cable out",
          (lambda one: one.stop("prober"), lambda one: one.plug("down")),
          (lambda one: one.plug("up"), lambda one: one.switch_on("prober")),
          "mirror0 has had no link for ", well_s=40.0, often=True),
    _both("late windows, then detector hangs",
          (lambda one: one.set_clock(-6), lambda one: one.send("detector", signal.SIGSTOP)),
          (lambda one: one.send("detector", signal.SIGCONT), lambda one: one.set_clock(0)),
          "The detector ", mqtt=False),
    _both("capture hangs, then the broker comes back empty",
          (lambda one: one.send("capture", signal.SIGSTOP), lambda one: one.broker.again()),
          (lambda one: one.send("capture", signal.SIGCONT),),
          "No window of mirror0 for "),
    _both("detector hangs, then the broker comes back empty",
          (lambda one: one.send("detector", signal.SIGSTOP), lambda one: one.broker.again()),
          (lambda one: one.send("detector", signal.SIGCONT),),
          "The detector ", mqtt=False),
    _both("cable out, then detector killed",
          (lambda one: one.plug("down"), lambda one: one.stop("detector", signal.SIGKILL)),
          (lambda one: one.switch_on("detector"), lambda one: one.plug("up")),
          "The detector is not running.", mqtt=False, well_s=40.0),
    _both("capture and detector hang",
          (lambda one: one.send("capture", signal.SIGSTOP),
           lambda one: one.send("detector", signal.SIGSTOP)),
          (lambda one: one.send("detector", signal.SIGCONT),
           lambda one: one.send("capture", signal.SIGCONT)),
          "The detector ", mqtt=False),
    _both("capture killed again while it starts",
          (lambda one: one.send("capture", signal.SIGKILL),
           lambda one: one.stop("capture", signal.SIGKILL)),
          (lambda one: one.switch_on("capture"),),
          "The capture is not running.", well_s=60.0),
]  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all ways; none of its services has started yet but the page."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed: ./monitorpi test installs them")
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with Lab(2) as lab, Stack(lab, tmp_path_factory.mktemp("blind"), module.browser) as one:
        yield one


def told(
    one: Stack, level: str, text: str, since: int, *, mqtt: bool = True, within_s: float = TOLD_S
) -> float:
    """Wait until everybody says it, and return how long that took."""
    began = time.monotonic()
    missing = ["nothing looked at"]
    while missing and time.monotonic() - began < within_s:
        missing = one.lacks(level, text, since, mqtt=mqtt)
    assert missing == [], f"{level} {text}; up said {one.lines[-20:]}"
    return time.monotonic() - began


def well(one: Stack, since: int, within_s: float = TOLD_S) -> float:
    """Wait until all is well, and everybody says so."""
    return told(one, "watching", "Nothing is wrong.", since, within_s=within_s)


def test_what_never_started_is_missed(stack: Stack) -> None:
    """From the first look on each service that is not there is named; then all is well."""
    for service in ("capture", "detector", "prober"):
        told(stack, "blind", f"The {service} has not been heard of yet.", 0, mqtt=False)
    since = len(stack.lines)
    for service in ("capture", "detector", "prober"):
        stack.switch_on(service)

    well(stack, since, 30)  # the supervisor's pause after a start that failed


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, id=way.name, marks=() if way.often else pytest.mark.soak) for way in WAYS],
)
def test_each_way_to_be_blind_is_told_within_ten_seconds(
    stack: Stack, way: Way, record_property: Callable[[str, object], None]
) -> None:
    """By page, title, /healthz, MQTT and ``up``; and that it is over, within ten seconds after.

    From ten seconds after it until it is mended neither page nor /healthz says for a moment that
    nothing is wrong.
    """
    for service in ("capture", "detector", "prober"):
        stack.switch_on(service)
    well(stack, 0, 40)
    since = len(stack.lines)

    failed_s = time.time()
    way.fail(stack)
    try:
        took_s = told(stack, way.level, way.says, since, mqtt=way.mqtt)
        while time.time() < failed_s + TOLD_S + WATCHED_S:
            assert stack.said_well(failed_s + TOLD_S) == []
    finally:
        since = len(stack.lines)
        way.mend(stack)
    well(stack, since, way.well_s)

    record_property("seconds_until_told", round(took_s, 1))
