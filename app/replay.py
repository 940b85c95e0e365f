"""`python -m app replay FOLDER`: run a journal again, call by call; are the pictures the same?

The stages are new, all else is as it was: the order of samples and drain ticks, the config between two of
them, what the clock told. No lane, no dropping, no time: a bug that showed once shows here each time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from realtime.core.clock import MonotonicClock
from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.core.frame import Frame, Stamp
from realtime.core.nodes import SOURCE
from realtime.core.stage import StageContext

from .journal import CALLS, FORMAT, PICTURES, RUN, digest, key_of
from .registry import Registry
from .settings import Settings, settings_type
from .wiring import House

HELP = """
A journal is one session's run, written down. Whoever has a fault makes one: begin the session by
POST /api/sessions with "journal": true, let it happen, end the session, and download run.zip from
/api/sessions/ID/recordings/run.zip. It holds every picture that was painted, without loss (80 to 120 kB
each at 256 px), all settings, and what was changed when. Here the stages get the same calls in their order;
what the live run dropped is not painted here either. Exit status 0: every picture is the same, bit for bit;
1: some differ, as they may on another machine or engine. The models that the settings name must be on this
machine.
"""
_NAME_ONE = "Name a folder or a .zip of one."
HELD = 256
"""Results of a node that wait for the nodes that read them."""


@dataclass(slots=True)
class Replayed:
    """Say what came of it."""

    pictures: int = 0
    equal: int = 0
    """Of those, the same bit for bit as in the recorded run."""
    dropped: int = 0
    """Pictures that came in then, and that no stage got."""
    failed: int = 0
    """Calls that raised, then or now."""
    first_different: str = ""
    """The first sample whose picture differs."""
    why: str = ""
    """Why the journal ended before the session did; empty when it did not."""
    missing: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        said = f"{self.pictures} pictures, {self.equal} of them the same bit for bit as in the recorded run; "
        said += f"{self.dropped} had been dropped then."
        if self.first_different:
            said += f" The first that differs: {self.first_different}."
        if self.failed:
            said += f" {self.failed} calls failed."
        return f"{said} {self.why}".strip()


class _Told:
    """A clock that tells again what it told then."""

    def __init__(self) -> None:
        self.left_ns: list[int] = []
        self._last_ns = 0
        self._real = MonotonicClock()

    def now_ns(self) -> int:
        if self.left_ns:
            self._last_ns = self.left_ns.pop(0)
        return self._last_ns or self._real.now_ns()


def replay(
    folder: Path,
    *,
    registry: Registry | None = None,
    on_picture: Callable[[Frame, str], object] = lambda frame, digest_then: None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Replayed:
    """Run the journal in `folder` again. `on_picture` gets each picture of the output, and its old digest.

    Raises ConfigError or UnsupportedMedia for what is no journal, and what opening a stage raises.
    """
    settings, lines = _read(folder, registry := registry or Registry())
    graph = settings.graph
    done, came = Replayed(), set()
    pictures = _Pictures(folder)
    results: dict[str, OrderedDict[str, Any]] = {name: OrderedDict() for name in graph.nodes}
    with ExitStack() as undo:
        house = House()
        undo.callback(house.close)
        stages: dict[str, Any] = {name: registry.stage(node.stage)() for name, node in graph.nodes.items()}
        clocks = {name: _Told() for name in stages}
        saw: dict[str, list[tuple[str, str | None]]] = {name: [] for name in stages}
        is_open: set[str] = set()
        for call in lines:
            if call["do"] == "in":
                came.add(call["sample"])
                continue
            if call["do"] == "end":
                done.why = call["why"]
                break
            name = call["node"]
            stage, node = stages[name], graph.nodes[name]
            if call["do"] == "configure":
                stage.configure(registry.config(node.stage).model_validate(call["config"]))
                continue
            if call["do"] == "reset":
                stage.reset()
                continue
            if name not in is_open:
                watched = {one: partial(_seen, saw[name], one, results[one]) for one in node.watches}
                stage.open(StageContext("replay", clocks[name], house.shared, report, watched=watched))
                undo.callback(stage.close)
                is_open.add(name)
            if node.input.startswith(SOURCE):
                came.discard(call["sample"])
            item = _item(call, node.input, results, pictures)
            clocks[name].left_ns = list(call["told_ns"])
            saw[name][:] = call.get("saw", ())
            try:
                given = stage.process(item)
            except Exception as error:
                done.failed += 1
                report(f"{name} failed on {call['sample']}: {error}")
                continue
            done.failed += "failed" in call
            then = {sample: told for sample, told, _ in call.get("gave", ())}
            for one in given:
                sample = key_of(one.stamp)
                results[name][sample] = one.value
                if len(results[name]) > HELD:
                    results[name].popitem(last=False)
                if name == graph.output and isinstance(one.value, Frame):
                    done.pictures += 1
                    is_equal = digest(one.value.pixels) == then.get(sample)
                    done.equal += is_equal
                    if not is_equal:
                        done.first_different = done.first_different or sample
                    on_picture(one.value, then.get(sample, ""))
    done.dropped = len(came)
    return done


def _item(
    call: dict[str, Any], source: str, results: dict[str, OrderedDict[str, Any]], pictures: _Pictures
) -> Any:
    if call["sample"] is None:
        return None
    if not source.startswith(SOURCE):
        return results[source][call["sample"]]
    name, _, seq = call["sample"].rpartition(":")
    pts, time_base, captured_ns = call["stamp"]
    stamp = Stamp(name, int(seq), pts, Fraction(time_base), captured_ns)
    return Frame(stamp, pictures.get(call["picture"]))


def _seen(saw: list[tuple[str, str | None]], node: str, made: OrderedDict[str, Any]) -> Any | None:
    """Return what a stage saw when it looked at `node` then, made anew."""
    for place, (name, sample) in enumerate(saw):
        if name == node:
            del saw[place]
            return None if sample is None else made.get(sample)
    return None


class _Pictures:
    """Decode the kept pictures in order; the newest few can be had again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decoded = self._all()
        self._count = 0
        self._newest: OrderedDict[int, Any] = OrderedDict()

    def get(self, number: int) -> Any:
        while self._count <= number:
            pixels = next(self._decoded, None)
            if pixels is None:
                raise UnsupportedMedia(
                    "The journal is cut short: a picture is missing.", hint="Copy it again."
                )
            self._newest[self._count] = pixels
            self._count += 1
            if len(self._newest) > HELD:
                self._newest.popitem(last=False)
        return self._newest[number].copy()

    def _all(self) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
        import av

        files = 0
        while (path := self._folder / PICTURES.format(files)).exists():
            with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
                for picture in container.decode(video=0):
                    yield np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
            files += 1


def _read(folder: Path, registry: Registry) -> tuple[Settings, Iterator[dict[str, Any]]]:
    """Return the settings of the run, and its calls one by one."""
    try:
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        calls = (folder / CALLS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder} holds no journal: {error}.", hint="Name a folder or a .zip of one."
        ) from error
    if run.get("format") != FORMAT:
        raise ConfigError(f"That journal has format {run.get('format')}, not {FORMAT}.")
    return settings_type(registry)(**run["settings"]), _lines(calls)


def _lines(calls: list[str]) -> Iterator[dict[str, Any]]:
    for text in calls:
        try:
            yield json.loads(text)
        except ValueError:  # the process was killed while it wrote this line, the last
            return


def unpacked(path: Path, into: Path) -> Path:
    """Return the folder of a journal; one in a .zip is unpacked, known names only."""
    if path.is_dir():
        return path
    try:
        with zipfile.ZipFile(path) as bundle:
            for name in bundle.namelist():
                if name in (RUN, CALLS) or (name.startswith("pictures-") and name == Path(name).name):
                    bundle.extract(name, into)
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path} is no journal: {error}.", hint="Name a folder or a .zip of one."
        ) from error
    return into


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, and what it is good for."""
    parser.add_argument("journal", type=Path, metavar="JOURNAL", help="folder, or .zip of one")
    parser.add_argument("output", type=Path, metavar="OUT", nargs="?", help="MP4 file to write")
    parser.epilog = HELP


def replay_in_terminal(path: Path, target: Path | None) -> int:
    """Replay, write the pictures to `target` when there is one, and print what came of it."""
    from realtime.sinks.file import FileSink

    sink: list[FileSink] = []

    def write(frame: Frame, then: str) -> None:
        if target is not None:
            if not sink:
                sink.append(FileSink(target, size=(frame.width_px, frame.height_px)))
            sink[0].put(frame)

    with tempfile.TemporaryDirectory(prefix="vitascope-replay-") as place:
        try:
            done = replay(
                unpacked(path, Path(place)),
                on_picture=write,
                report=lambda said: print(said, file=sys.stderr),
            )
        except BaseException:
            for one in sink:
                one.abort()
            raise
    for one in sink:
        one.close()
    print(done)
    return 0 if done.pictures and done.equal == done.pictures and not done.failed else 1
