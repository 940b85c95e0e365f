"""The bank as an engine sees it: plain at no strength, the same on each back end, rows apart."""

from __future__ import annotations

import pytest
import torch

from pipelines.diffusion.nets.bank import Bank, banked
from pipelines.diffusion.nets.self_attention import OFF

from .unets import BACK_ENDS, extended, inputs, plainly, unet


def with_bank(
    rows: int, bias: float, side: int = 8, kind: str = "sd"
) -> tuple[Bank, dict[str, torch.Tensor]]:
    bank = Bank(banked(unet(kind)))
    named = inputs(unet(kind), rows, side)
    named |= {spec.name: t for spec, t in zip(bank.inputs, bank.example(rows, side), strict=True)}
    named["memory_bias"] = torch.full((rows, 1), bias)
    return bank, named


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
@pytest.mark.parametrize("kind", ["sd", "three"])
def test_no_strength_is_plain_attention(back_end: str, kind: str) -> None:
    bank, named = with_bank(2, OFF, kind=kind)
    seen = extended(unet(kind), [bank], back_end, named)["out"]
    assert (seen - plainly(unet(kind), named)).abs().max() < 1e-5
    named["memory_bias"] = torch.zeros(2, 1)
    assert (extended(unet(kind), [bank], back_end, named)["out"] - seen).abs().max() > 0.05


@pytest.mark.parametrize(("rows", "side"), [(1, 8), (3, 12)])
def test_openvino_gives_the_numbers_of_torch(rows: int, side: int) -> None:
    bank, named = with_bank(rows, -0.7, side)
    one, other = (extended(unet(), [bank], name, named) for name in ("torch", "openvino"))
    assert set(one) == {"out", *(spec.name for spec in bank.outputs)}
    for name, value in one.items():
        assert value.std() > 0.05
        assert (value - other[name]).abs().max() < 1e-3


def test_a_bank_of_its_own_keys_changes_nothing() -> None:
    """A softmax over the same keys twice is that over them once; a bank of other keys would show."""
    bank, named = with_bank(1, OFF)
    own = extended(unet(), [bank], "torch", named)
    for i in range(len(bank.layers)):
        named |= {f"memory_{kind}{i}": own[f"memory_new_{kind}{i}"] for kind in "kv"}
    named["memory_bias"] = torch.zeros(1, 1)
    again = extended(unet(), [bank], "torch", named)
    assert (again["out"] - own["out"]).abs().max() < 1e-4


def test_a_row_sees_only_its_own_bank() -> None:
    bank, named = with_bank(2, 0.0)
    before = extended(unet(), [bank], "torch", named)
    for i in range(len(bank.layers)):
        named[f"memory_v{i}"][1] += 3.0
    after = extended(unet(), [bank], "torch", named)
    assert torch.equal(before["out"][0], after["out"][0])
    assert (before["out"][1] - after["out"][1]).abs().max() > 0.05


def test_only_the_middle_and_the_way_up_have_a_bank() -> None:
    assert {layer.name.split("_")[0] for layer in banked(unet("three"))} == {"mid", "up"}
    assert banked(unet("painter")) == ()
