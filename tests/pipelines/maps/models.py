"""Tiny random models that see depth and poses, saved as real folders of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import torch


@torch.no_grad()
def lively(model: torch.nn.Module) -> None:
    """Give every layer a gain of about one: with the default weights the answer is flat."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")


def make_depth(folder: Path, kind: str = "depth_anything", **changes: object) -> Path:
    """Write a depth model of about 0.1 M parameters; "glpn" tells metres, the others nearness."""
    import transformers

    torch.manual_seed(0)
    if kind == "depth_anything":
        backbone = transformers.Dinov2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
            out_features=["stage1", "stage2"], reshape_hidden_states=False, apply_layernorm=True,
        )  # fmt: skip
        config = transformers.DepthAnythingConfig(
            backbone_config=backbone, patch_size=14, reassemble_hidden_size=16, reassemble_factors=[2, 1],
            neck_hidden_sizes=[8, 8], fusion_hidden_size=8, head_in_index=-1, head_hidden_size=8, **changes,
        )  # fmt: skip
        model = transformers.DepthAnythingForDepthEstimation(config)
    elif kind == "dpt":
        config = transformers.DPTConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32,
            patch_size=8, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8, is_hybrid=False, **changes,
        )  # fmt: skip
        model = transformers.DPTForDepthEstimation(config)
    else:
        config = transformers.GLPNConfig(
            hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=8, **changes,
        )  # fmt: skip
        model = transformers.GLPNForDepthEstimation(config)
    lively(model)
    model.eval().save_pretrained(str(folder))
    size = {"depth_anything": 28, "dpt": 32, "glpn": 64}[kind]
    shown = {"size": {"height": size, "width": size}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    return folder


def make_pose(folder: Path, joints: int = 17) -> Path:
    """Write a pose model that is shown 64 by 48 pixels."""
    import transformers

    torch.manual_seed(0)
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        out_indices=[1],
    )  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=backbone, num_labels=joints, scale_factor=4, use_simple_decoder=True
    )
    transformers.VitPoseForPoseEstimation(config).eval().save_pretrained(str(folder))
    return folder
