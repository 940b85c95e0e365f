"""A session's run written down so that it can be run again: what each stage was told, in order, and saw.

The stages are wrapped. Each call that a lane makes (a config, a sample, a drain tick) becomes a line, with
what the clock told meanwhile; the pictures that came from outside are kept without loss. What the live run
dropped never reached a stage and has no call, only a line that it came in. `replay.py` makes the calls again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ChannelClosed, ChannelFull, ConfigError
from realtime.core.frame import Frame, Stamp
from realtime.core.nodes import SOURCE
from realtime.core.stage import Emitted, StageContext

from .settings import Settings

RUN, CALLS, PICTURES = "run.json", "calls.jsonl", "pictures-{}.mkv"
FORMAT = 1
PICTURES_HELD = 64
"""So many pictures may wait to be written; more means that the disk is too slow, and the journal ends."""


def digest(pixels: Any) -> str:
    """Return what tells two pictures apart."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=12).hexdigest()


def key_of(stamp: Stamp) -> str:
    """Return what names a sample in a journal."""
    return f"{stamp.source}:{stamp.seq}"


def check_runs_again(settings: Settings) -> None:
    """Raise ConfigError for a graph that hears: sound is not kept, so that its run could not be repeated."""
    if any(node.input == SOURCE + "sound" for node in settings.graph.nodes.values()):
        raise ConfigError(
            "A session that hears cannot be written down to be run again.",
            hint="Leave journal out, or take a preset without a stage that hears.",
        )


class Journal:
    """Write into `folder`, which is made. `wrap` each stage before the graph opens; `close` at the end."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        max_bytes: int = 1 << 31,
        on_end: Callable[[str], None] = lambda why: None,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._max_bytes = max_bytes
        self._on_end = on_end
        self._lock = threading.Lock()
        self._calls = (folder / CALLS).open("w", encoding="utf-8")
        self._known: dict[Stamp, int] = {}
        self._count = 0
        self._is_over = False
        self._waiting: Channel[Frame] = Channel("journal", PICTURES_HELD, Drop.NEVER)
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()
        run = {"format": FORMAT, "settings": settings.model_dump(mode="json")}
        (folder / RUN).write_text(json.dumps(run, indent=1), encoding="utf-8")

    def wrap(self, node: str, stage: Any) -> Any:
        """Return a stage that does as `stage` does and writes it down."""
        return _Witness(node, stage, self)

    def came_in(self, frame: Frame) -> None:
        """Note that a picture came in, whether or not a stage will get it."""
        self.line({"do": "in", "sample": key_of(frame.stamp)})

    def line(self, what: dict[str, Any]) -> None:
        """Write a line, unless the journal is over."""
        with self._lock:
            if not self._is_over:
                self._calls.write(json.dumps(what) + "\n")

    def picture(self, frame: Frame) -> int:
        """Keep a picture without loss and return its number; one that was kept before keeps that."""
        with self._lock:
            number = self._known.get(frame.stamp)
            if number is not None or self._is_over:
                return -1 if number is None else number
            number = self._known[frame.stamp] = self._count
            self._count += 1
            if len(self._known) > 4 * PICTURES_HELD:
                self._known.pop(next(iter(self._known)))
        try:
            self._waiting.put(frame)
        except (ChannelFull, ChannelClosed):
            self._end("The disk is too slow to keep every picture: the journal ends here.")
        return number

    def close(self) -> Path:
        """Finish it and return one file that holds all of it. Twice does no harm."""
        self._end("")
        self._waiting.close()
        self._writer.join()
        packed = self.folder.with_suffix(".zip")
        if not packed.exists():
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as bundle:
                for path in sorted(self.folder.iterdir()):
                    bundle.write(path, path.name)
        return packed

    def _end(self, why: str) -> None:
        with self._lock:
            if self._is_over:
                return
            self._calls.write(json.dumps({"do": "end", "why": why}) + "\n")
            self._calls.close()
            self._is_over = True
        if why:
            self._on_end(why)

    def _write(self) -> None:
        import av

        output: Any = None
        stream: Any = None
        size, number, files = (0, 0), 0, 0
        while True:
            try:
                frame = self._waiting.get()
            except ChannelClosed:
                break
            if output is None or (frame.width_px, frame.height_px) != size:
                _finish(output, stream)
                size = (frame.width_px, frame.height_px)
                output = av.open(str(self.folder / PICTURES.format(files)), "w", format="matroska")
                stream = output.add_stream("ffv1", rate=30)
                stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
                files, number = files + 1, 0
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24").reformat(format="bgr0")
            picture.pts, number = number, number + 1
            output.mux(stream.encode(picture))
            if sum(path.stat().st_size for path in self.folder.iterdir()) > self._max_bytes:
                self._end("The journal is as large as it may be: it ends here.")
        _finish(output, stream)


def _finish(output: Any, stream: Any) -> None:
    if output is not None:
        output.mux(stream.encode(None))
        output.close()


def _told(value: Any) -> str:
    return digest(value.pixels) if isinstance(value, Frame) else ""


class _Witness:
    """Stand where a stage stands. It joins no batch with other sessions, so that its run is its own."""

    group = None

    def __init__(self, node: str, stage: Any, journal: Journal) -> None:
        self._node = node
        self._stage = stage
        self._journal = journal
        self._told_ns: list[int] = []
        self._saw: list[tuple[str, str | None]] = []
        self._caller: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def open(self, ctx: StageContext) -> None:
        # Nothing is built behind a run that is to be repeated: one engine serves it from its first picture.
        watched = {name: self._looking(name, look) for name, look in ctx.watched.items()}
        self._stage.open(replace(ctx, clock=_Heard(ctx.clock, self), is_live=False, watched=watched))

    def configure(self, config: Any) -> None:
        self._journal.line({"node": self._node, "do": "configure", "config": config.model_dump(mode="json")})
        self._stage.configure(config)

    def process(self, item: Any | None) -> Sequence[Emitted]:
        line: dict[str, Any] = {"node": self._node, "do": "process", "sample": None}
        if item is not None:
            stamp: Stamp = item.stamp
            line |= {
                "sample": key_of(stamp),
                "stamp": [stamp.pts, str(stamp.time_base), stamp.captured_ns],
                "picture": self._journal.picture(item),
            }
        self._told_ns, self._saw, self._caller = [], [], threading.get_ident()
        try:
            given: Sequence[Emitted] = self._stage.process(item)
        except Exception as error:
            line["failed"] = f"{type(error).__name__}: {error}"
            raise
        else:
            line["gave"] = [
                [
                    key_of(one.stamp),
                    digest(one.value.pixels) if isinstance(one.value, Frame) else "",
                    one.note,
                ]
                for one in given
            ]
            return given
        finally:
            self._caller = None
            line |= {"told_ns": self._told_ns, "saw": self._saw}
            self._journal.line(line)

    def reset(self) -> None:
        self._journal.line({"node": self._node, "do": "reset"})
        self._stage.reset()

    def close(self) -> None:
        self._stage.close()

    def _looking(self, name: str, look: Callable[[], Any | None]) -> Callable[[], Any | None]:
        """Return `look`, with a note of which value it was that the stage saw."""

        def looked() -> Any | None:
            value = look()
            if threading.get_ident() == self._caller:
                self._saw.append((name, None if value is None else key_of(value.stamp)))
            return value

        return looked

    def told(self, now_ns: int) -> int:
        if threading.get_ident() == self._caller:
            self._told_ns.append(now_ns)
        return now_ns


class _Heard:
    """A clock that lets its witness hear what it tells a stage at work."""

    def __init__(self, clock: Clock, witness: _Witness) -> None:
        self._clock = clock
        self._witness = witness

    def now_ns(self) -> int:
        return self._witness.told(self._clock.now_ns())
