"""Train what VideoStreaming (Qian et al. 2024) adds to the watcher: a summariser of clips; the watcher rests.

A stream is read clip by clip. Each clip becomes a memory of a few tokens, made of the memory before it, the
clip's own tokens and a token of their mean; the last also says what the clip is about, by which a question
finds it. The language model then answers from the memories of some clips, and from the frames since the last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .batches import Batch, Spec, ahead, batch
from .model import TOKENS, frame_embeds
from .step import drawn
from .train import HELD_OUT, TRAINING, Budget
from .words import BEFORE, KINDS, NUMBER_OF, VIDEO, numbers_of

CLIP = 8
"""Frames of a clip."""
MEMORY = 16
"""Tokens of its memory."""
FINDING = 0.3


class Layer(nn.Module):
    """A plain layer of a transformer: all see all."""

    def __init__(self, width: int, heads: int, wide: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, wide * width), nn.Linear(wide * width, width)

    def forward(self, x_BNC: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x_BNC)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x_BNC = x_BNC + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x_BNC + self.down(F.gelu(self.up(self.norm2(x_BNC))))


class Summariser(nn.Module):
    """Turn [previous memory | clip | queries | mean of the clip] into the next memory and what the clip is about."""

    def __init__(self, width: int, heads: int = 6, layers: int = 2, memory: int = MEMORY, frames: int = CLIP, tokens: int = TOKENS,
                 wide: int = 3) -> None:  # fmt: skip
        super().__init__()
        self.settings = {
            "width": width,
            "heads": heads,
            "layers": layers,
            "memory": memory,
            "frames": frames,
            "tokens": tokens,
            "wide": wide,
        }
        self.begin = nn.Parameter(0.02 * torch.randn(memory, width))
        """What stands for the memory before the first clip."""
        self.queries = nn.Parameter(0.02 * torch.randn(memory, width))
        self.places = nn.Parameter(0.02 * torch.randn(frames * tokens, width))
        self.kinds = nn.Parameter(0.02 * torch.randn(2, width))
        """Added to the previous memory and to the mean of the clip."""
        self.layers = nn.ModuleList(Layer(width, heads, wide) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.write, self.tell = nn.Linear(width, width), nn.Linear(width, width)
        self.seek = nn.Linear(width, width)

    def forward(self, previous_BMC: torch.Tensor | None, clip_BNC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next memory (B, M, C), in the language model's space, and what the clip is about, (B, C), of length 1.

        `previous_BMC` is None before the first clip. N is frames times tokens; a clip may be shorter than usual.
        """
        batch, memory = len(clip_BNC), len(self.queries)
        before = self.begin.expand(batch, -1, -1) if previous_BMC is None else previous_BMC
        mean = clip_BNC.mean(1, keepdim=True) + self.kinds[1]
        parts = (before + self.kinds[0], clip_BNC + self.places[: clip_BNC.shape[1]], self.queries.expand(batch, -1, -1), mean)
        x = torch.cat(parts, 1)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return self.write(x[:, -1 - memory : -1]), F.normalize(self.tell(x[:, -1]), dim=-1)

    def question(self, words_BNC: torch.Tensor, mask_BN: torch.Tensor | None = None) -> torch.Tensor:
        """Return what a question is about, (B, C), of length 1: to be multiplied with what clips are about."""
        if mask_BN is None:
            mean = words_BNC.mean(1)
        else:
            mean = (words_BNC * mask_BN[..., None]).sum(1) / mask_BN.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.seek(mean), dim=-1)


def remembered(summariser: Summariser, seen_BTNC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the memories (B, K, M, C) of whole clips and what they are about (B, K, C)."""
    memory, memories, about = None, [], []
    for begin in range(0, seen_BTNC.shape[1] - CLIP + 1, CLIP):
        memory, one = summariser(memory, seen_BTNC[:, begin : begin + CLIP].flatten(1, 2))
        memories.append(memory)
        about.append(one)
    return torch.stack(memories, 1), torch.stack(about, 1)


def losses(model: Any, summariser: Summariser, frames_BT3HW: torch.Tensor, made: Batch, choose: int, told: float, draws: torch.Generator
           ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the loss, and of each question whether its answer was right and whether a chosen clip shows what it asks for.

    `told`: share of questions that are given a clip that shows it; the others take those that they find.
    """
    device = frames_BT3HW.device
    with torch.no_grad():
        seen = frame_embeds(model, frames_BT3HW).float()
    memories, about = remembered(summariser, seen)
    rest = seen[:, memories.shape[1] * CLIP :].flatten(1, 2)
    ids = torch.from_numpy(made.ids_BQL).to(device).long()
    asks, said = (torch.from_numpy(part).to(device).long() for part in (made.asks_BQ, made.said_BQ))
    clips, (batch, asked, long) = memories.shape[1], ids.shape
    embed = model.get_input_embeddings()
    line = torch.arange(long, device=device)
    mask = ((line > 0) & (line <= asks[..., None])).float()
    seeks = summariser.question(embed(ids).flatten(0, 1).float(), mask.flatten(0, 1)).unflatten(0, (batch, asked))
    scores = 12 * torch.einsum("bqc,bkc->bqk", seeks, about)
    shows = torch.from_numpy(made.shows_BQT).to(device)[..., : clips * CLIP].unflatten(-1, (clips, CLIP)).any(-1)
    some = (shows.any(-1) & ~shows.all(-1)).float()
    right = (scores.log_softmax(-1) * shows).sum(-1) / shows.sum(-1).clamp(min=1)
    finds = -(right * some).sum() / some.sum().clamp(min=1)
    noise = torch.rand(scores.shape, generator=draws, device=device)
    wish = scores.detach() - torch.log(-torch.log(noise.clamp(1e-6, 1 - 1e-6))) * (0.5 if told else 0.0)
    given = torch.rand(batch, asked, 1, generator=draws, device=device) < told
    wish = torch.where(given & shows, wish + 1e3, wish)
    wish[..., -1] += 1e4  # the newest clip is always among them
    chosen = wish.topk(min(choose, clips), -1).indices.sort(-1).values
    picked = memories[torch.arange(batch, device=device)[:, None, None], chosen].flatten(2, 3)
    words = torch.where((ids == NUMBER_OF[VIDEO])[..., None], model.model.image_newline, embed(ids))
    before = embed(torch.tensor(numbers_of(BEFORE), device=device)).expand(batch, asked, -1, -1)
    inputs = torch.cat((before, picked.to(words.dtype), rest[:, None].expand(-1, asked, -1, -1).to(words.dtype), words), 2)
    out = model.model.language_model(inputs_embeds=inputs.flatten(0, 1), use_cache=False).last_hidden_state
    logits = model.lm_head(out[:, -long:]).unflatten(0, (batch, asked)).float()
    at = said[..., None]
    found = logits.gather(2, (at - 1)[..., None].expand(-1, -1, 1, logits.shape[-1]))[:, :, 0]
    wanted = ids.gather(2, at)[..., 0]
    answer = F.cross_entropy(found.flatten(0, 1), wanted.flatten())
    hit = shows.gather(2, chosen).any(-1) | ~shows.any(-1)
    return answer + FINDING * finds, found.argmax(-1) == wanted, hit


def spec(seed: tuple[int, ...], frames: int) -> Spec:
    """Return a batch of clips for about so many frames; between them lie up to a clip's frames that none holds."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 13)) * CLIP + int(rng.integers(0, CLIP))
    return Spec(seed, max(frames // count, 1), count, 6, whole=1.0)


def train(model: Any, budget: Budget, device: str, pool: Pool | None = None, say: Any = print) -> Summariser:
    """Train to the budget; `model` is in evaluation mode, with stock attention, and does not change."""
    torch.manual_seed(budget.seed)
    model.requires_grad_(False)
    config = model.config.text_config
    summariser = Summariser(config.hidden_size, config.num_attention_heads).to(device)
    optimizer = torch.optim.AdamW(summariser.parameters(), lr=budget.lr, betas=(0.9, 0.98), weight_decay=0.01)
    draws = torch.Generator(device).manual_seed(budget.seed)

    def specs() -> Iterator[Spec]:
        number = 0
        while True:
            yield spec((TRAINING, 2, budget.seed, number), budget.frames)
            number += 1

    began, told = time.monotonic(), []
    rng = np.random.default_rng(budget.seed)
    for step, made in enumerate(ahead(specs(), pool)):
        progress = step / budget.steps if budget.steps else (time.monotonic() - began) / (60 * budget.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = budget.lr * min(progress / 0.05 + 0.02, 1.0, max((1 - progress) / 0.6, 0.01))
        frames = drawn(made, draws, device)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=device != "cpu"):
            loss, right, hit = losses(model, summariser, frames, made, int(rng.integers(2, 7)), 0.7, draws)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(summariser.parameters(), 1.0)
        optimizer.step()
        told.append(torch.stack((loss.detach(), right.float().mean(), hit.float().mean())))
        if len(told) == 50:
            loss_, right_, hit_ = torch.stack(told).mean(0).tolist()
            told.clear()
            say(f"summariser {step + 1} {progress:.3f} loss {loss_:.3f} right {right_:.3f} hit {hit_:.3f}")
    return summariser.eval()


@torch.no_grad()
def judge(model: Any, summariser: Summariser, device: str, choose: int = 4, batches: int = 4, clips: int = 32) -> dict[str, float]:
    """Return the share of right answers by kind on held-out clips of 68 frames; nothing is told which clips to take."""
    total: dict[str, list[int]] = {}
    draws = torch.Generator(device).manual_seed(HELD_OUT)
    for number in range(batches):
        made = batch(replace(Spec((HELD_OUT, 2, number), clips, 68, 6, whole=1.0)))
        _, right, hit = losses(model, summariser, drawn(made, draws, device), made, choose, 0.0, draws)
        for name, rows in (("all", np.ones_like(made.kind_BQ, bool)), *((k, made.kind_BQ == n) for n, k in enumerate(KINDS))):
            one = total.setdefault(name, [0, 0])
            one[0], one[1] = one[0] + int(right.cpu().numpy()[rows].sum()), one[1] + int(rows.sum())
        one = total.setdefault("clip found", [0, 0])
        one[0], one[1] = one[0] + int(hit.sum()), one[1] + hit.numel()
    return {name: round(right / max(count, 1), 4) for name, (right, count) in total.items()}


def save(summariser: Summariser, folder: Path) -> None:
    """Write the weights in half precision, and the settings that make the module, into the model's folder."""
    import json

    from safetensors.torch import save_file

    state = {name: value.detach().half().contiguous().cpu() for name, value in summariser.state_dict().items()}
    save_file(state, folder / "summariser.safetensors")
    (folder / "summariser.safetensors").chmod(0o644)
    (folder / "summariser.json").write_text(json.dumps(summariser.settings, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Summariser:
    """Read what `save` wrote, in full precision."""
    import json

    from safetensors.torch import load_file

    summariser = Summariser(**json.loads((folder / "summariser.json").read_text(encoding="utf-8")))
    summariser.load_state_dict({name: value.float() for name, value in load_file(folder / "summariser.safetensors").items()})
    return summariser.eval()
