"""Made worlds: what stands where in each frame of a stream. Nothing here draws; see `paint`.

A thing is a shape of a colour. It visits a cell of a grid of three by three, jitters there, may move on to the
cell beside it, and leaves. Two of the six shapes are common in a dense stream: they come and go all the time, in
all colours, and are there to be told apart from the other four, which are rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .words import COLOURS, PLACES, SHAPES

SIDE = 48
"""Of a frame, in pixels."""
CELL = SIDE // 3
SLOTS = 5
"""At most so many things are there at once."""
Ints, Floats = npt.NDArray[np.int64], npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class World:
    """Hold a stream of T frames with K slots for things; a slot is empty where `thing_TK` is -1."""

    thing_TK: npt.NDArray[np.int8]
    """Shape times the number of colours, plus colour."""
    cell_TK: npt.NDArray[np.int8]
    """In which cell its middle is: an index of PLACES."""
    drawn_TK4: Floats
    """Middle x and y and radius in pixels, and turn in radians."""

    @property
    def frames(self) -> int:
        return len(self.thing_TK)


def shape_of(thing: int) -> int:
    return thing // len(COLOURS)


def colour_of(thing: int) -> int:
    return thing % len(COLOURS)


def thing(shape: int, colour: int) -> int:
    return shape * len(COLOURS) + colour


class _Filling:
    """Put visits into a world one after the other; one that finds no room is left out."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        self.rng, self.frames = rng, frames
        self.thing_TK = np.full((frames, SLOTS), -1, np.int8)
        self.cell_TK = np.zeros((frames, SLOTS), np.int8)
        self.drawn_TK4 = np.zeros((frames, SLOTS, 4), np.float32)
        self.taken_TC = np.zeros((frames, len(PLACES)), bool)

    def visit(self, what: int, begin: int, length: int, moves: bool) -> bool:
        """Let a thing come for some frames; says whether it found a slot and a cell, and is not there already."""
        rng, end = self.rng, min(begin + length, self.frames)
        if end <= begin:
            return False
        around = self.thing_TK[max(begin - 1, 0) : end + 1]
        slots = np.flatnonzero((self.thing_TK[begin:end] < 0).all(0))
        cells = np.flatnonzero(~self.taken_TC[begin:end].any(0))
        if not len(slots) or not len(cells) or (around == what).any():
            return False
        slot, cell = slots[0], int(cells[rng.integers(len(cells))])
        cells_T = np.full(end - begin, cell)
        if moves and end - begin >= 2:
            beside = [other for other in cells if abs(other // 3 - cell // 3) + abs(other % 3 - cell % 3) == 1]
            if beside:
                cells_T[int(rng.integers(1, end - begin)) :] = beside[rng.integers(len(beside))]
        self.taken_TC[begin:end, np.unique(cells_T)] = True
        where = self.drawn_TK4[begin:end, slot]
        wander = rng.uniform(-2.5, 2.5, 2) + np.cumsum(rng.normal(0, 0.4, (end - begin, 2)), 0)
        where[:, 0] = (cells_T % 3 + 0.5) * CELL + np.clip(wander[:, 0], -2.5, 2.5)
        where[:, 1] = (cells_T // 3 + 0.5) * CELL + np.clip(wander[:, 1], -2.5, 2.5)
        where[:, 2], where[:, 3] = rng.uniform(5.5, 7.5), rng.uniform(-0.2, 0.2)
        self.thing_TK[begin:end, slot], self.cell_TK[begin:end, slot] = what, cells_T
        return True


def world(rng: np.random.Generator, frames: int, dense: bool, rare: int, stay: tuple[int, int] = (2, 8)) -> World:
    """Make a world: `rare` visits of rare things that last `stay` frames; a dense one has common things besides."""
    filling = _Filling(rng, frames)
    order = rng.permutation(len(SHAPES))
    common, seldom = order[:2], order[2:]
    before: list[int] = []
    for _ in range(rare):
        again = before and rng.random() < 0.15
        what = before[rng.integers(len(before))] if again else thing(int(rng.choice(seldom)), int(rng.integers(len(COLOURS))))
        length = int(rng.integers(stay[0], stay[1] + 1))
        begin = int(rng.integers(min(0, 1 - length // 2), frames))
        if filling.visit(what, max(begin, 0), length + min(begin, 0), rng.random() < 0.25):
            before.append(what)
    if dense:
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(0, 8))
            while at < frames:
                length = int(rng.integers(2, 21))
                what = thing(int(rng.choice(common)), int(rng.integers(len(COLOURS))))
                filling.visit(what, at, length, rng.random() < 0.25)
                at += length + int(rng.integers(0, 6))
    return World(filling.thing_TK, filling.cell_TK, filling.drawn_TK4)
