"""The file of what must be sent exactly once: who holds it, what is written, what is undone."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_common import database as databases
from monitorpi_common.database import (
    FORM,
    PAGE_BYTES,
    Database,
    LaterFormError,
    refusal,
    remedied,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_what_is_remembered_is_on_the_disk_at_once_unless_it_may_wait(
    held: Database, tmp_path: Path
) -> None:
    """It is a transaction like any other."""

    def there() -> int:
        with snapshot(tmp_path / "outbox.db") as db:
            return int(db.execute("SELECT COUNT(*) FROM memory").fetchone()[0])

    held.remember({"a": 1})
    assert there() == 1
    held.remember({"b": 2}, patient=True)
    assert (there(), held.recall("b")) == (1, 2)
    held.remember({"c": 3}, patient=False)
    assert there() == 3


def test_a_file_that_is_up_to_date_is_opened_without_a_write(tmp_path: Path) -> None:
    """It opens on a full disk, too."""
    file = tmp_path / "outbox.db"
    with closing(Database(file, SCHEMA)) as first:
        add(first, 1)
    before = file.read_bytes()

    with closing(Database(file, SCHEMA)) as second:
        assert not Path(f"{file}-wal").stat().st_size
        with second.reading() as db:
            assert rows(db) == [1]

    assert file.read_bytes() == before


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


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_how_sure_a_commit_is_depends_on_the_file(
    tmp_path: Path, durable: bool, level: int
) -> None:
    """FULL syncs each commit, NORMAL leaves it to the kernel (pragma synchronous)."""
    with (
        closing(Database(tmp_path / "one.db", SCHEMA, durable=durable)) as one,
        one.reading() as db,
    ):
        assert db.execute("PRAGMA synchronous").fetchone() == (level,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA user_version").fetchone() == (FORM,)
        assert db.execute("PRAGMA busy_timeout").fetchone() == (5000,)
    assert (FORM, PAGE_BYTES) == (1, 1024)


def test_a_file_of_a_later_form_is_left_as_it_is(tmp_path: Path) -> None:
    """It says by which form, and what to do; afterwards nobody holds it."""
    file = tmp_path / "one.db"
    for form in (FORM + 1, FORM):
        with closing(sqlite3.connect(file)) as db:
            db.execute(f"PRAGMA user_version={form}")
        if form > FORM:
            with pytest.raises(
                LaterFormError, match=r"one\.db .*\(form 2, this one knows 1\)"
            ) as no:
                Database(file, SCHEMA)
            assert refusal("the outbox", file, no.value) == str(no.value)
            assert "run the newer one, or move the file away to begin anew" in str(no.value)
    Database(file, SCHEMA).close()


def test_what_a_card_gave_back_wrong_is_learned_anew(tmp_path: Path, held: Database) -> None:
    """A value that is no JSON, a text that is no UTF-8, a table of contents that is none."""
    held.remember({"a": 1, "b": 2, "c": [[]]})
    with held.transaction() as db:
        db.execute("UPDATE memory SET value = '{' WHERE name = 'a'")
        db.execute("UPDATE memory SET value = CAST(x'22ff22' AS TEXT) WHERE name = 'b'")
        db.execute("UPDATE memory SET value = ? WHERE name = 'c'", ("[" * 100_000,))

    assert [held.recall(name) for name in "abc"] == [None, "\ufffd", None]
    held.close()
    file = tmp_path / "outbox.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = file.read_bytes()
    assert content.count(b"CREATE TABLE row") == 1
    file.write_bytes(content.replace(b"CREATE TABLE row", b"CREATE T\xff\xffLE row"))
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match=r"malformed|table of contents is damaged"):
            Database(file, SCHEMA)


def test_a_copy_is_taken_until_the_file_stands_still(
    tmp_path: Path, held: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as a writer would be waited for; then it says so."""
    add(held, 1)
    copied, copy = 0, shutil.copyfile
    now_s, changes = 100.0, 2

    def changing(source: object, target: object) -> None:
        nonlocal copied, now_s
        copy(source, target)  # type: ignore[call-overload] # as it was called
        copied += str(source).endswith("outbox.db")
        now_s += 0.5
        if copied <= changes:
            os.utime(tmp_path / "outbox.db", ns=(copied, copied))

    monkeypatch.setattr(databases.shutil, "copyfile", changing)
    monkeypatch.setattr(databases.time, "monotonic", lambda: now_s)
    assert on_disk(tmp_path) == [1]
    assert copied == 3

    copied, changes, now_s = 0, 100, 200.0
    with pytest.raises(OSError, match=r"outbox\.db changes all the time"):
        on_disk(tmp_path)
    assert now_s == 206.0


def full(name: str | None) -> sqlite3.OperationalError:
    """Return an error of SQLite, by its name."""
    error = sqlite3.OperationalError("database or disk is full")
    if name is not None:
        error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "is_read_only", "remedy"),
    [
        (OSError(errno.ENOSPC, "x"), False, "make room on its disk"),
        (full("SQLITE_FULL"), True, "make room on its disk"),
        (OSError(errno.EROFS, "x"), False, "its disk is mounted read-only, look at dmesg"),
        (full("SQLITE_CANTOPEN"), True, "its disk is mounted read-only, look at dmesg"),
        (OSError(errno.EACCES, "x"), False,
         "make the folder writable, or move the file away if it is damaged"),
        (full(None), False, "make the folder writable, or move the file away if it is damaged"),
    ],
)  # fmt: skip
def test_why_a_file_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    error: OSError | sqlite3.Error, is_read_only: bool, remedy: str,
) -> None:  # fmt: skip
    """With what to do; a folder that is gone is not read-only."""
    flags = os.ST_RDONLY | os.ST_NOSUID if is_read_only else os.ST_NOSUID
    real = os.statvfs(tmp_path)
    answer = os.statvfs_result([*real[:8], flags, *real[9:]])
    monkeypatch.setattr(databases.os, "statvfs", lambda _: answer)
    file = tmp_path / "one.db"

    assert (
        refusal("the outbox", file, error) == f"cannot open the outbox {file} ({error}): {remedy}"
    )

    monkeypatch.undo()
    gone = tmp_path / "gone" / "one.db"
    if not remedy.startswith("its disk"):
        assert refusal("the outbox", gone, error).endswith(remedy)


def test_why_a_file_cannot_be_written() -> None:
    """A disk that is full has a remedy that helps."""
    assert remedied(full("SQLITE_FULL")) == (
        "database or disk is full: make room on the disk of the state folder"
    )
    assert remedied(full("SQLITE_BUSY")) == "database or disk is full"
