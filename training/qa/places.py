"""Write into each of a frame's tokens which cell it is of, into weights of the stock class and with no training.

Frames reach the mind by the projector: a layer, a bend, a layer. What comes in with the first layer of the eyes tells
the cell, by least squares. Nine units between the projector's layers, those that do least, are given up for it: each
answers to one cell, and adds to the token a direction that tokens of frames do not use. Then one head of attention,
that looks at what is asked about already, is led on to the words for places: a first way, that `tune` makes a good one.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn import functional as F

from .batches import Spec, batch
from .model import LAYERS, PATCH, TOKENS, frame_embeds, pixels
from .step import drawn
from .words import NUMBER_OF, PLACES
from .world import SIDE

STEEP, FROM = 40.0, 0.9
"""How much a unit loses where a patch is not like its cell, and how like it has to be; a patch of a thing gives about 10."""
LOUD = 0.4
"""How long a cell's direction is, of the length of the token that it is added to."""
UNUSED = 140
"""Of so many directions that tokens use least, a cell's is drawn."""
LAYER, HEAD = 2, 5
"""Of attention: where most of it, 0.7, lies on the tokens of what a question for a place is about."""
SAYS, GAIN = 6.0, 1.5
"""How much that head adds to the word for a place, of logits, about; and how loud the cell is in what it takes over."""
STATE, SHARE = 34.0, 3.0
"""Root mean square of the state that words are read from; and of a thing's token what its cell is, once lengths are made even."""


def cells() -> torch.Tensor:
    """Return the cell of each patch, (patches,)."""
    across = SIDE // PATCH
    line = torch.arange(across) // 2
    return (line[:, None] * (across // 2) + line).flatten()


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    """Return frames to look at, (about `count`, 3, SIDE, SIDE), of the seeds that training has."""
    made = batch(Spec((1, 1 << 20, seed), max(count // 16, 1), 16, 1))
    return drawn(made, torch.Generator().manual_seed(seed), "cpu").flatten(0, 1)


def widened(model: Any) -> Any:
    """Return a copy whose projector takes the first layer of the eyes besides the last, and does not heed it yet."""
    from transformers import LlavaOnevisionForConditionalGeneration

    config, name = copy.deepcopy(model.config), "model.multi_modal_projector.linear_1.weight"
    state = dict(model.state_dict())
    if config.vision_feature_layer == -1:
        state[name] = torch.cat((state[name], torch.zeros_like(state[name])), 1)
    config.vision_feature_layer = list(LAYERS)
    wide = LlavaOnevisionForConditionalGeneration(config)
    wide.load_state_dict(state)
    wide.generation_config = copy.deepcopy(model.generation_config)
    return wide.eval()


def _solve(rows: torch.Tensor, wanted: torch.Tensor, ridge: float = 1e-4) -> torch.Tensor:
    gram = rows.T @ rows
    return torch.linalg.solve(gram + ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype), rows.T @ wanted)


def _with_one(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat((rows, torch.ones_like(rows[:, :1])), 1)


@torch.no_grad()
def write_places(model: Any, frames_N3HW: torch.Tensor, seed: int = 0) -> dict[str, float]:
    """Change a widened model's projector.

    Returns the share of patches whose cell is "told", how much "leaks" into other cells, and what tokens "lost" by the nine units.
    """
    first, second = model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2
    eye = model.config.vision_config.hidden_size
    ends = [model.model.vision_tower(pixels(part), output_hidden_states=True).hidden_states for part in frames_N3HW.split(64)]
    came, seen = (_with_one(torch.cat([layers[at] for layers in ends]).flatten(0, 1).double()) for at in (0, -1))
    which = cells().repeat(len(frames_N3HW))
    wanted = F.one_hot(which, TOKENS).double()
    likeness = _solve(came, wanted)
    told = came @ likeness

    between = F.gelu(seen[:, :-1].float() @ first.weight[:, :eye].T + first.bias).double()
    tokens = between @ second.weight.double().T + second.bias.double()
    order = (between.std(0) * second.weight.double().norm(dim=0)).argsort()
    given, kept = order[:TOKENS], order[TOKENS:].sort().values
    rest = _with_one(between[:, kept])
    again = _solve(rest, tokens, 1e-9)
    second.weight[:, kept], second.bias[:] = again[:-1].T.float(), again[-1].float()

    spread = tokens - tokens.mean(0)
    _, _, ways = torch.linalg.svd(spread.T @ spread)
    turn = torch.linalg.qr(torch.randn(UNUSED, TOKENS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q
    directions = turn.T @ ways[-UNUSED:]
    # a token of a thing is ten times as long as an empty one: a unit gives what is in proportion to that
    length = tokens.norm(dim=1, keepdim=True)
    tall = _solve(seen, 10 * length / length.quantile(0.98))
    units = F.gelu(seen @ tall + STEEP * (told - FROM))
    here = (units * wanted).sum(1, keepdim=True)
    first.weight[given, :eye] = tall[:-1].T.float()
    first.weight[given, eye:] = (STEEP * likeness[:-1].T).float()
    first.bias[given] = (tall[-1] + STEEP * (likeness[-1] - FROM)).float()
    second.weight[:, given] = (LOUD * (here * length).sum() / (here * here).sum() * directions.T).float()
    return {
        "told": float((told.argmax(1) == which).double().mean()),
        "leaks": float((units * (1 - wanted)).norm() / units.norm()),
        "lost": float((rest @ again - tokens).norm() / spread.norm()),
    }


def directions(model: Any) -> torch.Tensor:
    """Return each cell's direction, of length 1, (TOKENS, D), of a model that places were written into."""
    first, second = model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2
    eye = model.config.vision_config.hidden_size
    given = first.weight[:, eye:].abs().sum(1).nonzero().flatten()
    answers = model.model.vision_tower.embeddings.position_embedding.weight @ first.weight[given, eye:].T
    best = torch.zeros(TOKENS, len(given)).index_add_(0, cells(), answers).argmax(1)
    return F.normalize(second.weight[:, given].T, dim=1)[best]


@torch.no_grad()
def wire(model: Any, frames_N3HW: torch.Tensor) -> float:
    """Let one head of attention say the cell of what it looks at.

    Of what it takes over, nine directions that hold least are given to cells, and each leads on to the word for its
    place. Returns what share of all stood in these nine.
    """
    text, inner = model.config.text_config, model.model.language_model
    width = text.hidden_size // text.num_attention_heads
    group = HEAD // (text.num_attention_heads // text.num_key_value_heads)
    attention, norm = inner.layers[LAYER].self_attn, inner.layers[LAYER].input_layernorm.weight
    codes = directions(model)
    tokens = frame_embeds(model, frames_N3HW[:, None])[:, 0]
    unit = tokens / tokens.pow(2).mean(-1, keepdim=True).sqrt()
    plain = (unit - unit @ codes.T @ codes).flatten(0, 1) * norm
    rows, columns = slice(group * width, (group + 1) * width), slice(HEAD * width, (HEAD + 1) * width)
    values, out = attention.v_proj, attention.o_proj.weight[:, columns]
    held = plain @ values.weight[rows].T
    _, strength, ways = torch.linalg.svd(held - held.mean(0), full_matrices=False)
    free = ways[-TOKENS:]
    values.weight[rows] += free.T @ (GAIN * codes / norm - free @ values.weight[rows])
    values.bias[rows] -= free.T @ free @ values.bias[rows]
    words = model.lm_head.weight[[NUMBER_OF[place] for place in PLACES]] * inner.norm.weight
    aim = torch.linalg.pinv(words - words.mean(0))  # what adds one to a word's logit, and nothing to another's
    out += (STATE * SAYS / (GAIN * SHARE) * aim - out @ free.T) @ free
    return float(strength[-TOKENS:].norm() / strength.norm())
