"""A FastConformer of transformers' own modules (Rekesh et al. 2023, arXiv:2305.05084) with its heads.

What stands here hears a whole recording at once: it is trained so, and it is what `step` is compared with.
Names of weights are those of transformers' `NemotronAsrStreamingForRNNT`; it has no slot for the CTC head
that hybrid checkpoints hold, which is `ctc_head` here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers.models.nemotron_asr_streaming.modeling_nemotron_asr_streaming import (
    NemotronAsrStreamingEncoder,
    NemotronAsrStreamingRNNTDecoder,
    NemotronAsrStreamingRNNTJointNetwork,
)

from .plans import Plan


class FastConformer(nn.Module):
    """Log-mel frames (B, T, mels) to encoder frames (B, L, width), and heads from these to tokens."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        config = plan.encoder_config()
        config._attn_implementation = "sdpa"  # "eager" gets its mask as floats, and reads it the wrong way
        self.encoder = NemotronAsrStreamingEncoder(config)
        self.ctc_head = nn.Linear(plan.width, plan.tokens) if plan.has_ctc else None
        self.encoder_projector: nn.Linear | None = None
        self.decoder: nn.Module | None = None
        self.joint: nn.Module | None = None
        if plan.predictor:
            whole = plan.whole_config()
            self.encoder_projector = nn.Linear(plan.width, plan.predictor)
            self.decoder = NemotronAsrStreamingRNNTDecoder(whole)
            self.joint = NemotronAsrStreamingRNNTJointNetwork(whole)

    def scaled(self, mel_BTM: Tensor) -> Tensor:
        """Return the log-mel as this network wants it."""
        if self.plan.mel_scale == 1.0 and self.plan.mel_shift == 0.0:
            return mel_BTM
        return (mel_BTM + self.plan.mel_shift) * self.plan.mel_scale

    def encode(self, mel_BTM: Tensor, lookahead: int) -> Tensor:
        """Return the encoder frames of whole recordings of one length, as chunks of lookahead + 1 hear them.

        Raises ConfigError for a look-ahead that does not fit.
        """
        self.plan.check(lookahead)
        found = self.encoder(self.scaled(mel_BTM), num_lookahead_tokens=lookahead)
        return found.last_hidden_state

    def ctc(self, frames_BLD: Tensor) -> Tensor:
        """Return log-probabilities (B, L, tokens)."""
        if self.ctc_head is None:
            raise ValueError("This FastConformer has no CTC head.")
        return self.ctc_head(frames_BLD).log_softmax(-1)


def begin(model: FastConformer, seed: int = 0) -> FastConformer:
    """Give the weights values from which training learns; returns the model.

    transformers' own are made to be overwritten: its first gradients are of the order of 1e7.
    """
    draw = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=draw)
                if module.bias is not None:
                    module.bias.uniform_(-bound, bound, generator=draw)
    return model


def parameters(model: nn.Module) -> int:
    """Return how many there are."""
    return sum(one.numel() for one in model.parameters())
