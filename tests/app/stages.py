"""Tiny real stages for tests of the application: one inverts, one is slow, some fail. No model needed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from app.layers import read_settings
from app.registry import Registry
from app.settings import Settings
from perception.asr.transcript import Transcript, Turn
from perception.qa.events.memory import EventMemory
from perception.qa.stage import AnswerStage
from realtime.core.errors import ModelMissing
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Frame
from realtime.core.stage import Emitted, Live, StageContext, StageSpec
from tests.perception.qa.notebook import Notebook


class InvertConfig(BaseModel):
    """Settings of the stages in this file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, Live()] = Field("", max_length=2000, description="Words that it does not read.")
    strength: Annotated[float, Live()] = Field(
        1.0, ge=0, le=1, description="0 keeps the picture, 1 inverts it."
    )
    size_px: int = Field(64, ge=48, le=256, description="Side of the picture.")
    model: Literal["none"] = Field("none", description="It needs none.")
    engine: str = Field("auto", description="Back end.")


@dataclass(frozen=True)
class Info:
    name: str
    why: str


class Invert:
    """Invert pictures by `strength`."""

    spec = StageSpec("invert", takes=Frame, gives=Frame, config=InvertConfig, lane="paint", says="Inverts.")

    def __init__(self) -> None:
        self.config = InvertConfig()
        self._info: Info | None = None

    def open(self, ctx: StageContext) -> None:
        ctx.report("Looking for the negative.")
        self._info = ctx.shared("invert", lambda: Info("numpy", "it is only a subtraction"))

    def configure(self, config: InvertConfig) -> None:
        self.config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        return () if item is None else (self.painted(item),)

    def painted(self, frame: Frame) -> Emitted:
        turned = np.abs(frame.pixels - 255 * np.float32(self.config.strength)).astype(np.uint8)
        return Emitted(frame.stamp, Frame(frame.stamp, turned))

    def engine_info(self) -> Info | None:
        return self._info

    def reset(self) -> None: ...

    def close(self) -> None: ...


class Counts(Invert):
    """Keep the numbers of all pictures that it painted."""

    spec = StageSpec("counts", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")
    painted_numbers: ClassVar[list[int]] = []

    def painted(self, frame: Frame) -> Emitted:
        self.painted_numbers.append(frame.stamp.seq)
        return super().painted(frame)


class Delayed(Invert):
    """Give each picture two calls later, as a stream batch of three steps does."""

    spec = StageSpec("delayed", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")
    flying = 2

    def __init__(self) -> None:
        super().__init__()
        self._flying: deque[Frame] = deque()

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is not None:
            self._flying.append(item)
            if len(self._flying) <= self.flying:
                return ()
        return (self.painted(self._flying.popleft()),) if self._flying else ()


class Belated(Delayed):
    """Give each picture three pictures later, 100 ms at 30 a second, and none before that."""

    spec = StageSpec("belated", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")
    flying = 3

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        return () if item is None else super().process(item)


class Gate:
    """Hold stages up until a test lets them go, and tell the test that one has come."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> None:
        self.arrived.set()
        assert self.release.wait(20), "nobody opened the gate"


class Slow(Invert):
    """Process only while its gate is open."""

    spec = StageSpec("slow", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")
    gate = Gate()

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is not None:
            self.gate()
        return super().process(item)


class OpensSlowly(Invert):
    """Open only once its gate is open."""

    spec = StageSpec("opens-slowly", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")
    gate = Gate()
    closed = threading.Event()

    def open(self, ctx: StageContext) -> None:
        self.gate()
        super().open(ctx)

    def close(self) -> None:
        self.closed.set()


class NoModel(Invert):
    """Miss its model."""

    spec = StageSpec("no-model", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")

    def open(self, ctx: StageContext) -> None:
        raise ModelMissing("The model fox is not here.", hint="python -m app models fetch fox (2 GB, MIT)")


class BrokenOpen(Invert):
    """Have a fault in `open`."""

    spec = StageSpec("broken-open", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")

    def open(self, ctx: StageContext) -> None:
        raise KeyError("a fault")


class Fails(Invert):
    """Fail on picture 3."""

    spec = StageSpec("fails", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is not None and item.stamp.seq == 3:
            raise ZeroDivisionError("picture 3")
        return super().process(item)


class AlwaysFails(Invert):
    """Fail on every picture."""

    spec = StageSpec("always-fails", takes=Frame, gives=Frame, config=InvertConfig, lane="paint")

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is not None:
            raise ZeroDivisionError("a fault")
        return ()


class ChoosesConfig(InvertConfig):
    """Name a model."""

    folder: str = Field("own", description="Its model.")
    mask: Annotated[str, Live()] = Field("", description="A picture file.")


class Chooses(Invert):
    """Have a model that is chosen by name, and a file that may change while it runs."""

    spec = StageSpec(
        "chooses",
        takes=Frame,
        gives=Frame,
        config=ChoosesConfig,
        lane="paint",
        models=("folder",),
        files=("mask",),
    )


class Reads(Invert):
    """Give words instead of pictures."""

    spec = StageSpec("reads", takes=Frame, gives=str, config=InvertConfig, lane="see")


class Hears(Invert):
    """Tell the loudest sample of each piece of sound."""

    spec = StageSpec("hears", takes=AudioChunk, gives=str, config=InvertConfig, lane="hear")

    def process(self, item: AudioChunk | None) -> Sequence[Emitted]:
        return () if item is None else (Emitted(item.stamp, f"{item.samples.max():g}"),)


class Repeats(Invert):
    """Say "heard n" at the end of each second of sound, and that it goes on with each chunk before."""

    spec = StageSpec("repeats", takes=AudioChunk, gives=Transcript, config=InvertConfig, lane="hear")

    def process(self, item: AudioChunk | None) -> Any:
        if item is None:
            return ()
        second, into = divmod(item.stamp.pts, SOUND_RATE_HZ)
        is_end = into + len(item.samples) >= SOUND_RATE_HZ
        turn = Turn.END if is_end else Turn.UPDATE
        said = Transcript(turn, second, f"heard {second}", "", second, second + 1.0, captured_ns=0)
        return (Emitted(item.stamp, said),)


def registry(stage: str = "Invert", **more: str) -> Registry:
    """Return a registry whose stage "paint" is the class `stage` of this file; `more` adds stages by name."""
    table = {"paint": stage, **more}
    return Registry({name: f"{__name__}:{attribute}" for name, attribute in table.items()})


def settings(table: Registry | None = None, **flags: Any) -> Settings:
    """Return settings without warming; `server__max_sessions=1` sets server.max_sessions."""
    given = {"server__warm": False, "server__stats_interval_s": 0.1, "server__drain_timeout_s": 1.0, **flags}
    pairs = [(name.replace("__", "."), value) for name, value in given.items()]
    return read_settings(table or registry(), flags=pairs, environ={}).settings


class Asks(AnswerStage):
    """Answer with what was noted."""

    def __init__(self) -> None:
        super().__init__(lambda config, ctx: (Notebook(), None))


class Watches(AnswerStage):
    """Answer with what was noted, and remember events beside it."""

    def __init__(self) -> None:
        super().__init__(lambda config, ctx: (Notebook(), EventMemory()))
