"""StreamFlow's parts against their equations, written out in numpy, number by number."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.nets.streamflow.blocks import SuperKernel
from perception.nets.streamflow.correlation import looked_up, pyramid
from perception.nets.streamflow.decoder import Aggregate, Likeness, Temporal
from perception.nets.streamflow.encoder import Block, GlobalAttention, Patches, PlaceConv, WindowAttention
from perception.nets.streamflow.sides import enlarged

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def shaken(module: nn.Module) -> nn.Module:
    """Give every weight, zeros included, a value of its own."""
    with torch.no_grad():
        for one in module.parameters():
            one.copy_(torch.randn_like(one) * 0.4 + (0.3 if one.ndim == 1 else 0))
    return module.double().eval()


def of(module: nn.Module) -> dict[str, Array]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def near(found: Tensor, wanted: Array) -> bool:
    assert float(np.abs(wanted).max()) > 1e-2
    return found.shape == wanted.shape and float(np.abs(found.detach().numpy() - wanted).max()) < 1e-9


def gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def normed(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + eps) * weight + bias)


def attended(q: Array, k: Array, v: Array, heads: int) -> Array:
    """Attend head by head: q (N, C), k and v (M, C)."""
    each = q.shape[1] // heads
    parts = []
    for h in range(heads):
        own = slice(h * each, (h + 1) * each)
        parts.append(softmax(q[:, own] @ k[:, own].T / math.sqrt(each)) @ v[:, own])
    return np.concatenate(parts, 1)


def at(map_HW: Array, x: float, y: float) -> float:
    """Read between cells, zero outside."""
    total = 0.0
    for j, i in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        if 0 <= j < map_HW.shape[0] and 0 <= i < map_HW.shape[1]:
            total += (1 - abs(y - j)) * (1 - abs(x - i)) * map_HW[j, i]
    return total


def test_correlation_is_looked_up_as_raft_does() -> None:
    first, second = torch.randn(2, 2, 5, 8, 9, dtype=torch.float64).unbind(0)
    centre = torch.rand(2, 2, 8, 9, dtype=torch.float64) * 12 - 2  # some lie outside
    found = looked_up(pyramid(first, second, 3), centre, 2)
    wanted = np.zeros((2, 75, 8, 9))
    for b, j, i in itertools.product(range(2), range(8), range(9)):
        level = np.einsum("c,chw->hw", first[b, :, j, i].numpy(), second[b].numpy()) / math.sqrt(5)
        x, y = centre[b, :, j, i].tolist()
        for n in range(3):
            for slow, fast in itertools.product(range(5), range(5)):
                tap = 25 * n + 5 * slow + fast
                wanted[b, tap, j, i] = at(level, x / 2**n + slow - 2, y / 2**n + fast - 2)
            h, w = level.shape[0] // 2, level.shape[1] // 2
            level = level[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3))
    assert near(found, wanted)


def test_flow_is_enlarged_by_convex_mixing() -> None:
    flow = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    weights = torch.randn(2, 9 * 64, 3, 4, dtype=torch.float64)
    wanted = np.zeros((2, 2, 24, 32))
    for b, j, i, dy, dx in itertools.product(range(2), range(3), range(4), range(8), range(8)):
        share = softmax(weights[b].numpy().reshape(9, 8, 8, 3, 4)[:, dy, dx, j, i])
        for k, (down, right) in enumerate(itertools.product((-1, 0, 1), (-1, 0, 1))):
            if 0 <= j + down < 3 and 0 <= i + right < 4:
                wanted[b, :, 8 * j + dy, 8 * i + dx] += 8 * share[k] * flow[b, :, j + down, i + right].numpy()
    assert near(enlarged(flow, weights), wanted)


@pytest.mark.parametrize("sides", [(6, 4), (5, 7)])
def test_windowed_attention(sides: tuple[int, int]) -> None:
    height, width = sides
    module, side, heads = shaken(WindowAttention(6, 2, 3)), 3, 2
    x = torch.randn(2, height, width, 6, dtype=torch.float64)
    w = of(module)
    wanted = np.zeros((2, height, width, 6))
    for b, top, left in itertools.product(range(2), range(0, height, side), range(0, width, side)):
        tokens = np.zeros((side, side, 6))
        inside = x[b, top : top + side, left : left + side].numpy()
        tokens[: inside.shape[0], : inside.shape[1]] = inside
        q, k, v = np.split(tokens.reshape(9, 6) @ w["qkv.weight"].T + w["qkv.bias"], 3, 1)
        out = attended(q, k, v, heads) @ w["proj.weight"].T + w["proj.bias"]
        wanted[b, top : top + side, left : left + side] = out.reshape(side, side, 6)[
            : inside.shape[0], : inside.shape[1]
        ]
    assert near(module(x), wanted)


def test_global_attention_looks_at_a_coarse_map() -> None:
    module = shaken(GlobalAttention(6, 3, 2))
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64)  # the last row and column fill no square
    w = of(module)
    wanted = np.zeros((2, 5, 7, 6))
    for b in range(2):
        tokens = x[b].numpy()
        coarse = np.array(
            [
                np.einsum("oc,c->o", w["sr.weight"].reshape(6, -1), tokens[j : j + 2, i : i + 2]
                          .transpose(2, 0, 1).reshape(-1)) + w["sr.bias"]
                for j, i in itertools.product((0, 2), (0, 2, 4))
            ]
        )  # fmt: skip
        coarse = normed(coarse, w["norm.weight"], w["norm.bias"])
        k, v = np.split(coarse @ w["kv.weight"].T + w["kv.bias"], 2, 1)
        q = tokens.reshape(35, 6) @ w["q.weight"].T + w["q.bias"]
        wanted[b] = (attended(q, k, v, 3) @ w["proj.weight"].T + w["proj.bias"]).reshape(5, 7, 6)
    assert near(module(x), wanted)


def test_frames_lie_one_below_the_other() -> None:
    module = shaken(Patches(3, 5, 2))
    frames = torch.randn(2, 3, 3, 4, 6, dtype=torch.float64)
    w = of(module)
    wanted = np.zeros((2, 6, 3, 5))
    for b, t, j, i in itertools.product(range(2), range(3), range(2), range(3)):
        square = frames[b, t, :, 2 * j : 2 * j + 2, 2 * i : 2 * i + 2].numpy().reshape(-1)
        wanted[b, 2 * t + j, i] = w["proj.weight"].reshape(5, -1) @ square + w["proj.bias"]
    assert near(module(frames), normed(wanted, w["norm.weight"], w["norm.bias"]))


def depthwise(x: Array, weight: Array, bias: Array) -> Array:
    """Convolve each channel of (C, H, W) by a kernel of its own, zeros around."""
    side = weight.shape[-1]
    out = np.zeros_like(x)
    around = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2)))
    for c, j, i in itertools.product(*map(range, x.shape)):
        out[c, j, i] = (around[c, j : j + side, i : i + side] * weight[c, 0]).sum() + bias[c]
    return out


def test_places_are_told_by_a_convolution() -> None:
    module = shaken(PlaceConv(4))
    x, w = torch.randn(1, 5, 3, 4, dtype=torch.float64), of(module)
    wanted = x.numpy() + depthwise(
        x[0].numpy().transpose(2, 0, 1), w["proj.0.weight"], w["proj.0.bias"]
    ).transpose(1, 2, 0)
    assert near(module(x), wanted)


def test_blocks_have_the_published_norms() -> None:
    module = shaken(Block(4, nn.Identity()))
    x, w = 1e-3 * torch.randn(1, 2, 3, 4, dtype=torch.float64), of(module)  # so faint that eps tells
    y = x.numpy()
    y = y + normed(y, w["norm1.weight"], w["norm1.bias"], 1e-6)
    inner = normed(y, w["norm2.weight"], w["norm2.bias"], 1e-6)
    inner = gelu(inner @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
    assert w["mlp.fc1.weight"].shape == (16, 4)
    assert near(module(x), y + inner @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"])


def test_super_kernels() -> None:
    module = shaken(SuperKernel(4, 3, (1, 5)))
    with torch.no_grad():
        module.conv_list[1].weight.mul_(0.3)
    x, w = torch.randn(1, 4, 6, 7, dtype=torch.float64), of(module)

    def points(name: str, x: Array) -> Array:
        weight = w[f"{name}.weight"][:, :, 0, 0]
        return np.asarray(np.einsum("oc,chw->ohw", weight, x) + w[f"{name}.bias"][:, None, None])

    def pair(name: str, x: Array) -> Array:
        return points(f"{name}.2", gelu(points(f"{name}.0", x)))

    y = x[0].numpy()
    y = gelu(y + pair("ffn1", y))
    for k in range(2):
        y = gelu(y + depthwise(y, w[f"conv_list.{k}.weight"], w[f"conv_list.{k}.bias"]))
    y = gelu(y + points("pw", y))
    assert w["ffn1.0.weight"].shape[0] == 6
    assert near(module(x), pair("ffn2", y)[None])


def test_motion_spreads_to_what_looks_alike() -> None:
    likeness, aggregate = shaken(Likeness(4)), shaken(Aggregate(4))
    context, motion = torch.randn(2, 2, 4, 3, 5, dtype=torch.float64).unbind(0)
    qk, to_v = of(likeness)["to_qk.weight"][:, :, 0, 0], of(aggregate)["to_v.weight"][:, :, 0, 0]
    wanted = np.zeros((2, 4, 3, 5))
    for b in range(2):
        cells, values = context[b].numpy().reshape(4, 15), to_v @ motion[b].numpy().reshape(4, 15)
        q, k = qk[:4] @ cells, qk[4:] @ cells
        spread = values @ softmax(q.T @ k / 2).T
        wanted[b] = motion[b].numpy() + of(aggregate)["gamma"] * spread.reshape(4, 3, 5)
    assert near(aggregate(likeness(context), motion), wanted)


def test_pairs_of_a_window_speak_cell_by_cell() -> None:
    module = shaken(Temporal(4))
    x = torch.randn(6, 4, 2, 3, dtype=torch.float64)  # two windows of three pairs
    w = {name.removeprefix("transformer_block."): value for name, value in of(module).items()}
    wanted = np.zeros((6, 4, 2, 3))
    for b, j, i in itertools.product(range(2), range(2), range(3)):
        tokens = x[3 * b : 3 * b + 3, :, j, i].numpy()
        inner = normed(tokens, w["norm1.weight"], w["norm1.bias"])
        q, k, v = np.split(inner @ w["attn.qkv.weight"].T, 3, 1)
        tokens = tokens + attended(q, k, v, 1) @ w["attn.proj.weight"].T + w["attn.proj.bias"]
        inner = normed(tokens, w["norm2.weight"], w["norm2.bias"])
        inner = gelu(inner @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
        wanted[3 * b : 3 * b + 3, :, j, i] = tokens + inner @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    assert near(module(x, 3), wanted)


def test_speaking_along_time_begins_as_nothing_and_can_be_learned() -> None:
    module = Temporal(4)
    x = torch.randn(6, 4, 2, 3)
    assert torch.equal(module(x, 3), x)
    optimiser = torch.optim.AdamW(module.parameters(), 1e-2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for _ in range(3):
        optimiser.zero_grad()
        (module(x, 3) - x.flip(0)).square().mean().backward()
        optimiser.step()
    still = [
        name for name, value in module.state_dict().items() if name.endswith("weight")
        and float((value - before[name]).abs().max()) < 1e-3
    ]  # fmt: skip
    assert still == []
