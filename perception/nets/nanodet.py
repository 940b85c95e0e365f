"""NanoDet-g (https://github.com/RangiLyu/nanodet, Apache-2.0) as a `Network`: its converted graph, fed as it
was trained.

It wants blue before red, ImageNet's mean and spread, and gives for each cell of three grids a score a kind
and, for each side of the box, a distribution over its distance (Li et al. 2020, arXiv:2006.04388).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.engines.base import Network, TensorSpec
from pipelines.models.checksums import sum_of
from realtime.core.errors import ModelCorrupt

from .readers.graph import GraphNet, source_digest
from .readers.tfjs import read_tfjs

SIDE_PX = 416
STRIDES = (8, 16, 32)
BINS = 11
"""Distances a side is told in: 0 to 10 strides."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NanoDetNet(nn.Module):
    """A picture_13HW, RGB in [0, 1], to scores_1AC of all cells and distances_1AD, four times `BINS`."""

    def __init__(self, graph: GraphNet, order: tuple[list[int], list[int]]) -> None:
        """Take the places of the scores and distances among the graph's outputs, the finest grid first."""
        super().__init__()
        self.read, self._order = graph, order  # "graph" is what a traced module calls its own
        for name, values in (("mean", MEAN), ("spread", SPREAD)):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1))

    def forward(self, picture_13HW: Tensor) -> tuple[Tensor, Tensor]:
        found = self.read(((picture_13HW - self.mean) / self.spread)[:, [2, 1, 0]])
        scores, distances = (torch.cat([found[k] for k in places], 1) for places in self._order)
        return scores, distances


def nanodet_network(folder: Path) -> Network:
    """Read NanoDet-g from `folder`. Raises ModelCorrupt for files that are not that network."""
    graph, shapes = read_tfjs(folder / "models" / "nanodet.json")
    cells = sum((SIDE_PX // stride) ** 2 for stride in STRIDES)
    by_size = sorted(range(len(shapes)), key=lambda k: -list(shapes.values())[k][1])
    widths = [list(shapes.values())[k][2] for k in by_size]
    kinds = max(widths)
    scores = [k for k, width in zip(by_size, widths, strict=True) if width == kinds]
    distances = [k for k, width in zip(by_size, widths, strict=True) if width == 4 * BINS]
    told = sum(list(shapes.values())[k][1] for k in scores)
    if not (len(scores) == len(distances) == len(STRIDES)) or told != cells:
        raise ModelCorrupt(f"{folder.name} holds another network than NanoDet-g: {shapes}.")
    files = [sum_of(path).sha256 for path in sorted((folder / "models").glob("nanodet.*"))]
    return Network(
        "nanodet-g",
        NanoDetNet(graph, (scores, distances)).eval().requires_grad_(False),
        (TensorSpec("picture", "float32", (1, 3, SIDE_PX, SIDE_PX)),),
        (
            TensorSpec("scores", "float32", (1, cells, kinds)),
            TensorSpec("distances", "float32", (1, cells, 4 * BINS)),
        ),
        source_digest(*files, __file__),
        threads=1,
    )
