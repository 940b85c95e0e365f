"""Figures of painted clips: flicker along the true motion, ghosts, sharpness, structure and look.

Pictures are squares (S, S, 3) of float32 in levels of 255. The first ones, while a painting settles, do not
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
SETTLES = 6
"""Pictures that are not counted."""
EDGE_PX = 4
"""Nor is a margin, where what is looked up needs what is outside."""
PATCH, EVERY, DIRECTIONS = 7, 5, 64
OCTAVES = 3


def square_of(map_HWn: Any, side: int) -> Any:
    """Return the painted square of a map of the camera's picture at another size; lengths stay."""
    height, width = map_HWn.shape[:2]
    short = min(height, width)
    left, top = (width - short) // 2, (height - short) // 2
    cut = np.ascontiguousarray(map_HWn[top : top + short, left : left + short], np.float32)
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)


def painted_flow(flow_HW2: Any, side: int) -> Picture:
    """Return a flow of the camera's picture as one of the painted square."""
    return np.asarray(square_of(flow_HW2, side) * np.float32(side / min(flow_HW2.shape[:2])), np.float32)


def along(picture: Picture, flow_SS2: Picture) -> Picture:
    """Return a picture moved along a flow."""
    y, x = np.mgrid[0 : len(picture), 0 : len(picture)].astype(np.float32)
    at_x, at_y = x + flow_SS2[..., 0], y + flow_SS2[..., 1]
    moved: Any = cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def counted(visible_HW: Any, flow_SS2: Picture) -> npt.NDArray[np.bool_]:
    """Return which points of the painted square were surely seen in the picture before."""
    side = len(flow_SS2)
    seen = np.asarray(square_of(visible_HW, side) > 0.999)
    seen = np.asarray(cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)), bool)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    at = np.stack([x, y], axis=-1) + flow_SS2
    return np.asarray(seen & (at >= EDGE_PX).all(-1) & (at <= side - 1 - EDGE_PX).all(-1))


def flicker(out: Sequence[Picture], flows_HW2: Sequence[Any], visible_HW: Sequence[Any]) -> float:
    """Return the mean change against the picture before moved along the true motion, in levels."""
    changes = []
    for k in range(SETTLES, len(out)):
        flow = painted_flow(flows_HW2[k], len(out[k]))
        seen = counted(visible_HW[k], flow)
        changes.append(float(np.abs(out[k] - along(out[k - 1], flow))[seen].mean()))
    return float(np.mean(changes))


def ghost(out: Sequence[Picture], clean: Sequence[Picture]) -> float:
    """Return which share of the picture before is left where it was: 0 for none, 1 for all of it.

    By least squares, how far the painting has gone from the one of the noiseless camera (`clean`) towards
    the one before that, all smoothed a little. 0 where nothing moves.
    """
    shared = all_of = 0.0
    for k in range(SETTLES, len(out)):
        now, before, seen = (cv2.GaussianBlur(one, (0, 0), 1.5) for one in (clean[k], clean[k - 1], out[k]))
        shared += float(((before - now) * (seen - now)).sum())
        all_of += float(((before - now) ** 2).sum())
    return shared / all_of if all_of else 0.0


def sharpness(out: Sequence[Picture]) -> float:
    """Return the root mean square slope of the grey picture, levels a pixel."""
    found = []
    for one in out[SETTLES:]:
        grey: Any = cv2.cvtColor(one, cv2.COLOR_RGB2GRAY)
        found.append(float((np.diff(grey, axis=0)[:, 1:] ** 2 + np.diff(grey, axis=1)[1:] ** 2).mean()))
    return float(np.sqrt(np.mean(found)))


def likeness(out: Sequence[Picture], other: Sequence[Picture]) -> float:
    """Return the structural similarity (Wang et al. 2004) of two clips, the mean over pictures."""
    from skimage.metrics import structural_similarity

    found = []
    for one, two in zip(out[SETTLES::3], other[SETTLES::3], strict=True):
        greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, two)]
        found.append(float(structural_similarity(*greys, data_range=255.0)))
    return float(np.mean(found))


def varies(out: Sequence[Picture], flows_HW2: Sequence[Any]) -> float:
    """Return the structural similarity of each picture to the one before moved along the true motion."""
    flows = [painted_flow(flow, len(out[0])) for flow in flows_HW2[1:]]
    return likeness(out, [out[0], *(along(one, flow) for one, flow in zip(out, flows, strict=False))])


def edges_kept(out: Sequence[Picture], cameras: Sequence[Picture]) -> float:
    """Return how the edges of the painting correlate with those of the noiseless camera picture."""
    found = []
    for one, camera in zip(out[SETTLES::3], cameras[SETTLES::3], strict=True):
        slopes = []
        for picture in (one, camera):
            grey: Any = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
            slopes.append(
                np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).ravel()
            )
        found.append(float(np.corrcoef(slopes[0], slopes[1])[0, 1]))
    return float(np.mean(found))


def look_apart(out: Sequence[Picture], other: Sequence[Picture]) -> float:
    """Return how far colours and textures of two clips are apart, whatever is where in them.

    Sliced Wasserstein distance between patches of 7 px of a Laplacian pyramid (Rabin et al. 2011; Karras et
    al. 2018), a share of the patches' own spread.
    """
    draw = np.random.default_rng(0)
    found = []
    for octave in range(OCTAVES):
        ways = draw.normal(size=(PATCH * PATCH * 3, DIRECTIONS)).astype(np.float32)
        ways /= np.linalg.norm(ways, axis=0)
        one, two = (np.sort(_patches(clip[SETTLES::4], octave) @ ways, axis=0) for clip in (out, other))
        found.append(float(np.abs(one - two).mean() / two.std()))
    return float(np.mean(found))


def _patches(pictures: Sequence[Picture], octave: int) -> Any:
    rows = []
    for picture in pictures:
        one: Any = picture
        for _ in range(octave):
            one = cv2.pyrDown(one)
        if octave < OCTAVES - 1:
            one = one - cv2.pyrUp(cv2.pyrDown(one), dstsize=one.shape[1::-1])
        windows = np.lib.stride_tricks.sliding_window_view(one, (PATCH, PATCH), (0, 1))
        rows.append(windows[::EVERY, ::EVERY].reshape(-1, PATCH * PATCH * 3))
    return np.concatenate(rows)
