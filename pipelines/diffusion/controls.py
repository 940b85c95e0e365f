"""Which control nets are wanted, as text: `edges:0.8 models/canny | depth:0.5@0-0.6 hub:owner/depth-net`.

A part names the map that steers, how strongly, optionally during which share of a frame's steps, and the
model: a catalog id, `hub:owner/name` or a folder. Scales and shares act on the next frame; another model is
prepared beside the running session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from realtime.core.errors import ConfigError

BAR = "|"
MOST_NETS = 4
MOST_SCALE = 2.0
EXAMPLE = "Write it like this: edges:0.8 models/canny | depth:0.5@0-0.6 hub:owner/depth-net"
_NUMBER = r"\d+\.?\d*|\.\d+"
_PART = re.compile(
    rf"^(?P<map>[a-z][a-z0-9_]*)(:(?P<scale>{_NUMBER}))?(@(?P<begin>{_NUMBER})-(?P<end>{_NUMBER}))?"
    r"\s+(?P<model>\S.*)$"
)


@dataclass(frozen=True, slots=True)
class Control:
    """Hold one control net that is wanted."""

    map: str
    """Name of the map that it is shown, see `realtime.core.frame.Frame.maps`."""
    model: str
    scale: float = 1.0
    begin: float = 0.0
    """Share of the steps after which it begins to act."""
    end: float = 1.0

    def scale_at(self, index: int, steps: int) -> float:
        """Return how strongly it acts in step `index` of `steps`; 0 outside its share, as in diffusers."""
        acts = index / steps >= self.begin and (index + 1) / steps <= self.end
        return self.scale if acts else 0.0


def controls_of(text: str) -> tuple[Control, ...]:
    """Read the setting `control`; empty for none. Raises ConfigError for what cannot be read."""
    parts = [part.strip() for part in text.split(BAR)] if text.strip() else []
    if len(parts) > MOST_NETS:
        raise ConfigError(f"{len(parts)} control nets are wanted.", hint=f"At most {MOST_NETS} can be had.")
    return tuple(_control(part) for part in parts)


def _control(part: str) -> Control:
    found = _PART.match(part)
    if found is None:
        raise ConfigError(f'"{part}" names no map and model.', hint=EXAMPLE)
    scale = float(found["scale"] or 1.0)
    begin, end = float(found["begin"] or 0.0), float(found["end"] or 1.0)
    if scale > MOST_SCALE:
        raise ConfigError(
            f'"{part}" has a scale of {scale:g}.', hint=f"It lies between 0 and {MOST_SCALE:g}."
        )
    if not 0.0 <= begin < end <= 1.0:
        raise ConfigError(
            f'"{part}" acts from {begin:g} to {end:g} of its steps.', hint="0-1 is all of them."
        )
    return Control(found["map"], found["model"].strip(), scale, begin, end)
