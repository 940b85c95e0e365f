"""Control nets at work: each runs for the rows that are shown something, and what they give is added up.

A net has a time embedding of its own, which is computed outside of its engine like the UNet's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ModelError

from .config import PaintConfig
from .controls import Control
from .embedding import Embedding
from .features import Report
from .kits import Engine, Row

if TYPE_CHECKING:
    from torch import Tensor

    from .nets.control import Residual
    from .painter import Painter

NAME = "control"
KEPT_TIMES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """Hold what one frame shows to one control net."""

    control: Control
    picture_13HW: Tensor
    """In [0, 1]."""


class ControlNet:
    """Hold one loaded net: its engine, and its own time embedding."""

    def __init__(
        self,
        engine: Engine,
        residuals: Sequence[Residual],
        time: Callable[[Embedding, float, int], Tensor],
        example: Mapping[str, Tensor],
    ) -> None:
        self.engine = engine
        self.residuals = tuple(residuals)
        self.time = lru_cache(KEPT_TIMES)(time)
        self._example = {name: tuple(one.shape) for name, one in example.items()}
        self._factor = example["hint"].shape[-1] // example["latent"].shape[-1]

    def warm(self, rows: int, side: int) -> None:
        """Build what `rows` rows of latents `side` cells high and wide need."""
        sides = {"latent": side, "hint": side * self._factor}
        shapes = {
            name: (rows, shape[1], sides[name], sides[name]) if name in sides else (rows, *shape[1:])
            for name, shape in self._example.items()
        }
        self.engine.warm(shapes)


class ControlRows:
    """Run each net for the rows that want it, and add up what they give, times each row's scale."""

    name = NAME

    def __init__(self, nets: Mapping[str, ControlNet]) -> None:
        self._nets = dict(nets)
        self.residuals = next(iter(nets.values())).residuals
        odd = [model for model, net in nets.items() if net.residuals != self.residuals]
        if odd:
            raise ModelError(
                f"The control nets {next(iter(nets))} and {odd[0]} were made for models of two kinds.",
                hint="Use those of this model's own family.",
            )

    def before(self, rows: Sequence[Row], named: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        import torch

        latent = named["latent"]
        sums = {
            one.name: torch.zeros(one.shape(len(rows), latent.shape[-1]), device=latent.device)
            for one in self.residuals
        }
        for model, net in self._nets.items():
            wanted = [(k, hint, scale) for k, row in enumerate(rows) for hint, scale in _wanted(row, model)]
            if wanted:
                self._add(net, rows, named, wanted, sums)
        return sums

    def _add(
        self,
        net: ControlNet,
        rows: Sequence[Row],
        named: Mapping[str, Tensor],
        wanted: Sequence[tuple[int, Hint, float]],
        sums: Mapping[str, Tensor],
    ) -> None:
        import torch

        device = named["latent"].device
        places = torch.tensor([k for k, _, _ in wanted], device=device)
        side = int(named["latent"].shape[-1])
        times = [net.time(rows[k].embedding, rows[k].trajectory.step.t, side) for k, _, _ in wanted]
        given = net.engine.run(
            latent=named["latent"][places],
            emb=torch.cat(times),
            context=named["context"][places],
            hint=torch.cat([hint.picture_13HW for _, hint, _ in wanted]),
        )
        scales = torch.tensor([scale for _, _, scale in wanted], device=device)[:, None, None, None]
        for name, total in sums.items():
            total.index_add_(0, places, given[name].to(total) * scales)

    def after(self, rows: Sequence[Row], outputs: Mapping[str, Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        for net in self._nets.values():
            net.warm(rows, side)
        return {one.name: one.shape(rows, side) for one in self.residuals}

    def close(self) -> None:
        for net in self._nets.values():
            net.engine.close()


def _wanted(row: Row, model: str) -> list[tuple[Hint, float]]:
    """Return the hints that a row shows to a net, with the scale at its step; those at 0 are left out."""
    one = row.trajectory
    scales = [
        (hint, hint.control.scale_at(one.index, len(one.schedule)))
        for hint in one.extras.get(NAME, ())
        if hint.control.model == model
    ]
    return [(hint, scale) for hint, scale in scales if scale]


def load_net(model: str, painter: Painter, config: PaintConfig, report: Report) -> ControlNet:
    """Load the net `model` and choose what runs it. Raises ModelError, or EngineError when nothing can."""
    import torch

    from pipelines.engines.choose import choose
    from pipelines.engines.networks import time_embedding
    from pipelines.models.store import digest, locate

    from .nets.control import control_network, read_control_net, residuals_of

    folder = Path(locate(model))
    report(f"Reading the control net {folder.name}.")
    net = read_control_net(folder)

    def time(embedding: Embedding, t: float, side: int) -> Tensor:
        further: Any = getattr(painter.backbone, "further", None)
        more = further(embedding, side) if further is not None else {}
        context_1TD = embedding.context_1TD.cpu()
        return time_embedding(net, torch.tensor([t]), context_1TD, **more).to(painter.device)

    words = painter.book.words("", "").prompt
    wants = (int(net.config.in_channels), net.config.cross_attention_dim)
    if wants != (painter.latents.channels, words.context_1TD.shape[-1]):
        raise ModelError(
            f"The control net {folder.name} takes latents of {wants[0]} channels and words of {wants[1]}, "
            f"this model {painter.latents.channels} and {words.context_1TD.shape[-1]}.",
            hint="Use one of the same family: Stable Diffusion 1.x, 2.x or XL.",
        )
    side = painter.side(config.size_px)
    draw = torch.Generator().manual_seed(0)
    example = {
        "latent": torch.randn((1, painter.latents.channels, side, side), generator=draw),
        "emb": time(words, painter.backbone.usual_t, side),
        "context": words.context_1TD,
        "hint": torch.rand((1, 3, config.size_px, config.size_px), generator=draw),
    }
    engine = choose(
        control_network(net, digest(folder)),
        wanted=config.engine,
        precision=config.precision,
        example=example,
        report=report,
    )
    return ControlNet(engine, residuals_of(net), time, example)
