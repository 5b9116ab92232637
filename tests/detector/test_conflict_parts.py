"""Which claims of others' addresses are news, by hand: when, how often, and between whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.detector.windows import conflict, device

from monitorpi_detector.hosts import conflicts as module
from monitorpi_detector.hosts.conflicts import Conflicts

A, B, C = "04:00:00:00:00:10", "04:00:00:00:00:11", "04:00:00:00:00:99"
IP = "192.0.2.1"


def news(
    table: Conflicts, *, holder: str = A, claimant: str = C, last: float = 0.0,
    seen: float | None = None, claims: int = 2, ip: str = IP, **more: Any,
) -> bool:  # fmt: skip
    """Return whether a claim is news."""
    one = conflict(ip, holder, claimant, last, claims, **more)
    return bool(table.see(device(holder, last if seen is None else seen, conflicts=[one])))


@pytest.mark.parametrize(("age_s", "is_news"), [(0, True), (60, True), (60.1, False)])
def test_what_is_first_heard_of_late_was_news_before(age_s: float, is_news: bool) -> None:
    """To the process before us."""
    assert news(Conflicts(), seen=age_s) is is_news


def test_a_claim_that_comes_again_is_news_again() -> None:
    """One that is only told of again is none; each VLAN, address and pair is apart."""
    table = Conflicts()
    assert news(table)
    assert not news(table, seen=30)
    assert not news(table, last=-5)
    assert news(table, last=1)
    assert news(table, last=1, vlan=[10])
    assert news(table, last=1, ip="192.0.2.2")
    assert news(table, last=1, holder=B)


@pytest.mark.parametrize(
    ("together", "is_news"), [([], True), ([[A, C]], False), ([[A, B, C]], False), ([[A, B]], True)]
)
def test_machines_of_one_owner_may_share(together: list[list[str]], is_news: bool) -> None:
    """Both must be among them."""
    assert news(Conflicts(together)) is is_news


def test_what_is_shared_is_news_once() -> None:
    """Whoever holds it at the time; after the claimant has come back; not that of a router."""
    table = Conflicts()
    siblings = {"relation": "siblings", "claimant": B}
    assert not news(table, claims=1, **siblings)
    assert news(table, **siblings)
    assert not news(table, last=9, **siblings)
    assert not news(table, last=9, holder=B, claimant=A, relation="siblings")
    assert table.shared == [f"{A} {B}"]
    assert not news(Conflicts((), table.shared), **siblings)
    assert news(table, last=1, router=True, **siblings)
    assert news(table, last=2, router=True, **siblings)


@pytest.mark.parametrize(
    ("holder", "other", "is_news"),
    [(A, "04:00:00:00:00:18", False), (A, "04:00:00:00:00:08", False),
     (A, "04:00:00:00:00:19", True), (A, "04:00:00:00:00:07", True),
     ("ff:ff:ff:ff:ff:fe", "ff:ff:ff:ff:ff:ff", False),
     ("ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:fe", False),
     ("00:00:00:00:00:01", "00:00:00:00:00:00", False),
     ("00:00:00:00:00:00", "00:00:00:00:00:01", False)],
)  # fmt: skip
def test_the_third_port_of_a_machine_is_no_news(holder: str, other: str, is_news: bool) -> None:
    """Its MAC address is at most eight from the others', up to the first and the last there are."""
    table = Conflicts((), [" ".join(sorted((holder, other)))])

    assert news(table, holder=holder, claimant=B, relation="siblings") is is_news
    assert news(Conflicts(), holder=holder, claimant=other, relation="siblings")


def test_who_answers_for_others_is_told_once() -> None:
    """Whatever the second address is."""
    table = Conflicts()
    assert news(table, relation="proxy")
    assert not news(table, relation="proxy", ip="192.0.2.2", holder=B)
    assert table.shared == [f"{C} {C}"]
    assert (module.MAX_CONFLICTS, module.MAX_SHARED) == (8192, 1024)
