"""Questions that seek in training find, see and are told what a memory and a plain reading would give."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.nets.summariser import SummariserNet, SummariserPlan
from perception.qa.kv.ask import ready
from perception.qa.kv.asking import Asking
from perception.qa.kv.families.llava_onevision import LlavaOneVision
from perception.qa.kv.kvmemory import KVMemory
from perception.qa.kv.leaving import Limits
from perception.qa.kv.memories.clips import ClipMemory
from perception.qa.kv.memory import Query
from perception.qa.kv.packing import Packing
from perception.qa.kv.ram import RamStore
from perception.qa.kv.strategies import Hybrid
from perception.qa.kv.strategies.internal import layer_scores
from training.qa import lesson, seek, summarise
from training.qa.model import TINY, TOKENS, frame_embeds, make
from training.qa.questions import View, truth
from training.qa.shown import truths
from training.qa.streams import Posed, StreamSpec, streams
from training.qa.words import KINDS, VOCABULARY, tokenizer
from training.qa.world import World

from .conftest import louder

NS = 1_000_000_000
SEE = 8


def test_what_is_true_of_frames_is_what_the_slower_way_says() -> None:
    plain_kinds = set()
    for seed in range(6):
        made = streams(StreamSpec((7, seed), 3, 40, 60))
        asked = Posed(made, "cpu")
        draws = torch.Generator().manual_seed(seed)
        few = torch.randint(1, 13, (asked.count,), generator=draws)
        chosen = seek.apart(torch.randn(asked.count, 40, generator=draws), 12, few.clamp(min=seek.RECENT))
        said, plain = truths(asked.kind_N, asked.about_NT, asked.others_NT, *asked.seen(chosen))
        for n in range(asked.count):
            w, q = divmod(n, 60)
            frames = [frame for frame in chosen[n].tolist() if frame < 40]
            world = World(made.thing_WFK[w], made.cell_WFK[w], made.drawn_WFK4[w])
            about, others = (
                np.flatnonzero(part[w, q]).tolist() for part in (made.about_WQT, made.others_WQT)
            )
            kind = KINDS[made.kind_WQ[w, q]]
            wanted = truth(kind, View(world, frames), about, others)
            assert (wanted is not None) == bool(plain[n]), kind
            if wanted is not None:
                assert VOCABULARY[int(said[n])] == wanted, kind
                plain_kinds.add((kind, wanted in ("none", "no")))
            shown = np.isin(made.thing_WFK[w], [*about, *others]).any(1) & (not kind.endswith(" now"))
            assert asked.shows_NF[n].tolist() == shown.tolist()
    assert len(plain_kinds) >= 2 * len(KINDS) - 2  # of every kind there were both; order has no "none"


def test_seeking_in_training_is_seeking_in_a_memory() -> None:
    made = streams(StreamSpec((7, 1), 1, 32, 5))
    model, stock = (louder(make(TINY, seed=1)).eval() for _ in range(2))
    seek.use(model)
    asked = Posed(made, "cpu")
    frames = lesson.drawn(lesson.in_pieces(made), torch.Generator().manual_seed(0), "cpu")
    wrapped = LlavaOneVision(stock, tokenizer(), None)
    memory = KVMemory(
        wrapped,
        lambda shape: RamStore(Packing(shape, "float32"), Limits(64.0, 0.0, "age", 1)),
        Hybrid(SEE, seek.RECENT, novelty=0.0),
        window_tokens=wrapped.layout.sink + 32 * TOKENS,
    )
    seen: list[Any] = []
    whole = seek.Seeking.attend

    def watch(self: seek.Seeking, *args: Any) -> Any:
        seen.append(self)
        return whole(self, *args)

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        for at, tokens_TC in enumerate(frame_embeds(stock, frames)[0]):
            memory.push(tokens_TC, (at + 1) * NS)
        patch.setattr(seek.Seeking, "attend", watch)
        patch.setattr(lesson, "BY_VOTE", 1.0)
        patch.setattr(lesson, "NOISE", 0.0)
        found = lesson.losses(model, asked, frames, 32, SEE, torch.Generator().manual_seed(0))
    assert bool(found.voted_N.all())
    bare, answering = seen[0], seen[-1]
    for n in range(asked.count):
        words = made.ids_WQL[0, n, 1 : 1 + int(asked.asks_N[n])]
        text = " ".join(VOCABULARY[i] for i in words)
        query, rows = wrapped.query(text), memory.snapshot().rows
        assert rows is not None
        scores, _ = layer_scores(query, rows, Asking(memory), SEE, seek.RECENT)
        scale = wrapped.head_dim**-0.5
        for ours, theirs in zip(bare.scores, scores, strict=True):
            assert torch.allclose(ours[n], theirs * scale, atol=2e-2 * float(theirs.std()) * scale + 1e-6)
        context = memory.context(query, memory.snapshot())
        numbers = rows.numbers_N[answering.chosen_NK[n]].tolist()
        assert [pick.number for pick in context.picks] == numbers
        cache, tokens = ready(wrapped, context)
        prompt = torch.tensor([wrapped.prompt_ids(text)])
        with torch.no_grad():
            out = wrapped.model(
                input_ids=prompt,
                attention_mask=torch.ones(1, tokens + prompt.shape[1]),
                past_key_values=cache,
            )
        right = int(out.logits[0, -1].argmax()) == int(truths_of(asked, answering)[n])
        assert right == bool(found.right_N[n])
    assert bare.scores[0].std() > 0


def truths_of(asked: Posed, answering: seek.Seeking) -> torch.Tensor:
    assert answering.chosen_NK is not None
    return truths(asked.kind_N, asked.about_NT, asked.others_NT, *asked.seen(answering.chosen_NK))[0]


def test_a_lesson_teaches_to_find_and_to_answer(tmp_path: Path) -> None:
    model = make(TINY, seed=0)
    budget = Namespace(device="cpu", lr=1e-3, minutes=0.0, steps=1, frames=16, questions=8, decay=0.9, seed=0)
    average, steps = lesson.teach(model, budget, tmp_path)
    assert steps == 1
    assert (tmp_path / "model.safetensors").is_file()
    assert not torch.equal(average.lm_head.weight, make(TINY, seed=0).lm_head.weight)
    made = streams(StreamSpec((7, 3), 1, 24, 16))
    posed = Posed(made, "cpu")
    frames = lesson.drawn(lesson.in_pieces(made), torch.Generator().manual_seed(0), "cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    told = []
    for _ in range(40):
        found = lesson.losses(model, posed, frames, 8, SEE, torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        told.append((float(found.answer), float(found.finds)))
    (answer, finds), (answer_then, finds_then) = told[0], told[-1]
    assert answer_then < 0.5 * answer
    assert finds_then < 0.9 * finds


def test_summaries_in_training_are_those_of_the_memory() -> None:
    """Fifteen clips: a chain of twelve, and another."""
    model = make(TINY, seed=1).eval()
    torch.manual_seed(0)
    net = SummariserNet(SummariserPlan(32, heads=2, memory=9, frames=8, tokens=TOKENS))
    for part in (net.write, net.seek, net.tell):
        torch.nn.init.normal_(part.weight, std=0.3)
        torch.nn.init.zeros_(part.bias)
    posed, frames = summarise.on(
        streams(StreamSpec((7, 1), 1, 8 * 15 + 3, 6)), "cpu", torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        seen = frame_embeds(model, frames)
        memories, about = summarise.remembered(net, seen[:, :120].unflatten(1, (15, 8)).flatten(2, 3))
        words = model.get_input_embeddings()(posed.ids_NL)
        asked = summarise.sought(net, words, posed.asks_N)
        alike = (about[posed.stream_N] @ asked[:, :, None])[..., 0]
        nothing = torch.zeros(6, 15, dtype=torch.bool)
        chosen = summarise.chosen_for(alike, nothing, 0.0, torch.Generator())
        memory = ClipMemory((3, 3), net)
        for at, tokens_TC in enumerate(seen[0]):
            memory.push(tokens_TC, (at + 1) * NS)
        for n in range(6):
            own = slice(1, 1 + int(posed.asks_N[n]))
            query = Query("", tuple(posed.ids_NL[n, own].tolist()), words[n, own])
            given = memory.context(query, memory.snapshot()).embeddings_NC
            ours = torch.cat((memories[0, chosen[n]].flatten(0, 1), seen[0, 120:].flatten(0, 1)))
            assert torch.allclose(given, ours, atol=1e-5)
    assert len({tuple(row) for row in chosen.tolist()}) > 1
    means = seen[0, :8].mean(0)
    with torch.no_grad():
        net.write.weight.zero_()
        first = net(None, seen[:, :8].flatten(1, 2))[0][0]
    assert torch.allclose(first, means, atol=0.05 * float(means.abs().max()))  # untrained it is means
