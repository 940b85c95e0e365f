"""Videos that people send: kept in a folder of their own, looked into before use, deleted after."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock
from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.media import MAX_PICTURE_PX

log = logging.getLogger(__name__)

MAX_FILES = 64
PROBE_TIMEOUT_S = 15.0
PROBES_AT_ONCE = 2


@dataclass(slots=True)
class _Kept:
    path: Path
    since_ns: int
    players: int = 0


class Uploads:
    """Keep uploaded files by an id that cannot be guessed. `add` on any loop, the rest from any thread."""

    def __init__(
        self,
        *,
        max_bytes: int,
        keep_s: float,
        max_px: int = MAX_PICTURE_PX,
        executor: Executor | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._max_px = max_px
        self._executor = executor
        self._probing = ThreadPoolExecutor(max_workers=PROBES_AT_ONCE, thread_name_prefix="probe")
        self._clock = clock or MonotonicClock()
        self._folder: Path | None = None
        self._files: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    async def add(self, pieces: AsyncIterator[bytes]) -> str:
        """Store what comes, make sure that it is a video, and return its id.

        Raises ConfigError when it is too large and UnsupportedMedia when it cannot be played; nothing is
        kept.
        """
        self.sweep()
        if len(self._files) >= MAX_FILES:
            raise ConfigError(f"{MAX_FILES} files wait already.", hint="Try again in some minutes.")
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="vitascope-files-"))
        file_id = secrets.token_urlsafe(18)
        path = self._folder / file_id
        try:
            await self._store(pieces, path)
            await self._look_into(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            self._files[file_id] = _Kept(path, self._clock.now_ns())
        return file_id

    async def _look_into(self, path: Path) -> None:
        """Raise UnsupportedMedia unless it is a video; one that keeps FFmpeg busy holds up probes only."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._probing, _probe, path, self._max_px)
        try:
            await asyncio.wait_for(work, PROBE_TIMEOUT_S)
        except TimeoutError as error:
            raise UnsupportedMedia(
                f"The file could not be read within {PROBE_TIMEOUT_S:g} s.", hint="Try a simpler video file."
            ) from error

    async def _store(self, pieces: AsyncIterator[bytes], path: Path) -> None:
        size = 0
        loop = asyncio.get_running_loop()
        with path.open("wb") as file:
            async for piece in pieces:
                size += len(piece)
                if size > self._max_bytes:
                    raise ConfigError(
                        "The file is too large.", hint=f"At most {self._max_bytes // 1_048_576} MB are taken."
                    )
                await loop.run_in_executor(self._executor, file.write, piece)

    def play(self, file_id: str) -> Path:
        """Return the file's path and keep it until `release`. Raises ConfigError for an unknown id."""
        with self._lock:
            kept = self._files.get(file_id)
            if kept is None:
                raise ConfigError("That file is not here (any more).", hint="Send it again.")
            kept.players += 1
            return kept.path

    def release(self, file_id: str) -> None:
        """Let go of a file; it is deleted when nobody plays it."""
        with self._lock:
            kept = self._files.get(file_id)
            if kept is None:
                return
            kept.players -= 1
            if kept.players <= 0:
                self._delete(file_id)

    def sweep(self) -> None:
        """Delete files that nobody has played in time."""
        now_ns = self._clock.now_ns()
        with self._lock:
            late = [
                file_id
                for file_id, kept in self._files.items()
                if kept.players == 0 and (now_ns - kept.since_ns) / NS_PER_S > self._keep_s
            ]
            for file_id in late:
                self._delete(file_id)

    def close(self) -> None:
        """Delete everything."""
        self._probing.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._files.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _delete(self, file_id: str) -> None:
        self._files.pop(file_id).path.unlink(missing_ok=True)
        log.debug("deleted an uploaded file; %d left", len(self._files))


def _probe(path: Path, max_px: int) -> None:
    """Decode the first picture. The name is that of the store, so messages say "the file" instead."""
    from realtime.sources.container import probe

    try:
        info = probe(path, max_px=max_px)
    except UnsupportedMedia as error:
        said = error.message.replace(path.name, "The file")
        raise UnsupportedMedia(said, hint=error.hint) from error
    log.debug("took a video of %d x %d px", info.width_px, info.height_px)
