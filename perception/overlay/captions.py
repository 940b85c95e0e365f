"""The stage that writes what is said into the picture: two lines at its foot, the newest words last.

Words that may still change are in less light. What was said stays for a while after its end, since reading
takes longer than listening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perception.asr.transcript import Transcript
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, Live, StageContext, StageSpec

from .colours import INK, PAPER, SOFT
from .labels import Label, words_HW

LINES = 2
WIDTH = 0.86
"""Share of the picture's width that a line may take."""
PLATE_OPACITY = 0.66
Words = tuple[tuple[str, bool], ...]
"""Words of a line, and whether each stands."""


class CaptionsConfig(BaseModel):
    """Say whether words are written into the picture, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    show: Annotated[bool, Live()] = Field(True, description="Write what is said into the picture.")
    partials: Annotated[bool, Live()] = Field(
        True, description="Write it while it is said; without, only final words."
    )
    text_px: Annotated[int, Live()] = Field(
        0, ge=0, le=96, description="Size of the letters; 0 goes by the picture's size."
    )
    hold_s: Annotated[float, Live()] = Field(
        4.0, ge=0.5, le=30.0, description="How long words stay after they were said."
    )


class CaptionsStage:
    """Write the newest words of the watched node into each picture."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="captions",
        takes=Frame,
        gives=Frame,
        config=CaptionsConfig,
        lane="paint",
        says="Writes what is said into the picture.",
        watches=Transcript,
        writes=True,
    )

    def __init__(self) -> None:
        self._config = CaptionsConfig()
        self._watched: Mapping[str, Callable[[], Any | None]] = {}

    def open(self, ctx: StageContext) -> None:
        self._watched = ctx.watched

    def configure(self, config: CaptionsConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        heard = [newest for look in self._watched.values() if (newest := look()) is not None]
        words = self._words(heard[-1], item.stamp.captured_ns) if heard and self._config.show else ()
        return (Emitted(item.stamp, self._written(item, words) if words else item),)

    def reset(self) -> None: ...

    def close(self) -> None:
        self._watched = {}

    def _words(self, said: Transcript, now_ns: int) -> Words:
        """Return what is to be read at a moment: the utterance that goes on, or else the one before."""
        if now_ns - said.captured_ns > self._config.hold_s * NS_PER_S:
            return ()
        is_shown = said.is_final or self._config.partials
        words = [
            *((word, True) for word in said.text.split()),
            *((word, False) for word in said.tail.split()),
        ]
        if words and is_shown:
            return tuple(words)
        return tuple((word, True) for word in said.before.split())

    def _written(self, frame: Frame, words: Words) -> Frame:
        text_px = self._config.text_px or max(12, round(min(frame.height_px, frame.width_px) / 18))
        lines = lines_of(words, text_px, WIDTH * frame.width_px)[-LINES:]
        picture = frame.pixels.copy()
        bottom = frame.height_px - round(0.6 * text_px)
        for line in reversed(lines):
            plate = plate_of(line, text_px)
            width, height = plate.size_px
            bottom -= height
            plate.lay(picture, (frame.width_px - width) // 2, bottom)
        return Frame(frame.stamp, picture, frame.maps)


def lines_of(words: Words, text_px: int, most_px: float) -> list[Words]:
    """Break words into lines of a width; a word that is wider has a line of its own."""
    lines: list[list[tuple[str, bool]]] = []
    used_px = 0.0
    for word in words:
        width_px = words_HW(word[0], text_px).shape[1] + _space(text_px)
        if not lines or used_px + width_px > most_px:
            lines.append([])
            used_px = 0.0
        lines[-1].append(word)
        used_px += width_px
    return [tuple(line) for line in lines]


@lru_cache(64)
def plate_of(words: Words, text_px: int) -> Label:
    """Return a line on its dark plate."""
    covers = [words_HW(word, text_px) for word, _ in words]
    space, pad = _space(text_px), round(0.4 * text_px)
    width = sum(one.shape[1] for one in covers) + space * (len(covers) - 1) + 2 * pad
    opacity = np.full((covers[0].shape[0], width), PLATE_OPACITY, np.float32)
    light = np.empty((*opacity.shape, 3), np.float32)
    light[:] = np.array(INK, np.float32) * PLATE_OPACITY
    x = pad
    for cover, (_, stands) in zip(covers, words, strict=True):
        at, share = slice(x, x + cover.shape[1]), cover.astype(np.float32) / 255.0
        colour = np.array(PAPER if stands else SOFT, np.float32)
        light[:, at] = light[:, at] * (1 - share[..., None]) + colour * share[..., None]
        opacity[:, at] += (1 - opacity[:, at]) * share
        x += cover.shape[1] + space
    kept = np.repeat((255.0 * (1.0 - opacity))[..., None], 3, 2)
    return Label(light.round().astype(np.uint8), kept.round().astype(np.uint8))


def _space(text_px: int) -> int:
    return max(3, round(0.3 * text_px))
