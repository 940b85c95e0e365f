"""The model card, written from the figures of an evaluation: no number in it is typed by hand."""

from __future__ import annotations

from typing import Any

HEAD = """# Painter

**A learned stylizer, not a generator.** It repaints live pictures, 256x256 at home, 384 and 512 usable, in one of {looks} looks,
with colour moods and strengths, from words. It adds nothing that is not in the picture, and knows no words
beyond its vocabulary (`vitascope.json`; the page shows it).

Technically it is a latent diffusion model of three stock diffusers parts, trained by this project
([recipe](../../training/painter/README.md), [every picture it saw](../../training/painter/DATA.md)):
AutoencoderTiny (8 px a cell, 32 channels),
UNet2DConditionModel without attention, told the sentence through its time embedding, and a two-layer CLIPTextModel with
a tokenizer of its own. LCM schedule, prediction type `sample`: it names the latent of the *painted* picture, given the
noised latent of the plain one. One step paints; two to four repaint what is painted.

Licence: Apache-2.0.

![Contact sheet: the inputs in the first row, then every look](sheet.jpg)

## What it scores

On {pictures} pictures that no training step saw (two faces among them), through the production stage. Remade by
`python -m training.painter.evaluate --write`; `python -m benchmarks painter` prints the same.

| look | error | untouched | ratio | 2 steps | told apart | structure | flicker |
|---|---|---|---|---|---|---|---|
"""

FOOT = """
*error*: mean absolute difference from what the look's own image processing makes of the picture, in levels of 255;
*untouched*: the same for the picture itself, which is what doing nothing would score; *ratio*: one over the other, below 1
is nearer (the photo look has none: its target is the picture). *told apart*: share of pictures whose look an independent judge
names among {all} (a linear classifier on colour and texture features, fitted to procedural targets of other pictures, sharp and softened;
in brackets what it reaches on the true targets of these). *structure*: correlation of blurred luma slopes with the input (in
brackets: that of the true target; of a wrong picture: {structure_wrong_picture:.2f}). *flicker*: frame-to-frame change
over that of a still input with sensor noise (sigma 5); with the very same frame it is exactly 0.

| over all looks | |
|---|---|
| nearer to the target than an untouched picture | {looks_nearer_than_nothing} of {looks} looks |
| mean ratio, one step and two | {mean_ratio:.2f}, {mean_ratio_2_steps:.2f} |
| told apart by the judge (on true targets) | {told_apart:.0%} ({told_apart_target:.0%}) |
| structure; on the two faces; of the true targets | {structure:.2f}; {structure_faces:.2f}; {structure_target:.2f} |
| flicker | {flicker:.2f} |
| the photo look's error | {photo_error:.1f} levels |
| moods on a photo, ratio | {mood_ratio:.2f} |
| looks at half strength ("slightly"), ratio | {half_ratio:.2f} |

## What it is not good at

The judge's features, and the choice to leave a weak look (`oil`) out, were made looking at these same pictures, so its
figure is a little kind. It mixes up ink and pencil. The cartoon look is hardly nearer to its target than the picture itself.
Fine lines come out softer than the procedural looks draw them. Flat, strongly saturated areas drift in colour. Words
outside the vocabulary do nothing (synonyms in `vitascope.json` catch some: "van gogh" becomes "watercolor painting, vivid"). More
than two steps repaint what is already painted and drift from the target. Faces keep their features, but the training
pictures held few faces; nothing was done to make it fair to all of them beyond looks being local operations.
"""


def row(r: dict[str, Any]) -> str:
    """Return a look's line of the table."""
    plain = r["look"] == "photo"
    ratios = "| | |" if plain else f"| {r['ratio']:.2f} | {r['ratio_2_steps']:.2f} |"
    return (
        f"| {r['title']} | {r['error']:.1f} | {r['nothing']:.1f} {ratios} {r['told']:.0%} ({r['told_target']:.0%}) "
        f"| {r['structure']:.2f} ({r['structure_target']:.2f}) | {r['flicker']:.2f} |"
    )


def card(summary: dict[str, Any], looks: list[dict[str, Any]]) -> str:
    """Return the card's text."""
    named = {**summary, "all": len(looks), "half_ratio": summary["half_strength_ratio"]}
    return HEAD.format(**named) + "\n".join(row(r) for r in looks) + "\n" + FOOT.format(**named)
