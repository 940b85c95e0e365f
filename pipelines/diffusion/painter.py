"""A loaded model, ready to paint: engines, scales and noise levels. It holds no frame of anyone.

Sessions share it. Everything here is either fixed for the model or a pure function of its arguments that is
remembered (noise by seed, schedules by steps and strength, time embeddings by prompt and timestep).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from realtime.core.clock import NS_PER_MS, Clock, MonotonicClock
from realtime.core.costs import Costs
from realtime.core.errors import ConfigError, SessionError
from realtime.core.frame import Stamp

from .embedding import Embedding, Words
from .guidance import Guidance
from .kit_shelf import KitShelf
from .kits import Engine, Kit, Row
from .levels import NoiseLevels
from .motion import Map, moved_noise
from .noise import Noises
from .pictures import Pixels, apart, stacked
from .prompts import PromptBook
from .schedule import Schedule
from .trajectory import Trajectory
from .wish import Wish

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import EngineInfo
    from pipelines.engines.networks import Extension

    from .families.base import Backbone
    from .features import Additions
    from .text import Texts

T = TypeVar("T")
KEPT_SCHEDULES = 256
REST = "encode and decode"
"""Key of `Painter.costs` for the autoencoder, with pictures as rows."""


@dataclass(frozen=True, slots=True)
class Latents:
    """Say what latents look like between autoencoder and network."""

    channels: int
    factor: int
    """Pixels a latent cell."""
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Engines:
    """Hold the three networks of a painter."""

    encoder: Engine
    unet: Engine
    decoder: Engine

    def __iter__(self) -> Iterator[Engine]:
        return iter((self.encoder, self.unet, self.decoder))


class Painter:
    """Encode, denoise and decode for any number of sessions, from one thread at a time."""

    def __init__(
        self,
        *,
        size_px: int,
        multiple_px: int,
        latents: Latents,
        engines: Engines,
        levels: NoiseLevels,
        text: Texts,
        backbone: Backbone,
        extend: Callable[[Sequence[Extension]], Engine],
        clock: Clock | None = None,
        unet: Any = None,
    ) -> None:
        self.size_px = size_px
        """Side of the pictures that it was loaded for; others may be painted too."""
        self.multiple_px = multiple_px
        """What a picture's side must be a multiple of."""
        self.latents = latents
        self.unet = unet
        """The network's module, for what features must know of its layers; None where there is none."""
        self.engines = engines
        self.plain = Kit(engines.unet)
        self.levels = levels
        self.prediction = levels.prediction
        self.text = text
        self.backbone = backbone
        self.book = PromptBook(text.embed, nothing=text.nothing)
        self.device = engines.unet.info.device
        self.noises = Noises(latents.channels, self.device)
        self.schedule = lru_cache(KEPT_SCHEDULES)(self._schedule)
        self._clock: Clock = clock or MonotonicClock()
        self.costs = Costs(self._clock)
        """What calls take, by `work_key` and `REST`; for the painting lane."""
        self.is_governed = False
        """Whether a session has a limit of age, for which all calls must be timed."""
        self.sessions = 0
        """How many paint with it now."""
        self.kits = KitShelf(self.plain, extend)
        """The network with what features add to it."""
        self._warmed: set[tuple[int, int, int, int]] = set()
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="builds")

    @property
    def info(self) -> EngineInfo:
        """What runs the network, and why that."""
        return self.engines.unet.info

    def side(self, size_px: int) -> int:
        """Return how many latent cells a side of `size_px` pixels has."""
        return size_px // self.latents.factor

    def encode(self, pictures: Sequence[Pixels]) -> Tensor:
        """Return the latents of square pictures (H, W, 3) of one size, scaled: (B, C, h, w)."""
        return self.engines.encoder.run(pixels=stacked(pictures))["latent"].clone()

    def decode(self, latent_BCHW: Tensor) -> list[Pixels]:
        """Return the pictures of scaled latents."""
        return apart(self.engines.decoder.run(latent=latent_BCHW)["pixels"])

    def denoise(self, rows: Sequence[Row]) -> Tensor:
        """Run the network on rows of one kit and shape; the result may be overwritten by the next call.

        In as many calls as are cheapest by what calls of this shape have taken. Only where numbers are exact
        enough that nobody can tell: in bf16 a row differs by 0.4 % with its company.
        """
        first = rows[0].trajectory
        kit = (first.kit or self.plain).due(first)
        key = self.work_key(kit, int(first.latent_1CHW.shape[-1]))
        may_split = kit.engine.info.precision == "fp32" and not kit.couples_rows
        split = self.costs.best_rows(key, len(rows)) if may_split else (len(rows),)
        if len(rows) == 1 and not self.is_governed:
            return self._call(kit, rows)
        if len(split) == 1:
            return self._timed(key, len(rows), partial(self._call, kit, rows))
        import torch

        began_ns = self._clock.now_ns()
        outputs, at = [], 0
        for count in split:
            some = rows[at : at + count]
            outputs.append(self._timed(key, count, partial(self._call, kit, some)).clone())
            at += count
        joined = torch.cat(outputs)
        self.costs.observe_split(key, split, (self._clock.now_ns() - began_ns) / NS_PER_MS)
        return joined

    def clocked(self, work: Callable[[], T]) -> tuple[T, float]:
        """Run `work`; return what it gave and the milliseconds that it took."""
        began_ns = self._clock.now_ns()
        return work(), (self._clock.now_ns() - began_ns) / NS_PER_MS

    def work_key(self, kit: Kit, side: int) -> Hashable:
        """Return the key under which `costs` knows the calls of a kit for latents of `side` cells."""
        return (kit.number, side)

    def _timed(self, key: Hashable, rows: int, call: Callable[[], Tensor]) -> Tensor:
        began_ns = self._clock.now_ns()
        output = call()
        if self.device == "cuda":
            import torch

            torch.cuda.current_stream().synchronize()
        self.costs.observe(key, rows, (self._clock.now_ns() - began_ns) / NS_PER_MS)
        return output

    def _call(self, kit: Kit, rows: Sequence[Row]) -> Tensor:
        side = int(rows[0].trajectory.latent_1CHW.shape[-1])
        given = [
            self.backbone.given(row.embedding, row.trajectory.step.t, side, row.trajectory.extras)
            for row in rows
        ]
        return kit.run(
            rows,
            latent=_stacked([row.trajectory.latent_1CHW for row in rows]),
            **{name: _stacked([one[name] for one in given]) for name in given[0]},
        )

    def time_row(self, embedding: Embedding, t: float) -> Tensor:
        """Return what the network's blocks are told about timestep and prompt, (1, E), at the usual size."""
        return self.backbone.given(embedding, t, self.side(self.size_px), {})["emb"]

    def start(
        self,
        stamp: Stamp,
        session: str,
        reference_1CHW: Tensor,
        words: Words,
        wish: Wish,
        guidance: Guidance,
        *,
        kit: Kit | None = None,
        painted: float | Tensor | None = None,
        start_1CHW: Tensor | None = None,
        cells_11HW: Tensor | None = None,
        extras: Mapping[str, Any] | None = None,
        kept_1CHW: Tensor | None = None,
        way_SS2: Map | None = None,
        version: int = 0,
        in_one_go: bool = False,
        features: Any = None,
    ) -> Trajectory:
        """Return the trajectory of a frame whose latent is `reference_1CHW`.

        `painted` (default: what the model makes of the strength) is the share that is painted in the end;
        `cells_11HW` is each latent cell's share of the strength; `way_SS2` is how far the noise has moved
        with the picture. A translator is led astray by steps that see half a photograph and half a painting,
        so its cells are mixed in the end.
        """
        noise_NCHW = self.noises.blended(wish.seeds, len(wish), int(reference_1CHW.shape[-1]))
        if way_SS2 is not None:
            noise_NCHW = moved_noise(noise_NCHW, way_SS2)
        return Trajectory(
            stamp,
            session,
            self.schedule(wish.steps, wish.strength, wish.t_index, wish.sampler, wish.adds_noise),
            noise_NCHW,
            reference_1CHW,
            words,
            guidance,
            self.levels.painted(wish.strength) if painted is None else painted,
            start_1CHW,
            None if cells_11HW is None else cells_11HW.to(reference_1CHW.device),
            not self.levels.translates,
            kit,
            extras or {},
            kept_1CHW,
            version,
            in_one_go,
            features,
        )

    def warm(self, batch: int, rows: int, size_px: int | None = None, kit: Kit | None = None) -> None:
        """Build what `batch` pictures and `rows` rows of the network in one call need at `size_px`, once.

        On the builder's thread once a session runs, so that the lane does not wait.
        """
        size_px = size_px or self.size_px
        side, channels, kit = self.side(size_px), self.latents.channels, kit or self.plain
        if (batch, rows, size_px, kit.number) in self._warmed:
            return
        words = self.book.words("", "")
        self.engines.encoder.warm({"pixels": (batch, size_px, size_px, 3)})
        self.engines.decoder.warm({"latent": (batch, channels, side, side)})
        given = self.backbone.given(words.prompt, self.backbone.usual_t, side, {})
        shapes: dict[str, tuple[int, ...]] = {"latent": (rows, channels, side, side)}
        shapes |= {name: (rows, *tensor.shape[1:]) for name, tensor in given.items()}
        for way in (kit, *([kit.shortcut.kit] if kit.shortcut else ())):
            further: dict[str, tuple[int, ...]] = {}
            for add_on in way.add_ons:
                further |= add_on.shapes(rows, side)
            way.engine.warm(shapes | further)
        self._warmed.add((batch, rows, size_px, kit.number))

    def is_warm(self, batch: int, rows: int, size_px: int, kit: Kit) -> bool:
        """Tell whether `warm` would have nothing to do."""
        return not kit.engine.info.builds or (batch, rows, size_px, kit.number) in self._warmed

    def build(self, work: Callable[[], T]) -> Future[T]:
        """Run what takes long on the builder's thread, one after the other.

        Raises SessionError once the painter is closed.
        """
        try:
            return self._builder.submit(work)
        except RuntimeError as error:
            raise SessionError("The painter is closed.", hint="Start a new session.") from error

    def kit(self, key: Hashable, additions: Callable[[], Additions]) -> Kit:
        """Return the kit of `key`, made at first use; on the builder's thread. See `KitShelf.get`."""
        return self.kits.get(key, additions)

    def refusal(self, size_px: int) -> ConfigError | None:
        """Return why the model cannot paint pictures of this side; None when it can."""
        if size_px % self.multiple_px == 0:
            return None
        return ConfigError(
            f"size_px = {size_px} does not fit this model.",
            hint=f"Its pictures' side must be a multiple of {self.multiple_px}.",
        )

    def blank(self, wish: Wish, size_px: int) -> tuple[Tensor, Tensor]:
        """Return the reference and the start of a frame that is painted from noise alone, (1, C, h, w) each.

        The start is such that the first step sees the noise itself, as text-to-image pipelines have it
        (save Euler's, see `NoiseLevels.starts_as_noise`).
        """
        import torch

        side = self.side(size_px)
        first = self.schedule(wish.steps, wish.strength, wish.t_index, wish.sampler, wish.adds_noise)[0]
        noise = self.noises.blended(wish.seeds, len(wish), side)[:1]
        pull = (1.0 - first.b) / first.a if first.a > 0 and self.levels.starts_as_noise else 0.0
        return torch.zeros_like(noise), pull * noise

    def close(self) -> None:
        """Give the engines' memory back. Twice does no harm."""
        self.book.close()
        self._builder.shutdown(wait=True, cancel_futures=True)
        self.kits.close()
        for engine in self.engines:
            engine.close()

    def _schedule(
        self, steps: int, strength: float, t_index: tuple[int, ...], sampler: str, adds_noise: bool
    ) -> Schedule:
        return self.levels.schedule(steps, strength, t_index=t_index, sampler=sampler, adds_noise=adds_noise)


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    if len(rows) == 1:
        return rows[0]
    import torch

    return torch.cat(list(rows))
