"""Which disputes are ones, and what a device that is known already is not told again."""

from __future__ import annotations

import pytest
from tests.capture.addressworld import IP, A, B
from tests.capture.inventories import known, report
from tests.capture.windows import mac

from monitorpi_capture.count.sketch import Vote
from monitorpi_capture.inventory.disputes import LASTS_FROM, Disputes, Witness
from monitorpi_capture.inventory.groups import Relation
from monitorpi_capture.inventory.holding import Dispute


@pytest.mark.parametrize(
    ("router", "turns", "answering", "is_sure"),
    [
        (False, 1, set(), True), (False, 1, {A}, False), (False, 1, {B}, False),
        (False, LASTS_FROM - 1, {A, B}, False), (False, LASTS_FROM, {A, B}, True),
        (True, 1, {A, B}, True),
    ],
)  # fmt: skip
def test_who_but_answered_may_do_so_for_many(
    router: bool, turns: int, answering: set[bytes], is_sure: bool
) -> None:
    """Until it lasts; a router's address is nobody's to answer for."""
    disputes = Disputes(Witness(only_answers=lambda who, *_: who in answering), 120.0)
    one = Dispute((), IP, A, B, 0.0, 0.0, [0.0] * turns, present=True, router=router,
                  relation=Relation.UNRELATED)  # fmt: skip

    assert disputes._is_sure(one) is is_sure


def test_a_device_that_is_known_already_is_not_restored() -> None:
    """What this process saw of it is newer."""
    one = known(mac(1))
    entry = one._devices[mac(1)]
    entry.changed = True
    (device,) = report(one, 20)

    one.restore(device.model_copy(update={"hostname": "old", "role": "router"}))

    assert one._devices[mac(1)] is entry
    assert (entry.hostname, entry.role, entry.restored) == (None, "unknown", False)


def test_nobody_is_aimed_at_where_nothing_was_sent() -> None:
    """Neither with a port nor without."""
    assert Vote().any_target() is None
    assert Vote().winner(with_port=True) is None
