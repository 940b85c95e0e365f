"""A session's memory of its looks: its own, bounded, forgotten on reset, the same alone and in company."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pipelines.diffusion.memory import Memory, merged
from realtime.core.frame import Frame
from tests.pipelines.diffusion.stages import (
    SIDE,
    Stages,
    apart,
    different,
    feature,
    painted,
    painted_together,
)
from tests.pipelines.diffusion.vocabulary import stamp

Folders = Callable[..., Path]
ON = {"memory": 1.0, "memory_interval": 1}


@pytest.fixture(scope="module")
def house(folder_of: Folders) -> Stages:
    return Stages(folder_of("sd"), steps=2, strength=0.8)


def test_no_strength_is_without_memory_and_some_is_not(house: Stages) -> None:
    plain = painted(house.open(), different(4))
    stage = house.open(**ON)
    stage.configure(house.config(memory=0.0))  # the network with the bank stays until the plain one is there
    assert apart(painted(stage, different(4)), plain) <= 1.0
    with_memory = painted(house.open(**ON), different(4))
    assert apart(with_memory[:1], plain[:1]) <= 1.0  # there is nothing yet to remember
    assert apart(with_memory[1:], plain[1:]) > 5.0


def test_another_sessions_pictures_change_not_a_byte(house: Stages) -> None:
    mine = different(5)
    outcomes = []
    for first in (50, 80):
        stages = [house.open("mine", **ON), house.open("theirs", **ON)]
        ours, theirs = painted_together(stages, [mine, different(5, first)])
        outcomes.append([pixels.tobytes() for pixels in ours])
        assert apart(ours, theirs) > 20.0
    assert outcomes[0] == outcomes[1]


def test_in_company_it_is_what_it_is_alone(house: Stages) -> None:
    alone = painted(house.open(**ON), different(5))
    ours, _ = painted_together(
        [house.open(**ON), house.open(**{**ON, "memory": 0.4})], [different(5), different(5, 50)]
    )
    assert apart(ours, alone) <= 1.0


def test_reset_forgets(house: Stages) -> None:
    stage = house.open(**ON)
    first = painted(stage, different(3))
    assert feature(stage, Memory).nbytes > 0
    stage.reset()
    assert feature(stage, Memory).nbytes == 0
    assert apart(painted(stage, different(3)), first) == 0.0


def test_it_is_updated_once_in_so_many_pictures(house: Stages) -> None:
    stage = house.open(memory=1.0, memory_interval=3, steps=1)
    banks = []
    for k, pixels in enumerate(different(7)):
        painted(stage, [pixels], first=k)
        (level,) = feature(stage, Memory)._store.levels.values()
        banks.append(level.pairs[0][0].clone())
    same = [torch.equal(a, b) for a, b in pairwise(banks)]
    assert same == [True, True, False, True, True, False]


@pytest.mark.slow
def test_its_size_is_what_was_said_and_does_not_grow_in_50_pictures(house: Stages) -> None:
    house.reports.clear()
    stage = house.open(**ON)
    sizes = set()
    clip = different(9)
    for k in range(50):
        stage.process(Frame(stamp(k), clip[k % 9]))
        if k:  # the first picture has had one step
            sizes.add(feature(stage, Memory).nbytes)
    assert len(sizes) == 1
    per_step_mb = sizes.pop() / 2 / 1e6  # two steps
    (said,) = [report for report in house.reports if "Memory takes" in report]
    assert f"{per_step_mb:.1f} MB" in said
    assert per_step_mb > 0.05


def test_fewer_steps_let_go_of_what_the_others_held(house: Stages) -> None:
    stage = house.open(**{**ON, "steps": 4})
    painted(stage, different(2))
    most = feature(stage, Memory).nbytes
    house.change(stage, **ON, steps=1)
    painted(stage, different(2), first=2)
    assert feature(stage, Memory).nbytes * 4 == most


def test_both_sides_of_guidance_have_a_bank_of_their_own(house: Stages) -> None:
    stage = house.open(**ON, guidance="full", guidance_scale=2.0, negative_prompt="dog")
    painted(stage, different(2))
    assert set(feature(stage, Memory)._store.levels) == {(i, side) for i in (0, 1) for side in (False, True)}


def test_a_new_size_begins_anew(house: Stages) -> None:
    stage = house.open(**ON, steps=1)
    painted(stage, different(2))
    before = feature(stage, Memory).nbytes
    house.change(stage, **ON, steps=1, size_px=2 * SIDE)
    assert [pixels.shape for pixels in painted(stage, different(2), first=2)] == [(2 * SIDE, 2 * SIDE, 3)] * 2
    assert feature(stage, Memory).nbytes == 4 * before


def test_a_model_without_attention_says_so_to_each_session_and_paints(folder_of: Folders) -> None:
    house = Stages(folder_of("painter"))
    plain = painted(house.open(), different(2))
    for _ in range(2):
        house.reports.clear()
        stage = house.open(**ON, cross_frame=1.0)
        assert apart(painted(stage, different(2)), plain) <= 1.0
        assert len([report for report in house.reports if "no self-attention" in report]) == 2


def pair(seed: int, tokens: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(tokens, 4, generator=draw), torch.randn(tokens, 3, generator=draw)


def test_merging_equal_tokens_changes_nothing() -> None:
    key, value = pair(1)
    for turn in (0, 1):
        merged_key, merged_value = merged((key, value), (key, value), turn)
        assert (merged_key.float() - key).abs().max() < 2e-3
        assert (merged_value.float() - value).abs().max() < 2e-3


def test_merging_loses_no_weight_of_any_token() -> None:
    """Each token is in exactly one mean; here each finds its like: means of two."""
    key = torch.eye(4)
    old, new = (key, torch.arange(12.0).reshape(4, 3)), (key, torch.ones(4, 3))
    merged_key, merged_value = merged(old, new, 0)
    assert merged_key.shape == key.shape
    assert torch.equal(merged_key.float(), key)
    assert torch.allclose(merged_value.float(), (old[1] + new[1]) / 2, atol=0.01)


def test_what_is_old_fades() -> None:
    draw = torch.Generator().manual_seed(3)
    held = (torch.randn(8, 4, generator=draw), torch.ones(8, 1))
    left = []
    for k in range(6):
        new = (torch.randn(8, 4, generator=draw), torch.zeros(8, 1))
        held = merged(held, new, k % 2)
        left.append(float(held[1].float().mean()))
    assert all(later < earlier for earlier, later in pairwise(left))
    assert left[-1] < 0.1
