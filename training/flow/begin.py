"""First weights with which correlation is heard: those that torch draws let a four-hundredth of it through.

Each of the decoder's blocks shrinks what it is given to a fifth, five of them lie between correlation and flow,
and a network that hears nothing learns to say "no motion" long before it learns to listen. Here each block's
last layer is scaled until what comes out is about 1 (Mishkin and Matas 2016, arXiv:1511.06422), and the flow
begins at nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from perception.nets.streamflow.blocks import SuperKernel
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import STRIDE
from torch import nn

BESIDE = 0.3
"""How much a block's first point-wise pair says beside what it is given."""


@torch.no_grad()
def begin(model: StreamFlow, frames_BT3HW: torch.Tensor) -> None:
    """Draw the decoder's weights anew, scaled on some windows."""
    blocks = [one for one in model.update_block.modules() if isinstance(one, SuperKernel)]
    for block in blocks:
        for layer in (*block.ffn1, *block.ffn2, block.pw):
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight, 1.4)
                nn.init.zeros_(layer.bias)
        block.ffn1[2].weight.mul_(BESIDE)
        block.pw.weight.mul_(BESIDE)

    def scaled(block: SuperKernel, given: Any, found: torch.Tensor) -> torch.Tensor:
        gain = 1 / found.std()
        block.ffn2[2].weight.mul_(gain)
        return found * gain

    # Correlation is several times as large as all else; no layer shall have to be tiny for it.
    first = model.update_block.encoder.convc1
    first.ffn2[0].weight.mul_(0.2)
    hooks = [block.register_forward_hook(scaled) for block in blocks]
    height, width = (side // STRIDE for side in frames_BT3HW.shape[-2:])
    start = torch.randn(len(frames_BT3HW), model.frames - 1, 2, height, width)
    model.refined(frames_BT3HW, 1, start)
    for hook in hooks:
        hook.remove()
    nn.init.zeros_(model.update_block.flow_head.ffn2[2].weight)
