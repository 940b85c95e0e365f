"""Windows tell the truth, matching rewards what it should, correlation is heard, and the card owns up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.weights import from_folder
from pipelines.models.checksums import differing
from training.flow.begin import begin
from training.flow.card import verdict
from training.flow.export import write
from training.flow.match import match_loss
from training.flow.samples import FRAMES, draw
from training.flow.train import PLAN


def test_windows_taken_back_along_their_flow_are_the_ones_before() -> None:
    """Shaken, mirrored, repeated and lit otherwise: what does not leave the picture comes home."""
    moved = 0
    for seed in range(4):
        windows = draw((7, seed), False, seed % 2 == 0)
        frames = windows.frames_BT3HW.permute(0, 1, 3, 4, 2).numpy()
        flows = windows.flow_BS2HW.permute(0, 1, 3, 4, 2).numpy()
        height, width = flows.shape[2:4]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        for shown, flow in zip(frames, flows, strict=True):
            for t in range(FRAMES - 1):
                to_x, to_y = x + flow[t, ..., 0], y + flow[t, ..., 1]
                inside = (to_x > 0) & (to_y > 0) & (to_x < width - 1) & (to_y < height - 1)
                back = cv2.remap(shown[t + 1], to_x, to_y, cv2.INTER_LINEAR)
                changes = ((one - shown[t])[inside] for one in (back, shown[t + 1]))
                # Another light adds about the same everywhere.
                off, still = (np.median(np.abs(one - np.median(one, 0)).mean(-1)) for one in changes)
                assert off < 8, (seed, t)
                if still > 12:
                    moved += 1
                    assert off < 0.5 * still, (seed, t)
    assert moved >= 3
    again = draw((7, 3), False, False)
    assert torch.equal(again.frames_BT3HW, windows.frames_BT3HW)
    assert torch.equal(again.flow_BS2HW, windows.flow_BS2HW)


def test_matching_rewards_cells_that_find_their_place() -> None:
    """Each cell has a direction of its own; the second map is the first, one cell further to the right."""
    torch.manual_seed(0)
    first = torch.nn.functional.normalize(torch.randn(1, 64, 6, 8), dim=1) * 12
    maps = torch.stack([first, first.roll(1, -1)], 1)
    right, wrong = torch.zeros(1, 1, 2, 48, 64), torch.zeros(1, 1, 2, 48, 64)
    right[:, :, 0], wrong[:, :, 0] = 8.0, -16.0
    assert match_loss(maps, right).right > 0.95
    assert match_loss(maps, wrong).right < 0.2
    assert match_loss(maps, right).total < 0.5 * match_loss(maps, wrong).total


def test_at_first_correlation_is_heard_and_the_flow_is_nothing() -> None:
    torch.manual_seed(0)
    frames = torch.rand(1, 2, 3, 128, 128) * 255
    model = StreamFlow(PLANS["tiny"], 2)
    shares = []
    for _ in range(2):
        with torch.no_grad():
            seen, state = model._see(frames)
            flow = torch.zeros_like(seen.places)
            deaf = seen._replace(volumes=[torch.full_like(one, float(one.mean())) for one in seen.volumes])
            loud, quiet = (model._round(one, state, flow)[0] for one in (seen, deaf))
            shares.append(float((loud - quiet).norm() / loud.norm()))
        begin(model, frames)
    assert shares[0] < 0.1 < shares[1]
    with torch.no_grad():
        assert float(model(frames, 2).pixels_BS2HW.abs().max()) == 0


def test_what_is_exported_is_what_was_trained_to_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = StreamFlow(PLANS[PLAN], FRAMES).eval()
    write(model, 7, 60.0, tmp_path)
    read, config = from_folder(tmp_path)
    assert config["training"] == {"steps": 7, "minutes": 1}
    assert differing(tmp_path, deep=True) == []
    for one, other in zip(model.parameters(), read.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_card_says_first_what_the_network_loses() -> None:
    ours = {"visible": 1.0, "occluded": 3.0, "ms": 400.0}
    other = {"visible": 0.25, "occluded": 4.0, "ms": 4.0}
    none = {"visible": 0.9, "occluded": 5.0, "ms": 0.1}
    rows = {"streamflow": ours, "dis-fast": other, "zero": none}
    said = verdict({"camera": rows, "layers": rows, "stereo": rows})
    assert said.startswith("**It is worse than dense inverse search")
    assert "camera, visible (1.00 px against 0.25)" in said.partition("better")[0]
    assert "layers, occluded (3.00 px against 4.00)" in said.partition("better")[2]
    assert "no better than no flow at all at: camera, layers, stereo" in said
    assert said.endswith("It takes 100 times as long.")
