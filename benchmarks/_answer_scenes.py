"""Scripted scenes with known truth: things that come, stay, move and go, told by the real classes.

A script says who is where and when; it is drawn as plain coloured rectangles before noise, and told as
`Scene` tells it, with boxes that shake, scores that vary, and now and then a thing that is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from perception.asr.transcript import Transcript, Turn
from perception.detectors.coco import NAMES
from perception.qa.events.memory import EventMemory
from perception.scene import Scene, Things
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp

SIZE_PX = (160, 120)
TOLD_HZ, FRAMES_HZ = 10, 2
PAINT = {
    "red": (200, 30, 30), "blue": (30, 60, 190), "green": (30, 140, 50), "yellow": (235, 215, 40),
    "black": (18, 18, 18), "white": (245, 245, 245), "brown": (110, 65, 25), "orange": (240, 130, 30),
}  # fmt: skip
GHOSTS = 0.03
"""Share of the tellings in which a thing is told of that is not there."""
BACKGROUND = (120, 122, 118)


@dataclass(frozen=True)
class Stay:
    """Say that a thing is there from one second to another, and where; it moves evenly between places."""

    label: str
    begin_s: float
    end_s: float
    x: float = 0.5
    y: float = 0.5
    colour: str = "red"
    to_x: float | None = None
    """Where it moves to, between `moves_s` and two seconds after."""
    moves_s: float = 0.0
    size: float = 0.16

    def at(self, time_s: float) -> tuple[float, float, float, float]:
        share = 0.0 if self.to_x is None else min(max((time_s - self.moves_s) / 2.0, 0.0), 1.0)
        x = self.x + share * ((self.to_x if self.to_x is not None else self.x) - self.x)
        half = self.size / 2
        return x - half, self.y - half, x + half, self.y + half


@dataclass(frozen=True)
class Says:
    """Say that somebody says something, ending at a second."""

    end_s: float
    text: str


@dataclass(frozen=True)
class Script:
    """Hold a scene."""

    stays: Sequence[Stay] = ()
    speech: Sequence[Says] = ()
    cuts_s: Sequence[float] = ()
    lasts_s: float = 60.0


@dataclass(frozen=True)
class Even:
    """Know things that go on as they go."""

    things: Things

    def at(self, when_ns: int) -> Things:
        return replace(self.things, at_ns=when_ns)


def play(
    script: Script,
    memory: EventMemory,
    *,
    begin_ns: int = NS_PER_S,
    seed: int = 0,
    miss: float = 0.05,
    ghosts: Sequence[str] = (),
) -> int:
    """Tell `memory` a scene; return its last moment. `ghosts` are labels told of though nothing is there."""
    random = np.random.default_rng(seed)
    speech = sorted(script.speech, key=lambda one: one.end_s)
    cuts = sorted(script.cuts_s)
    for step in range(round(script.lasts_s * TOLD_HZ)):
        time_s = step / TOLD_HZ
        at_ns = begin_ns + round(time_s * NS_PER_S)
        here = [(k, one) for k, one in enumerate(script.stays) if one.begin_s <= time_s < one.end_s]
        stamp = Stamp("script", step, round(time_s / VIDEO_CLOCK), VIDEO_CLOCK, at_ns)
        if step % (TOLD_HZ // FRAMES_HZ) == 0:
            memory.push_frame(Frame(stamp, drawn([one for _, one in here], time_s, random)))
        happened: tuple[dict[str, Any], ...] = ()
        if cuts and cuts[0] <= time_s:
            cuts.pop(0)
            happened = ({"what": "cut", "at_ns": at_ns, "says": "another scene"},)
        seen = [(k, one) for k, one in here if random.random() >= miss]
        if ghosts and random.random() < GHOSTS:
            where = random.uniform(0.2, 0.8, 2)
            ghost = Stay(ghosts[int(random.integers(len(ghosts)))], 0, 1e9, where[0], where[1])
            seen.append((1_000 + step, ghost))
        memory.note(scene_of(seen, time_s, stamp, random, happened).told(at_ns), at_ns)
        while speech and speech[0].end_s <= time_s:
            said = speech.pop(0)
            lasts_s = 0.3 * len(said.text.split())
            end_ns = begin_ns + round(said.end_s * NS_PER_S)
            heard = Transcript(
                Turn.END,
                0,
                said.text,
                "",
                said.end_s - lasts_s,
                said.end_s,
                confidence=0.9,
                captured_ns=end_ns,
            )
            memory.note(heard.told(at_ns), at_ns)
    return at_ns


def scene_of(
    seen: Sequence[tuple[int, Stay]],
    time_s: float,
    stamp: Stamp,
    random: np.random.Generator,
    happened: tuple[dict[str, Any], ...] = (),
) -> Scene:
    """Return what a tracker would give."""
    boxes = np.array([one.at(time_s) for _, one in seen], np.float32).reshape(-1, 4)
    boxes += random.normal(0, 0.004, boxes.shape).astype(np.float32)
    things = Things(
        stamp.captured_ns,
        np.array([k for k, _ in seen], np.int64),
        boxes,
        np.zeros((len(seen), 2), np.float32),
        random.uniform(0.55, 0.95, len(seen)).astype(np.float32),
        np.array([NAMES.index(one.label) for _, one in seen], np.int64),
        NAMES,
    )
    return Scene(stamp, SIZE_PX, "nanodet-g", Even(things), happened)


def drawn(
    stays: Sequence[Stay], time_s: float, random: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture (H, W, 3) RGB."""
    width, height = SIZE_PX
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = BACKGROUND
    for one in stays:
        left, top, right, bottom = one.at(time_s)
        rows = slice(max(round(top * height), 0), max(round(bottom * height), 0))
        columns = slice(max(round(left * width), 0), max(round(right * width), 0))
        picture[rows, columns] = PAINT[one.colour]
    picture += random.normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def frame_at(at_ns: int, level: int = 90) -> Frame:
    """Return a plain picture."""
    pixels = np.full((SIZE_PX[1], SIZE_PX[0], 3), level, np.uint8)
    return Frame(Stamp("script", at_ns // 10**7, 0, Fraction(1, 90_000), at_ns), pixels)
