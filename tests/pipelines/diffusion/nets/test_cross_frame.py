"""Rows that see each other: plain when masked, any number of rows, never split, the same on each back end."""

from __future__ import annotations

import pytest
import torch

from pipelines.diffusion.nets.bank import Bank, banked
from pipelines.diffusion.nets.cross_frame import Across
from pipelines.diffusion.nets.self_attention import OFF, layers
from pipelines.engines import networks

from .unets import BACK_ENDS, extended, inputs, plainly, unet


def across() -> Across:
    return Across(layers(unet()))


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
def test_masked_it_is_plain_attention(back_end: str) -> None:
    named = inputs(unet(), 3) | {"cross_frame": OFF * (1 - torch.eye(3))}
    seen = extended(unet(), [across()], back_end, named)["out"]
    assert (seen - plainly(unet(), named)).abs().max() < 1e-5


def test_rows_of_others_leave_no_trace() -> None:
    bias = torch.tensor([[0.0, -0.5, OFF], [-0.5, 0.0, OFF], [OFF, OFF, 0.0]])
    named = inputs(unet(), 3) | {"cross_frame": bias}
    before = extended(unet(), [across()], "torch", named)["out"]
    changed = dict(named) | {"latent": named["latent"].clone()}
    changed["latent"][2] = 5.0
    after = extended(unet(), [across()], "torch", changed)["out"]
    assert torch.equal(before[:2], after[:2])
    assert (before[2] - after[2]).abs().max() > 0.1
    changed["latent"] = named["latent"].clone()
    changed["latent"][1] = 5.0
    assert (extended(unet(), [across()], "torch", changed)["out"][0] - before[0]).abs().max() > 0.05


def test_equal_rows_that_see_each_other_are_as_alone() -> None:
    named = {name: value.expand(3, *value.shape[1:]).clone() for name, value in inputs(unet(), 1).items()}
    named["cross_frame"] = torch.zeros(3, 3)
    seen = extended(unet(), [across()], "torch", named)["out"]
    assert (seen - plainly(unet(), named)).abs().max() < 1e-4


def test_openvino_gives_the_numbers_of_torch_for_any_rows_from_one_engine() -> None:
    network = networks.unet_network(unet(), "", [across()])
    assert network.couples_rows
    engines = {name: build(network, precision="fp32", device="cpu") for name, build in BACK_ENDS.items()}
    for rows in (1, 4, 2):
        named = inputs(unet(), rows, seed=rows) | {"cross_frame": -0.3 * (1 - torch.eye(rows))}
        engines["openvino"].warm({name: tuple(value.shape) for name, value in named.items()})
        one, other = (engines[name].run(**named)["out"] for name in ("torch", "openvino"))
        assert (one - other).abs().max() < 1e-3
        if rows > 1:
            assert (one - plainly(unet(), named)).abs().max() > 0.05
    assert engines["openvino"].plans() == ()  # nobody asked whether to split


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
def test_it_goes_with_a_bank(back_end: str) -> None:
    bank = Bank(banked(unet()))
    named = inputs(unet(), 2)
    named |= {spec.name: t for spec, t in zip(bank.inputs, bank.example(2, 8), strict=True)}
    off = {"memory_bias": torch.full((2, 1), OFF), "cross_frame": OFF * (1 - torch.eye(2))}
    on = {"memory_bias": torch.zeros(2, 1), "cross_frame": torch.zeros(2, 2)}
    only_bank = {**on, "cross_frame": off["cross_frame"]}
    seen = [extended(unet(), [bank, across()], back_end, named | way)["out"] for way in (off, on, only_bank)]
    assert (seen[0] - plainly(unet(), named)).abs().max() < 1e-5
    alone = extended(unet(), [bank], back_end, named | {"memory_bias": on["memory_bias"]})["out"]
    assert (seen[2] - alone).abs().max() < 1e-4
    assert (seen[1] - seen[2]).abs().max() > 0.05
