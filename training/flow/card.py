"""The model card, written from the figures of an evaluation: no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OURS, DEFAULT, NONE = "streamflow", "dis-fast", "zero"
PARTS = {
    "camera": "Made films, only the camera moves",
    "layers": "Made films, things move too",
    "stereo": "Stereo pair of a motorcycle, a photograph; things are up to 60 px apart",
}

HEAD = """# Small StreamFlow

Optical flow of three pictures in one pass: a StreamFlow (Sun et al. 2024, arXiv:2311.17099) of our own, plan "mini", {parameters:.2f}
million weights, written and trained by this project ([recipe](../../training/flow/README.md)) for {minutes} minutes on one core of a
busy machine, {steps} steps. {verdict}

It is here so that the way to a flow network can be walked with no download: windows of pictures, warm starts, engines, and a person's
own weights. Who wants accuracy gives the stage a published checkpoint (`stages.flow.weights`); who wants speed keeps `{default}`, the
default.

Licence: Apache-2.0. It learnt from films that `training/flow/scenes.py` makes of photographs of the scikit-image wheel; none of them
is stored here.

## Its place

End-point errors in px at full size, lower is better, of one flow in one direction; what is hidden in the next picture is judged apart.
Films are made of photographs that training never saw, with seeds of their own: {films} films of {frames} pictures, 640x360. Time is that
of the processor, all threads together; the network ran with {rounds} rounds. Remade by
`python -m training.flow.evaluate --write`, from `python -m benchmarks flow`.
"""

TABLE = """
**{title}**

| | visible | over 3 px off | {hidden}CPU-ms |
|---|---|---|{rule}---|
"""

FOOT = """
*{ours}*: as in a live stream, where a window ends with the newest picture and begins with the flow of the window before; of a pair
alone, as of the stereo pictures, the first picture stands for the one before it too. *zero*: no flow at all. The flow stage needs both
directions, so there the network costs twice what is told here; and its check, that there and back lead home, allows about 0.7 px, so
that at errors like these little of what the network says is believed.

## What it cannot do

Sides below 128 px are refused. It works on cells of 8x8 px, so that small things and fine edges are lost, and memory grows with the
square of the number of cells. It never saw a person, a face, water, smoke or glass move: only flat pieces of photographs. More training
makes it better.
"""


def card(figures: Mapping[str, Any]) -> str:
    """Return the text of the card."""
    trained = figures["training"]
    head = HEAD.format(
        parameters=figures["parameters"] / 1e6, minutes=trained["minutes"], steps=trained["steps"], verdict=verdict(figures),
        default=DEFAULT, films=figures["films"], frames=figures["frames"], rounds=figures["rounds"])  # fmt: skip
    return head + "".join(_table(title, figures[part]) for part, title in PARTS.items()) + FOOT.format(ours=OURS)


def verdict(figures: Mapping[str, Any]) -> str:
    """Say in a few sentences where it stands; what it loses comes first."""
    lost, won = [], []
    for part in PARTS:
        for what in ("visible", "occluded"):
            ours, other = (figures[part][name].get(what) for name in (OURS, DEFAULT))
            if ours is not None and other is not None:
                (lost if ours >= other else won).append(f"{part}, {what} ({ours:.2f} px against {other:.2f})")
    nothing = [part for part in PARTS if figures[part][OURS]["visible"] >= figures[part][NONE]["visible"]]
    dearer = figures["layers"][OURS]["ms"] / figures["layers"][DEFAULT]["ms"]
    said = []
    if lost:
        said.append(f"**It is worse than dense inverse search (`{DEFAULT}`)**: {'; '.join(lost)}.")
    if won:
        said.append(f"It is better than that at: {'; '.join(won)}.")
    if nothing:
        said.append(f"It is no better than no flow at all at: {', '.join(nothing)}.")
    said.append(f"It takes {dearer:.0f} times as long.")
    return " ".join(said)


def _table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    has_hidden = any("occluded" in row for row in rows.values())
    text = TABLE.format(title=title, hidden="hidden | " if has_hidden else "", rule="---|" if has_hidden else "")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["visible"]):
        hidden = f" {row['occluded']:.2f} |" if has_hidden else ""
        shown = f"**{name}**" if name == OURS else name
        text += f"| {shown} | {row['visible']:.2f} | {100 * row['far_share']:.1f} % |{hidden} {row['ms']:.0f} |\n"
    return text
