"""Attention for training in which questions seek their frames themselves, among thousands, as in a memory.

Frames are read once, in pieces, and their keys and values stay. A bare question then runs through the model as
ReKV's does: each layer seeks frames by the product of means, attends to the best and goes on (`KVMemory.ask_pass`).
What the layers vote for, the question sees when it is answered (`Hybrid`). A test holds both to what the memory does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from .attend import SINK, rotated, turns
from .model import TOKENS

NAME = "watcher_seeking"
RECENT = 4
"""Of the frames that a question sees so many are the newest."""
APART, REACH = 2.0, 4.0
"""By how much the neighbours of a chosen frame are worth less, and how far away they are: as `Hybrid` has it."""


@dataclass(slots=True)
class Reading:
    """Read pieces of streams, B of C frames each; a frame sees the newest `window`. Keeps keys and values of each layer."""

    frames: int
    window: int
    width: int
    device: str
    keys: list[torch.Tensor] = field(default_factory=list)
    """(B, heads, SINK + C * TOKENS, D), unrotated."""
    values: list[torch.Tensor] = field(default_factory=list)
    mask: torch.Tensor | None = field(init=False)
    by: Any = field(init=False)

    def __post_init__(self) -> None:
        at = torch.arange(SINK + self.frames * TOKENS, device=self.device)
        frame = (at - SINK).div(TOKENS, rounding_mode="floor")
        near = (frame[:, None] - frame < self.window) | (at < SINK)
        self.mask = None if self.window >= self.frames else (near & (at[:, None] >= at))[None, None]
        self.by = turns(at, self.width)

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        self.keys.append(k)
        self.values.append(v)
        groups = q.shape[1] // k.shape[1]
        keys = rotated(k, self.by).repeat_interleave(groups, 1)
        return F.scaled_dot_product_attention(
            rotated(q, self.by), keys, v.repeat_interleave(groups, 1), attn_mask=self.mask, is_causal=self.mask is None, scale=scale
        )


@dataclass(slots=True)
class Seeking:
    """Let W * Q questions see frames of their streams, W of F frames: chosen ones, or each layer the best."""

    read: Reading
    streams: int
    see: int
    """How many frames."""
    asks_N: torch.Tensor
    """How many words a question has; they come first, or behind what closes the frames."""
    bare: bool
    chosen_NK: torch.Tensor | None = None
    """Rising; F stands for no frame. None: each layer chooses."""
    scores: list[torch.Tensor] = field(default_factory=list)
    """Of each layer, (N, F), if layers choose."""

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        (count, heads, long, width), kept = q.shape, k.shape[1]
        keys, values = (part[layer] for part in (self.read.keys, self.read.values))
        sink_k, sink_v = (part[:1, :, :SINK].expand(count, -1, -1, -1) for part in (keys, values))
        keys, values = (part[:, :, SINK:].unflatten(2, (-1, TOKENS)).transpose(1, 2).flatten(0, 1) for part in (keys, values))
        frames = len(keys) // self.streams
        chosen = self.chosen_NK
        if chosen is None:
            self.scores.append(self._scores(q, keys))
            chosen = newest_and(self.scores[-1].detach(), self.see)
        stream = torch.arange(count, device=q.device).div(count // self.streams, rounding_mode="floor")
        at = stream[:, None] * frames + chosen.clamp(max=frames - 1)
        seen_k, seen_v = (part[at].transpose(1, 2).flatten(2, 3) for part in (keys, values))
        there = chosen < frames
        begin = SINK + TOKENS * there.sum(1)
        line = torch.arange(long, device=q.device)
        own = turns((begin[:, None] + line)[:, None], width)
        places = turns(torch.arange(SINK + seen_k.shape[2], device=q.device), width)
        before = rotated(torch.cat((sink_k, seen_k), 2), places)
        every = torch.cat((before, rotated(k, own)), 2).repeat_interleave(heads // kept, 1)
        worth = torch.cat((sink_v, seen_v, v), 2).repeat_interleave(heads // kept, 1)
        sees = torch.cat((torch.ones_like(there[:, :1]).expand(-1, SINK), there.repeat_interleave(TOKENS, 1)), 1)
        causal = (line[:, None] >= line).expand(count, -1, -1)
        mask = torch.cat((sees[:, None].expand(-1, long, -1), causal), 2)[:, None]
        return F.scaled_dot_product_attention(rotated(q, own), every, worth, attn_mask=mask, scale=scale)

    def _scores(self, q: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return the product of each question's mean query and each frame's mean key, in units of sqrt(D)."""
        line = torch.arange(q.shape[2], device=q.device) + int(self.bare)
        words = ((line > 0) & (line <= self.asks_N[:, None])).float()
        with torch.autocast(q.device.type, enabled=False):
            mean = torch.einsum("nhld,nl->nhd", q.float(), words / words.sum(1, keepdim=True).clamp(min=1))
            query = mean.unflatten(1, (keys.shape[1], -1)).sum(2).flatten(1).unflatten(0, (self.streams, -1))
            key = keys.float().mean(2).flatten(1).unflatten(0, (self.streams, -1))
            return torch.einsum("wqv,wfv->wqf", query, key).flatten(0, 1) * q.shape[-1] ** -0.5


def newest_and(scores_NF: torch.Tensor, see: int) -> torch.Tensor:
    """Return the newest frames and the best besides, (N, `see`), rising; as `strategies.base.best`."""
    count, frames = scores_NF.shape
    see, recent = min(see, frames), min(RECENT, see, frames)
    best = scores_NF[:, : frames - recent].topk(see - recent, 1).indices
    last = torch.arange(frames - recent, frames, device=scores_NF.device).expand(count, -1)
    return torch.cat((best, last), 1).sort(1).values


def standardised(scores_NF: torch.Tensor) -> torch.Tensor:
    """Return scores with mean 0 and deviation 1 over frames."""
    return (scores_NF - scores_NF.mean(1, keepdim=True)) / scores_NF.std(1, correction=0, keepdim=True).clamp(min=1e-9)


def voted(scores: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean over layers of standardised scores, (N, F)."""
    return torch.stack([standardised(one) for one in scores]).mean(0)


def apart(scores_NF: torch.Tensor, see: int, few_N: torch.Tensor | None = None) -> torch.Tensor:
    """Return frames as `strategies.base.apart` does, (N, `see`), rising: each that is taken makes its neighbours worth less.

    With `few_N` a question gets only so many; F fills up.
    """
    count, frames = scores_NF.shape
    see, recent = min(see, frames), min(RECENT, see, frames)
    left, at = scores_NF[:, : frames - recent].clone(), torch.arange(frames - recent, device=scores_NF.device)
    taken = []
    for _ in range(see - recent):
        one = left.argmax(1, keepdim=True)
        taken.append(one)
        off = (at - one).float()
        left -= torch.where(off.abs() <= math.ceil(3 * REACH), APART * torch.exp(-((off / REACH) ** 2)), 0.0)
        left.scatter_(1, one, -torch.inf)
    chosen = torch.cat(taken, 1) if taken else at.new_zeros(count, 0)
    if few_N is not None:
        line = torch.arange(see - recent, device=at.device)
        chosen = torch.where(line < (few_N - recent)[:, None], chosen, frames)
    last = torch.arange(frames - recent, frames, device=at.device).expand(count, -1)
    return torch.cat((chosen, last), 1).sort(1).values


def attention(module: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any, scaling: float = 0.0,
              dropout: float = 0.0, plan: Any = None, **more: Any) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attend as `plan` says, a Reading or a Seeking; keys and queries come unrotated."""
    return plan.attend(module.layer_idx, q, k, v, scaling).transpose(1, 2), None


def use(model: Any) -> None:
    """Let a model's language part attend like this; `plan` then goes to its forward."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
    model.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
