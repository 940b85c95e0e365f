"""Forget: what somebody wants forgotten, at once and for good; what is too old or too much, bit by bit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from realtime.core.clock import NS_PER_S
from realtime.core.errors import EngineError

from .store import Store

AT_ONCE = 2_000
"""Records that make room together."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Say how much is kept; the oldest goes first."""

    size_mib: float = 64.0
    """Of records, index and pictures."""
    age_s: float = 7 * 86_400.0


def forget(store: Store, begin_ns: int, end_ns: int) -> int:
    """Delete all that touches a span of time, also from the bytes of the file; return how many records went.

    A record that reaches into the span goes as a whole: its place or words might be of that time. Only spans
    of watching, which say nothing but that somebody watched, are cut to what is outside.
    """
    with store.transaction() as connection:
        gone = connection.execute(
            "DELETE FROM events WHERE t0_ns <= ? AND t1_ns >= ? AND kind <> 'watched'", (end_ns, begin_ns)
        ).rowcount
        gone += connection.execute(
            "DELETE FROM pictures WHERE at_ns BETWEEN ? AND ?", (begin_ns, end_ns)
        ).rowcount
        connection.execute("DELETE FROM lasting")
        _cut_watches(connection, begin_ns, end_ns)
        connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
    store.count_on()
    store.plainly("VACUUM")
    if store.path is not None and not store.empty_log():
        raise EngineError(
            "What was deleted is out of every answer, but could not be wiped from disk: somebody reads it.",
            hint="Delete the same span again in a moment.",
        )
    return gone


def keep_within(store: Store, limits: Limits, known_ns: int) -> int:
    """Delete what is older than the limit, then the oldest until the rest fits; return how many went."""
    oldest_ns = known_ns - round(limits.age_s * NS_PER_S)
    gone = 0
    while removed := _drop(store, "t1_ns < ?", "at_ns < ?", (oldest_ns,)):
        gone += removed
    if gone:
        with store.transaction() as connection:
            connection.execute(
                "UPDATE events SET t0_ns = ? WHERE kind = 'watched' AND t0_ns < ?", (oldest_ns, oldest_ns)
            )
    while store.size_mib() > limits.size_mib:
        until_ns = _old_ns(store)
        if until_ns is None or not (removed := _drop(store, "t1_ns <= ?", "at_ns <= ?", (until_ns,))):
            break
        gone += removed
    if gone:
        store.plainly("PRAGMA incremental_vacuum")
    return gone


def _old_ns(store: Store) -> int | None:
    """Return a moment before which a twentieth of the records lies, or else of the pictures."""
    for table, at in (("events", "t1_ns"), ("pictures", "at_ns")):
        count = store.rows(f"SELECT count(*) FROM {table}")[0][0]
        if count:
            some = min(max(count // 20, 1), AT_ONCE)
            oldest = f"SELECT {at} AS at FROM {table} ORDER BY {at} LIMIT {some}"
            return int(store.rows(f"SELECT max(at) FROM ({oldest})")[0][0])
    return None


def _drop(store: Store, event: str, picture: str, values: Sequence[object]) -> int:
    """Delete some of the records and the pictures for which a condition holds; return how many."""
    with store.transaction() as connection:
        rows = connection.execute(
            f"SELECT id, text FROM events WHERE {event} ORDER BY t1_ns LIMIT {AT_ONCE}", values
        ).fetchall()
        for row in rows:
            connection.execute("INSERT INTO words(words, rowid, text) VALUES ('delete', ?, ?)", row)
        connection.executemany("DELETE FROM events WHERE id = ?", [(which,) for which, _ in rows])
        gone = connection.execute(f"DELETE FROM pictures WHERE {picture}", values).rowcount
    return len(rows) + int(gone)


def _cut_watches(connection: sqlite3.Connection, begin_ns: int, end_ns: int) -> None:
    """Take a span out of the spans of watching."""
    connection.execute(
        "INSERT INTO events(kind, t0_ns, t1_ns, label, thing, colour, confidence, number, text) "
        "SELECT kind, ?, t1_ns, label, thing, colour, confidence, number, text FROM events "
        "WHERE kind = 'watched' AND t0_ns < ? AND t1_ns > ?",
        (end_ns, begin_ns, end_ns),
    )
    inside = "kind = 'watched' AND t0_ns >= ? AND t1_ns <= ?"
    connection.execute(f"DELETE FROM events WHERE {inside}", (begin_ns, end_ns))
    connection.execute(
        "UPDATE events SET t1_ns = ? WHERE kind = 'watched' AND t0_ns < ? AND t1_ns > ?",
        (begin_ns, begin_ns, begin_ns),
    )
    connection.execute(
        "UPDATE events SET t0_ns = ? WHERE kind = 'watched' AND t0_ns < ? AND t1_ns > ?",
        (end_ns, end_ns, end_ns),
    )
