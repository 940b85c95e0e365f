"""Four kinds of guidance, without carried noise, against the reference's recursion of the stock noise.

The oracle is `vocabulary.walk`, written from the formulas of StreamDiffusion's paper and code. It keeps the
stock noise from step to step; ours keeps an anchor and is a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from pipelines.diffusion.embedding import Embedding, Words
from pipelines.diffusion.guidance import MODES, Guidance
from pipelines.diffusion.levels import at_indices
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.schedule import Schedule, Step, make_schedule, without_noise
from pipelines.diffusion.stream_batch import StreamBatch, tick
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, picture, stamp, walk

Load = Callable[..., tuple[Painter, Oracle]]
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS = tuple(torch.cumprod(1 - BETAS, 0).tolist())
PLACES = {1: (32,), 2: (16, 32), 4: (0, 16, 32, 45)}
STRENGTHS = [(1.4, 1.0), (1.4, 0.5), (2.0, 0.8), (4.0, 0.3), (0.6, 1.2)]
WORDS = Words(Embedding("yes", torch.zeros(1, 2, 3)), Embedding("no", torch.ones(1, 2, 3)))


def network(which: int, x: torch.Tensor, t: int) -> torch.Tensor:
    """Stand in for a UNet that predicts noise: smooth, and different for prompt, negative prompt and time."""
    shifted = torch.roll(x, 1 + which, dims=-1)
    return torch.tanh(0.8 * x + 0.3 * shifted + (0.2 if which else -0.1) + t / 3000)


def said(eps: torch.Tensor, x: torch.Tensor, step: Step, prediction: str) -> torch.Tensor:
    """Return the output of a network of another kind that means the noise `eps`."""
    clean = (x - step.b * eps) / step.a
    return {"epsilon": eps, "sample": clean, "v_prediction": step.a * eps - step.b * clean}[prediction]


def painted(
    schedule: Schedule, own: torch.Tensor, noise: torch.Tensor, guidance: Guidance, prediction: str
) -> torch.Tensor:
    """Return the finished latent of one frame."""
    one = Trajectory(stamp(0), "one", schedule, noise, own, WORDS, guidance)
    while not one.is_finished:
        x, step = one.latent_1CHW, one.step
        rows = [0 if row.text == "yes" else 1 for row in one.embeddings()]
        outputs = [said(network(which, x, int(step.t)), x, step, prediction) for which in rows]
        one.advance(outputs, prediction)
    return one.latent_1CHW


def drawn(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(steps)
    return (
        torch.randn(1, 4, 8, 8, generator=draw, dtype=torch.float64),
        torch.randn(steps, 4, 8, 8, generator=draw, dtype=torch.float64),
    )


def oracle(
    own: torch.Tensor, noise: torch.Tensor, schedule: Schedule, mode: str, scale: float | None, delta: float
) -> torch.Tensor:
    levels = [(step.a, step.b) for step in schedule]
    x = schedule[0].a * own + schedule[0].b * noise[:1]
    return walk(x, noise, [int(step.t) for step in schedule], levels, network, mode, scale, delta)


def largest(tensor: torch.Tensor) -> float:
    return float(tensor.abs().max())


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize(("scale", "delta"), STRENGTHS)
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("mode", ["full", "self", "onetime"])
def test_the_closed_form_equals_the_recursion_of_the_stock_noise(
    mode: str, steps: int, scale: float, delta: float, prediction: str
) -> None:
    own, noise = drawn(steps)
    schedule = make_schedule(ALPHAS, at_indices(PLACES[steps]), prediction)
    mine = painted(schedule, own, noise, Guidance(mode, scale, delta), prediction)  # type: ignore[arg-type]
    theirs = oracle(own, noise, schedule, mode, scale, delta)
    assert largest(mine - theirs) < ATOL
    wrong = [
        painted(schedule, own, noise, Guidance(other, w, d), prediction)  # type: ignore[arg-type]
        for other, w, d in [("none", scale, delta), (mode, scale + 0.1, delta)]
    ]
    assert min(largest(one - theirs) for one in wrong) > 10 * ATOL


@pytest.mark.parametrize("mode", ["self", "onetime"])
def test_delta_is_seen(mode: str) -> None:
    own, noise = drawn(2)
    schedule = make_schedule(ALPHAS, at_indices(PLACES[2]), "epsilon")
    theirs = oracle(own, noise, schedule, mode, 1.5, 0.8)
    off = painted(schedule, own, noise, Guidance(mode, 1.5, 0.9), "epsilon")  # type: ignore[arg-type]
    assert largest(off - theirs) > 10 * ATOL


@pytest.mark.parametrize("scale", [0.5, 1.5, 7.0])
def test_onetime_with_one_step_and_delta_1_is_exactly_full(scale: float) -> None:
    own, noise = drawn(1)
    schedule = make_schedule(ALPHAS, (359,), "epsilon")
    full = painted(schedule, own, noise, Guidance("full", scale), "epsilon")
    assert torch.equal(full, painted(schedule, own, noise, Guidance("onetime", scale, 1.0), "epsilon"))
    assert largest(full - painted(schedule, own, noise, Guidance("onetime", scale, 0.9), "epsilon")) > ATOL


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("mode", MODES)
def test_scale_1_is_as_without_and_costs_no_further_row(mode: str, prediction: str) -> None:
    own, noise = drawn(4)
    schedule = make_schedule(ALPHAS, at_indices(PLACES[4]), prediction)
    guidance = Guidance(mode, 1.0, 0.4)  # type: ignore[arg-type]
    plain = painted(schedule, own, noise, Guidance(), prediction)
    assert torch.equal(plain, painted(schedule, own, noise, guidance, prediction))
    assert [len(guidance.rows(WORDS, i)) for i in range(4)] == [1, 1, 1, 1]
    assert guidance.row_count(4) == 4


@pytest.mark.parametrize(("mode", "rows"), [("none", 4), ("self", 4), ("onetime", 5), ("full", 8)])
def test_what_a_picture_costs(mode: str, rows: int) -> None:
    guidance = Guidance(mode, 2.0)  # type: ignore[arg-type]
    assert sum(len(guidance.rows(WORDS, i)) for i in range(4)) == guidance.row_count(4) == rows


@pytest.mark.parametrize("mode", ["self", "onetime"])
def test_without_fresh_noise_the_stock_noise_has_none_either(mode: str) -> None:
    """The reference adds the noise to its stock noise even where `do_add_noise=False` gave x none."""
    own, noise = drawn(2)
    schedule = make_schedule(ALPHAS, at_indices(PLACES[2]), "epsilon")
    mine = painted(without_noise(schedule), own, noise, Guidance(mode, 1.5, 0.7), "epsilon")  # type: ignore[arg-type]
    quiet = noise.clone()
    quiet[1:] = 0
    assert largest(mine - oracle(own, quiet, schedule, mode, 1.5, 0.7)) < ATOL


@pytest.mark.parametrize("mode", MODES)
def test_where_all_is_noise_the_guided_picture_is_finite(mode: str) -> None:
    """A schedule with zero terminal signal (a = 0), as v-prediction and flow models have."""
    own, noise = drawn(1)
    step = Step(999, 0.0, 1.0, fresh=1.0)
    one = Trajectory(stamp(0), "one", (step,), noise, own, WORDS, Guidance(mode, 3.0, 0.5))  # type: ignore[arg-type]
    outputs = [network(k, one.latent_1CHW, 999) for k, _ in enumerate(one.embeddings())]
    one.advance(outputs, "v_prediction")
    assert torch.isfinite(one.latent_1CHW).all()


def test_ddim_and_tcd_keep_the_guided_noise() -> None:
    """Against DDIM's and TCD's own formulas, which are written on the guided noise."""
    own, noise = drawn(2)
    first, second = ((a, b) for a, b in ((ALPHAS[t] ** 0.5, (1 - ALPHAS[t]) ** 0.5) for t in (679, 359)))
    x = first[0] * own + first[1] * noise[:1]

    def guided(at: torch.Tensor, t: int) -> torch.Tensor:
        other = network(1, at, t)
        return other + 1.7 * (network(0, at, t) - other)

    eps = guided(x, 679)
    clean = (x - first[1] * eps) / first[0]
    between = ALPHAS[int(0.7 * 359)]
    reached = between**0.5 * clean + (1 - between) ** 0.5 * eps
    nexts = {
        "ddim": second[0] * clean + second[1] * eps,
        "tcd": second[0] / between**0.5 * reached + (1 - second[0] ** 2 / between) ** 0.5 * noise[1:],
    }
    ends = {"ddim": 1.0, "tcd": ALPHAS[0]}  # tcd ends at the first timestep, as diffusers has it
    for sampler, expected in nexts.items():
        schedule = make_schedule(ALPHAS, (679, 359), "epsilon", sampler=sampler, eta=0.3)
        mine = painted(schedule, own, noise, Guidance("full", 1.7), "epsilon")
        eps = guided(expected, 359)
        last = (
            ends[sampler] ** 0.5 * (expected - second[1] * eps) / second[0] + (1 - ends[sampler]) ** 0.5 * eps
        )
        assert largest(mine - last) < ATOL


@pytest.mark.parametrize("kind", ["sd", "painter"])
@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("mode", ["self", "onetime"])
def test_a_stream_under_residual_guidance_equals_each_frame_run_alone(
    painter_of: Load, mode: str, steps: int, kind: str
) -> None:
    painter, alone = painter_of(kind)
    batch, out = StreamBatch(), list[Trajectory]()
    words = painter.book.words("oil", "dog")
    for seq in range(steps + 2):
        batch.admit(
            painter.start(
                stamp(seq), "one", painter.encode([picture(seq)]), words, Wish(steps),
                Guidance(mode, 1.6, 0.8),  # type: ignore[arg-type]
            )
        )  # fmt: skip
        out += _trajectories(tick(painter, [batch])[0])
    while batch:
        out += _trajectories(tick(painter, [batch])[0])
    assert len(out) == steps + 2
    for seq, one in enumerate(out):
        right = alone.paint(
            picture(seq), "oil", painter.levels.timesteps(steps, 0.5),
            guidance_scale=1.6, negative="dog", mode=mode, delta=0.8,
        )  # fmt: skip
        assert largest(one.latent_1CHW - right) < ATOL


def _trajectories(finished: Sequence[object]) -> list[Trajectory]:
    return [one for one in finished if isinstance(one, Trajectory)]
