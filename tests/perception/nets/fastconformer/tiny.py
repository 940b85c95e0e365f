"""A FastConformer with random weights, small enough for tests, and what to compare a stream with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from perception.nets.fastconformer.decode import Ctc, Decoder, Rnnt
from perception.nets.fastconformer.features import RATE_HZ, LogMel
from perception.nets.fastconformer.model import FastConformer, begin
from perception.nets.fastconformer.networks import step_network
from perception.nets.fastconformer.plans import Plan
from perception.nets.fastconformer.runtime import Runtime
from pipelines.engines.torch_engine import TorchEngine

PLAN = Plan(
    width=32,
    layers=2,
    heads=4,
    inner=64,
    channels=8,
    mels=20,
    tokens=12,
    blank=11,
    predictor=16,
    predictor_layers=2,
    most_symbols=3,
    left=28,
    lookaheads=(13, 6, 1, 0),
    scales_input=True,
    mel_shift=9.0,
    mel_scale=0.4,
)


def tiny(plan: Plan = PLAN, seed: int = 0) -> FastConformer:
    """Return a network whose biases are far from zero: with none, a wrong first chunk cannot be seen.

    Its heads are fitted to what the encoder gives, so that decoders meet many tokens, and blanks.
    """
    draw = torch.Generator().manual_seed(seed)
    model = begin(FastConformer(plan), seed).eval()
    with torch.no_grad():
        for value in model.parameters():
            is_bias = value.ndim == 1 or value.shape == model.encoder.layers[0].self_attn.bias_u.shape
            if is_bias:
                value.add_(0.3 * torch.randn(value.shape, generator=draw))
        frames = model.encode(torch.from_numpy(LogMel(plan.mels).whole(sound(6.0, 99)))[None], 13)[0]
        if model.ctc_head is not None:
            _liven(model.ctc_head, frames, plan.blank)
        if model.joint is not None:
            rows = torch.randint(plan.tokens, (8, 5), generator=draw)
            predicted = model.decoder.decoder_projector(model.decoder.lstm(model.decoder.embedding(rows))[0])
            seen = model.encoder_projector(frames)[:, None] + 2 * predicted.flatten(0, 1)
            _liven(model.joint.head, seen.relu().flatten(0, 1), plan.blank)
            model.decoder.decoder_projector.weight.mul_(2)
            model.decoder.decoder_projector.bias.mul_(2)
    return model.requires_grad_(False)


def _liven(head: torch.nn.Linear, seen_LD: torch.Tensor, blank: int) -> None:
    """Let each token win at times, the blank at about half of all frames."""
    head.weight.mul_(4.0)
    made = head(seen_LD)
    head.bias.sub_(made.mean(0))
    others = head(seen_LD)
    others[:, blank] = -torch.inf
    head.bias[blank] += others.max(-1).values.median()


def decoder_of(model: FastConformer, kind: str) -> Decoder:
    return Ctc(model.plan.blank) if kind == "ctc" else Rnnt(model)


def runtime_of(model: FastConformer, kind: str = "ctc") -> Runtime:
    return Runtime(
        model.plan,
        lambda lookahead: TorchEngine(step_network(model, "", lookahead), "fp32", "cpu"),
        decoder_of(model, kind),
    )


def sound(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return noise whose level and colour wander, so that tokens vary."""
    draw = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    swell = np.exp(2 * np.sin(2 * np.pi * time_s * 1.3 + draw.uniform(0, 6)))
    tone = np.sin(2 * np.pi * (300 + 1500 * np.sin(time_s * 2.1) ** 2) * time_s)
    return (0.02 * swell * (tone + draw.normal(size=count))).astype(np.float32)


def offline(model: FastConformer, kind: str, samples: npt.NDArray[np.float32], lookahead: int):
    """Return the encoder frames of a whole recording (L, width) and the (token, frame) pairs of both."""
    mel = torch.from_numpy(LogMel(model.plan.mels).whole(samples))[None]
    with torch.inference_mode():
        frames = model.encode(mel, lookahead)
        made = model.ctc(frames) if kind == "ctc" else model.encoder_projector(frames)
        decoder = decoder_of(model, kind)
        said, _ = decoder.decode(made[0], 0, decoder.begin())
    return frames[0], [(one.id, one.frame) for one in said]
