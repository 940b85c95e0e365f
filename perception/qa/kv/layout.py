"""Where tokens lie for a rotary embedding: the prompt's beginning, frame after frame, then text."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Number the positions of [sink | frames | text], on one axis or three.

    A model with three axes (time, row, column) moves on by less than a frame has tokens.
    """

    sink: int
    """Tokens of the prompt before the first frame."""
    offsets_AT: torch.Tensor
    """Where the tokens of one frame lie, beside the frame's beginning, int64."""
    span: int
    """By how much a frame moves the next token on."""

    @property
    def axes(self) -> int:
        return int(self.offsets_AT.shape[0])

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return int(self.offsets_AT.shape[1])

    def end(self, frames: int) -> int:
        """Return the position after `frames` frames."""
        return self.sink + frames * self.span

    def frame(self, index: int) -> torch.Tensor:
        """Return the positions (A, T) of the frame that comes after `index` others."""
        return self.offsets_AT + self.end(index)

    def past(self, frames: int) -> torch.Tensor:
        """Return the positions (A, N) of the sink and `frames` frames."""
        begins_F = self.sink + torch.arange(frames, device=self.offsets_AT.device) * self.span
        frames_AN = (self.offsets_AT[:, None] + begins_F[None, :, None]).flatten(1)
        return torch.cat((self.text(self.sink, 0), frames_AN), dim=1)

    def text(self, tokens: int, begin: int) -> torch.Tensor:
        """Return the positions (A, tokens) of text that begins at `begin`."""
        return (begin + torch.arange(tokens, device=self.offsets_AT.device)).expand(self.axes, -1)
