"""Sum up a clip of a stream as a few tokens: the small network of our VideoStreaming.

A transformer in which all see all reads [the memory of the clip before | the clip's tokens | queries | the
clip's mean]. What it makes of the queries, added to means over parts of the clip, is the memory, in the space
of the language model that will read it; what it makes of the clip's mean is the indicator, by which a
question finds the clip. Untrained the memory is those means alone. In Qian et al. (2024, arXiv:2405.16009) a
language model of 2.7 G parameters does this.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import gelu, normalize, scaled_dot_product_attention

from realtime.core.errors import ModelCorrupt

PLAN = "summariser.json"
WEIGHTS = "summariser.safetensors"


@dataclass(frozen=True, slots=True)
class SummariserPlan:
    """Say how large it is."""

    width: int
    """Channels of the language model that reads the memory."""
    heads: int = 6
    layers: int = 2
    memory: int = 18
    """Tokens of a clip's memory: as many for each of equal stretches of it as a frame has, or fewer."""
    frames: int = 8
    """Of a clip."""
    tokens: int = 9
    """Of a frame."""
    wide: int = 3
    """Width between two linear maps, times `width`."""


class Layer(nn.Module):
    """A pre-norm layer of a transformer without a mask."""

    def __init__(self, plan: SummariserPlan) -> None:
        super().__init__()
        width = plan.width
        self.heads = plan.heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, plan.wide * width), nn.Linear(plan.wide * width, width)

    def forward(self, read_BNC: torch.Tensor) -> torch.Tensor:
        batch, count, width = read_BNC.shape
        parts = self.qkv(self.norm(read_BNC)).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen_BHND = scaled_dot_product_attention(query, key, value)
        read_BNC = read_BNC + self.out(seen_BHND.transpose(1, 2).reshape(batch, count, width))
        return read_BNC + self.down(gelu(self.up(self.norm2(read_BNC))))


def _means(plan: SummariserPlan) -> torch.Tensor:
    """Return shares (memory, frames * tokens): each a frame's token averaged over a stretch of the clip."""
    stretches = max(plan.memory // plan.tokens, 1)
    line, made = torch.arange(plan.frames * plan.tokens), torch.arange(plan.memory)
    stretch = (line // plan.tokens * stretches).div(plan.frames, rounding_mode="floor")
    own = (line % plan.tokens == (made % plan.tokens)[:, None]) & (
        stretch == (made // plan.tokens % stretches)[:, None]
    )
    return 8.0 * own


class SummariserNet(nn.Module):
    """The network. `clip` and `question` are what a `Summariser` of perception/qa/kv/memories has."""

    carries = True

    def __init__(self, plan: SummariserPlan, name: str = "summariser (untrained)") -> None:
        super().__init__()
        self.plan, self.name = plan, name
        self.memory_tokens, self.clip_frames = plan.memory, plan.frames
        width = plan.width
        self.begin = nn.Parameter(0.02 * torch.randn(plan.memory, width))
        """Stands for the memory before the first clip."""
        self.queries = nn.Parameter(0.02 * torch.randn(plan.memory, width))
        self.places = nn.Parameter(0.02 * torch.randn(plan.frames * plan.tokens, width))
        self.kinds = nn.Parameter(0.02 * torch.randn(2, width))
        """Added to the memory before and to the mean."""
        self.layers = nn.ModuleList(Layer(plan) for _ in range(plan.layers))
        self.norm = nn.LayerNorm(width)
        self.write, self.tell, self.seek = (nn.Linear(width, width) for _ in range(3))
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)
        self.shares = nn.Parameter(_means(plan))
        """Of each of the clip's tokens in each of the memory's, before the softmax."""

    def forward(
        self, before_BMC: torch.Tensor | None, clip_BNC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return memories (B, M, C) and indicators (B, C) of length 1; N is at most frames times tokens."""
        batch, memory = len(clip_BNC), self.plan.memory
        if before_BMC is None:
            before_BMC = self.begin.expand(batch, -1, -1)
        read_BNC = torch.cat(
            (
                before_BMC + self.kinds[0],
                clip_BNC + self.places[: clip_BNC.shape[1]],
                self.queries.expand(batch, -1, -1),
                clip_BNC.mean(1, keepdim=True) + self.kinds[1],
            ),
            1,
        )
        for layer in self.layers:
            read_BNC = layer(read_BNC)
        read_BNC = self.norm(read_BNC)
        means_BMC = self.shares[:, : clip_BNC.shape[1]].softmax(-1).to(clip_BNC) @ clip_BNC
        memory_BMC = means_BMC + self.write(read_BNC[:, -1 - memory : -1])
        return memory_BMC, normalize(self.tell(read_BNC[:, -1]), dim=-1)

    def clip(
        self, before_MC: torch.Tensor | None, clip_FTC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the memory (M, C), in the type of the clip, and the indicator (C,) of one clip."""
        self.to(clip_FTC.device)
        before_BMC = None if before_MC is None else before_MC[None].to(self.begin)
        memory_BMC, indicator_BC = self(before_BMC, clip_FTC.flatten(0, 1)[None].to(self.begin))
        return memory_BMC[0].to(clip_FTC), indicator_BC[0]

    def question(self, embeddings_NC: torch.Tensor) -> torch.Tensor:
        """Return the indicator (C,), of length 1, of one question's words."""
        found_C: torch.Tensor = self.seek(embeddings_NC.to(self.begin).mean(0))
        return normalize(found_C, dim=-1)


def save_summariser(net: SummariserNet, folder: Path) -> None:
    """Write weights, in half precision, and plan into a model's folder."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().half().contiguous() for name, tensor in net.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / PLAN).write_text(json.dumps(asdict(net.plan), indent=1) + "\n", encoding="utf-8")


def load_summariser(folder: Path) -> SummariserNet:
    """Read what `save_summariser` wrote, in full precision. Raises ModelCorrupt for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        plan = SummariserPlan(**json.loads((folder / PLAN).read_text(encoding="utf-8")))
        net = SummariserNet(plan, f"summariser trained with {folder.name}")
        net.load_state_dict({name: one.float() for name, one in load_file(folder / WEIGHTS).items()})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        hint = "Restore it from the repository, or train it anew."
        raise ModelCorrupt(f"{folder} holds no summariser that can be read: {error}.", hint=hint) from error
    net.eval()
    return net
