"""Let a made watcher's eyes say where each token lies; no training, only linear algebra on its weights.

A language model can tell where a thing of a single frame is by how far back its token lies, and then the eyes see no
reason to say so. But frames that a memory brings back lie anywhere: where a thing was cannot be told of them. So nine
directions of the eyes' stream that say least are cleared, in all that writes to them and reads them; each patch's
embedding of position writes its cell's there; and the nine units of the projector that matter least carry them on
as codes, along directions in which tokens differ least. `polish` then teaches the language model to read them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .model import PATCH, TOKENS, Size, frame_embeds, make, pixels
from .paint import backgrounds, paint
from .train import TRAINING, WORK
from .world import SIDE, world

STRENGTH = 0.4
"""Of a code, in lengths of a token."""
MARK = 4.0
"""Of a cell's mark in the eyes' stream, which is 15 long where it begins."""


def frames(seed: int, count: int) -> torch.Tensor:
    """Return single frames of `count` worlds, (count, 1, 3, H, W)."""
    rng, draws = np.random.default_rng((TRAINING, 4, seed)), torch.Generator().manual_seed(seed)
    made = [world(rng, 1, bool(rng.random() < 0.5), int(rng.integers(0, 6)), (1, 1)) for _ in range(count)]
    things = torch.from_numpy(np.stack([one.thing_TK for one in made]))
    drawn = torch.from_numpy(np.stack([one.drawn_TK4 for one in made]))
    noise = 3 + 10 * torch.rand(count, generator=draws)
    return paint(things, drawn, backgrounds(count, 1, draws), noise, draws)


def least(rows_NC: torch.Tensor, count: int, level: bool = False) -> torch.Tensor:
    """Return directions along which rows differ least, (count, C); `level`: with a mean of zero each."""
    off = rows_NC - rows_NC.mean(0)
    spread = off.T @ off / len(off)
    if level:
        one = torch.full((len(spread), 1), len(spread) ** -0.5)
        spread = spread + 1e6 * spread.diagonal().mean() * one @ one.T
    return torch.linalg.eigh(spread).eigenvectors[:, :count].T.contiguous()


def cell_of_patch() -> torch.Tensor:
    """Return the cell of each patch, row after row."""
    at = torch.arange(SIDE // PATCH) // 2
    return (at[:, None] * (SIDE // PATCH // 2) + at).flatten()


def _blind(norm: Any, layers: list[Any], marks_9C: torch.Tensor, states_NC: torch.Tensor) -> None:
    """Let layers behind a norm read nothing along the marks; what they read there on the mean stays in their bias."""
    with torch.no_grad():
        centred = states_NC - states_NC.mean(1, keepdim=True)
        scale = (centred.square().mean(1, keepdim=True) + norm.eps).rsqrt()
        usual = ((centred * scale) @ marks_9C.T).mean(0)
        for layer in layers:
            along = (layer.weight * norm.weight) @ marks_9C.T
            layer.bias += along @ usual
            layer.weight -= (along @ marks_9C) / norm.weight


@torch.no_grad()
def place(model: Any, seed: int = 0) -> torch.Tensor:
    """Change eyes and projector so that tokens carry codes of their cells; return the codes, (TOKENS, D)."""
    seen = frames(seed, 256)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    inner = getattr(tower, "vision_model", tower)
    states = inner(pixels(seen[:, 0]), output_hidden_states=True).hidden_states
    rows = [one.flatten(0, 1) for one in states]
    marks = least(torch.cat([one / one.std() for one in rows]), TOKENS, level=True)
    clear = torch.eye(marks.shape[1]) - marks.T @ marks
    tokens = frame_embeds(model, seen).flatten(0, 2)
    codes = STRENGTH * tokens.norm(dim=-1).mean() * least(tokens, TOKENS)
    for layer, before in zip(inner.encoder.layers, rows, strict=False):
        attention = layer.self_attn
        middle = before + attention(layer.layer_norm1(before.unflatten(0, states[0].shape[:2])))[0].flatten(0, 1)
        _blind(layer.layer_norm1, [attention.q_proj, attention.k_proj, attention.v_proj], marks, before)
        _blind(layer.layer_norm2, [layer.mlp.fc1], marks, middle)
        for writes in (attention.out_proj, layer.mlp.fc2):
            writes.weight.copy_(clear @ writes.weight)
            writes.bias.copy_(clear @ writes.bias)
    patches, positions = inner.embeddings.patch_embedding, inner.embeddings.position_embedding
    patches.weight.copy_((clear @ patches.weight.flatten(1)).view_as(patches.weight))
    patches.bias.copy_(clear @ patches.bias)
    positions.weight.copy_(positions.weight @ clear + MARK * marks[cell_of_patch()])
    first, second = projector.linear_1, projector.linear_2
    first.bias += first.weight @ (rows[-1] @ marks.T @ marks).mean(0)
    first.weight.copy_(first.weight @ clear)
    carried = torch.nn.functional.gelu(rows[-1] @ first.weight.T + first.bias)
    spare = (carried.var(0) * second.weight.square().sum(0)).argsort()[:TOKENS]
    second.bias += second.weight[:, spare] @ carried[:, spare].mean(0)
    first.weight[spare], first.bias[spare] = 10 / MARK * marks, 0.0
    second.weight[:, spare] = codes.T / 10
    return codes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.qa.placing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--start", type=Path, required=True, help="safetensors file to begin from")
    parser.add_argument("--out", type=Path, default=WORK / "placed.safetensors")
    args = parser.parse_args()
    from safetensors.torch import load_file, save_file

    model = make(Size())
    model.load_state_dict({name: value.float() for name, value in load_file(args.start).items()})
    before, seen = frame_embeds(model, frames(1, 128)), frames(1, 128)
    codes = place(model)
    after = frame_embeds(model, seen)
    off = (after - codes - before).norm(dim=-1).mean() / codes.norm(dim=-1).mean()
    print(f"Tokens are {float(off):.3f} of a code beside what they were and the code.")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, args.out)


if __name__ == "__main__":
    main()
