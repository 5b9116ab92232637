"""Poison rows, proxies, portals, dead addresses and kills, all at once and by a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.cloud_bridge.cloudworld import DESTINATION, START, World

from monitorpi_cloud_bridge.sinks.thingspeak import stamp
from monitorpi_thingspeak_double import Switches
from monitorpi_thingspeak_double.channels import Answer, error

if TYPE_CHECKING:
    from collections.abc import Callable

PORTAL = "<html>Welcome to our Wi-Fi</html>"


class Weather:
    """What stands between the bridge and its cloud, from call to call."""

    def __init__(self, one: World, poison: set[int]) -> None:
        self.kind = "fair"
        self.poison = {stamp(second) for second in poison}
        self._taken = one.double.cloud.bulk_update
        one.double.cloud.bulk_update = self  # type: ignore[assignment] # stands before the real one

    def __call__(self, number: int, key: str | None, updates: Any) -> Answer:
        """Answer a call, or let the cloud do it."""
        match self.kind:
            case "portal":
                return Answer(200, PORTAL)
            case "gateway":
                return error(400, "error_bad_request", "Bad Request")
            case "proxy" if len(updates) > 10:
                return error(413, "error_request_too_large", "Request Entity Too Large")
            case "restart":
                return error(404, "error_resource_not_found", "Resource not found")
            case _ if self.poison & {row["created_at"] for row in updates}:
                return error(422, "error_invalid_byte_sequence", "Unprocessable Entity")
        return self._taken(number, key, updates)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seed", "rows", "kills"),
    [(1, 300, 8), *(pytest.param(n, 2000, 50, marks=pytest.mark.soak) for n in (2, 3))],
)
def test_each_row_is_stored_once_or_set_aside_with_its_reason(
    world: Callable[..., World], seed: int, rows: int, kills: int
) -> None:
    """One row in a hundred is poison: it is set aside, no other is, and none arrives twice."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    one = world(switches=Switches(commit_delay_s=3.0), thin_above=10_000)
    seconds = [START + 20 * n for n in range(rows)]
    poison = set(dice.sample(seconds[:-20], rows // 100))
    weather = Weather(one, poison)
    died = written = 0
    while written < rows or died < kills:
        for second in seconds[written : written + dice.randrange(6)]:
            one.add(second)
            written += 1
        if dice.random() < 0.1:
            kinds = ["fair", "fair", "portal", "gateway", "proxy", "restart"]
            weather.kind = dice.choice(kinds)
        if dice.random() < 0.05:
            with one.double.away():
                one.step()
        if dice.random() < 0.2:
            one.die_at, before = dice.choice(["before", "after", "reading"]), one.uploader
            one.step()
            died += one.uploader is not before
        one.step(dice.choice([16, 20, 60]))
    weather.kind, one.die_at = "fair", None
    fresh = seconds[-1]
    while one.outbox.refusals(DESTINATION).keys() < poison or one.outbox.suspected(DESTINATION):
        fresh += 20
        assert fresh < seconds[-1] + 40_000 * (1 + rows // 1000), one.outbox.counts(DESTINATION)
        one.add(fresh)
        one.step(20)
    one.run_until_stored()

    refusals = one.outbox.refusals(DESTINATION)
    assert set(refusals) == poison
    assert {why.split()[1] for why in refusals.values()} == {"422"}
    stored = one.stored()
    assert len(stored) == len(set(stored))
    assert set(stored) >= {stamp(second) for second in seconds if second not in poison}
    assert died >= kills
