"""Our side of the comparison with the reference, behind the same few calls that the reference answers.

A frame is what the app's painter makes of one: pixels (H, W, 3) uint8 in, pixels out, by way of the encoder,
one tick of the stream batch and the decoder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._measure import Spent
from pipelines.diffusion.guidance import Guidance, Mode
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.noise import Seeds
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stream_batch import StreamBatch, advance, tick
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from realtime.core.frame import Stamp

OUR_NAME: Mapping[str, Mode] = {"none": "none", "full": "full", "self": "self", "initialize": "onetime"}
"""The modes of guidance: the reference's names, and ours."""
MODES = tuple(OUR_NAME)


@dataclass
class Stream:
    """Hold one session: what its frames are started with, and those in flight."""

    painter: Painter
    t_index_list: Sequence[int]
    mode: str
    scale: float
    delta: float
    seed: int
    prompt: str
    negative: str
    batch: StreamBatch = field(default_factory=StreamBatch)
    fed: int = 0

    def __post_init__(self) -> None:
        self.wish = Wish(t_index=tuple(self.t_index_list), seeds=Seeds(self.seed))
        self.guidance = Guidance(OUR_NAME[self.mode], self.scale, self.delta)

    def start(self, latent_1CHW: torch.Tensor) -> Trajectory:
        """Return the trajectory of a frame."""
        stamp = Stamp("benchmark", self.fed, self.fed, Fraction(1, 30), 0)
        self.fed += 1
        words = self.painter.book.words(self.prompt, self.negative)
        return self.painter.start(stamp, "benchmark", latent_1CHW, words, self.wish, self.guidance)


class Ours:
    """Hold one painter and any number of prepared streams of it."""

    def __init__(self, folder: Path, engine: str, precision: str, size_px: int) -> None:
        self.painter = load_painter(folder, engine=engine, precision=precision, size_px=size_px)
        self.name = f"{self.painter.info.backend} {self.painter.info.precision}"

    def prepare(
        self,
        t_index_list: Sequence[int],
        mode: str,
        *,
        scale: float,
        delta: float,
        seed: int,
        prompt: str,
        negative: str,
        users: int = 1,
    ) -> Stream:
        """Return a stream; have ready what its shapes need, also for `users` such streams in one call."""
        stream = Stream(self.painter, t_index_list, mode, scale, delta, seed, prompt, negative)
        rows = stream.guidance.row_count(len(t_index_list))
        with (
            torch.inference_mode()
        ):  # as frames are painted: an engine's buffers keep the mode they are born in
            self.painter.warm(1, rows)
            self.painter.warm(1, stream.guidance.row_count(1))  # for frames that go alone
            if users > 1:
                self.painter.warm(users, users * rows)
        return stream

    def splits(self, rows: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Return into which calls the painter splits so many rows now, by what it has measured."""
        key = self.painter.work_key(self.painter.plain, self.painter.side(self.painter.size_px))
        return {count: self.painter.costs.best_rows(key, count, explore=False) for count in rows}

    def run(self, stream: Stream, pictures: Sequence[np.ndarray], count: int) -> Spent:
        """Paint `count` frames with the stream batch; return what a frame took."""
        return timed(lambda k: self.frame(stream, pictures[k % len(pictures)]), stream.fed, count)

    def sequential(self, stream: Stream, pictures: Sequence[np.ndarray], count: int) -> Spent:
        """Paint `count` frames, the steps of each one after the other; return what a frame took."""
        return timed(lambda k: self.frame_alone(stream, pictures[k % len(pictures)]), stream.fed, count)

    def frame(self, stream: Stream, picture: np.ndarray) -> list[np.ndarray]:
        """Take a frame in, take one step of all in flight, return the pictures that are finished."""
        return self.frames([stream], [picture])[0]

    def frames(self, streams: Sequence[Stream], pictures: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Do that for several streams with one call of each network."""
        with torch.inference_mode():
            finished = self.latents(streams, pictures)
            ready = [one.latent_1CHW for ones in finished for one in ones]
            painted = iter(self.painter.decode(torch.cat(ready)) if ready else [])
        return [[next(painted) for _ in ones] for ones in finished]

    def latents(self, streams: Sequence[Stream], pictures: Sequence[np.ndarray]) -> list[list[Trajectory]]:
        """Do that up to the decoder: what is finished has its clean latent."""
        with torch.inference_mode():
            latents = self.painter.encode(pictures).split(1)
            for stream, latent_1CHW in zip(streams, latents, strict=True):
                stream.batch.admit(stream.start(latent_1CHW))
            finished = tick(self.painter, [stream.batch for stream in streams])
        return [[one for one in ones if isinstance(one, Trajectory)] for ones in finished]

    def latent_alone(self, stream: Stream, picture: np.ndarray) -> torch.Tensor:
        """Return the finished latent of one frame, its steps taken one after the other."""
        with torch.inference_mode():
            trajectory = stream.start(self.painter.encode([picture]))
            while not trajectory.is_finished:
                advance(self.painter, [trajectory])
            return trajectory.latent_1CHW

    def frame_alone(self, stream: Stream, picture: np.ndarray) -> list[np.ndarray]:
        """Return the picture of one frame, its steps taken one after the other."""
        with torch.inference_mode():
            return self.painter.decode(self.latent_alone(stream, picture))

    def unclamped(self, vae: Any, stream: Stream, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return what comes out for `pictures` before clamping, (frames, 3, H, W); n - 1 fewer than went in.

        `vae` is the folder's autoencoder as diffusers has it: our decoder clamps inside the engine.
        """
        finished = [one for picture in pictures for one in self.latents([stream], [picture])[0]]
        with torch.inference_mode():
            raw = torch.cat([one.latent_1CHW for one in finished]) / self.painter.latents.scale
            decoded: np.ndarray = vae.decode(raw).sample.numpy()
        return decoded


def timed(work: Callable[[int], object], first: int, count: int) -> Spent:
    """Call `work` with `count` numbers from `first` on; return what a call took."""
    began, cpu_began = time.perf_counter(), time.process_time()
    for k in range(first, first + count):
        work(k)
    return Spent((time.perf_counter() - began) / count, (time.process_time() - cpu_began) / count)
