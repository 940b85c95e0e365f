"""Teach a trained watcher to answer from what it finds itself: `python -m training.qa.lesson`, on one GPU.

A batch is a few streams of up to 4,096 frames. Questions seek their frames by the model's own queries and keys, see
what the default strategy would bring back, look-alikes and all, and learn to say what these frames show: "none" where
they do not show it. Finding is taught against all frames of a stream. A part of the questions sees frames at random,
the newest only, or those that show it, so that nothing is unlearnt.
"""

from __future__ import annotations

import argparse
import copy
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
from torch.nn import functional as F

from .__main__ import CLIPS, say
from .batches import ahead
from .export import MODEL
from .model import TOKENS, frame_embeds, save
from .seek import RECENT, Reading, Seeking, apart, standardised, use, voted
from .shown import truths
from .step import drawn
from .streams import Posed, Streams, StreamSpec, streams
from .train import TRAINING, WORK, add_budget, judge, rate
from .words import BEFORE, END, KINDS, NUMBER_OF, VIDEO, numbers_of

LENGTHS = (8, 16, 16, 32, 32, *(64,) * 4, 128, 128, *(256,) * 4, *(1024,) * 4, *(4096,) * 4)
"""Frames of the streams of a batch, each as often as it stands here."""
PIECE = 64
"""Frames that are read at once; longer streams are cut into such pieces."""
SEEN = (8, *(16,) * 6, 24, 32, 64)
"""Frames that a question sees."""
WINDOWS = (8, 16, 32, 32, 32)
FINDING, SHARP = 0.15, 3.0
"""What finding counts beside answering; and how the vote of the layers, in deviations, is judged."""
CELLS = 0.1
"""What telling each token's cell counts."""
BY_VOTE, BY_TRUTH, BY_CHANCE = 0.6, 0.15, 0.15
"""Share of questions that see what the layers vote for, what shows what they ask for, and anything; others see the newest."""
NOISE = 0.15
"""Deviation of what is added to a vote, which is of deviation 1."""
SAY = 50
"""Steps between two lines that tell how it goes."""
GENTLE = 0.3
"""Rate of the eyes and the projector, of that of the mind."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what a step says; `total` has a gradient. N questions."""

    total: torch.Tensor
    answer: torch.Tensor
    finds: torch.Tensor
    right_N: torch.Tensor
    plain_N: torch.Tensor
    voted_N: torch.Tensor
    """Which see what the layers vote for."""
    missed_N: torch.Tensor
    """Which see no frame that shows what they ask for, though there is one."""


def chosen_for(asked: Posed, votes_NF: torch.Tensor, see: int, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what each question sees, (N, K), and which see what the layers vote for."""
    kw = {"generator": draws, "device": votes_NF.device}
    lot = torch.rand(asked.count, **kw)
    noise = torch.randn(votes_NF.shape, **kw)
    line = torch.linspace(0, 1e4, asked.frames, device=votes_NF.device).expand_as(noise)
    by_vote, by_truth, by_chance = lot < BY_VOTE, lot < BY_VOTE + BY_TRUTH, lot < BY_VOTE + BY_TRUTH + BY_CHANCE
    score = torch.where(by_chance[:, None], noise, line)
    score = torch.where(by_truth[:, None], noise + 20.0 * asked.shows_NF, score)
    score = torch.where(by_vote[:, None], standardised(votes_NF) + NOISE * noise, score)
    few = torch.randint(min(RECENT, see, asked.frames), min(see, asked.frames) + 1, (asked.count,), **kw)
    few = torch.where(by_vote | (lot > 0.95), see, few)
    return apart(score, min(see, asked.frames), few), by_vote


def losses(model: Any, asked: Posed, frames_BT3HW: torch.Tensor, window: int, see: int, draws: torch.Generator,
           places: torch.nn.Module | None = None) -> Found:  # fmt: skip
    """Read the streams in pieces, let questions seek, and answer them."""
    device, config = frames_BT3HW.device, model.config.text_config
    mind, embed = model.model.language_model, model.get_input_embeddings()
    with torch.autocast(device.type, enabled=False):
        seen = frame_embeds(model, frames_BT3HW)
    before = embed(torch.tensor(numbers_of(BEFORE), device=device)).expand(len(seen), -1, -1)

    def run(inputs_BLC: torch.Tensor, plan: Any) -> torch.Tensor:
        places = torch.zeros(inputs_BLC.shape[:2], dtype=torch.long, device=device)
        out: torch.Tensor = mind(inputs_embeds=inputs_BLC, position_ids=places, use_cache=False, plan=plan).last_hidden_state
        return out

    reading = Reading(seen.shape[1], window, config.hidden_size // config.num_attention_heads, str(device))
    run(torch.cat((before, seen.flatten(1, 2)), 1), reading)
    seeking = Seeking(reading, asked.streams, see, asked.asks_N, bare=True)
    run(embed(asked.ids_NL[:, 1:-3]), seeking)
    votes = voted(seeking.scores)
    with torch.no_grad():
        chosen, by_vote = chosen_for(asked, votes, see, draws)
        answers, plain = truths(asked.kind_N, asked.about_NT, asked.others_NT, *asked.seen(chosen))
    ids = asked.ids_NL.scatter(1, asked.said_N[:, None], answers[:, None])
    words = torch.where((ids == NUMBER_OF[VIDEO])[..., None], model.model.image_newline, embed(ids))
    answering = Seeking(reading, asked.streams, see, asked.asks_N, bare=False, chosen_NK=chosen)
    out = run(words, answering)
    row = torch.arange(asked.count, device=device)
    logits = model.lm_head(torch.stack((out[row, asked.said_N - 1], out[row, asked.said_N]), 1)).float()
    return _judged(asked, logits, answers, plain, seeking.scores, votes, chosen, by_vote, seen, places)


def _judged(asked: Posed, logits_N2V: torch.Tensor, answers: torch.Tensor, plain: torch.Tensor, scores: list[torch.Tensor],
            votes: torch.Tensor, chosen: torch.Tensor, by_vote: torch.Tensor, seen: torch.Tensor, places: Any) -> Found:  # fmt: skip
    weight = plain.float() / plain.sum().clamp(min=1)
    answer = (F.cross_entropy(logits_N2V[:, 0], answers, reduction="none") * weight).sum()
    end = (F.cross_entropy(logits_N2V[:, 1], torch.full_like(answers, NUMBER_OF[END]), reduction="none") * weight).sum()
    old = asked.frames - min(RECENT, asked.frames)
    shows = asked.shows_NF[:, :old]
    some = shows.any(1) & ~shows.all(1)
    finds = torch.zeros((), device=votes.device)
    if old:
        every = torch.stack([*(one[:, :old] for one in scores), SHARP * votes[:, :old]])
        told = (every.log_softmax(-1) * shows).sum(-1) / shows.sum(-1).clamp(min=1)
        finds = -(told * some).sum(1) / some.sum().clamp(min=1)
        finds = finds[:-1].mean() + finds[-1]
    cells = torch.zeros((), device=votes.device)
    if places is not None:
        told = places(F.layer_norm(seen[: max(512 // seen.shape[1], 1)].float(), seen.shape[-1:])).flatten(0, 2)
        cells = F.cross_entropy(told.float(), torch.arange(TOKENS, device=votes.device).repeat(len(told) // TOKENS))
    right = logits_N2V[:, 0].argmax(1) == answers
    found = F.pad(asked.shows_NF, (0, 1)).gather(1, chosen).any(1)
    missed = asked.shows_NF.any(1) & ~found
    return Found(answer + 0.2 * end + FINDING * finds + CELLS * cells, answer.detach(), finds.detach(), right, plain, by_vote, missed)


def spec(number: int, seed: int, frames: int, questions: int) -> tuple[StreamSpec, int, int]:
    """Return what a step's batch is made of, its window, and how many frames questions see."""
    key = (TRAINING, 1 << 22, seed, number)
    rng = np.random.default_rng(key)
    long = min(int(rng.choice(LENGTHS)), frames)
    count = frames // long
    return StreamSpec(key, count, long, max(questions // count, 2)), int(rng.choice(WINDOWS)), int(rng.choice(SEEN))


def in_pieces(made: Streams) -> Any:
    """Return the streams' frames as clips of at most `PIECE` frames, as `drawn` takes them."""
    piece = min(PIECE, made.thing_WFK.shape[1])
    thing, where = (part.reshape(-1, piece, *part.shape[2:]) for part in (made.thing_WFK, made.drawn_WFK4))
    return SimpleNamespace(thing_BTK=thing, drawn_BTK4=where)


def teach(model: Any, budget: argparse.Namespace, folder: Path, pool: Pool | None = None) -> tuple[Any, int]:
    """Return the averaged model and how many steps there were; what there is goes to `folder` every minute."""
    device = budget.device
    use(model)
    places = torch.nn.Linear(model.config.text_config.hidden_size, TOKENS, device=device)
    eyes = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    mind = [p for p in model.parameters() if all(p is not other for other in eyes)] + list(places.parameters())
    groups = [
        {"params": [p for p in part if (p.ndim > 1) == wide], "weight_decay": 0.01 * wide, "share": share}
        for part, share in ((eyes, GENTLE), (mind, 1.0))
        for wide in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=budget.lr, betas=(0.9, 0.98), fused=device != "cpu")
    average, draws = copy.deepcopy(model), torch.Generator(device).manual_seed(3000 + budget.seed)
    plans: list[tuple[int, int]] = []

    def specs() -> Iterator[StreamSpec]:
        number = 0
        while True:
            one, window, see = spec(number, budget.seed, budget.frames, budget.questions)
            plans.append((window, see))
            number += 1
            yield one

    began, saved, step, told = time.monotonic(), time.monotonic(), 0, []
    for made in ahead(specs(), pool, 48, streams):
        spent = time.monotonic() - began
        progress = step / budget.steps if budget.steps else spent / (60 * budget.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = budget.lr * group["share"] * rate(progress)
        window, see = plans.pop(0)
        asked, frames = Posed(made, device), drawn(in_pieces(made), draws, device)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=device != "cpu"):
            found = losses(model, asked, frames, window, see, draws, places)
        optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(budget.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        told.append((asked.frames, found.answer, found.finds, *_tally(asked, found)))
        if len(told) == SAY:
            _say(step, progress, spent, told)
            told.clear()
        if time.monotonic() - saved > 60:
            save(average, folder)
            saved = time.monotonic()
    save(average, folder)
    return average, step


def _tally(asked: Posed, found: Found) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return right and asked of each kind, (kinds,) each, of what the layers voted for; and the share that was missed."""
    counted = (found.voted_N & found.plain_N).float()
    of_kind = F.one_hot(asked.kind_N, len(KINDS)).float() * counted[:, None]
    wanted = (asked.shows_NF.any(1) & found.voted_N).float().sum().clamp(min=1)
    return (of_kind * found.right_N[:, None]).sum(0), of_kind.sum(0), (found.missed_N & found.voted_N).sum() / wanted


def _say(step: int, progress: float, spent_s: float, told: list[Any]) -> None:
    right, count = torch.stack([one[3] for one in told]).sum(0).tolist(), torch.stack([one[4] for one in told]).sum(0).tolist()
    kinds = " ".join(f"{k.replace(' ', '-')} {100 * r / max(n, 1):.1f}" for k, r, n in zip(KINDS, right, count, strict=True))
    missed: dict[int, list[float]] = {}
    for one in told:
        missed.setdefault(one[0], []).append(float(one[5]))
    lost = " ".join(f"{frames}:{100 * np.mean(rows):.1f}" for frames, rows in sorted(missed.items()))
    answer, finds = (float(torch.stack([one[at] for one in told]).mean()) for at in (1, 2))
    say(f"step {step} {progress:.3f} {spent_s:.0f}s answer {answer:.3f} finds {finds:.3f} | {kinds} | missed {lost}")


def write_figures(model: Any, folder: Path, source: Path, steps: int, spent_s: float, device: str) -> None:
    """Judge the model and write figures.json beside it, with how it came about."""
    from .attend import use as use_clips

    use_clips(model)
    figures = json.loads((source / "figures.json").read_text(encoding="utf-8"))
    card = torch.cuda.get_device_name() if device != "cpu" else "a processor"
    figures["training"]["more"] = (
        figures["training"].get("more", "") + f", then {steps} in {spent_s / 60:.1f} minutes on one {card}, to seek"
    )
    with torch.no_grad():
        figures["held out"] = {f"{frames} frames, window {window}": judge(model, device, frames, window, 4, 16) for frames, window in CLIPS}
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.qa.lesson", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, default=WORK / "lesson")
    parser.add_argument("--minutes", type=float, default=6.5)
    add_budget(parser)
    parser.add_argument("--decay", type=float, default=0.998, help="of the average of weights")
    return parser.parse_args()


def main() -> None:
    args = options()
    pool = get_context("fork").Pool(args.workers) if args.workers else None  # before the GPU is woken
    from transformers import LlavaOnevisionForConditionalGeneration

    if args.device == "cpu":
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(args.source, dtype=torch.float32).to(args.device)
    began = time.monotonic()
    try:
        model, steps = teach(model, args, args.out, pool)
    finally:
        if pool is not None:
            pool.terminate()
    spent_s = time.monotonic() - began
    say(f"taught {steps} steps in {spent_s:.0f} s")
    write_figures(model, args.out, args.source, steps, spent_s, args.device)


if __name__ == "__main__":
    main()
