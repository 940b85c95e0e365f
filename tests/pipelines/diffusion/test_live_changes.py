"""A thousand changes to a running session, in any order, with frames, drains and resets between them.

A state machine turns the knobs of a real stage over a tiny model and holds what comes out against what was
set when each frame went in: which frames, in which order, by which settings, and for every seventh of them
the picture itself, against the oracle.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pipelines.diffusion.blend import parts_of
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.fields import indices
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.stream_batch import Echo, StreamBatch
from pipelines.diffusion.trajectory import Trajectory
from realtime.core.stage import Emitted
from tests.pipelines.diffusion.house import SIDE, House, off
from tests.pipelines.diffusion.vocabulary import Oracle, frame, picture

TIMEOUT_S = 20.0
EXAMPLES, STEPS, MOST_TURNS = 8, 60, 12
CHANGES = 1000
LOOKED_AT = 7
"""Every so many frames the picture is held against the oracle's."""
PICTURES = 5

PROMPTS = st.sampled_from(["oil", "cat", "oil:0.7 | cat:0.3", "dog | cat:0.2 | ", "warm"])
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "prompt": PROMPTS,
        "negative_prompt": PROMPTS,
        "blend": st.sampled_from(["linear", "spherical"]),
        "transition_s": st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    },
)
NOISE = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 3),
        "seed_to": st.integers(0, 3),
        "seed_blend": st.sampled_from([0.0, 0.0, 0.25, 1.0]),
        "vary": st.booleans(),
        "add_noise": st.booleans(),
        "start_from": st.sampled_from(["picture", "picture", "noise"]),
    },
)
GUIDANCE = st.fixed_dictionaries(
    {},
    optional={
        "guidance": st.sampled_from(["none", "full", "self", "onetime"]),
        "guidance_scale": st.sampled_from([0.5, 1.0, 1.4, 2.0]),
        "delta": st.sampled_from([0.5, 1.0]),
    },
)
LEVELS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 4),
        "strength": st.sampled_from([0.3, 0.5, 1.0]),
        "t_index": st.sampled_from(["", "", "45", "16, 32", "0, 16, 32, 45"]),
        "sampler": st.sampled_from(["auto", "lcm", "tcd", "ddim"]),
    },
)
COUNTS = st.integers(0, 2)
SIZE = st.fixed_dictionaries({"size_px": st.sampled_from([SIDE, SIDE + 64])})


class Watched(StreamBatch):
    """Remember the newest frame that came in, and those that finished."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: Trajectory | None = None
        self.done: list[Trajectory] = []

    def admit(self, trajectory: Trajectory) -> None:
        super().admit(trajectory)
        self.newest = trajectory

    def take_finished(self) -> list[Trajectory | Echo]:
        out = super().take_finished()
        self.done += [one for one in out if isinstance(one, Trajectory)]
        return out


class LiveChanges(RuleBasedStateMachine):
    """Turn knobs. `house` and `oracle` are set by the test."""

    house: House
    oracle: Oracle
    changes = 0
    looked_at = 0
    painted = 0
    megabytes: ClassVar[list[float]]

    @initialize()
    def open(self) -> None:
        gc.collect()
        self.alive_before = sum(type(one) is Trajectory for one in gc.get_objects())  # other tests' own
        self.asked: dict[str, Any] = {}
        self.stage: PaintStage = self.house.open()
        self.stage.batch = self.batch = Watched()
        self.configured = 1  # `open` of the house takes its settings so
        self.seq = 0
        self.pending: deque[tuple[int, PaintConfig, int]] = deque()
        """Number, settings and version of each frame in flight, oldest first."""
        self.is_settled = True
        """Whether all that was asked for is ready."""

    @property
    def config(self) -> PaintConfig:
        return self.house.config(**self.asked)

    @rule(changes=st.lists(WORDS, min_size=1, max_size=3), frames=COUNTS)
    def change_words(self, changes: list[dict[str, Any]], frames: int) -> None:
        self.change(changes)
        self.frames(frames)

    @rule(changes=st.lists(NOISE, min_size=1, max_size=3), frames=COUNTS)
    def change_noise(self, changes: list[dict[str, Any]], frames: int) -> None:
        self.change(changes)
        self.frames(frames)

    @rule(changes=st.lists(GUIDANCE, min_size=1, max_size=3), frames=COUNTS)
    def change_guidance(self, changes: list[dict[str, Any]], frames: int) -> None:
        self.change(changes)
        self.frames(frames)

    @rule(changes=st.lists(LEVELS, min_size=1, max_size=3), frames=COUNTS)
    def change_levels(self, changes: list[dict[str, Any]], frames: int) -> None:
        self.change(changes)
        self.frames(frames)

    @rule(changes=st.lists(SIZE, min_size=1, max_size=3), frames=COUNTS)
    def change_size(self, changes: list[dict[str, Any]], frames: int) -> None:
        self.change(changes)
        self.frames(frames)

    def change(self, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            self.asked |= change
            self.stage.configure(self.config)
            self.configured += 1
            type(self).changes += 1
        self.is_settled = False

    @rule()
    def wait(self) -> None:
        """Let the book and the builder come to the end of their work; the next frame begins a size."""
        self.settle()

    def settle(self) -> None:
        self.feed()  # a new size is begun when a frame comes
        self.stage.painter.book.later(lambda: None).result(TIMEOUT_S)
        self.stage.painter.build(lambda: None).result(TIMEOUT_S)
        self.feed()  # and taken with the next
        self.is_settled = True

    @rule(count=COUNTS)
    def frames(self, count: int) -> None:
        for _ in range(count):
            self.feed()

    def feed(self) -> None:
        self.pending.append((self.seq, self.config, self.configured))
        self.check(self.stage.process(frame(self.seq, self.seq % PICTURES, SIDE, SIDE)))
        self.seq += 1
        one = self.batch.newest
        assert one is not None
        self.check_frame(one, self.config)

    @rule()
    def drain(self) -> None:
        for _ in range(4):
            self.check(self.stage.process(None))
        assert not self.pending
        assert self.stage.process(None) == ()

    @rule(yes=st.integers(0, 9))
    def reset(self, yes: int) -> None:
        if yes == 0:
            self.stage.reset()
            self.pending.clear()

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "stage"):
            assert len(self.batch) == len(self.pending)
            assert len(self.batch) <= 4

    def check_frame(self, one: Trajectory, config: PaintConfig) -> None:
        """Hold a frame that has just come in against the settings of this moment."""
        painter = self.stage.painter
        assert one.version == self.configured == self.stage.version
        guidance = one.guidance
        assert (guidance.mode, guidance.scale, guidance.delta) == (
            config.guidance,
            config.guidance_scale,
            config.delta,
        )
        assert [step.t for step in one.schedule] == list(self.timesteps(config))
        side = int(one.latent_1CHW.shape[-1])
        if self.is_settled:
            assert side == painter.side(config.size_px)
            if config.transition_s == 0:
                for mine, prompt in (
                    (one.words.prompt, config.prompt),
                    (one.words.negative, config.negative_prompt),
                ):
                    if len(parts_of(prompt)) == 1 or config.blend == "linear":
                        assert float((mine.context_1TD - self.context(prompt)).abs().max()) < 1e-5
        if config.seed_blend in (0.0, 1.0) and config.transition_s == 0:
            seed = config.seed if config.seed_blend == 0 else config.seed_to
            seed += one.stamp.seq if config.vary else 0
            noise = self.oracle.noise(seed, len(one.schedule), (4, side, side))
            assert torch.equal(one.noise_NCHW, noise)

    def timesteps(self, config: PaintConfig) -> Sequence[int]:
        """Return the levels of StreamDiffusion's grid, or of diffusers' LCM at this strength."""
        places = indices(config.t_index)
        if not places:
            used = max(int(50 * (1.0 if config.start_from == "noise" else config.strength)), config.steps)
            places = tuple(50 - used + used * i // config.steps for i in range(config.steps))
        return [999 - 20 * place for place in places]

    def context(self, prompt: str) -> torch.Tensor:
        """Return the weighted mean of a prompt's parts, each encoded alone."""
        return sum(
            (part.weight * self.oracle.context(part.text) for part in parts_of(prompt)),
            torch.zeros(()),
        )

    def check(self, emitted: Sequence[Emitted]) -> None:
        """Hold what came out against what went in."""
        done, self.batch.done = self.batch.done, []
        assert len(done) == len(emitted)
        for one, out in zip(done, emitted, strict=True):
            seq, config, version = self.pending.popleft()
            assert out.stamp.seq == out.value.stamp.seq == one.stamp.seq == seq
            assert one.version == version
            assert out.value.pixels.shape[0] == int(one.latent_1CHW.shape[-1]) * 8
            type(self).painted += 1
            if seq % LOOKED_AT == 0:
                assert off(out.value.pixels, self.oracle.decode(self.alone(one, config))) < 0.7
                type(self).looked_at += 1

    def alone(self, one: Trajectory, config: PaintConfig) -> torch.Tensor:
        """Return the oracle's latent of a frame by the settings that it came in with."""
        from pipelines.diffusion.pictures import square

        side = int(one.latent_1CHW.shape[-1]) * 8
        return self.oracle.paint(
            square(picture(one.stamp.seq % PICTURES, SIDE, SIDE), side),
            one.words.prompt.context_1TD,
            self.timesteps(config),
            guidance_scale=config.guidance_scale,
            negative=one.words.negative.context_1TD,
            mode=config.guidance,
            delta=config.delta,
            noise=one.noise_NCHW,
            from_noise=config.start_from == "noise",
            renoise=config.add_noise,
            sampler="lcm" if config.sampler == "auto" else config.sampler,
        )

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        self.settle()
        self.drain()
        self.stage.close()
        self.batch.newest = None
        gc.collect()
        held = gc.get_objects()
        assert sum(type(one) is Trajectory for one in held) <= self.alive_before
        tensors = {
            one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
            for one in held
            if type(one) is torch.Tensor
        }
        type(self).megabytes.append(sum(tensors.values()) / 1e6)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_thousand_changes_to_a_running_session(folder_of: Callable[..., Path]) -> None:
    folder = folder_of("sd")

    class Here(LiveChanges):
        house = House(folder)
        oracle = Oracle.of(folder)
        megabytes: ClassVar[list[float]] = []

    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for turn in range(MOST_TURNS):  # how many changes a turn makes is Hypothesis's own choice
        if Here.changes < CHANGES:
            run_state_machine_as_test(seed(turn)(Here), settings=how)
    assert Here.changes >= CHANGES
    assert Here.painted > CHANGES / 3
    assert Here.looked_at > CHANGES / 3 / LOOKED_AT
    early, late = max(Here.megabytes[:8]), max(Here.megabytes[-8:])
    assert late < early * 1.2 + 2  # what is remembered is bounded, and full by then
