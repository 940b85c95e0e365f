"""Load SANA's control nets: from a folder to what a kit is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.core.errors import ModelError

from .config import PaintConfig
from .features import Additions, Report

if TYPE_CHECKING:
    from .painter import Painter


def sana_additions(models: Sequence[str], painter: Painter, config: PaintConfig, report: Report) -> Additions:
    """Return what the control nets `models` (catalog ids or folders) add to a SANA painter.

    Frames then show them pictures by `extras["sana_control"]`, a list of `nets.sana_control.Hint`. Raises
    ModelError for a net of another kind or size, EngineError when nothing can run it.
    """
    import torch
    from diffusers import SanaControlNetModel

    from pipelines.engines.choose import choose
    from pipelines.models.store import digest, locate

    from .disk import read_network
    from .nets.sana_control import SanaControlInputs, SanaControlRows, sana_control_network, time_of

    nets = {}
    words = painter.book.words("", "").prompt
    side = painter.side(config.size_px)
    draw = torch.Generator().manual_seed(0)
    latent_1CHW, hint_1CHW = torch.randn((2, 1, painter.latents.channels, side, side), generator=draw)
    for model in models:
        folder = Path(locate(model))
        report(f"Reading the control net {folder.name}.")
        net = read_network(SanaControlNetModel, folder)
        wants = (int(net.config.in_channels), int(net.config.caption_channels))
        has = (painter.latents.channels, int(words.context_1TD.shape[-1]))
        if wants != has or "mask" not in words.more:
            raise ModelError(
                f"The control net {folder.name} takes latents of {wants[0]} channels and words of "
                f"{wants[1]}, this model {has[0]} and {has[1]}.",
                hint="Use one that was made for SANA with a SANA model.",
            )
        example = {
            "latent": latent_1CHW,
            "emb": time_of(net, painter.backbone.usual_t),
            "context": words.context_1TD,
            "mask": words.more["mask"],
            "hint": hint_1CHW,
        }
        network = sana_control_network(net, digest(folder))
        engine = choose(
            network, wanted=config.engine, precision=config.precision, example=example, report=report
        )
        nets[model] = (net, engine)
    first = next(iter(nets.values()))[0]
    odd = [
        model
        for model, (net, _) in nets.items()
        if len(net.controlnet_blocks) != len(first.controlnet_blocks)
    ]
    if odd:
        raise ModelError(f"The control nets {models[0]} and {odd[0]} have other numbers of blocks.")
    rows = SanaControlRows(nets, painter.encode, int(words.context_1TD.shape[1]))
    return Additions((SanaControlInputs(first),), (rows,))
