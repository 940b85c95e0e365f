"""StreamFlow as a whole: official names and shapes, windows that count, sizes, bfloat16, warm starts."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from perception.nets.streamflow.correlation import cells, looked_up, pyramid
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.sides import cropped, enlarged, memory_bytes, padded
from perception.nets.streamflow.warm import carried, started
from realtime.core.errors import ConfigError

Shapes = dict[str, tuple[int, ...]]


def tiny(frames: int = 4) -> StreamFlow:
    """Return a network whose every weight counts: fresh ones ignore motion that is hidden or long past."""
    torch.manual_seed(5)
    model = StreamFlow(PLANS["tiny"], frames)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.ndim == 1 or "transformer_block" in name:
                one.add_(0.2 * torch.randn_like(one))
            else:
                one.mul_(4.0 if one.ndim == 2 else 1.0 if "svt" in name else 1.5)
    model.eval()
    return model


def film(frames: int, sides: tuple[int, int] = (128, 136), batch: int = 1) -> Tensor:
    """Return soft pictures that drift, (B, T, 3, H, W)."""
    torch.manual_seed(6)
    coarse = torch.rand(batch, 3, sides[0] // 8, sides[1] // 8) * 255
    first = torch.nn.functional.interpolate(coarse, size=sides, mode="bilinear")
    return torch.stack([first.roll((k, 2 * k), (-2, -1)) for k in range(frames)], 1)


# The published names and shapes, written out from their grammar and not from our modules.
def linear(name: str, outer: int, inner: int) -> Shapes:
    return {f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)}


def conv(name: str, outer: int, inner: int, side: int = 1) -> Shapes:
    return {f"{name}.weight": (outer, inner, side, side), f"{name}.bias": (outer,)}


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def svt(net: str) -> Shapes:
    found = norm(f"{net}.svt.norm", 1024)
    for k, (inner, c, patch, squeeze) in enumerate([(3, 128, 4, 8), (128, 256, 2, 4)]):
        place = f"{net}.svt.patch_embeds.{k}"
        found |= conv(f"{place}.proj", c, inner, patch) | norm(f"{place}.norm", c)
        found |= conv(f"{net}.svt.pos_block.{k}.proj.0", c, 1, 3)
        for j in range(2):
            block = f"{net}.svt.blocks.{k}.{j}"
            found |= norm(f"{block}.norm1", c) | norm(f"{block}.norm2", c)
            found |= linear(f"{block}.mlp.fc1", 4 * c, c) | linear(f"{block}.mlp.fc2", c, 4 * c)
            found |= linear(f"{block}.attn.proj", c, c)
        found |= linear(f"{net}.svt.blocks.{k}.0.attn.qkv", 3 * c, c)
        far = f"{net}.svt.blocks.{k}.1.attn"
        found |= linear(f"{far}.q", c, c) | linear(f"{far}.kv", 2 * c, c)
        found |= conv(f"{far}.sr", c, c, squeeze) | norm(f"{far}.norm", c)
    return found


def super_kernel(name: str, inner: int, outer: int, side: int) -> Shapes:
    hidden = inner * 3 // 2
    found = conv(f"{name}.conv_list.0", inner, 1, 1) | conv(f"{name}.conv_list.1", inner, 1, side)
    found |= conv(f"{name}.ffn1.0", hidden, inner) | conv(f"{name}.ffn1.2", inner, hidden)
    found |= conv(f"{name}.pw", inner, inner)
    return found | conv(f"{name}.ffn2.0", hidden, inner) | conv(f"{name}.ffn2.2", outer, hidden)


def official(frames: int) -> Shapes:
    up, pairs = "update_block", frames - 1
    found = svt("fnet") | svt("cnet") | {"att.to_qk.weight": (256, 128, 1, 1)}
    found |= super_kernel(f"{up}.encoder.convc1", 324, 256, 15)
    found |= super_kernel(f"{up}.encoder.convc2", 256, 192, 15)
    found |= conv(f"{up}.encoder.convf1", 128, 2) | super_kernel(f"{up}.encoder.convf2", 128, 64, 15)
    found |= super_kernel(f"{up}.encoder.conv", 256, 126, 15)
    found |= {f"{up}.aggregator.to_v.weight": (128, 128, 1, 1), f"{up}.aggregator.gamma": (1,)}
    found |= super_kernel(f"{up}.gru", 640, 128, 7)
    found |= conv(f"{up}.mask.0", 256, 128, 3) | conv(f"{up}.mask.2", 576, 256)
    time = f"{up}.transformer_block.transformer_block"
    found |= norm(f"{time}.norm1", 128) | norm(f"{time}.norm2", 128)
    found |= {f"{time}.attn.qkv.weight": (384, 128)} | linear(f"{time}.attn.proj", 128, 128)
    found |= linear(f"{time}.mlp.fc1", 256, 128) | linear(f"{time}.mlp.fc2", 128, 256)
    return found | super_kernel(f"{up}.flow_head", 128 * pairs, 2 * pairs, 15)


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_the_official_names_and_shapes_and_no_others(frames: int) -> None:
    with torch.device("meta"):
        model = StreamFlow(PLANS["large"], frames)
    assert {name: tuple(one.shape) for name, one in model.state_dict().items()} == official(frames)


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = StreamFlow(PLANS["large"])
    assert len(model.state_dict()) == 252
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(14.25, abs=0.005)


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_a_window_gives_the_flows_of_its_pairs(frames: int) -> None:
    model = tiny(frames)
    with torch.no_grad():
        found = model(film(frames), 2)
    assert found.pixels_BS2HW.shape == (1, frames - 1, 2, 128, 136)
    assert found.cells_BS2HW.shape == (1, frames - 1, 2, 16, 17)
    assert found.pixels_BS2HW.isfinite().all()  # also at the least side, where the published code is near NaN
    assert float(found.pixels_BS2HW.abs().max()) > 0.1
    with pytest.raises(ConfigError, match=f"takes {frames} frames at once, got {frames + 1}"):
        model(film(frames + 1))


def test_one_frame_has_no_flow() -> None:
    with pytest.raises(ConfigError, match="2 frames or more at once, got 1"):
        StreamFlow(PLANS["tiny"], 1)


def put_together(model: StreamFlow, frames: Tensor, rounds: int) -> Tensor:
    """Do a pass pair by pair, as the paper tells it; the parts are held to their equations elsewhere."""
    up, pairs = model.update_block, model.frames - 1
    frames = 2 * (frames / 255) - 1
    maps, contexts = model.fnet(frames), model.cnet(frames[:, :-1])
    half = contexts.shape[2] // 2
    states = [contexts[:, k, :half].tanh() for k in range(pairs)]
    views = [contexts[:, k, half:].relu() for k in range(pairs)]
    likeness = [model.att(view) for view in views]
    height, width = maps.shape[-2:]
    places = cells(1, height, width, maps)
    flows = [torch.zeros_like(places) for _ in range(pairs)]
    plan = model.plan
    for _ in range(rounds):
        motions = []
        for k in range(pairs):
            seen = looked_up(pyramid(maps[:, k], maps[:, k + 1], plan.levels), places + flows[k], plan.radius)
            seen = up.encoder.convc2(torch.nn.functional.gelu(up.encoder.convc1(seen)))
            flow = up.encoder.convf2(up.encoder.convf1(flows[k]))
            motion = up.encoder.conv(torch.cat([seen, flow], 1))
            motions.append(torch.cat([motion, flows[k]], 1))
        along = up.transformer_block(torch.cat(motions), pairs)
        for k, motion in enumerate(motions):
            spread = up.aggregator(likeness[k], motion)
            states[k] = up.gru(torch.cat([states[k], views[k], motion, spread, along[k : k + 1]], 1))
        more = up.flow_head(torch.cat(states, 1))
        flows = [flow + more[:, 2 * k : 2 * k + 2] for k, flow in enumerate(flows)]
    fine = [enlarged(flow, 0.25 * up.mask(state)) for flow, state in zip(flows, states, strict=True)]
    return torch.stack(fine, 1)


@pytest.mark.parametrize("frames", [2, 4])
def test_a_pass_is_put_together_as_published(frames: int) -> None:
    model, window = tiny(frames), film(frames)
    with torch.no_grad():
        found, wanted = model(window, 3).pixels_BS2HW, put_together(model, window, 3)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_every_frame_counts_for_every_pair() -> None:
    model, frames = tiny(), film(4)
    with torch.no_grad():
        whole = model(frames, 2).pixels_BS2HW
        for k in range(4):
            other = frames.clone()
            other[:, k] = other[:, k].flip(-1)
            change = (model(other, 2).pixels_BS2HW - whole).abs().amax((0, 2, 3, 4))
            assert change.min() > 1e-2, k  # batches agree a hundred times better


def test_features_of_a_frame_depend_on_the_others_of_its_window() -> None:
    encoder, frames = tiny().fnet, film(4) / 127.5 - 1
    other = frames.clone()
    other[:, 0] = other[:, 0].flip(-1)
    with torch.no_grad():
        before, after = encoder(frames)[:, 3], encoder(other)[:, 3]
    assert (after - before).norm() / before.norm() > 5e-3


def test_windows_of_a_batch_do_not_leak_into_each_other() -> None:
    model, frames = tiny(), film(4, batch=2)
    start = torch.randn(2, 3, 2, 16, 17)
    with torch.no_grad():
        both = model(frames, 2, start)
        for k in range(2):
            alone = model(frames[k : k + 1], 2, start[k : k + 1])
            for one, other in zip(both, alone, strict=True):
                assert (one[k] - other[0]).abs().max() < 1e-5 * other.abs().max()


def test_sides_are_filled_with_copies_of_the_border() -> None:
    frames = film(2, (131, 150))
    whole = padded(frames)
    assert whole.shape[-2:] == (136, 152)
    assert torch.equal(cropped(whole, 131, 150), frames)
    assert torch.equal(
        whole[..., 0, 1:-1], frames[..., 0, :]
    )  # two rows above, three below, a column each side
    assert torch.equal(whole[..., 1, 1:-1], frames[..., 0, :])
    assert torch.equal(whole[..., -3, 1:-1], frames[..., -1, :])
    assert torch.equal(whole[..., 2:-3, 0], frames[..., :, 0])
    model = tiny(2)
    with torch.no_grad():
        found, wanted = model(frames, 2), model(whole, 2)
    assert torch.equal(found.pixels_BS2HW, cropped(wanted.pixels_BS2HW, 131, 150))
    assert torch.equal(found.cells_BS2HW, wanted.cells_BS2HW)


@pytest.mark.parametrize("sides", [(127, 200), (200, 127), (64, 64)])
def test_pictures_that_are_too_small_are_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"{sides[1]}x{sides[0]} px is too small.*at least 128 px"):
        tiny(2)(film(2, sides))


def test_weights_in_bfloat16_give_nearly_the_same() -> None:
    model, frames = tiny(), film(4)
    with torch.no_grad():
        exact = model(frames, 2).pixels_BS2HW
        rough = model.bfloat16()(frames.bfloat16(), 2)
    assert rough.pixels_BS2HW.dtype == rough.cells_BS2HW.dtype == torch.float32
    error = (rough.pixels_BS2HW - exact).norm() / exact.norm()
    assert 0 < error < 0.06  # parity's bound of engines in bf16


def test_a_warm_start_is_where_refining_begins() -> None:
    model, frames = tiny(), film(4)
    start = 2 * torch.randn(1, 3, 2, 16, 17)
    with torch.no_grad():
        nothing = model(frames, 0, start)
        assert torch.equal(nothing.cells_BS2HW, start)
        cold, warm = model(frames, 2), model(frames, 2, start)
        assert (cold.pixels_BS2HW - warm.pixels_BS2HW).abs().max() > 0.1
        zero = model(frames, 2, torch.zeros_like(start))
        assert torch.equal(zero.pixels_BS2HW, cold.pixels_BS2HW)


def test_each_round_is_seen_in_training_and_learns_for_itself() -> None:
    model, frames = tiny(3), film(3)
    found = model.every(frames, 3)
    with torch.no_grad():
        for k, flow in enumerate(found, 1):
            assert (flow - model(frames, k).pixels_BS2HW).abs().max() < 1e-4
    found[-1].sum().backward()
    without = [name for name, one in model.named_parameters() if one.requires_grad and one.grad is None]
    assert without == []


def test_flow_is_carried_where_it_points() -> None:
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, :, 2, 1] = torch.tensor([3.0, 1.0])
    found = carried(flow)
    assert found[0, :, 3, 4].tolist() == [1.5, 0.5]  # met there by a vector that stays
    assert found[0, :, 2, 1].tolist() == [0, 0]  # left behind, filled from around
    assert float(found.abs().sum()) == 2


def test_a_moving_surface_carries_its_motion_and_what_it_uncovers_is_filled() -> None:
    flow = torch.zeros(1, 2, 5, 9)
    flow[:, 0] = 2.0
    found = carried(flow)
    assert torch.equal(found, flow)  # the two columns that nothing reaches have neighbours
    flow[:, 0] = 20.0
    assert torch.equal(carried(flow), torch.zeros_like(flow))  # all of it left


def test_a_window_begins_with_what_the_one_before_found() -> None:
    torch.manual_seed(2)
    cells = torch.randn(2, 3, 2, 6, 7)
    found = started(cells)
    assert torch.equal(found[:, :2], cells[:, 1:])
    assert torch.equal(found[:, 2], carried(cells[:, 2]))
    assert torch.equal(started(cells, 3)[:, 0], found[:, 2])


def test_memory_grows_with_the_square_of_the_picture() -> None:
    plan = PLANS["large"]
    assert memory_bytes(plan, 4, 1080, 1920) > 30e9  # why it is not for large pictures
    assert memory_bytes(plan, 4, 432, 960) == pytest.approx(1.85e9, rel=0.2)  # as measured
    assert memory_bytes(plan, 4, 256, 448) == pytest.approx(0.38e9, rel=0.2)
    sides = [memory_bytes(plan, 4, 1080 * k, 1920 * k) for k in (1, 2)]
    assert sides[1] / sides[0] == pytest.approx(16, rel=0.15)
    by_frames = [memory_bytes(plan, frames, 432, 960) for frames in (2, 3, 4)]
    assert all(a < b for a, b in itertools.pairwise(by_frames))
