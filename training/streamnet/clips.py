"""Training examples: short films with what is to be said at each frame.

The frames of a clip lie 1 to 4 frames of the world apart, and what is asked for is where things are one such
distance later. So the network learns "as much again as between these frames", whatever that is in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from perception.nets.streamnet.loss import Truth

from training.streamnet.world import Film, film

FRAMES, PAST = 7, 3
"""Frames of a clip that are encoded, and how many before the current one the network sees."""
SMALL = ((128, 72), (128, 96), (96, 96), (72, 128))
LARGE = ((192, 108), (192, 144), (160, 160), (108, 192))
"""Width and height of pictures; the network's sides are the next multiples of 32. Small ones come first."""
CLOSER = 1.5
"""In small pictures things are so much larger and faster, by the picture's side: in px they are alike."""
CHANCES = (0.55, 0.2, 0.15, 0.1)
EVERY = (1, 2, 3, 4)
EVERY_CHANCES = (0.4, 0.25, 0.15, 0.2)
GLIMPSED = 0.1
"""Share of a thing that must be visible now for its box of the next step to be asked for."""
GREY = 114


@dataclass(slots=True)
class Clips:
    """Hold pictures (F, 3, H, W) BGR, 0 to 255, and predictions to be made of them, P in number."""

    pictures_F3HW: torch.Tensor
    now_P: torch.Tensor
    """The place of the current picture."""
    past_KP: torch.Tensor
    """The places of the pictures before, newest first."""
    truths: list[Truth]


def padded(pixels_THW3: np.ndarray) -> torch.Tensor:
    """Return RGB pictures as the network takes them: BGR floats, grey below and right, (T, 3, H, W)."""
    count, height, width = pixels_THW3.shape[:3]
    out = np.full((count, -(-height // 32) * 32, -(-width // 32) * 32, 3), GREY, np.uint8)
    out[:, :height, :width] = pixels_THW3[..., ::-1]
    return torch.from_numpy(out).permute(0, 3, 1, 2).float()


def truth(one: Film, now: int, then: int) -> Truth:
    """Return what is to be said at frame `now`: where things are at frame `then`."""
    asked = np.array([n for n in one.shown(then) if one.visible_TN[now, n] >= GLIMPSED], int)
    return Truth(_middles(one.boxes_TN4[then, asked]), torch.from_numpy(one.kinds_N[asked]), _middles(one.boxes_TN4[now, one.shown(now)]))


def _middles(ltrb_N4: np.ndarray) -> torch.Tensor:
    low, high = ltrb_N4[:, :2], ltrb_N4[:, 2:]
    return torch.from_numpy(np.concatenate([(low + high) / 2, high - low], 1)).float().reshape(-1, 4)


def asked(rng: np.random.Generator) -> list[tuple[int, tuple[int, ...], int]]:
    """Return the predictions of a clip: the current frame, those before it, and the frame that is asked for.

    Full histories, one from a stream's beginning (where the oldest frame stands in for those before it), and
    one of a picture that stands still, for which the answer is the present.
    """
    full = [(p, (p - 1, p - 2, p - 3), p + 1) for p in range(PAST, FRAMES)]
    early = int(rng.integers(1, PAST))
    still = int(rng.integers(0, FRAMES))
    return [*full, (early, tuple(max(early - k, 0) for k in (1, 2, 3)), early + 1), (still, (still,) * PAST, still)]


def draw(seed: Sequence[int], count: int, large: float = 0.5) -> Clips:
    """Draw `count` clips of one size, a large one with the chance `large`. The same seed gives the same clips."""
    rng = np.random.default_rng(seed)
    is_large = rng.random() < large
    size = (LARGE if is_large else SMALL)[rng.choice(len(CHANCES), p=CHANCES)]
    how = {"closer": 1.0, "most": 16} if is_large else {"closer": CLOSER, "most": 10}
    pictures, now, past, truths = [], [], [], []
    for k in range(count):
        one = film(rng, size, FRAMES + 1, every=int(rng.choice(EVERY, p=EVERY_CHANCES)), **how)
        pictures.append(padded(one.pixels_THW3[:FRAMES]))
        for current, before, then in asked(rng):
            now.append(k * FRAMES + current)
            past.append([k * FRAMES + one_before for one_before in before])
            truths.append(truth(one, current, then))
    return Clips(torch.cat(pictures), torch.tensor(now), torch.tensor(past).T, truths)
