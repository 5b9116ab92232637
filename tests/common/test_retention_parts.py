"""When what was kept goes on, and what becomes of a disk that refuses: in event time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.common.keptstate import MAC, NOON, device
from tests.conftest import wait_for

from monitorpi_common import clock
from monitorpi_common.log import Log
from monitorpi_common.record import decode
from monitorpi_common.retained import GATHER_S, PAUSE_S
from monitorpi_common.retention import AWAY_S, SUBSCRIBED_S, Retention
from monitorpi_common.service import Tick
from monitorpi_common.topics import Topic, mac_id

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = Topic("lab", "capture", "device", mac_id(MAC))


class Life:
    """A service's life, whose clock is set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        self.folder = folder
        monkeypatch.setattr(clock, "boot_s", lambda: self.now_s)
        monkeypatch.setattr(clock, "wall", lambda: NOON)
        self.start()

    def start(self) -> Life:
        """Start anew from the file."""
        self.kept = Retention(self.folder, "lab", "capture", "main", Log("test"), trust_clock=True)
        self.kept.open()
        return self

    def publish(self) -> None:
        """Publish a device."""
        self.kept.take(TOPIC, device(), device().encode(), None)

    def tick(self, after_s: float = 0.0) -> None:
        """Let time pass, and what is due be written."""
        self.now_s += after_s
        self.kept.tick(is_set=True)
        wait_for(lambda: not self.kept._file.is_busy, 10, "the disk")

    @property
    def file(self) -> Path:
        """The file."""
        return self.folder / "capture-main.retained"


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """Return a life in a folder of its own."""
    return Life(tmp_path / "state", monkeypatch)


def stopped(life: Life) -> Life:
    """Publish, stop in order, and start again."""
    life.publish()
    life.kept.close()
    return life.start()


@pytest.mark.parametrize(
    ("subscribed", "after_s", "is_live", "is_handed_on"),
    [
        (False, AWAY_S - 0.1, False, False),
        (False, AWAY_S, False, True),
        (True, SUBSCRIBED_S - 0.1, False, False),
        (True, SUBSCRIBED_S, False, True),
        (True, 0.0, True, True),
    ],
)
def test_what_was_kept_goes_on_when_the_brokers_own_has_come(
    life: Life, subscribed: bool, after_s: float, is_live: bool, is_handed_on: bool
) -> None:
    """A second after the subscription, at the first live message, or when no broker comes; once."""
    stopped(life)
    if subscribed:
        life.now_s += 2.0
        life.kept.subscribed()
    life.now_s += after_s

    handed_on = [one.topic for one in life.kept.restored(is_live=is_live)]

    assert handed_on == ([TOPIC] if is_handed_on else [])
    assert len(list(life.kept.restored(is_live=True))) == (not is_handed_on)
    assert (AWAY_S, SUBSCRIBED_S) == (5.0, 1.0)


def test_a_second_subscription_does_not_delay_it(life: Life) -> None:
    """The connection broke right behind the first one."""
    stopped(life)
    life.kept.subscribed()
    life.now_s += SUBSCRIBED_S
    life.kept.subscribed()

    assert len(list(life.kept.restored(is_live=False))) == 1


def test_a_refused_write_is_made_anew_as_a_whole(life: Life) -> None:
    """Health says why until it succeeds, a minute later."""
    life.folder.write_bytes(b"a file where the folder was to be")
    life.publish()
    life.tick()
    life.tick(GATHER_S)
    assert life.kept.detail()["error"] == "File exists"

    life.folder.unlink()
    life.tick(PAUSE_S)

    assert list(decode(life.file.read_bytes()).records) == [f"device/{mac_id(MAC)}"]
    assert life.kept.detail() == {
        "records": 1, "refused_total": 0, "error": None,
        "written_bytes_total": life.file.stat().st_size - _room(life.file),
    }  # fmt: skip


def _room(file: Path) -> int:
    data = file.read_bytes()
    return len(data) - len(data.rstrip(b"\0"))


def test_what_was_taken_back_is_not_kept(life: Life) -> None:
    """Nor does it come back."""
    life.publish()
    life.kept.forget(TOPIC)
    life.kept.close()

    assert not list(life.start().kept.restored(is_live=True))


def test_who_stops_before_anything_went_on_leaves_the_file(life: Life) -> None:
    """Stopped while the broker was away, twice: nothing is lost."""
    stopped(life)
    before = life.file.read_bytes()
    life.kept.close()

    assert life.file.read_bytes() == before
    assert len(list(life.start().kept.restored(is_live=True))) == 1


def test_the_brokers_own_is_older_or_newer(life: Life) -> None:
    """As the state says."""
    stopped(life)

    assert life.kept.is_newer(TOPIC, device(-1))
    assert not life.kept.is_newer(TOPIC, device(1))


@pytest.mark.parametrize("is_set", [True, False])
def test_a_clock_that_is_not_set_is_no_time(life: Life, is_set: bool) -> None:
    """What is written then does not say when."""
    life.publish()
    life.tick()
    life.now_s += GATHER_S
    life.kept.tick(is_set=is_set)
    wait_for(lambda: not life.kept._file.is_busy and life.file.exists(), 10, "the disk")

    (record,) = decode(life.file.read_bytes()).records.values()
    assert record.at_s == (NOON.timestamp() if is_set else None)


@pytest.mark.parametrize(
    ("step_s", "is_again"),
    [(-864_000.0, False), (0.0, False), (30.0, False), (3600.0, True), (864_000.0, True)],
)
def test_what_a_step_let_the_broker_forget_is_published_again(
    life: Life, step_s: float, is_again: bool
) -> None:
    """It ends lives by the wall clock; ours has as much left as it had, and comes once."""
    life.kept.take(TOPIC, device(), device().encode(), 3600.0)

    def expired(second: float, step_s: float) -> list[int | None]:
        life.now_s = 1000.0 + second
        tick = Tick(NOON + timedelta(seconds=second + step_s), life.now_s, clock_synced=True)
        return [one.left_s for one in life.kept.expired(tick)]

    assert expired(1, 0) == []
    assert expired(2, step_s) == ([3598] if is_again else [])
    assert expired(3, step_s) == []
