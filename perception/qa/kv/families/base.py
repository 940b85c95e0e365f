"""A vision-language model of transformers, as a stream needs it: pictures to tokens, text to ids, one pass.

Nothing here depends on what was seen: weights are shared by any number of streams and questions at once. The
stock model is changed in one place, the name of its attention function (see `perception/qa/kv/attention.py`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from perception.qa.kv import attention
from perception.qa.kv.layout import Layout
from perception.qa.kv.memory import Query
from realtime.core.errors import EngineError

from .template import Template

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Hold what the eyes made of one picture."""

    tokens_TC: torch.Tensor
    """Projected to the language model's width, row after row."""
    deep_DTC: torch.Tensor | None = None
    """What a model adds to the first D layers besides (DeepStack of Qwen3-VL)."""


class VideoModel:
    """Wrap one model. A family says what differs: the class variables, `inputs` and `features`."""

    family: ClassVar[str]
    placeholder: ClassVar[str]
    """What stands for a picture in the family's chat template; it may be written several ways: the first is
    looked for first."""
    before: ClassVar[str] = ""
    """Text before each frame's tokens."""
    after: ClassVar[str] = ""
    fallback: ClassVar[str] = "<|im_start|>user\n{picture}{question}<|im_end|>\n<|im_start|>assistant\n"
    """Template for a tokenizer that brings none."""

    def __init__(self, model: Any, tokenizer: Any, images: Any, *, chat_template: str | None = None) -> None:
        """Take a model in evaluation mode, its tokenizer and its PIL image processor.

        Raises EngineError for a model whose keys cannot be kept un-rotated, or that sees only a window.
        """
        self.model, self.tokenizer, self.images = model.eval(), tokenizer, images
        self.text: Any = (
            model.model.language_model if hasattr(model.model, "language_model") else model.model.text_model
        )
        config = self.text.config
        if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
            message = f"Some layers of {type(model).__name__} see no further than a window."
            raise EngineError(message, hint="Take a model with full attention.", permanent=True)
        self.layers: int = config.num_hidden_layers
        self.kv_heads: int = config.num_key_value_heads
        self.query_heads: int = config.num_attention_heads
        self.head_dim: int = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        self.width: int = config.hidden_size
        self.rotary = attention.Rotary(self.text)
        self.template = Template.of(tokenizer, chat_template, self.placeholder, self.fallback)
        attention.register()
        self.text.config._attn_implementation = attention.NAME
        self._ready()

    def _ready(self) -> None:
        """Do what a family needs to do once."""

    @property
    def device(self) -> torch.device:
        return self.text.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.text.embed_tokens.weight.dtype

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Rows and columns of a frame's tokens."""
        raise NotImplementedError

    def inputs(self, pixels_HW3: Pixels) -> dict[str, torch.Tensor]:
        """Return one picture as the stock model's forward takes it, by the names that it has there."""
        raise NotImplementedError

    def features(self, pixels_HW3: Pixels) -> Features:
        """Run the eyes on one picture."""
        raise NotImplementedError

    def tail(self) -> torch.Tensor:
        """Return what closes the frames before the question, (N, C)."""
        return torch.empty(0, self.width, dtype=self.dtype, device=self.device)

    @functools.cached_property
    def layout(self) -> Layout:
        """Say where tokens of sink, frames and text lie."""
        rows, columns = self.grid_hw
        before, after = (len(ids) for ids in self.around_ids)
        if self.rotary.axes == 1:
            tokens = before + rows * columns + after
            return Layout(len(self.sink_ids), torch.arange(tokens, device=self.device)[None], tokens)
        picture_3T = torch.stack(
            (
                torch.zeros(rows, columns, dtype=torch.int64),
                torch.arange(rows)[:, None].expand(-1, columns),
                torch.arange(columns).expand(rows, -1),
            )
        ).flatten(1)
        end = before + max(rows, columns)
        offsets_3T = torch.cat(
            (
                torch.arange(before).expand(3, -1),
                picture_3T + before,
                torch.arange(end, end + after).expand(3, -1),
            ),
            dim=1,
        )
        return Layout(len(self.sink_ids), offsets_3T.to(self.device), end + after)

    @functools.cached_property
    def sink_ids(self) -> tuple[int, ...]:
        """Ids of what stands before the first frame."""
        return self._ids(self.template.before)

    def prompt_ids(self, question: str) -> tuple[int, ...]:
        """Return the ids of what follows the last frame, up to where the answer begins."""
        return self._ids(self.template.after(question))

    def query(self, text: str) -> Query:
        """Return a bare question as the model reads it."""
        ids = self._ids(text) or self._ids("?") or (0,)
        return Query(text, ids, self.embed(ids))

    def embed(self, ids: tuple[int, ...]) -> torch.Tensor:
        """Return the embeddings (N, C) of ids."""
        with torch.no_grad():
            return self.text.embed_tokens(torch.tensor(ids, dtype=torch.int64, device=self.device))

    @functools.cached_property
    def around_ids(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids of what stands before and after each frame's tokens."""
        return self._ids(self.before), self._ids(self.after)

    @functools.cached_property
    def _around(self) -> tuple[torch.Tensor, torch.Tensor]:
        before, after = self.around_ids
        return self.embed(before), self.embed(after)

    def block(self, tokens_TC: torch.Tensor) -> torch.Tensor:
        """Return a frame's tokens with what stands around them, (layout.tokens, C)."""
        before, after = self._around
        return torch.cat((before, tokens_TC.to(self.device, self.dtype), after))

    @torch.no_grad()
    def run(
        self,
        embeddings_NC: torch.Tensor,
        cache: Any,
        *,
        positions_AN: torch.Tensor | None = None,
        deep_DTC: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Run the language model over N tokens and return its last states (N, C).

        Without positions the pass is one of ours: `cache` is a `StreamCache`. With them it is a stock one.
        `deep_DTC` goes with the tokens of one frame, `before` and `after` left out.
        """
        count = embeddings_NC.shape[0]
        kwargs: dict[str, Any] = {}
        if positions_AN is None:
            zeros = torch.zeros(1, count, dtype=torch.int64, device=self.device)
            positions = zeros if self.rotary.axes == 1 else zeros.expand(3, 1, count)
            kwargs = {"stream": cache, "attention_mask": attention.NO_MASK}
        else:
            positions = positions_AN if self.rotary.axes == 1 else positions_AN[:, None]
        if deep_DTC is not None:
            begin = self._around[0].shape[0]
            seen = torch.zeros(1, count, dtype=torch.bool, device=self.device)
            seen[:, begin : begin + deep_DTC.shape[1]] = True
            kwargs |= {"visual_pos_masks": seen, "deepstack_visual_embeds": list(deep_DTC)}
        out = self.text(
            inputs_embeds=embeddings_NC[None],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **kwargs,
        )
        return out.last_hidden_state[0]

    def logits(self, states_NC: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, words) of states."""
        with torch.no_grad():
            return self.model.lm_head(states_NC)

    def _ids(self, text: str) -> tuple[int, ...]:
        if not text:
            return ()
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
