"""The painter's language: looks, moods, strengths, the sentences it trains on, and its tokenizer.

The text encoder is tiny and learns these words only. What people type beyond them ("van gogh", "manga") is mapped
to them by SYNONYMS, which ships beside the model; filler words in the training sentences teach it that the rest
of a sentence does not matter.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Look:
    """One look as users meet it."""

    id: str
    title: str
    prompt: str
    """The sentence that the button sends."""
    about: str
    words: tuple[str, ...]
    """Wordings used in training; each alone must be enough."""


LOOKS: tuple[Look, ...] = (
    Look("photo", "Photo", "photo", "The camera picture, only cleaner.", ("photo", "photograph", "camera picture", "original")),
    Look("pencil", "Pencil", "pencil sketch", "Graphite lines on white paper.",
         ("pencil sketch", "pencil drawing", "graphite drawing", "sketch", "pencil")),
    Look("ink", "Manga ink", "manga ink drawing", "Black ink, white paper, screen tone.",
         ("manga ink drawing", "manga", "black ink drawing", "ink", "inked manga page")),
    Look("watercolor", "Watercolour", "watercolor painting", "Pale washes with dark rims.",
         ("watercolor painting", "watercolor", "watercolour", "aquarelle", "pale washes")),
    Look("oil", "Oil", "oil painting", "Thick, saturated brush strokes.",
         ("oil painting", "oil", "oil on canvas", "thick brush strokes")),
    Look("cartoon", "Cartoon", "cartoon", "Flat colour and black outlines.",
         ("cartoon", "comic cartoon", "animated cartoon", "toon")),
    Look("neon", "Neon", "neon lines", "Glowing contours on black.",
         ("neon lines", "neon", "glowing neon contours", "neon lights")),
    Look("pixel", "Pixel art", "pixel art", "Squares of 8 pixels.",
         ("pixel art", "pixel", "pixels", "8 bit game")),
    Look("halftone", "Halftone", "halftone print", "Printed dots on cream paper.",
         ("halftone print", "halftone", "printed dots", "newspaper dots")),
    Look("thermal", "Thermal", "thermal camera", "Heat colours from black to white.",
         ("thermal camera", "thermal", "heat map", "infrared")),
    Look("popart", "Pop art", "pop art", "Four loud inks.",
         ("pop art", "popart", "screen print", "pop art poster")),
    Look("blueprint", "Blueprint", "blueprint", "White drafting lines on blue.",
         ("blueprint", "blueprint plan", "technical drawing", "drafting lines")),
    Look("cyberpunk", "Cyberpunk", "cyberpunk", "Violet night, magenta and cyan light.",
         ("cyberpunk", "cyberpunk city", "synthwave", "cyber")),
    Look("woodcut", "Woodcut", "woodcut", "Carved brown cuts on warm paper.",
         ("woodcut", "woodcut print", "wood engraving", "linocut")),
    Look("mosaic", "Mosaic", "mosaic tiles", "Glazed tiles with dark joints.",
         ("mosaic tiles", "mosaic", "tiles", "roman mosaic")),
    Look("relief", "Clay relief", "clay relief", "White clay, lit from one side.",
         ("clay relief", "relief", "clay", "embossed plaster")),
    Look("gold", "Gold leaf", "gold leaf", "Polished gold over black.",
         ("gold leaf", "gold", "golden metal", "gilded")),
    Look("chalk", "Chalk", "chalk on a blackboard", "White chalk on a green board.",
         ("chalk on a blackboard", "chalk", "blackboard", "chalk drawing")),
    Look("stitch", "Cross stitch", "cross stitch", "Thread crosses on linen.",
         ("cross stitch", "embroidery", "stitched thread", "needlework")),
)  # fmt: skip
"""In the order of styles.STYLES."""

MOODS: dict[str, tuple[str, ...]] = {
    "warm": ("warm", "warm orange", "warm colors", "sepia"),
    "cool": ("cool", "cool blue", "cold colors", "blue"),
    "green": ("green", "green tint", "forest green"),
    "pink": ("pink", "pink tint", "rose pink"),
    "dark": ("dark", "darker", "dark shadows"),
    "bright": ("bright", "brighter", "light and airy"),
    "muted": ("muted", "muted colors", "faded"),
    "vivid": ("vivid", "vivid colors", "saturated"),
}
"""Mood words; the ids are those of styles.MOODS."""

STRENGTHS: dict[str, float] = {"slightly": 0.5, "a little": 0.5, "strongly": 1.0, "very": 1.0}
"""Strength words and how much of the change they ask for."""

SYNONYMS: dict[str, str] = {
    "van gogh": "watercolor painting, vivid", "monet": "watercolor painting",
    "impressionist": "watercolor painting", "painting": "watercolor painting",
    "rembrandt": "watercolor painting, dark", "turner": "watercolor painting, warm", "aquarell": "watercolor painting",
    "canvas": "watercolor painting", "brush": "watercolor painting", "acrylic": "watercolor painting",
    "renaissance": "watercolor painting, warm",
    "anime": "cartoon, vivid", "disney": "cartoon", "pixar": "cartoon", "ghibli": "watercolor painting, vivid", "comic": "cartoon",
    "comic book": "halftone print", "lichtenstein": "halftone print", "warhol": "pop art", "poster": "pop art",
    "newspaper": "halftone print",
    "black and white": "pencil sketch", "charcoal": "pencil sketch, dark", "drawing": "pencil sketch", "line art": "pencil sketch",
    "graphite": "pencil sketch", "hatching": "woodcut", "engraving": "woodcut", "etching": "woodcut", "durer": "woodcut",
    "stamp": "woodcut", "noir": "manga ink drawing", "sin city": "manga ink drawing", "graphic novel": "manga ink drawing",
    "blueprint drawing": "blueprint", "architect": "blueprint", "plan": "blueprint", "cad": "blueprint", "x-ray": "blueprint, dark",
    "minecraft": "pixel art", "8-bit": "pixel art", "8bit": "pixel art", "retro game": "pixel art", "lego": "mosaic tiles",
    "stained glass": "mosaic tiles, vivid", "tile": "mosaic tiles", "predator": "thermal camera", "heat": "thermal camera",
    "night vision": "thermal camera, green", "tron": "neon lines, cool", "glow": "neon lines", "laser": "neon lines",
    "blade runner": "cyberpunk", "vaporwave": "cyberpunk, pink", "futuristic": "cyberpunk", "night city": "cyberpunk, dark",
    "sculpture": "clay relief", "statue": "clay relief", "marble": "clay relief", "plaster": "clay relief", "stone": "clay relief",
    "3d": "clay relief", "emboss": "clay relief", "bronze": "gold leaf, dark", "metal": "gold leaf", "klimt": "gold leaf",
    "school": "chalk on a blackboard", "board": "chalk on a blackboard", "crayon": "chalk on a blackboard",
    "pastel": "watercolor painting, bright",
    "knitted": "cross stitch", "textile": "cross stitch", "tapestry": "cross stitch", "sewing": "cross stitch", "realistic": "photo",
    "nothing": "photo", "none": "photo", "old photo": "photo, warm", "vintage": "photo, warm, muted", "winter": "photo, cool",
    "autumn": "photo, warm", "sunset": "photo, warm", "moonlight": "photo, cool, dark", "matrix": "neon lines, green",
}  # fmt: skip
"""Free wording users are likely to type, to words the model knows; longest match first."""

_FRAMES = ("{w}", "{w}", "{w}", "a {w}", "as {w}", "in the style of a {w}", "{w} style", "make it look like {w}", "turn this into a {w}",
           "{w} of {s}", "{s} as a {w}", "{s}, {w}", "{w}, highly detailed", "beautiful {w}, masterpiece", "{w} {f}")  # fmt: skip
_SUBJECTS = ("a person", "a woman", "a man", "my face", "a cat", "a dog", "the room", "a city", "a house", "trees", "people", "a portrait",
             "the scene", "a car", "flowers", "mountains", "the sea", "my desk", "a child", "a street", "an astronaut")  # fmt: skip
_FILL = (
    "high quality",
    "best quality",
    "detailed",
    "artistic",
    "nice",
    "trending",
    "please",
    "4k",
    "sharp",
    "style",
    "art",
    "by an artist",
)


@dataclass(frozen=True)
class Wish:
    """What a prompt asks for."""

    text: str
    look: int
    mood: str = ""
    amount: float = 1.0


def draw(rng: np.random.Generator, look: int | None = None) -> Wish:
    """Draw a training sentence; looks are equally likely, a third carry a mood, an eighth ask for a little."""
    k = int(rng.integers(len(LOOKS))) if look is None else look
    mood = list(MOODS)[rng.integers(len(MOODS))] if rng.random() < 0.33 else ""
    if k == 0 and not mood and rng.random() < 0.6:
        return Wish("", 0)
    words = LOOKS[k].words
    text = words[0 if rng.random() < 0.45 else rng.integers(len(words))]
    text = _FRAMES[rng.integers(len(_FRAMES))].format(
        w=text, s=_SUBJECTS[rng.integers(len(_SUBJECTS))], f=_FILL[rng.integers(len(_FILL))])  # fmt: skip
    amount = 1.0
    if k and rng.random() < 0.2:
        word = list(STRENGTHS)[rng.integers(len(STRENGTHS))]
        amount, text = STRENGTHS[word], f"{word} {text}" if rng.random() < 0.5 else f"{text}, {word}"
    if mood:
        word = MOODS[mood][0 if rng.random() < 0.4 else rng.integers(len(MOODS[mood]))]
        text = f"{word} {text}" if rng.random() < 0.35 else f"{text}, {word}"
    return Wish(text, k, mood, amount)


def parse(text: str) -> Wish:
    """Read a sentence the way the targets are made: the longest look, mood and strength wording found in it."""
    low = f" {text.lower()} ".replace(",", " ")

    def best(table: list[tuple[str, object]], default: object) -> object:  # fmt: skip
        hits = [(len(w), v) for w, v in table if f" {w} " in low]
        return max(hits, key=lambda h: h[0])[1] if hits else default

    look = best([(w, i) for i, item in enumerate(LOOKS) for w in item.words], 0)  # fmt: skip
    mood = best([(w, m) for m, words in MOODS.items() for w in words], "")
    return Wish(text, int(look), str(mood), float(best(list(STRENGTHS.items()), 1.0)) if look else 1.0)  # type: ignore[call-overload]


def _byte_letters() -> dict[int, str]:
    """Map each byte to a printable letter, as CLIP's and GPT-2's tokenizers do."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    return {**{b: chr(b) for b in keep}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def _learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: join the most frequent pair again and again; ties go to the alphabet."""
    letters = _byte_letters()
    split = {w: [letters[b] for b in w.encode()] for w in words}
    split = {w: [*s[:-1], s[-1] + "</w>"] for w, s in split.items()}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for w, s in split.items():
            for pair in pairwise(s):
                pairs[pair] += words[w]
        if not pairs:
            break
        top = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(top)
        for s in split.values():
            i = 0
            while i < len(s) - 1:
                if (s[i], s[i + 1]) == top:
                    s[i : i + 2] = [top[0] + top[1]]
                else:
                    i += 1
    return merges


def build_tokenizer(folder: Path, merges: int = 480, length: int = 32) -> object:
    """Write and return a stock CLIPTokenizer over the painter's vocabulary (about 1000 tokens)."""
    from transformers import CLIPTokenizer

    rng = np.random.default_rng(0)
    words = Counter(w for _ in range(6000) for w in draw(rng).text.lower().replace(",", " , ").split())
    learned = _learn_merges(words, merges)
    letters = list(_byte_letters().values())
    vocabulary = [*letters, *(c + "</w>" for c in letters), *("".join(m) for m in learned), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(m) for m in learned)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer.from_pretrained(str(folder), model_max_length=length)
    tokenizer.save_pretrained(str(folder))
    return CLIPTokenizer.from_pretrained(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description="Print training sentences, or how one is understood.")
    parser.add_argument("text", nargs="*", help="a prompt to parse; without one, samples are drawn")
    args = parser.parse_args()
    rng = np.random.default_rng()
    for wish in [parse(" ".join(args.text))] if args.text else [draw(rng) for _ in range(20)]:
        print(f"{LOOKS[wish.look].id:11s} {wish.mood:7s} {wish.amount:.1f}  {wish.text!r}")


if __name__ == "__main__":
    main()
