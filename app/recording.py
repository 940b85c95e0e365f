"""Recordings of sessions: a film that can be played at any moment, and beside it a line for each event.

They are kept for a while after they end, only under names that were given out; no path is made of what
a visitor typed.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.asr.captions import Cue, vtt
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ConfigError, VitascopeError

from . import events
from .captions import said
from .journal import Journal, check_runs_again
from .settings import RecordingSettings, Settings
from .taps import View
from .visitors import may

if TYPE_CHECKING:
    from .session import Session

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """Hold what is known of one recording."""

    path: Path
    events: Path
    output_id: str = ""
    is_running: bool = True
    why: str = ""
    owner: str = ""
    """Whose the session was: see visitors.py."""
    cues: list[Cue] = field(default_factory=list)
    """What was said, in the film's own time."""
    leave: list[Callable[[], None]] = field(default_factory=list)

    @property
    def captions(self) -> Path:
        """Where what was said is written once the film has ended, if anything was."""
        return self.path.with_suffix(".vtt")

    @property
    def files(self) -> tuple[Path, ...]:
        return self.path, self.events, self.captions

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0


class RecordingRefused(VitascopeError):
    """Report that this visitor may have nothing recorded."""

    permanent = True


class Recordings:
    """Begin, end, list, give out and delete them. From any thread but the media loop's."""

    def __init__(
        self,
        settings: RecordingSettings,
        clock: Clock,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Kept]] = {}
        self._folder: Path | None = None
        self._timers: set[threading.Timer] = set()

    def start(self, session: Session, *, picture: View, sound: bool) -> str:
        """Begin to record `session` and return the recording's name. One runs at a time."""
        from realtime.sinks.targets import to_file

        with self._lock:
            own = self._kept.setdefault(session.id, {})
            if any(one.is_running for one in own.values()):
                raise ConfigError("This session is being recorded.", hint="End that recording first.")
            stem = f"{self._now():%Y%m%d-%H%M%S}-{picture}"
            while f"{stem}.mp4" in own:
                stem += "-"
            folder = self._place() / session.id
            folder.mkdir(parents=True, exist_ok=True)
            kept = own[f"{stem}.mp4"] = Kept(
                folder / f"{stem}.mp4", folder / f"{stem}.jsonl", owner=session.owner
            )
        try:
            self._begin(session, kept, picture, sound, to_file(kept.path, sound=sound))
        except BaseException:
            with self._lock:
                own.pop(kept.path.name)
            raise
        return kept.path.name

    def _begin(self, session: Session, kept: Kept, picture: View, sound: bool, connect: Any) -> None:
        begun_ns = self._clock.now_ns()
        track = _Track(kept.events, begun_ns, self._clock)
        track.note("begin", {"settings": session.wiring.settings(), "picture": picture, "sound": sound})
        kept.leave = [
            session.taps.listen(event=track.note),
            session.taps.listen(event=self._said(kept, begun_ns)),
        ]

        def is_full() -> bool:
            seconds = (self._clock.now_ns() - begun_ns) / NS_PER_S
            if seconds > 60 * self._settings.max_minutes:
                kept.why = f"{self._settings.max_minutes:g} minutes are recorded, which is all there may be."
            elif kept.bytes > self._settings.max_mb << 20:
                kept.why = f"{self._settings.max_mb} MB are recorded, which is all there may be."
            return bool(kept.why)

        def ended(error: VitascopeError | None) -> None:
            for leave in kept.leave:
                leave()
            kept.why = kept.why or (str(error) if error is not None else "")
            track.note("end", {"why": kept.why})
            track.close()
            if kept.cues:
                kept.captions.write_text(vtt(kept.cues), encoding="utf-8")
            kept.is_running = False
            session.outbox.put({"type": "recording", "on": False, "name": kept.path.name, "why": kept.why})
            if kept.why:
                session.outbox.put(events.notice(kept.why))
            self._later(lambda: self._delete(session.id, kept.path.name))

        kept.output_id = session.outputs.start(
            kept.path.name,
            connect,
            picture=picture,
            sound=sound,
            capacity=8,
            shown={"kind": "recording", "picture": picture},
            is_full=is_full,
            on_end=ended,
        )
        session.outbox.put({"type": "recording", "on": True, "name": kept.path.name})

    def _said(self, kept: Kept, begun_ns: int) -> Callable[[str, Mapping[str, Any]], None]:
        """Return what takes final words for a film's captions: they end so long ago as they say."""

        def note(kind: str, what: Mapping[str, Any]) -> None:
            if kind == "heard" and what["text"]:
                ended_s = (self._clock.now_ns() - begun_ns) / NS_PER_S - what["delay_ms"] / 1000
                kept.cues += said(what, ended_s - what["end_s"])

        return note

    def stop(self, session: Session, name: str) -> None:
        """End a recording in order. Raises ConfigError for an unknown name."""
        kept = self._find(session.id, name)
        if kept.is_running:
            session.outputs.stop(kept.output_id)

    def journal(
        self, session_id: str, settings: Settings, report: Callable[[str], None], is_local: bool
    ) -> Journal:
        """Return what writes a session's run down. Raises RecordingRefused, or ConfigError."""
        self.check_allowed(is_local)
        check_runs_again(settings)
        with self._lock:
            folder = self._place() / session_id / "run"
        return Journal(folder, settings, max_bytes=self._settings.max_mb << 20, on_end=report)

    def check_allowed(self, is_local: bool) -> None:
        """Raise RecordingRefused for a visitor who may not have anything recorded."""
        if self._settings.allow == "off" or (self._settings.allow == "local" and not is_local):
            raise RecordingRefused(
                "This server does not record for you.",
                hint='Recording for visitors from elsewhere is switched on by recording.allow = "all".',
            )

    def adopt(self, session_id: str, path: Path, owner: str) -> None:
        """Keep a finished file, such as a journal, among a session's recordings."""
        with self._lock:
            self._kept.setdefault(session_id, {})[path.name] = Kept(path, path, is_running=False, owner=owner)
        self._later(lambda: self._delete(session_id, path.name))

    def listed(self, session_id: str) -> list[dict[str, Any]]:
        """Return what is kept of a session, also of one that has ended."""
        with self._lock:
            own = {name: one for name, one in self._kept.get(session_id, {}).items() if may(one.owner)}
        return [
            {
                "name": name,
                "events": one.events.name,
                "captions": one.captions.name if one.captions.exists() else "",
                "bytes": one.bytes,
                "running": one.is_running,
                "why": one.why,
            }
            for name, one in own.items()
        ]

    def path(self, session_id: str, name: str) -> Path:
        """Return the film, event track or captions of a name. Raises ConfigError for one never given out."""
        with self._lock:
            for kept in self._kept.get(session_id, {}).values():
                for path in kept.files:
                    if path.name == name and path.exists() and may(kept.owner):
                        return path
        raise ConfigError("There is no such recording (any more).", hint="It may have been kept long enough.")

    def close(self) -> None:
        """Delete all, unless the server was given a folder to keep them in."""
        with self._lock:
            timers, self._timers = set(self._timers), set()
            self._kept.clear()
            if self._folder is not None and self._settings.folder is None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        for timer in timers:
            timer.cancel()

    def _find(self, session_id: str, name: str) -> Kept:
        with self._lock:
            kept = self._kept.get(session_id, {}).get(name)
        if kept is None:
            raise ConfigError("There is no such recording.", hint="GET .../recordings lists them.")
        return kept

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = self._settings.folder or Path(tempfile.mkdtemp(prefix="vitascope-recordings-"))
        return self._folder

    def _later(self, work: Callable[[], None]) -> None:
        timer = threading.Timer(self._settings.keep_s, work)
        timer.daemon = True
        with self._lock:
            self._timers = {one for one in self._timers if one.is_alive()} | {timer}
            timer.start()

    def _delete(self, session_id: str, name: str) -> None:
        with self._lock:
            own = self._kept.get(session_id, {})
            kept = own.pop(name, None)
            if not own:
                self._kept.pop(session_id, None)
        if kept is not None:
            for path in kept.files:
                path.unlink(missing_ok=True)
            if not any(kept.path.parent.iterdir()):
                kept.path.parent.rmdir()
            log.info("a recording was kept long enough and is deleted")


class _Track:
    """Write events as JSON lines, each with its time since the recording began; whole after every line."""

    def __init__(self, path: Path, begun_ns: int, clock: Clock) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._begun_ns = begun_ns
        self._clock = clock
        self._lock = threading.Lock()

    def note(self, kind: str, what: Mapping[str, Any]) -> None:
        time_s = round((self._clock.now_ns() - self._begun_ns) / NS_PER_S, 4)
        line = json.dumps(
            {"time_s": time_s, "kind": kind, **{k: v for k, v in what.items() if k != "type"}}, default=str
        )
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def close(self) -> None:
        with self._lock:
            self._file.close()
