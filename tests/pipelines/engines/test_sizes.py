"""The multiples that networks want are found, whatever their depth."""

from __future__ import annotations

import logging

import pytest
import torch

from pipelines.engines import networks, sizes
from pipelines.engines.base import Network, TensorSpec
from realtime.core.errors import EngineError
from tests import tiny

from . import nets


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unet-attention", {"h": 2, "w": 2, "t": 1}),
        ("encoder-tiny", {"H": 8, "W": 8}),
        ("encoder-kl", {"H": 8, "W": 8}),
        ("decoder-tiny", {"h": 1, "w": 1}),
    ],
)
def test_each_network_tells_its_multiples(name, expected):
    network = nets.network(name)
    assert sizes.multiples_of(network, sizes.sizes_of(network, nets.shapes(network))) == expected


@pytest.mark.parametrize("levels", [1, 3, 4])
def test_a_unet_of_any_depth(levels):
    unet = tiny.make_unet(
        "painter",
        block_out_channels=(8,) * levels,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
    )
    network = networks.unet_network(unet, "")
    found = sizes.multiples_of(network, {"b": 1, "h": 64, "w": 64, "t": tiny.TEXT_LENGTH})
    assert (found["h"], found["w"]) == (2 ** (levels - 1),) * 2


def test_a_count_tied_to_another_size_cannot_vary_alone():
    class Tied(torch.nn.Module):
        def forward(self, picture_B4HW, tokens_BN4):
            return picture_B4HW.flatten(2).transpose(1, 2) + tokens_BN4

    picture = TensorSpec("picture", "float32", ("b", 4, "h", "w"))
    tokens = TensorSpec("tokens", "float32", ("b", "n", 4))
    network = Network("tied", Tied(), (picture, tokens), (tokens,), "")
    assert sizes.multiples_of(network, {"b": 1, "h": 4, "w": 4, "n": 16}) == {}


def test_trying_sizes_leaves_the_log_and_the_module_alone(caplog):
    network = nets.network("unet-pooled")
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    with caplog.at_level(logging.DEBUG):
        sizes.multiples_of(network, {"b": 1, "h": 8, "w": 8, "t": 16})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    after = network.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert logging.getLogger(sizes.NOISY_LOGGERS[0]).level != logging.CRITICAL + 1


def test_words_and_shapes_turn_into_each_other():
    network = nets.mixer()
    shapes = {"picture": (2, 4, 6, 8), "ids": (2, 5), "side": (2, 8, 6, 8)}
    found = sizes.sizes_of(network, shapes)
    assert found == {"b": 2, "h": 6, "w": 8, "t": 5}
    assert sizes.shapes_at(network, found) == shapes
    assert sizes.batch_of(network) == "b"
    with pytest.raises(EngineError, match="has 4 dimensions"):
        sizes.sizes_of(network, shapes | {"picture": (2, 4, 6)})
