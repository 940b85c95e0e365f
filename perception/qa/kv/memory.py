"""What remembers a stream for a language model, and what it gives back for a question.

There are two kinds. A memory of *tokens* keeps projected visual embeddings (Flash-VStream, VideoStreaming)
and gives some of them back; they are prefilled together with the question by the plain model. A memory of
*keys and values* (ReKV) has run each frame through the model already and gives back a cache, so that nothing
of the stream is run again. Whoever answers handles both: see `perception/qa/kv/ask.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

S = TypeVar("S")
"""What a memory's snapshot is: its own business, but nothing that comes later changes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Hold a question as a model reads it: the bare text, without template or options."""

    text: str
    ids: tuple[int, ...]
    embeddings_NC: torch.Tensor
    """The ids through the model's table of words, in the model's type and on its device."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Name a moment that a context rests on."""

    at_ns: int
    """When the frame was captured; for a summary of several, the middle of their time."""
    score: float
    """How much it had to do with the question, 0 to 1 within one context; 1 for what is there in any case."""
    number: int | None = None
    """Number of the frame's block, where there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenContext:
    """Give what is remembered as embeddings, to be prefilled with the question."""

    embeddings_NC: torch.Tensor
    """Projected visual embeddings in the order in which the model shall read them; N may be 0."""
    times_ns: tuple[int, ...]
    """When each of the N was seen."""
    picks: tuple[Pick, ...] = ()
    """What of this a person may be shown, in the order of time."""
    positions_N: torch.Tensor | None = None
    """Where each lies for the model's rotary embedding, int64, beginning at 0 and not falling; None: one
    after the other. Equal on all axes of a model that has three."""


@dataclass(frozen=True, slots=True, eq=False)
class CacheContext:
    """Give what is remembered as keys and values that the model goes on from."""

    cache: Any
    """A plain `DynamicCache`, rotated, of `tokens` tokens; the next token's position is `tokens`. It belongs
    to the one who asked: generating makes it longer."""
    tokens: int
    picks: tuple[Pick, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What a benchmark may want to know: which blocks each layer took, and how long that lasted."""


Context = TokenContext | CacheContext


class Memory(Protocol, Generic[S]):
    """Remember frames as a language model takes them.

    `push` and `forget` are called by one thread; `snapshot` and `context` by any, several at once, also while
    frames are pushed. All numbers that bound it (tokens, blocks, bytes) are its constructor's business.
    """

    def push(self, features_TC: torch.Tensor, at_ns: int) -> None:
        """Take in one frame's projected visual embeddings, row after row of its grid.

        T and C are the same for all frames of a stream; `VideoModel.grid_hw` tells rows and columns. Times
        grow.
        """

    def snapshot(self) -> S:
        """Return what is remembered now, in under a millisecond."""

    def context(self, query: Query, memory: S) -> Context:
        """Return what the model shall know of the stream to answer. Costs no more for a longer stream.

        An empty memory gives a context without frames, not an error.
        """

    def forget(self, begin_ns: int, end_ns: int) -> int:
        """Delete what was seen from `begin_ns` up to `end_ns`; return how many frames or summaries went.

        A summary that mixes frames goes when any of them lies in that time. Snapshots taken before give no
        context with it any more.
        """

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
