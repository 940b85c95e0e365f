"""Greedy decoding that can stop after any frame and go on: what it carries is a value.

Chunk by chunk it says the same as over the whole. It never takes a token back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .model import FastConformer
from .pieces import Token

Carried = Any
"""What a decoder keeps between frames: an immutable value of its own kind."""


class Decoder(Protocol):
    """Turn what a head made of each frame into tokens."""

    head: str
    """Which output of the step's network it reads: "ctc" or "joint"."""

    def begin(self) -> Carried:
        """Return what stands before an utterance: the same token may be said again."""

    def decode(self, made_LV: Tensor, first_frame: int, carried: Carried) -> tuple[list[Token], Carried]:
        """Return the tokens of these frames, the first of which has the number `first_frame`."""


class Ctc:
    """The best token of each frame, repetitions and blanks left out. Carries the last frame's best."""

    head = "ctc"

    def __init__(self, blank: int) -> None:
        self._blank = blank

    def begin(self) -> int:
        return self._blank

    def decode(self, made_LV: Tensor, first_frame: int, carried: int) -> tuple[list[Token], int]:
        scores, best = made_LV.max(-1)
        said = []
        for k, (token, score) in enumerate(zip(best.tolist(), scores.exp().tolist(), strict=True)):
            if token not in (carried, self._blank):
                said.append(Token(token, first_frame + k, score))
            carried = token
        return said, carried


@dataclass(frozen=True, slots=True)
class Predicted:
    """Hold the prediction network of an RNN-T between two tokens."""

    projected_1D: Tensor
    hidden: tuple[Tensor, Tensor]
    """Of the LSTM, (layers, 1, width) each."""


class Rnnt:
    """The best token of each frame given those before it (Graves 2012, arXiv:1211.3711).

    Carries the prediction network's state; a blank leaves it as it is.
    """

    head = "joint"

    def __init__(self, model: FastConformer) -> None:
        if model.decoder is None or model.joint is None:
            raise ValueError("This FastConformer has no RNN-T.")
        self._decoder: Any = model.decoder
        self._joint: Any = model.joint
        self._blank, self._most = model.plan.blank, model.plan.most_symbols
        self._first: Predicted | None = None

    def begin(self) -> Predicted:
        if self._first is None:
            zeros = torch.zeros(self._decoder.lstm.num_layers, 1, self._decoder.lstm.hidden_size)
            self._first = self._predicted(self._blank, (zeros, zeros))
        return self._first

    @torch.inference_mode()  # type: ignore[untyped-decorator] # torch is not followed
    def decode(self, made_LV: Tensor, first_frame: int, carried: Predicted) -> tuple[list[Token], Predicted]:
        said: list[Token] = []
        at, here = 0, 0
        while at < len(made_LV):
            # All frames that remain at once: most are blank, and a blank changes nothing for the next.
            chances = self._joint(carried.projected_1D, made_LV[at:]).softmax(-1)
            scores, best = chances.max(-1)
            speaking = (best != self._blank).nonzero()
            if not len(speaking):
                break
            silent = int(speaking[0])
            here = here if silent == 0 else 0
            at += silent
            token = int(best[silent])
            said.append(Token(token, first_frame + at, float(scores[silent])))
            carried = self._predicted(token, carried.hidden)
            here += 1
            if here >= self._most:
                at, here = at + 1, 0
        return said, carried

    @torch.inference_mode()  # type: ignore[untyped-decorator] # torch is not followed
    def _predicted(self, token: int, hidden: tuple[Tensor, Tensor]) -> Predicted:
        embedded = self._decoder.embedding(torch.tensor([[token]]))
        made, hidden = self._decoder.lstm(embedded, hidden)
        return Predicted(self._decoder.decoder_projector(made)[0], hidden)
