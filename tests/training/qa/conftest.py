"""What tests of the watcher's recipe share."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def louder(model: Any) -> Any:
    """Make attention of a random model sharp enough to matter."""
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                part.weight *= 6
    return model
