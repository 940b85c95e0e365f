"""A step of a FastConformer as a network for engines, one for each look-ahead."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from pipelines.engines.base import Network, TensorSpec

from .model import FastConformer
from .plans import Plan
from .state import NAMES, nothing, shapes, spans
from .step import Step

SOURCES = ("model.py", "networks.py", "plans.py", "state.py", "step.py")
NEXT = "next_"
"""Before the name of a cache that comes out."""


def heads(plan: Plan) -> tuple[str, ...]:
    """Return the outputs from which tokens are made."""
    return (*(("ctc",) if plan.has_ctc else ()), *(("joint",) if plan.predictor else ()))


def step_network(model: FastConformer, digest: str, lookahead: int) -> Network:
    """Return the network of one look-ahead; what goes in and comes out is told by `Step`.

    The model is put to inference. `digest` names its weights; the code that is traced is added. Raises
    ConfigError for a look-ahead that does not fit.
    """
    model.eval().requires_grad_(False)
    plan, count = model.plan, lookahead + 1
    summed = hashlib.sha256(f"{digest} {lookahead} {plan.told()}".encode())
    for name in SOURCES:
        summed.update((Path(__file__).parent / name).read_bytes())
    caches = [TensorSpec(name, "float32", ("b", *shape)) for name, shape in shapes(plan).items()]
    widths = {"ctc": plan.tokens, "joint": plan.predictor}
    made = [("frames", plan.width), *((name, widths[name]) for name in heads(plan))]
    return Network(
        f"hear{lookahead}",
        Step(model, lookahead).eval(),
        (
            TensorSpec("mel", "float32", ("b", count * plan.factor, plan.mels)),
            TensorSpec("spans", "float32", ("b", plan.stages + 1, 2)),
            TensorSpec("seen", "float32", ("b", 1)),
            *caches,
        ),
        (
            *(TensorSpec(name, "float32", ("b", count, width)) for name, width in made),
            *(TensorSpec(NEXT + one.name, one.dtype, one.dims) for one in caches),
        ),
        summed.hexdigest(),
        rounds_products=True,
        threads=1,
    )


def example(model: FastConformer, lookahead: int) -> dict[str, Tensor]:
    """Return inputs as a stream gives them: the second chunk of a noise that rises and falls."""
    plan, count = model.plan, lookahead + 1
    draw = torch.Generator().manual_seed(0)
    rows = 2 * count * plan.factor
    swell = torch.linspace(0, 12, rows).sin()[:, None] * 2 - 8
    mel = (swell + torch.randn(rows, plan.mels, generator=draw))[None]
    first, second = mel.chunk(2, 1)
    begun = dict(zip(NAMES, nothing(plan).tensors, strict=True))
    with torch.inference_mode():
        found = Step(model, lookahead).eval()(
            first, spans(plan, lookahead, 0), torch.zeros(1, 1), *begun.values()
        )
    caches = [one.clone() for one in found[1 + len(heads(plan)) :]]
    seen = torch.full((1, 1), float(min(count, plan.left)))
    inputs = {"mel": second, "spans": spans(plan, lookahead, count), "seen": seen}
    return inputs | dict(zip(NAMES, caches, strict=True))
