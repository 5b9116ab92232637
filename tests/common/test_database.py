"""The file of what must be sent exactly once: who holds it, what is written, what is undone."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from monitorpi_common.database import PAGE_BYTES, Database, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS row (second INTEGER PRIMARY KEY);"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Database]:
    """Hold a database of one table."""
    with closing(Database(tmp_path / "outbox.db", SCHEMA)) as database:
        yield database


def add(database: Database, *seconds: int, patient: bool = False) -> None:
    """Add rows in one transaction."""
    with database.transaction(patient=patient) as db:
        for second in seconds:
            db.execute("INSERT INTO row VALUES (?)", (second,))


def rows(db: sqlite3.Connection) -> list[int]:
    """Return the rows of a connection."""
    return [second for (second,) in db.execute("SELECT second FROM row ORDER BY second")]


def on_disk(folder: Path) -> list[int]:
    """Return what another process would find after a kill."""
    with snapshot(folder / "outbox.db") as db:
        return rows(db)


def test_what_is_done_is_on_the_disk_and_what_fails_is_undone(
    held: Database, tmp_path: Path
) -> None:
    """All of a transaction or nothing."""
    add(held, 1)
    with pytest.raises(sqlite3.IntegrityError):
        add(held, 2, 1)

    assert on_disk(tmp_path) == [1]


def test_what_is_patient_goes_to_the_disk_with_the_next_that_is_not(
    held: Database, tmp_path: Path
) -> None:
    """Until then it is seen here alone."""
    add(held, 1, patient=True)
    add(held, 2, patient=True)
    with held.reading() as db:
        assert (rows(db), on_disk(tmp_path)) == ([1, 2], [])

    add(held, 3)

    assert on_disk(tmp_path) == [1, 2, 3]


def test_what_was_patient_long_enough_is_written(
    held: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since the first of it; with nothing to write there is nothing to do."""
    held.commit()
    now_s = 100.0
    monkeypatch.setattr("monitorpi_common.database.time.monotonic", lambda: now_s)
    add(held, 1, patient=True)
    now_s = 109.0
    add(held, 2, patient=True)

    held.commit(older_than_s=10.0)
    assert on_disk(tmp_path) == []
    now_s = 110.0
    held.commit(older_than_s=10.0)
    assert on_disk(tmp_path) == [1, 2]


def test_what_fails_undoes_what_was_patient(held: Database, tmp_path: Path) -> None:
    """It can be found out anew."""
    add(held, 1, patient=True)

    with pytest.raises(sqlite3.IntegrityError):
        add(held, 1)

    add(held, 2)
    assert on_disk(tmp_path) == [2]


def test_what_is_remembered_comes_back(held: Database, tmp_path: Path) -> None:
    """The newest of a name, after a restart too; what never was is nothing."""
    held.remember({"quota": {"year": 2027}, "answer": "no"})
    held.remember({"answer": None}, patient=True)
    assert held.recall("answer") is None
    held.close()

    with closing(Database(tmp_path / "outbox.db", SCHEMA)) as again:
        assert [again.recall(name) for name in ("quota", "answer", "x")] == [
            {"year": 2027}, None, None,
        ]  # fmt: skip


def test_one_process_holds_it_until_it_closes(held: Database, tmp_path: Path) -> None:
    """A second one is refused, and takes nothing with it; later it may."""
    with pytest.raises(BlockingIOError):
        Database(tmp_path / "outbox.db", SCHEMA)
    add(held, 1)

    held.close()

    with closing(Database(tmp_path / "outbox.db", SCHEMA)) as again, again.reading() as db:
        assert rows(db) == [1]
        assert db.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)


def test_several_threads_may_write(held: Database, tmp_path: Path) -> None:
    """Each transaction stands alone."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda second: add(held, second, patient=second % 2 == 0), range(40)))
    held.commit()

    assert on_disk(tmp_path) == list(range(40))


@pytest.mark.parametrize("alone", [True, False])
def test_who_holds_it_alone_has_no_file_of_shared_memory(tmp_path: Path, alone: bool) -> None:
    """It would cost a card as much as the log itself."""
    with closing(Database(tmp_path / "one.db", SCHEMA, alone=alone)) as database:
        add(database, 1)

        assert (tmp_path / "one.db-wal").exists()
        assert (tmp_path / "one.db-shm").exists() != alone
