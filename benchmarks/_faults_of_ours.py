"""Try on our painter what the reference fails at: each function returns whether it shows, and what it saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from benchmarks._models import model_folder
from benchmarks._ours import Ours, Stream
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.stream_batch import tick
from pipelines.diffusion.trajectory import Trajectory
from realtime.core.clock import MonotonicClock
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

SAME = 2e-4
"""Latents (std about 1) that differ by less are the same."""
STAGE_PX = 192
"""The least size that the settings have; the weights serve any."""
Shown = tuple[bool, str]


def picture(seed: int, size_px: int, lowest: int = 0) -> np.ndarray:
    """Return a picture of 64 flat fields, (H, W, 3) uint8."""
    coarse = np.random.default_rng(1000 + seed).integers(lowest, 256, (8, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(size_px // 8, 0).repeat(size_px // 8, 1))


def made(
    ours: Ours, t_index_list: Sequence[int], mode: str, scale: float = 1.5, delta: float = 1.0
) -> Stream:
    """Return a stream as the reference's demonstrations have it."""
    return ours.prepare(
        t_index_list, mode, scale=scale, delta=delta, seed=5, prompt="a harbour", negative="text"
    )


def latents(ours: Ours, stream: Stream, *pictures: np.ndarray) -> list[torch.Tensor]:
    """Feed pictures one a tick; return the finished latents."""
    return [one.latent_1CHW for pixels in pictures for one in ours.latents([stream], [pixels])[0]]


def differ(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference."""
    return float((one - other).abs().max())


@dataclass
class Studio:
    """Open stages of the app that share one painter, as sessions of one server do."""

    shared: dict[str, Any] = field(default_factory=dict)

    def stage(self, **settings: Any) -> tuple[PaintStage, PaintConfig]:
        config = PaintConfig(
            model=str(model_folder()), engine="torch", precision="fp32", size_px=STAGE_PX, skip_still=False,
            **settings,
        )  # fmt: skip
        stage = PaintStage()
        stage.configure(config)
        stage.open(StageContext("faults", MonotonicClock(), self._share))
        return stage, config

    def _share(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]


def painted(stage: PaintStage, seq: int, seed: int) -> list[np.ndarray]:
    """Give the stage a frame; return the pictures that are finished."""
    frame = Frame(Stamp("faults", seq, seq, Fraction(1, 30), 0), picture(seed, STAGE_PX))
    return [emitted.value.pixels for emitted in stage.process(frame)]


def one_step_self(ours: Ours) -> Shown:
    stream, pixels = made(ours, [0], "self", scale=1.2), picture(0, ours.painter.size_px)
    found = [latents(ours, stream, pixels)[0] for _ in range(60)]
    finite = all(bool(torch.isfinite(one).all()) for one in found)
    return not finite or differ(found[0], found[-1]) > SAME, (
        f"60 frames finite {finite}, the last {differ(found[0], found[-1]):.0e} from the first"
    )


def two_frames_a_call(ours: Ours, mode: str, t_index_list: Sequence[int]) -> Shown:
    stream, alone = made(ours, t_index_list, mode), made(ours, t_index_list, mode)
    pair = [picture(seed, ours.painter.size_px) for seed in (0, 1)]
    finished: list[Trajectory] = []
    with torch.inference_mode():
        for _ in range(len(t_index_list)):
            for latent_1CHW in ours.painter.encode(pair).split(1):
                stream.batch.admit(stream.start(latent_1CHW))
            finished += [one for one in tick(ours.painter, [stream.batch])[0] if isinstance(one, Trajectory)]
    off = [
        differ(one.latent_1CHW, ours.latent_alone(alone, own))
        for one, own in zip(finished, pair, strict=True)
    ]
    return max(off) > SAME, f"two pictures a call, each {max(off):.0e} from the one painted alone"


def prompt_changes(ours: Ours) -> Shown:
    off, moved = [], []
    for mode in ("full", "initialize"):
        stream, pixels = made(ours, [16, 32], mode), picture(0, ours.painter.size_px)
        before = ours.latent_alone(stream, pixels)
        latents(ours, stream, pixels)
        stream.prompt = "a library"
        after = ours.latent_alone(stream, pixels)
        first, second = latents(ours, stream, pixels, pixels)
        off += [differ(first, before), differ(second, after)]
        moved.append(differ(before, after))
    return max(off) > SAME or min(moved) < SAME, (
        f"the frame in flight ends with its prompt, the next has the new one, {max(off):.0e} from painted "
        f"alone; the two prompts are {min(moved):.2f} apart"
    )


def scale_one(ours: Ours) -> Shown:
    pixels = picture(0, ours.painter.size_px)
    plain = ours.latent_alone(made(ours, [32], "none"), pixels)
    off = [
        differ(ours.latent_alone(made(ours, [32], mode, scale=1.0), pixels), plain)
        for mode in ("full", "initialize", "self")
    ]
    return max(off) > SAME, f"{max(off):.0e} from the picture without guidance, as it should be"


def sequential_guidance(ours: Ours) -> Shown:
    pixels, off, moved = picture(0, ours.painter.size_px), [], 0.0
    for mode in ("full", "self"):
        stream = made(ours, [16, 32], mode)
        off.append(differ(latents(ours, stream, pixels, pixels)[0], ours.latent_alone(stream, pixels)))
    with_delta = [ours.latent_alone(made(ours, [16, 32], "self", delta=d), pixels) for d in (1.0, 0.0)]
    moved = differ(*with_delta)
    return max(off) > SAME or moved < SAME, (
        f"full and self are {max(off):.0e} from the batch; delta 0 or 1 makes {moved:.2f}"
    )


def sequential_noise(ours: Ours) -> Shown:
    stream, pixels = made(ours, [0, 32], "none"), picture(0, ours.painter.size_px)
    side = ours.painter.side(ours.painter.size_px)
    noise = ours.painter.noises.blended(stream.wish.seeds, 2, side)
    before = noise.clone()
    found = [ours.latent_alone(stream, pixels) for _ in range(12)]
    after = ours.painter.noises.blended(stream.wish.seeds, 2, side)
    return not torch.equal(before, after) or not torch.equal(found[0], found[-1]), (
        f"the noise is bit-equal {torch.equal(before, after)}, frame 12 is frame 1 "
        f"{torch.equal(found[0], found[-1])}"
    )


def new_settings(ours: Ours) -> Shown:
    studio = Studio()
    t_index = "16, 32"
    steady, _ = studio.stage(prompt="a harbour", seed=7, t_index=t_index)
    expected = [made for seq in range(3) for made in painted(steady, seq, 0)]
    stage, config = studio.stage(prompt="a harbour", seed=7, t_index=t_index)
    other, _ = studio.stage(prompt="a library", seed=8, t_index=t_index)
    found = painted(stage, 0, 0)
    painted(other, 0, 1)
    stage.configure(config.model_copy(update={"guidance": "full", "guidance_scale": 1.3}))
    found += painted(stage, 1, 0)
    stage.configure(config)
    found += painted(stage, 2, 0)
    found += painted(stage, 3, 0)
    count = len(found)
    off = int(np.abs(found[0].astype(np.int16) - expected[0]).max())
    changed = int(np.abs(found[1].astype(np.int16) - expected[0]).max())
    again = int(np.abs(found[2].astype(np.int16) - expected[0]).max())
    return count != 3 or off > 1 or again > 1 or changed <= 1, (
        f"{count} of 3 frames came out: the one in flight {off} levels from undisturbed, the one with new "
        f"settings {changed} levels away, the next with the old ones and the same seed {again} levels"
    )


def repeatable(ours: Ours) -> Shown:
    pixels = picture(0, ours.painter.size_px)
    frames = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        frames.append(ours.latent_alone(made(ours, [16, 32], "none"), pixels))
    studio = Studio()
    texts = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        stage, _ = studio.stage(prompt="a harbour", seed=5, t_index="0", start_from="noise")
        texts += painted(stage, 0, 0)
    same, same_text = torch.equal(*frames), bool(np.array_equal(texts[0], texts[1]))
    return not (same and same_text), f"bit-equal, whatever the global generator: {same}, {same_text}"


def bright_frame(ours: Ours) -> Shown:
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny.from_pretrained(str(model_folder() / "vae"), local_files_only=True).eval()
    pixels = picture(0, ours.painter.size_px, lowest=153)  # 0.2 to 1
    exact = torch.from_numpy(pixels.astype(np.float64) / 127.5 - 1).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        seen = ours.painter.encode([pixels])
        off = differ(seen, vae.encode(exact).latents * ours.painter.latents.scale)
    return off > SAME, f"its latent is {off:.0e} from that of the same frame in exact numbers"


def two_users(ours: Ours) -> Shown:
    steps = [0, 16, 32, 45]
    users = [made(ours, steps, "none") for _ in range(2)]
    own = [picture(user, ours.painter.size_px) for user in (0, 1)]
    alone = [ours.latent_alone(made(ours, steps, "none"), pixels) for pixels in own]
    off: list[float] = []
    for turn in range(12):
        user = turn % 2
        off += [differ(one, alone[user]) for one in latents(ours, users[user], own[user])]
    for _ in range(4):
        both = ours.latents(users, own)
        off += [differ(one.latent_1CHW, alone[user]) for user in (0, 1) for one in both[user]]
    apart = differ(*alone)
    return max(off) > SAME or apart < SAME, (
        f"{len(off)} answers, in turns and in one call, {max(off):.0e} from the own picture; the two are "
        f"{apart:.2f} apart"
    )


def without_cuda(ours: Ours) -> Shown:
    shown = ours.frame(made(ours, [32], "none"), picture(0, ours.painter.size_px))
    return len(shown) != 1, f"a frame is painted on {ours.painter.device}"


ATTEMPTS: dict[int, Callable[[Ours], Shown]] = {
    1: one_step_self,
    2: lambda ours: two_frames_a_call(ours, "none", [16, 32]),
    3: lambda ours: two_frames_a_call(ours, "initialize", [32]),
    4: prompt_changes,
    5: scale_one,
    6: sequential_guidance,
    7: sequential_noise,
    8: new_settings,
    9: repeatable,
    10: bright_frame,
    11: two_users,
    12: without_cuda,
}
