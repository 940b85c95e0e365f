"""Train what VideoStreaming (Qian et al. 2024) adds to the watcher, a summariser of clips: `python -m training.qa.summarise`.

The watcher rests. The network is `perception/nets/summariser.py`; a stream is read clip by clip, each memory taking in
the one before, and the watcher answers from the memories of a few clips that fit the question, the newest among them,
and from the frames since, as `perception/qa/kv/memories/clips.py` gives them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from perception.nets.summariser import SummariserNet, SummariserPlan, save_summariser
from perception.qa.kv.memories.clips import ClipConfig
from torch.nn import functional as F

from .batches import ahead
from .export import MODEL
from .model import TOKENS, frame_embeds
from .shown import truths
from .step import drawn
from .streams import Posed, Streams, StreamSpec, streams
from .train import HELD_OUT, TRAINING, WORK, add_budget, rate
from .words import BEFORE, NUMBER_OF, VIDEO, numbers_of

CLIP, MEMORY = 8, 18
"""Frames of a clip, and the tokens that it becomes: 72 tokens to 18."""
CLIPS = (2, 4, 8, 8, 8, 16, 32, 32, 128, 128, 512)
"""Whole clips of a batch's streams, each as often as it stands here."""
RULES = ClipConfig()
FINDING, SHARP = 0.3, 16.0
"""What finding clips counts; and by how much likeness is multiplied where they are sought."""
SAY = 50
"""Steps between two lines that tell how it goes."""
TOLD = 0.4
"""Share of questions that are given a clip that shows what they ask for, at first; in the end none is."""


@dataclass(frozen=True, slots=True)
class Summed:
    """Hold what a batch says; `total` has a gradient. N questions."""

    total: torch.Tensor
    right_N: torch.Tensor
    plain_N: torch.Tensor
    hit_N: torch.Tensor
    """Which were given a clip that shows what they ask for, or ask for nothing that an older clip shows."""


def remembered(net: SummariserNet, clips_WKNC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the memories (W, K, M, C) of whole clips, and their indicators (W, K, C); chains begin as in `ClipMemory`."""
    streams, count = clips_WKNC.shape[:2]
    chain = min(RULES.chain_clips, count)
    chains = -(-count // chain)
    every = F.pad(clips_WKNC, (0, 0, 0, 0, 0, chains * chain - count)).unflatten(1, (chains, chain)).flatten(0, 1)
    before, memories, about = None, [], []
    for at in range(chain):
        before, one = net(before, every[:, at])
        memories.append(before)
        about.append(one)
    memory, indicator = (torch.stack(part, 1).unflatten(0, (streams, chains)).flatten(1, 2)[:, :count] for part in (memories, about))
    return memory, indicator.float()


def sought(net: SummariserNet, words_NLC: torch.Tensor, asks_N: torch.Tensor) -> torch.Tensor:
    """Return the indicators (N, C) of questions, whose `asks_N` words come behind the first token."""
    line = torch.arange(words_NLC.shape[1], device=words_NLC.device)
    own = ((line > 0) & (line <= asks_N[:, None])).float()
    mean = torch.einsum("nlc,nl->nc", words_NLC.float(), own / own.sum(1, keepdim=True))
    return F.normalize(net.seek(mean).float(), dim=-1)


def chosen_for(alike_NK: torch.Tensor, shows_NK: torch.Tensor, told: float, draws: torch.Generator) -> torch.Tensor:
    """Return the clips that each question is given, rising: the newest, and those most like it, or one that shows it."""
    count, clips = alike_NK.shape
    kw = {"generator": draws, "device": alike_NK.device}
    given = (torch.rand(count, 1, **kw) < told) & shows_NK
    noise = torch.rand(alike_NK.shape, **kw) * (0.2 if told else 0.0)
    wish = alike_NK + noise + 10.0 * given
    older = wish[:, :-1].topk(min(RULES.chosen_clips, clips) - 1, 1).indices
    last = torch.full((count, 1), clips - 1, device=alike_NK.device)
    return torch.cat((older, last), 1).sort(1).values


def losses(model: Any, net: SummariserNet, asked: Posed, frames_WF3HW: torch.Tensor, told: float, draws: torch.Generator) -> Summed:
    """Sum up streams, let questions choose clips, and answer from these and from the frames since the last whole one."""
    device = frames_WF3HW.device
    count = (asked.frames - 1) // CLIP
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        seen = frame_embeds(model, frames_WF3HW)
    memories, about = remembered(net, seen[:, : count * CLIP].unflatten(1, (count, CLIP)).flatten(2, 3))
    embed = model.get_input_embeddings()
    seeks = sought(net, embed(asked.ids_NL), asked.asks_N)
    alike = (about[asked.stream_N] @ seeks[:, :, None])[..., 0]
    shows = asked.shows_NF[:, : count * CLIP].unflatten(1, (count, CLIP)).any(2)
    with torch.no_grad():
        chosen = chosen_for(alike.detach(), shows, told, draws)
        inside = torch.arange(CLIP, device=device)
        newest = torch.arange(count * CLIP, asked.frames, device=device)[-RULES.open_frames :]
        frames = torch.cat(((chosen[..., None] * CLIP + inside).flatten(1), newest.expand(asked.count, -1)), 1)
        answers, plain = truths(asked.kind_N, asked.about_NT, asked.others_NT, *asked.seen(frames))
    ids = asked.ids_NL.scatter(1, asked.said_N[:, None], answers[:, None])
    words = torch.where((ids == NUMBER_OF[VIDEO])[..., None], model.model.image_newline, embed(ids))
    given = memories[asked.stream_N[:, None], chosen].flatten(1, 2).to(words.dtype)
    since = seen[:, newest].flatten(1, 2)[asked.stream_N].to(words.dtype)
    before = embed(torch.tensor(numbers_of(BEFORE), device=device)).expand(asked.count, -1, -1)
    inputs = torch.cat((before, given, since, words), 1)
    out = model.model.language_model(inputs_embeds=inputs, use_cache=False).last_hidden_state[:, -words.shape[1] :]
    logits = model.lm_head(out[torch.arange(asked.count, device=device), asked.said_N - 1]).float()
    answer = (F.cross_entropy(logits, answers, reduction="none") * plain).sum() / plain.sum().clamp(min=1)
    old = shows[:, :-1]
    some = old.any(1) & ~old.all(1)
    right = ((SHARP * alike[:, :-1]).log_softmax(1) * old).sum(1) / old.sum(1).clamp(min=1)
    finds = -(right * some).sum() / some.sum().clamp(min=1)
    hit = shows.gather(1, chosen).any(1) | ~old.any(1)
    return Summed(answer + FINDING * finds, logits.argmax(1) == answers, plain, hit)


def key(seed: int, number: int) -> tuple[int, ...]:
    """Return the seed of a step's batch."""
    return (TRAINING, 1 << 23, seed, number)


def spec(key: tuple[int, ...], frames: int, questions: int) -> StreamSpec:
    """Return a batch of streams with about so many frames in all; some come after the last whole clip."""
    rng = np.random.default_rng(key)
    clips = min(int(rng.choice(CLIPS)), max(frames // CLIP, 1))
    count = max(frames // (clips * CLIP), 1)
    return StreamSpec(key, count, clips * CLIP + int(rng.integers(1, CLIP + 1)), max(questions // count, 2))


def on(made: Streams, device: str, draws: torch.Generator) -> tuple[Posed, torch.Tensor]:
    """Return a batch's questions, and its frames (W, F, 3, H, W), on a device."""
    return Posed(made, device), drawn(SimpleNamespace(thing_BTK=made.thing_WFK, drawn_BTK4=made.drawn_WFK4), draws, device)


def train(model: Any, budget: argparse.Namespace, pool: Pool | None = None, say: Any = print) -> tuple[SummariserNet, int]:
    """Train to the budget; `model` has stock attention and does not change. Returns the network and how many steps there were."""
    device = budget.device
    torch.manual_seed(budget.seed)
    model.requires_grad_(False)
    net = SummariserNet(SummariserPlan(model.config.text_config.hidden_size, memory=MEMORY, frames=CLIP, tokens=TOKENS)).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=budget.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=device != "cpu")
    draws = torch.Generator(device).manual_seed(budget.seed)

    def specs() -> Iterator[StreamSpec]:
        number = 0
        while True:
            yield spec(key(budget.seed, number), budget.frames, budget.questions)
            number += 1

    began, step, rows = time.monotonic(), 0, []
    for made in ahead(specs(), pool, 48, streams):
        progress = step / budget.steps if budget.steps else (time.monotonic() - began) / (60 * budget.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = budget.lr * rate(progress)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=device != "cpu"):
            found = losses(model, net, *on(made, device, draws), TOLD * (1 - progress), draws)
        optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        rows.append(torch.stack((found.total.detach(), found.right_N[found.plain_N].float().mean(), found.hit_N.float().mean())))
        if len(rows) == SAY:
            loss, right, hit = torch.stack(rows).mean(0).tolist()
            rows.clear()
            say(f"summariser {step} {progress:.3f} loss {loss:.3f} right {right:.3f} hit {hit:.3f}")
    return net.eval(), step


@torch.no_grad()
def judge(model: Any, net: SummariserNet, device: str, clips: int = 8, batches: int = 4, seed: int = 0) -> dict[str, float]:
    """Return on held-out streams, of which questions find their clips themselves, the share of right answers and of clips found."""
    draws = torch.Generator(device).manual_seed(HELD_OUT)
    right = plain = hit = count = 0
    for number in range(batches):
        made = streams(StreamSpec((HELD_OUT, 3, seed, number), 16, clips * CLIP + 4, 12))
        found = losses(model, net, *on(made, device, draws), 0.0, draws)
        right, plain = right + int((found.right_N & found.plain_N).sum()), plain + int(found.plain_N.sum())
        hit, count = hit + int(found.hit_N.sum()), count + len(found.hit_N)
    return {"all": round(100 * right / max(plain, 1), 1), "found": round(100 * hit / max(count, 1), 1)}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.qa.summarise", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=MODEL, help="the watcher's folder")
    parser.add_argument("--out", type=Path, default=WORK / "summariser")
    parser.add_argument("--minutes", type=float, default=4.0)
    add_budget(parser)
    return parser.parse_args()


def main() -> None:
    args = options()
    pool = get_context("fork").Pool(args.workers) if args.workers else None  # before the GPU is woken
    from transformers import LlavaOnevisionForConditionalGeneration

    if args.device == "cpu":
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(args.source, dtype=torch.float32).to(args.device).eval()
    try:
        net, steps = train(model, args, pool, lambda text: print(text, flush=True))
    finally:
        if pool is not None:
            pool.terminate()
    figures = {"steps": steps, "minutes": args.minutes, "clip": CLIP, "memory": MEMORY, "chosen": RULES.chosen_clips}
    figures |= {str(clips): judge(model, net, args.device, clips) for clips in (8, 32)}
    args.out.mkdir(parents=True, exist_ok=True)
    save_summariser(net.cpu(), args.out)
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
