"""Attention over more keys: nothing added is diffusers' own, a weight counts as that many copies."""

from __future__ import annotations

import math

import torch

from pipelines.diffusion.nets.self_attention import OFF, Attend, Part, attend, halved, layers, log_weight
from pipelines.engines.networks import sharing_copy, unet_network

from .unets import inputs, plainly, unet


class More:
    """Add keys that are given."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def widen(self, place: int, own: Part, parts: list[Part]) -> list[Part]:
        return [*parts, *self.parts]


def attention() -> torch.nn.Module:
    found = layers(unet("sd"))[0]
    return sharing_copy(unet("sd").get_submodule(found.name))


def part(seed: int, bias: float | None, tokens: int = 5) -> Part:
    draw = torch.Generator().manual_seed(seed)
    key, value = (torch.randn(2, tokens, 48, generator=draw) for _ in "kv")
    return Part(key, value, None if bias is None else torch.full((2, tokens), bias))


def attended(*parts: Part) -> torch.Tensor:
    layer, processor = attention(), Attend()
    processor.add(More(*parts), 0)
    layer.set_processor(processor)
    with torch.inference_mode():
        return layer(torch.randn(2, 16, 48, generator=torch.Generator().manual_seed(9)))


def test_without_more_it_is_diffusers_own() -> None:
    net = sharing_copy(unet("sd"))
    for layer in layers(net):
        assert isinstance(attend(net, layer), Attend)
        assert attend(net, layer) is attend(net, layer)
    named = inputs(net, 2)
    assert (plainly(net, named) - plainly(unet("sd"), named)).abs().max() < 1e-5


def test_what_is_off_has_exactly_no_share_and_what_is_on_has() -> None:
    huge = Part(100.0 * part(1, None).key_BND, 1e6 * part(1, None).value_BND, torch.full((2, 5), OFF))
    assert torch.equal(attended(huge), attended(part(2, OFF)))
    assert (attended(part(1, OFF)) - attended()).abs().max() < 1e-5
    assert (attended(part(1, 0.0)) - attended()).abs().max() > 0.05


def test_a_weight_of_two_is_the_same_keys_twice() -> None:
    once = part(3, math.log(2.0))
    twice = part(3, 0.0)
    assert (attended(once) - attended(twice, twice)).abs().max() < 1e-5
    assert (attended(once) - attended(twice)).abs().max() > 1e-3


def test_weights_rise_with_strength() -> None:
    assert log_weight(0.0) == OFF
    assert log_weight(1.0) == 0.0
    assert OFF < log_weight(1e-9) < log_weight(0.5) < 0.0
    assert float(torch.tensor(OFF).exp()) == 0.0


def test_each_layers_tokens_are_those_it_gets() -> None:
    net = sharing_copy(unet("three"))
    seen: dict[str, int] = {}
    for layer in layers(net):
        attn = net.get_submodule(layer.name)
        attn.register_forward_pre_hook(
            lambda module, args, kwargs, name=layer.name: seen.__setitem__(
                name, (args[0] if args else kwargs["hidden_states"]).shape[1]
            ),
            with_kwargs=True,
        )
    plainly(net, inputs(net, 1, side=16))
    assert len(seen) == len(layers(net)) == 7
    assert seen == {layer.name: layer.tokens(16, 16) for layer in layers(net)}
    assert len(set(seen.values())) == 3


def test_a_network_of_convolutions_has_none_and_odd_sides_round_up() -> None:
    assert layers(unet("painter")) == ()
    assert [halved(9, k) for k in range(4)] == [9, 5, 3, 2]


def test_a_copy_that_is_changed_leaves_the_network_alone() -> None:
    before = unet("sd").get_submodule(layers(unet("sd"))[0].name).processor
    unet_network(sharing_copy(unet("sd")), "")
    assert not isinstance(before, Attend)
