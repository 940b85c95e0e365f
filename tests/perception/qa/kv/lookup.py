"""A transformer that looks things up, built by hand in the stock class: exact, analytic, untrained.

A frame is one token, [tag | value | - | -]; a question is one token, [- | - | tag | -]. Queries read the
question's tag and keys the frame's, each from dimensions of its own, else a question would attend to itself.
Both lie on dimensions that the rotary embedding turns too slowly to matter. Values are copied out, the words'
matrix reads them. What it answers is right exactly when the frame with the question's tag was brought back.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from perception.qa.kv.families.llava_onevision import LlavaOneVision
from perception.qa.kv.families.tiny import word_tokenizer

TAG, VALUES, HEAD = 64, 32, 128
WIDTH = 2 * TAG + 2 * VALUES
SHARP = 60.0
"""Scale of queries: how much better the right frame fits than the others."""


class Lookup(LlavaOneVision):
    """Take questions that are a word each, and nothing around frames."""

    fallback = "{picture}{question}"

    def tail(self) -> torch.Tensor:
        return torch.empty(0, self.width)


def lookup(tags_NT: torch.Tensor, layers: int = 1) -> Lookup:
    """Build the model for N tags of length 1; the word "tagI" asks for tag I, "valueJ" is an answer."""
    words = [f"tag{i}" for i in range(len(tags_NT))] + [f"value{j}" for j in range(VALUES)]
    tokenizer = word_tokenizer(tuple(words))
    model = LlavaOnevisionForConditionalGeneration(_config(len(tokenizer), layers)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        _fill(model, tokenizer, tags_NT)
    return Lookup(model, tokenizer, None)


def frame(tag_T: torch.Tensor, value: int) -> torch.Tensor:
    """Return a frame's token, (1, C)."""
    token = torch.zeros(1, WIDTH)
    token[0, :TAG] = tag_T
    token[0, TAG + value] = 1.0
    return token


def _fill(model: Any, tokenizer: Any, tags_NT: torch.Tensor) -> None:
    slow = torch.cat((torch.arange(HEAD // 4, HEAD // 2), torch.arange(3 * HEAD // 4, HEAD)))
    first = tokenizer.convert_tokens_to_ids("tag0")
    begin, out = TAG + VALUES, 2 * TAG + VALUES
    text = model.model.language_model
    text.embed_tokens.weight[first : first + len(tags_NT), begin : begin + TAG] = tags_NT
    for layer in text.layers:
        attention = layer.self_attn
        attention.q_proj.weight[slow, torch.arange(begin, begin + TAG)] = SHARP
        attention.k_proj.weight[slow, torch.arange(TAG)] = 1.0
        attention.v_proj.weight[torch.arange(VALUES), torch.arange(TAG, TAG + VALUES)] = 1.0
        attention.o_proj.weight[torch.arange(out, out + VALUES), torch.arange(VALUES)] = 1.0
    answers = tokenizer.convert_tokens_to_ids("value0")
    model.lm_head.weight[torch.arange(answers, answers + VALUES), torch.arange(out, out + VALUES)] = 1.0


def _config(words: int, layers: int) -> LlavaOnevisionConfig:
    eyes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}
    return LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", "image_size": 16, "patch_size": 8, **eyes},
        text_config={
            "model_type": "qwen2",
            "hidden_size": WIDTH,
            "intermediate_size": 8,
            "num_hidden_layers": layers,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "head_dim": HEAD,
            "vocab_size": words,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e12},
            "tie_word_embeddings": False,
            "bos_token_id": None,
            "eos_token_id": 3,
        },
        image_token_id=5,
        video_token_id=6,
    )
