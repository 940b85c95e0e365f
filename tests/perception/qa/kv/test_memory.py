"""A memory of keys and values under questions: none changes it, none waits, what is forgotten is gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from perception.qa.kv.ask import answer_ids, ask, ready
from perception.qa.kv.families.base import VideoModel
from perception.qa.kv.kvmemory import KVMemory, KVSnapshot
from perception.qa.kv.leaving import Limits
from perception.qa.kv.memory import TokenContext
from perception.qa.kv.packing import Packing
from perception.qa.kv.slab_store import SlabStore
from perception.qa.kv.store import BlockShape
from perception.qa.kv.strategies import Full, Hybrid, LastK, Rekv, Voted
from perception.qa.kv.strategies.internal import layer_scores
from realtime.core.errors import EngineError

from .conftest import QUESTION, SECOND, Blocks, Given, features, logits_after, pictures, remembered

TOKENS = 4


def _ids(
    model: VideoModel, memory: KVMemory, snapshot: KVSnapshot, question: str = QUESTION
) -> tuple[int, ...]:
    context = memory.context(model.query(question), snapshot)
    return answer_ids(model, context, model.prompt_ids(question), TOKENS)


def _push(model: VideoModel, memory: KVMemory, shown, first: int) -> None:
    for index, pixels in enumerate(shown, start=first):
        seen = features(model, pixels)
        memory.push(seen.tokens_TC, index * SECOND, deep_DTC=seen.deep_DTC)


def test_asking_twice_gives_the_same_and_changes_nothing(some: VideoModel) -> None:
    model = some
    memory = remembered(model, pictures(6), Hybrid(4))
    snapshot = memory.snapshot()
    first = _ids(model, memory, snapshot)
    _ids(model, memory, snapshot, "what is left ?")
    assert _ids(model, memory, snapshot) == first
    fresh = remembered(model, pictures(6), Hybrid(4))
    _push(model, memory, pictures(3, seed=9), 7)
    _push(model, fresh, pictures(3, seed=9), 7)
    assert torch.equal(memory.read(range(9), 2)[1], fresh.read(range(9), 2)[1])


def test_many_asks_while_frames_are_encoded_equal_those_one_after_the_other(some: VideoModel) -> None:
    model = some
    later = pictures(8, seed=5)
    quiet = remembered(model, pictures(6), Hybrid(4))
    questions = ["where is the red cup ?", "what is left ?", "is the green circle right ?"]
    expected = [_ids(model, quiet, quiet.snapshot(), one) for one in questions]
    _push(model, quiet, later, 7)

    busy = remembered(model, pictures(6), Hybrid(4))
    snapshot = busy.snapshot()
    begun = threading.Barrier(len(questions) + 1)

    def asked(question: str) -> list[tuple[int, ...]]:
        begun.wait()
        return [_ids(model, busy, snapshot, question) for _ in range(2)]

    with ThreadPoolExecutor(len(questions)) as pool:
        answers = [pool.submit(asked, one) for one in questions]
        begun.wait()
        _push(model, busy, later, 7)
        assert [answer.result() for answer in answers] == [[one, one] for one in expected]
    for layer in range(model.layers):
        assert torch.equal(busy.read(range(14), layer)[1], quiet.read(range(14), layer)[1])
    assert busy.snapshot().known_ns == 14 * SECOND


def test_nobody_waits_while_another_pass_is_on_its_way(llava: VideoModel) -> None:
    """A pass that is held up inside the model holds up no other, whichever of the two it is."""
    memory = remembered(llava, pictures(4), Hybrid(4))
    snapshot, held = memory.snapshot(), threading.Event()
    expected = _ids(llava, memory, snapshot)
    inside = threading.Semaphore(0)

    def hold(*_: object) -> None:
        if threading.current_thread().name == "slow":
            inside.release()
            assert held.wait(20)

    hook = llava.text.layers[1].register_forward_pre_hook(hold)
    try:
        encoding = threading.Thread(target=_push, args=(llava, memory, pictures(1, seed=8), 5), name="slow")
        encoding.start()
        assert inside.acquire(timeout=20)
        assert _ids(llava, memory, snapshot) == expected
        held.set()
        encoding.join()
        held.clear()
        asking = threading.Thread(target=_ids, args=(llava, memory, snapshot), name="slow")
        asking.start()
        assert inside.acquire(timeout=20)
        _push(llava, memory, pictures(1, seed=9), 6)
        assert memory.snapshot().known_ns == 6 * SECOND
        held.set()
        asking.join()
    finally:
        held.set()
        hook.remove()


def test_a_snapshot_sees_neither_later_frames_nor_forgotten_ones(llava: VideoModel) -> None:
    memory = remembered(llava, pictures(5), Full(), window_tokens=14)
    old = memory.snapshot()
    _push(llava, memory, pictures(30, seed=2), 6)
    assert [pick.at_ns for pick in memory.context(llava.query("a"), old).picks] == [
        one * SECOND for one in range(1, 6)
    ]
    assert memory.forget(2 * SECOND, 4 * SECOND) == 2
    assert [pick.at_ns // SECOND for pick in memory.context(llava.query("a"), old).picks] == [1, 4, 5]
    assert len(memory.context(llava.query("a"), memory.snapshot()).picks) == 33
    assert memory.forget(34 * SECOND, 36 * SECOND) == 2, "frames of the window go too"
    _push(llava, memory, pictures(1), 50)
    memory.forget(0, 1 << 62)
    empty = memory.context(llava.query("a"), memory.snapshot())
    assert empty.picks == ()
    assert empty.tokens == llava.layout.sink + len(llava.tail())


def test_what_a_question_reads_may_go_while_it_reads(llava: VideoModel) -> None:
    memory = remembered(llava, pictures(6), Full())
    snapshot, read = memory.snapshot(), memory.store.read

    def going(numbers, layer):
        memory.store.evict([2])
        return read(numbers, layer)

    memory.store.read = going  # type: ignore[method-assign]
    assert [pick.number for pick in memory.context(llava.query("a"), snapshot).picks] == [0, 1, 3, 4, 5]


def test_as_published_layers_choose_apart_and_a_vote_does_not(llava: VideoModel) -> None:
    memory = remembered(llava, pictures(16), Rekv(6))
    query = llava.query(QUESTION)
    apart = memory.context(query, memory.snapshot()).extra["numbers"]
    assert len({tuple(one) for one in apart}) > 1
    assert all(len(one) == 6 and one == sorted(one) for one in apart)
    memory.strategy = Voted(6, recent=2)
    shared = memory.context(query, memory.snapshot())
    assert len({tuple(one) for one in shared.extra["numbers"]}) == 1
    assert shared.extra["numbers"][0][-2:] == [14, 15], "the newest are there in any case"
    assert max(pick.score for pick in shared.picks) <= 1.0


def test_compact_vectors_give_the_products_of_repeated_ones(some: VideoModel) -> None:
    model = some
    memory = remembered(model, pictures(8), LastK())
    rows, query = memory.snapshot().rows, model.query(QUESTION)
    assert rows is not None
    seen: list[torch.Tensor] = []
    joined = memory.read

    def watch(module, args, kwargs, out) -> None:
        seen.append(module.q_proj(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]).detach())

    scores, _ = layer_scores(query, rows, memory, 3, 0)
    hook = model.text.layers[0].self_attn.register_forward_hook(watch, with_kwargs=True)
    try:
        layer_scores(query, rows, memory, 3, 0)
    finally:
        hook.remove()
    queries = seen[0][0].unflatten(-1, (model.query_heads, model.head_dim))
    if hasattr(model.text.layers[0].self_attn, "q_norm"):
        queries = model.text.layers[0].self_attn.q_norm(queries)
    keys = torch.stack([joined([number], 0)[0].mean(dim=1) for number in range(8)])
    repeated = keys.repeat_interleave(model.query_heads // model.kv_heads, dim=1)
    expected = torch.einsum("hd,nhd->n", queries.mean(dim=0), repeated)
    assert torch.allclose(scores[0], expected, atol=2e-3 * float(expected.detach().std()))


def test_a_store_on_disk_brings_the_memory_over_a_restart(llava: VideoModel, tmp_path: Path) -> None:
    def disk(shape: BlockShape) -> SlabStore:
        return SlabStore(tmp_path, Packing(shape, "float32"), "tiny", Limits(64.0))

    memory = KVMemory(llava, disk, Hybrid(4))
    _push(llava, memory, pictures(9), 1)
    told, rows = _ids(llava, memory, memory.snapshot()), memory.snapshot().rows
    memory.close()
    again = KVMemory(llava, disk, Hybrid(4))
    back = again.snapshot().rows
    assert rows is not None
    assert back is not None
    assert torch.equal(back.sketches_NS, rows.sketches_NS)
    assert torch.allclose(back.vectors_LNV.float(), rows.vectors_LNV.float(), atol=1e-3)
    assert _ids(llava, again, again.snapshot()) == told
    assert again.snapshot().known_ns == 9 * SECOND
    again.close()


def test_remembered_tokens_prefilled_equal_remembered_keys(some: VideoModel) -> None:
    """Tokens of one frame, where frames lie on one axis: then both ways are the same forward."""
    model = some
    seen = features(model, pictures(1)[0])
    memory = remembered(model, pictures(1), Full())
    kept = memory.context(model.query(QUESTION), memory.snapshot())
    prompt = model.prompt_ids(QUESTION)
    tokens = TokenContext(seen.tokens_TC, (SECOND,) * len(seen.tokens_TC))
    if model.rotary.axes == 1:
        assert answer_ids(model, tokens, prompt, TOKENS) == answer_ids(model, kept, prompt, TOKENS)
    other = TokenContext(seen.tokens_TC.flip(0), (SECOND,) * len(seen.tokens_TC))
    assert _prefilled(model, tokens, prompt) != _prefilled(model, other, prompt)
    nothing = TokenContext(seen.tokens_TC[:0], ())
    assert len(answer_ids(model, nothing, prompt, TOKENS)) == TOKENS


def _prefilled(model: VideoModel, context: TokenContext, prompt) -> list[float]:
    cache, tokens = ready(model, context)
    return logits_after(model, cache, tokens, prompt)[-1].tolist()


def test_an_answer_grows_and_stops_when_nobody_listens(llava: VideoModel) -> None:
    memory = remembered(llava, pictures(4), Given(1, 3))
    snapshot = memory.snapshot()
    replies = ask(llava, memory, QUESTION, snapshot, most_tokens=8)
    texts = [reply.text for reply in replies]
    assert len(texts) > 2
    assert all(later.startswith(former) for former, later in pairwise(texts))
    cut = ask(llava, memory, QUESTION, snapshot, most_tokens=50_000)
    next(cut)
    cut.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "answer"]


def test_what_a_model_cannot_do_is_said(llava: VideoModel) -> None:
    with pytest.raises(EngineError, match="holds no frame"):
        KVMemory(llava, Blocks, Full(), window_tokens=3)
    rope, llava.text.rotary_emb.attention_scaling = llava.text.rotary_emb.attention_scaling, 1.2
    try:
        with pytest.raises(EngineError, match=r"scales keys by 1\.2"):
            type(llava)(llava.model, llava.tokenizer, llava.images)
    finally:
        llava.text.rotary_emb.attention_scaling = rope
    with pytest.raises(EngineError, match="reaches position"):
        llava.rotary.turn(torch.tensor([[llava.rotary.most_positions]]))


def test_a_plain_cache_goes_on_where_it_ends(llava: VideoModel) -> None:
    """Positions of generated tokens follow on those of the prompt: two halves give what one pass gives."""
    memory = remembered(llava, pictures(3), Full())
    prompt = llava.prompt_ids(QUESTION)
    whole = memory.context(llava.query(QUESTION), memory.snapshot())
    halves = memory.context(llava.query(QUESTION), memory.snapshot())
    at_once = logits_after(llava, whole.cache, whole.tokens, prompt)
    logits_after(llava, halves.cache, halves.tokens, prompt[:2])
    rest = logits_after(llava, halves.cache, halves.tokens + 2, prompt[2:])
    assert torch.allclose(rest, at_once[2:], atol=1e-5)
