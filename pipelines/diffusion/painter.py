"""A loaded model, ready to paint: engines, scales and noise levels. It holds no frame of anyone.

Sessions share it. Everything here is either fixed for the model or a pure function of its arguments that is
remembered (noise by seed, schedules by steps and strength, time embeddings by prompt and timestep).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from realtime.core.errors import ConfigError, SessionError
from realtime.core.frame import Stamp

from .embedding import Embedding, Words
from .guidance import Guidance
from .kits import Engine, Kit, Row
from .levels import Levels
from .noise import Noises, Seeds
from .pictures import Pixels, to_numbers, to_pixels
from .prompts import PromptBook
from .schedule import Schedule
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import EngineInfo
    from pipelines.engines.networks import Extension

    from .features import Additions
    from .text import TextSide

T = TypeVar("T")
KEPT_SCHEDULES = 256


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


@dataclass(frozen=True, slots=True)
class Wish:
    """Say which noise levels and which noise a frame is painted with; the newest wish of its session."""

    steps: int = 1
    strength: float = 0.5
    t_index: tuple[int, ...] = ()
    """Exact noise levels, 0 (noisiest) to 49, rising; in place of `steps` and `strength` where given."""
    sampler: str = ""
    """"lcm", "tcd" or "ddim"; "" is the model's own."""
    adds_noise: bool = True
    """Whether later steps get fresh noise."""
    seeds: Seeds = field(default_factory=Seeds)

    def __len__(self) -> int:
        return len(self.t_index) or self.steps


class Painter:
    """Encode, denoise and decode for any number of sessions, from one thread at a time."""

    def __init__(
        self,
        *,
        size_px: int,
        multiple_px: int,
        latents: Latents,
        engines: Engines,
        levels: Levels,
        text: TextSide,
        time: Callable[[Embedding, float], Tensor],
        extend: Callable[[Sequence[Extension]], Engine],
    ) -> None:
        self.size_px = size_px
        """Side of the pictures that it was loaded for; others may be painted too."""
        self.multiple_px = multiple_px
        """What a picture's side must be a multiple of."""
        self.latents = latents
        self.engines = engines
        self.plain = Kit(engines.unet)
        self.levels = levels
        self.prediction = levels.prediction
        self.text = text
        self.book = PromptBook(text.embed)
        self.device = engines.unet.info.device
        self.noises = Noises(latents.channels, self.device)
        self.schedule = lru_cache(KEPT_SCHEDULES)(self._schedule)
        self._time = time
        self._extend = extend
        self._kits: dict[Hashable, Kit] = {}
        self._warmed: set[tuple[int, int, int, Kit]] = set()
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
        raw = self.engines.encoder.run(picture=to_numbers(pictures))["latent"]
        return (raw - self.latents.shift) * self.latents.scale

    def decode(self, latent_BCHW: Tensor) -> list[Pixels]:
        """Return the pictures of scaled latents."""
        raw = latent_BCHW / self.latents.scale + self.latents.shift
        return to_pixels(self.engines.decoder.run(latent=raw)["picture"])

    def denoise(self, rows: Sequence[Row]) -> Tensor:
        """Run the network on rows of one kit and shape; the result may be overwritten by the next call."""
        kit = rows[0].trajectory.kit or self.plain
        return kit.run(
            rows,
            latent=_stacked([row.trajectory.latent_1CHW for row in rows]),
            emb=_stacked([self.time_row(row.embedding, row.trajectory.step.t) for row in rows]),
            context=_stacked([row.embedding.context_1TD for row in rows]),
        )

    def time_row(self, embedding: Embedding, t: float) -> Tensor:
        """Return what the network's blocks are told about timestep and prompt, (1, E)."""
        row = embedding.time_rows.get(t)
        if row is None:
            row = embedding.time_rows[t] = self._time(embedding, t).to(self.device)
        return row

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
        extras: Mapping[str, Any] | None = None,
        version: int = 0,
        features: Any = None,
    ) -> Trajectory:
        """Return the trajectory of a frame whose latent is `reference_1CHW`.

        `painted` (default: what the model makes of the strength) is the share that is painted in the end.
        """
        return Trajectory(
            stamp,
            session,
            self.schedule(wish.steps, wish.strength, wish.t_index, wish.sampler, wish.adds_noise),
            self.noises.blended(wish.seeds, len(wish), int(reference_1CHW.shape[-1])),
            reference_1CHW,
            words,
            guidance,
            self.levels.painted(wish.strength) if painted is None else painted,
            start_1CHW,
            kit,
            extras or {},
            version,
            features,
        )

    def warm(self, batch: int, rows: int, size_px: int | None = None, kit: Kit | None = None) -> None:
        """Build what `batch` pictures and `rows` rows of the network in one call need at `size_px`, once.

        On the builder's thread once a session runs, so that the lane does not wait.
        """
        size_px = size_px or self.size_px
        side, channels, kit = self.side(size_px), self.latents.channels, kit or self.plain
        if (batch, rows, size_px, kit) in self._warmed:
            return
        words = self.book.words("", "")
        emb, context = self.time_row(words.prompt, 1), words.prompt.context_1TD
        self.engines.encoder.warm({"picture": (batch, 3, size_px, size_px)})
        self.engines.decoder.warm({"latent": (batch, channels, side, side)})
        shapes = {
            "latent": (rows, channels, side, side),
            "emb": (rows, emb.shape[1]),
            "context": (rows, *context.shape[1:]),
        }
        for add_on in kit.add_ons:
            shapes |= add_on.shapes(rows, side)
        kit.engine.warm(shapes)
        self._warmed.add((batch, rows, size_px, kit))

    def is_warm(self, batch: int, rows: int, size_px: int, kit: Kit) -> bool:
        """Tell whether `warm` would have nothing to do."""
        return not kit.engine.info.builds or (batch, rows, size_px, kit) in self._warmed

    def build(self, work: Callable[[], T]) -> Future[T]:
        """Run what takes long on the builder's thread, one after the other.

        Raises SessionError once the painter is closed.
        """
        try:
            return self._builder.submit(work)
        except RuntimeError as error:
            raise SessionError("The painter is closed.", hint="Start a new session.") from error

    def kit(self, key: Hashable, additions: Callable[[], Additions]) -> Kit:
        """Return the kit of `key`, made at first use; `additions` returns what it adds to the plain network.

        On the builder's thread.
        """
        if key not in self._kits:
            added = additions()
            engine = self._extend(added.extensions) if added.extensions else self.plain.engine
            plain = not added.extensions and not added.add_ons
            self._kits[key] = self.plain if plain else Kit(engine, added.add_ons)
        return self._kits[key]

    def known_kit(self, key: Hashable) -> Kit | None:
        """Return the kit of `key` if it has been made. From any thread."""
        return self._kits.get(key)

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

        The start is such that the first step sees the noise itself, as text-to-image pipelines have it.
        """
        import torch

        side = self.side(size_px)
        first = self.schedule(wish.steps, wish.strength, wish.t_index, wish.sampler, wish.adds_noise)[0]
        noise = self.noises.blended(wish.seeds, len(wish), side)[:1]
        pull = (1.0 - first.b) / first.a if first.a > 0 else 0.0
        return torch.zeros_like(noise), pull * noise

    def close(self) -> None:
        """Give the engines' memory back. Twice does no harm."""
        self.book.close()
        self._builder.shutdown(wait=True, cancel_futures=True)
        for kit in self._kits.values():
            kit.close()
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
