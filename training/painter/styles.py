"""The looks, as plain pixel functions: what the painter is taught to imitate.

A look is a pure function `style(rgb_HW3 uint8) -> rgb_HW3 uint8`. No look draws random numbers and every hard
decision is softened, so that sensor noise moves the target as little as possible: a painter can only be as
steady as its teacher. Grids have 8 px (or 4, 16) cells counted from the top left corner, because the
autoencoder has one latent per 8x8 px: a cell then always falls on the same latent in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Style = Callable[[np.ndarray], np.ndarray]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _unit(rgb_HW3: np.ndarray) -> np.ndarray:
    return rgb_HW3.astype(np.float32) / 255.0


def _byte(rgb_HW3: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.clip(rgb_HW3 * 255.0 + 0.5, 0, 255).astype(np.uint8))


def _luma(rgb_HW3: np.ndarray) -> np.ndarray:
    return rgb_HW3 @ _LUMA


def _blur(x: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)


def _smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Ramp from 0 at `low` to 1 at `high` with flat ends (soft threshold)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _mix(a: np.ndarray, b: np.ndarray, weight_HW: np.ndarray) -> np.ndarray:
    return a + (b - a) * weight_HW[..., None]


def _colour(*rgb: int) -> np.ndarray:
    return np.array(rgb, np.float32) / 255.0


def _ramp(value_HW: np.ndarray, *stops: tuple[int, int, int]) -> np.ndarray:
    """Map [0, 1] to colours, linear between equally spaced stops."""
    at = np.linspace(0, 1, len(stops))
    table = np.stack([np.interp(np.linspace(0, 1, 256), at, [s[c] for s in stops]) for c in range(3)], -1)
    return (table[np.clip(value_HW * 255, 0, 255).astype(np.uint8)] / 255.0).astype(np.float32)


def _vivid(rgb_HW3: np.ndarray, gain: float) -> np.ndarray:
    grey = _luma(rgb_HW3)[..., None]
    return np.clip(grey + (rgb_HW3 - grey) * gain, 0, 1)


def _levels(luma_HW: np.ndarray) -> np.ndarray:
    """Stretch contrast with fixed constants: no whole-picture statistics, so a crop and a frame agree."""
    return _smooth(luma_HW, -0.05, 1.05)


def _edges(luma_HW: np.ndarray, sigma_px: float, gain: float) -> np.ndarray:
    """Return soft edge strength in [0, 1] from the gradient magnitude at one scale."""
    y = _blur(luma_HW, sigma_px)
    gx, gy = cv2.Sobel(y, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(y, cv2.CV_32F, 0, 1, scale=0.25)
    return 1.0 - np.exp(-gain * np.sqrt(gx * gx + gy * gy))


def _ink_lines(luma_HW: np.ndarray, sigma_px: float = 1.0, gain: float = 60.0) -> np.ndarray:
    """Return dark drawn lines in [0, 1]: difference of Gaussians, the dark side of each edge."""
    d = _blur(luma_HW, sigma_px * 2.2) - _blur(luma_HW, sigma_px)
    return _smooth(d * gain, 0.35, 1.5)


def _flat(rgb_HW3: np.ndarray, passes: int = 2, colour: float = 32, space: float = 5) -> np.ndarray:
    """Flatten regions, keep edges (bilateral); uint8 in, unit float out."""
    for _ in range(passes):
        rgb_HW3 = cv2.bilateralFilter(rgb_HW3, 7, colour, space)
    return _unit(rgb_HW3)


def _cells(rgb_HW3: np.ndarray, cell_px: int) -> np.ndarray:
    """Replace each cell by its mean colour; ragged right and bottom cells are cut."""
    h, w = rgb_HW3.shape[:2]
    pad = cv2.copyMakeBorder(rgb_HW3, 0, -h % cell_px, 0, -w % cell_px, cv2.BORDER_REPLICATE)
    small = cv2.resize(pad, (pad.shape[1] // cell_px, pad.shape[0] // cell_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, pad.shape[1::-1], interpolation=cv2.INTER_NEAREST)[:h, :w]


def _phase(shape_HW: tuple[int, int], cell_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel-centre coordinates inside the cell, each in (-0.5, 0.5)."""
    y, x = np.mgrid[: shape_HW[0], : shape_HW[1]].astype(np.float32)
    return ((y + 0.5) / cell_px) % 1 - 0.5, ((x + 0.5) / cell_px) % 1 - 0.5


def photo(rgb_HW3: np.ndarray) -> np.ndarray:
    """Keep the picture as it is."""
    return rgb_HW3.copy()


def pencil(rgb_HW3: np.ndarray) -> np.ndarray:
    """Graphite on white paper: colour-dodge sketch."""
    y = _luma(_unit(cv2.GaussianBlur(rgb_HW3, (3, 3), 0)))
    line = np.clip(y / (_blur(y, 5.0) + 0.02), 0, 1) ** 4
    tone = 0.68 + 0.32 * _smooth(y, 0.0, 0.45)
    return _byte((line * tone)[..., None] * _colour(250, 250, 247))


def ink(rgb_HW3: np.ndarray) -> np.ndarray:
    """Manga page: pure black, pure white, a 4 px diagonal screen tone between, drawn outlines."""
    y = _levels(_luma(_flat(rgb_HW3, 1)))
    h, w = y.shape
    yy, xx = np.mgrid[:h, :w]
    tone = 0.5 + 0.5 * np.cos((xx + yy).astype(np.float32) * (2 * np.pi / 4))
    low, high = _smooth(y, 0.22, 0.28), _smooth(y, 0.55, 0.61)
    out = low * ((1 - high) * np.clip(tone * 0.9 + 0.1, 0, 1) + high)
    out = out * (1 - _ink_lines(y, 1.0, 45))
    return _byte(np.repeat(out[..., None], 3, -1))


def watercolor(rgb_HW3: np.ndarray) -> np.ndarray:
    """Pale washes on paper with darker pigment at the rims."""
    wash = _vivid(_flat(cv2.medianBlur(rgb_HW3, 7), 2, 50, 7), 1.9)
    wash = 1 - (1 - wash) * 0.62
    rim = _edges(_luma(wash), 1.5, 24.0)
    white = _smooth(_luma(wash), 0.68, 0.92)
    out = _mix(wash, np.ones(3, np.float32), white * 0.9) * (1 - 0.45 * rim[..., None])
    return _byte(out * _colour(255, 252, 243))


def oil(rgb_HW3: np.ndarray) -> np.ndarray:
    """Thick brush strokes: Kuwahara filter, then a side light over the paint."""
    x = _unit(rgb_HW3)
    r = 6
    mean = cv2.blur(x, (r + 1, r + 1))
    y = _luma(x)
    var = cv2.blur(y * y, (r + 1, r + 1)) - cv2.blur(y, (r + 1, r + 1)) ** 2
    total, acc = np.zeros(y.shape, np.float32), np.zeros_like(x)
    for dy in (-r // 2, r // 2):
        for dx in (-r // 2, r // 2):
            shift = np.float32([[1, 0, dx], [0, 1, dy]])
            size = (x.shape[1], x.shape[0])
            v = cv2.warpAffine(var, shift, size, borderMode=cv2.BORDER_REFLECT)
            weight = 1.0 / (v * v + 1e-7)
            acc += cv2.warpAffine(mean, shift, size, borderMode=cv2.BORDER_REFLECT) * weight[..., None]
            total += weight
    out = _vivid(acc / total[..., None], 1.55)
    y = _blur(_luma(out), 0.8)
    light = cv2.Sobel(y, cv2.CV_32F, 1, 1, scale=0.9)
    return _byte((out - 0.5) * 1.12 + 0.5 + np.clip(light * 2.4, -0.22, 0.22)[..., None])


def cartoon(rgb_HW3: np.ndarray) -> np.ndarray:
    """Flat, bright colour steps and thick black outlines."""
    flat = _vivid(_flat(rgb_HW3, 3, 45, 6), 1.5)
    y = _luma(flat)
    n = 5.0
    step = np.floor(y * n)
    stepped = (step + _smooth(y * n - step, 0.3, 0.7)) / n
    flat = np.clip(flat * ((stepped + 0.10) / (y + 0.06))[..., None], 0, 1)
    lines = _ink_lines(_luma(_unit(cv2.bilateralFilter(rgb_HW3, 5, 30, 3))), 1.2, 55)
    return _byte(flat * (1 - lines)[..., None])


def neon(rgb_HW3: np.ndarray) -> np.ndarray:
    """Glowing coloured contours on black."""
    x = _unit(rgb_HW3)
    edge = _smooth(_edges(_luma(x), 1.2, 17.0), 0.20, 0.85)
    y, xx = _blur(_luma(x), 4), _vivid(_blur(x, 3), 3.0)
    hue = _ramp(y, (255, 0, 190), (120, 40, 255), (0, 200, 255), (60, 255, 120))
    tint = np.clip(0.55 * hue + 0.6 * xx, 0, 1)
    core = edge[..., None] * tint
    return _byte(core + 0.75 * _blur(core, 4) + 0.35 * (edge**3)[..., None])


def pixel(rgb_HW3: np.ndarray) -> np.ndarray:
    """Pixel art: flat 8 px squares in lively colours."""
    return _byte(_vivid((_unit(_cells(rgb_HW3, 8)) - 0.5) * 1.15 + 0.5, 1.35))


def halftone(rgb_HW3: np.ndarray) -> np.ndarray:
    """Printed comic: 8 px dots of deep colour on cream paper, larger where darker."""
    cell = _unit(_cells(rgb_HW3, 8))
    y = _levels(_luma(cell))
    py, px = _phase(y.shape, 8)
    radius = np.sqrt(np.clip(1.0 - y, 0, 1)) * 0.68
    dot = _smooth(radius - np.sqrt(py * py + px * px), -0.08, 0.08)
    inkc = _vivid(cell * 0.75, 2.2)
    return _byte(_mix(np.broadcast_to(_colour(252, 245, 225), cell.shape), inkc, dot))


def thermal(rgb_HW3: np.ndarray) -> np.ndarray:
    """Heat camera: luma as black, blue, magenta, orange, yellow, white."""
    y = _levels(_luma(_unit(cv2.GaussianBlur(rgb_HW3, (0, 0), 1.2))))
    return _byte(_ramp(y, (8, 0, 40), (40, 0, 160), (190, 0, 150), (255, 90, 20), (255, 210, 0), (255, 255, 225)))


def popart(rgb_HW3: np.ndarray) -> np.ndarray:
    """Screen print in four loud inks: navy, red, yellow, cream, with soft steps."""
    y = _levels(_blur(_luma(_flat(rgb_HW3, 2, 40, 5)), 0.8))
    out = np.broadcast_to(_colour(25, 20, 110), rgb_HW3.shape).astype(np.float32)
    for at, colour in ((0.24, (235, 20, 90)), (0.46, (255, 205, 0)), (0.68, (120, 235, 235))):
        out = _mix(out, _colour(*colour), _smooth(y, at - 0.035, at + 0.035))
    return _byte(out)


def blueprint(rgb_HW3: np.ndarray) -> np.ndarray:
    """White drafting lines on blue with a 16 px grid."""
    y = _luma(_flat(rgb_HW3, 1))
    edge = _smooth(_edges(y, 1.0, 15.0), 0.17, 0.75)
    py, px = _phase(y.shape, 16)
    grid = np.maximum(np.abs(py) > 0.43, np.abs(px) > 0.43).astype(np.float32)
    paper = _ramp(y, (10, 40, 110), (30, 85, 175))
    return _byte(_mix(_mix(paper, _colour(90, 150, 225), grid * 0.5), _colour(240, 248, 255), edge))


def cyberpunk(rgb_HW3: np.ndarray) -> np.ndarray:
    """Violet night with magenta and cyan light, blooming highlights."""
    x = _unit(rgb_HW3)
    y = _levels(_luma(x))
    duo = _ramp(y, (6, 2, 28), (70, 0, 110), (235, 10, 170), (70, 170, 255), (170, 255, 255))
    glow = _blur(duo * _smooth(y, 0.5, 0.95)[..., None], 6)
    lines = (np.arange(y.shape[0]) % 4 < 2).astype(np.float32)[:, None, None]
    return _byte((duo + 0.35 * glow) * (0.86 + 0.14 * lines))


def woodcut(rgb_HW3: np.ndarray) -> np.ndarray:
    """Carved print: dark brown horizontal cuts, thicker where darker, on warm paper."""
    y = _levels(_luma(_flat(rgb_HW3, 1)))
    py, _ = _phase(y.shape, 8)
    width = np.clip(1.15 - 1.25 * _blur(y, 1.0), 0, 1.2)
    cut = _smooth(width - 2 * np.abs(py), -0.18, 0.18)
    cut = np.maximum(cut, _ink_lines(y, 1.1, 45))
    return _byte(_mix(np.broadcast_to(_colour(238, 205, 150), rgb_HW3.shape), _colour(62, 24, 14), cut))


def mosaic(rgb_HW3: np.ndarray) -> np.ndarray:
    """Glazed 16 px tiles with a bevel and dark joints."""
    tile = _vivid(_unit(_cells(rgb_HW3, 16)), 1.7)
    py, px = _phase(tile.shape[:2], 16)
    far = np.maximum(np.abs(py), np.abs(px))
    joint = _smooth(far, 0.36, 0.44)
    bevel = (np.where(far > 0.22, 1.0, 0.0) * np.where(py + px < 0, 0.16, -0.16)).astype(np.float32)
    return _byte(_mix(tile * 0.92 + 0.04 + bevel[..., None], _colour(28, 26, 30), joint))


def relief(rgb_HW3: np.ndarray) -> np.ndarray:
    """White clay relief lit from the top left."""
    y = _blur(_luma(_unit(rgb_HW3)), 1.2)
    slope = -(cv2.Sobel(y, cv2.CV_32F, 1, 0, scale=0.25) + cv2.Sobel(y, cv2.CV_32F, 0, 1, scale=0.25))
    shade = np.tanh(slope * 9.0)
    return _byte(_ramp(0.58 + 0.42 * shade, (60, 58, 56), (175, 170, 162), (255, 253, 248)))


def gold(rgb_HW3: np.ndarray) -> np.ndarray:
    """Polished gold leaf over black lacquer."""
    y = _levels(_blur(_luma(_unit(rgb_HW3)), 1.0))
    slope = cv2.Sobel(y, cv2.CV_32F, 1, 0, scale=0.25) - cv2.Sobel(y, cv2.CV_32F, 0, 1, scale=0.25)
    metal = np.clip(y * 0.85 + 0.5 * np.tanh(slope * 7.0) * _smooth(y, 0.08, 0.3), 0, 1)
    return _byte(_ramp(metal, (10, 6, 4), (92, 52, 6), (200, 140, 22), (255, 214, 90), (255, 250, 215)))


def chalk(rgb_HW3: np.ndarray) -> np.ndarray:
    """White chalk on a green blackboard: bright lines and a dusty tone for light areas."""
    y = _luma(_flat(rgb_HW3, 1))
    line = _smooth(_edges(y, 1.3, 13.0), 0.15, 0.8)
    h, w = y.shape
    yy, xx = np.mgrid[:h, :w]
    stroke = 0.65 + 0.35 * np.cos((xx - yy).astype(np.float32) * (2 * np.pi / 8))
    dust = _smooth(_blur(y, 1.5), 0.30, 1.0) * stroke * 0.75
    board = np.broadcast_to(_colour(22, 52, 42), rgb_HW3.shape)
    return _byte(_mix(board, _colour(246, 246, 232), np.clip(np.maximum(line, dust), 0, 1)))


def stitch(rgb_HW3: np.ndarray) -> np.ndarray:
    """Cross stitch: one X of thread per 8 px cell on pale linen."""
    thread = _vivid(_unit(_cells(rgb_HW3, 8)), 1.5)
    py, px = _phase(thread.shape[:2], 8)
    arm = np.minimum(np.abs(py - px), np.abs(py + px))
    cover = _smooth(0.20 - arm, -0.06, 0.06)
    top = np.abs(py - px) < np.abs(py + px)
    shade = np.where(top, 1.08, 0.80).astype(np.float32) * (1.0 - 0.8 * arm)
    return _byte(_mix(np.broadcast_to(_colour(236, 228, 212), thread.shape), np.clip(thread * shade[..., None], 0, 1), cover))


STYLES: dict[str, Style] = {
    f.__name__: f
    for f in (photo, pencil, ink, watercolor, oil, cartoon, neon, pixel, halftone, thermal, popart, blueprint,
              cyberpunk, woodcut, mosaic, relief, gold, chalk, stitch)
}  # fmt: skip
"""Every look by id; `photo` is the identity."""


def _gains(rgb_HW3: np.ndarray, r: float, g: float, b: float, gamma: float = 1.0) -> np.ndarray:
    return np.clip(rgb_HW3, 0, 1) ** gamma * np.array([r, g, b], np.float32)


def _tint(rgb_HW3: np.ndarray, tint: tuple[int, int, int], amount: float) -> np.ndarray:
    """Pull colours towards a tint, keeping luma: also colours greys, as a mood must show on a pencil drawing."""
    y = _luma(rgb_HW3)[..., None]
    c = _colour(*tint)
    toned = np.where(y < 0.5, 2 * y * c, 1 - 2 * (1 - y) * (1 - c))
    return rgb_HW3 + (toned - rgb_HW3) * amount


MOODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "warm": lambda x: _tint(x, (205, 120, 40), 0.62),
    "cool": lambda x: _tint(x, (40, 120, 215), 0.62),
    "green": lambda x: _tint(x, (50, 165, 60), 0.62),
    "pink": lambda x: _tint(x, (220, 70, 150), 0.62),
    "dark": lambda x: _gains(x, 0.50, 0.50, 0.54, 1.25),
    "bright": lambda x: 1 - (1 - x) * 0.50,
    "muted": lambda x: _vivid(x, 0.25) * 0.82 + 0.10,
    "vivid": lambda x: _vivid((x - 0.5) * 1.12 + 0.5, 2.3),
}
"""Colour moods over unit floats; applied to the styled picture."""


def paint(rgb_HW3: np.ndarray, look: str, mood: str = "", amount: float = 1.0) -> np.ndarray:
    """Return the procedural target for a look, an optional mood and an amount in (0, 1] of change."""
    return finish(rgb_HW3, STYLES[look](rgb_HW3), mood, amount)


def finish(rgb_HW3: np.ndarray, styled_HW3: np.ndarray, mood: str = "", amount: float = 1.0) -> np.ndarray:
    """Apply mood, then blend `amount` of the result with the source picture; all uint8 (H, W, 3)."""
    if not mood and amount == 1.0:
        return styled_HW3
    out = _unit(styled_HW3)
    if mood:
        out = MOODS[mood](out)
    return _byte(out * amount + _unit(rgb_HW3) * (1.0 - amount))
