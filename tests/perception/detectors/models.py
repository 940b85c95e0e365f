"""Tiny random detectors of transformers' real classes, saved as real folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SIZE_PX = (64, 96)
"""Height and width of the picture that they are shown."""
NAMES = ("cat", "dog", "cup", "car", "hat")
SHARED: dict[str, Any] = {
    "encoder_hidden_dim": 16, "encoder_ffn_dim": 16, "encoder_attention_heads": 2, "d_model": 16,
    "decoder_in_channels": [16, 16, 16], "decoder_ffn_dim": 16, "decoder_layers": 2,
    "decoder_attention_heads": 2, "num_queries": 12, "hidden_expansion": 0.5,
}  # fmt: skip


@torch.no_grad()
def lively(model: torch.nn.Module) -> None:
    """Make the answer depend on the place in the picture: with the usual weights all of it is alike.

    Layers get a gain of about one, and statistics that fit, as training would give them.
    """
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                torch.nn.init.normal_(module.bias, std=0.1)
    hooks = [m.register_forward_pre_hook(_fit) for m in model.modules() if hasattr(m, "running_var")]
    model.eval()(torch.rand(2, 3, *SIZE_PX))
    for hook in hooks:
        hook.remove()


def _fit(norm: Any, inputs: tuple[torch.Tensor, ...]) -> None:
    norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
    norm.running_var.copy_(inputs[0].var((0, 2, 3)) + 1e-3)


def hgnet() -> Any:
    import transformers

    return transformers.HGNetV2Config(
        stem_channels=[3, 8, 8], stage_in_channels=[8, 8, 16, 16], stage_mid_channels=[4, 4, 8, 8],
        stage_out_channels=[8, 16, 16, 16], stage_num_blocks=[1] * 4, stage_numb_of_layers=[1] * 4,
        embedding_size=8, depths=[1] * 4, hidden_sizes=[8, 16, 16, 16], out_indices=[2, 3, 4],
    )  # fmt: skip


def make(kind: str, folder: Path, **shown: Any) -> Path:
    """Write a detector of about 0.05 M parameters that knows `NAMES`; `shown` changes how it is fed."""
    import transformers

    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {n: k for k, n in enumerate(NAMES)}}
    if kind == "rt_detr_v2":
        backbone = transformers.RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        config: Any = transformers.RTDetrV2Config(
            backbone_config=backbone, encoder_in_channels=[8, 16, 16], **SHARED, **labels
        )
        model: Any = transformers.RTDetrV2ForObjectDetection(config)
    elif kind == "rf_detr":
        backbone = transformers.RfDetrDinov2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16,
            num_windows=2, out_indices=[1, 2],
        )  # fmt: skip
        config = transformers.RfDetrConfig(
            backbone_config=backbone, d_model=16, num_queries=12, group_detr=1, decoder_layers=2,
            decoder_self_attention_heads=2, decoder_cross_attention_heads=2, decoder_ffn_dim=16, **labels,
        )  # fmt: skip
        model = transformers.RfDetrForObjectDetection(config)
    else:
        config_of, model_of = {
            "d_fine": (transformers.DFineConfig, transformers.DFineForObjectDetection),
            "deimv2": (transformers.Deimv2Config, transformers.Deimv2ForObjectDetection),
        }[kind]
        config = config_of(backbone_config=hgnet(), encoder_in_channels=[16, 16, 16], **SHARED, **labels)
        model = model_of(config)
    lively(model)
    model.eval().save_pretrained(str(folder))
    height, width = SIZE_PX
    told = {"size": {"height": height, "width": width}, "do_normalize": kind == "rf_detr", **shown}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder
