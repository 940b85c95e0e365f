"""The whole network and its outer part are one: the deep feature of the first completes the second."""

from __future__ import annotations

import pytest
import torch

from pipelines.diffusion.nets.reuse import Outer, Whole, deepest, width
from pipelines.engines import networks

from .unets import BACK_ENDS, extended, inputs, plainly, unet

CASES = [("sd", 1), ("painter", 1), *(pytest.param("three", k, marks=pytest.mark.nightly) for k in (1, 2))]


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
@pytest.mark.parametrize(("kind", "depth"), CASES)
def test_the_outer_part_completes_what_the_whole_gave_out(kind: str, depth: int, back_end: str) -> None:
    net = unet(kind)
    named = inputs(net, 2)
    whole = extended(net, [Whole(net, depth)], back_end, named)
    assert (whole["out"] - plainly(net, named)).abs().max() < 1e-4
    deep = whole["deep"]
    side = 8 >> (depth - 1)
    assert deep.shape == (2, width(net, depth), side, side)
    outer = extended(net, [Outer(net, depth)], back_end, named | {"deep": deep})["out"]
    assert (outer - whole["out"]).abs().max() < 1e-4
    other = extended(net, [Outer(net, depth)], back_end, named | {"deep": deep.flip(0)})["out"]
    assert (other - whole["out"]).abs().max() > 0.05


def test_the_outer_part_has_the_wholes_weights_and_fewer_of_them() -> None:
    net = unet("three")
    outer = networks.unet_network(net, "", [Outer(net, 1)]).module
    own = {id(p) for p in net.parameters()}
    assert all(id(p) in own for p in outer.parameters())
    count = sum(p.numel() for p in outer.unet.parameters())
    assert count < 0.6 * sum(p.numel() for p in net.parameters())
    assert len(net.up_blocks) == len(net.down_blocks) == 3
    assert net.mid_block is not None


def test_it_knows_how_deep_a_network_is() -> None:
    assert deepest(unet("three")) == 2
    assert deepest(unet("painter")) == 1


def test_the_outer_part_sees_the_newest_latent() -> None:
    net = unet("sd")
    named = inputs(net, 1)
    deep = extended(net, [Whole(net, 1)], "torch", named)["deep"]
    named["latent"] = torch.flip(named["latent"], (3,))
    outer = extended(net, [Outer(net, 1)], "torch", named | {"deep": deep})["out"]
    far = (outer - plainly(net, named)).abs().mean()
    assert 0.01 < far < plainly(net, named).abs().mean()
