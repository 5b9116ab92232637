"""Twelve thousand messages with something wrong in them end no core, and blind none afterwards.

Each begins as an example of the contract; some of its values become extremes: times of the years
1 to 9999, numbers at every border, texts, empty and long lists, other types, nothing. What the
contract refuses never reaches a core, as in the shell; the rest is handed in, retained and live,
with ticks between. The choice is made by a seed: a run that fails can be repeated.
"""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import ValidationError
from pydantic_core import to_json
from tests.cloud_bridge.corebridge import Bridge
from tests.detector.windows import ATTACKER, ID, START, Detector, syns, window
from tests.history.world import World
from tests.home_assistant.test_core import Rig as House
from tests.notifier.rig import Rig
from tests.prober.corebench import Prober

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.examples import EXAMPLES, example
from monitorpi_common.messages import Alert, Traffic
from monitorpi_common.service import Presence, Received, Tick
from monitorpi_common.topics import Topic
from monitorpi_dashboard.core import DashboardCore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitorpi_common.messages import Message
    from monitorpi_common.service import Core

MESSAGES: Final = 12_000
EPOCH: Final = example(Traffic).epoch
NUMBERS: Final = (
    0, -1, 1, 2, 255, 65_535, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 1e-308, 5e-324, 1e308,
    -1e308, 0.1, 86_400.0, 1e18,
)  # fmt: skip
OTHERS: Final = (None, "", "x", "\0", "9" * 300, [], {}, True, "é", "a" * 254, "*", "eth1", "/")
TIMES: Final = ("-01-01T00:00:00Z", "-12-31T23:59:59.999Z", "-02-28T12:00:00+14:00")


def mutated(message: Message, chance: random.Random) -> bytes:
    """Return a message's JSON with one to four of its values changed."""
    document = json.loads(message.encode())
    for _ in range(chance.randint(1, 4)):
        place, key = chance.choice(list(places(document)) or [(document, "new")])
        place[key] = other(place[key] if key != "new" else None, chance)
    return json.dumps(document).encode()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where each value stands: what holds it, and its key there."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from places(value[key])


def other(value: Any, chance: random.Random) -> Any:
    """Return another value: mostly of the same kind, so that the contract takes it."""
    match value:
        case str() if value[:2] == "20" and value.endswith("Z"):
            return f"{chance.randint(1, 9999):04d}{chance.choice(TIMES)}"
        case bool():
            return not value
        case int() | float():
            return chance.choice(NUMBERS)
        case list() if value:
            return chance.choice(([], value * 3, value[:1] * 40))
        case str() if value.count(":") == 5:
            return chance.choice((ATTACKER, "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"))
    return chance.choice(OTHERS)


def barrage(core: Core, seed: int) -> int:
    """Hand a core all mutated messages that the contract takes; return how many those were."""
    chance = random.Random(seed)  # noqa: S311 - a choice that can be repeated, no secret
    taken = 0
    for number in range(MESSAGES):
        topic, message = chance.choice(EXAMPLES)
        try:
            odd = type(message).model_validate_json(mutated(message, chance))
        except ValidationError:
            continue
        taken += 1
        list(core.handle(Received(topic, odd, retained=chance.random() < 0.2)))
        if number % 10 == 0:
            list(core.handle(Tick(START + timedelta(seconds=number // 10), number / 10.0, True)))
        if number % 100 == 0:
            service = chance.choice(("capture", "prober", "detector"))
            gone = Topic("lab", service, "status", "main")
            list(core.handle(Presence(gone, online=chance.random() < 0.5)))
    json.dumps(core.detail())
    return taken


CORES: Final[dict[str, Callable[[], Core]]] = {
    "capture": lambda: CaptureCore("e", CaptureSettings()),
    "prober": lambda: Prober("192.0.2.1").core,
    "notifier": lambda: Rig().core,
    "home-assistant": lambda: House(devices="all", buttons=True).core,
    "dashboard": lambda: DashboardCore("lab", lambda sight: to_json(sight.picture) and None),
}


@pytest.mark.parametrize("service", CORES)
def test_no_message_ends_a_core(service: str) -> None:
    """Whatever the contract takes, a core takes: nothing is raised, and health can be told."""
    core = CORES[service]()

    assert barrage(core, seed=1) > MESSAGES / 5
    list(core.close())


def test_no_message_ends_the_cloud_bridge(tmp_path: Path) -> None:
    """Rows are made of whatever came, and the outbox takes them."""
    one = Bridge(tmp_path / "outbox.sqlite")

    assert barrage(one.core, seed=1) > MESSAGES / 5
    one.outbox.close()


def test_no_message_ends_the_history(tmp_path: Path) -> None:
    """What came is kept, or counted as refused."""
    one = World(tmp_path)

    assert barrage(one.core, seed=1) > MESSAGES / 5
    one.archive.close()


@pytest.mark.parametrize(
    ("seed", "interface", "epoch"), [(1, "mirror0", "new"), (2, "eth0", "new"), (3, "eth0", EPOCH)]
)
def test_a_flood_right_after_is_told_and_closed_as_ever(
    seed: int, interface: str, epoch: str
) -> None:
    """The detector that was shown all of it finds the next flood with its first strong window."""
    detector = Detector()
    assert barrage(detector.core, seed) > MESSAGES / 5
    now_s = MESSAGES // 10 + 1

    def second(number: int, *rows: Any) -> list[Alert]:
        """Let a second pass, with an ordinary window."""
        one = window(now_s + number, *rows, epoch=epoch, interface=interface)
        tick = Tick(one.end + timedelta(seconds=0.2), now_s + number + 1.2, clock_synced=True)
        topic = Topic("lab", "capture", "traffic", interface)
        return detector.take(Received(topic, Traffic.model_validate(one)), tick)

    for number in range(10):
        second(number)
    told = [alert for number in range(10, 13) for alert in second(number, syns(1000))]
    floods = [alert for alert in told if alert.key == f"syn-flood-{ID}"]
    calm = [alert for number in range(13, 60) for alert in second(number)]
    ends = [alert for alert in calm if alert.key == f"syn-flood-{ID}"]

    assert floods[0].state == "open"
    assert {one.id for one in [*floods, *ends]} == {floods[0].id}
    assert (ends[-1].state, ends[-1].close_reason) == ("closed", "quiet")
