"""Memories that are kept on this machine's disk: one folder each, by name, in use by one session at a time.

Nothing is written here unless somebody names a memory in `answer.keep`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from realtime.core.errors import ConfigError, SessionError

LOCK = "in-use.lock"
VARIABLE = "VITASCOPE_MEMORY_DIR"


@dataclass(frozen=True, slots=True)
class Held:
    """Describe a memory that is on this disk."""

    name: str
    bytes: int
    changed_s: float
    """Unix time at which something in it was written last."""


def folder() -> Path:
    """Return where they lie: $VITASCOPE_MEMORY_DIR, or where the platform has a person's data."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "vitascope" / "memories"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "vitascope" / "memories"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "vitascope" / "memories"


def held() -> list[Held]:
    """Return the memories on this disk, by name."""
    place = folder()
    found = []
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        files = [one for one in path.rglob("*") if one.is_file() and one.name != LOCK]
        if path.is_dir() and files:
            told = [one.stat() for one in files]
            found.append(Held(path.name, sum(one.st_size for one in told), max(one.st_mtime for one in told)))
    return found


def check_held(name: str) -> Path:
    """Return the folder of a memory that is there. Raises ConfigError for one that is not."""
    path = folder() / name
    names = [one.name for one in held()]
    if name not in names:
        known = f"There are: {', '.join(names)}." if names else "There is none."
        raise ConfigError(f'No memory "{name[:40]}" is kept on this machine.', hint=known)
    return path


def take(name: str) -> tuple[Path, object]:
    """Take a memory for oneself; return its folder, and its lock, which `release` lets go.

    Raises SessionError while somebody else has it.
    """
    from filelock import FileLock, Timeout

    path = folder() / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise SessionError(
            f'Another session uses the memory "{name}".',
            hint="End that one, or give this one another name.",
        ) from error
    return path, lock


def release(lock: object) -> None:
    """Let others take the memory."""
    lock.release()  # type: ignore[attr-defined]


@contextmanager
def taken(name: str) -> Iterator[Path]:
    """Have a memory for oneself inside. Raises SessionError while somebody else has it."""
    path, lock = take(name)
    try:
        yield path
    finally:
        release(lock)


def delete(name: str) -> None:
    """Delete a memory. Raises ConfigError for one that is not there, SessionError while it is in use."""
    path = check_held(name)
    with taken(name):
        for one in path.iterdir():
            if one.name != LOCK:
                shutil.rmtree(one) if one.is_dir() else one.unlink()
    shutil.rmtree(path, ignore_errors=True)
