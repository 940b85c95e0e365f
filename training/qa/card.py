"""The model card, written from the figures of an evaluation: no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import TOKENS
from .words import COLOURS, FORMS, KINDS, NOW, PLACES, SHAPES, VOCABULARY

HEAD = """# Watcher of drawn shapes

**A demo: it knows six drawn shapes in eight colours that come, move and go, and nothing else.** It says nothing of real pictures that
means anything. It is here so that the whole way of a question about a stream, from frames to keys and values in a bounded memory, to
what a question brings back of them, to the answer with its moments, can be walked, tested and measured with no download.

It is the stock `LlavaOnevisionForConditionalGeneration` of transformers (SigLIP and Qwen2), {parameters:.1f} million weights, trained by
this project ([recipe](../../training/qa/README.md)): {steps} steps in {minutes:.0f} minutes on {card}{more}. A frame is 48x48 pixels and
becomes nine tokens; it knows {words} words.

Licence: Apache-2.0. All it learnt from is drawn by `training/qa/paint.py`.

## What it can be asked

| kind | words |
|---|---|
{forms}
Shapes: {shapes}. Colours: {colours}. Places: {places}. Answers are one word; what was not seen is "none".
"How many kinds" counts things of different colours; one that comes again is the same.

## How often it is right

Percent of answers on made clips that training never saw, of which it sees every frame, with the window that frames were encoded
with; where a thing moved, its last place counted. What is left of that when a memory brings back a few frames of thousands is another
matter: `python -m benchmarks answer`.

| | {columns} |
|---|{rule}|
{rows}
"""

SUMMARY = """
`summariser.safetensors` is a small network beside it, trained while the watcher rested ({steps} steps in {minutes:.0f} minutes on one
{card}): it sums up {clip} frames, {tokens} tokens, as {memory}, for the memory that follows VideoStreaming. On held-out streams of which a
question sees the memories of {chosen} clips that it finds itself, and the newest frames,
{right}.
"""

FOOT = """
## What it cannot do

Read many frames at once as well as few: it learnt to answer from some sixteen that a memory brings back, and of 64 or 96 that it sees whole
it is less sure where things were, in what order they came, and how many.

Anything else. Things are 11 to 15 pixels wide, upright within 12 degrees, plain in colour, at most five at once, and never cover one
another. Words outside its list are lost on it, and it answers all the same. It was trained for minutes, not to its end.
"""


def card(figures: Mapping[str, Any]) -> str:
    """Return the text of the card."""
    trained, held = figures["training"], figures["held out"]
    names = list(held)
    rows = [
        f"| {kind} | " + " | ".join(f"{100 * held[n][kind]:.0f}" if kind in held[n] else "" for n in names) + " |"
        for kind in (*KINDS, "all")
    ]
    text = HEAD.format(
        parameters=figures["parameters"] / 1e6, steps=trained["steps"], minutes=trained["seconds"] / 60, card=trained["card"],
        more=trained.get("more", ""), words=len(VOCABULARY), shapes=", ".join(SHAPES), colours=", ".join(COLOURS),
        places=", ".join(PLACES), columns=" | ".join(names), rule="---|" * len(names), rows="\n".join(rows),
        forms="".join(f"| {kind}{'' if kind in NOW else ' (past)'} | {' or '.join(FORMS[kind])} |\n" for kind in KINDS),
    )  # fmt: skip
    text = text.replace("---||", "---|")
    return text + _summary(figures) + FOOT


def _summary(figures: Mapping[str, Any]) -> str:
    if "summariser" not in figures:
        return ""
    told = figures["summariser"]
    right = " and ".join(
        f"{one['all']:.0f} % of answers are right in streams of {clips} clips (one that shows it is found for {one['found']:.1f} %)"
        for clips, one in ((clips, told[clips]) for clips in ("8", "32"))
    )
    return SUMMARY.format(**told, card=figures["training"]["card"].removeprefix("one "), tokens=TOKENS * told["clip"], right=right)
