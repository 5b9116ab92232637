"""When the file of what the detector keeps is written, by a queue and a clock by hand."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common.log import Log
from monitorpi_detector.items import Kept
from monitorpi_detector.sinks import state_file
from monitorpi_detector.sinks.state_file import BYTES_PER_S, PAUSE_S, StateFile

if TYPE_CHECKING:
    from pathlib import Path

LEARNED = Kept(macs=["04:00:00:00:00:0a"], watched_s=1.0)
"""What is kept; with other seconds watched only something was learned."""
PATIENCE_S = len(LEARNED.model_dump_json(exclude_defaults=True)) / BYTES_PER_S
BY_HAND = LEARNED.model_copy(update={"shared": ["a b"]})


def learned(watched_s: float) -> Kept:
    """Return a state of the same size in which only something was learned."""
    return LEARNED.model_copy(update={"watched_s": watched_s})


class Turns:
    """What the writer takes from its queue, with the time at which it does."""

    def __init__(self, file: StateFile, *turns: tuple[float, Kept | str | None, bool]) -> None:
        self._file, self._turns = file, list(turns)
        self._more = False
        self.now = 0.0
        self.waits: list[float | None] = []
        self.written: list[float] = []
        """What is on the disk when each turn begins: the seconds watched of it."""

    def get(self, timeout: float | None) -> Kept | None:
        """Return the next state, None at the end; or wait in vain."""
        self.waits.append(timeout)
        self.written.append(self._file.read().watched_s)
        self.now, item, self._more = self._turns.pop(0)
        if isinstance(item, str):
            raise queue.Empty
        return item

    def empty(self) -> bool:
        """Return whether nothing waits behind it."""
        return not self._more


def written(folder: Path, *turns: tuple[float, Kept | str | None, bool]) -> Turns:
    """Run the writer over some turns, and the end."""
    file = StateFile(folder / "detector.json", Log("detector"), clock=lambda: one.now)
    one = Turns(file, *turns, (turns[-1][0], None, False))
    file._waiting = one  # type: ignore[assignment] # a queue by hand
    file.run(lambda _: None)
    one.written.append(file.read().watched_s)
    return one


def test_what_is_learned_waits_as_long_as_its_size_is_worth(tmp_path: Path) -> None:
    """The first is written at once; who waits looks again each minute; the end writes the rest."""
    one = written(
        tmp_path,
        (100.0, learned(1.0), False),
        (100.1, learned(2.0), False),
        (99.99 + PATIENCE_S, "in vain", False),
        (100.0 + PATIENCE_S, "in vain", False),
        (100.1 + PATIENCE_S, learned(3.0), False),
    )

    assert one.waits == [None, None, PAUSE_S, PAUSE_S, None, PAUSE_S]
    assert one.written == [0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]


def test_only_the_newest_of_what_waits_is_written(tmp_path: Path) -> None:
    """However long the write before is ago."""
    one = written(
        tmp_path,
        (100.0, learned(1.0), False),
        (9000.0, learned(2.0), True),
        (9000.0, learned(3.0), False),
    )

    assert one.written == [0.0, 1.0, 1.0, 3.0, 3.0]


def test_what_people_set_waits_for_a_minute(tmp_path: Path) -> None:
    """Of the write before, whatever that wrote."""
    one = written(
        tmp_path,
        (100.0, learned(1.0), False),
        (100.0, BY_HAND.model_copy(update={"watched_s": 2.0}), False),
        (159.9, "in vain", False),
        (160.0, "in vain", False),
    )

    assert one.written == [0.0, 1.0, 1.0, 1.0, 2.0, 2.0]


def test_what_is_left_when_the_writer_is_gone_is_written_once(tmp_path: Path) -> None:
    """The newest; the sign to end is none."""
    file = StateFile(tmp_path / "detector.json", Log("detector"))
    file.flush()
    assert not list(tmp_path.iterdir())

    for one in (learned(1.0), learned(2.0)):
        file(one)
    file.stop()
    file.flush()

    assert file.read() == learned(2.0)
    assert [one.name for one in tmp_path.iterdir()] == ["detector.json"]


@pytest.mark.parametrize("more", [0, 1])
def test_what_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """The limit is that of the reader; what is there stays, and is tried again."""
    file = StateFile(tmp_path / "detector.json", Log("detector"))
    file(learned(1.0))
    file.flush()
    size = (tmp_path / "detector.json").stat().st_size
    monkeypatch.setattr(state_file, "MAX_BYTES", size - more)

    file(learned(2.0))
    file.flush()

    monkeypatch.undo()
    assert file.read() == learned(1.0 if more else 2.0)
    assert (tmp_path / "detector.json.old").exists() is not bool(more)
    assert file._before == learned(1.0 if more else 2.0)


@pytest.mark.parametrize(
    ("newer", "copy", "kept", "said"),
    [
        (None, None, Kept(), []),
        (None, LEARNED, LEARNED, ["taking what was learned from the copy"]),
        (LEARNED, None, LEARNED, []),
        ("{", LEARNED, LEARNED,
         ["what was learned cannot be read", "taking what was learned from the copy"]),
        ("{", None, Kept(),
         ["what was learned cannot be read", "starting without what was learned"]),
    ],
)  # fmt: skip
def test_the_copy_is_read_where_the_file_is_gone_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: Kept | str | None,
    copy: Kept | None, kept: Kept, said: list[str],
) -> None:  # fmt: skip
    """A power cut may come between the two; nothing is said where all is well."""
    for name, one in (("detector.json", newer), ("detector.json.old", copy)):
        if one is not None:
            text = one if isinstance(one, str) else one.model_dump_json()
            (tmp_path / name).write_text(text)
    log, found = Log("detector"), list[str]()
    monkeypatch.setattr(log, "warning", lambda event, **_: found.append(event))

    assert StateFile(tmp_path / "detector.json", log).read() == kept

    assert found == said


@pytest.mark.parametrize(("size", "is_read"), [(8 * 2**20, True), (8 * 2**20 + 1, False)])
def test_a_file_of_more_than_eight_megabytes_is_not_read(
    tmp_path: Path, size: int, *, is_read: bool
) -> None:
    """It is not of our making."""
    path = tmp_path / "detector.json"
    path.write_bytes(LEARNED.model_dump_json().encode().ljust(size))

    assert StateFile(path, Log("detector")).read() == (LEARNED if is_read else Kept())


@pytest.mark.parametrize(
    ("version", "aside"),
    [("2", "later"), ("99", "later"), ("0", "damaged"), ('"2"', "damaged"), ("2.5", "damaged"),
     ("null", "damaged")],
)  # fmt: skip
def test_a_file_of_another_version_is_set_aside(tmp_path: Path, version: str, aside: str) -> None:
    """What is later can be put back; what nobody knows is damaged."""
    path = tmp_path / "detector.json"
    path.write_text(f'{{"version": {version}, "macs": ["a"]}}')

    assert StateFile(path, Log("detector")).read() == Kept()
    assert [one.name for one in tmp_path.iterdir()] == [f"detector.json.{aside}"]


@pytest.mark.parametrize(
    ("rules", "lines"),
    [((), 0), (("a", "b"), 0), (("a",), 1)],
)
def test_limits_are_held_against_the_rules_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: tuple[str, ...], lines: int
) -> None:
    """Where they are given."""
    path = tmp_path / "detector.json"
    path.write_text('{"overrides": [{"rule": "b", "change": {}}, {"rule": "a", "change": {}}]}')
    log, found = Log("detector"), list[Any]()
    monkeypatch.setattr(log, "warning", lambda *_, **fields: found.append(fields))

    assert len(StateFile(path, log).read(rules).overrides) == 2

    assert found == [{"rules": "b"}] * lines


@pytest.mark.parametrize("is_there", [False, True])
def test_where_a_damaged_file_went_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """It stays where it is if there is no place beside it."""
    path, aside = tmp_path / "detector.json", tmp_path / "detector.json.damaged"
    path.write_text("{")
    if is_there:
        (aside / "in the way").mkdir(parents=True)
    log, found = Log("detector"), list[Any]()
    monkeypatch.setattr(log, "warning", lambda *_, **fields: found.append(fields.get("copy")))

    assert StateFile(path, log).read() == Kept()

    assert (found[-2], path.exists()) == (path if is_there else aside, is_there)
