"""One step of a stream: a chunk of log-mel and the caches in, frames and the caches out, all shapes fixed.

Cache-aware streaming (Noroozi et al. 2023, arXiv:2312.17279), exact: what it says is what the whole recording
would give under the same mask. One graph serves a look-ahead, its first chunk included. Offline, the first
frame sees zeros that no steady step sees; so a stream begins with `factor - 1` empty mel frames, and what
each stage of the subsampling makes of them is put to zero. `spans` tells how much of each stage is real.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .model import FastConformer
from .state import edge_sizes

MASKED = -1e4
"""Added to the score of a key that is not there. Finite, so that a row without any key is no NaN."""


class Step(nn.Module):
    """Hear one chunk of `lookahead + 1` encoder frames. Weights are the model's own; nothing is copied.

    In: mel (B, T, mels); spans (B, stages + 1, 2), of each stage's frames the first that is real and the
    first that is no more; seen (B, 1), how many cached frames are real; keys and values (B, layers, heads,
    left, width / heads); past (B, layers, width, kernel - 1); edges (B, n), the last frame that entered each
    stage. Out: frames (B, lookahead + 1, width), what the heads make of these, and the caches.
    """

    def __init__(self, model: FastConformer, lookahead: int) -> None:
        super().__init__()
        plan = model.plan
        plan.check(lookahead)
        self.plan, self.count = plan, lookahead + 1
        subsampling: Any = model.encoder.subsampling
        self.scaled = model.scaled
        self.subsampling = subsampling
        self.scale = float(model.encoder.input_scale)
        self.blocks = nn.ModuleList(Block(model, k, self.count) for k in range(plan.layers))
        self.ctc_head = model.ctc_head
        self.encoder_projector = model.encoder_projector

    def forward(
        self,
        mel: Tensor,
        spans: Tensor,
        seen: Tensor,
        keys: Tensor,
        values: Tensor,
        past: Tensor,
        edges: Tensor,
    ) -> tuple[Tensor, ...]:
        frames, new_edges = self._subsampled(mel, spans, edges)
        absent = self._absent(seen, spans[:, -1])
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for k, block in enumerate(self.blocks):
            frames, *caches = block(frames, absent, keys[:, k], values[:, k], past[:, k])
            kept.append((caches[0], caches[1], caches[2]))
        heads = []
        if self.ctc_head is not None:
            heads.append(self.ctc_head(frames).log_softmax(-1))
        if self.encoder_projector is not None:
            heads.append(self.encoder_projector(frames))
        stacked = (torch.stack(every, 1) for every in zip(*kept, strict=True))
        return (frames, *heads, *stacked, new_edges)

    def _subsampled(self, mel: Tensor, spans: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        held = self.scaled(mel)[:, None] * _real(mel.shape[1], spans[:, 0])[:, None, :, None]
        new_edges = []
        sizes = edge_sizes(self.plan)
        before = edges.split([channels * bands for channels, bands in sizes], 1)
        for stage, size in enumerate(sizes):
            new_edges.append(held[:, :, -1].flatten(1))
            edge = before[stage].unflatten(1, size)
            wide = functional.pad(torch.cat([edge[:, :, None], held], 2), (2, 1))
            if stage == 0:
                made = _convolved(self.subsampling.conv_in, wide)
            else:
                layer = self.subsampling.layers[stage - 1]
                made = layer.pointwise_conv(_convolved(layer.depthwise_conv, wide))
            held = made.relu() * _real(made.shape[2], spans[:, stage + 1])[:, None, :, None]
        flat = held.transpose(1, 2).flatten(2)
        return self.subsampling.linear(flat) * self.scale, torch.cat(new_edges, 1)

    def _absent(self, seen: Tensor, span: Tensor) -> Tensor:
        """Return what is added to the scores of each key, (B, 1, 1, left + count)."""
        left = self.plan.left
        slots = torch.arange(left, device=seen.device, dtype=seen.dtype)
        cached = (slots[None] >= left - seen).to(seen.dtype)
        present = torch.cat([cached, _real(self.count, span)], 1)
        return ((1.0 - present) * MASKED)[:, None, None]


class Block(nn.Module):
    """Run one Conformer block of transformers on a chunk, with what it kept of the frames before."""

    def __init__(self, model: FastConformer, index: int, count: int) -> None:
        super().__init__()
        layer: Any = model.encoder.layers[index]
        self.layer = layer
        self.left, self.heads, self.count = model.plan.left, model.plan.heads, count
        self.widen = _linear(layer.conv.pointwise_conv1)
        self.narrow = _linear(layer.conv.pointwise_conv2)
        self.register_buffer("distances_HDP", distances(model, index, count), persistent=False)

    def forward(
        self, frames: Tensor, absent: Tensor, keys: Tensor, values: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        layer = self.layer
        frames = frames + 0.5 * layer.feed_forward1(layer.norm_feed_forward1(frames))
        heard, keys, values = self._attended(layer.norm_self_att(frames), absent, keys, values)
        frames = frames + heard
        mixed, past = self._mixed(layer.norm_conv(frames), past)
        frames = frames + mixed
        frames = frames + 0.5 * layer.feed_forward2(layer.norm_feed_forward2(frames))
        return layer.norm_out(frames), keys, values, past

    def _attended(
        self, frames: Tensor, absent: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        own = self.layer.self_attn
        query = self._split(own.q_proj(frames))
        keys = torch.cat([keys, self._split(own.k_proj(frames))], 2)
        values = torch.cat([values, self._split(own.v_proj(frames))], 2)
        near = (query + own.bias_v[:, None]) @ self.distances_HDP
        scores = (query + own.bias_u[:, None]) @ keys.transpose(2, 3) + self._shifted(near)
        weights = (scores * own.scaling + absent).softmax(-1)
        heard = own.o_proj((weights @ values).transpose(1, 2).flatten(2))
        return heard, keys[:, :, self.count :], values[:, :, self.count :]

    def _split(self, frames: Tensor) -> Tensor:
        """Return (B, heads, count, width / heads)."""
        return frames.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _shifted(self, scores_BHCP: Tensor) -> Tensor:
        """Return for each query its scores by key, (B, heads, count, left + count).

        Of query i the score of key j stands at j + count - 1 - i (Transformer-XL, arXiv:1901.02860, B).
        """
        wide = functional.pad(scores_BHCP, (1, 0)).flatten(2)
        rows = scores_BHCP.shape[-1]
        return wide[:, :, self.count :].unflatten(2, (self.count, rows))[..., : self.left + self.count]

    def _mixed(self, frames: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        conv = self.layer.conv
        gated = functional.glu(self.widen(frames), -1).transpose(1, 2)
        whole = torch.cat([past, gated], 2)
        deep = conv.depthwise_conv
        mixed = functional.conv1d(whole, deep.weight, deep.bias, groups=deep.groups).transpose(1, 2)
        return self.narrow(conv.activation(conv.norm(mixed))), whole[:, :, self.count :]


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def distances(model: FastConformer, index: int, count: int) -> Tensor:
    """Return the projected relative positions of a block, (heads, width / heads, left + 2 count - 1).

    They run from left + count - 1 frames before a query down to count - 1 after it, and are constants.
    """
    plan, own = model.plan, model.encoder.layers[index].self_attn
    weight = own.relative_k_proj.weight
    rates = model.encoder.encode_positions.inv_freq.float().to(weight.device)
    steps = torch.arange(plan.left + count - 1, -count, -1, device=weight.device)
    angles = steps[:, None].float() * rates
    waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    projected: Tensor = own.relative_k_proj(waves.to(weight.dtype))
    return projected.unflatten(1, (plan.heads, -1)).permute(1, 2, 0).contiguous()


def _real(count: int, span_B2: Tensor) -> Tensor:
    """Return 1 for each of `count` places within the span, else 0: (B, count)."""
    places = torch.arange(count, device=span_B2.device, dtype=span_B2.dtype)[None]
    return ((places >= span_B2[:, :1]) & (places < span_B2[:, 1:])).to(span_B2.dtype)


def _convolved(conv: Any, padded: Tensor) -> Tensor:
    return functional.conv2d(padded, conv.weight, conv.bias, conv.stride, groups=conv.groups)


def _linear(conv: nn.Conv1d) -> nn.Linear:
    """Return a convolution of one frame as the product that it is, on the same memory: easier to round."""
    made = nn.Linear(conv.in_channels, conv.out_channels, conv.bias is not None)
    made.weight = nn.Parameter(conv.weight.detach()[:, :, 0])
    if conv.bias is not None:
        made.bias = nn.Parameter(conv.bias.detach())
    return made
