"""The watcher: stock LLaVA-OneVision, made small; a frame is nine tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .words import END, IMAGE, NUMBER_OF, PAD, VIDEO, VOCABULARY, tokenizer
from .world import SIDE

if TYPE_CHECKING:
    from transformers import LlavaOnevisionForConditionalGeneration

PATCH = 8
TOKENS = (SIDE // PATCH // 2) ** 2
"""Of a frame: four patches are averaged, as the class does for videos."""
THETA = 10_000.0
LAYERS = (-1, 0)
"""Of the eyes, what goes on side by side: what was seen at last, and what came in, which still tells where it was."""


@dataclass(frozen=True, slots=True)
class Size:
    """Say how large the parts are."""

    eye: int = 160
    eye_layers: int = 4
    eye_heads: int = 4
    mind: int = 192
    mind_layers: int = 6
    heads: int = 6
    key_heads: int = 3
    wide: int = 3
    """Width of what lies between two layers, times that of the layers."""


TINY = Size(eye=32, eye_layers=1, eye_heads=2, mind=32, mind_layers=2, heads=2, key_heads=1)
"""For tests."""


def make(size: Size | None = None, seed: int = 0) -> LlavaOnevisionForConditionalGeneration:
    """Return the untrained model, in full precision."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        Qwen2Config,
        SiglipVisionConfig,
    )

    size = size or Size()
    eye = SiglipVisionConfig(
        hidden_size=size.eye, intermediate_size=size.eye * size.wide, num_hidden_layers=size.eye_layers,
        num_attention_heads=size.eye_heads, image_size=SIDE, patch_size=PATCH, vision_use_head=False,
    )  # fmt: skip
    mind = Qwen2Config(
        vocab_size=len(VOCABULARY), hidden_size=size.mind, intermediate_size=size.mind * size.wide,
        num_hidden_layers=size.mind_layers, num_attention_heads=size.heads, num_key_value_heads=size.key_heads,
        max_position_embeddings=1 << 17, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=NUMBER_OF[END], pad_token_id=NUMBER_OF[PAD],
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=eye.to_dict(), text_config=mind.to_dict(), image_token_index=NUMBER_OF[IMAGE],
        video_token_index=NUMBER_OF[VIDEO], image_grid_pinpoints=[[SIDE, SIDE]], tie_word_embeddings=False,
        vision_feature_layer=list(LAYERS),
    )  # fmt: skip
    torch.manual_seed(seed)
    model = LlavaOnevisionForConditionalGeneration(config)
    model.generation_config.eos_token_id = NUMBER_OF[END]
    model.generation_config.pad_token_id = NUMBER_OF[PAD]
    return model


def pixels(frames_3HW: torch.Tensor) -> torch.Tensor:
    """Return frames from 0 to 255, (..., 3, H, W), as the model takes them: from -1 to 1."""
    return frames_3HW / 127.5 - 1


def frame_embeds(model: LlavaOnevisionForConditionalGeneration, frames_BT3HW: torch.Tensor) -> torch.Tensor:
    """Return the tokens of frames, (B, T, TOKENS, D), as `get_video_features` gives them, without its newline.

    What that interpolates is the mean of two by two patches; told so, a GPU takes a tenth of the time.
    """
    inner, side = model.model, SIDE // PATCH
    layers = inner.vision_tower(pixels(frames_BT3HW.flatten(0, 1)), output_hidden_states=True).hidden_states
    states = torch.cat([layers[number] for number in model.config.vision_feature_layer], -1)
    every = inner.multi_modal_projector(states).unflatten(1, (side // 2, 2, side // 2, 2)).mean((2, 4))
    return every.flatten(1, 2).unflatten(0, frames_BT3HW.shape[:2])


def save(model: LlavaOnevisionForConditionalGeneration, folder: Path) -> None:
    """Write what `from_pretrained` and the image processor's loader read; matrices in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    half = make_half(model)
    half.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    processor = {
        "image_processor_type": "LlavaOnevisionImageProcessorPil",
        "size": {"height": SIDE, "width": SIDE}, "image_grid_pinpoints": [[SIDE, SIDE]],
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255,
        "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "do_pad": True, "resample": 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n", encoding="utf-8")
    config = folder / "config.json"  # read in full precision, by who does not say otherwise
    config.write_text(config.read_text(encoding="utf-8").replace('"float16"', '"float32"'), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)


def make_half(model: LlavaOnevisionForConditionalGeneration) -> LlavaOnevisionForConditionalGeneration:
    """Return a copy in half precision."""
    import copy

    return copy.deepcopy(model).half()
