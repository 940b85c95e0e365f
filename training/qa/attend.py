"""Attention for training: questions see some frames of a clip, as if only these had been retrieved.

While a stream is encoded, a frame sees the newest `window` frames, itself among them, and what stands before all
frames. A question sees chosen frames only, at positions without gaps, and keys are rotated for that: what the
model meets later, when keys of past frames are fetched from a memory (ReKV, Di et al. 2025), it meets here. All
questions of a clip are answered in one pass, and do not see each other.

The model runs at position 0 everywhere, so that keys and queries come here unrotated. From them it is also
judged how well a question finds the frames that show what it is about, by the product of means that ReKV
retrieves by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from .model import THETA, TOKENS
from .words import BEFORE

NAME = "watcher_training"
SINK = len(BEFORE)


def turns(positions: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of the rotation at positions, (..., width) each."""
    rates = THETA ** (-torch.arange(0, width, 2, device=positions.device, dtype=torch.float32) / width)
    angles = positions.float()[..., None] * rates
    angles = torch.cat((angles, angles), -1)
    return angles.cos(), angles.sin()


def rotated(x: torch.Tensor, by: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotate (B, H, L, D) by what `turns` gave, as the stock class does: halves, not pairs."""
    one, two = x.chunk(2, -1)
    return (x * by[0] + torch.cat((-two, one), -1) * by[1]).to(x.dtype)


@dataclass(slots=True)
class Plan:
    """Say who sees what, for B clips of T frames with Q questions of L tokens; S tokens come before questions."""

    frames: int
    window: int
    view_BT: torch.Tensor
    asks_BQ: torch.Tensor
    """How many tokens are the question's own words; the first is behind what closes the frames."""
    long: int
    width: int
    """Of a head."""
    tail: bool = True
    """Whether questions begin with what closes the frames; a bare question, as frames are sought by, does not."""
    scores: list[torch.Tensor] = field(default_factory=list)
    """Of each layer, (B, Q, T)."""
    first: int = field(init=False)
    frame_turns: Any = field(init=False)
    view_turns: Any = field(init=False)
    ask_turns: Any = field(init=False)
    frame_mask: torch.Tensor | None = field(init=False)
    ask_mask: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        view, device = self.view_BT, self.view_BT.device
        batch, asked = self.asks_BQ.shape
        self.first = SINK + self.frames * TOKENS
        self.frame_turns = turns(torch.arange(self.first, device=device), self.width)
        order = (view.long().cumsum(1) - 1).clamp(min=0)
        inside = torch.arange(TOKENS, device=device)
        places = SINK + (order[:, :, None] * TOKENS + inside).flatten(1)
        sink = torch.arange(SINK, device=device).expand(batch, SINK)
        self.view_turns = turns(torch.cat((sink, places), 1)[:, None], self.width)
        line = torch.arange(self.long, device=device).repeat(asked)
        begin = SINK + TOKENS * view.sum(1) - int(not self.tail)
        self.ask_turns = turns((begin[:, None] + line)[:, None], self.width)
        self.frame_mask = None if self.window >= self.frames else self._window(device)
        sees = torch.cat((torch.ones_like(view[:, :1]).expand(batch, SINK), view.repeat_interleave(TOKENS, 1)), 1)
        number = torch.arange(asked, device=device).repeat_interleave(self.long)
        own = (number[:, None] == number) & (line[:, None] >= line)
        if not self.tail:
            own = own & ((line > 0) | (line[:, None] == 0))
        count = asked * self.long
        self.ask_mask = torch.cat((sees[:, None, :].expand(batch, count, self.first), own.expand(batch, count, count)), 2)[:, None]

    def _window(self, device: torch.device) -> torch.Tensor:
        at = torch.arange(self.first, device=device)
        frame = (at - SINK).div(TOKENS, rounding_mode="floor")
        near = (frame[:, None] - frame < self.window) | (at < SINK)
        return (near & (at[:, None] >= at))[None, None]


def attention(module: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any, scaling: float = 0.0,
              dropout: float = 0.0, plan: Plan | None = None, **more: Any) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attend as `plan` says; q (B, H, S+QL, D), k and v (B, K, S+QL, D), unrotated."""
    assert plan is not None
    groups, first = q.shape[1] // k.shape[1], plan.first
    plan.scores.append(_scores(q, k, plan, groups))
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    before = F.scaled_dot_product_attention(
        rotated(q[:, :, :first], plan.frame_turns), rotated(k[:, :, :first], plan.frame_turns), v[:, :, :first],
        attn_mask=plan.frame_mask, is_causal=plan.frame_mask is None, scale=scaling,
    )  # fmt: skip
    keys = torch.cat((rotated(k[:, :, :first], plan.view_turns), rotated(k[:, :, first:], plan.ask_turns)), 2)
    after = F.scaled_dot_product_attention(rotated(q[:, :, first:], plan.ask_turns), keys, v, attn_mask=plan.ask_mask, scale=scaling)
    return torch.cat((before, after), 2).transpose(1, 2), None


def _scores(q: torch.Tensor, k: torch.Tensor, plan: Plan, groups: int) -> torch.Tensor:
    """Return the product of a question's mean query and a frame's mean key, (B, Q, T), in units of sqrt(D)."""
    asks = plan.asks_BQ
    queries = q[:, :, plan.first :].float().unflatten(2, (asks.shape[1], plan.long))
    line = torch.arange(plan.long, device=q.device)
    words = ((line > 0) & (line <= asks[..., None])).float()
    query = torch.einsum("bhqld,bql->bqhd", queries, words / words.sum(-1, keepdim=True).clamp(min=1))
    key = k[:, :, SINK : plan.first].float().unflatten(2, (plan.frames, TOKENS)).mean(3).repeat_interleave(groups, 1)
    return torch.einsum("bqhd,bhfd->bqf", query, key) * q.shape[-1] ** -0.5


def use(model: Any) -> None:
    """Let a model's language part attend like this; `plan` then goes to its forward."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
    model.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
