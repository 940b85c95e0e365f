"""StreamFlow (Sun et al., NeurIPS 2024, arXiv:2311.17099): the flow of T frames in one pass, T - 1 flows out.

The flow head sees all pairs of a window at once, so T is part of the weights. How windows lie on a film is
told in `windows`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from realtime.core.errors import ConfigError

from .correlation import cells, looked_up, pyramid
from .decoder import Likeness, Update
from .encoder import Encoder
from .plans import Plan
from .sides import check_sides, cropped, enlarged, padded

ITERATIONS = 15
"""Rounds at which the published figures were made."""


class Flows(NamedTuple):
    """Hold the flows from each frame of a window to the next, x and y."""

    pixels_BS2HW: Tensor
    """In pixels."""
    cells_BS2HW: Tensor
    """In cells of 8x8 pixels of the padded picture: what the next window can begin with."""


class _Seen(NamedTuple):
    """Hold what stays the same from round to round."""

    context: Tensor
    likeness: Tensor
    volumes: list[Tensor]
    places: Tensor


class StreamFlow(nn.Module):
    """Frames (B, T, 3, H, W), RGB, 0 to 255, to the flows of their T - 1 pairs.

    Weights may be float32 or bfloat16; places and correlation are float32 in any case. What it takes in
    memory: `sides.memory_bytes`.
    """

    def __init__(self, plan: Plan, frames: int = 4) -> None:
        super().__init__()
        if frames < 2:
            raise ConfigError(f"A flow needs 2 frames or more at once, got {frames}.")
        self.plan, self.frames = plan, frames
        self.fnet = Encoder(plan)
        self.cnet = Encoder(plan)
        self.update_block = Update(plan, frames - 1)
        self.att = Likeness(plan.hidden)

    def forward(
        self, frames_BT3HW: Tensor, iterations: int = ITERATIONS, start_BS2HW: Tensor | None = None
    ) -> Flows:
        """Return the flows after so many rounds, beginning with `start_BS2HW` (in cells) or with no motion.

        Raises ConfigError for another number of frames and for sides that are too short.
        """
        height, width = self._checked(frames_BT3HW)
        found = self.refined(padded(frames_BT3HW), iterations, start_BS2HW)
        return Flows(cropped(found.pixels_BS2HW, height, width), found.cells_BS2HW)

    def refined(
        self, frames_BT3HW: Tensor, iterations: int = ITERATIONS, start_BS2HW: Tensor | None = None
    ) -> Flows:
        """Do the same for frames whose sides are good: multiples of 8 and long enough. It can be traced."""
        seen, state = self._see(frames_BT3HW)
        flow = self._start(seen, start_BS2HW)
        for _ in range(iterations):
            state, flow = self._round(seen, state, flow)
        return Flows(self._fine(state, flow), self._apart(flow))

    def every(
        self, frames_BT3HW: Tensor, iterations: int = ITERATIONS, start_BS2HW: Tensor | None = None
    ) -> list[Tensor]:
        """Return the flows in pixels (B, S, 2, H, W) after each round, for training: a round's gradient ends
        where the next one begins.
        """
        height, width = self._checked(frames_BT3HW)
        seen, state = self._see(padded(frames_BT3HW))
        flow, found = self._start(seen, start_BS2HW), []
        for _ in range(iterations):
            state, flow = self._round(seen, state, flow.detach())
            found.append(cropped(self._fine(state, flow), height, width))
        return found

    def _checked(self, frames_BT3HW: Tensor) -> tuple[int, int]:
        count, (height, width) = frames_BT3HW.shape[1], frames_BT3HW.shape[-2:]
        if count != self.frames:
            raise ConfigError(f"This flow network takes {self.frames} frames at once, got {count}.")
        check_sides(height, width, self.plan)
        return height, width

    def _see(self, frames_BT3HW: Tensor) -> tuple[_Seen, Tensor]:
        """Return what all rounds share, and the first state."""
        frames = (frames_BT3HW / 127.5 - 1).to(self.att.to_qk.weight.dtype)
        state, context = self.cnet(frames[:, :-1]).flatten(0, 1).chunk(2, 1)
        context = context.relu()
        likeness = self.att(context)
        maps = self.fnet(frames).float()
        volumes = pyramid(maps[:, :-1].flatten(0, 1), maps[:, 1:].flatten(0, 1), self.plan.levels)
        batch, _, height, width = state.shape
        return _Seen(context, likeness, volumes, cells(batch, height, width, maps)), state.tanh()

    def _start(self, seen: _Seen, start_BS2HW: Tensor | None) -> Tensor:
        if start_BS2HW is None:
            return torch.zeros_like(seen.places)
        return start_BS2HW.flatten(0, 1).float()

    def _round(self, seen: _Seen, state: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        near = looked_up(seen.volumes, seen.places + flow, self.plan.radius).to(state.dtype)
        state, more = self.update_block(state, seen.context, near, flow.to(state.dtype), seen.likeness)
        return state, flow + more.float()

    def _fine(self, state: Tensor, flow: Tensor) -> Tensor:
        return self._apart(enlarged(flow, self.update_block.weights(state).float()))

    def _apart(self, flow: Tensor) -> Tensor:
        return flow.unflatten(0, (-1, self.frames - 1))
