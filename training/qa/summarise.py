"""Train what VideoStreaming (Qian et al. 2024) adds to the watcher: a summariser of clips; the watcher rests.

The network is `perception/nets/summariser.py`: it begins as means over stretches of a clip. A stream is read clip by
clip; the language model answers from the memories of some clips and from the newest frame, as
`perception/qa/kv/memories/clips.py` gives them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from perception.nets.summariser import SummariserNet, SummariserPlan, save_summariser
from torch import nn
from torch.nn import functional as F

from .batches import Batch, Spec, ahead, batch
from .model import TOKENS, frame_embeds
from .step import drawn
from .train import HELD_OUT, TRAINING, Budget
from .words import BEFORE, KINDS, NUMBER_OF, VIDEO, numbers_of

CLIP = 16
"""Frames of a clip: the default of `ClipConfig`."""
MEMORY = 16
"""Tokens of its memory: untrained each is the mean of a frame."""
FINDING = 0.3
SHARP = 12.0
"""By how much likeness is multiplied where clips are sought."""


def remembered(net: SummariserNet, seen_BTNC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the memories (B, K, M, C) of whole clips, and their indicators (B, K, D) of length 1."""
    memory, memories, about = None, [], []
    for begin in range(0, seen_BTNC.shape[1] - CLIP + 1, CLIP):
        memory, one = net(memory, seen_BTNC[:, begin : begin + CLIP])
        memories.append(memory)
        about.append(F.normalize(one.float(), dim=-1))
    return torch.stack(memories, 1), torch.stack(about, 1)


def sought(net: SummariserNet, words_NLC: torch.Tensor, asks_N: torch.Tensor) -> torch.Tensor:
    """Return the indicators (N, D) of questions of `asks_N` words; the first token is not one of them."""
    found = torch.zeros(len(words_NLC), net.plan.indicator, device=words_NLC.device)
    for length in asks_N.unique().tolist():
        rows = asks_N == length
        found[rows] = F.normalize(net.asked(words_NLC[rows, 1 : 1 + length]).float(), dim=-1)
    return found


def losses(model: Any, net: SummariserNet, frames_BT3HW: torch.Tensor, made: Batch, choose: int, told: float, draws: torch.Generator
           ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the loss, and of each question whether its answer was right and whether a chosen clip shows what it asks for.

    `told`: share of questions that are given a clip that shows it; the others take those that they find.
    """
    device = frames_BT3HW.device
    with torch.no_grad():
        seen = frame_embeds(model, frames_BT3HW).float()
    memories, about = remembered(net, seen)
    newest = seen[:, -1]
    ids = torch.from_numpy(made.ids_BQL).to(device).long()
    asks, said = (torch.from_numpy(part).to(device).long() for part in (made.asks_BQ, made.said_BQ))
    clips, (batch, asked, long) = memories.shape[1], ids.shape
    embed = model.get_input_embeddings()
    seeks = sought(net, embed(ids).flatten(0, 1).float(), asks.flatten()).unflatten(0, (batch, asked))
    scores = SHARP * torch.einsum("bqc,bkc->bqk", seeks, about)
    shows = torch.from_numpy(made.shows_BQT).to(device)[..., : clips * CLIP].unflatten(-1, (clips, CLIP)).any(-1)
    some = (shows.any(-1) & ~shows.all(-1)).float()
    right = (scores.log_softmax(-1) * shows).sum(-1) / shows.sum(-1).clamp(min=1)
    finds = -(right * some).sum() / some.sum().clamp(min=1)
    noise = torch.rand(scores.shape, generator=draws, device=device)
    wish = scores.detach() - torch.log(-torch.log(noise.clamp(1e-6, 1 - 1e-6))) * (0.5 if told else 0.0)
    given = torch.rand(batch, asked, 1, generator=draws, device=device) < told
    wish = torch.where(given & shows, wish + 1e3, wish)
    chosen = wish.topk(min(choose, clips), -1).indices.sort(-1).values
    picked = memories[torch.arange(batch, device=device)[:, None, None], chosen].flatten(2, 3)
    words = torch.where((ids == NUMBER_OF[VIDEO])[..., None], model.model.image_newline, embed(ids))
    before = embed(torch.tensor(numbers_of(BEFORE), device=device)).expand(batch, asked, -1, -1)
    inputs = torch.cat((before, picked.to(words.dtype), newest[:, None].expand(-1, asked, -1, -1).to(words.dtype), words), 2)
    out = model.model.language_model(inputs_embeds=inputs.flatten(0, 1), use_cache=False).last_hidden_state
    logits = model.lm_head(out[:, -long:]).unflatten(0, (batch, asked)).float()
    at = said[..., None]
    found = logits.gather(2, (at - 1)[..., None].expand(-1, -1, 1, logits.shape[-1]))[:, :, 0]
    wanted = ids.gather(2, at)[..., 0]
    answer = F.cross_entropy(found.flatten(0, 1), wanted.flatten())
    hit = shows.gather(2, chosen).any(-1) | ~shows.any(-1)
    return answer + FINDING * finds, found.argmax(-1) == wanted, hit


def spec(seed: tuple[int, ...], frames: int) -> Spec:
    """Return a batch of streams for about so many frames; at the end lie frames that no whole clip holds."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9)) * CLIP + int(rng.integers(0, CLIP))
    return Spec(seed, max(frames // count, 1), count, 6, whole=1.0)


def train(model: Any, budget: Budget, device: str, pool: Pool | None = None, say: Any = print) -> SummariserNet:
    """Train to the budget; `model` is in evaluation mode, with stock attention, and does not change."""
    torch.manual_seed(budget.seed)
    model.requires_grad_(False)
    config = model.config.text_config
    plan = SummariserPlan(config.hidden_size, MEMORY, most_frames=CLIP, most_tokens=TOKENS)
    summariser = SummariserNet(plan).to(device)
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
def judge(model: Any, net: SummariserNet, device: str, choose: int = 4, batches: int = 4, clips: int = 32) -> dict[str, float]:
    """Return the share of right answers by kind on held-out clips of 68 frames; nothing is told which clips to take."""
    total: dict[str, list[int]] = {}
    draws = torch.Generator(device).manual_seed(HELD_OUT)
    for number in range(batches):
        made = batch(Spec((HELD_OUT, 2, number), clips, 68, 6, whole=1.0))
        _, right, hit = losses(model, net, drawn(made, draws, device), made, choose, 0.0, draws)
        for name, rows in (("all", np.ones_like(made.kind_BQ, bool)), *((k, made.kind_BQ == n) for n, k in enumerate(KINDS))):
            one = total.setdefault(name, [0, 0])
            one[0], one[1] = one[0] + int(right.cpu().numpy()[rows].sum()), one[1] + int(rows.sum())
        one = total.setdefault("clip found", [0, 0])
        one[0], one[1] = one[0] + int(hit.sum()), one[1] + hit.numel()
    return {name: round(right / max(count, 1), 4) for name, (right, count) in total.items()}


def save(net: SummariserNet, folder: Path) -> None:
    """Write it where `best_summariser` looks for it."""
    file = folder / "summariser.safetensors"
    save_summariser(net.cpu(), file, "made streams of drawn shapes")
    file.chmod(0o644)
