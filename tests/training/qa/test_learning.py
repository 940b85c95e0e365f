"""The recipe learns, and what training attends to is what the memory brings back later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.qa.kv.ask import ready
from perception.qa.kv.families.llava_onevision import LlavaOneVision
from perception.qa.kv.kvmemory import KVMemory
from perception.qa.kv.leaving import Limits
from perception.qa.kv.packing import Packing
from perception.qa.kv.ram import RamStore
from perception.qa.kv.strategies import Choice
from training.qa import attend, step
from training.qa.batches import Spec, batch
from training.qa.model import TINY, TOKENS, frame_embeds, make, pixels
from training.qa.train import Budget, Training
from training.qa.words import tokenizer

from .conftest import louder

NS = 1_000_000_000


def test_sixty_steps_make_the_loss_fall(tmp_path: Path) -> None:
    made = batch(Spec((1, 0), 6, 2, 2))
    run = Training(TINY, Budget(steps=60, lr=1e-2), "cpu", tmp_path / "checkpoint.pt")
    told = [run.learn(made, 2, torch.Generator().manual_seed(0)) for _ in range(60)]
    first, last = (float(torch.stack(part).mean(0)[0]) for part in (told[:5], told[-5:]))
    assert last < 0.5 * first
    run.save()
    again = Training(TINY, Budget(steps=120), "cpu", tmp_path / "checkpoint.pt")
    assert again.step == 60
    assert torch.equal(again.model.lm_head.weight, run.model.lm_head.weight)


class Some:
    """Bring back the frames of a clip's view."""

    name = "some"

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def choose(self, query: Any, rows: Any, memory: Any) -> Choice:
        return Choice((self.rows,))


def test_questions_in_training_see_what_a_memory_brings_back() -> None:
    model = louder(make(TINY, seed=1)).eval()
    made = batch(Spec((9, 1), 1, 12, 4, whole=0.0))
    frames = step.drawn(made, torch.Generator().manual_seed(0), "cpu")
    attend.use(model)
    with torch.no_grad():
        logits, _, _ = step.forward(model, frames, made, window=12)
        whole, _, _ = step.forward(
            model, frames, replace(made, view_BT=np.ones_like(made.view_BT)), window=12
        )
    stock = louder(make(TINY, seed=1))
    wrapped = LlavaOneVision(stock, tokenizer(), None)
    view = torch.from_numpy(np.flatnonzero(made.view_BT[0]))
    memory = KVMemory(
        wrapped,
        lambda shape: RamStore(Packing(shape, "float32"), Limits(64.0, 0.0, "age", 1)),
        Some(view),
        window_tokens=wrapped.layout.sink + 12 * TOKENS,
    )
    with torch.no_grad():
        for at, tokens_TC in enumerate(frame_embeds(stock, frames)[0]):
            memory.push(tokens_TC, (at + 1) * NS)
    for number in range(4):
        length = int(made.said_BQ[0, number])
        ids = torch.from_numpy(made.ids_BQL[0, number, 1:length]).long()[None]
        cache, tokens = ready(
            wrapped, memory.context(wrapped.query("where was the circle ?"), memory.snapshot())
        )
        mask = torch.ones(1, tokens + ids.shape[1], dtype=torch.long)
        with torch.no_grad():
            said = stock(input_ids=ids, past_key_values=cache, attention_mask=mask).logits[0, -1]
        assert torch.allclose(said, logits[0, number, length - 1], atol=1e-5)
        assert not torch.allclose(said, whole[0, number, length - 1], atol=1e-5)  # had it seen all frames


def test_tokens_of_frames_are_those_of_the_stock_class() -> None:
    model = make(TINY, seed=3).eval()
    frames = torch.rand(2, 3, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        ours = frame_embeds(model, frames)
        stock = model.model.get_video_features(pixels(frames)).pooler_output[:, :-1]
    assert torch.allclose(ours.flatten(1, 2), stock, atol=1e-6)
