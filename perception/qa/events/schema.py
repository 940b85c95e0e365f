"""The file of the event memory: its tables, and what becomes of a file that cannot be used.

SQLite in WAL mode: one writer, and readers that see a whole state without holding it up. Freed pages are
overwritten with zeros (secure_delete), for a delete has to delete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

VERSION = 1
NAME = "events.sqlite"
_COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    t0_ns INTEGER NOT NULL,
    t1_ns INTEGER NOT NULL,
    label TEXT NOT NULL,
    thing INTEGER NOT NULL,
    box0 TEXT,
    box TEXT,
    colour TEXT NOT NULL,
    confidence REAL NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL
"""
SCHEMA = f"""
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events({_COLUMNS});
CREATE TABLE lasting({_COLUMNS});
CREATE TABLE pictures(id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, jpeg BLOB NOT NULL);
CREATE VIRTUAL TABLE words
    USING fts5(text, content='events', content_rowid='id', tokenize='porter unicode61');
CREATE INDEX events_end ON events(kind, label, t1_ns, t0_ns, number);
CREATE INDEX events_begin ON events(kind, label, t0_ns);
CREATE INDEX events_colour ON events(kind, label, colour, t1_ns, t0_ns);
CREATE INDEX events_kind_colour ON events(kind, colour, t1_ns, t0_ns);
CREATE INDEX events_time ON events(t1_ns);
CREATE INDEX events_kind_end ON events(kind, t1_ns, t0_ns);
CREATE INDEX events_kind_begin ON events(kind, t0_ns);
CREATE INDEX pictures_time ON pictures(at_ns);
"""


def opened(path: Path | None, report: Callable[[str], object] = lambda sentence: None) -> sqlite3.Connection:
    """Return the writer's connection; without a path nothing is on disk.

    A file that is damaged or of another version is set aside under another name, and `report` is told.
    Raises sqlite3.Error where the disk cannot be written.
    """
    if path is None:
        return _made(_connected(":memory:"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (fault := _fault(path)):
        aside = _set_aside(path)
        report(
            f"The event memory {path.name} could not be used: {fault}. It was set aside as {aside.name}, and "
            "a new one begins; delete the old one if nobody needs it."
        )
    connection = _connected(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return _made(connection) if is_new else connection


def reader(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads."""
    connection = sqlite3.connect(str(path), timeout=10.0, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connected(where: str) -> sqlite3.Connection:
    connection = sqlite3.connect(where, timeout=10.0, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts before the first table is made
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.executescript(f"BEGIN; {SCHEMA} INSERT INTO meta VALUES ('version', '{VERSION}'); COMMIT;")
    return connection


def _fault(path: Path) -> str:
    """Say what keeps a file from being used; empty when nothing does."""
    connection = sqlite3.connect(str(path), timeout=10.0, isolation_level=None)
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            return f"it is damaged ({said})"
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return ""
        found = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        if found is None or found[0] != str(VERSION):
            return f"it has version {found[0] if found else 'unknown'}, and {VERSION} was expected"
        connection.execute("SELECT count(*) FROM words WHERE words MATCH 'a'").fetchone()
    except sqlite3.DatabaseError as error:
        return f"it is damaged ({error})"
    finally:
        connection.close()
    return ""


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.stem}.set-aside-{number}{path.suffix}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + ending))
    return aside
