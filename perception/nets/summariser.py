"""Sum up a clip of a stream as a few tokens: the small network of our VideoStreaming.

A transformer reads [the memory of the clip before | the clip's tokens | queries | the clip's mean]. What it
makes of the queries is the clip's memory, what it makes of the mean is its indicator. For a question it reads
[words | a query], and what it makes of that is the question's indicator. The memory is added to means over
stretches of the clip, and the part that is added begins at zero: untrained it is those means.

In Qian et al. (2024, arXiv:2405.16009) this is a language model of 2.7 G parameters; here all attend to all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool1d

from realtime.core.errors import ModelCorrupt


@dataclass(frozen=True, slots=True)
class SummariserPlan:
    """Say how large it is."""

    channels: int
    """Of the language model that reads the memory."""
    memory_tokens: int = 8
    width: int = 128
    layers: int = 2
    heads: int = 4
    indicator: int = 64
    most_frames: int = 64
    most_tokens: int = 256
    """Of one frame."""


class SummariserNet(nn.Module):
    """The network. `clip` and `question` are what a `Summariser` of perception/qa/kv/memories has."""

    carries = True

    def __init__(self, plan: SummariserPlan, name: str = "summariser (untrained)") -> None:
        super().__init__()
        self.plan, self.name = plan, name
        self.memory_tokens, self.channels = plan.memory_tokens, plan.channels
        width = plan.width
        self.enter = nn.Linear(plan.channels, width)
        self.kinds = nn.Embedding(5, width)  # memory, clip, queries, mean, words
        self.frames = nn.Embedding(plan.most_frames, width)
        self.places = nn.Embedding(plan.most_tokens, width)
        self.queries = nn.Parameter(torch.randn(plan.memory_tokens, width) * 0.02)
        self.asking = nn.Parameter(torch.randn(1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, plan.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, plan.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.leave = nn.Linear(width, plan.channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.indicate = nn.Linear(width, plan.indicator)
        self.ask = nn.Linear(width, plan.indicator)

    def forward(
        self, before_BMC: torch.Tensor | None, clip_BFTC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return memories (B, M, C) and indicators (B, D) of a batch of clips."""
        _, frames, tokens, _ = clip_BFTC.shape
        memory_tokens = self.plan.memory_tokens
        means_BMC = adaptive_avg_pool1d(clip_BFTC.flatten(1, 2).transpose(1, 2), memory_tokens).transpose(
            1, 2
        )
        clip = self.enter(clip_BFTC) + self.kinds.weight[1]
        clip = clip + self.frames.weight[:frames, None] + self.places.weight[:tokens]
        queries = self.queries + self.enter(means_BMC) + self.kinds.weight[2]
        mean = self.enter(clip_BFTC.mean((1, 2)))[:, None] + self.kinds.weight[3]
        parts = [clip.flatten(1, 2), queries, mean]
        if before_BMC is not None:
            parts.insert(0, self.enter(before_BMC) + self.kinds.weight[0])
        read = self.body(torch.cat(parts, 1))
        return means_BMC + self.leave(read[:, -1 - memory_tokens : -1]), self.indicate(read[:, -1])

    def asked(self, words_BNC: torch.Tensor) -> torch.Tensor:
        """Return indicators (B, D) of questions of equal length."""
        words = self.enter(words_BNC) + self.kinds.weight[4]
        read = self.body(torch.cat((words, self.asking.expand(len(words), 1, -1)), 1))
        return self.ask(read[:, -1])

    def clip(
        self, before_MC: torch.Tensor | None, clip_FTC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the memory (M, C), in the type of the clip, and the indicator (D,) of one clip."""
        before_BMC = None if before_MC is None else before_MC[None].to(self.queries)
        memory_BMC, indicator_BD = self(before_BMC, clip_FTC[None].to(self.queries))
        return memory_BMC[0].to(clip_FTC), indicator_BD[0]

    def question(self, embeddings_NC: torch.Tensor) -> torch.Tensor:
        """Return the indicator (D,) of one question."""
        indicator_BD: torch.Tensor = self.asked(embeddings_NC[None].to(self.queries))
        return indicator_BD[0]


def save_summariser(net: SummariserNet, file: Path, trained_on: str) -> None:
    """Write weights and plan; `trained_on` is what people are told."""
    from safetensors.torch import save_file

    state = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file(state, file, {"plan": json.dumps(asdict(net.plan)), "trained_on": trained_on})


def load_summariser(file: Path) -> SummariserNet:
    """Read what `save_summariser` wrote, in evaluation mode. Raises ModelCorrupt for anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            told = opened.metadata() or {}
            plan = SummariserPlan(**json.loads(told["plan"]))
            net = SummariserNet(plan, f"summariser trained on {told['trained_on']}")
            net.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        hint = "Restore it from the repository, or train it anew."
        raise ModelCorrupt(f"{file} is no summariser: {error}.", hint=hint) from error
    net.eval()
    return net
