"""A clock that is set moves every time that is remembered, by the same step."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.addressworld import IP, OTHER, V6, A, B, C, World
from tests.capture.inventories import known
from tests.capture.windows import mac

from monitorpi_capture.inventory.answering import Answering
from monitorpi_capture.inventory.asking import Asking
from monitorpi_capture.inventory.denials import Denials
from monitorpi_capture.inventory.routers import Routers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def times(what: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Go through all numbers with a fraction that something holds, each with its place."""
    if isinstance(what, float):
        yield place, what
    for name, value in _inside(what):
        if name != "_present_s":  # how long, not when
            yield from times(value, f"{place}.{name}")


def _inside(what: Any) -> Iterable[tuple[object, Any]]:
    if isinstance(what, dict):
        return what.items()
    if isinstance(what, list | tuple):
        return enumerate(what)
    if is_dataclass(what):
        return [(one.name, getattr(what, one.name)) for one in fields(what)]
    is_ours = type(what).__module__.startswith("monitorpi_capture")
    return vars(what).items() if is_ours and hasattr(what, "__dict__") else ()


def _routers() -> Routers:
    one = Routers()
    one.name((), [IP, OTHER], 10.0)
    one.advertise(A, (), 20.0)
    one.advertise(A, (7,), 21.0)
    for number in range(5):
        one.see(B, bytes([number]), bytes([198, 18, 9, number]), 30.0 + number, named=False)
    one.see(C, A, bytes(4), 40.0, named=False)
    one.restore(A, 50.0)
    return one


def _answering() -> Answering:
    one = Answering()
    one.asks(A, (), IP, 10.0)
    one.asks(B, (), IP, 11.0)
    one.asks(B, (7,), V6, 12.0)
    one.claims(C, (), IP, 11.5, asking=False)
    return one


def _asking() -> Asking:
    one = Asking(lambda *_: False)
    one.asks(A, (), IP, 10.0)
    one.asks(A, (), OTHER, 12.0)
    one.asks(B, (), V6, 11.0)
    one.claims(C, (), IP, 10.5)
    return one


def _denials() -> Denials:
    one = Denials()
    one.tries(A, (), IP, 10.0)
    one.tries(A, (), OTHER, 11.0)
    one.claims(B, (), IP, 10.5, None)
    one.claims(B, (), OTHER, 11.5, None)
    one.tries(C, (7,), V6, 12.0)
    return one


def _addresses() -> Any:
    world = World(established={C}, router_ips={V6})
    one = world.addresses()
    for number in range(12):
        one.claim(C, (), f"198.18.1.{number}", 5.0 + number)
    one.claim(C, (), "198.18.1.99", 700.0)
    one.claim(A, (), IP, 710.0)
    for turn in range(6):
        one.claim((A, B)[turn % 2], (), IP, 720.0 + turn)
    one.claim(A, (), OTHER, 730.0)
    one.end(A, (), OTHER, 731.0)
    return one


@pytest.mark.parametrize(
    ("make", "least"),
    [(_routers, 14), (_answering, 3), (_asking, 6), (_denials, 5), (_addresses, 14)],
)
@pytest.mark.parametrize("step_s", [1e6, -3.0])
def test_what_is_remembered_moves_with_the_clock(make: Any, least: int, step_s: float) -> None:
    """All of it, and by as much: what was an hour ago is an hour ago."""
    one = make()
    before = dict(times(one))
    assert len(before) >= least

    one.shift(step_s)

    assert dict(times(one)) == {place: at_s + step_s for place, at_s in before.items()}


@pytest.mark.parametrize(
    ("restored", "load_s", "first_s", "moved_s"),
    [(False, 0.0, 1100.0, 100.0), (False, 7.0, 1100.0, 100.0), (True, 7.0, 1000.0, 100.0),
     (True, 0.0, 1000.0, 0.0)],
)  # fmt: skip
@pytest.mark.parametrize("dhcp_s", [None, 4.0])
def test_what_this_process_saw_of_a_device_moves(
    restored: bool, load_s: float, first_s: float, moved_s: float, dhcp_s: float | None
) -> None:
    """Of one that it has not seen yet the times are those of the process before it."""
    one = known(mac(1))
    entry = one._devices[mac(1)]
    entry.first_s, entry.last_s, entry.woke_s, entry.published_s = 1000.0, 2.0, 3.0, 5.0
    entry.dhcp_s, entry.load_s, entry.restored = dhcp_s, load_s, restored

    one.shift(100.0)

    assert (entry.first_s, entry.last_s, entry.woke_s) == (first_s, 2.0 + moved_s, 3.0 + moved_s)
    assert entry.dhcp_s == (None if dhcp_s is None else 4.0 + moved_s)
    assert (entry.load_s, entry.published_s) == (load_s + moved_s, 5.0 + moved_s)
