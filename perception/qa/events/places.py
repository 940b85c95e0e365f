"""Where something is in the picture, and which way it went, in words."""

from __future__ import annotations

from .records import Box

_PHRASES = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
}


def middle(box: Box) -> tuple[float, float]:
    """Return the middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def place_of(box: Box | None) -> str:
    """Return which ninth of the picture holds a box's middle: "upper left", "top", "middle"; "" for none."""
    if box is None:
        return ""
    x, y = middle(box)
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    row = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
    if column and row:
        return f"{row} {column}"
    return column or {"upper": "top", "lower": "bottom", "": "middle"}[row]


def phrase(place: str) -> str:
    """Return a place as a sentence has it: "in the upper left", "at the top"; "" for none."""
    return _PHRASES.get(place, f"in the {place}") if place else ""


def is_in(box: Box | None, wanted: str) -> bool:
    """Tell whether a box is where somebody asks about: "left" is any of three ninths, "upper left" one."""
    if box is None:
        return False
    place = place_of(box).replace("top", "upper").replace("bottom", "lower")
    sought = wanted.replace("top", "upper").replace("bottom", "lower")
    return place == sought if sought == "middle" else set(sought.split()) <= set(place.split())


def way(first: Box, last: Box) -> str:
    """Return in which direction the middle went: "to the left", "up", "to the lower right"; "" for none."""
    (x0, y0), (x1, y1) = middle(first), middle(last)
    dx, dy = x1 - x0, y1 - y0
    longer = max(abs(dx), abs(dy))
    if longer < 1e-6:
        return ""
    across = "" if abs(dx) < 0.4 * longer else "right" if dx > 0 else "left"
    along = "" if abs(dy) < 0.4 * longer else "lower" if dy > 0 else "upper"
    if across and along:
        return f"to the {along} {across}"
    return f"to the {across}" if across else {"lower": "down", "upper": "up"}[along]


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (area(one) + area(other) - width * height)


def area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
