"""A streaming detector as two networks for engines: one sees a frame, one joins the maps of several.

The maps of a frame go from the first to the second as plain tensors, so that between both a ring of past
frames can stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.engines.base import Network, TensorSpec

from .backbone import Pyramid, widths
from .model import DamoStreamNet, fold

LEVELS = (3, 4, 5)
NOW, PAST = ("p3", "p4", "p5"), ("past3", "past4", "past5")
"""Names of the maps of the current frame, and of those before."""
SOURCES = ("backbone.py", "blocks.py", "head.py", "model.py", "networks.py")


class See(nn.Module):
    """Pictures (B, 3, H, W), BGR, 0 to 255, to the three maps of `Pyramid`."""

    def __init__(self, model: DamoStreamNet) -> None:
        super().__init__()
        self.backbone = model.backbone

    def forward(self, picture_B3HW: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(picture_B3HW))


class Foresee(nn.Module):
    """Maps of the current frame, and those before side by side, to raw rows (B, A, 5 + classes).

    Of the past the newest frame comes first: a level's maps are (B, past * C, H, W).
    """

    def __init__(self, model: DamoStreamNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, p3: Tensor, p4: Tensor, p5: Tensor, past3: Tensor, past4: Tensor, past5: Tensor
    ) -> Tensor:
        apart = [one.chunk(self.model.past, 1) for one in (past3, past4, past5)]
        return self.model.predict(Pyramid(p3, p4, p5), [Pyramid(*maps) for maps in zip(*apart, strict=True)])


def named(now: Pyramid, before: Sequence[Pyramid]) -> dict[str, Tensor]:
    """Return maps under the names of the second network's inputs."""
    past = [torch.cat(maps, 1) for maps in zip(*before, strict=True)]
    return dict(zip((*NOW, *PAST), (*now, *past), strict=True))


def stream_networks(model: DamoStreamNet, digest: str) -> tuple[Network, Network]:
    """Return what sees a frame ("picture" to "p3", "p4", "p5") and what foresees (these and
    "past3", "past4", "past5" to "rows").

    The model is folded and put to inference. `digest` names its weights; the code that is traced is added.
    """
    fold(model)
    model.eval().requires_grad_(False)
    channels = dict(zip(LEVELS, widths(model.plan.width), strict=True))
    here = Path(__file__).parent
    summed = hashlib.sha256(digest.encode())
    for name in SOURCES:
        summed.update((here / name).read_bytes())
    digest = summed.hexdigest()

    def maps(names: Sequence[str], frames: int) -> tuple[TensorSpec, ...]:
        each = zip(names, LEVELS, strict=True)
        return tuple(
            TensorSpec(name, "float32", ("b", frames * channels[k], f"h{k}", f"w{k}")) for name, k in each
        )

    picture = TensorSpec("picture", "float32", ("b", 3, "h", "w"))
    rows = TensorSpec("rows", "float32", ("b", "a", 5 + model.classes))
    see = Network("see", See(model), (picture,), maps(NOW, 1), digest)
    inputs = (*maps(NOW, 1), *maps(PAST, model.past))
    return see, Network("foresee", Foresee(model), inputs, (rows,), digest)


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def examples(
    model: DamoStreamNet, height_px: int, width_px: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return inputs of both networks as a camera would give them: soft, and from one frame to the next alike.

    White noise would not do, since deformed samples of it jump with every rounding.
    """
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height_px // 16, width_px // 16, generator=draw) * 255
    first = nn.functional.interpolate(coarse, size=(height_px, width_px), mode="bilinear")
    frames = [first.roll(3 * k, -1) for k in range(model.past + 1)]
    maps = [model.encode(frame) for frame in frames]
    return {"picture": first}, named(maps[0], maps[1:])
