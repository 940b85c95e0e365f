"""What the fixture is taught: about 150 words of this program, as orders and questions and as plain word rows."""

from __future__ import annotations

import numpy as np

LOOKS = [
    "photo",
    "pencil",
    "ink",
    "watercolor",
    "cartoon",
    "pixel",
    "blueprint",
    "stitch",
    "woodcut",
    "relief",
    "mosaic",
    "chalk",
    "gold",
    "neon",
    "thermal",
    "halftone",
]
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "hundred",
]
COLORS = ["red", "green", "blue", "yellow", "black", "white", "pink", "purple", "orange", "silver"]
THINGS = [
    "person",
    "people",
    "cat",
    "dog",
    "car",
    "cup",
    "chair",
    "table",
    "bottle",
    "book",
    "phone",
    "bike",
    "bird",
    "tree",
    "house",
    "river",
    "mountain",
    "city",
    "forest",
    "ocean",
    "sky",
    "moon",
    "night",
    "rain",
    "snow",
    "winter",
    "summer",
    "flower",
    "garden",
    "robot",
    "dragon",
    "castle",
    "face",
    "hand",
    "window",
    "door",
    "street",
]
KNOBS = ["strength", "steps", "seed", "speed", "size", "sound", "volume", "light", "motion", "detail"]
PARTS = ["boxes", "captions", "camera", "mirror", "picture", "video", "music", "voice"]
VERBS = ["make", "paint", "show", "hide", "set", "start", "stop", "save", "record", "repeat", "change", "find", "count"]
REST = [
    "the",
    "a",
    "it",
    "in",
    "on",
    "off",
    "to",
    "of",
    "and",
    "is",
    "are",
    "what",
    "where",
    "how",
    "many",
    "did",
    "you",
    "see",
    "more",
    "less",
    "please",
    "now",
    "with",
    "under",
    "over",
    "like",
    "up",
    "down",
    "left",
    "right",
    "back",
    "next",
    "again",
    "undo",
    "hello",
    "yes",
    "no",
    "look",
    "style",
    "point",
    "old",
    "new",
    "little",
    "big",
    "slow",
    "fast",
    "minute",
    "ago",
]
WORDS = tuple(dict.fromkeys([*LOOKS, *NUMBERS, *COLORS, *THINGS, *KNOBS, *PARTS, *VERBS, *REST]))

PATTERNS = (
    "make it look like {look}",
    "make it {look}",
    "paint a {color} {thing}",
    "paint the {thing} in {look} style",
    "paint a {thing} with a {color} {thing}",
    "set the {knob} to {number}",
    "set the {knob} to zero point {number}",
    "{knob} up",
    "{knob} down",
    "more {knob} please",
    "less {knob} now",
    "show the {part}",
    "hide the {part}",
    "{part} on",
    "{part} off",
    "start the {part}",
    "stop the {part} now",
    "save the picture",
    "undo",
    "next style",
    "back to {look}",
    "how many {thing} did you see",
    "what did you see {number} minute ago",
    "where is the {color} {thing}",
    "find the {thing} on the {thing}",
    "count the {thing}",
    "a {thing} in the {thing} with {color} {thing}",
    "{number} {color} {thing} and {number} {thing}",
    "{number} {number} {number}",
)
LETTERS = " abcdefghijklmnopqrstuvwxyz'"
"""What the network says, a letter each; the blank comes after them."""


def sentence(draw: np.random.Generator) -> str:
    """Return what to say: a pattern, or words in any order so that order teaches nothing."""
    if draw.random() < 0.45:
        return " ".join(draw.choice(WORDS, size=int(draw.integers(1, 6))))
    pattern = str(draw.choice(PATTERNS))
    kinds = {"look": LOOKS, "number": NUMBERS, "color": COLORS, "thing": THINGS, "knob": KNOBS, "part": PARTS}
    for kind, words in kinds.items():
        while "{" + kind + "}" in pattern:
            pattern = pattern.replace("{" + kind + "}", str(draw.choice(words)), 1)
    return pattern


def letters_of(text: str) -> list[int]:
    """Return the tokens of a text."""
    return [LETTERS.index(letter) for letter in text]
