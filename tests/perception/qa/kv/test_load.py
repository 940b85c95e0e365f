"""Models from folders: each family comes back as it was written; what is missing or broken is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from perception.qa.kv.engine import VideoModelEngine
from perception.qa.kv.families.base import VideoModel
from perception.qa.kv.families.load import load
from realtime.core.errors import EngineUnavailable, ModelCorrupt, ModelError, ModelMissing

from .conftest import pictures


def _written(model: VideoModel, folder: Path) -> Path:
    for part in (model.model, model.tokenizer, model.images):
        part.save_pretrained(folder)
    return folder


def test_a_folder_comes_back_as_the_model_that_it_was(some: VideoModel, tmp_path: Path) -> None:
    model = some
    folder = _written(model, tmp_path)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    back, source = load(str(folder), device="cpu")
    (shown,) = pictures(1)
    assert back.family == model.family
    assert torch.equal(back.embed(back.sink_ids), model.embed(model.sink_ids))
    if back.grid_hw == model.grid_hw:
        assert torch.equal(back.features(shown).tokens_TC, model.features(shown).tokens_TC)
    else:  # the tiny models of Qwen's look at smaller frames than real ones
        assert back.features(shown).tokens_TC.shape == (back.grid_hw[0] * back.grid_hw[1], back.width)
    assert source.licence == "apache-2.0"
    assert back.prompt_ids("what ?") == model.prompt_ids("what ?")


def test_a_chat_template_says_what_stands_around_frames_and_question(
    llava: VideoModel, tmp_path: Path
) -> None:
    folder = _written(llava, tmp_path)
    template = (
        "{% for m in messages %}<|im_start|> {{ m.role }} {% for part in m.content %}"
        "{% if part.type == 'image' %}<image>{% else %} {{ part.text }}{% endif %}{% endfor %}<|im_end|>"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|> is{% endif %}"
    )
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    back, _ = load(str(folder), device="cpu")
    words = back.tokenizer.convert_ids_to_tokens
    assert words(back.sink_ids) == ["<|im_start|>", "user"]
    assert words(back.prompt_ids("what cup")) == ["what", "cup", "<|im_end|>", "<|im_start|>", "is"]


def test_what_cannot_be_loaded_is_said_with_what_to_do(llava: VideoModel, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="hf download llava-hf/nowhere"):
        VideoModelEngine.load("llava-hf/nowhere")
    with pytest.raises(ModelMissing, match="no folder"):
        load(str(tmp_path / "none"))
    with pytest.raises(ModelMissing, match="config"):
        load(str(tmp_path))
    folder = _written(llava, tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(EngineUnavailable, match="no CUDA"):
            load(str(folder), device="cuda")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if name.endswith("q_proj.weight"))
    save_file(
        {name: tensor for name, tensor in weights.items() if name != gone}, folder / "model.safetensors"
    )
    with pytest.raises(ModelCorrupt, match="lacks 1 of"):
        load(str(folder), device="cpu")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelCorrupt, match="cannot be loaded"):
        load(str(folder), device="cpu")
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r'family "bert".*llava_onevision'):
        load(str(folder), device="cpu")
