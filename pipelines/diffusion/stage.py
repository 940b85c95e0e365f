"""The stage "paint": a frame in, the painted frame out `steps` - 1 frames later, under its own stamp.

What a session owns is small: the frames in flight, its newest settings, its prompt's embedding. All else is
the shared `Painter`, so sessions of the same model go through one call of each network (`paint_together`).
Settings are immutable and numbered: a frame takes the newest as it comes in and keeps them to its end.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError, SessionError
from realtime.core.frame import Frame
from realtime.core.movement import Movement
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import PaintConfig
from .embedding import Words
from .features import Draft, Features
from .fields import indices
from .fitting import Fit, Fitting
from .guidance import Guidance
from .noise import Seeds
from .pace import LATE, STILL, Given, Pace
from .pictures import Pixels, square
from .prompts import Prompter
from .stream_batch import Echo, StreamBatch
from .together import paint_together
from .trajectory import Trajectory
from .transition import Transition
from .ways import Ways
from .wish import Wish

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

WARM_MORE_NS = 5 * NS_PER_S
"""Where one frame's shapes were ready sooner than this, those of two sessions are made ready too."""
MORE_ROWS = 4
"""And, while the first frames are painted, those of other steps and guidance."""
SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class EngineBadge:
    """Say what paints, and why that."""

    name: str
    """Back end and precision, e.g. "openvino fp32"."""
    why: str


def guidance_of(config: PaintConfig) -> Guidance:
    """Return the guidance that settings ask for."""
    return Guidance(config.guidance, config.guidance_scale, config.delta)


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
        files=("control", "image_prompt", "image_prompt_model", "mask"),
        watches=Movement,
    )

    def __init__(self) -> None:
        self.batch = StreamBatch()
        self.group: Hashable = None
        """Stages with the same group may be painted together: they share a painter."""
        self.version = 0
        """Number of the newest settings."""
        self._config = PaintConfig()
        self._painter: Painter | None = None
        self._prompter: Prompter | None = None
        self._transition = Transition()
        self._ctx = StageContext()
        self._told: Words | None = None
        self._features = Features()
        self._ways = Ways()
        self._fitting: Fitting | None = None
        self._fit: Fit | None = None
        """What the newest frame is painted with."""
        self._pace: Pace | None = None
        self._due: tuple[Wish, Words] | None = None
        """What the frame that was looked at last is painted with."""
        self._place = 0
        """Which of the sessions that share the painter this one is."""
        self._shown: Pixels | None = None
        """The picture that came out last."""

    @property
    def painter(self) -> Painter:
        """The shared model. Raises SessionError before `open` and after `close`."""
        if self._painter is None:
            raise SessionError("The painter is not open.", hint="Open the stage before its first frame.")
        return self._painter

    @property
    def pace(self) -> Pace:
        """What decides which frames are painted. Raises SessionError while the stage is not open."""
        if self._pace is None:
            raise SessionError("The painter is not open.", hint="Open the stage before its first frame.")
        return self._pace

    @property
    def needs_latent(self) -> bool:
        """Whether the picture itself is painted over, rather than the words alone."""
        return self._config.start_from == "picture"

    def open(self, ctx: StageContext) -> None:
        """Get the shared painter, and encode the first prompt: no frame is painted without one."""
        if self._painter is not None:
            return
        from pipelines.models.store import locate

        from .loader import load_painter

        self._ctx = ctx
        wish = self._config
        folder = Path(locate(wish.model))
        key = f"painter {wish.model} {wish.engine} {wish.precision}"

        def make() -> Painter:
            return load_painter(
                folder,
                engine=wish.engine,
                precision=wish.precision,
                size_px=wish.size_px,
                report=ctx.report,
                clock=ctx.clock,
                behind=ctx.is_live,
            )

        painter: Painter = ctx.shared(key, make)
        if (refusal := painter.refusal(wish.size_px)) is not None:
            raise refusal
        self._fitting = Fitting(painter, self._features, ctx.report)
        rows = self._rows()
        began_ns = ctx.clock.now_ns()
        self._fit = self._fitting.first(wish, rows)
        if ctx.clock.now_ns() - began_ns < WARM_MORE_NS:
            fit = self._fit
            painter.build(lambda: painter.warm(2, 2 * rows, fit.size_px, fit.kit)).result()
            self._fitting.prepare(range(1, MORE_ROWS + 1))
        self._prompter = Prompter(painter.book, wish.prompt, wish.negative_prompt, wish.blend)
        self._pace = Pace(painter, ctx.clock)
        self._place, painter.sessions = painter.sessions, painter.sessions + 1
        self._painter = painter
        self.group = (key, id(painter))

    def configure(self, config: PaintConfig) -> None:
        """Take new settings: live ones from the next frame on, the others at the next `open`.

        Raises ConfigError for a size that the model cannot paint; the old one stays, all else is taken.
        """
        refusal: ConfigError | None = None
        if self._painter is not None and config.size_px != self._config.size_px:
            refusal = self._painter.refusal(config.size_px)
        if refusal is not None:
            config = config.model_copy(update={"size_px": self._config.size_px})
        self._config = config
        self.version += 1
        if self._prompter is not None:
            self._prompter.want(config.prompt, config.negative_prompt, config.blend)
        if refusal is not None:
            raise refusal  # all else was taken

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        """Take a frame in (or none) and one step of all frames in flight; return what is finished."""
        if item is None and not self.batch:
            return ()
        return paint_together([(self, item)])[0]

    def reset(self) -> None:
        """Forget the frames in flight."""
        self.batch.clear()
        self._transition.reset()
        self._features.reset()
        self._ways.reset()
        if self._pace is not None:
            self._pace.reset()
        self._shown = None

    def close(self) -> None:
        """Let the painter go; who shares it keeps it."""
        self.reset()
        if self._painter is not None:
            self._painter.sessions -= 1
        self._pace = None
        if self._fitting is not None:
            self._fitting.cancel()
        self._painter = self._prompter = self._told = self.group = None
        self._fitting = self._fit = None

    def engine_info(self) -> EngineBadge | None:
        """Return what paints; None while the stage is not open."""
        if self._painter is None:
            return None
        info = self._painter.info
        return EngineBadge(f"{info.backend} {info.precision}", info.why)

    # What `paint_together` asks, in this order.

    def look(self, frame: Frame) -> Pixels | None:
        """Return the square that is to be painted, (size, size, 3); None when the frame is only repeated."""
        assert self._fitting is not None  # set with the painter
        config, painter = self._config, self.painter
        self._ways.see(frame)
        fit = self._fit = self._fitting.newest(config, self._rows())
        time_s = frame.stamp.time_s
        words = self._transition.words(self._words(), time_s, config.transition_s, config.blend)
        wish = self.pace.planned(
            frame,
            self._wish(frame.stamp.seq, time_s),
            config,
            painter.work_key(fit.kit, painter.side(fit.size_px)),
            2 if config.guidance == "full" else 1,
        )
        self._due = (wish, words)
        can_repeat = self._shown is not None or len(self.batch) > 0
        if can_repeat and self.pace.is_left_out(self._place):
            self.batch.echo(frame.stamp, LATE)
            return None
        pixels = square(frame.pixels, fit.size_px)
        given = Given(self.version, words, wish, fit)
        if self.pace.is_still(frame, pixels, given, config, self._movement()):
            self.batch.echo(frame.stamp, STILL)
            return None
        return pixels

    def admit(self, frame: Frame, latent_1CHW: Tensor | None) -> None:
        """Put a frame with its latent in flight, under the newest settings."""
        painter, fit = self.painter, self._fit
        assert fit is not None  # `look` came first
        assert self._due is not None
        wish, words = self._due
        start_1CHW = None
        if latent_1CHW is None:
            latent_1CHW, start_1CHW = painter.blank(wish, fit.size_px)
        draft = Draft(frame, wish, words, latent_1CHW, start_1CHW, None if start_1CHW is None else 1.0)
        draft.levels, draft.ways = painter.levels, self._ways
        draft.size_px, draft.kit, draft.report = fit.size_px, fit.kit, self._ctx.report
        self._features.draft(draft, fit.asked, fit.features)
        trajectory = painter.start(
            frame.stamp,
            self._ctx.session,
            draft.reference_1CHW,
            draft.words,
            draft.wish,
            guidance_of(fit.config),
            kit=fit.kit,
            painted=draft.painted,
            start_1CHW=draft.start_1CHW,
            cells_11HW=draft.cells_11HW,
            extras=draft.extras,
            kept_1CHW=draft.kept_1CHW,
            way_SS2=draft.way_SS2,
            version=self.version,
            in_one_go=self.pace.in_one_go,
            features=(fit.asked, fit.features),
        )
        self.batch.admit(trajectory)

    def emit(self, finished: Sequence[Trajectory | Echo], pictures: Mapping[int, Pixels]) -> list[Emitted]:
        """Return the results of what finished; `pictures` holds the painted ones by the frame's `id`."""
        out: list[Emitted] = []
        for one in finished:
            note = ""
            if isinstance(one, Trajectory):
                picture = pictures[id(one)]
                if one.features is not None:
                    self._features.finished(one, *one.features)
                    config, ready = one.features
                    picture = self._features.shown(one, picture, config, ready)
                self._shown = picture
                self.pace.came_out(one.stamp.age_ms(self._ctx.clock.now_ns()))
            else:
                note = one.note
            assert self._shown is not None  # an echo follows a painted frame
            out.append(Emitted(one.stamp, Frame(one.stamp, self._shown), note))
        return out

    def _movement(self) -> Movement | None:
        """Return the newest that is known of what moves, of the first watched node that knows."""
        known = (look() for look in self._ctx.watched.values())
        return next((one for one in known if one is not None), None)

    def _wish(self, seq: int, time_s: float | None = None) -> Wish:
        """Return the noise levels and noise of frame number `seq`, shown at `time_s`."""
        config = self._config
        ready = config if self._fit is None else self._fit.config
        seeds = Seeds(config.seed, config.seed_to, config.seed_blend)
        if time_s is not None:
            seeds = self._transition.seeds(seeds, time_s, config.transition_s)
        if config.vary:
            seeds = Seeds((seeds.seed + seq) % SEEDS, (seeds.to + seq) % SEEDS, seeds.share)
        from_noise = config.start_from == "noise"
        return Wish(
            ready.steps,
            1.0 if from_noise else config.strength,
            indices(ready.t_index),
            "" if config.sampler == "auto" else config.sampler,
            config.add_noise,
            seeds,
        )

    def _rows(self) -> int:
        """Return the rows of a tick with all frames in flight, as the newest settings have it."""
        config = self._config
        return guidance_of(config).row_count(len(indices(config.t_index)) or config.steps)

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
