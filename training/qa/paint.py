"""Draw worlds: noisy frames with a background that drifts. The same code runs on a processor and on a GPU."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from .words import COLOURS, SHAPES
from .world import SIDE

ANGLES = 256
RGB: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 40), "orange": (250, 140, 20), "yellow": (245, 230, 50), "green": (40, 180, 60),
    "cyan": (50, 215, 225), "blue": (40, 70, 225), "purple": (165, 50, 205), "white": (245, 245, 245),
}  # fmt: skip


def _outline(shape: str) -> np.ndarray:
    """Return how far the edge is at each angle, for a thing of radius 1, (ANGLES,)."""
    at = np.arange(ANGLES) * 2 * math.pi / ANGLES
    if shape == "square":
        return 0.86 / np.maximum(abs(np.cos(at)), abs(np.sin(at)))
    if shape == "triangle":
        return 0.58 / np.cos((at + math.pi / 2) % (2 * math.pi / 3) - math.pi / 3)
    if shape == "star":
        part = abs((at + math.pi / 2) % (2 * math.pi / 5) - math.pi / 5) / (math.pi / 5)
        return 0.42 + 0.72 * part**1.5
    if shape == "cross":
        along, across = np.maximum(abs(np.cos(at)), abs(np.sin(at))), np.minimum(abs(np.cos(at)), abs(np.sin(at)))
        return np.minimum(1.05 / along, 0.33 / np.maximum(across, 1e-6))
    return np.ones(ANGLES)


@cache
def _tables(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outlines (shapes, ANGLES), the radius of what is empty inside (shapes,), and colours (colours, 3)."""
    outlines = torch.tensor(np.stack([_outline(shape) for shape in SHAPES]), dtype=torch.float32)
    inside = torch.tensor([0.55 if shape == "ring" else -1.0 for shape in SHAPES])
    colours = torch.tensor([RGB[colour] for colour in COLOURS], dtype=torch.float32)
    return outlines.to(device), inside.to(device), colours.to(device)


def backgrounds(clips: int, frames: int, draws: torch.Generator, device: str = "cpu") -> torch.Tensor:
    """Return what is behind things, (clips, frames, 3, SIDE, SIDE): muted, cloudy, slowly changing."""
    kw = {"generator": draws, "device": device}
    level = 25 + 90 * torch.rand(clips, 1, 1, 1, **kw)
    tint = level + 14 * torch.randn(clips, 3, 1, 1, **kw)
    clouds = torch.randn(2, clips, 3, 4, 4, **kw) * (4 + 14 * torch.rand(clips, 1, 1, 1, **kw))
    clouds = torch.nn.functional.interpolate(clouds.flatten(0, 1), size=(SIDE, SIDE), mode="bicubic").unflatten(0, (2, clips))
    share = torch.linspace(0, 1, frames, device=device)[None, :, None, None, None]
    flicker = 3 * torch.randn(clips, frames, 1, 1, 1, **kw)
    return tint[:, None] + clouds[0][:, None] * (1 - share) + clouds[1][:, None] * share + flicker


def paint(thing_BTK: torch.Tensor, drawn_BTK4: torch.Tensor, behind_BT3HW: torch.Tensor, noise_B: torch.Tensor,
          draws: torch.Generator) -> torch.Tensor:  # fmt: skip
    """Return frames, (B, T, 3, SIDE, SIDE), whole numbers from 0 to 255 as float32.

    `noise_B` is the standard deviation of the noise in each clip, 0 to 255.
    """
    device = str(thing_BTK.device)
    outlines, inside, colours = _tables(device)
    picture = behind_BT3HW
    line = torch.arange(SIDE, device=device, dtype=torch.float32) + 0.5
    for slot in range(thing_BTK.shape[2]):
        thing = thing_BTK[:, :, slot].long()
        shape, colour = thing.clamp(min=0) // len(COLOURS), thing.clamp(min=0) % len(COLOURS)
        x, y, radius, turn = drawn_BTK4[:, :, slot, :, None, None].unbind(2)
        dx, dy = line[None, None, None, :] - x, line[None, None, :, None] - y
        angle = ((torch.atan2(dy, dx) + turn) * (ANGLES / (2 * math.pi))).long() % ANGLES
        far = (dx * dx + dy * dy).sqrt()
        edge = outlines[shape[:, :, None, None], angle] * radius
        hole = inside[shape][:, :, None, None] * radius
        cover = (edge - far + 0.5).clamp(0, 1) * (far - hole + 0.5).clamp(0, 1) * (thing >= 0)[:, :, None, None]
        picture = picture + cover[:, :, None] * (colours[colour][..., None, None] - picture)
    noise = torch.randn(picture.shape, generator=draws, device=device) * noise_B[:, None, None, None, None]
    return (picture + noise).round().clamp(0, 255)


def film(thing_TK: np.ndarray, drawn_TK4: np.ndarray, seed: int, piece: int = 256) -> np.ndarray:
    """Return the frames of one long stream, (T, SIDE, SIDE, 3) uint8; drawn piece by piece on the processor."""
    draws = torch.Generator().manual_seed(seed)
    noise = 4 + 8 * torch.rand(1, generator=draws)
    last, made = backgrounds(1, 1, draws), []
    for begin in range(0, len(thing_TK), piece):
        part = slice(begin, begin + piece)
        goal, count = backgrounds(1, 1, draws), len(thing_TK[part])
        share = (torch.arange(count) / piece)[None, :, None, None, None]
        behind = last * (1 - share) + goal * share + 3 * torch.randn(1, count, 1, 1, 1, generator=draws)
        things, drawn = torch.from_numpy(thing_TK[part])[None], torch.from_numpy(drawn_TK4[part])[None]
        made.append(paint(things, drawn, behind, noise, draws)[0].to(torch.uint8).permute(0, 2, 3, 1).numpy())
        last = goal
    return np.concatenate(made)
