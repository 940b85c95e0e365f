"""Keep records and pictures: one thread writes, any thread reads, nothing is on disk unless a file is named.

Ids grow and are never used again, and a record never changes, so "all up to this id" is a state of the memory
that later writing does not touch.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from realtime.core.errors import ConfigError, EngineError

from .records import COLUMNS, Record, record_of, row_of
from .schema import opened, reader

_INSERT = f"INSERT INTO events({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
MIB = 1 << 20
EMPTYINGS = 3


class Store:
    """Hold the data base of one engine. Raises ConfigError when another process writes to the same file."""

    def __init__(
        self, path: Path | None = None, report: Callable[[str], object] = lambda sentence: None
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        """Around the writer's connection; without a file readers use it too."""
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._is_closed = False
        self._guard = _only_writer(path)
        try:
            self._writer = opened(path, report)
        except (OSError, sqlite3.Error) as error:
            _let_go(self._guard)
            raise ConfigError(
                f"The event memory {path} could not be opened: {error}.",
                hint="Name a folder on a disk that can be written and has room, or keep nothing.",
            ) from error
        self.last_id = self.last_picture = 0
        self.count_on()
        self._take_up()

    def write(self, records: Sequence[Record], pictures: Sequence[tuple[int, bytes]] = ()) -> None:
        """Keep records and pictures (a time and a JPEG), all or none. Raises EngineError for a full disk."""
        if not records and not pictures:
            return
        with self.transaction() as connection:
            for record in records:
                which = connection.execute(_INSERT, row_of(record)).lastrowid
                connection.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (which, record.text))
            for picture in pictures:
                connection.execute("INSERT INTO pictures(at_ns, jpeg) VALUES (?, ?)", picture)
        self.count_on()

    def note_lasting(self, records: Sequence[Record]) -> None:
        """Write down what lasts at this moment, in case that nobody gets to say how it ended."""
        if self.path is None:
            return
        with self.transaction() as connection:
            connection.execute("DELETE FROM lasting")
            connection.executemany(
                f"INSERT INTO lasting({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", map(row_of, records)
            )

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return what a SELECT gives. From any thread. Raises EngineError after `close`."""
        try:
            with self._reading() as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise EngineError(
                f"The event memory could not be read: {error}.",
                hint="Ask again; begin a new session if it stays so.",
            ) from error

    def records(self, where: str, values: Sequence[object] = ()) -> list[Record]:
        """Return the records for which a condition holds; it may end in ORDER BY and LIMIT."""
        found = self.rows(f"SELECT id, {COLUMNS} FROM events WHERE {where}", values)
        return [record_of(row) for row in found]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do something with the writer's connection, all of it or nothing."""
        with self._lock:
            self._check_open()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise EngineError(
                        f"The event memory could not be written: {error}.",
                        hint="Make room on the disk; what was remembered before can still be asked about.",
                    ) from error
                raise

    def plainly(self, *statements: str) -> None:
        """Run statements that cannot stand in a transaction, such as VACUUM."""
        with self._lock:
            self._check_open()
            for statement in statements:
                self._writer.execute(statement).fetchall()

    def empty_log(self) -> bool:
        """Bring the write-ahead log into the file and empty it; False when readers prevented that."""
        with self._lock:
            self._check_open()
            for _ in range(EMPTYINGS):  # each waits for readers for as long as the connection's timeout
                if not self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return True
        return False

    def size_mib(self) -> float:
        """Return how much room the records take, without pages that are free."""
        with self._lock:
            self._check_open()
            pages, free, size = (
                self._writer.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return float((pages - free) * size / MIB)

    def count_on(self) -> None:
        """Take note of records that somebody else wrote in a transaction."""
        self.last_id, self.last_picture = self._newest("events"), self._newest("pictures")

    def close(self) -> None:
        """Let go of the file. Twice does no harm."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            while not self._idle.empty():
                self._idle.get().close()
            self._writer.close()
            _let_go(self._guard)

    def _take_up(self) -> None:
        """Let what lasted when the run before ended have ended then."""
        rows = self.rows(f"SELECT id, {COLUMNS} FROM lasting")
        if rows:
            self.write([replace(record_of(row), id=0) for row in rows])
            self.note_lasting(())

    def _newest(self, table: str) -> int:
        """Return the last id that a table gave out, also one that is gone."""
        found = self._writer.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return found[0] if found else 0

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self.path is None:
            with self._lock:
                self._check_open()
                yield self._writer
            return
        self._check_open()
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = reader(self.path)
        try:
            yield connection
        finally:
            if self._is_closed:
                connection.close()
            else:
                self._idle.put(connection)

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineError("The event memory was closed.", hint="Begin a new session.")


def _only_writer(path: Path | None) -> Any:
    """Return an open lock file, so that no other process writes to the same memory; None without a file."""
    if path is None:
        return None
    try:
        import fcntl
    except ImportError:  # Windows refuses to rename open files, which is guard enough
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    guard = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        guard.close()
        raise ConfigError(
            f"Somebody else writes to the event memory {path}.", hint="Give each session a folder of its own."
        ) from error
    return guard


def _let_go(guard: Any) -> None:
    if guard is not None:
        guard.close()
