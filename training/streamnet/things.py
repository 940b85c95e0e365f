"""The things of the drawn worlds: outlines that a person can name, and skins to paint them with."""

from __future__ import annotations

import cv2
import numpy as np

NAMES = ("ball", "box", "triangle", "star", "ring", "cross")
"""What the detector is to tell apart, in the order of its classes."""
SKIN_PX = 64


def _circle(radius: float, count: int = 40) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], -1)


def _spokes(radii: tuple[float, ...]) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) - np.pi / 2
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)


def outline(kind: int) -> list[np.ndarray]:
    """Return the contours of a kind, (P, 2) each, within the unit circle; a second one is a hole."""
    name = NAMES[kind]
    if name == "ball":
        return [_circle(1.0)]
    if name == "ring":
        return [_circle(1.0), _circle(0.55)]
    if name == "box":
        return [0.8 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)]
    if name == "triangle":
        return [_spokes((1.0,) * 3)]
    if name == "star":
        return [_spokes((1.0, 0.42) * 5)]
    a, b = 0.95, 0.33
    return [np.array([(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)])]


def area(contours: list[np.ndarray]) -> float:
    """Return what the contours enclose, without the hole."""
    sizes = [abs(cv2.contourArea(one.astype(np.float32))) for one in contours]
    return sizes[0] - sum(sizes[1:])


def skin(rng: np.random.Generator, photos: list[np.ndarray]) -> np.ndarray:
    """Return (SKIN_PX, SKIN_PX, 3) float32, 0 to 255: a colour, perhaps shaded, striped, or with a photo on it."""
    base, second = rng.uniform(0, 255, (2, 3))
    y, x = (np.mgrid[:SKIN_PX, :SKIN_PX] / (SKIN_PX - 1) * 2 - 1).astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    mix = np.zeros_like(x)
    how = rng.random()
    if how < 0.25:
        mix = (along + 1) / 2
    elif how < 0.4:
        mix = (np.sin(along * rng.uniform(4, 12)) > 0).astype(np.float32)
    elif how < 0.5:
        mix = ((np.sin(x * 9) > 0) ^ (np.sin(y * 9) > 0)).astype(np.float32)
    painted = base + (second - base) * mix[..., None]
    if rng.random() < 0.25 and photos:
        photo = photos[rng.integers(len(photos))]
        top, left = (int(rng.integers(0, side - SKIN_PX)) for side in photo.shape[:2])
        piece = photo[top : top + SKIN_PX, left : left + SKIN_PX].astype(np.float32)
        painted = 0.5 * painted + 0.5 * piece
    if rng.random() < 0.6:  # light from one side, as on something round
        light = np.clip(1.15 - 0.6 * np.hypot(x + 0.35, y + 0.4), 0.35, 1.2)
        painted = painted * light[..., None]
    return np.clip(painted, 0, 255).astype(np.float32)
