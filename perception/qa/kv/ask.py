"""Answer a question from a memory: its context as a plain cache, then stock `generate()` on the prompt alone.

The memory's part (which frames, brought back how) is `Memory.context`; what remains is the same for all of
them: a cache of N tokens, ids that follow, an attention mask over both. So streaming, sampling and whatever
else transformers offers work as anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from realtime.core.errors import EngineError

from .memory import CacheContext, Context, Memory, TokenContext
from .plain import token_cache

if TYPE_CHECKING:
    from .families.base import VideoModel


@dataclass(slots=True)
class Reply:
    """Hold an answer that grows; given out after each new piece of text."""

    context: Context
    text: str = ""
    probabilities: list[float] = field(default_factory=list)
    """Of each token, as the model gave it."""

    @property
    def confidence(self) -> float:
        """The mean probability of the answer's tokens, 0 to 1."""
        return sum(self.probabilities) / len(self.probabilities) if self.probabilities else 0.0


def ready(model: VideoModel, context: Context) -> tuple[Any, int]:
    """Return a context as a plain cache, and how many tokens it holds."""
    if isinstance(context, TokenContext):
        return token_cache(model, context)
    assert isinstance(context, CacheContext)
    return context.cache, context.tokens


def ask(
    model: VideoModel,
    memory: Memory[Any],
    question: str,
    snapshot: Any,
    *,
    bare: str = "",
    most_tokens: int = 64,
) -> Iterator[Reply]:
    """Answer a question from a snapshot, piece by piece; the last reply is whole. Any thread.

    `bare`: what frames are sought by, when the question comes with instructions. Closing the iterator stops
    the model within one token. Raises EngineError when the model fails.
    """
    context = memory.context(model.query(bare or question), snapshot)
    yield from replies(model, context, question, most_tokens)


def replies(model: VideoModel, context: Context, question: str, most_tokens: int) -> Iterator[Reply]:
    """Answer from a context that is there already; as `ask` does."""
    yield from _pieces(model, Reply(context), model.prompt_ids(question), most_tokens)


def is_empty(context: Context) -> bool:
    """Tell whether a context holds nothing that was seen."""
    if isinstance(context, TokenContext):
        return not context.times_ns
    return not context.picks


def answer_ids(
    model: VideoModel, context: Context, prompt: Sequence[int], most_tokens: int
) -> tuple[int, ...]:
    """Return the ids that the model answers with, the end mark left out. For tests and benchmarks."""
    cache, tokens = ready(model, context)
    ids = _generate(model, cache, tokens, prompt, most_tokens)[0, len(prompt) :].tolist()
    ends = _ends(model)
    return tuple(one for one in ids if one not in ends)


def _pieces(model: VideoModel, reply: Reply, prompt: Sequence[int], most_tokens: int) -> Iterator[Reply]:
    from transformers import TextIteratorStreamer

    cache, tokens = ready(model, reply.context)
    streamer = TextIteratorStreamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True)
    stop = threading.Event()
    failed: list[Exception] = []

    def work() -> None:
        try:
            _generate(model, cache, tokens, prompt, most_tokens, streamer, stop, reply.probabilities)
        except Exception as error:  # handed on below, to the thread that asked
            failed.append(error)
            streamer.end()

    thread = threading.Thread(target=work, name="answer", daemon=True)
    thread.start()
    try:
        for piece in streamer:
            if piece:
                reply.text += piece
                yield reply
    finally:
        stop.set()
        thread.join()
    if failed:
        raise EngineError(f"The model failed while answering: {failed[0]}") from failed[0]
    yield reply


def _generate(
    model: VideoModel,
    cache: Any,
    tokens: int,
    prompt: Sequence[int],
    most_tokens: int,
    streamer: Any = None,
    stop: threading.Event | None = None,
    probabilities: list[float] | None = None,
) -> torch.Tensor:
    from transformers import GenerationConfig

    ends = _ends(model)
    config = GenerationConfig(
        max_new_tokens=most_tokens,
        do_sample=False,
        eos_token_id=sorted(ends) or None,
        pad_token_id=min(ends, default=0),
    )

    def note(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if probabilities is not None:
            probabilities.append(float(scores.float().softmax(dim=-1).max()))
        return scores

    def stopped(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        halt = stop is not None and stop.is_set()
        return torch.full((ids.shape[0],), halt, dtype=torch.bool, device=ids.device)

    with torch.no_grad():
        out: torch.Tensor = model.model.generate(
            input_ids=torch.tensor([prompt], device=model.device),
            attention_mask=torch.ones(1, tokens + len(prompt), dtype=torch.int64, device=model.device),
            past_key_values=cache,
            generation_config=config,
            logits_processor=[note],
            stopping_criteria=[stopped],
            streamer=streamer,
        )
    return out


def _ends(model: VideoModel) -> set[int]:
    """Return the ids that end an answer."""
    found: set[int] = set()
    for ids in (getattr(model.model.generation_config, "eos_token_id", None), model.tokenizer.eos_token_id):
        if ids is not None:
            found |= set(ids) if isinstance(ids, (list, tuple)) else {int(ids)}
    return found
