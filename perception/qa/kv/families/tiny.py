"""Tiny random models of the real classes, for tests and for measuring the machinery without weights.

Queries and keys are scaled up: with weights as small as a fresh model's, attention is nearly even over all
tokens, and a test would pass whatever the model attended to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from .base import VideoModel
from .internvl import InternVl
from .llava_onevision import LlavaOneVision
from .qwen import Qwen3Vl, Qwen25Vl
from .smolvlm import SmolVlm

SCALE = 6.0
WORDS = tuple(
    re.findall(r"\S+", "what where when is the a cup red blue green left right none circle ? . user")
)
MARKS = (
    "<pad>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "<end_of_utterance>",
    "<image>",
    "<video>",
    "<fake_token_around_image>",
    "<global-img>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
)


def tiny(family: str, *, seed: int = 0, layers: int = 3, dtype: torch.dtype = torch.float32) -> VideoModel:
    """Return a tiny model of a family, with a tokenizer of words and the family's own image processor."""
    torch.manual_seed(seed)
    tokenizer = word_tokenizer()
    model, images, kind = _MAKERS[family](tokenizer, layers)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "language_model" in name or "text_model" in name:
                if "q_proj.weight" in name or "k_proj.weight" in name:
                    weight.mul_(SCALE)
                elif name.endswith("bias"):
                    weight.normal_(std=0.1)
        model.lm_head.weight[tokenizer.eos_token_id] = 0.0  # answers go on until they are stopped
    return kind(model.to(dtype), tokenizer, images)


def word_tokenizer(words: tuple[str, ...] = ()) -> Any:
    """Return a tokenizer that splits at spaces and marks, with an id for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((*MARKS, *WORDS, *words))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=list(MARKS[2:]),
    )


def _text(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "bos_token_id": None,
        "eos_token_id": 3,
        "max_position_embeddings": 65536,
        "tie_word_embeddings": False,
    } | more


_SIGLIP = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "image_size": 32,
    "patch_size": 8,
}


def _llava(tokenizer: Any, layers: int) -> tuple[Any, Any, type[VideoModel]]:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **_SIGLIP},
        text_config={"model_type": "qwen2", "num_hidden_layers": layers, **_text()},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[32, 32]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return LlavaOnevisionForConditionalGeneration(config), LlavaOnevisionImageProcessorPil(), LlavaOneVision


def _smolvlm(tokenizer: Any, layers: int) -> tuple[Any, Any, type[VideoModel]]:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    config = SmolVLMConfig(
        vision_config={"model_type": "smolvlm_vision", **_SIGLIP},
        text_config={"model_type": "llama", "num_hidden_layers": layers, **_text(pad_token_id=0)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return SmolVLMForConditionalGeneration(config), SmolVLMImageProcessorPil(), SmolVlm


def _qwen25(tokenizer: Any, layers: int) -> tuple[Any, Any, type[VideoModel]]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 64,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={"num_hidden_layers": layers, "rope_parameters": rope, **_text()},
        **_qwen_marks(tokenizer),
    )
    return Qwen2_5_VLForConditionalGeneration(config), Qwen2VLImageProcessorPil(), _TinyQwen25


def _qwen3(tokenizer: Any, layers: int) -> tuple[Any, Any, type[VideoModel]]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [4, 2, 2],
        "mrope_interleaved": True,
    }
    config = Qwen3VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        text_config={"num_hidden_layers": layers, "rope_parameters": rope, "head_dim": 16, **_text()},
        **_qwen_marks(tokenizer),
    )
    images = Qwen2VLImageProcessorPil(patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return Qwen3VLForConditionalGeneration(config), images, _TinyQwen3


def _internvl(tokenizer: Any, layers: int) -> tuple[Any, Any, type[VideoModel]]:
    from transformers import InternVLConfig, InternVLForConditionalGeneration
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    vision = _SIGLIP | {"image_size": [32, 32], "patch_size": [8, 8]}
    config = InternVLConfig(
        vision_config={"model_type": "internvl_vision", **vision},
        text_config={"model_type": "qwen2", "num_hidden_layers": layers, **_text()},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    return InternVLForConditionalGeneration(config), GotOcr2ImageProcessorPil(), InternVl


def _qwen_marks(tokenizer: Any) -> dict[str, Any]:
    marks = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {"tie_word_embeddings": False} | {
        name: tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()
    }


class _TinyQwen25(Qwen25Vl):
    frame_px = 56


class _TinyQwen3(Qwen3Vl):
    frame_px = 64


_MAKERS: dict[str, Callable[[Any, int], tuple[Any, Any, type[VideoModel]]]] = {
    "llava_onevision": _llava,
    "smolvlm": _smolvlm,
    "qwen2_5_vl": _qwen25,
    "qwen3_vl": _qwen3,
    "internvl": _internvl,
}
FAMILIES = tuple(_MAKERS)
