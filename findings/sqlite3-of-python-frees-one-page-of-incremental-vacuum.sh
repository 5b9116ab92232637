#!/bin/sh
# Python's sqlite3 (seen with 3.11 and SQLite 3.40), https://docs.python.org/3/library/sqlite3.html
#
# `PRAGMA incremental_vacuum(N)` frees a page a step and has no columns. Connection.execute() makes
# one step of a statement without columns and takes it for done: one page is freed, whatever N says,
# without an error. Connection.executescript() goes on to the end.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
python3 - <<'PYTHON'
import sqlite3
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    db = sqlite3.connect(f"{folder}/file", isolation_level=None)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("CREATE TABLE filling (data BLOB)")
    db.execute("INSERT INTO filling VALUES (zeroblob(4000000))")
    db.execute("DELETE FROM filling")

    def free() -> int:
        return db.execute("PRAGMA freelist_count").fetchone()[0]

    before = free()
    db.execute("PRAGMA incremental_vacuum(500)").fetchall()
    by_execute = before - free()
    before = free()
    db.executescript("PRAGMA incremental_vacuum(500)")
    by_script = before - free()
    db.close()

print(sys.version.split()[0], "SQLite", sqlite3.sqlite_version)
print("pages freed of 500: by execute", by_execute, "- by executescript", by_script)
sys.exit(0 if (by_execute, by_script) == (1, 500) else 1)
PYTHON
