"""The contract: what is valid, what is ignored, what is refused, and how it travels."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.messages import (
    COMMANDS,
    OWNED,
    SHARED,
    AddressConflict,
    Alert,
    Device,
    Message,
    Result,
    Service,
    Traffic,
    message_type,
    timestamp,
)

CASES = [pytest.param(topic, message, id=str(topic)) for topic, message in EXAMPLES]


@pytest.mark.parametrize(("topic", "message"), CASES)
def test_an_example_reads_back_as_itself(topic: object, message: Message) -> None:
    """What is published is what is read."""
    del topic

    assert type(message).model_validate_json(message.encode()) == message


@pytest.mark.parametrize(("topic", "message"), CASES)
def test_an_example_fits_its_schema(topic: object, message: Message) -> None:
    """The published schema accepts what the classes publish."""
    del topic
    schema = type(message).model_json_schema(mode="serialization")

    jsonschema.validate(json.loads(message.encode()), schema)


@pytest.mark.parametrize(("topic", "message"), CASES)
def test_a_key_from_a_newer_version_is_ignored(topic: object, message: Message) -> None:
    """A reader ignores what it does not know."""
    del topic
    payload = json.loads(message.encode()) | {"from_the_future": [1, 2, 3]}

    assert type(message).model_validate(payload) == message


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59.999-23:00", "0001-01-01T00:00:00+23:00"])
def test_a_time_at_the_end_of_the_calendar_is_refused(at: str) -> None:
    """Written in UTC it would be of no year there is: whoever wrote it anew would fail."""
    with pytest.raises(ValidationError, match="not between the years 1969 and 2199"):
        Result.model_validate({"name": "x", "ok": True, "at": at})


def test_every_message_has_an_example_and_a_delivery() -> None:
    """No class of the contract is without example, topic and delivery."""
    for kind in (*OWNED, *SHARED):
        assert any(type(message) is kind for _, message in EXAMPLES)
        assert kind.DELIVERY.retain == (kind.DELIVERY.kind == "state")


def test_a_message_cannot_be_changed() -> None:
    """Messages are frozen."""
    alert = next(message for _, message in EXAMPLES if isinstance(message, Alert))

    with pytest.raises(ValidationError):
        alert.state = "closed"  # type: ignore[misc] # that is the point


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mac", "B8:27:EB:12:34:56"), ("mac", "b8-27-eb-12-34-56"), ("mac", None),
        ("ips", ["192.168.1.1"] * 17), ("ips", ["<script>"]), ("hostname", "x" * 256),
        ("first_seen", "yesterday"), ("first_seen", "2026-01-01T00:00:00"), ("role", "boss"),
        ("totals", {"tx": {"syn": -1}}), ("totals", {"tx": {"SYN!": 1}}),
        ("totals", {"tx": {f"c{n}": 1 for n in range(65)}}),
    ],
)  # fmt: skip
def test_a_foreign_device_is_held_to_the_contract(key: str, value: object) -> None:
    """Wrong alphabets, lengths, times and counts are refused."""
    device = next(message for _, message in EXAMPLES if isinstance(message, Device))
    payload = json.loads(device.encode()) | {key: value}

    with pytest.raises(ValidationError):
        Device.model_validate_json(json.dumps(payload))


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))])))
def test_times_are_utc_with_milliseconds(at: datetime) -> None:
    """Every time is written as UTC with three digits and reads back within a millisecond."""
    try:
        text = timestamp(at)
    except OverflowError:
        return

    assert text.endswith("Z")
    assert abs(datetime.fromisoformat(text) - at) < timedelta(milliseconds=1)


def test_the_class_of_a_topic() -> None:
    """A kind belongs to one service; health, command and result to all."""
    assert message_type("capture", "traffic") is Traffic
    assert message_type("prober", "traffic") is None
    assert message_type("prober", "nonsense") is None
    for service in Service:
        kind = message_type(service.value, "health")
        assert kind is not None
        assert kind.KIND == "health"


@pytest.mark.parametrize(
    ("values", "shared"),
    [
        ({"relation": "strangers"}, False),
        ({"relation": "virtual"}, False),
        ({"relation": "siblings"}, True),
        ({"relation": "proxy"}, True),
        ({"relation": "strangers", "in_turns": True}, True),
    ],
)
def test_an_address_that_is_shared(values: dict[str, Any], shared: bool) -> None:
    """By one machine, one that answers for others, or two that are never there at one time."""
    at = "2026-01-02T03:04:05.000Z"
    known = {"ip": "192.0.2.1", "holder": "02:00:00:00:00:01", "claimant": "02:00:00:00:00:02"}

    one = AddressConflict.model_validate({**known, "claims": 1, "since": at, "last": at, **values})

    assert one.is_shared is shared


def test_commands_refuse_what_they_do_not_know() -> None:
    """A typo in a command's arguments must not pass."""
    for commands in COMMANDS.values():
        for args in commands.values():
            with pytest.raises(ValidationError):
                args.model_validate({"no_such_argument": 1})


def python_calls(devices: int) -> int:
    """Return how many functions of Python a window is read by."""
    device = {"mac": "02:00:00:00:00:01", "tx": {"packets": 1}}
    window = json.loads(example(Traffic).encode()) | {"devices": [device] * devices}
    payload, calls = json.dumps(window).encode(), 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    Traffic.model_validate_json(payload)
    sys.setprofile(count)
    read = Traffic.model_validate_json(payload)
    sys.setprofile(None)
    assert len({id(one.rx) for one in read.devices}) == devices
    return calls


def test_a_device_of_a_window_is_read_without_python() -> None:
    """What it leaves out is a table of its own, and no copy of an empty one."""
    assert python_calls(100) == python_calls(1)
