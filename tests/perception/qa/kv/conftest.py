"""What the tests of the memory of keys and values share: tiny models, a plain store, stock forwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from perception.qa.kv.families.base import Features, Pixels, VideoModel
from perception.qa.kv.families.tiny import FAMILIES, tiny
from perception.qa.kv.kvmemory import KVMemory
from perception.qa.kv.store import BlockShape
from perception.qa.kv.strategies import Choice, Strategy

SECOND = 1_000_000_000
QUESTION = "where is the red cup ?"
QUICK = ("llava_onevision", "qwen3_vl")
BY_NIGHT = [pytest.param(one, marks=pytest.mark.nightly) for one in FAMILIES if one not in QUICK]
IMAGE_MARK = {
    "llava_onevision": "<video>",
    "smolvlm": "<image>",
    "qwen2_5_vl": "<|image_pad|>",
    "qwen3_vl": "<|image_pad|>",
    "internvl": "<IMG_CONTEXT>",
}


class Blocks:
    """Keep blocks in a dictionary. Satisfies `BlockStore`."""

    def __init__(self, shape: BlockShape) -> None:
        self.shape = shape
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor, int]] = {}
        self._next = 0

    def append(self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor, at_ns: int) -> int:
        self._kept[self._next] = keys_LHTD.clone(), values_LHTD.clone(), at_ns
        self._next += 1
        return self._next - 1

    def read(self, numbers: Sequence[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        blocks = [self._kept[number] for number in numbers]
        return torch.cat([k[layer] for k, _, _ in blocks], 1), torch.cat([v[layer] for _, v, _ in blocks], 1)

    def numbers(self) -> Sequence[int]:
        return tuple(self._kept)

    def at_ns(self, number: int) -> int:
        return self._kept[number][2]

    def evict(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._kept.pop(number, None)

    def close(self) -> None:
        self._kept.clear()


class Given:
    """Bring back the frames that a test names. Satisfies `Strategy`."""

    name = "given"

    def __init__(self, *rows: int) -> None:
        self._rows = torch.tensor(rows)

    def choose(self, query: Any, rows: Any, memory: Any) -> Choice:
        return Choice((self._rows,))


def pictures(count: int, seed: int = 1) -> list[Pixels]:
    """Return pictures of noise, all different."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (40, 56, 3), dtype=np.uint8) for _ in range(count)]


def features(model: VideoModel, pixels: Pixels) -> Features:
    """Return what a model's eyes make of a picture; of each once."""
    key = (id(model), pixels.tobytes())
    if key not in _SEEN:
        _SEEN[key] = model.features(pixels)
    return _SEEN[key]


_SEEN: dict[tuple[int, bytes], Features] = {}


def remembered(
    model: VideoModel, shown: Sequence[Pixels], strategy: Strategy, window_tokens: int = 4096
) -> KVMemory:
    """Return a memory that has seen pictures, a second apart, the first at one second."""
    memory = KVMemory(model, Blocks, strategy, window_tokens=window_tokens)
    for index, pixels in enumerate(shown, start=1):
        seen = features(model, pixels)
        memory.push(seen.tokens_TC, index * SECOND, deep_DTC=seen.deep_DTC)
    return memory


@contextmanager
def eager(model: VideoModel) -> Iterator[None]:
    """Let the model attend by plain arithmetic of the library's own, so that a reference shares nothing."""
    ours, model.text.config._attn_implementation = model.text.config._attn_implementation, "eager"
    try:
        yield
    finally:
        model.text.config._attn_implementation = ours


def stock_logits(model: VideoModel, shown: Sequence[Pixels], following: Sequence[int]) -> torch.Tensor:
    """Return the logits of the ids after the pictures, (N, words), from one stock forward over everything."""
    mark = model.tokenizer.convert_tokens_to_ids(IMAGE_MARK[model.family])
    rows, columns = model.grid_hw
    before, after = model.around_ids
    frame = (*before, *[mark] * (rows * columns), *after)
    tail = [mark] * len(model.tail())  # one video's newline, which the stock model adds to the last frame
    ids = torch.tensor([[*model.sink_ids, *frame * len(shown), *tail, *following]])
    given = [model.inputs(pixels) for pixels in shown]
    axis = {
        "pixel_values_videos": 1,
        "pixel_values": 1 if model.family == "smolvlm" else 0,
        "pixel_attention_mask": 1,
    }
    inputs = {name: torch.cat([one[name] for one in given], axis.get(name, 0)) for name in given[0]}
    if "image_grid_thw" in inputs:
        inputs["mm_token_type_ids"] = (ids == mark).int()
    with torch.no_grad(), eager(model):
        model.model.model.rope_deltas = None
        out = model.model(input_ids=ids, **inputs, use_cache=False)
        if hasattr(model.model.model, "rope_deltas"):
            model.model.model.rope_deltas = torch.zeros(1, 1, dtype=torch.int64)
    return out.logits[0, -len(following) :]


def logits_after(model: VideoModel, cache: Any, tokens: int, following: Sequence[int]) -> torch.Tensor:
    """Return the logits of ids that go on from a plain cache, (N, words), by the stock class."""
    count = len(following)
    places = model.layout.text(count, tokens)
    with torch.no_grad():
        out = model.model(
            input_ids=torch.tensor([following], device=model.device),
            position_ids=places if model.rotary.axes == 1 else places[:, None],
            attention_mask=torch.ones(1, tokens + count, dtype=torch.int64, device=model.device),
            past_key_values=cache,
        )
    return out.logits[0]


@pytest.fixture(scope="session", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> VideoModel:
    """Give a tiny model of each family."""
    torch.set_num_threads(1)
    return tiny(request.param)


@pytest.fixture(scope="session", params=[*QUICK, *BY_NIGHT])
def some(request: pytest.FixtureRequest) -> VideoModel:
    """Give a tiny model with one axis of positions and one with three; of the other families by night."""
    torch.set_num_threads(1)
    return tiny(request.param, seed=2)


@pytest.fixture(scope="session")
def llava() -> VideoModel:
    """Give a tiny model of one family, for what does not depend on the family."""
    torch.set_num_threads(1)
    return tiny("llava_onevision", seed=3)
