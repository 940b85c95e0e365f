"""Faults of StreamDiffusion (0.1.1) and of projects built on it, each with a test that it would fail.

Found by running or reading them; the numbers in brackets are measurements of the reference. What is tested
elsewhere too is here once more, so that this list is whole.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.diffusion import folder as folders
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.embedding import Embedding, Words
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.noise import Seeds
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.schedule import make_schedule
from pipelines.diffusion.stream_batch import StreamBatch, tick
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from realtime.core.frame import Frame
from tests.pipelines.diffusion.house import SIDE as STAGE_SIDE
from tests.pipelines.diffusion.house import House, alone, drained, near, off
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, frame, picture, stamp

Load = Callable[..., tuple[Painter, Oracle]]
Folders = Callable[..., Path]
MODES = ["none", "full", "self", "onetime"]
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS = tuple(torch.cumprod(1 - BETAS, 0).tolist())
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def house(folder_of: Folders) -> House:
    return House(folder_of("sd"))


def largest(tensor: torch.Tensor) -> float:
    return float(tensor.abs().max())


def start(
    painter: Painter,
    seq: int,
    *,
    prompt: str = "oil",
    negative: str = "dog",
    steps: int = 2,
    mode: str = "none",
    scale: float = 1.6,
    delta: float = 0.8,
    reference: torch.Tensor | None = None,
    **wish: Any,
) -> Trajectory:
    return painter.start(
        stamp(seq),
        "one",
        painter.encode([picture(seq)]) if reference is None else reference,
        painter.book.words(prompt, negative),
        Wish(steps, **wish),
        Guidance(mode, scale, delta),  # type: ignore[arg-type]
    )


def run_all(painter: Painter, batch: StreamBatch) -> list[Trajectory]:
    out: list[Any] = []
    while batch:
        out += tick(painter, [batch])[0]
    return out


def right(
    painter: Painter, oracle: Oracle, seq: int, *, prompt: str = "oil", steps: int = 2, **how: Any
) -> torch.Tensor:
    return oracle.paint(picture(seq), prompt, painter.levels.timesteps(steps, 0.5), **how)


# 1. One-step "self" feeds its stock noise back from frame to frame and diverges (NaN before frame 40).


def test_one_step_self_negative_stays_finite_over_10000_frames() -> None:
    (step,) = schedule = make_schedule(ALPHAS, (999,), "epsilon")
    draw = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 4, 4, 4, generator=draw)
    words = Words(Embedding("", torch.zeros(1, 1, 1)), Embedding("", torch.zeros(1, 1, 1)))
    guidance = Guidance("self", 1.4, 1.0)

    def network(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)

    worst = 0.0
    stock = noise
    diverged_at = 0
    for seq in range(10_000):
        own = torch.randn(1, 4, 4, 4, generator=draw)
        one = Trajectory(stamp(seq), "one", schedule, noise, own, words, guidance)
        x = one.latent_1CHW
        one.advance([network(x)], "epsilon")
        worst = max(worst, largest(one.latent_1CHW))
        if not diverged_at:  # what the reference does with the same frames
            eps = stock + guidance.scale * (network(x) - stock)
            stock = noise + (step.b * stock - step.b * eps) / step.a
            diverged_at = seq if largest(stock) > 1e6 else 0
    assert worst < 100
    assert 0 < diverged_at < 40


@pytest.mark.slow
def test_one_step_self_negative_paints_200_frames_right(painter_of: Load) -> None:
    painter, oracle = painter_of("sd")
    batch = StreamBatch()
    t_index = (0,)
    for seq in range(200):
        batch.admit(start(painter, seq, mode="self", delta=1.0, scale=1.4, t_index=t_index))
        (one,) = tick(painter, [batch])[0]
        assert isinstance(one, Trajectory)
        assert largest(one.latent_1CHW) < 100
    alone_latent = oracle.paint(picture(199), "oil", [999], guidance_scale=1.4, mode="self", delta=1.0)
    assert largest(one.latent_1CHW - alone_latent) < ATOL * 5  # at t 999 the picture is noise divided by 0.07


# 2. and 3. More than one frame a call: a size error for two or more steps, and for "onetime" with any.


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_two_frames_a_call_are_painted_right_at_any_number_of_steps(
    painter_of: Load, mode: str, steps: int
) -> None:
    painter, oracle = painter_of("sd")
    batch, out = StreamBatch(), list[Any]()
    for seq in range(0, 6, 2):
        batch.admit(start(painter, seq, mode=mode, steps=steps))
        batch.admit(start(painter, seq + 1, mode=mode, steps=steps))
        out += tick(painter, [batch])[0]
    out += run_all(painter, batch)
    assert [one.stamp.seq for one in out] == list(range(6))
    how = {"guidance_scale": 1.6, "negative": "dog", "mode": mode, "delta": 0.8}
    for one in out:
        assert largest(one.latent_1CHW - right(painter, oracle, one.stamp.seq, steps=steps, **how)) < ATOL


# 4. A new prompt drops the negative rows: an error under "full" and "initialize".


@pytest.mark.parametrize("mode", MODES)
def test_a_new_prompt_acts_under_every_guidance(house: House, mode: str) -> None:
    oracle = Oracle.of(house.folder)
    wish = {"steps": 2, "guidance": mode, "guidance_scale": 1.6, "delta": 0.8, "negative_prompt": "dog"}
    stage = house.open(**wish)
    stage.process(frame(0, 1, STAGE_SIDE, STAGE_SIDE))
    stage.configure(house.config(**wish, prompt="cat"))
    stage.painter.book.later(lambda: None).result(TIMEOUT_S)
    out = [*stage.process(frame(1, 1, STAGE_SIDE, STAGE_SIDE)), *drained(stage)]
    timesteps = stage.painter.levels.timesteps(2, 0.5)
    for emitted, prompt in zip(out, ("oil", "cat"), strict=True):
        exact = oracle.decode(
            oracle.paint(
                picture(1, STAGE_SIDE, STAGE_SIDE), prompt, timesteps,
                guidance_scale=1.6, negative="dog", mode=mode, delta=0.8,
            )
        )  # fmt: skip
        assert off(emitted.value.pixels, exact) < 0.6
    assert not near(out[0].value.pixels, out[1].value.pixels)


# 5. A guidance scale of 1 or less raises under "full" and "initialize".


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("mode", ["full", "self", "onetime"])
def test_a_scale_of_1_or_less_is_painted_and_not_refused(painter_of: Load, mode: str, scale: float) -> None:
    painter, oracle = painter_of("sd")
    batch = StreamBatch()
    batch.admit(start(painter, 3, mode=mode, scale=scale))
    (one,) = run_all(painter, batch)
    how = {"guidance_scale": scale, "negative": "dog", "mode": mode, "delta": 0.8}
    assert largest(one.latent_1CHW - right(painter, oracle, 3, **how)) < ATOL
    PaintConfig(guidance=mode, guidance_scale=scale)  # type: ignore[arg-type]


# 6. Step after step instead of batched: "full" raises, "self" multiplies the noise (its stock noise stays 0).


@pytest.mark.parametrize("mode", MODES)
def test_a_frame_that_is_painted_alone_step_after_step_is_the_same(painter_of: Load, mode: str) -> None:
    painter, oracle = painter_of("sd")
    for seq in range(3):
        batch = StreamBatch()
        batch.admit(start(painter, seq, mode=mode, steps=4))
        (one,) = run_all(painter, batch)
        how = {"guidance_scale": 1.6, "negative": "dog", "mode": mode, "delta": 0.8}
        assert largest(one.latent_1CHW - right(painter, oracle, seq, steps=4, **how)) < ATOL


# 7. Step after step the noise is overwritten with the noised latent (std .999 to 2.40 in 12 still frames).


@pytest.mark.slow
def test_noise_does_not_drift_over_1000_still_frames(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    reference = painter.encode([picture(0)])
    before = painter.noises.of_seed(2, 2, 8).clone()
    batch, seen = StreamBatch(), list[torch.Tensor]()
    for seq in range(1000):
        batch.admit(start(painter, seq, mode="self", reference=reference))
        seen += [one.latent_1CHW for one in tick(painter, [batch])[0] if isinstance(one, Trajectory)]
    assert torch.equal(painter.noises.of_seed(2, 2, 8), before)
    # Not to the last bit: the painter may try whether two rows are cheaper in two calls.
    assert max(largest(one - seen[1]) for one in seen[2:]) < 1e-5


# 8. To prepare again without a seed falls back to seed 2, empties the buffer; the generator is everyone's.


def test_a_session_that_is_opened_again_keeps_its_seed(house: House) -> None:
    stage = house.open(seed=9)
    (first,) = stage.process(frame(0, 1))
    stage.close()
    house.open("another", seed=4, vary=True).process(frame(0, 1))  # draws noise of its own meanwhile
    stage.open(house.context())
    (again,) = stage.process(frame(1, 1))
    stage.reset()
    (after,) = stage.process(frame(2, 1))
    (other,) = house.open(seed=2).process(frame(0, 1))
    assert near(first.value.pixels, again.value.pixels)
    assert near(first.value.pixels, after.value.pixels)
    assert not near(first.value.pixels, other.value.pixels)


def test_a_prompt_or_another_setting_keeps_the_seed(house: House) -> None:
    stage = house.open(seed=9)
    (first,) = stage.process(frame(0, 1))
    for wish in ({"prompt": "cat"}, {"steps": 2}, {"guidance": "self"}, {}):
        stage.configure(house.config(**{"seed": 9, **wish}))
        stage.painter.book.later(lambda: None).result(TIMEOUT_S)
        stage.process(frame(1, 1))
        drained(stage)
    (last,) = stage.process(frame(2, 1))
    assert near(first.value.pixels, last.value.pixels)


# 9. Text-to-image and step-after-step draw from torch's global generator: not repeatable by the seed.


@pytest.mark.parametrize(
    "wish", [{"start_from": "noise"}, {"start_from": "noise", "vary": True}, {"steps": 4}]
)
def test_pictures_repeat_by_seed_whatever_the_global_generators_do(
    house: House, wish: dict[str, Any]
) -> None:
    def painted(noise_seed: int, **more: Any) -> list[bytes]:
        torch.manual_seed(noise_seed)
        random.seed(noise_seed)
        np.random.seed(noise_seed)
        states = [torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()]
        stage = house.open(**wish, **more)
        out = [one for seq in range(3) for one in stage.process(frame(seq, 1))] + drained(stage)
        assert torch.equal(torch.random.get_rng_state(), states[0])
        assert random.getstate() == states[1]
        assert np.random.get_state()[1].tobytes() == states[2]
        return [one.value.pixels.tobytes() for one in out]

    first = painted(1, seed=5)
    assert painted(2, seed=5) == first
    assert painted(1, seed=6) != first
    if wish.get("vary"):
        assert len(set(first)) == 3


def test_from_noise_the_picture_is_that_of_text_to_image_and_not_of_the_camera(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(start_from="noise", steps=2)
    out = [one for seq in range(3) for one in stage.process(frame(seq, seq))] + drained(stage)
    timesteps = stage.painter.levels.timesteps(2, 1.0)
    exact = oracle.decode(oracle.paint(picture(0, STAGE_SIDE, STAGE_SIDE), "oil", timesteps, from_noise=True))
    assert all(off(one.value.pixels, exact) < 0.6 for one in out)


# 10. A frame without a dark pixel is normalised once more: [.2, 1] becomes [-.6, 1].


def test_a_frame_without_a_dark_pixel_is_painted_right(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open()
    bright = (picture(4, STAGE_SIDE, STAGE_SIDE) // 3 + 160).astype(np.uint8)
    assert bright.min() > 127
    (out,) = stage.process(Frame(stamp(0), bright))
    assert off(out.value.pixels, alone(oracle, bright, stage)) < 0.55
    again = ((bright / 255.0 - 0.5) * 2 * 255).clip(0, 255).astype(np.uint8)
    assert off(out.value.pixels, alone(oracle, again, stage)) > 3


# 11. One stream for all users: with two that take turns at 4 steps, B is sent A's picture (difference 0.0).


def test_two_users_who_take_turns_never_get_each_others_picture(house: House) -> None:
    oracle = Oracle.of(house.folder)
    users = {"ann": house.open("ann", steps=4), "bob": house.open("bob", steps=4, prompt="cat")}
    seen: dict[str, list[Any]] = {"ann": [], "bob": []}
    for turn in range(6):
        for k, (name, stage) in enumerate(users.items()):
            one = Frame(stamp(turn, name), picture(100 * k + turn, STAGE_SIDE, STAGE_SIDE))
            seen[name] += stage.process(one)
    for k, (name, stage) in enumerate(users.items()):
        seen[name] += drained(stage)
        assert [(one.stamp.source, one.stamp.seq) for one in seen[name]] == [(name, n) for n in range(6)]
        for turn in (0, 5):
            own = picture(100 * k + turn, STAGE_SIDE, STAGE_SIDE)
            exact = alone(oracle, own, stage, "cat" if k else "oil", steps=4)
            assert off(seen[name][turn].value.pixels, exact) < 0.6


# 12. CUDA events without a CUDA device: a crash on CPU and MPS.


def test_nothing_of_cuda_is_touched_where_there_is_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("CUDA was asked for")

    for name in ("Event", "synchronize", "Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    stage = House(house.folder).open(steps=2, guidance="full")
    assert len([one for seq in range(3) for one in stage.process(frame(seq))]) == 2


# 13. LoRAs are left out without a word where the model's name holds "turbo".


def test_a_lora_of_a_model_named_turbo_is_fused(folder_of: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "my-sd-turbo"
    shutil.copytree(folder_of("turbo"), folder)
    unet = folders.read(folder).unet
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    rows, columns = unet.get_submodule(name).weight.shape
    draw = torch.Generator().manual_seed(0)
    state = {
        f"unet.{name}.lora_A.weight": torch.randn(2, columns, generator=draw),
        f"unet.{name}.lora_B.weight": torch.randn(rows, 2, generator=draw),
    }
    save_file(state, folder / "look.safetensors")
    reports: list[str] = []
    latents = []
    for loras in ([], [{"file": "look.safetensors"}]):
        (folder / "vitascope.json").write_text(json.dumps({"loras": loras}), encoding="utf-8")
        painter = load_painter(folder, engine="torch", precision="fp32", size_px=64, report=reports.append)
        batch = StreamBatch()
        batch.admit(start(painter, 0))
        latents += [one.latent_1CHW for one in run_all(painter, batch)]
        painter.close()
    assert largest(latents[0] - latents[1]) > 0.02
    assert any("look is part of the model" in sentence for sentence in reports)


# 14. The negative prompt has no effect under "self" and "none", and nothing says so.


def test_the_negative_prompt_acts_where_the_settings_say_so(house: House) -> None:
    pictures = {}
    for mode in MODES:
        for negative in ("dog", "warm cat"):
            stage = house.open(guidance=mode, guidance_scale=2.0, negative_prompt=negative)
            (out,) = stage.process(frame(0, 1))
            pictures[mode, negative] = out.value.pixels
    acts = {mode: not near(pictures[mode, "dog"], pictures[mode, "warm cat"]) for mode in MODES}
    assert acts == {"none": False, "full": True, "self": False, "onetime": True}
    says = PaintConfig.model_fields["negative_prompt"].description or ""
    assert all(f'"{mode}"' in says for mode, does in acts.items() if does)


# 16. TCD falls out of the batch; the size restarts the pipeline; what is returned is overwritten later.


@pytest.mark.parametrize("sampler", ["tcd", "ddim"])
def test_every_sampler_goes_through_the_batch_and_mixes_with_others(painter_of: Load, sampler: str) -> None:
    painter, _ = painter_of("sd")
    single = []
    for seq in range(4):
        batch = StreamBatch()
        batch.admit(start(painter, seq, steps=3, sampler=sampler if seq % 2 else "lcm"))
        single += run_all(painter, batch)
    batch, out = StreamBatch(), list[Any]()
    for seq in range(4):
        batch.admit(start(painter, seq, steps=3, sampler=sampler if seq % 2 else "lcm"))
        out += tick(painter, [batch])[0]
    out += run_all(painter, batch)
    for one, other in zip(out, single, strict=True):
        assert largest(one.latent_1CHW - other.latent_1CHW) < ATOL


def test_a_new_size_keeps_the_frames_in_flight(house: House) -> None:
    stage = house.open(steps=4)
    for seq in range(3):
        stage.process(frame(seq))
    stage.configure(house.config(steps=4, size_px=256))
    out = [one for seq in range(3, 6) for one in stage.process(frame(seq))] + drained(stage)
    assert [one.stamp.seq for one in out] == list(range(6))
    assert [one.value.pixels.shape[0] for one in out] == [192] * 3 + [256] * 3


def test_kept_pictures_do_not_change_when_later_ones_are_painted(house: House) -> None:
    stage = house.open(steps=2)
    kept: list[tuple[np.ndarray, bytes]] = []
    for seq in range(8):
        for one in stage.process(frame(seq)):
            assert not one.value.pixels.flags.writeable
            kept.append((one.value.pixels, one.value.pixels.tobytes()))
    assert all(pixels.tobytes() == before for pixels, before in kept)
    assert len({before for _, before in kept}) == 7


@pytest.mark.parametrize("sampler", ["ddim", "tcd", "lcm"])
def test_a_finished_frame_that_waits_for_older_ones_is_not_overwritten(
    painter_of: Load, sampler: str
) -> None:
    """A network that names the clean latent: its output is the picture, in the engine's own memory."""
    painter, _ = painter_of("painter")
    batch = StreamBatch()
    batch.admit(start(painter, 0, steps=4, sampler=sampler))
    batch.admit(start(painter, 1, steps=1, sampler=sampler))
    tick(painter, [batch])
    batch.admit(start(painter, 2, steps=1, sampler=sampler))  # the same shapes: it runs in the same memory
    out = run_all(painter, batch)
    single = StreamBatch()
    single.admit(start(painter, 1, steps=1, sampler=sampler))
    (expected,) = run_all(painter, single)
    assert largest(out[1].latent_1CHW - expected.latent_1CHW) < ATOL


# And without numbers: sizes cut off (60 x 100 gives 56 x 96), brown frames, the last frames lost.


def test_a_size_that_does_not_fit_is_refused_and_not_cut_off(house: House) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        PaintConfig(size_px=200)
    refusal = house.open().painter.refusal(200)
    assert refusal is not None
    assert "multiple of 16" in refusal.hint
    for size_px in (192, 320):
        (out,) = house.open(size_px=size_px).process(frame(0))
        assert out.value.pixels.shape == (size_px, size_px, 3)


def test_until_the_first_frame_is_painted_nothing_comes_out(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(steps=4)
    frames = [frame(seq, height=STAGE_SIDE, width=STAGE_SIDE) for seq in range(4)]
    assert [len(stage.process(one)) for one in frames[:3]] == [0, 0, 0]
    (first,) = stage.process(frames[3])
    assert first.stamp.seq == 0
    assert off(first.value.pixels, alone(oracle, frames[0].pixels, stage, steps=4)) < 0.6


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_last_frames_come_out(house: House, count: int) -> None:
    stage = house.open(steps=4)
    out = [one for seq in range(count) for one in stage.process(frame(seq))]
    for _ in range(3):
        out += stage.process(None)
    assert [one.stamp.seq for one in out] == list(range(count))
    assert stage.process(None) == ()


def test_a_change_of_the_view_is_seen_after_as_many_calls_as_there_are_steps(house: House) -> None:
    """Reference: a view that changes once and then stays still is shown after 37 calls (n = 4)."""
    stage = house.open(steps=4)
    for seq in range(6):
        stage.process(frame(seq, 1))
    shown = [one.stamp.seq for seq in range(6, 10) for one in stage.process(frame(seq, 2))]
    assert 6 in shown


def test_noise_is_by_the_seed_and_not_by_how_many_asked_before(painter_of: Load) -> None:
    painter, _ = painter_of("sd")
    first = painter.noises.blended(Seeds(123), 2, 8).clone()
    for seed in range(100):
        painter.noises.blended(Seeds(seed), 2, 8)
    assert torch.equal(painter.noises.blended(Seeds(123), 2, 8), first)
