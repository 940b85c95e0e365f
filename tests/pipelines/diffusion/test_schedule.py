"""Coefficients and noise levels, against diffusers' own LCM scheduler and published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, TCDScheduler
from hypothesis import given
from hypothesis import strategies as st

from pipelines.diffusion.angles import Angles
from pipelines.diffusion.levels import Levels, at_indices, lcm_indices, listed, trailing
from pipelines.diffusion.schedule import (
    PREDICTIONS,
    Step,
    estimate,
    finished,
    first_latent,
    make_schedule,
    next_latent,
    seen_noise,
    to_x0,
)
from tests.pipelines.diffusion.vocabulary import drawn

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ALPHAS = tuple(LCMScheduler(**SD).alphas_cumprod.tolist())
PAINTER = {1: (59,), 2: (99, 39), 4: (139, 99, 59, 19)}


def test_coefficients_are_those_measured_on_the_reference() -> None:
    steps = make_schedule(ALPHAS, at_indices((0, 16, 32, 45)), "epsilon")
    assert [step.t for step in steps] == [999, 679, 359, 99]
    assert [step.a for step in steps] == pytest.approx([0.06826, 0.30981, 0.70107, 0.94629], abs=1e-5)
    assert [step.b for step in steps] == pytest.approx([0.99767, 0.95080, 0.71309, 0.32332], abs=1e-5)
    assert all(step.c_skip < 2.6e-7 and step.c_out > 0.9999998 for step in steps)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("timesteps", [(999, 679, 359, 99), (59,), (3, 0)])
def test_a_walk_equals_diffusers_lcm_scheduler(kind: str, timesteps: tuple[int, ...]) -> None:
    scheduler = LCMScheduler(**SD, prediction_type=kind)
    scheduler.set_timesteps(timesteps=list(timesteps))
    outputs = torch.randn(len(timesteps), 1, 4, 8, 8)
    x = theirs = torch.randn(1, 4, 8, 8)
    steps = make_schedule(ALPHAS, timesteps, kind)
    for i, step in enumerate(steps):
        torch.manual_seed(i)
        theirs, clean = scheduler.step(outputs[i], step.t, theirs, return_dict=False)
        mine = to_x0(outputs[i], x, step, kind)
        assert (mine - clean).abs().max() < 2e-4 * clean.abs().max().clamp(min=1)
        if i + 1 < len(steps):
            torch.manual_seed(i)
            x = first_latent(mine, steps[i + 1], torch.randn(1, 4, 8, 8))
            assert (x - theirs).abs().max() < 2e-4 * theirs.abs().max().clamp(min=1)


def walk(scheduler: Any, steps: Sequence[Step], kind: str, **more: float) -> float:
    """Return the largest relative difference of a walk by diffusers' scheduler and by ours."""
    outputs = torch.randn(len(steps), 1, 4, 8, 8)
    fresh = torch.randn(len(steps), 1, 4, 8, 8)
    x = theirs = torch.randn(1, 4, 8, 8)
    worst = 0.0
    for i, step in enumerate(steps):
        with drawn(type(scheduler).__module__.removeprefix("diffusers."), [fresh[i, 0]]):
            theirs = scheduler.step(outputs[i], torch.tensor(int(step.t)), theirs, **more).prev_sample
        clean = estimate(outputs[i], x, step, kind)
        seen = seen_noise(x, clean, step)
        is_last = i + 1 == len(steps)
        x = finished(clean, seen, step) if is_last else next_latent(clean, seen, steps[i + 1], fresh[i])
        worst = max(worst, float((x - theirs).abs().max() / theirs.abs().max()))
    return worst


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_walk_equals_diffusers_tcd_scheduler(kind: str, eta: float, count: int) -> None:
    scheduler = TCDScheduler(**SD, prediction_type=kind)
    scheduler.set_timesteps(count)
    timesteps = at_indices(lcm_indices(count, 1.0))
    assert list(timesteps) == scheduler.timesteps.tolist()
    steps = make_schedule(ALPHAS, timesteps, kind, sampler="tcd", eta=eta)
    assert walk(scheduler, steps, kind, eta=eta) < 2e-5
    if count > 1 and eta:
        other = make_schedule(ALPHAS, timesteps, kind, sampler="tcd", eta=eta - 0.1)
        scheduler.set_timesteps(count)
        assert walk(scheduler, other, kind, eta=eta) > 1e-3


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("ends_clean", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_walk_equals_diffusers_ddim_scheduler(kind: str, ends_clean: bool, count: int) -> None:
    how = SD | {"prediction_type": kind, "timestep_spacing": "trailing", "clip_sample": False}
    scheduler = DDIMScheduler(**how, set_alpha_to_one=ends_clean)
    scheduler.set_timesteps(count)
    timesteps = trailing(count, 1.0)
    assert list(timesteps) == scheduler.timesteps.tolist()
    end = 1.0 if ends_clean else ALPHAS[0]
    steps = make_schedule(ALPHAS, timesteps, kind, sampler="ddim", end_alpha=end)
    assert walk(scheduler, steps, kind) < 2e-5


def test_tcd_without_fresh_noise_is_ddim() -> None:
    timesteps = at_indices((0, 16, 32, 45))
    tcd = make_schedule(ALPHAS, timesteps, "epsilon", sampler="tcd", eta=0.0)
    ddim = make_schedule(ALPHAS, timesteps, "epsilon", sampler="ddim", end_alpha=ALPHAS[0])
    for one, other in zip(tcd, ddim, strict=True):
        assert (one.kept, one.fresh, one.left) == pytest.approx((other.kept, other.fresh, other.left))


@pytest.mark.parametrize("sampler", ["lcm", "tcd", "ddim", "ancestral"])
def test_every_sampler_ends_a_step_with_the_noise_of_its_level(sampler: str) -> None:
    kinds = [
        make_schedule(ALPHAS, (999, 679, 359, 99), "epsilon", sampler=sampler),
        Angles().schedule(4, 0.9, sampler=sampler),
    ]
    for steps in kinds:
        for step in steps[1:]:
            assert step.kept**2 + step.fresh**2 == pytest.approx(step.b**2)


def test_prediction_types_differ() -> None:
    (step,) = make_schedule(ALPHAS, (499,), "epsilon")
    output, x = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    cleans = [to_x0(output, x, step, kind) for kind in PREDICTIONS]
    assert all((a - b).abs().mean() > 0.1 for a, b in [cleans[:2], cleans[1:], cleans[::2]])


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("strength", [0.1, 0.3, 0.5, 0.58, 0.75, 1.0])
def test_lcm_timesteps_are_those_of_diffusers_img2img(steps: int, strength: float) -> None:
    scheduler = LCMScheduler(**SD)
    scheduler.set_timesteps(steps, strength=strength)
    assert list(at_indices(lcm_indices(steps, strength))) == scheduler.timesteps.tolist()


def test_a_strength_too_small_for_the_steps_takes_the_least_noise() -> None:
    assert at_indices(lcm_indices(4, 0.0)) == (79, 59, 39, 19)


def test_turbo_takes_the_levels_it_was_trained_at() -> None:
    assert trailing(4, 1.0) == (999, 749, 499, 249)
    assert trailing(1, 0.5) == (499,)
    assert trailing(2, 0.5) == (499, 249)


def test_listed_levels_at_the_usual_strength_are_the_list() -> None:
    levels = Levels(ALPHAS, "sample", table=PAINTER)
    for steps, timesteps in PAINTER.items():
        assert levels.timesteps(steps, 0.5) == timesteps
        assert levels.timesteps(steps, 1.0) == tuple(2 * t for t in timesteps)
    assert levels.timesteps(3, 0.5) == (139, 79, 19)


def test_levels_may_be_listed_for_pictures_from_noise_alone() -> None:
    levels = Levels(ALPHAS, "epsilon", table={1: (800,)}, listed_at=1.0)
    assert [levels.timesteps(1, strength) for strength in (1.0, 0.5)] == [(800,), (400,)]


def test_a_list_without_the_number_of_steps_is_drawn_out() -> None:
    assert listed({1: (59,)}, 3) == (59, 39, 19)
    assert listed({2: (900, 100)}, 4) == (900, 633, 367, 100)


def kinds() -> list[Any]:
    return [
        Angles(),
        Levels(ALPHAS, "epsilon"),
        Levels(ALPHAS, "epsilon", is_trailing=True),
        Levels(ALPHAS, "sample", table=PAINTER),
        Levels(ALPHAS, "sample", table=PAINTER, translates=True),
        Levels(ALPHAS, "epsilon", table={4: (900, 800, 700, 600)}),
    ]


@given(st.sampled_from(kinds()), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1))
def test_strength_never_acts_the_other_way(levels: Levels, steps: int, one: float, other: float) -> None:
    weak, strong = sorted((one, other))
    low, high = levels.schedule(steps, weak), levels.schedule(steps, strong)
    assert len(low) == len(high) == steps
    assert all(a.t <= b.t for a, b in zip(low, high, strict=True))
    assert 0.0 <= levels.painted(weak) <= levels.painted(strong) <= 1.0


def test_a_translator_is_mixed_with_the_picture_below_the_usual_strength() -> None:
    levels = Levels(ALPHAS, "sample", table=PAINTER, translates=True)
    assert [levels.painted(s) for s in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert levels.timesteps(2, 0.1) == PAINTER[2]
    assert Levels(ALPHAS, "sample", table=PAINTER).painted(0.1) == 1.0


@pytest.mark.parametrize("timesteps", [(), (5, 5), (3, 9), (1000,), (-1,)])
def test_timesteps_that_cannot_be_are_refused(timesteps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="timestep"):
        make_schedule(ALPHAS, timesteps, "epsilon")


def test_unknown_prediction_and_pure_noise_are_refused() -> None:
    with pytest.raises(ValueError, match="flow"):
        make_schedule(ALPHAS, (59,), "flow")
    with pytest.raises(ValueError, match="noise"):
        make_schedule((*ALPHAS[:-1], 0.0), (999,), "epsilon")
    assert make_schedule((*ALPHAS[:-1], 0.0), (999,), "v_prediction")[0].a == 0.0
