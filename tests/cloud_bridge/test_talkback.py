"""Commands from a queue at the cloud: which are obeyed, which are old, and how often one asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from monitorpi_cloud_bridge.sources.talkback import TalkBack
from monitorpi_cloud_bridge.web import client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from tests.cloud_bridge.foreigncloud import Foreign


def test_a_talkback_that_refuses_is_asked_ever_more_seldom(cloud: Foreign) -> None:
    """Up to once an hour, as long as the service asks for, and as ever once it answers."""
    cloud.status, cloud.pieces = 404, [b""]
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())
    pauses = []
    for _ in range(10):
        asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
        pauses.append(asking.pause_s)
    cloud.status, cloud.headers = 429, {"Retry-After": "900"}
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
    patient = asking.pause_s
    cloud.status, cloud.headers = 200, {}
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert pauses == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert (patient, asking.pause_s) == (900, 20)
    asking.client.close()


@pytest.mark.parametrize(("age_s", "obeyed"), [(100, 1), (200, 0), (-100, 1), (-86_400, 0)])
def test_a_command_is_obeyed_only_while_it_is_of_now(
    cloud: Foreign, age_s: int, obeyed: int
) -> None:
    """What seems to come from tomorrow was made at any time: our own clock is not set yet."""
    made = 1_800_000_000.0
    record = {"id": 1, "command_string": "WATCH", "created_at": "2027-01-15T08:00:00Z"}
    cloud.status, cloud.pieces = 200, [json.dumps(record).encode()]
    taken: list[object] = []
    asking = TalkBack(
        cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), wall=lambda: made + age_s
    )

    asking.poll(taken.append)

    assert len(taken) == obeyed
    asking.client.close()


@pytest.mark.parametrize(
    ("created", "obeyed"),
    [
        ("2027-01-15T08:00:00", 1), ("2027-01-15T10:00:00+02:00", 1),
        ("2027-01-15T08:00:00+02:00", 0), ("2027-01-15T08:01:59Z", 1), ("2027-01-15T08:02:01Z", 0),
        ("2027-01-15T07:58:01Z", 1), ("2027-01-15T07:57:59Z", 0), ("soon", 0), (None, 0), (7, 0),
    ],
)  # fmt: skip
def test_when_a_command_was_made_is_read_in_any_zone(
    cloud: Foreign, created: object, obeyed: int
) -> None:
    """Without one it is UTC; two minutes old at most."""
    record = {"id": 1, "command_string": "WATCH", "created_at": created}
    cloud.status, cloud.pieces = 200, [json.dumps(record).encode()]
    taken: list[object] = []
    asking = TalkBack(
        cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), wall=lambda: 1_800_000_000.0
    )

    asking.poll(taken.append)

    assert len(taken) == obeyed
    assert asking.last == (None if created in ("soon", None, 7) else 1)
    asking.client.close()


def test_a_talkback_without_any_last_command_is_in_no_doubt(cloud: Foreign) -> None:
    """It was emptied by people: what is new in it is taken."""
    cloud.status, cloud.pieces, cloud.asked = 404, [b"{}"], []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), last=5)

    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert [path.rsplit("/", 1)[1] for path in cloud.asked] == ["last.json", "execute.json"]
    asking.client.close()


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500])
def test_a_refused_look_up_of_talkback_settles_nothing(cloud: Foreign, status: int) -> None:
    """A portal or a proxy says nothing about the last command: nothing new is taken meanwhile."""
    cloud.status, cloud.pieces, cloud.asked = status, [b"{}"], []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client(), last=5)

    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))
    asking.poll(lambda said: pytest.fail(f"obeyed {said}"))

    assert [path.rsplit("/", 1)[1] for path in cloud.asked] == ["last.json"] * 2
    asking.client.close()
