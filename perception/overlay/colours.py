"""One colour a kind: tints of one lightness and strength, so that none shouts, and amber for people.

Lines have a dark rim and words a dark plate, so the tints are light ones and read on any picture.
"""

from __future__ import annotations

from zlib import crc32

Colour = tuple[int, int, int]
"""Red, green, blue."""

TINTS: tuple[Colour, ...] = (  # OKLCH lightness 0.80, chroma 0.11, hue in degrees
    (127, 197, 255),  # 245
    (129, 211, 159),  # 155
    (253, 161, 154),  # 25
    (206, 172, 247),  # 305
    (86, 210, 223),  # 205
    (180, 200, 117),  # 120
    (244, 160, 200),  # 350
    (245, 171, 119),  # 55
    (169, 184, 255),  # 275
)
AMBER: Colour = (242, 181, 68)
PAPER: Colour = (236, 236, 234)
SOFT: Colour = (172, 172, 168)
INK: Colour = (14, 14, 14)
"""What lies under lines and words."""
_OWN = {"person": AMBER, "face": PAPER}


def colour_of(name: str) -> Colour:
    """Return the colour of a kind, the same in every stream."""
    return _OWN.get(name) or TINTS[crc32(name.encode()) % len(TINTS)]
