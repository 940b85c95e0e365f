"""What a folder of slab files has besides them: one owner, the number that comes next, and trouble."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from realtime.core.errors import EngineError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def told_next(folder: Path) -> int:
    """Return the least number that is not used yet, as it was noted when the newest block was forgotten.

    The file is there from the beginning: on a full disk it can be written over, not made. Raises OSError.
    """
    path = folder / "next"
    if not path.exists():
        path.write_text(f"{0:020}")
    told = path.read_text()
    return int(told) if told.isdecimal() else 0


def tell_next(folder: Path, number: int) -> None:
    """Note the least number that is not used yet, as far as the disk takes it: forgetting goes first."""
    with suppress(OSError), (folder / "next").open("r+") as file:
        file.write(f"{number:020}")


def locked(folder: Path) -> int:
    """Return a descriptor that owns the folder until it is closed. Raises EngineError for one in use."""
    import fcntl  # not on Windows, where nothing else here works either: it has no pread

    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise EngineError(
            f"{folder} is in use by another memory.", hint="Give each session a folder of its own."
        ) from None
    return fd


def disk_error(error: OSError, folder: Path) -> EngineError:
    """Say in our words what the system said."""
    if error.errno in FULL:
        hint = "Free space there or lower the limit on disk; what was kept before can still be read."
        return EngineError(f"A block could not be written to {folder}: {error.strerror}.", hint=hint)
    hint = "Check that the disk is there and that this user may write to it."
    return EngineError(f"{folder} could not be used: {error.strerror or error}.", hint=hint)
