"""An embedder from a folder: pictures and words in one space, from a tiny random model of the real class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from perception.qa.kv.families.tiny import word_tokenizer
from perception.qa.kv.strategies.siglip import ModelEmbedder
from realtime.core.errors import ModelMissing

from .conftest import pictures

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}


def test_a_folder_embeds_pictures_and_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = SiglipConfig(
        text_config={**SMALL, "vocab_size": 64, "max_position_embeddings": 8, "projection_size": 16},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
    )
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 8
    for part in (SiglipModel(config), tokenizer, SiglipImageProcessorPil(size={"height": 32, "width": 32})):
        part.save_pretrained(tmp_path)
    embedder = ModelEmbedder.load(tmp_path)
    one, other = (embedder.picture(pixels) for pixels in pictures(2))
    said = embedder.words("where is the red cup ? " * 5)
    assert one.shape == said.shape == (16,)
    assert [float(vector.norm()) for vector in (one, said)] == pytest.approx([1.0, 1.0], abs=1e-5)
    assert not torch.allclose(one, other, atol=1e-4)
    assert torch.equal(said, embedder.words("where is the red cup ? " * 5))
    with pytest.raises(ModelMissing, match="hf download"):
        ModelEmbedder.load(tmp_path / "none")
