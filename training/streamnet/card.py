"""The model card, written from the figures of an evaluation: no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.streamnet.things import NAMES

HEAD = """# Streaming detector of drawn shapes

**It finds drawn shapes ({names}), not people or things of the world.** It is here so that the streaming half of this program has
a forecasting detector that works at once, with no download: what it shows is *when* its boxes hold. Each box
says where a thing will be, as far ahead as the measured delay asks for.

It is a DAMO-StreamNet (He et al. 2023, arXiv:2303.17144), written and trained by this project
([recipe](../../training/streamnet/README.md)): plan "nano", three past frames, {names_count} classes, trend-aware loss, no
distillation. A frame is encoded once; the maps of those before come from a ring. It was trained on films that
`training/streamnet/world.py` draws, on photographs of the scikit-image wheel; none of the pictures is stored here.

Licence: Apache-2.0.

![Frames with what was foreseen three frames before in green, and what was then the present in red](strip.jpg)

## What it scores

On {films} held-out films of {frames} frames at 30 a second, {things:.1f} things a frame, with seeds and photographs that training never
saw, {engine}. Remade by `python -m training.streamnet.evaluate --write`. AP is COCO's, the mean over IoU .50 to .95.

Against the present, told to look at one frame only: {present:.1f}. Against the future:

| frames ahead | foreseen | the present, held |
|---|---|---|
"""

LIVE = """
*foreseen*: from frames as far apart as it looks ahead. *the present, held*: the same network, given the current
frame in place of those before, so without any motion to go by; the difference is what its past frames are worth.

As a stream, where a run takes so many frame intervals and what counts is the newest answer at each frame (sAP):

| cost | {methods} |
|---|{rules}|
"""

FOOT = """
*hold*: the present, shown until the next answer. *kalman*: the same, carried on by the Kalman filter of the
streaming perception paper (arXiv:2005.10420). *streamnet*: what is foreseen, for the mean age at that cost.
*streamnet+kalman*: the same, carried on from the time for which it holds.

## What it cannot do

It knows drawn shapes of a tenth to a third of the picture, and what it says of other pictures means nothing. Nothing
tells it of a wall at which a thing will turn. Small and covered things are often missed. Training took
{steps} steps on {pictures} drawn pictures, which is short: more makes it better.
"""


def card(figures: Mapping[str, Any]) -> str:
    """Return the text of the card."""
    methods = list(next(iter(figures["live"].values())))
    trained = figures["training"]
    head = HEAD.format(
        names=", ".join(NAMES), names_count=len(NAMES), films=figures["films"], frames=figures["frames"],
        things=figures["things"], engine=figures["engine"], present=figures["horizons"]["0"]["present"])  # fmt: skip
    ahead = [f"| {step} | {row['forecast']:.1f} | {row['hold']:.1f} |\n" for step, row in figures["horizons"].items() if step != "0"]
    live = [f"| {cost} | {' | '.join(f'{row[m]:.1f}' for m in methods)} |\n" for cost, row in figures["live"].items()]
    table = LIVE.format(methods=" | ".join(methods), rules="|".join("---" for _ in methods))
    foot = FOOT.format(steps=trained["steps"], pictures=trained["pictures"])
    return head + "".join(ahead) + table + "".join(live) + foot
