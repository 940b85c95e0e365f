"""DAMO-StreamNet and StreamYOLO: sizes, names, folding, and that past frames count."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from perception.nets.streamnet.backbone import Pyramid
from perception.nets.streamnet.blocks import DeformConv, RepConv
from perception.nets.streamnet.model import PLANS, DamoStreamNet, Plan, StreamYolo, boxes_of, fold
from perception.nets.streamnet.ring import FeatureRing, stepped

TINY = Plan(0.33, 0.125, 0.75, (16, 32, 64), (((5, 10, 21), 3),))
SIDES = (72, 104)
"""Neither is a multiple of 32, so that maps of odd sides are joined."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter and statistic a value of its own, so that none can be left out unseen."""
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "conv_offset" in name:
                one.normal_(0, 0.1)
            elif one.ndim == 1:
                one.add_(0.2 * torch.randn_like(one))
    return model.eval()


def settled(model: torch.nn.Module, *inputs: Tensor) -> torch.nn.Module:
    """Let the norms see real maps, so that what goes in does not die on the way."""
    for one in model.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.momentum = None  # the mean of all that it sees
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*inputs)
    return model.eval()


def tiny() -> DamoStreamNet:
    return living(TINY)


def living(plan: Plan) -> DamoStreamNet:
    stack = [torch.rand(2, 3, *SIDES) * 255, torch.rand(2, 3, 3, *SIDES) * 255]
    model = settled(shaken(DamoStreamNet(plan, classes=3)), *stack)
    assert isinstance(model, DamoStreamNet)
    return model


def frames(count: int, sides: tuple[int, int] = SIDES) -> list[Tensor]:
    return [torch.rand(1, 3, *sides) * 255 for _ in range(count)]


@pytest.mark.parametrize(("size", "millions"), [("s", 18.6), ("m", 50.1), ("l", 94.1)])
def test_the_published_sizes(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = DamoStreamNet(PLANS[size])
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_streamyolo_has_its_published_size() -> None:
    with torch.device("meta"):
        model = StreamYolo(0.33, 0.5)
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(9.1, abs=0.05)


# The names of the published checkpoints, written out from their grammar and not from our modules.
CONV_BN = (
    "conv.weight",
    "bn.weight",
    "bn.bias",
    "bn.running_mean",
    "bn.running_var",
    "bn.num_batches_tracked",
)


def cbs(prefix: str) -> set[str]:
    return {f"{prefix}.{end}" for end in CONV_BN}


def csp(prefix: str, n: int) -> set[str]:
    inner = [f"{prefix}.m.{k}.conv{c}" for k in range(n) for c in (1, 2)]
    return set().union(*map(cbs, [*(f"{prefix}.conv{c}" for c in (1, 2, 3)), *inner]))


def official(depth: float, groups: int, *, fuses: bool) -> set[str]:
    n = max(round(3 * depth), 1)
    names = cbs("backbone.backbone.stem.conv")
    for k, count in ((2, n), (3, 3 * n), (4, 3 * n)):
        names |= cbs(f"backbone.backbone.dark{k}.0") | csp(f"backbone.backbone.dark{k}.1", count)
    names |= cbs("backbone.backbone.dark5.0") | csp("backbone.backbone.dark5.2", n)
    names |= cbs("backbone.backbone.dark5.1.conv1") | cbs("backbone.backbone.dark5.1.conv2")
    for way in ("13", "24", "57", "46", "76"):
        names |= cbs(f"backbone.neck.bu_conv{way}")
    for node, k in itertools.product((3, 4, 5, 6, 7), range(3)):
        merge = f"backbone.neck.merge_{node}"
        names |= set().union(*(cbs(f"{merge}.conv{c}") for c in (1, 2, 3)))
        block = f"{merge}.convs.{k}"
        names |= {f"{block}.conv1.{end}" for end in ("weight", "conv_offset.weight", "conv_offset.bias")}
        names |= cbs(f"{block}.conv2.rbr_dense") | cbs(f"{block}.conv2.rbr_1x1")
    for level in range(3):
        names |= cbs(f"short_backbone.group_0_jian{level}")
        names |= set().union(*(cbs(f"long_backbone.group_{g}_jian{level}") for g in range(groups)))
        if fuses:
            names |= cbs(f"jian{level}")
        names |= cbs(f"head.stems.{level}")
        for tower, k in itertools.product(("cls_convs", "reg_convs"), range(2)):
            names |= cbs(f"head.{tower}.{level}.{k}")
        for end, part in itertools.product(("cls_preds", "reg_preds", "obj_preds"), ("weight", "bias")):
            names |= {f"head.{end}.{level}.{part}"}
    return names


@pytest.mark.parametrize(
    ("size", "depth", "groups", "fuses"),
    [("s", 0.33, 1, True), ("m", 0.67, 1, True), ("l", 1.0, 2, True), ("l1200", 1.0, 2, False)],
)
def test_the_official_names_and_no_others(size: str, depth: float, groups: int, fuses: bool) -> None:
    with torch.device("meta"):
        ours = set(DamoStreamNet(PLANS[size]).state_dict())
    assert ours == official(depth, groups, fuses=fuses)


def test_folding_changes_nothing_but_the_cost() -> None:
    model = tiny().double()  # deformed samples of white noise jump: rounding must not hide a fault
    picture, past = frames(1)[0].double(), torch.stack(frames(3), 1).double()
    with torch.no_grad():
        before = model(picture, past)
        fold(model)
        after = model(picture, past)
    assert not any("rbr_dense" in name for name in model.state_dict())
    assert (after - before).abs().max() < 1e-7
    fold(model)  # twice does no harm


def test_a_folded_convolution_is_one() -> None:
    conv = shaken(RepConv(4, 6))
    x = torch.randn(2, 4, 9, 7)
    with torch.no_grad():
        before = conv(x)
        conv.fold()
        assert (conv(x) - before).abs().max() < 1e-5
    assert [name for name, _ in conv.named_parameters()] == ["rbr_reparam.weight", "rbr_reparam.bias"]


@pytest.mark.parametrize("sides", [(5, 1), (4, 6), (1, 1)])
def test_the_deformable_convolution_is_its_definition(sides: tuple[int, int]) -> None:
    conv = DeformConv(3, 4)
    with torch.no_grad():
        conv.conv_offset.weight.normal_(0, 0.6)
        x = torch.randn(2, 3, *sides)
        assert (conv(x) - by_hand(conv, x)).abs().max() < 1e-5


def by_hand(conv: DeformConv, x: Tensor) -> Tensor:
    """Sum over taps and corners, one by one."""
    batch, _, height, width = x.shape
    offset = conv.conv_offset(x)
    out = torch.zeros(batch, conv.weight.shape[0], height, width)
    for b, i, j, k in itertools.product(range(batch), range(height), range(width), range(9)):
        y = i + k // 3 - 1 + float(offset[b, 2 * k, i, j])
        z = j + k % 3 - 1 + float(offset[b, 2 * k + 1, i, j])
        for yy, zz in itertools.product(
            (math.floor(y), math.floor(y) + 1), (math.floor(z), math.floor(z) + 1)
        ):
            if 0 <= yy < height and 0 <= zz < width:
                share = (1 - abs(y - yy)) * (1 - abs(z - zz))
                out[b, :, i, j] += share * (conv.weight[:, :, k // 3, k % 3] @ x[b, :, yy, zz])
    return out


def test_cached_is_recomputed() -> None:
    model, ring = tiny(), FeatureRing(3)
    stream = frames(6)
    with torch.no_grad():
        for k, frame in enumerate(stream):
            past = [stream[max(k - back, 0)] for back in (1, 2, 3)]
            whole = model(frame, torch.stack(past, 1))
            assert (stepped(model, ring, frame) - whole).abs().max() <= 1e-5


def test_frames_further_apart_look_further_ahead() -> None:
    model, ring = tiny(), FeatureRing(3)
    stream = frames(9)
    with torch.no_grad():
        for frame in stream[:-1]:
            stepped(model, ring, frame)
        rows = stepped(model, ring, stream[-1], step=2)
        whole = model(stream[-1], torch.stack([stream[-3], stream[-5], stream[-7]], 1))
    assert (rows - whole).abs().max() <= 1e-5
    with pytest.raises(ValueError, match="step = 5"):
        ring.before(model.encode(stream[0]), 5)


def test_history_counts() -> None:
    model = tiny()
    now, past = frames(1)[0], frames(3)
    with torch.no_grad():
        whole = model(now, torch.stack(past, 1))
        for k in range(3):
            other = [*past]
            other[k] = now
            changed = model(now, torch.stack(other, 1))
            assert (changed - whole).abs().max() > 1e-3  # a hundred times what caching may differ
        turned = model(now, torch.stack(past[::-1], 1))
        assert (turned - whole).abs().max() > 1e-3  # their order too


def test_two_streams_do_not_leak_into_each_other() -> None:
    model = tiny()
    one, two = frames(5), frames(5)
    alone, rings = FeatureRing(3), (FeatureRing(3), FeatureRing(3))
    with torch.no_grad():
        wanted = [stepped(model, alone, frame) for frame in one]
        mixed = []
        for a, b in zip(one, two, strict=True):
            mixed.append(stepped(model, rings[0], a))
            stepped(model, rings[1], b)
    for a, b in zip(wanted, mixed, strict=True):
        assert torch.equal(a, b)


def test_a_stream_begins_with_copies_and_begins_anew_when_the_size_changes() -> None:
    model, ring = tiny(), FeatureRing(3)
    with torch.no_grad():
        first, other = frames(1)[0], frames(1, (64, 64))[0]
        whole = model(first, torch.stack([first] * 3, 1))
        assert (stepped(model, ring, first) - whole).abs().max() <= 1e-5
        stepped(model, ring, first)
        assert len(ring) == 2
        rows = stepped(model, ring, other)
        assert len(ring) == 1
        assert (rows - model(other, torch.stack([other] * 3, 1))).abs().max() <= 1e-5
        ring.clear()
        assert len(ring) == 0


def test_streamyolo_is_a_special_case_of_the_same_stream() -> None:
    model = shaken(StreamYolo(0.33, 0.125, classes=3))
    assert isinstance(model, StreamYolo)
    ring, stream = FeatureRing(model.past), frames(3)
    with torch.no_grad():
        for k, frame in enumerate(stream):
            whole = model(frame, stream[max(k - 1, 0)][:, None])
            assert (stepped(model, ring, frame) - whole).abs().max() <= 1e-5


def test_boxes_lie_where_their_cells_do() -> None:
    rows = torch.zeros(1, 9 * 13 + 5 * 7 + 3 * 4, 8)
    boxes = boxes_of(rows, *SIDES)
    assert boxes.shape == rows.shape
    assert boxes[0, 0, :4].tolist() == [0, 0, 8, 8]
    assert boxes[0, 14, :4].tolist() == [8, 8, 8, 8]
    assert boxes[0, -1, :4].tolist() == [96, 64, 32, 32]
    assert boxes[0, 0, 4:].tolist() == [0.5] * 4


def test_maps_have_the_sides_of_their_strides() -> None:
    model = tiny()
    with torch.no_grad():
        seen: Pyramid = model.encode(frames(1)[0])
    assert [tuple(one.shape[-2:]) for one in seen] == [(9, 13), (5, 7), (3, 4)]
