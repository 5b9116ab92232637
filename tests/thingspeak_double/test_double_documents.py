"""Line by line what the documents of the service say, where the double once said otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.thingspeak_double.calls import Clock, ask

if TYPE_CHECKING:
    from monitorpi_thingspeak_double import Double


@pytest.mark.parametrize(
    "moment", ["2027-01-15T08:00:00Z", "2027-01-15 08:00:00", 1_800_000_000, "1800000000"]
)
def test_a_time_is_iso_mysql_or_epoch(double: Double, moment: Any) -> None:
    """All three forms of the documents mean the same second."""
    channel = double.cloud.add_channel("x", ["one"])
    body = {
        "write_api_key": channel.write_key,
        "updates": [{"created_at": moment, "field1": "1"}],
    }

    assert ask(double, f"/channels/{channel.id}/bulk_update.json", body)[0] == 202
    assert [row["created_at"] for row in channel.rows] == ["2027-01-15T08:00:00Z"]


def test_a_distance_of_nothing_is_refused_but_in_the_first_row(
    double: Double, clock: Clock
) -> None:
    """Two rows would have one time."""
    channel = double.cloud.add_channel("x", ["one"])
    path = f"/channels/{channel.id}/bulk_update.json"
    bad = {"write_api_key": channel.write_key, "updates": [{"delta_t": 5}, {"delta_t": 0}]}
    assert ask(double, path, bad)[0] == 400
    good = {"write_api_key": channel.write_key, "updates": [{"delta_t": 0}, {"delta_t": 5}]}
    assert ask(double, path, good)[0] == 202
    assert clock.now == 1_800_000_000


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/channels/{id}/feeds.json", "DELETE", "error_method_invalid"),
        ("/channels/{id}/feeds/last.json", "POST", "error_method_invalid"),
        ("/channels/{id}/bulk_update.json", "GET", "error_method_invalid"),
    ],
)
def test_a_wrong_method_is_refused_by_its_documented_name(
    double: Double, path: str, method: str, code: str
) -> None:
    """No write is served as a read."""
    channel = double.cloud.add_channel("x", ["one"])

    status, said = ask(double, path.format(id=channel.id), method=method)

    assert (status, said["error"]["error_code"]) == (405, code)


def test_too_much_is_refused_by_its_documented_name(double: Double) -> None:
    """The error table has one code for it."""
    channel = double.cloud.add_channel("x", ["one"])
    body = {"write_api_key": channel.write_key, "updates": [{"delta_t": 1}] * 961}

    status, said = ask(double, f"/channels/{channel.id}/bulk_update.json", body)

    assert (status, said["error"]["error_code"]) == (413, "error_request_too_large")


def test_a_whole_queue_of_commands_can_be_deleted(double: Double) -> None:
    """It is empty then, and can be used again."""
    queue = double.cloud.add_talkback()
    path = f"/talkbacks/{queue.id}/commands.json"
    key = {"api_key": queue.key}
    for text in ("A", "B"):
        ask(double, path, key | {"command_string": text})

    assert ask(double, f"{path}?api_key={queue.key}", method="DELETE") == (200, [])
    assert queue.queue == []
    assert ask(double, path, key | {"command_string": "C"})[0] == 200
