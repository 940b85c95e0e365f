"""Training examples: short windows cut out of made films, with the flow of each of their pairs.

Films are drawn larger than what is cut out of them, so that things come in over the border and what a picture
shows is as coarse as in films of a webcam's size. Truth is exact everywhere, so hidden things are learnt too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from training.flow.scenes import Film, Ranges, film

FRAMES = 3
"""Of a window."""
SMALL, LARGE = (192, 128), (320, 224)
"""Width and height of windows: most is learnt on small ones; large ones teach what a whole picture looks like."""
SMALL_COUNT, LARGE_COUNT, EARLY_COUNT = 2, 1, 4
"""Windows of a step."""
WIDER = ((1.0, 1.5, 2.0), (1.0, 1.4, 1.8))
"""By how much a film is wider than a window, small or large; the first is not cut."""
KINDS = (
    Ranges(things=(0, 7), sides=(0.1, 0.4)),
    Ranges(fastest_px=20, pan_px=14, turn_deg=4, growth=0.03, things=(1, 7), sides=(0.1, 0.4)),
    Ranges(fastest_px=45, pan_px=30, turn_deg=3, growth=0.03, things=(1, 8), sides=(0.1, 0.4)),
)
"""As before a webcam; hurried; and as two cameras side by side see things."""
KIND_CHANCES = (0.5, 0.32, 0.18)
YOUNG, ENDING = 0.15, 0.05
"""Chances of a window whose first frame stands for the one before it too, and of one whose last is repeated."""
SHAKEN, SHAKEN_EARLY, SHAKEN_PX = 0.25, 0.8, 32
"""Chance of a camera that is shaken, by up to so much: without it cells learn that they stay where they are."""
RELIT = 0.3
"""Chance of frames that are not lit alike."""
MOST_SEED = 800_000
"""The benchmark's films have seeds from 900 000 on."""


class Windows(NamedTuple):
    """Hold windows and their truth."""

    frames_BT3HW: torch.Tensor
    """RGB, 0 to 255."""
    flow_BS2HW: torch.Tensor


def draw(seed: Sequence[int], is_large: bool = False, is_early: bool = False) -> Windows:
    """Draw the windows of one step. The same seed gives the same ones."""
    cv2.setNumThreads(1)  # threads of its own would not live in another process
    rng = np.random.default_rng(seed)
    size, count = (LARGE, LARGE_COUNT) if is_large else (SMALL, EARLY_COUNT if is_early else SMALL_COUNT)
    shaken = SHAKEN_EARLY if is_early else SHAKEN
    each = count // 2 if is_early else 1
    drawn = [one for _ in range(count // each) for one in _windows(rng, size, float(rng.choice(WIDER[is_large])), shaken, each)]
    frames, flows = (np.stack(part) for part in zip(*drawn, strict=True))
    return Windows(
        torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float(),
        torch.from_numpy(flows).permute(0, 1, 4, 2, 3).contiguous(),
    )


def _windows(
    rng: np.random.Generator, size: tuple[int, int], wider: float, shaken: float, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows of one film: frames (T, H, W, 3) uint8 and their flows (T - 1, H, W, 2)."""
    ranges = KINDS[rng.choice(len(KINDS), p=KIND_CHANCES)]
    whole = (round(size[0] * wider), round(size[1] * wider))
    one = film(int(rng.integers(MOST_SEED)), whole, FRAMES, ranges=ranges)
    for _ in range(count):
        yield _cut(rng, one, np.array(whole) - size, size, shaken)


def _cut(rng: np.random.Generator, one: Film, spare: np.ndarray, size: tuple[int, int], shaken: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a window of a film that is larger by `spare`."""
    corner = rng.integers(0, spare + 1)
    shake = rng.integers(-SHAKEN_PX, SHAKEN_PX + 1, (FRAMES, 2)) * (rng.random() < shaken)
    corners_T2 = np.clip(corner + shake, 0, spare)
    cuts = [np.s_[top : top + size[1], left : left + size[0]] for left, top in corners_T2]
    frames = np.stack([one.pixels_THW3[t][cut] for t, cut in enumerate(cuts)])
    gone = np.diff(corners_T2, axis=0).astype(np.float32)
    flow = np.stack([one.flow_THW2[t][cut] - gone[t] for t, cut in enumerate(cuts[:-1])])
    frames, flow = _flipped(rng, frames, flow)
    frames, flow = _repeated(rng, frames, flow)
    return np.ascontiguousarray(_relit(rng, frames)), np.ascontiguousarray(flow)


def _flipped(rng: np.random.Generator, frames: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror a window in both directions, each with an even chance; its flow turns with it."""
    for axis, part in ((2, 0), (1, 1)):
        if rng.random() < 0.5:
            frames, flow = np.flip(frames, axis), np.flip(flow, axis).copy()
            flow[..., part] *= -1
    return frames, flow


def _repeated(rng: np.random.Generator, frames: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let some windows be as at a stream's beginning, (a, a, b), or at a film's end, (a, b, b)."""
    chance = rng.random()
    still = np.zeros_like(flow[:1])
    if chance < YOUNG:
        return np.concatenate([frames[:1], frames[:-1]]), np.concatenate([still, flow[:-1]])
    if chance < YOUNG + ENDING:
        return np.concatenate([frames[:-1], frames[-2:-1]]), np.concatenate([flow[:-1], still])
    return frames, flow


def _relit(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """Let some windows be lit otherwise from frame to frame, as by two cameras or by one that adapts."""
    if rng.random() >= RELIT:
        return frames
    gains, lifts = rng.uniform(0.9, 1.1, len(frames)), rng.uniform(-8, 8, len(frames))
    return np.stack(
        [cv2.convertScaleAbs(np.ascontiguousarray(one), alpha=a, beta=b) for one, a, b in zip(frames, gains, lifts, strict=True)]
    )


Asked = tuple[int, bool, bool]
"""Number of the step, and whether its windows are large, and early ones."""


class Draws(torch.utils.data.Dataset[Windows]):
    """Draw the windows of a step, in a process of its own."""

    def __getitem__(self, index: Asked) -> Windows:
        return draw((1, index[0]), *index[1:])


def ahead(indices: Iterator[Asked]) -> Iterator[Windows]:
    """Yield the windows of each step; another process draws them meanwhile, at a lower priority."""
    return iter(
        torch.utils.data.DataLoader(Draws(), batch_size=None, sampler=indices, num_workers=1, prefetch_factor=6, worker_init_fn=_humble)
    )


def _humble(_: int) -> None:
    import os

    os.nice(10)
