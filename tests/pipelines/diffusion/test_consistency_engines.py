"""Memory, cross-frame attention, reuse and feedback through a whole stage, on OpenVINO as on torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pipelines.diffusion.stages import Stages, different, noisy_still, painted

WAYS = {
    "memory and cross-frame": ({"memory": 1.0, "memory_interval": 1, "cross_frame": 0.5}, different(4)),
    "reuse and feedback": ({"reuse_interval": 2, "feedback": 0.8}, noisy_still(4)),
}


@pytest.mark.nightly
@pytest.mark.parametrize("name", WAYS)
def test_the_stage_paints_the_same_on_both(folder_of: Callable[..., Path], name: str) -> None:
    wish, clip = WAYS[name]
    out = {}
    for engine in ("torch", "openvino"):
        house = Stages(folder_of("sd"), steps=2, strength=0.8, engine=engine)
        out[engine] = painted(house.open(**wish), clip)
        out[f"{engine} off"] = painted(house.open(), clip)

    def mean_off(one: str, other: str) -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in zip(out[one], out[other], strict=True)]))

    assert mean_off("torch", "openvino") < 0.2
    assert mean_off("openvino", "openvino off") > 1.0
