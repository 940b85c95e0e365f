"""The stage "paint": a frame in, the painted frame out `steps` - 1 frames later, under its own stamp.

What a session owns is small: the frames in flight and its prompt's embedding. All else is the shared
`Painter`, so sessions of the same model go through one call of each network (`paint_together`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from realtime.core.clock import NS_PER_S
from realtime.core.errors import SessionError
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import PaintConfig
from .guidance import Guidance
from .pictures import Pixels, square
from .prompts import Prompter, Words
from .stream_batch import StreamBatch, tick
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

WARM_MORE_NS = 5 * NS_PER_S
"""Where one frame's shapes were ready sooner than this, those of two sessions are made ready too."""


@dataclass(frozen=True, slots=True)
class EngineBadge:
    """Say what paints, and why that."""

    name: str
    """Back end and precision, e.g. "openvino fp32"."""
    why: str


def paint_together(pairs: Sequence[tuple[Any, Any]]) -> list[list[Emitted]]:
    """Paint for the stages of one group: their new frames, and one step of every frame in flight.

    One call of the encoder for all new frames, of the UNet for all rows, of the decoder for all that
    finished. When a call fails, the frames in flight of these stages are forgotten and the error is raised.
    """
    import torch

    stages: list[PaintStage] = [stage for stage, _ in pairs]
    painter = stages[0].painter
    is_done = False
    try:
        with torch.inference_mode():
            fresh = [(stage, frame) for stage, frame in pairs if frame is not None]
            if fresh:
                squares = [square(frame.pixels, painter.size_px) for _, frame in fresh]
                latents = painter.encode(squares).split(1)
                for (stage, frame), latent_1CHW in zip(fresh, latents, strict=True):
                    stage.admit(frame, latent_1CHW)
            finished = tick(painter, [stage.batch for stage in stages])
            pictures = iter(_decoded(painter, [one for ones in finished for one in ones]))
        is_done = True
    finally:
        if not is_done:
            for stage in stages:
                stage.reset()
    return [[Emitted(one.stamp, Frame(one.stamp, next(pictures))) for one in ones] for ones in finished]


def _decoded(painter: Painter, finished: Sequence[Trajectory]) -> list[Pixels]:
    if not finished:
        return []
    if len(finished) == 1:
        return painter.decode(finished[0].latent_1CHW)
    import torch

    return painter.decode(torch.cat([one.latent_1CHW for one in finished]))


class PaintStage:
    """Paint one session's frames. See `realtime.core.stage.Stage` for who calls what."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="paint",
        takes=Frame,
        gives=Frame,
        config=PaintConfig,
        lane="paint",
        models=("model",),
        together=paint_together,
        says="Repaints each picture in the words of a prompt.",
    )

    def __init__(self) -> None:
        self.batch = StreamBatch()
        self.group: Hashable = None
        """Stages with the same group may be painted together: they share a painter."""
        self._config = PaintConfig()
        self._painter: Painter | None = None
        self._prompter: Prompter | None = None
        self._ctx = StageContext()
        self._told: Words | None = None

    @property
    def painter(self) -> Painter:
        """The shared model. Raises SessionError before `open` and after `close`."""
        if self._painter is None:
            raise SessionError("The painter is not open.", hint="Open the stage before its first frame.")
        return self._painter

    def open(self, ctx: StageContext) -> None:
        """Get the shared painter, and encode the first prompt: no frame is painted without one."""
        if self._painter is not None:
            return
        from pipelines.models.store import locate

        from .loader import load_painter

        self._ctx = ctx
        wish = self._config
        folder = Path(locate(wish.model))
        key = f"painter {wish.model} {wish.size_px} px {wish.engine} {wish.precision}"

        def make() -> Painter:
            made = load_painter(
                folder, engine=wish.engine, precision=wish.precision, size_px=wish.size_px, report=ctx.report
            )
            began_ns = ctx.clock.now_ns()
            rows = wish.steps * (2 if wish.guidance == "full" else 1)
            made.warm(1, rows)
            if ctx.clock.now_ns() - began_ns < WARM_MORE_NS:
                made.warm(2, 2 * rows)
            return made

        painter: Painter = ctx.shared(key, make)
        self._prompter = Prompter(painter.book, wish.prompt, wish.negative_prompt)
        self._painter = painter
        self.group = (key, id(painter))

    def configure(self, config: PaintConfig) -> None:
        """Take new settings: live ones from the next frame on, the others at the next `open`."""
        self._config = config
        if self._prompter is not None:
            self._prompter.want(config.prompt, config.negative_prompt)

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        """Take a frame in (or none) and one step of all frames in flight; return what is finished."""
        if item is None and not self.batch:
            return ()
        return paint_together([(self, item)])[0]

    def reset(self) -> None:
        """Forget the frames in flight."""
        self.batch.clear()

    def close(self) -> None:
        """Let the painter go; who shares it keeps it."""
        self.reset()
        self._painter = self._prompter = self._told = self.group = None

    def engine_info(self) -> EngineBadge | None:
        """Return what paints; None while the stage is not open."""
        if self._painter is None:
            return None
        info = self._painter.info
        return EngineBadge(f"{info.backend} {info.precision}", info.why)

    def admit(self, frame: Frame, latent_1CHW: Tensor) -> None:
        """Put a frame with its latent in flight, under the newest settings."""
        config, painter = self._config, self.painter
        trajectory = painter.start(
            frame.stamp,
            self._ctx.session,
            latent_1CHW,
            self._words(),
            steps=config.steps,
            strength=config.strength,
            seed=config.seed,
            guidance=Guidance(config.guidance_scale if config.guidance == "full" else None),
        )
        self.batch.admit(trajectory)

    def _words(self) -> Words:
        """Return the newest words that are ready; tell once if the model has no room for all of them."""
        assert self._prompter is not None  # set with the painter
        words = self._prompter.newest()
        if words is not self._told:
            self._told = words
            if words.prompt.cut_tokens:
                self._ctx.report(
                    f"The prompt is longer than this model reads: its last {words.prompt.cut_tokens} tokens "
                    f"of {words.prompt.cut_tokens + self.painter.text.length} do nothing."
                )
        return words
