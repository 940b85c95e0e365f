"""`python -m app paint IN OUT`: the graph of the live page over a file, where nothing may be forgotten.

The same stages run with `live=False`: the file is read as fast as it is painted, every picture comes out, in
order and at its own time, with the sound that belongs to it. OUT appears under its name when it is whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realtime.core.clock import Clock, MonotonicClock
from realtime.core.errors import ChannelClosed, ConfigError, SourceClosed, VitascopeError
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from realtime.sinks.file import FileSink
from realtime.sources.container import MediaInfo, probe
from realtime.sources.file import FileSource

from .registry import Registry
from .settings import Settings
from .wiring import House, Wiring

DRAIN_TIMEOUT_S = 600.0
"""After the last picture was read, those in flight may take this long; one can take seconds."""


@dataclass(frozen=True, slots=True)
class Painted:
    """Say what was written."""

    path: Path
    pictures: int
    seconds: float
    """Painting time, without the loading of models."""

    def __str__(self) -> str:
        rate = self.pictures / self.seconds if self.seconds > 0 else 0.0
        return f"{self.pictures} frames in {self.seconds:.1f} s ({rate:.1f} a second): {self.path}"


def check_paths(source: Path, target: Path, *, force: bool) -> None:
    """Raise ConfigError when `source` cannot be painted into `target` whatever they hold."""
    if not source.exists():
        raise ConfigError(
            f"There is no file {source}.", hint="Check the path; relative ones start where you are."
        )
    if target.exists() and source.samefile(target):
        raise ConfigError("IN and OUT are the same file.", hint="Give OUT another name; IN is never changed.")
    if target.is_dir():
        raise ConfigError(
            f"{target} is a folder.", hint=f"Name a file in it: {target / source.stem}-painted.mp4"
        )
    if target.exists() and not force:
        raise ConfigError(
            f"{target} is there already.", hint="Give another name, or --force to write over it."
        )


def paint_file(
    settings: Settings,
    source: Path,
    target: Path,
    *,
    registry: Registry | None = None,
    force: bool = False,
    clock: Clock | None = None,
    report: Callable[[str], None] = lambda sentence: None,
    on_begin: Callable[[MediaInfo], None] = lambda info: None,
    on_picture: Callable[[], None] = lambda: None,
) -> Painted:
    """Paint `source` into `target` and return what was written; the same settings give the same pixels.

    Raises ConfigError for paths or settings that cannot be, and whatever ends the work: an input that cannot
    be read, a missing model, a stage that fails. OUT is then as it was.
    """
    check_paths(source, target, force=force)
    clock = clock or MonotonicClock()
    house = House(clock)
    troubles: list[VitascopeError] = []
    context = StageContext("paint", clock, house.shared, report)
    wiring = Wiring(settings, registry or Registry(), house, context, on_error=troubles.append, live=False)
    info = probe(source)
    side = wiring.size_px()
    size = (side, side) if side else (info.width_px, info.height_px)
    reader = FileSource(source, paced=False, audio=False, size_px=side, clock=clock)
    try:
        with FileSink(target, size=size, rate=info.rate_hz, audio_from=source) as sink:
            wiring.open()
            on_begin(info)
            begun_s = time.monotonic()
            for frame in _painted(reader, wiring, troubles):
                sink.put(frame)
                on_picture()
            seconds = time.monotonic() - begun_s
        return Painted(target, sink.count, seconds)
    finally:
        wiring.close()  # a reader that waits for room ends with it
        reader.stop()
        house.close()


def _painted(reader: FileSource, wiring: Wiring, troubles: list[VitascopeError]) -> Iterator[Frame]:
    """Give every picture of `reader`, painted. Raises what the reader, a stage or a lane raised."""
    read = 0
    is_whole = threading.Event()

    def put(frame: Frame) -> None:
        nonlocal read
        read += 1
        wiring.put(frame)

    def ended(error: VitascopeError | None) -> None:
        if wiring.close(0.0 if error is not None else DRAIN_TIMEOUT_S):
            is_whole.set()

    output = wiring.output
    reader.start(put, None, ended)
    given = 0
    while True:
        try:
            result = output.get()
        except ChannelClosed:
            break
        if result.error is not None:
            raise result.error
        if troubles:
            raise troubles[0]
        if isinstance(result.value, Frame):
            given += 1
            yield result.value
    if reader.error is not None:
        raise reader.error
    if troubles:
        raise troubles[0]
    if given != read or not is_whole.is_set():
        raise SourceClosed(
            f"Only {given} of {read} pictures came out.", hint="The log may say why; try again."
        )


def paint_in_terminal(
    settings: Settings,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    quiet: bool = False,
    registry: Registry | None = None,
) -> int:
    """Paint with a progress bar on standard error and one line on standard output; return the exit status."""
    from tqdm import tqdm

    loading = "{desc} {elapsed}"
    with tqdm(desc="loading", bar_format=loading, unit="frame", leave=False, disable=quiet) as bar:

        def begin(info: MediaInfo) -> None:
            bar.bar_format = None
            bar.reset(info.pictures)
            bar.set_description_str("painting")

        done = paint_file(
            settings,
            source,
            target,
            registry=registry,
            force=force,
            report=bar.set_description_str,
            on_begin=begin,
            on_picture=bar.update,
        )
    print(done)
    return 0
