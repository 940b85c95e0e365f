"""Checkpoints: what loads, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.weights import from_checkpoint, from_folder, to_folder
from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing


def saved(path: Path, model: StreamFlow, prefix: str = "module.") -> dict[str, torch.Tensor]:
    state = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"model": state, "iteration": 3}, path)
    return state


@pytest.mark.parametrize("frames", [3, 4])
def test_a_published_checkpoint_loads_whole(tmp_path: Path, frames: int) -> None:
    model = StreamFlow(PLANS["large"], frames)
    saved(tmp_path / "it.pth", model)
    found = from_checkpoint(tmp_path / "it.pth")
    assert found.frames == frames
    assert not found.training
    for name, value in found.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.pth"
    with pytest.raises(ModelMissing, match="There is no file"):
        from_checkpoint(path)
    path.write_bytes(b"no")
    with pytest.raises(ModelError, match="no checkpoint that can be read"):
        from_checkpoint(path)
    torch.save({"weights": {}}, path)
    with pytest.raises(ModelError, match='holds no "model"'):
        from_checkpoint(path)
    torch.save({"model": {"module.fnet": torch.zeros(1)}}, path)
    with pytest.raises(ModelError, match="no usable"):
        from_checkpoint(path)
    saved(path, StreamFlow(PLANS["tiny"]), prefix="")
    with pytest.raises(ModelError, match=r'does not begin with "module\."'):
        from_checkpoint(path)


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_loading_is_strict(tmp_path: Path, change: str) -> None:
    path = tmp_path / "it.pth"
    state = saved(path, StreamFlow(PLANS["large"]))
    if change == "missing":
        del state["module.fnet.svt.norm.bias"]  # nothing reads it, and yet
    elif change == "more":
        state["module.fnet.svt.head.weight"] = torch.zeros(1)
    else:
        state["module.att.to_qk.weight"] = torch.zeros(256, 64, 1, 1)
    torch.save({"model": state}, path)
    with pytest.raises(ModelError, match=r"it\.pth do not fit the network: .*(norm|head|to_qk|size)"):
        from_checkpoint(path)


def test_a_folder_of_ours_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = StreamFlow(PLANS["tiny"], 3)
    to_folder(model, {"plan": "tiny", "iterations": 6}, tmp_path / "it")
    found, config = from_folder(tmp_path / "it")
    assert config == {"plan": "tiny", "iterations": 6, "frames": 3}
    for name, value in found.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    (tmp_path / "it" / "config.json").write_text('{"plan": "vast", "frames": 3}')
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        from_folder(tmp_path / "it")
    (tmp_path / "it" / "config.json").write_text('{"plan": "small", "frames": 3}')
    with pytest.raises(ModelError, match="do not fit"):
        from_folder(tmp_path / "it")
