"""One step of training: draw the frames of a batch, run the model, and say what it should have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from .attend import Plan
from .batches import Batch
from .model import frame_embeds
from .paint import backgrounds, paint
from .words import BEFORE, KINDS, NUMBER_OF, VIDEO, numbers_of

FINDING = 0.1
"""What finding frames counts, beside answering."""
PLACING = 0.1
"""What telling each token's cell counts, where there is a head that is asked for it."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Hold what a step says; `total` has a gradient."""

    total: torch.Tensor
    answer: torch.Tensor
    finds: torch.Tensor
    right_BQ: torch.Tensor


def drawn(made: Batch, draws: torch.Generator, device: str) -> torch.Tensor:
    """Return the frames of a batch, (B, T, 3, H, W), from 0 to 255."""
    thing, where = (torch.from_numpy(part).to(device, non_blocking=True) for part in (made.thing_BTK, made.drawn_BTK4))
    batch, frames = thing.shape[:2]
    noise = 3 + 10 * torch.rand(batch, generator=draws, device=device)
    return paint(thing, where, backgrounds(batch, frames, draws, device), noise, draws)


def forward(model: Any, frames_BT3HW: torch.Tensor, made: Batch, window: int, tail: bool = True) -> tuple[torch.Tensor, Plan, torch.Tensor]:
    """Return what is said behind each token of questions, (B, Q, L, V), the plan with its scores, and the frames' tokens."""
    device = frames_BT3HW.device
    view, ids, asks = (torch.from_numpy(part).to(device) for part in (made.view_BT, made.ids_BQL, made.asks_BQ))
    ids = ids.long()
    batch, asked, long = ids.shape
    embed = model.get_input_embeddings()
    before = embed(torch.tensor(numbers_of(BEFORE), device=device)).expand(batch, -1, -1)
    seen = frame_embeds(model, frames_BT3HW)
    words = torch.where((ids == NUMBER_OF[VIDEO])[..., None], model.model.image_newline, embed(ids)).flatten(1, 2)
    inputs = torch.cat((before, seen.flatten(1, 2).to(before.dtype), words), 1)
    config = model.config.text_config
    plan = Plan(view.shape[1], window, view, asks, long, config.hidden_size // config.num_attention_heads, tail)
    places = torch.zeros(batch, inputs.shape[1], dtype=torch.long, device=device)
    out = model.model.language_model(inputs_embeds=inputs, position_ids=places, use_cache=False, plan=plan).last_hidden_state
    return model.lm_head(out[:, plan.first :]).unflatten(1, (asked, long)), plan, seen


def losses(model: Any, frames_BT3HW: torch.Tensor, made: Batch, window: int, tail: bool = True, places: Any = None) -> Losses:
    """Run a batch: cross entropy of the answer and of the end behind it, and of finding what shows it."""
    logits, plan, seen = forward(model, frames_BT3HW, made, window, tail)
    device = logits.device
    ids, said = torch.from_numpy(made.ids_BQL).to(device).long(), torch.from_numpy(made.said_BQ).to(device).long()
    at = torch.stack((said - 1, said), -1)
    found = logits.float().gather(2, at[..., None].expand(*at.shape, logits.shape[-1]))
    wanted = ids.gather(2, at + 1)
    every = F.cross_entropy(found.flatten(0, 2), wanted.flatten(), reduction="none").unflatten(0, wanted.shape)
    answer = every[..., 0].mean()
    finds = torch.zeros((), device=device)
    shows = torch.from_numpy(made.shows_BQT).to(device)
    if shows.shape[-1] > 1:
        some = (shows.any(-1) & ~shows.all(-1)).float()
        scores = torch.stack(plan.scores).float()
        right = (scores.log_softmax(-1) * shows).sum(-1) / shows.sum(-1).clamp(min=1)
        finds = -(right * some).sum() / (some.sum() * len(scores)).clamp(min=1)
    cells = torch.zeros((), device=device)
    if places is not None:
        told = places(F.layer_norm(seen.float(), seen.shape[-1:])).flatten(0, 2)
        cells = F.cross_entropy(told.float(), torch.arange(seen.shape[2], device=device).repeat(len(told) // seen.shape[2]))
    hits = found[:, :, 0].argmax(-1) == wanted[..., 0]
    return Losses(answer + 0.2 * every[..., 1].mean() + FINDING * finds + PLACING * cells, answer.detach(), finds.detach(), hits)


def tally(made: Batch, right_BQ: torch.Tensor) -> dict[str, tuple[int, int]]:
    """Return for each kind of question how many were right, of how many."""
    right = right_BQ.cpu().numpy()
    return {
        kind: (int(right[made.kind_BQ == number].sum()), int((made.kind_BQ == number).sum()))
        for number, kind in enumerate(KINDS)
        if (made.kind_BQ == number).any()
    }
