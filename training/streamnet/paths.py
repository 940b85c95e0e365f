"""How things and the camera move. Lengths are shares of the picture's longer side, times are frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SLOWEST, FASTEST = 0.003, 0.05
"""Speeds, a frame. A thousandth of 256 px is a quarter of a pixel."""


@dataclass(slots=True)
class Path:
    """Where the middle of a thing is at each frame, (T, 2), and how it turns and grows."""

    places_T2: np.ndarray
    angles_T: np.ndarray
    sizes_T: np.ndarray
    """Radius."""


def path(rng: np.random.Generator, count: int, room: tuple[float, float], radius: float, closer: float = 1.0) -> Path:
    """Draw the path of a thing of that radius in a picture of `room` (width, height) for `count` frames.

    It stands still, or goes straight, ever faster or slower, along a curve, or falls; at walls it is thrown
    back. The walls are the picture's edges for some, and lie outside for the others, which leave and come back.
    """
    inside = rng.random() < 0.5
    low = np.full(2, 0.9 * radius if inside else -1.3 * radius)
    high = np.maximum(np.array(room) - low, low + 1e-3)
    place = rng.uniform(low, high)
    speed = closer * np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST)))
    if rng.random() < 0.12:
        speed = 0.0
    turn = rng.uniform(0, 2 * np.pi)
    velocity = speed * np.array([np.cos(turn), np.sin(turn)])
    how = rng.random()
    push = np.zeros(2)
    curve, limit = 0.0, 1.5 * closer * FASTEST
    if how < 0.2:
        push = rng.normal(0, 0.04, 2) * speed
    elif how < 0.45:
        curve = rng.normal(0, 0.08)
    elif how < 0.6:
        push = np.array([0.0, closer * rng.uniform(0.0005, 0.003)])
    rotation = np.array([[np.cos(curve), -np.sin(curve)], [np.sin(curve), np.cos(curve)]])
    places = np.empty((count, 2))
    for t in range(count):
        places[t] = place
        velocity = rotation @ velocity + push
        fast = np.hypot(*velocity)
        if fast > limit:
            velocity *= limit / fast
        place = place + velocity
        for axis in (0, 1):
            if place[axis] < low[axis]:
                place[axis], velocity[axis] = 2 * low[axis] - place[axis], abs(velocity[axis])
            elif place[axis] > high[axis]:
                place[axis], velocity[axis] = 2 * high[axis] - place[axis], -abs(velocity[axis])
        place = np.clip(place, low - 0.1, high + 0.1)
    spin = rng.normal(0, 0.04) if rng.random() < 0.5 else 0.0
    times = np.arange(count)
    waves = 1 + rng.uniform(0, 0.25) * np.sin(times * rng.uniform(0.02, 0.12) + rng.uniform(0, 6))
    sizes = radius * (waves if rng.random() < 0.4 else np.ones(count))
    return Path(places, rng.uniform(-0.6, 0.6) + spin * times, sizes)


@dataclass(slots=True)
class Camera:
    """What the camera does: shift in shares of the longer side, (T, 2), and zoom, (T,)."""

    shift_T2: np.ndarray
    zoom_T: np.ndarray


def camera(rng: np.random.Generator, count: int) -> Camera:
    """Draw a camera that stands, pans, zooms or is held by a hand."""
    shift, zoom = np.zeros((count, 2)), np.ones(count)
    times = np.arange(count)
    if rng.random() < 0.4:
        wide = rng.uniform(0.01, 0.08, 2)
        shift += wide * np.sin(times[:, None] * rng.uniform(0.01, 0.08, 2) + rng.uniform(0, 6, 2))
    if rng.random() < 0.2:
        zoom *= 1 + rng.uniform(0.02, 0.12) * np.sin(times * rng.uniform(0.01, 0.06) + rng.uniform(0, 6))
    if rng.random() < 0.25:
        shake = rng.normal(0, rng.uniform(0.0005, 0.003), (count, 2))
        for t in range(1, count):
            shake[t] += 0.7 * shake[t - 1]
        shift += shake
    return Camera(shift, zoom)
